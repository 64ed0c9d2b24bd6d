use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use starling_protocols::{
    contract::{Ask, BidId, End, Ended, Reply, Tell, Windows},
    limits::BODY_BYTES_MAX,
    wire,
};

use super::{
    BidOf, Bids, Contract, ContractId, Job, Managed, Manages, Offered, Settled, Worked,
    receive::Part, rows::hex,
};
use crate::agent::{
    Agent, Cx,
    dealings::{News, Reason},
};

type OnBid<A> = fn(&mut A, &mut Cx<'_, A>, u64, BidId);
type OnJob<A> = fn(&mut A, &mut Cx<'_, A>, u64, &[u8]);

/// What a kind does with one sort of contract, its types forgotten.
pub(crate) struct ContractFns<A: Agent> {
    name: &'static str,
    windows: Windows,
    bids: Option<BidFns<A>>,
    manages: Option<ManageFns<A>>,
}

struct BidFns<A: Agent> {
    concurrency: usize,
    announced: OnJob<A>,
    granted: OnJob<A>,
    ended: fn(&mut A, &mut Cx<'_, A>, u64, &Ended),
}

struct ManageFns<A: Agent> {
    bid: OnBid<A>,
    gone: OnBid<A>,
    closed: fn(&mut A, &mut Cx<'_, A>, u64),
    /// Whether a report is one.
    reads: fn(&[u8]) -> bool,
    ended: fn(&mut A, &mut Cx<'_, A>, u64, Managed, End),
}

impl<A: Agent> ContractFns<A> {
    pub(crate) fn bids<C: Contract>() -> Self
    where
        A: Bids<C>,
    {
        let concurrency = <A as Bids<C>>::CONCURRENCY.max(1);
        let (announced, granted) = (announced::<A, C>, granted::<A, C>);
        let bids = BidFns { concurrency, announced, granted, ended: job_ended::<A, C> };
        Self { name: C::NAME, windows: C::WINDOWS, bids: Some(bids), manages: None }
    }

    pub(crate) fn manages<C: Contract>() -> Self
    where
        A: Manages<C>,
    {
        let (bid, gone, closed) = (bid::<A, C>, gone::<A, C>, closed::<A, C>);
        let reads = |report: &[u8]| decode::<C::Report>(report).is_some();
        let manages = ManageFns { bid, gone, closed, reads, ended: ended::<A, C> };
        Self { name: C::NAME, windows: C::WINDOWS, bids: None, manages: Some(manages) }
    }

    /// Adds the other role. Gives whether it was not there yet.
    pub(crate) fn join(&mut self, other: Self) -> bool {
        if self.bids.is_some() && other.bids.is_some()
            || self.manages.is_some() && other.manages.is_some()
        {
            return false;
        }
        self.bids = self.bids.take().or(other.bids);
        self.manages = self.manages.take().or(other.manages);
        true
    }

    /// Whether agents of the kind bid for it.
    pub(in crate::agent) const fn is_of_bidders(&self) -> bool {
        self.bids.is_some()
    }

    pub(in crate::agent) fn part(&self) -> Part {
        let bids = self.bids.as_ref().map(|bids| bids.concurrency);
        let reads = self.manages.as_ref().map(|manages| manages.reads);
        Part { name: self.name, bids, reads, windows: self.windows }
    }
}

/// How an agent hears of its contracts.
impl<A: Agent> Cx<'_, A> {
    /// Tells the agent what has come of a contract.
    pub(in crate::agent) fn tell_of_contract(
        &mut self,
        agent: &mut A,
        fns: &ContractFns<A>,
        news: News,
    ) {
        match (&fns.manages, &fns.bids) {
            (Some(manages), _) if news.is_of_manager() => self.tell_manager(agent, manages, news),
            (_, Some(bids)) if !news.is_of_manager() => self.tell_contractor(agent, bids, news),
            _ => self.tell_nobody(&news),
        }
        self.next_job(fns.part());
    }

    /// The kind takes no part in such contracts any more: what has ended is forgotten all the same.
    pub(in crate::agent) fn tell_nobody(&mut self, news: &News) {
        match news {
            News::Over { contract, end } => drop(self.contract_over(*contract, end)),
            News::JobOver { job, .. } => self.job_over(*job),
            _ => {}
        }
    }

    /// Takes out a contract that has ended.
    fn contract_over(&mut self, contract: u64, end: &End) -> Option<Box<Managed>> {
        let mut row = self.dealings.managed.remove(&contract)?;
        if let Some(job) = row.job.and_then(|job| self.dealings.jobs.get_mut(&job)) {
            job.further |= matches!(end, End::Expired { further: true });
            job.nested.remove(&contract);
        }
        self.remember(contract, &mut row, end);
        Some(row)
    }

    fn job_over(&mut self, job: u64) {
        if self.dealings.jobs.remove(&job).is_some() {
            self.unwatch(Reason::Job(job));
        }
    }

    fn tell_manager(&mut self, agent: &mut A, fns: &ManageFns<A>, news: News) {
        match news {
            News::Bid { contract, bid } => (fns.bid)(agent, self, contract, bid),
            News::Gone { contract, bid } => (fns.gone)(agent, self, contract, bid),
            News::Closed { contract } => {
                let row = self.dealings.managed.get(&contract);
                if row.is_some_and(|row| row.machine.may_grant()) {
                    (fns.closed)(agent, self, contract);
                }
            }
            News::Over { contract, end } => {
                let Some(row) = self.contract_over(contract, &end) else { return };
                (fns.ended)(agent, self, contract, *row, end);
            }
            _ => {}
        }
    }

    fn tell_contractor(&mut self, agent: &mut A, fns: &BidFns<A>, news: News) {
        match news {
            News::Announced { job, body } => {
                (fns.announced)(agent, self, job, &body);
                self.settle_job(job);
            }
            News::Granted { job, body } => (fns.granted)(agent, self, job, &body),
            News::JobOver { job, how } => {
                self.job_over(job);
                (fns.ended)(agent, self, job, &how);
            }
            _ => {}
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    wire::decode(body, BODY_BYTES_MAX).ok()
}

fn announced<A: Bids<C>, C: Contract>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64, body: &[u8]) {
    let job = Job::<C>::new(number);
    // What is no work of this sort is not bid for.
    let offer = decode(body).map(|work| agent.announced(cx, job, work).0);
    match offer.unwrap_or(Offered::Refuse) {
        Offered::Bid(cost, bid) => drop(cx.bid(job, cost, &bid)),
        Offered::Refuse => drop(cx.refuse_job(job)),
        Offered::Later => {}
    }
}

fn granted<A: Bids<C>, C: Contract>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64, body: &[u8]) {
    let job = Job::<C>::new(number);
    let work = decode(body).map(|grant| agent.granted(cx, job, grant).0);
    match work.unwrap_or_else(|| Worked::Defect("the grant does not decode".into())) {
        Worked::Done(report) => drop(cx.complete(job, &report)),
        Worked::Defect(why) => drop(cx.defect(job, &why)),
        Worked::Later => cx.watch_manager(number),
    }
}

fn job_ended<A: Bids<C>, C: Contract>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64, how: &Ended) {
    Bids::<C>::ended(agent, cx, Job::new(number), how);
}

fn bid<A: Manages<C>, C: Contract>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64, id: BidId) {
    let contract = ContractId::<C>::new(number);
    let row = cx.dealings.managed.get(&number);
    let Some(open) = row.and_then(|row| row.machine.bids().rfind(|bid| bid.id == id)) else {
        return;
    };
    let (cost, body) = (open.cost, decode(&open.body));
    match body {
        Some(bid) => agent.bid(cx, contract, &BidOf { id, cost, bid }),
        None => drop(cx.reject(contract, id)),
    }
}

fn gone<A: Manages<C>, C: Contract>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64, id: BidId) {
    agent.bid_gone(cx, ContractId::new(number), id);
}

fn closed<A: Manages<C>, C: Contract>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64) {
    agent.closed(cx, ContractId::new(number));
}

fn ended<A: Manages<C>, C: Contract>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    number: u64,
    row: Managed,
    end: End,
) {
    let completed = matches!(end, End::Completed | End::Partial { .. });
    let reports = row.machine.reports().filter(|_| completed);
    let reports = reports.filter_map(|(bid, report)| Some((bid.id, decode(report)?))).collect();
    let settled = Settled { end, reports, bids: row.machine.story().count() };
    Manages::<C>::ended(agent, cx, ContractId::new(number), settled);
}

/// Shows what is answered to managers, and to contractors that ask.
pub(crate) fn show_reply<C: Contract>(body: &[u8]) -> Option<Value> {
    Some(match wire::decode_borrowed::<Reply<'_>>(body, BODY_BYTES_MAX).ok()? {
        Reply::Bid(bid) => json!({
            "bid": hex(bid.id.number), "bidder": bid.id.bidder.to_string(), "cost": bid.cost,
            "says": show_as::<C::Bid>(&bid.body),
        }),
        Reply::Refused { further } => json!({ "refused": true, "further": further }),
        Reply::Duplicate => json!("duplicate"),
        Reply::Report(report) => json!({ "report": show_as::<C::Report>(&report) }),
        Reply::Defect(why) => json!({ "defect": why }),
        Reply::NoBid => json!("no such bid"),
        Reply::Acknowledged => json!("acknowledged"),
        Reply::Cancelled(why) => json!({ "cancelled": why }),
        Reply::Pending { left } => {
            json!({ "pending_ms": u64::try_from(left.as_millis()).unwrap_or(u64::MAX) })
        }
        Reply::Forgotten => json!("forgotten"),
    })
}

fn show_as<T: DeserializeOwned + serde::Serialize>(body: &[u8]) -> Option<Value> {
    decode::<T>(body).and_then(|of| serde_json::to_value(&of).ok())
}

/// Shows what managers ask.
pub(crate) fn show_ask<C: Contract>(body: &[u8]) -> Option<Value> {
    Some(match wire::decode_borrowed::<Ask<'_>>(body, BODY_BYTES_MAX).ok()? {
        Ask::Announce(of) => json!({
            "announce": show_as::<C>(&of.body), "contract": hex(of.contract), "level": of.level,
            "left_ms": u64::try_from(of.left.as_millis()).unwrap_or(u64::MAX),
        }),
        Ask::Grant { bid, contract, body, .. } => json!({
            "grant": show_as::<C::Grant>(&body), "bid": hex(bid), "contract": hex(contract),
        }),
        Ask::Settle { contract, bid } => json!({ "settle": hex(bid), "contract": hex(contract) }),
    })
}

/// Shows what the two sides tell each other.
pub(crate) fn show_tell<C: Contract>(body: &[u8]) -> Option<Value> {
    Some(match wire::decode_borrowed::<Tell<'_>>(body, BODY_BYTES_MAX).ok()? {
        Tell::Announce(of) => {
            json!({ "announce": show_as::<C>(&of.body), "contract": hex(of.contract) })
        }
        Tell::Bid { contract, bid } => json!({
            "bid": hex(bid.id.number), "contract": hex(contract), "cost": bid.cost,
            "says": show_as::<C::Bid>(&bid.body),
        }),
        Tell::Withdraw { contract, bid, why } => {
            json!({ "withdraw": hex(bid), "contract": hex(contract), "why": why })
        }
        Tell::Reject { bid } => json!({ "reject": hex(bid) }),
        Tell::Cancel { bid, why } => json!({ "cancel": hex(bid), "why": why }),
        Tell::Acknowledge { bid } => json!({ "acknowledge": hex(bid) }),
    })
}
