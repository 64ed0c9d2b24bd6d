//! Partners: agents that rely on each other, and hear what becomes of each other.
//!
//! The rules are those of [`starling_protocols::partner`], whose table says what follows from what.
//! An author names the relation once from each end, and says for each end whether an agent has one
//! such partner or many; what does not fit together does not compile:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::agent::prelude::*;
//!
//! /// What a guest calls its house.
//! struct House;
//! impl Relation for House {
//!     const NAME: &'static str = "guest/house";
//!     type Inverse = Guests;
//!     type Terms = (); // what a house says when it proposes; ours never do
//! }
//!
//! /// What a house calls its guests.
//! struct Guests;
//! impl Relation for Guests {
//!     const NAME: &'static str = "house/guests";
//!     type Inverse = House;
//!     type Terms = u32; // a guest says for how many nights it comes
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Guest { house: Option<Address>, slept_outside: bool }
//! # const HERE: Address = Address { host: HostId([9; 32]), agent: AgentId(9) };
//! impl Agent for Guest {
//!     const KIND: &'static str = "guest";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) { interests.has_one::<House>(); }
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         let house = self.house.expect("it is started with an address");
//!         self.slept_outside = cx.propose::<House>(house, &3).is_err();
//!     }
//! }
//! impl Partners<House> for Guest {
//!     type Count = One;
//!     fn parted(&mut self, _: &mut Cx<'_, Self>, _: &Partner<House>, _: Parted, _: &[Address]) {
//!         self.slept_outside = true;
//!     }
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Inn { beds: Resources }
//! impl Agent for Inn {
//!     const KIND: &'static str = "inn";
//!     const DURABILITY: Durability = Durability::WriteAhead;
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) { interests.has_many::<Guests>(); }
//! }
//! impl Partners<Guests> for Inn {
//!     type Count = Many;
//!     fn initiate(
//!         &mut self,
//!         cx: &mut Cx<'_, Self>,
//!         guest: &Partner<Guests>,
//!         _nights: Option<u32>,
//!     ) -> Consent {
//!         let Ok(bed) = self.beds.allocate(&Want::of("beds", 1), cx.now()) else {
//!             return Consent::no("there are no beds left");
//!         };
//!         // It is free again when the guest has gone, however that was.
//!         let bound = self.beds.bind(bed, guest.bond());
//!         bound.map_or_else(|why| Consent::no(why.to_string()), |()| Consent::yes())
//!     }
//!     fn resources(&mut self) -> Option<&mut Resources> { Some(&mut self.beds) }
//! }
//!
//! // An inn is started with beds.
//! let beds = Resources::new(Totals::new().scalar("beds", 12))?;
//! let mut inn = Cage::new(Inn { beds });
//! # inn.start();
//!
//! let mut guest = Cage::new(Guest { house: Some(HERE), slept_outside: false });
//! assert_eq!(guest.start().len(), 2); // the proposal, and the end of its window
//! guest.advance(std::time::Duration::from_secs(6));
//! guest.replay();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Partnerships are part of what is saved of an agent. Those of agents that
//! [outlive a crash](super::Agent::DURABILITY) do so as well; the other side keeps its own half
//! until it knows better.

mod deal;
mod dispatch;
mod told;

pub use told::{Buried, Died, Restarted};

pub(crate) use deal::read_shown;
pub(super) use deal::{knows, shown, views};
pub(super) use dispatch::{PartnerFns, show};

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use starling_protocols::{
    ident::Address,
    limits::{PARTNERS_PER_AGENT_MAX, PROPOSAL_WINDOW},
    partner::{Bond, Declined, Ends, Parted},
};

use super::{Agent, Cx, Resources};

/// One end of a relation between two agents: what an agent at this end calls those at the other.
/// Where both ends are alike, it is its own [`Inverse`](Self::Inverse).
pub trait Relation: Send + Sized + 'static {
    /// Its name, unique in the mesh, as `shard/neighbours`; see
    /// [`Request::NAME`](super::Request::NAME) for versions.
    const NAME: &'static str;

    /// What those at the other end call an agent at this one.
    type Inverse: Relation<Inverse = Self>;

    /// What a partner of this relation says when it is the one who proposes.
    type Terms: Serialize + DeserializeOwned + Send + 'static;
}

/// An agent that has partners of a relation, and what becomes of them.
pub trait Partners<R: Relation>: Agent {
    /// Whether it has [`One`] such partner or [`Many`].
    type Count: Count;

    /// A partnership is about to begin: another agent has proposed it and said this, or has agreed
    /// to what this agent has proposed. The partnership stands if this side agrees.
    fn initiate(
        &mut self,
        cx: &mut Cx<'_, Self>,
        partner: &Partner<R>,
        terms: Option<R::Terms>,
    ) -> Consent {
        let _ = (cx, partner, terms);
        Consent::yes()
    }

    /// What this agent has proposed is not to be.
    fn declined(&mut self, cx: &mut Cx<'_, Self>, partner: &Partner<R>, why: &Declined) {
        let _ = (cx, partner, why);
    }

    /// A partnership has ended. `brothers` are the partner's other partners of this relation, in an
    /// order that all of them see, this agent among them; none if nobody has told. At most
    /// [`BROTHERS_MAX`](starling_protocols::limits::BROTHERS_MAX).
    fn parted(
        &mut self,
        cx: &mut Cx<'_, Self>,
        partner: &Partner<R>,
        how: Parted,
        brothers: &[Address],
    ) {
        let _ = (cx, partner, how, brothers);
    }

    /// A partner has died and may come back. Whoever gives a time volunteers to bring it back
    /// within that, and tells the partners when it has: see [`Restarted`].
    fn died(
        &mut self,
        cx: &mut Cx<'_, Self>,
        partner: &Partner<R>,
        brothers: &[Address],
    ) -> Option<Duration> {
        let _ = (cx, partner, brothers);
        None
    }

    /// A partner has begun to live again, or lives elsewhere now: it was reached at `before`, and
    /// is at its new address.
    fn restarted(&mut self, cx: &mut Cx<'_, Self>, partner: &Partner<R>, before: Address) {
        let _ = (cx, partner, before);
    }

    /// Where the agent keeps what it sets aside for such partners: what is
    /// [bound](Resources::bind) to a partnership is released when that ends or is declined, after
    /// the agent was told.
    fn resources(&mut self) -> Option<&mut Resources> {
        None
    }
}

/// How many partners of a relation an agent has: [`One`] or [`Many`].
pub trait Count: sealed::Sealed {
    /// How many it may have at most.
    const MOST: usize;
}

/// At most one partner of a relation.
#[derive(Clone, Copy, Debug)]
pub enum One {}

/// Any number of partners of a relation, up to [`PARTNERS_PER_AGENT_MAX`] of all.
#[derive(Clone, Copy, Debug)]
pub enum Many {}

impl Count for One {
    const MOST: usize = 1;
}

impl Count for Many {
    const MOST: usize = PARTNERS_PER_AGENT_MAX;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::One {}
    impl Sealed for super::Many {}
}

/// A partner of a relation.
pub struct Partner<R> {
    bond: Bond,
    address: Address,
    of: PhantomData<fn() -> R>,
}

impl<R> Partner<R> {
    pub(super) const fn new(bond: Bond, address: Address) -> Self {
        Self { bond, address, of: PhantomData }
    }

    /// The partnership, by the name that both sides have for it.
    #[must_use]
    pub const fn bond(&self) -> Bond {
        self.bond
    }

    /// Where the partner is reached.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }
}

impl<R> Clone for Partner<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Partner<R> {}

impl<R: Relation> fmt::Debug for Partner<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partner({} of {}, {})", self.address, R::NAME, self.bond)
    }
}

/// Whether an agent agrees to a partnership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent(pub(super) Result<(), String>);

impl Consent {
    /// It does.
    #[must_use]
    pub const fn yes() -> Self {
        Self(Ok(()))
    }

    /// It does not, and why.
    #[must_use]
    pub fn no(why: impl Into<String>) -> Self {
        Self(Err(why.into()))
    }
}

/// To whom a partnership is proposed. An address alone will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposing {
    to: Address,
    instead_of: Option<Bond>,
    within: Duration,
}

impl Proposing {
    /// To this agent.
    #[must_use]
    pub const fn to(agent: Address) -> Self {
        Self { to: agent, instead_of: None, within: PROPOSAL_WINDOW }
    }

    /// It substitutes another partner of the same relation, who is left in the same step in which
    /// the new partnership begins to stand. If that never does, the other stays.
    #[must_use]
    pub fn instead_of<R>(self, partner: &Partner<R>) -> Self {
        Self { instead_of: Some(partner.bond), ..self }
    }

    /// How long to wait for an answer; six seconds otherwise. A partner that answers later is told
    /// that it is too late.
    #[must_use]
    pub const fn within(self, window: Duration) -> Self {
        Self { within: window, ..self }
    }
}

impl From<Address> for Proposing {
    fn from(agent: Address) -> Self {
        Self::to(agent)
    }
}

const fn ends<R: Relation>() -> Ends {
    use std::borrow::Cow::Borrowed;
    Ends { mine: Borrowed(R::NAME), theirs: Borrowed(<R::Inverse as Relation>::NAME) }
}

#[cfg(test)]
mod tests;
