//! What an agent is, and all that an author needs.
//!
//! An agent is a deterministic state machine: the same state, input, time and seed give the same
//! new state and the same effects. Handlers are synchronous; what would be an `await` elsewhere
//! is a *continuation value* here: typed, serialisable data about what the agent waits for, which
//! comes back to it with the answer. So an agent's state can be saved between any two inputs.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::agent::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct CountHeads;
//! impl Request for CountHeads {
//!     const NAME: &'static str = "chat/count-heads";
//!     type Reply = u32;
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Room {
//!     heads: u32,
//! }
//!
//! impl Agent for Room {
//!     const KIND: &'static str = "room";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) {
//!         interests.answers::<CountHeads>();
//!     }
//! }
//!
//! impl Answers<CountHeads> for Room {
//!     fn answer(&mut self, _cx: &mut Cx<'_, Self>, _: CountHeads) -> Answer<CountHeads> {
//!         Answer::now(self.heads)
//!     }
//! }
//!
//! let mut cage = Cage::new(Room { heads: 3 });
//! assert_eq!(cage.ask(CountHeads), [Effect::reply(&3u32)]);
//! cage.replay();
//! ```
//!
//! Beyond requests and notifications agents negotiate: see [`Contract`] for work that is announced,
//! bid for and granted, [`partners`] for two that rely on each other, [`Problem`] for a group of
//! which one acts, [`resources`] for what can be allocated, [`tasks`] for what is done over time,
//! [`Cx::discover`] to find others, [`ConfiguredBy`] for what people
//! set for all agents of a kind, and [`Cx::update`] to change documents.
//!
//! The wrong message to the wrong agent, a missing handler, a reply of the wrong type and a
//! continuation that nobody handles do not compile:
//!
//! ```compile_fail,E0277
//! # use serde::{Deserialize, Serialize};
//! # use starling_core::agent::prelude::*;
//! # #[derive(Serialize, Deserialize)]
//! # struct CountHeads;
//! # impl Request for CountHeads { const NAME: &'static str = "n"; type Reply = u32; }
//! # #[derive(Default, Serialize, Deserialize)]
//! # struct Room;
//! impl Agent for Room {
//!     const KIND: &'static str = "room";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) {
//!         interests.answers::<CountHeads>(); // Room does not answer CountHeads
//!     }
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use serde::{Deserialize, Serialize};
//! # use starling_core::agent::prelude::*;
//! # #[derive(Serialize, Deserialize)]
//! # struct CountHeads;
//! # impl Request for CountHeads { const NAME: &'static str = "n"; type Reply = u32; }
//! # #[derive(Default, Serialize, Deserialize)]
//! # struct Room;
//! # impl Agent for Room {
//! #     const KIND: &'static str = "room";
//! #     type Then = Never;
//! #     fn interests(interests: &mut Interests<Self>) { interests.answers::<CountHeads>(); }
//! # }
//! impl Answers<CountHeads> for Room {
//!     fn answer(&mut self, _cx: &mut Cx<'_, Self>, _: CountHeads) -> Answer<CountHeads> {
//!         Answer::now("three") // the reply is a u32
//!     }
//! }
//! ```
//!
//! ```compile_fail,E0277
//! # use serde::{Deserialize, Serialize};
//! # use starling_core::agent::prelude::*;
//! # #[derive(Serialize, Deserialize)]
//! # struct CountHeads;
//! # impl Request for CountHeads { const NAME: &'static str = "n"; type Reply = u32; }
//! # #[derive(Default, Serialize, Deserialize)]
//! # struct Room;
//! #[derive(Serialize, Deserialize)]
//! enum Then { Counted(Await<CountHeads>) }
//! impl Agent for Room {
//!     const KIND: &'static str = "room";
//!     type Then = Then; // nobody says how it goes on: there is no `impl Continuation`
//!     fn interests(_: &mut Interests<Self>) {}
//! }
//! ```
//!
//! ```compile_fail,E0277
//! # use serde::{Deserialize, Serialize};
//! # use starling_core::agent::prelude::*;
//! # #[derive(Serialize, Deserialize)]
//! # struct CountHeads;
//! # impl Request for CountHeads { const NAME: &'static str = "n"; type Reply = u32; }
//! # #[derive(Default, Serialize, Deserialize)]
//! # struct Room;
//! # impl Agent for Room {
//! #     const KIND: &'static str = "room";
//! #     type Then = Never;
//! #     fn interests(_: &mut Interests<Self>) {}
//! # }
//! let mut cage = Cage::new(Room);
//! cage.ask(CountHeads); // Room does not answer it
//! ```

mod ball;
mod bytes;
mod cage;
mod call_error;
mod configured;
mod contract;
mod cx;
mod dealings;
mod discover;
mod effect;
pub mod expiring;
mod input;
mod interests;
mod message;
pub mod partners;
mod player;
pub mod resources;
mod solve;
mod standing;
pub mod tasks;
mod updates;
mod waits;
mod watch;

pub(crate) use ball::{AnyBall, AnyKind, Kind, Shown, WaitView};
pub use ball::{Handled, Init, Rejection};
pub use cage::Cage;
pub use call_error::CallError;
pub use configured::ConfiguredBy;
pub(crate) use configured::{CONFIGURED, Configuration, body as configuration_body};
pub use contract::{BidOf, Bids, Contract, ContractId, Job, Manages, Offer, Settled, To, Work};
pub use cx::Cx;
pub(crate) use cx::Turn;
pub use discover::{Discover, Found};
pub use effect::{Effect, Level};
pub use expiring::Expiring;
pub use input::{Input, TakenUp};
pub use interests::{BodyOf, Interests};
pub use message::{
    Answer, Answers, Await, Collects, Dialog, Notification, Outcome, ReplyTo, Request, Topic,
};
pub use partners::{
    Buried, Consent, Died, Many, One, Partner, Partners, Proposing, Relation, Restarted,
};
pub use player::{Difference, Differs, PlayError, Side};
pub(crate) use player::{Player, record_effects};
pub use resources::Resources;
pub use solve::{Problem, Solution, Solved, Solves, Solving};
pub(crate) use standing::Standing;
pub use tasks::{Events, Periodic, Retry, Singleton};
pub(crate) use updates::{NotApplied, Updating};
pub use updates::{UpdateDocument, UpdateFailed, Updated};

pub(crate) use waits::What;
pub use waits::{Task, WaitId};
pub use watch::Ping;

use serde::{Serialize, de::DeserializeOwned};
use starling_protocols::{
    exchange::Failure,
    ident::{Address, HostId},
    journal::Durability,
    limits::MAILBOX_MESSAGES_MAX,
};

/// Everything an author usually needs, to be imported whole.
pub mod prelude {
    pub use starling_protocols::{
        contract::{BidId, End, Ended, Windows},
        exchange::{Delivery, Failure},
        ident::{Address, AgentId, HostId},
        interest::{Scope, ServiceError},
        journal::Durability,
        limits::DISCOVERY_WINDOW,
        partner::{Bond, Declined, Parted, ProposeError},
        solver::{Patience, Unsolved},
        time::{Time, WallTime},
    };

    pub use super::{
        Agent, Answer, Answers, Await, BidOf, Bids, Cage, CallError, Collects, ConfiguredBy,
        Consent, Continuation, Contract, ContractId, Cx, Discover, Effect, Events, Expiring, Found,
        Interests, Job, Level, Manages, Many, Never, Notification, Offer, One, Outcome, Partner,
        Partners, Periodic, Problem, Proposing, Relation, ReplyTo, Request, Resources, Retry,
        Settled, Singleton, Solution, Solved, Solves, Solving, TakenUp, Task, To, Topic,
        Undelivered, WaitId, Work,
        resources::{Totals, Want},
    };
}

/// An agent: its state is the value itself.
///
/// `Default` is the state of an agent that was started without one. The state must be all there
/// is: no clock, file, global or unordered iteration may decide anything, or replay will differ.
pub trait Agent: Default + Serialize + DeserializeOwned + Send + Sized + 'static {
    /// The name of the kind, unique among the kinds of a host: lower case, with hyphens.
    const KIND: &'static str;

    /// The version of the kind's code. Recorded, so that a replay that differs can say which version
    /// made the recording: count it up when the behaviour changes.
    const VERSION: u32 = 1;

    /// How much of an agent of this kind outlives a crash of its daemon: by default, nothing.
    const DURABILITY: Durability = Durability::History;

    /// Whether each agent of this kind has a descriptor: a document that all hosts have a copy of,
    /// and that outlives the agent's host. It says of what kind the agent is and where it lives,
    /// and what the agent tells by [`Cx::describe`]. It costs each host about a kilobyte, and some
    /// tenths of a millisecond when the agent starts: not for kinds of thousands of agents that
    /// nobody looks for.
    const DESCRIBED: bool = true;

    /// How many messages may wait for one agent of this kind. Further requests are refused as
    /// busy, further notifications are dropped and counted.
    const MAILBOX: u32 = MAILBOX_MESSAGES_MAX;

    /// What an agent of this kind can be waiting for: an enum whose variants hold what it must
    /// remember until then, or [`Never`].
    type Then: Continuation<Self>;

    /// Declares what agents of this kind answer and listen to.
    fn interests(interests: &mut Interests<Self>);

    /// The first input of an agent's life.
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        let _ = cx;
    }

    /// The agent is back, in the state it had when its host went down: the first input of a
    /// [`Durability::WriteAhead`] agent in another life of its host. What it had asked is answered
    /// with [`Failure::Gone`] after this, its timers
    /// and tasks go on.
    fn recovered(&mut self, cx: &mut Cx<'_, Self>) {
        let _ = cx;
    }

    /// A durable notification of this agent's could not be delivered: there is no such agent, or it
    /// does not understand it, or too many wait for that host.
    fn undelivered(&mut self, cx: &mut Cx<'_, Self>, what: &Undelivered<'_>) {
        let _ = (cx, what);
    }

    /// The agent is given to another host, and this is its last input here: what it
    /// [describes](Cx::describe) now is what it will know there, of all that it knows. What it waits
    /// for, it waits for in vain. If nothing comes of it, because this host cannot write it down,
    /// the agent lives on here.
    fn moving(&mut self, cx: &mut Cx<'_, Self>, to: HostId) {
        let _ = (cx, to);
    }

    /// The first input of an agent that lived on another host before and is taken up by this one,
    /// in the kind's default state: it gets back what it had [described](Cx::describe). Its partners
    /// stand, as far as they are in its descriptor, and are told where it lives now. Otherwise it is
    /// as new: by default, this is the same as [`started`](Self::started).
    fn taken_up(&mut self, cx: &mut Cx<'_, Self>, past: &TakenUp) {
        let _ = past;
        self.started(cx);
    }

    /// What the agent shares out: it is shown in its descriptor, with who holds what of it, a second
    /// after it has changed. By default, nothing.
    fn sharing(&self) -> Option<&Resources> {
        None
    }

    /// The last input, when the agent is stopped in good order. Requests made here are not
    /// answered any more; notifications go out.
    fn stopping(&mut self, cx: &mut Cx<'_, Self>) {
        let _ = cx;
    }
}

/// A durable notification that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered<'a> {
    /// To whom it was.
    pub to: Address,
    /// Its name.
    pub name: &'a str,
    /// Why it was not delivered.
    pub why: &'a Failure,
}

/// What an agent was waiting for has come: a reply, a time, the end of a task.
pub trait Continuation<A: Agent>: Serialize + DeserializeOwned + Send + 'static {
    /// Goes on where the agent stopped waiting.
    fn resume(self, agent: &mut A, cx: &mut Cx<'_, A>);
}

/// The continuation of agents that never wait for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Never {}

impl<A: Agent> Continuation<A> for Never {
    fn resume(self, _: &mut A, _: &mut Cx<'_, A>) {
        match self {}
    }
}

#[cfg(test)]
mod tests;
