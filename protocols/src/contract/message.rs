use std::{borrow::Cow, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::ident::Address;

/// Tells one search through the mesh from all others, however many managers it passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Traversal(pub u128);

impl fmt::Display for Traversal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Names a bid: who made it, and its number among that agent's bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BidId {
    /// Who bids. A bid that was handed over keeps its first bidder.
    pub bidder: Address,
    /// The bidder's number for it.
    pub number: u64,
}

/// A bid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// Whose.
    pub id: BidId,
    /// What it costs: the least is the best.
    pub cost: i64,
    /// The rest of it, as the contract's type encodes it.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Work that is announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement<'a> {
    /// The search it belongs to.
    pub traversal: Traversal,
    /// The manager's number for the contract.
    pub contract: u64,
    /// How far from the first manager it has come: zero for those it asks itself.
    pub level: u8,
    /// How far it may go; `None`: as far as there is anybody.
    pub reach: Option<u8>,
    /// What is left of the time for bids.
    pub left: Duration,
    /// How long a bid has to stand: what is left until the first manager of the search has
    /// decided, with something for the way back.
    pub stands: Duration,
    /// The work, as the contract's type encodes it.
    #[serde(borrow, with = "serde_bytes")]
    pub body: Cow<'a, [u8]>,
}

/// What the two ask each other as a request, so that who asks learns at once when there is no
/// answer to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask<'a> {
    /// Whether it will bid. The answer is [`Reply::Bid`], [`Reply::Refused`] or
    /// [`Reply::Duplicate`].
    #[serde(borrow)]
    Announce(Announcement<'a>),
    /// To do the work that it has bid for. The answer is [`Reply::Report`] or [`Reply::Defect`].
    Grant {
        /// The bidder's number of the bid.
        bid: u64,
        /// The manager's number for the contract.
        contract: u64,
        /// What is left of the time for the report.
        left: Duration,
        /// What is granted, as the contract's type encodes it.
        #[serde(borrow, with = "serde_bytes")]
        body: Cow<'a, [u8]>,
    },
    /// A contractor that has reported and heard nothing since asks its manager what has become of
    /// the contract. The answer is [`Reply::Acknowledged`], [`Reply::Cancelled`],
    /// [`Reply::Pending`] or [`Reply::Forgotten`].
    Settle {
        /// The manager's number for the contract.
        contract: u64,
        /// The bidder's number of the bid.
        bid: u64,
    },
}

/// What is answered to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// It bids, or hands over the bid of another.
    Bid(Bid),
    /// It does not bid. `further` says whether the search stopped here for its reach alone.
    Refused {
        /// Whether there are others behind it that were not asked.
        further: bool,
    },
    /// The same search has come to it by another way.
    Duplicate,
    /// It has done the work.
    Report(#[serde(borrow, with = "serde_bytes")] Cow<'a, [u8]>),
    /// It cannot do the work after all, and why.
    Defect(#[serde(borrow)] Cow<'a, str>),
    /// No such bid stands there, so that nothing was granted.
    NoBid,
    /// The contract is completed.
    Acknowledged,
    /// The contract has ended otherwise, and why.
    Cancelled(#[serde(borrow)] Cow<'a, str>),
    /// The contract is not over.
    Pending {
        /// What is left of the time for the reports of others.
        left: Duration,
    },
    /// There is no such contract, as far as the manager remembers.
    Forgotten,
}

/// What the two tell each other without waiting for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tell<'a> {
    /// Work is announced to all who listen.
    #[serde(borrow)]
    Announce(Announcement<'a>),
    /// A bid for work that was announced to all.
    Bid {
        /// The manager's number for the contract.
        contract: u64,
        /// The bid.
        bid: Bid,
    },
    /// A bid is taken back, or work that was done for it, because who bid is no longer there.
    Withdraw {
        /// The manager's number for the contract.
        contract: u64,
        /// The bidder's number of the bid.
        bid: u64,
        /// Why, in words.
        #[serde(borrow)]
        why: Cow<'a, str>,
    },
    /// A bid is not taken.
    Reject {
        /// The bidder's number of the bid.
        bid: u64,
    },
    /// What was granted is taken back, and why.
    Cancel {
        /// The bidder's number of the bid.
        bid: u64,
        /// Why, in words.
        #[serde(borrow)]
        why: Cow<'a, str>,
    },
    /// All reports have come: the contract is completed.
    Acknowledge {
        /// The bidder's number of the bid.
        bid: u64,
    },
}
