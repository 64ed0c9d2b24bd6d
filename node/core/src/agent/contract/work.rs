use std::{borrow::Cow, time::Duration};

use starling_protocols::{
    contract::{Ask, Bid, BidId, Ended, Reply, Tell, Work as Told},
    limits::{ACKNOWLEDGEMENT_UNWATCHED, REASON_BYTES_MAX},
};

use super::{Contract, ContractId, Job};
use crate::agent::{
    Agent, Cx,
    cx::encode,
    dealings::{Dealings, For, News},
};

/// What an agent does with contracts that others announce.
impl<A: Agent> Cx<'_, A> {
    /// What is left of the window in which a job stands: for its bid, for its grant, for its
    /// report. Zero when it has ended.
    #[must_use]
    pub fn left<C: Contract>(&self, job: Job<C>) -> Duration {
        let row = self.dealings.jobs.get(&job.number);
        row.map_or(Duration::ZERO, |row| row.machine.left(self.now()))
    }

    /// Bids for a job whose announcement was put off. Gives whether that was possible.
    pub fn bid<C: Contract>(&mut self, job: Job<C>, cost: i64, bid: &C::Bid) -> bool {
        let id = BidId { bidder: self.address(), number: job.number };
        let bid = Bid { id, cost, body: encode(bid) };
        let row = self.dealings.jobs.get_mut(&job.number);
        let bids = row.is_some_and(|row| row.machine.bid());
        if bids {
            self.send_bid(job.number, bid);
        }
        bids
    }

    /// Hands a bid that came for a contract of its own over to the manager of a job: what is
    /// granted and reported goes past this agent. All other bids of that contract are rejected, and
    /// it ends, as do all others that were announced for the job. Gives whether that was possible.
    pub fn hand_over<C: Contract>(
        &mut self,
        job: Job<C>,
        contract: ContractId<C>,
        bid: BidId,
    ) -> bool {
        let dealings: &mut Dealings = self.dealings;
        let row = dealings.jobs.get_mut(&job.number);
        let Some(row) = row.filter(|row| row.machine.may_bid()) else { return false };
        let nested = dealings.managed.get_mut(&contract.number);
        let Some(bid) = nested.and_then(|nested| nested.machine.elect(bid)) else { return false };
        row.machine.hand_over();
        self.send_bid(job.number, bid);
        self.give_up_number(contract.number, "a bid was handed over");
        true
    }

    /// Takes back a bid that has not been granted: the manager is told. Gives whether it stood. A
    /// bid that was handed over is gone as well, but its present manager learns that only when it
    /// grants it.
    pub fn withdraw_bid<C: Contract>(&mut self, job: Job<C>) -> bool {
        let row = self.dealings.jobs.get(&job.number);
        let stands = row.is_some_and(|row| row.machine.has_bid());
        stands && self.withdraw_number(job.number, "the bidder took it back")
    }

    fn withdraw_number(&mut self, number: u64, why: &str) -> bool {
        let Some(row) = self.dealings.jobs.get_mut(&number) else { return false };
        let withdraws = row.machine.withdraw(why);
        if withdraws {
            let (to, name) = (row.manager, row.name.clone());
            let contract = row.contract;
            self.tell_of(to, name, &Tell::Withdraw { contract, bid: number, why: why.into() });
            self.settle_job(number);
        }
        withdraws
    }

    /// Takes no part any more, whatever stage the job is at.
    pub(super) fn leave_number(&mut self, number: u64, why: &str) {
        let _ = self.refuse_number(number)
            || self.withdraw_number(number, why)
            || self.defect_number(number, why);
    }

    /// Does not bid for a job whose announcement was put off. Gives whether that was possible.
    pub fn refuse_job<C: Contract>(&mut self, job: Job<C>) -> bool {
        self.refuse_number(job.number)
    }

    pub(super) fn refuse_number(&mut self, number: u64) -> bool {
        let row = self.dealings.jobs.get_mut(&number);
        let refuses = row.is_some_and(|row| row.machine.refuse());
        self.settle_job(number);
        refuses
    }

    /// Reports that a job is done that was granted. Gives whether it was still wanted; if not, what
    /// was done for it is to be undone.
    pub fn complete<C: Contract>(&mut self, job: Job<C>, report: &C::Report) -> bool {
        let now = self.now();
        let row = self.dealings.jobs.get_mut(&job.number);
        let completes = row.is_some_and(|row| row.machine.complete(now));
        if completes {
            self.answer_manager(job.number, &Reply::Report(Cow::Owned(encode(report))));
            if let Some(row) = self.dealings.jobs.get_mut(&job.number) {
                row.watch_at = Some(now + ACKNOWLEDGEMENT_UNWATCHED);
            }
            self.settle_job(job.number);
        }
        completes
    }

    /// Gives a job back that was granted, and says why. Gives whether it was still wanted.
    pub fn defect<C: Contract>(&mut self, job: Job<C>, why: &str) -> bool {
        self.defect_number(job.number, why)
    }

    pub(super) fn defect_number(&mut self, number: u64, why: &str) -> bool {
        let row = self.dealings.jobs.get_mut(&number);
        let defects = row.is_some_and(|row| row.machine.defect());
        if defects {
            let why: String = why.chars().take(REASON_BYTES_MAX / 4).collect();
            self.answer_manager(number, &Reply::Defect(why.into()));
            self.settle_job(number);
        }
        defects
    }

    fn send_bid(&mut self, number: u64, bid: Bid) {
        let Some(row) = self.dealings.jobs.get(&number) else { return };
        if row.answers.is_some() {
            self.answer_manager(number, &Reply::Bid(bid));
        } else {
            let (to, name) = (row.manager, row.name.clone());
            let tell = Tell::Bid { contract: row.contract, bid };
            self.tell_of(to, name, &tell);
        }
        self.settle_job(number);
    }

    fn answer_manager(&mut self, number: u64, reply: &Reply<'_>) {
        let row = self.dealings.jobs.get_mut(&number);
        if let Some(dialog) = row.and_then(|row| row.answers.take()) {
            self.answer_deferred(dialog, Ok(encode(reply)));
        }
    }

    /// Tells the agent what its part has come to, and looks when it wants to be called again.
    pub(super) fn settle_job(&mut self, number: u64) {
        loop {
            let Some(row) = self.dealings.jobs.get_mut(&number) else { return };
            match row.machine.poll() {
                None => break,
                // The agent is told with what was granted.
                Some(Told::Granted) => {}
                Some(Told::Ask) => self.ask_manager(number),
                Some(Told::Ended(how)) => {
                    self.close_job(number, &how);
                    self.dealings.news.push_back(News::JobOver { job: number, how });
                }
            }
        }
        let Some(row) = self.dealings.jobs.get(&number) else { return };
        let (timer, due) = (row.timer, row.machine.next_deadline());
        let due = due.map(|due| row.watch_at.map_or(due, |at| at.min(due)));
        let timer = self.set_timer(timer, due, For::JobWindow { job: number });
        if let Some(row) = self.dealings.jobs.get_mut(&number) {
            row.timer = timer;
        }
    }

    /// Asks what has become of the contract.
    fn ask_manager(&mut self, number: u64) {
        let now = self.now();
        let Some(row) = self.dealings.jobs.get(&number) else { return };
        let (to, name, left) = (row.manager, row.name.clone(), row.machine.left(now));
        let ask = encode(&Ask::Settle { contract: row.contract, bid: number });
        let wait = self.ask_of(to, name, ask, left, now + left, For::Settled { job: number });
        if let Some(row) = self.dealings.jobs.get_mut(&number) {
            row.settles = Some(wait);
        }
    }

    /// Of a job that has ended nobody is left waiting, and nothing is done for it any more.
    fn close_job(&mut self, number: u64, how: &Ended) {
        let Some(row) = self.dealings.jobs.get_mut(&number) else { return };
        let nested = std::mem::take(&mut row.nested);
        let (settles, further) = (row.settles.take(), row.further);
        row.watch_at = None;
        let reply = match how {
            Ended::Cancelled(why) => Reply::Defect(why.into()),
            _ => Reply::Refused { further },
        };
        self.answer_manager(number, &reply);
        if let Some(wait) = settles {
            self.forget_wait(wait);
        }
        if *how != Ended::Acknowledged {
            for contract in nested {
                self.give_up_number(contract, "the job it was for has ended");
            }
        }
    }
}
