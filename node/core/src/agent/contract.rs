//! Contracts between agents: one announces work, others bid, some are granted it and report.
//!
//! The rules are those of [`starling_protocols::contract`], whose tables say what follows from
//! what. An author writes the work as a type, and a handler of a few lines for each role:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::agent::prelude::*;
//!
//! /// Paint a fence of so many metres.
//! #[derive(Serialize, Deserialize)]
//! struct Paint(u32);
//! impl Contract for Paint {
//!     const NAME: &'static str = "village/paint";
//!     type Bid = String;
//!     type Grant = ();
//!     type Report = u32;
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Painter { busy: bool }
//! impl Agent for Painter {
//!     const KIND: &'static str = "painter";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) {
//!         interests.bids_in::<Paint>(Scope::Mesh);
//!     }
//! }
//! impl Bids<Paint> for Painter {
//!     fn announced(&mut self, _: &mut Cx<'_, Self>, _: Job<Paint>, work: Paint) -> Offer<Paint> {
//!         if self.busy { Offer::refuse() } else { Offer::bid(i64::from(work.0) * 3, "in red".into()) }
//!     }
//!     fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Paint>, (): ()) -> Work<Paint> {
//!         self.busy = true;
//!         Work::done(7)
//!     }
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Farmer { metres: u32 }
//! impl Agent for Farmer {
//!     const KIND: &'static str = "farmer";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) { interests.manages::<Paint>(); }
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) { cx.announce(&Paint(20), To::mesh()); }
//! }
//! impl Manages<Paint> for Farmer {
//!     fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Paint>) {
//!         cx.grant_cheapest(contract, 1, &());
//!     }
//!     fn ended(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Paint>, settled: Settled<Paint>) {
//!         self.metres += settled.reports.iter().map(|(_, metres)| metres).sum::<u32>();
//!     }
//! }
//!
//! let mut farmer = Cage::new(Farmer::default());
//! assert_eq!(farmer.start().len(), 2); // the announcement, and the end of its window
//! farmer.replay();
//! ```

mod dispatch;
mod manage;
mod past;
mod receive;
mod rows;
mod work;

pub(super) use dispatch::{ContractFns, show_ask, show_reply, show_tell};
pub(super) use past::PastContracts;
pub(super) use receive::Part;
pub(super) use rows::{Announced, JobRow, Managed};

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use starling_protocols::{
    contract::{BidId, End, Ended, Windows},
    ident::Address,
    interest::Scope,
};

use super::{Agent, Cx};

/// Work that one agent announces and others bid for. The value is what is announced.
pub trait Contract: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, unique in the mesh; see [`Request::NAME`](super::Request::NAME) for versions.
    const NAME: &'static str;

    /// What a bid says beside its cost.
    type Bid: Serialize + DeserializeOwned + Send + 'static;

    /// What who is granted the work is told.
    type Grant: Serialize + DeserializeOwned + Send + 'static;

    /// What who has done it reports.
    type Report: Serialize + DeserializeOwned + Send + 'static;

    /// How long each side waits; ten seconds each by default.
    const WINDOWS: Windows = Windows::DEFAULT;
}

/// An agent that bids for work of one sort.
pub trait Bids<C: Contract>: Agent {
    /// How many contracts of this sort it takes part in at a time. Further announcements wait, for
    /// as long as their window for bids lasts.
    const CONCURRENCY: usize = usize::MAX;

    /// Work is announced: bids, refuses, or decides later.
    fn announced(&mut self, cx: &mut Cx<'_, Self>, job: Job<C>, work: C) -> Offer<C>;

    /// Its bid was taken: does the work now, cannot, or reports later.
    fn granted(&mut self, cx: &mut Cx<'_, Self>, job: Job<C>, grant: C::Grant) -> Work<C>;

    /// The contract has ended for it. [`Ended::undoes`] says whether what it had done or set aside
    /// for it is to be undone. At [`Ended::Aborted`] it cannot know what its manager believes.
    fn ended(&mut self, cx: &mut Cx<'_, Self>, job: Job<C>, how: &Ended) {
        let _ = (cx, job, how);
    }
}

/// An agent that announces work of one sort.
pub trait Manages<C: Contract>: Agent {
    /// A bid has come. It may be granted or rejected at once; usually it waits for the others.
    fn bid(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<C>, bid: &BidOf<C>) {
        let _ = (cx, contract, bid);
    }

    /// A bid does not stand any more: its bidder took it back or, when it was granted, knew nothing
    /// of it, as one does in whose name another has bid. Nothing needs to be done: the contract goes
    /// on without it, and ends [partial](End::Partial) when it was granted beside others that are
    /// done. Who wants all or nothing [gives it up](Cx::give_up) here.
    fn bid_gone(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<C>, bid: BidId) {
        let _ = (cx, contract, bid);
    }

    /// No more bids come, and at least one stands: it is time to [`grant`](Cx::grant).
    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<C>);

    /// The contract has ended.
    fn ended(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<C>, settled: Settled<C>);
}

/// How a contract ended for who announced it.
pub struct Settled<C: Contract> {
    /// How.
    pub end: End,
    /// What was reported, where it was [completed](End::Completed), at least in
    /// [part](End::Partial): by whom, and what.
    pub reports: Vec<(BidId, C::Report)>,
    /// How many bids had come.
    pub bids: usize,
}

/// A bid that stands.
pub struct BidOf<C: Contract> {
    /// Whose.
    pub id: BidId,
    /// What it costs.
    pub cost: i64,
    /// What else it says.
    pub bid: C::Bid,
}

/// To whom work is announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct To {
    agents: Vec<Address>,
    scope: Option<Scope>,
    reach: Option<u8>,
}

impl To {
    /// To one agent.
    #[must_use]
    pub fn agent(agent: Address) -> Self {
        Self::agents([agent])
    }

    /// To these agents. All of them are expected to answer; with the last answer no more bids are
    /// waited for.
    #[must_use]
    pub fn agents(agents: impl IntoIterator<Item = Address>) -> Self {
        Self { agents: agents.into_iter().collect(), ..Self::default() }
    }

    /// To all agents of the mesh that bid for such work in it. How many there are is not known: the
    /// window for bids lasts to its end.
    #[must_use]
    pub fn mesh() -> Self {
        Self { scope: Some(Scope::Mesh), ..Self::default() }
    }

    /// To all agents of the shard that bid for such work in it.
    #[must_use]
    pub fn shard() -> Self {
        Self { scope: Some(Scope::Shard), ..Self::default() }
    }

    /// Those who are asked may ask others for this contract, and so on, but no farther than so many
    /// steps: with zero, nobody else is asked. Without it the search goes as far as there are
    /// agents.
    #[must_use]
    pub fn reach(self, steps: u8) -> Self {
        Self { reach: Some(steps), ..self }
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<C> {
            pub(super) number: u64,
            of: PhantomData<fn() -> C>,
        }

        /// As sixteen hexadecimal digits in JSON, whose numbers lose digits.
        impl<C> Serialize for $name<C> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    rows::hex(self.number).serialize(serializer)
                } else {
                    self.number.serialize(serializer)
                }
            }
        }

        impl<'de, C> Deserialize<'de> for $name<C> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return u64::deserialize(deserializer).map(Self::new);
                }
                let digits = String::deserialize(deserializer)?;
                u64::from_str_radix(&digits, 16).map(Self::new).map_err(D::Error::custom)
            }
        }

        impl<C> $name<C> {
            pub(super) const fn new(number: u64) -> Self {
                Self { number, of: PhantomData }
            }

            /// Its number: a random one, so that whoever names it has been told it.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.number
            }
        }

        impl<C> Clone for $name<C> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<C> Copy for $name<C> {}

        impl<C> PartialEq for $name<C> {
            fn eq(&self, other: &Self) -> bool {
                self.number == other.number
            }
        }

        impl<C> Eq for $name<C> {}

        impl<C> PartialOrd for $name<C> {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl<C> Ord for $name<C> {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.number.cmp(&other.number)
            }
        }

        impl<C: Contract> fmt::Debug for $name<C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:016x} of {})", stringify!($name), self.number, C::NAME)
            }
        }
    };
}

handle! {
    /// A contract that an agent has announced. Part of its state, if it wants to remember it.
    ContractId
}

handle! {
    /// An agent's part in a contract of another. Part of its state, if it wants to remember it.
    Job
}

/// What an agent answers to an announcement.
pub struct Offer<C: Contract>(pub(super) Offered<C::Bid>);

pub(super) enum Offered<B> {
    Bid(i64, B),
    Refuse,
    Later,
}

impl<C: Contract> Offer<C> {
    /// It bids. The least cost is the best.
    #[must_use]
    pub const fn bid(cost: i64, bid: C::Bid) -> Self {
        Self(Offered::Bid(cost, bid))
    }

    /// It does not bid.
    #[must_use]
    pub const fn refuse() -> Self {
        Self(Offered::Refuse)
    }

    /// It will say so later, by [`Cx::bid`], [`Cx::hand_over`] or [`Cx::refuse_job`]: for example
    /// when it has [asked others](Cx::announce_for).
    #[must_use]
    pub const fn later() -> Self {
        Self(Offered::Later)
    }
}

/// What comes of work that was granted.
pub struct Work<C: Contract>(pub(super) Worked<C::Report>);

pub(super) enum Worked<R> {
    Done(R),
    Defect(String),
    Later,
}

impl<C: Contract> Work<C> {
    /// It is done.
    #[must_use]
    pub const fn done(report: C::Report) -> Self {
        Self(Worked::Done(report))
    }

    /// It cannot be done, and why.
    #[must_use]
    pub fn defect(why: impl Into<String>) -> Self {
        Self(Worked::Defect(why.into()))
    }

    /// It takes time: [`Cx::complete`] or [`Cx::defect`] follows.
    #[must_use]
    pub const fn later() -> Self {
        Self(Worked::Later)
    }
}
