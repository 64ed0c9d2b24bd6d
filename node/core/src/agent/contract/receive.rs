use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
};

use starling_protocols::{
    contract::{
        Announcement, Arrival, Ask, BidId, Contractor, Order, Reply, Tell, Traversal, Windows,
    },
    exchange::{Codec, Failure},
    ident::Address,
    limits::{
        ANNOUNCEMENTS_WAITING_BYTES_MAX, ANNOUNCEMENTS_WAITING_MAX, BODY_BYTES_MAX, BUDGET_MAX,
        CONTRACTS_PER_AGENT_MAX, EFFECTS_PER_INPUT_MAX,
    },
    wire,
};

use super::{Announced, JobRow};
use crate::agent::{
    Agent, Cx, Effect, Rejection,
    cx::encode,
    dealings::{For, News, Reason, read},
};

/// What a kind takes part in, of one sort of contract.
#[derive(Clone, Copy)]
pub(in crate::agent) struct Part {
    pub(super) name: &'static str,
    /// How many jobs at a time; `None`: it does not bid.
    pub(super) bids: Option<usize>,
    /// Whether a report is one; `None`: it does not announce.
    pub(super) reads: Option<fn(&[u8]) -> bool>,
    pub(super) windows: Windows,
}

/// Contracts as they arrive.
impl<A: Agent> Cx<'_, A> {
    /// A manager asks.
    pub(in crate::agent) fn contract_asked(
        &mut self,
        part: Part,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let dialog = self.dialog();
        match read(codec, body)? {
            Ask::Announce(announcement) => {
                self.arrives(part, dialog.asker, true, announcement);
            }
            Ask::Grant { bid, contract, left, body } => {
                let now = self.now();
                let row = self.dealings.jobs.get_mut(&bid).filter(|row| row.name == part.name);
                let granted = row.map(|row| (row.machine.order(Order::Grant { left }, now), row));
                let Some((true, row)) = granted else {
                    self.answer_now(Ok(&Reply::NoBid));
                    return Ok(());
                };
                (row.manager, row.contract) = (dialog.asker, contract);
                let dialog = self.defer_dialog();
                if let Some(row) = self.dealings.jobs.get_mut(&bid) {
                    row.answers = Some(dialog);
                }
                let body = body.into_owned();
                self.dealings.news.push_back(News::Granted { job: bid, body });
                self.settle_job(bid);
            }
            Ask::Settle { contract, bid } => {
                let bid = BidId { bidder: dialog.asker, number: bid };
                let reply = encode(&self.outcome_of(part.name, contract, bid));
                self.push(Effect::Reply { to: dialog, outcome: Ok(reply) });
            }
        }
        Ok(())
    }

    /// The other side of a contract tells something.
    pub(in crate::agent) fn contract_told(
        &mut self,
        part: Part,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let from = self.sender();
        match read(codec, body)? {
            Tell::Announce(announcement) => self.arrives(part, from, false, announcement),
            Tell::Bid { contract, bid } => {
                let row = self.dealings.managed.get_mut(&contract);
                if let Some(row) = row.filter(|row| row.name == part.name) {
                    row.machine.bid(bid, from);
                    self.settle_contract(contract);
                } else {
                    self.reject_late(part.name.into(), bid.id);
                }
            }
            Tell::Withdraw { contract, bid, why } => {
                let row = self.dealings.managed.get_mut(&contract);
                if let Some(row) = row.filter(|row| row.name == part.name) {
                    row.machine.withdrawn(BidId { bidder: from, number: bid }, &why);
                    self.settle_contract(contract);
                }
            }
            Tell::Reject { bid } => self.order(part.name, from, bid, Order::Reject),
            Tell::Cancel { bid, why } => {
                self.order(part.name, from, bid, Order::Cancel(why.into_owned()));
            }
            Tell::Acknowledge { bid } => self.order(part.name, from, bid, Order::Acknowledge),
        }
        Ok(())
    }

    /// The contract has ended: who bids is not left waiting.
    fn reject_late(&mut self, name: Cow<'static, str>, bid: BidId) {
        self.tell_of(bid.bidder, name, &Tell::Reject { bid: bid.number });
    }

    /// A manager orders something. Who has announced or granted the work is obeyed, and until it
    /// is granted also who had the bid handed over.
    fn order(&mut self, name: &str, from: Address, job: u64, order: Order) {
        let now = self.now();
        let Some(row) = self.dealings.jobs.get_mut(&job).filter(|row| row.name == name) else {
            return;
        };
        if row.manager == from || row.machine.has_bid() {
            row.machine.order(order, now);
            self.settle_job(job);
        }
    }

    /// Work is announced to this agent.
    fn arrives(
        &mut self,
        part: Part,
        manager: Address,
        asks: bool,
        announcement: Announcement<'_>,
    ) {
        let name = part.name;
        let Announcement { traversal, contract, level, reach, left, stands, body } = announcement;
        let now = self.now();
        let stands = now + stands.min(BUDGET_MAX);
        let until = now + left.min(part.windows.capped().bids);
        let Some(at_once) = part.bids.filter(|_| manager != self.address()) else {
            return self.refuse_announcement(asks);
        };
        match self.dealings.visited.arrive(name, traversal, manager, until, now) {
            Arrival::Again => return self.came_again(name, traversal, manager, asks),
            Arrival::TooMany => return self.refuse_announcement(asks),
            Arrival::First => {}
        }
        let body = body.into_owned();
        self.drop_dead(name);
        let waiting = self.dealings.waiting.get(name).map_or(0, VecDeque::len);
        let full = self.dealings.jobs.len() >= CONTRACTS_PER_AGENT_MAX;
        let waits = !self.dealings.has_place(name, at_once);
        let bytes = ANNOUNCEMENTS_WAITING_BYTES_MAX;
        let has_room = || {
            waiting < ANNOUNCEMENTS_WAITING_MAX
                && self.dealings.waiting_bytes() + body.len() <= bytes
        };
        if full || waits && !has_room() {
            return self.refuse_announcement(asks);
        }
        let answers = asks.then(|| self.defer_dialog());
        let announced =
            Announced { manager, answers, contract, traversal, level, reach, until, stands, body };
        if waits {
            let queue = self.dealings.waiting.entry(name.into()).or_default();
            return queue.push_back(announced);
        }
        self.open_job(part, announced);
    }

    /// Announcements whose window has ended wait for nothing.
    fn drop_dead(&mut self, name: &str) {
        let now = self.now();
        let Some(queue) = self.dealings.waiting.get_mut(name) else { return };
        let (dead, alive): (VecDeque<_>, _) =
            std::mem::take(queue).into_iter().partition(|of: &Announced| of.until <= now);
        *queue = alive;
        dead.into_iter().for_each(|announced| self.refuse_announced(announced));
    }

    fn refuse_announcement(&mut self, asks: bool) {
        if asks {
            self.answer_now(Ok(&Reply::Refused { further: false }));
        }
    }

    /// A search comes again. A question of one whom this agent asks itself is the answer as well:
    /// the other side may do the same, and then what each answers is nobody's.
    fn came_again(&mut self, name: &str, traversal: Traversal, from: Address, asks: bool) {
        if !asks {
            return;
        }
        let mut managed = self.dealings.managed.iter_mut();
        let asking = managed.find_map(|(number, row)| {
            let same = row.traversal == traversal && row.name == name;
            let wait = same.then(|| row.asked.remove(&from))??;
            Some((*number, wait))
        });
        if let Some((number, wait)) = asking {
            self.forget_wait(wait);
            self.take_answer(number, from, Ok(Reply::Duplicate));
        }
        self.answer_now(Ok(&Reply::Duplicate));
    }

    fn open_job(&mut self, part: Part, announced: Announced) {
        let Announced { manager, answers, contract, traversal, level, reach, until, stands, body } =
            announced;
        let (now, number) = (self.now(), self.new_number());
        let row = JobRow {
            name: Cow::Borrowed(part.name),
            machine: Contractor::announced(until.since(now), stands.since(now), part.windows, now),
            manager,
            contract,
            traversal,
            level,
            reach,
            answers,
            further: false,
            nested: BTreeSet::new(),
            watch_at: None,
            settles: None,
            timer: None,
        };
        self.dealings.jobs.insert(number, Box::new(row));
        // Its timer is set when the agent has been told: it may bid at once, and that moves it.
        self.dealings.news.push_back(News::Announced { job: number, body });
    }

    /// A job has ended: one that waits takes its place.
    pub(super) fn next_job(&mut self, part: Part) {
        let (now, name) = (self.now(), part.name);
        while let Some(at_once) = part.bids
            && self.dealings.waiting.contains_key(name)
            && self.dealings.has_place(name, at_once)
            && self.dealings.jobs.len() < CONTRACTS_PER_AGENT_MAX
        {
            let Some(queue) = self.dealings.waiting.get_mut(name) else { return };
            match queue.pop_front() {
                None => drop(self.dealings.waiting.remove(name)),
                Some(announced) if announced.until <= now => self.refuse_announced(announced),
                Some(announced) => self.open_job(part, announced),
            }
        }
    }

    /// What was waited for has come, for a contract.
    pub(in crate::agent) fn contract_resumed(
        &mut self,
        what: For,
        outcome: Option<Result<&[u8], Failure>>,
        part: impl Fn(&str) -> Option<Part>,
    ) {
        let now = self.now();
        match what {
            For::Answer { contract, from } => self.take_answer(contract, from, reply(outcome)),
            For::Report { contract, bid } => {
                let Some(row) = self.dealings.managed.get_mut(&contract) else { return };
                row.granted.remove(&bid);
                if outcome == Some(Err(Failure::TimedOut)) {
                    // The window of all reports has ended in the same moment.
                    row.machine.expire(now);
                } else {
                    let reads = part(&row.name).and_then(|part| part.reads);
                    row.machine.reported(bid, readable(reply(outcome), reads));
                }
                self.settle_contract(contract);
            }
            For::Window { contract } => {
                if let Some(row) = self.dealings.managed.get_mut(&contract) {
                    row.timer = None;
                    row.machine.expire(now);
                    self.settle_contract(contract);
                }
            }
            For::JobWindow { job } => self.job_is_due(job),
            For::Settled { job } => {
                if let Some(row) = self.dealings.jobs.get_mut(&job) {
                    row.settles = None;
                    let order = match reply(outcome) {
                        Ok(Reply::Acknowledged) => Order::Acknowledge,
                        Ok(Reply::Cancelled(why)) => Order::Cancel(why.into_owned()),
                        Ok(Reply::Pending { left }) => Order::Pending { left },
                        Ok(_) => Order::Unknown,
                        Err(_) => Order::Gone,
                    };
                    row.machine.order(order, now);
                    self.settle_job(job);
                }
            }
            For::Watch { .. } | For::Proposals | For::Problem { .. } => {}
        }
    }

    /// A job's window has ended, or it is time to watch its manager.
    fn job_is_due(&mut self, job: u64) {
        let now = self.now();
        let Some(row) = self.dealings.jobs.get_mut(&job) else { return };
        row.timer = None;
        row.machine.expire(now);
        if row.watch_at.is_some_and(|at| at <= now) {
            row.watch_at = None;
            if row.machine.is_bound() {
                self.watch_manager(job);
            }
        }
        self.settle_job(job);
    }

    /// Work that takes its time is given up when whoever wants it is gone.
    pub(super) fn watch_manager(&mut self, job: u64) {
        if let Some(row) = self.dealings.jobs.get(&job) {
            self.watch(row.manager, Reason::Job(job));
        }
    }

    /// Whoever manages a job, or its host, has ended.
    pub(in crate::agent) fn manager_is_gone(&mut self, job: u64) {
        let now = self.now();
        if let Some(row) = self.dealings.jobs.get_mut(&job) {
            row.machine.order(Order::Gone, now);
            self.settle_job(job);
        }
    }

    fn take_answer(&mut self, contract: u64, from: Address, reply: Result<Reply<'_>, Failure>) {
        let now = self.now();
        if let Some(row) = self.dealings.managed.get_mut(&contract) {
            row.asked.remove(&from);
            row.machine.answered(from, reply, now);
            return self.settle_contract(contract);
        }
        let name = self.dealings.past.answered(contract, from);
        if let (Some(name), Ok(Reply::Bid(bid))) = (name, reply) {
            self.reject_late(name, bid.id);
        }
    }

    /// The agent is about to end in good order: its contracts end before.
    ///
    /// Of very many, not all are told, so that what their handlers ask for finds room. Questions
    /// are answered by the engine then; bids and grants end with their windows.
    pub(in crate::agent) fn end_contracts(&mut self) {
        let contracts: Vec<u64> = self.dealings.managed.keys().copied().collect();
        for contract in contracts {
            if self.may_end_more() {
                self.give_up_number(contract, "the manager was stopped");
            }
        }
        let jobs: Vec<u64> = self.dealings.jobs.keys().copied().collect();
        for job in jobs {
            if self.may_end_more() {
                self.leave_number(job, "the contractor was stopped");
            }
        }
        let waiting = std::mem::take(&mut self.dealings.waiting);
        for announced in waiting.into_values().flatten() {
            if self.may_end_more() {
                self.refuse_announced(announced);
            }
        }
    }

    /// Most of the effects are left to the agent's own handlers, to its partners and to its problems.
    fn may_end_more(&self) -> bool {
        self.effects_left() > EFFECTS_PER_INPUT_MAX / 4 * 3
    }

    /// Ends what the kind's present code takes no part in.
    pub(in crate::agent) fn end_strange_contracts(&mut self, part: impl Fn(&str) -> Option<Part>) {
        if !self.dealings.is_some() {
            return;
        }
        let manages = |name: &str| part(name).is_some_and(|part| part.reads.is_some());
        let strange = self.dealings.managed.iter().filter(|(_, row)| !manages(&row.name));
        for contract in strange.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.give_up_number(contract, "the manager announces no such work any more");
        }
        let bids = |name: &str| part(name).is_some_and(|part| part.bids.is_some());
        let strange = self.dealings.jobs.iter().filter(|(_, row)| !bids(&row.name));
        for job in strange.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.leave_number(job, "the contractor does no such work any more");
        }
        let strange = self.dealings.waiting.extract_if(.., |name, _| !bids(name));
        for announced in strange.flat_map(|(_, queue)| queue).collect::<Vec<_>>() {
            self.refuse_announced(announced);
        }
    }

    fn refuse_announced(&mut self, announced: Announced) {
        if let Some(dialog) = announced.answers {
            self.answer_deferred(dialog, Ok(encode(&Reply::Refused { further: false })));
        }
    }
}

/// A report that its manager cannot read is none; who has sent it takes it for done.
fn readable<'a>(
    reply: Result<Reply<'a>, Failure>,
    reads: Option<fn(&[u8]) -> bool>,
) -> Result<Reply<'a>, Failure> {
    match &reply {
        Ok(Reply::Report(report)) if reads.is_some_and(|reads| !reads(report)) => {
            Err(Failure::BadBody("the report does not decode".to_owned()))
        }
        _ => reply,
    }
}

fn reply(outcome: Option<Result<&[u8], Failure>>) -> Result<Reply<'_>, Failure> {
    let bytes = outcome.unwrap_or(Err(Failure::TimedOut))?;
    wire::decode_borrowed(bytes, BODY_BYTES_MAX).map_err(|why| Failure::BadBody(why.to_string()))
}
