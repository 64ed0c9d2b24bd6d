//! Agents that negotiate as fast as they can: one announces work again and again, the others bid.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

/// What is announced, bid, granted and reported: bytes that say nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chore(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Contract for Chore {
    const NAME: &'static str = "load/chore";
    type Bid = Chore;
    type Grant = Chore;
    type Report = Chore;
}

/// Announces [`Chore`]s to [`Worker`]s and measures how long they take to their ends.
#[derive(Default, Serialize, Deserialize)]
pub struct Announcer {
    plan: Option<Negotiate>,
    reply_to: Option<ReplyTo<Negotiate>>,
    begun: Option<Time>,
    open: Vec<(ContractId<Chore>, Time)>,
    announced: u64,
    done: u64,
    failed: u64,
    reports: u64,
    micros: Vec<u32>,
}

/// Asks an [`Announcer`] to negotiate; the reply is what it measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negotiate {
    /// Those to whom each chore is announced.
    pub bidders: Vec<Address>,
    /// How many contracts to keep open.
    pub outstanding: u64,
    /// How many contracts to announce.
    pub count: u64,
    /// How many bytes each message carries.
    pub bytes: usize,
}

impl Request for Negotiate {
    const NAME: &'static str = "load/negotiate";
    const BUDGET: Duration = Duration::from_secs(60);
    type Reply = Negotiated;
}

/// What came of a [`Negotiate`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Negotiated {
    /// Contracts that were completed by one bidder after all had bid.
    pub done: u64,
    /// Contracts that ended in any other way.
    pub failed: u64,
    /// Reports that came.
    pub reports: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Half of the contracts took less, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 contracts took less, in microseconds.
    pub p99_us: u64,
}

impl Agent for Announcer {
    const KIND: &'static str = "announcer";
    const MAILBOX: u32 = 1 << 20;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Negotiate>();
        interests.manages::<Chore>();
    }
}

impl Answers<Negotiate> for Announcer {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, plan: Negotiate) -> Answer<Negotiate> {
        let (answer, reply_to) = Answer::later(cx);
        let outstanding = plan.outstanding;
        *self = Self { plan: Some(plan), reply_to: Some(reply_to), ..Self::default() };
        self.begun = Some(cx.now());
        (0..outstanding).for_each(|_| self.announce(cx));
        answer
    }
}

impl Announcer {
    fn announce(&mut self, cx: &mut Cx<'_, Self>) {
        let plan = self.plan.as_ref().filter(|plan| self.announced < plan.count);
        let Some(plan) = plan else { return };
        self.announced += 1;
        let to = To::agents(plan.bidders.iter().copied());
        let contract = cx.announce(&Chore(vec![7; plan.bytes]), to);
        self.open.push((contract, cx.now()));
    }

    fn finish(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(reply_to) = self.reply_to.take() else { return };
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        for micros in &self.micros {
            histogram.record(u64::from(*micros)).expect("it grows");
        }
        let negotiated = Negotiated {
            done: self.done,
            failed: self.failed,
            reports: self.reports,
            seconds: cx.now().since(self.begun.unwrap_or_default()).as_secs_f64(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
        };
        cx.reply(reply_to, &negotiated);
    }
}

impl Manages<Chore> for Announcer {
    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Chore>) {
        let bytes = self.plan.as_ref().map_or(0, |plan| plan.bytes);
        cx.grant_cheapest(contract, 1, &Chore(vec![7; bytes]));
    }

    fn ended(
        &mut self,
        cx: &mut Cx<'_, Self>,
        contract: ContractId<Chore>,
        settled: Settled<Chore>,
    ) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == contract) else { return };
        let Some(plan) = &self.plan else { return };
        let (_, since) = self.open.swap_remove(place);
        let all = settled.bids == plan.bidders.len() && settled.reports.len() == 1;
        *if all { &mut self.done } else { &mut self.failed } += 1;
        self.reports += settled.reports.len() as u64;
        let micros = cx.now().since(since).as_micros();
        self.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        let last = self.done + self.failed == plan.count;
        if last { self.finish(cx) } else { self.announce(cx) }
    }
}

/// Bids for every [`Chore`], at costs that jump about, and does it at once when it is granted.
#[derive(Default, Serialize, Deserialize)]
pub struct Worker {
    bids: u64,
    worked: Worked,
}

/// Asks a [`Worker`] what it has done in its life.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toil {}

/// What a [`Worker`] has done in its life.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Worked {
    /// Chores that were granted to it and done.
    pub done: u64,
    /// Those of them that were acknowledged.
    pub acknowledged: u64,
    /// Those of them that were done in vain.
    pub undone: u64,
}

impl Request for Toil {
    const NAME: &'static str = "load/toil";
    type Reply = Worked;
}

impl Agent for Worker {
    const KIND: &'static str = "worker";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Toil>();
        interests.bids::<Chore>();
    }
}

impl Answers<Toil> for Worker {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Toil) -> Answer<Toil> {
        Answer::now(self.worked)
    }
}

impl Bids<Chore> for Worker {
    fn announced(&mut self, cx: &mut Cx<'_, Self>, _: Job<Chore>, chore: Chore) -> Offer<Chore> {
        self.bids += 1;
        Offer::bid(cost(cx.id(), self.bids), chore)
    }

    fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Chore>, chore: Chore) -> Work<Chore> {
        self.worked.done += 1;
        Work::done(chore)
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Chore>, how: &Ended) {
        self.worked.acknowledged += u64::from(*how == Ended::Acknowledged);
        self.worked.undone += u64::from(matches!(how, Ended::Cancelled(_) | Ended::Aborted(_)));
    }
}

/// A cost that differs from bidder to bidder and from bid to bid.
fn cost(bidder: AgentId, bid: u64) -> i64 {
    let low = u64::try_from(bidder.0 & u128::from(u64::MAX)).unwrap_or_default();
    let mixed = (low ^ bid).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    i64::try_from(mixed).unwrap_or(i64::MAX)
}
