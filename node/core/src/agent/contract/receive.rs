use std::{borrow::Cow, collections::VecDeque};

use starling_protocols::{
    contract::{Announcement, Arrival, Ask, Contractor, Order, Reply, Tell, Windows},
    exchange::{Codec, Failure},
    ident::Address,
    limits::{ANNOUNCEMENTS_WAITING_MAX, BODY_BYTES_MAX, CONTRACTS_PER_AGENT_MAX},
    wire,
};

use super::dealings::{Announced, For, JobRow, News};
use crate::agent::{Agent, Cx, Dialog, Rejection, WaitId, cx::encode};

/// What a kind takes part in, of one sort of contract.
#[derive(Clone, Copy)]
pub(in crate::agent) struct Part {
    /// How many jobs at a time; `None`: it does not bid.
    pub(super) bids: Option<usize>,
    pub(super) windows: Windows,
}

/// Contracts as they arrive.
impl<A: Agent> Cx<'_, A> {
    /// A manager asks.
    pub(in crate::agent) fn contract_asked(
        &mut self,
        name: &str,
        part: Part,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let dialog = self.dialog();
        match read(codec, body)? {
            Ask::Announce(announcement) => {
                self.arrives(name, part, dialog.asker, true, announcement);
            }
            Ask::Grant { bid, contract, left, body } => {
                let now = self.now();
                let row = self.dealings.jobs.get_mut(&bid).filter(|row| row.name == name);
                let granted = row.map(|row| (row.machine.order(Order::Grant { left }, now), row));
                let Some((true, row)) = granted else {
                    let why = "no such bid stands here".into();
                    self.answer_now(Ok(&Reply::Defect(why)));
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
        }
        Ok(())
    }

    /// The other side of a contract tells something.
    pub(in crate::agent) fn contract_told(
        &mut self,
        name: &str,
        part: Part,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let from = self.sender();
        match read(codec, body)? {
            Tell::Announce(announcement) => self.arrives(name, part, from, false, announcement),
            Tell::Bid { contract, bid } => {
                let row = self.dealings.managed.get_mut(&contract);
                if let Some(row) = row.filter(|row| row.name == name) {
                    row.machine.bid(bid);
                    self.settle_contract(contract);
                } else {
                    // The contract has ended: who bids is not left waiting.
                    let name = Cow::Owned(name.to_owned());
                    self.tell_of(bid.id.bidder, name, &Tell::Reject { bid: bid.id.number });
                }
            }
            Tell::Reject { bid } => self.order(name, from, bid, Order::Reject),
            Tell::Cancel { bid, why } => {
                self.order(name, from, bid, Order::Cancel(why.into_owned()));
            }
            Tell::Acknowledge { bid } => self.order(name, from, bid, Order::Acknowledge),
        }
        Ok(())
    }

    /// A manager orders something. Who has announced or granted the work is obeyed, and until it
    /// is granted also who had the bid handed over.
    fn order(&mut self, name: &str, from: Address, job: u64, order: Order) {
        let now = self.now();
        let Some(row) = self.dealings.jobs.get_mut(&job).filter(|row| row.name == name) else {
            return;
        };
        if row.manager == from || row.machine.phase() == "bid" {
            row.machine.order(order, now);
            self.settle_job(job);
        }
    }

    /// Work is announced to this agent.
    fn arrives(
        &mut self,
        name: &str,
        part: Part,
        manager: Address,
        asks: bool,
        announcement: Announcement<'_>,
    ) {
        let Announcement { traversal, contract, level, reach, left, body } = announcement;
        let now = self.now();
        let until = now + left.min(part.windows.capped().bids);
        let Some(at_once) = part.bids.filter(|_| manager != self.address()) else {
            return self.refuse_announcement(asks);
        };
        match self.dealings.visited.arrive(traversal, manager, until, now) {
            Arrival::Again => return self.came_again(traversal, manager, asks),
            Arrival::TooMany => return self.refuse_announcement(asks),
            Arrival::First => {}
        }
        let body = body.into_owned();
        self.drop_dead(name);
        let waiting = self.dealings.waiting.get(name).map_or(0, VecDeque::len);
        let full = self.dealings.jobs.len() >= CONTRACTS_PER_AGENT_MAX;
        if full || waiting >= ANNOUNCEMENTS_WAITING_MAX {
            return self.refuse_announcement(asks);
        }
        let answers = asks.then(|| self.defer_dialog());
        let announced =
            Announced { manager, answers, contract, traversal, level, reach, until, body };
        if self.dealings.jobs_of(name) >= at_once {
            let queue = self.dealings.waiting.entry(name.to_owned()).or_default();
            return queue.push_back(announced);
        }
        self.open_job(name, part.windows, announced);
    }

    /// Announcements whose window has ended wait for nothing.
    fn drop_dead(&mut self, name: &str) {
        let now = self.now();
        let Some(queue) = self.dealings.waiting.get_mut(name) else { return };
        let (dead, alive): (VecDeque<_>, _) =
            std::mem::take(queue).into_iter().partition(|of: &Announced| of.until <= now);
        *queue = alive;
        for dialog in dead.into_iter().filter_map(|of| of.answers) {
            let refused = encode(&Reply::Refused { further: false });
            self.answer_deferred(dialog, Ok(refused));
        }
    }

    fn refuse_announcement(&mut self, asks: bool) {
        if asks {
            self.answer_now(Ok(&Reply::Refused { further: false }));
        }
    }

    /// A search comes again. A question of one whom this agent asks itself is the answer as well:
    /// the other side may do the same, and then what each answers is nobody's.
    fn came_again(
        &mut self,
        traversal: starling_protocols::contract::Traversal,
        from: Address,
        asks: bool,
    ) {
        if !asks {
            return;
        }
        let mut managed = self.dealings.managed.iter_mut();
        let asking = managed.find_map(|(number, row)| {
            let wait = (row.traversal == traversal).then(|| row.asked.remove(&from))??;
            Some((*number, wait))
        });
        if let Some((number, wait)) = asking {
            self.forget_wait(wait);
            self.take_answer(number, from, Ok(Reply::Duplicate));
        }
        self.answer_now(Ok(&Reply::Duplicate));
    }

    fn open_job(&mut self, name: &str, windows: Windows, announced: Announced) {
        let Announced { manager, answers, contract, traversal, level, reach, until, body } =
            announced;
        let (now, number) = (self.now(), self.dealings.number());
        let row = JobRow {
            name: name.to_owned(),
            machine: Contractor::announced(until.since(now), windows, now),
            manager,
            contract,
            traversal,
            level,
            reach,
            answers,
            further: false,
            timer: None,
        };
        self.dealings.jobs.insert(number, Box::new(row));
        // Its timer is set when the agent has been told: it may bid at once, and that moves it.
        self.dealings.news.push_back(News::Announced { job: number, body });
    }

    /// A job has ended: one that waits takes its place.
    pub(super) fn next_job(&mut self, name: &str, part: Part) {
        let now = self.now();
        while let Some(at_once) = part.bids
            && self.dealings.jobs_of(name) < at_once
            && self.dealings.jobs.len() < CONTRACTS_PER_AGENT_MAX
        {
            let Some(queue) = self.dealings.waiting.get_mut(name) else { return };
            match queue.pop_front() {
                None => drop(self.dealings.waiting.remove(name)),
                Some(announced) if announced.until <= now => {
                    if let Some(dialog) = announced.answers {
                        self.answer_deferred(
                            dialog,
                            Ok(encode(&Reply::Refused { further: false })),
                        );
                    }
                }
                Some(announced) => self.open_job(name, part.windows, announced),
            }
        }
    }

    /// What was waited for has come, for a contract.
    pub(in crate::agent) fn contract_resumed(&mut self, wait: WaitId) {
        let outcome = self.outcome();
        let Some((what, _)) = self.dealings.waits.end(wait) else { return };
        let now = self.now();
        match what {
            For::Answer { contract, from } => {
                if let Some(row) = self.dealings.managed.get_mut(&contract) {
                    row.asked.remove(&from);
                }
                self.take_answer(contract, from, reply(outcome));
            }
            For::Report { contract, bid } => {
                if let Some(row) = self.dealings.managed.get_mut(&contract) {
                    row.granted.remove(&bid);
                    if outcome == Some(Err(Failure::TimedOut)) {
                        // The window of all reports has ended in the same moment.
                        row.machine.expire(now);
                    } else {
                        row.machine.reported(bid, reply(outcome));
                    }
                    self.settle_contract(contract);
                }
            }
            For::Window { contract } => {
                if let Some(row) = self.dealings.managed.get_mut(&contract) {
                    row.timer = None;
                    row.machine.expire(now);
                    self.settle_contract(contract);
                }
            }
            For::JobWindow { job } => {
                if let Some(row) = self.dealings.jobs.get_mut(&job) {
                    row.timer = None;
                    row.machine.expire(now);
                    self.settle_job(job);
                }
            }
        }
    }

    fn take_answer(&mut self, contract: u64, from: Address, reply: Result<Reply<'_>, Failure>) {
        let now = self.now();
        if let Some(row) = self.dealings.managed.get_mut(&contract) {
            row.machine.answered(from, reply, now);
            self.settle_contract(contract);
        }
    }

    /// The agent is about to end in good order: its contracts end before.
    pub(in crate::agent) fn end_contracts(&mut self) {
        let contracts: Vec<u64> = self.dealings.managed.keys().copied().collect();
        for contract in contracts {
            self.give_up_number(contract, "the manager was stopped");
        }
        let jobs: Vec<u64> = self.dealings.jobs.keys().copied().collect();
        for job in jobs {
            self.refuse_number(job);
            self.defect_number(job, "the contractor was stopped");
        }
        let waiting = std::mem::take(&mut self.dealings.waiting);
        let dialogs = waiting.into_values().flatten().filter_map(|waits| waits.answers);
        for dialog in dialogs.collect::<Vec<Dialog>>() {
            self.answer_deferred(dialog, Ok(encode(&Reply::Refused { further: false })));
        }
    }
}

fn read<'a, T: serde::Deserialize<'a>>(codec: Codec, body: &'a [u8]) -> Result<T, Rejection> {
    if codec == Codec::Json {
        let why = "contracts are between agents; nobody outside the mesh can take part";
        return Err(Rejection::BadBody(why.to_owned()));
    }
    wire::decode_borrowed(body, BODY_BYTES_MAX).map_err(|why| Rejection::BadBody(why.to_string()))
}

fn reply(outcome: Option<Result<&[u8], Failure>>) -> Result<Reply<'_>, Failure> {
    let bytes = outcome.unwrap_or(Err(Failure::TimedOut))?;
    wire::decode_borrowed(bytes, BODY_BYTES_MAX).map_err(|why| Failure::BadBody(why.to_string()))
}
