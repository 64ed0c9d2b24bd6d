mod books;
mod buys;
mod sells;

pub use self::{
    books::{Deal, Hold, Part},
    buys::Plan,
};

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use starling_core::agent::{
    prelude::*,
    resources::{Resources, Totals},
};

use super::Rest;

/// What each trader has to sell of the scalar.
const UNITS: u64 = 100;

/// The range of which each value is sold to one only.
const PORTS: std::ops::RangeInclusive<u64> = 8000..=8011;

/// Mistakes that are kept, so that a broken mesh does not fill the memory.
const WRONG_MAX: usize = 16;

/// Buys from other traders and sells to them, by contracts: every way of taking part comes up that
/// an agent can choose, those of careless and of slow agents among them. Whoever has bought
/// something holds it for a while.
///
/// One that is `KEPT` outlives the daemon.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Trader<const KEPT: bool> {
    /// Whom it asks, itself among them.
    pub whom: Vec<Address>,
    /// How long it waits between two orders, at most, in milliseconds; it only sells when zero.
    pub pace_ms: u32,
    /// A mistake it makes on purpose.
    pub flaw: Flaw,
    /// It orders nothing any more.
    pub resting: bool,
    /// What it has to sell.
    pub store: Resources,
    /// The contracts that it has announced and that have not ended, or in which it granted.
    pub deals: BTreeMap<ContractId<Errand>, Deal>,
    /// The contracts of others that it takes part in or was granted.
    pub parts: BTreeMap<Job<Errand>, Part>,
    /// How many deals and parts have ended, each by how.
    pub ends: BTreeMap<String, u64>,
    /// What should never happen, in words.
    pub wrong: Vec<String>,
}

/// A trader that begins anew with its host.
pub type Stall = Trader<false>;

/// A trader that outlives its daemon.
pub type Shop = Trader<true>;

/// A mistake that a trader makes on purpose, for those who want to see it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// It makes none.
    #[default]
    None,
    /// It releases nothing when its bid was rejected.
    KeepsRejected,
    /// It releases nothing when what it was granted was taken back.
    KeepsCancelled,
    /// It takes it for granted that what it has done counts, when it cannot know.
    Hopes,
    /// It orders the same again when it has waited too long, and does not give up what it ordered.
    OrdersTwice,
}

/// The work: to provide something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Differs from that of every other search; those who pass it on keep it.
    pub search: u64,
    /// So much of the scalar.
    pub units: u64,
    /// So many values of the range.
    pub ports: u64,
}

/// What is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commission {
    /// The search in which the bid was made.
    pub search: u64,
    /// [`Deal::key`] of the contract in which it is granted.
    pub deal: u64,
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The deal that was granted.
    pub deal: u64,
    /// [`Part::key`] of who has done it.
    pub part: u64,
}

impl Contract for Errand {
    const NAME: &'static str = "sim/errand";
    /// [`Part::key`] of who bids.
    type Bid = u64;
    type Grant = Commission;
    type Report = Receipt;
    const WINDOWS: Windows = Windows {
        bids: Duration::from_secs(4),
        decision: Duration::from_secs(3),
        reports: Duration::from_secs(8),
    };
}

/// What a trader waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// It is time for the next order.
    Order,
    /// It is time to grant something.
    Decide(ContractId<Errand>),
    /// It has lost patience.
    LosePatience(ContractId<Errand>),
    /// It has thought about a bid for long enough.
    Bid(Job<Errand>),
    /// It would rather not have bid.
    Withdraw(Job<Errand>),
    /// The work is done, if it was possible.
    Finish(Job<Errand>, bool),
    /// What was sold comes back.
    Return(Job<Errand>),
}

impl<const KEPT: bool> Trader<KEPT> {
    /// One that trades with these.
    ///
    /// # Panics
    /// Never: what it has to sell has good names.
    #[must_use]
    pub fn new(whom: Vec<Address>, pace_ms: u32, flaw: Flaw) -> Self {
        let totals = Totals::new().scalar("units", UNITS).range("ports", PORTS);
        let mut store = Resources::new(totals).expect("good names and a good range");
        // Shorter than some bids stand.
        store.set_window(Duration::from_millis(5500));
        Self { whom, pace_ms, flaw, store, ..Self::default() }
    }

    /// Its kind.
    const NAME: &'static str = if KEPT { "sim-shop" } else { "sim-stall" };

    fn pause(&self, cx: &mut Cx<'_, Self>) {
        if self.pace_ms > 0 {
            let pause = cx.entropy().jitter(Duration::from_millis(u64::from(self.pace_ms)));
            cx.after(pause, Then::Order);
        }
    }

    fn complain(&mut self, cx: &Cx<'_, Self>, what: &str) {
        if self.wrong.len() < WRONG_MAX {
            let at = cx.now().as_nanos() / 1_000_000;
            self.wrong.push(format!("{what} ({at} ms by its host's clock)"));
        }
    }
}

impl<const KEPT: bool> Agent for Trader<KEPT> {
    const KIND: &'static str = Self::NAME;
    const DURABILITY: Durability = if KEPT { Durability::WriteAhead } else { Durability::History };
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
        interests.bids_in::<Errand>(Scope::Mesh);
        interests.manages::<Errand>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.pause(cx);
    }
}

impl<const KEPT: bool> Answers<Rest> for Trader<KEPT> {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        self.audit(cx);
        Answer::now(self.ends.values().sum())
    }
}

impl<const KEPT: bool> Continuation<Trader<KEPT>> for Then {
    fn resume(self, trader: &mut Trader<KEPT>, cx: &mut Cx<'_, Trader<KEPT>>) {
        match self {
            Self::Order if trader.resting => {}
            Self::Order => {
                trader.order(cx);
                trader.pause(cx);
            }
            Self::Decide(contract) => trader.grant(cx, contract),
            Self::LosePatience(contract) => trader.lose_patience(cx, contract),
            Self::Bid(job) => trader.bid_late(cx, job),
            Self::Withdraw(job) => trader.withdraw(cx, job),
            Self::Finish(job, possible) => trader.finish(cx, job, possible),
            Self::Return(job) => trader.take_back(cx, job),
        }
        trader.audit(cx);
    }
}

#[cfg(test)]
mod tests;
