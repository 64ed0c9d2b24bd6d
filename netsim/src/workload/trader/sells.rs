use std::time::Duration;

use starling_core::agent::prelude::*;
use starling_protocols::contract::Ended;

use super::{Commission, Errand, Flaw, Part, Receipt, Then, Trader};

/// What a trader does with an announcement, or with a grant.
enum Habit {
    /// At once.
    Now,
    /// After so many milliseconds, perhaps too late.
    Later(u64),
    /// Not at all, and says so.
    No,
    /// Not at all, and says nothing.
    Silent,
    /// Others may.
    Others,
    /// At once, and takes it back after so many milliseconds.
    Regrets(u64),
}

impl Habit {
    fn with_an_announcement(draw: u64, millis: u64) -> Self {
        match draw {
            0 => Self::No,
            1 => Self::Silent,
            2 => Self::Later(millis % 4_500),
            3..6 => Self::Others,
            6 => Self::Regrets(millis % 6_000),
            _ => Self::Now,
        }
    }

    fn with_a_grant(draw: u64, millis: u64) -> Self {
        match draw {
            0 => Self::No,
            1 => Self::Silent,
            2..6 => Self::Now,
            _ => Self::Later(millis % 9_000),
        }
    }
}

/// Selling.
impl<const KEPT: bool> Trader<KEPT> {
    /// What it bids, if it has what is wanted.
    fn offer(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>) -> Option<(i64, u64)> {
        let Part { errand, key, .. } = *self.parts.get(&job)?;
        let firmly = cx.entropy().below(3) == 0;
        let hold = self.set_aside(cx, &errand, firmly)?;
        self.parts.get_mut(&job)?.hold = Some(hold);
        Some((i64::try_from(cx.entropy().below(50)).unwrap_or_default(), key))
    }

    /// It has thought about a bid for long enough.
    pub(super) fn bid_late(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>) {
        if cx.left(job).is_zero() {
            return;
        }
        match self.offer(cx, job) {
            Some((cost, key)) => {
                if !cx.bid(job, cost, &key) {
                    self.release(cx, job);
                }
            }
            None => drop(cx.refuse_job(job)),
        }
    }

    /// Others have bid for what it asked them for a job: it bids as well, for more.
    pub(super) fn bid_for_others(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>) {
        let Some(Part { key, nested: Some(nested), .. }) = self.parts.get(&job) else { return };
        let best = cx.bids(*nested).iter().map(|bid| bid.cost).min().unwrap_or_default();
        if !cx.bid(job, best + 1, key) {
            cx.give_up(*nested, "it is not wanted any more");
        }
    }

    /// Others do not do what it asked them for a job.
    pub(super) fn others_have_not(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>) {
        if !cx.refuse_job(job) {
            cx.defect(job, "others have not done it");
        }
    }

    /// It would rather not have bid.
    pub(super) fn withdraw(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>) {
        let granted = self.parts.get(&job).is_some_and(|part| part.granted.is_some());
        if cx.withdraw_bid(job) && granted {
            self.complain(cx, "it could take back a bid that was granted");
        }
    }

    /// The work is done, if it was possible.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>, possible: bool) {
        let Some(part) = self.parts.get_mut(&job).filter(|part| part.end.is_none()) else { return };
        if !possible {
            self.release(cx, job);
            cx.defect(job, "it turned out to be impossible");
            return;
        }
        let receipt = Receipt { deal: part.granted.unwrap_or_default(), part: part.key };
        let (was, done) = (part.done, cx.complete(job, &receipt));
        part.done |= done;
        if was && done {
            self.complain(cx, "it could report twice");
        }
    }

    /// What was sold comes back.
    pub(super) fn take_back(&mut self, cx: &Cx<'_, Self>, job: Job<Errand>) {
        if self.parts.get(&job).is_some_and(|part| part.hold.is_none()) {
            self.complain(cx, "what was sold is not there any more");
        }
        self.release(cx, job);
    }

    /// Does what it was granted.
    fn work(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>, deal: u64) -> Work<Errand> {
        let Some(part) = self.parts.get(&job) else { return Work::defect("it has no part in it") };
        let (errand, key, hold) = (part.errand, part.key, part.hold.clone());
        if let Some(nested) = part.nested {
            self.grant(cx, nested);
            return Work::later();
        }
        let confirmed = hold.is_some_and(|hold| self.store.confirm(hold.id, cx.now()).is_ok());
        let hold = match (confirmed, self.parts.get_mut(&job)) {
            (true, Some(Part { hold: Some(hold), .. })) => {
                hold.until = None;
                Some(hold.clone())
            }
            _ => self.set_aside(cx, &errand, true),
        };
        let has = hold.is_some();
        if let Some(part) = self.parts.get_mut(&job) {
            part.hold = hold;
        }
        if !has {
            return Work::defect("it is sold meanwhile");
        }
        let (draw, millis) = (cx.entropy().below(12), cx.entropy().u64());
        match Habit::with_a_grant(draw, millis) {
            Habit::No => {
                self.release(cx, job);
                Work::defect("it changed its mind")
            }
            Habit::Later(millis) => {
                let possible = cx.entropy().below(8) > 0;
                cx.after(Duration::from_millis(millis), Then::Finish(job, possible));
                Work::later()
            }
            Habit::Silent => Work::later(),
            Habit::Now | Habit::Others | Habit::Regrets(_) => {
                if let Some(part) = self.parts.get_mut(&job) {
                    part.done = true;
                }
                Work::done(Receipt { deal, part: key })
            }
        }
    }

    /// What becomes of what it holds for a job that has ended.
    fn settle(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>, how: &Ended) {
        let keeps = match self.flaw {
            Flaw::KeepsRejected => *how == Ended::Rejected,
            Flaw::KeepsCancelled => matches!(how, Ended::Cancelled(_)),
            Flaw::None | Flaw::Hopes | Flaw::OrdersTwice => false,
        };
        if how.undoes() && !keeps {
            self.release(cx, job);
        }
        if how.undoes()
            && let Some(nested) = self.parts.get(&job).and_then(|part| part.nested)
        {
            cx.give_up(nested, "it is not wanted any more");
        }
        let holds = self.parts.get(&job).is_some_and(|part| part.hold.is_some());
        // The first is sold for good: it must still be there in the end.
        let sold = self.parts.values().filter(|part| part.end.is_some() && part.hold.is_some());
        let for_good = sold.count() == 1;
        if *how == Ended::Acknowledged && holds && !for_good {
            let lease = Duration::from_millis(cx.entropy().below(20_000));
            cx.after(lease, Then::Return(job));
        }
    }
}

impl<const KEPT: bool> Bids<Errand> for Trader<KEPT> {
    const CONCURRENCY: usize = if KEPT { 3 } else { usize::MAX };

    fn announced(
        &mut self,
        cx: &mut Cx<'_, Self>,
        job: Job<Errand>,
        errand: Errand,
    ) -> Offer<Errand> {
        let key = cx.entropy().u64();
        let (draw, millis) = (cx.entropy().below(12), cx.entropy().u64());
        let part =
            Part { key, errand, hold: None, granted: None, done: false, nested: None, end: None };
        if self.parts.insert(job, part).is_some() {
            self.complain(cx, "two of its jobs have one number");
        }
        let habit = Habit::with_an_announcement(draw, millis);
        if let Habit::Regrets(millis) = habit {
            cx.after(Duration::from_millis(millis), Then::Withdraw(job));
        }
        let offer = match habit {
            Habit::No => Offer::refuse(),
            Habit::Silent => Offer::later(),
            Habit::Later(millis) => {
                cx.after(Duration::from_millis(millis), Then::Bid(job));
                Offer::later()
            }
            Habit::Others => {
                let nested = self.ask_others(cx, job, errand);
                if let Some(part) = self.parts.get_mut(&job) {
                    part.nested = Some(nested);
                }
                Offer::later()
            }
            Habit::Now | Habit::Regrets(_) => match self.offer(cx, job) {
                Some((cost, key)) => Offer::bid(cost, key),
                None => Offer::refuse(),
            },
        };
        self.audit(cx);
        offer
    }

    fn granted(
        &mut self,
        cx: &mut Cx<'_, Self>,
        job: Job<Errand>,
        grant: Commission,
    ) -> Work<Errand> {
        let Commission { search, deal } = grant;
        let Some(part) = self.parts.get_mut(&job) else {
            self.complain(cx, "it was granted what was never announced to it");
            return Work::defect("it has no part in it");
        };
        let before = part.granted.replace(deal);
        let (searched, ended) = (part.errand.search, part.end.is_some());
        if before.is_some() {
            self.complain(cx, "it was granted one job twice");
        }
        if ended {
            self.complain(cx, "it was granted a job that had ended");
        }
        if searched != search {
            self.complain(cx, "it was granted something else than it had bid for");
        }
        let work = self.work(cx, job, deal);
        self.audit(cx);
        work
    }

    fn ended(&mut self, cx: &mut Cx<'_, Self>, job: Job<Errand>, how: &Ended) {
        let word = match how {
            Ended::Refused => "refused",
            Ended::Delegated => "delegated",
            Ended::Rejected => "rejected",
            Ended::Withdrawn => "withdrawn",
            Ended::Expired => "expired",
            Ended::Cancelled(_) => "cancelled",
            Ended::Defected => "defected",
            Ended::Aborted(_) => "aborted",
            Ended::Acknowledged => "acknowledged",
        };
        self.count(&format!("job {word}"));
        let Some(part) = self.parts.get_mut(&job) else {
            return self.complain(cx, "a job ended that was not under way");
        };
        let twice = part.end.is_some();
        part.end = Some(match how {
            Ended::Aborted(_) if self.flaw == Flaw::Hopes => "acknowledged".into(),
            Ended::Aborted(why) => format!("aborted: {why}"),
            Ended::Cancelled(why) => format!("cancelled: {why}"),
            _ => word.into(),
        });
        if twice {
            self.complain(cx, "a job ended twice");
        }
        self.settle(cx, job, how);
        if self.parts.get(&job).is_some_and(|part| part.granted.is_none()) {
            self.parts.remove(&job);
        }
        self.audit(cx);
    }
}
