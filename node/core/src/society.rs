//! The built-in agents, written on the same SDK as everybody else's: the host agent, which runs
//! on every host, and a few small kinds to try things with.

mod counter;
mod echo;
mod guest;
mod host;
mod pick;

pub use counter::{Add, Changed, Counter, Read};
pub use echo::{Echo, Said, Say};
pub use guest::{Arrived, Greet, Guest, Talk};
pub use host::{
    AgentsHere, DocumentHere, GiveHere, Host, InspectHere, KindsHere, MisfitHere, ProvidersHere,
    StartHere, StopHere, TakeUpHere, TypesHere,
};
pub use pick::{PickError, Place, pick_agent, pick_host};

use starling_protocols::ident::AgentId;

use crate::{
    agent::Agent,
    engine::{Kinds, Start},
};

/// The agents that run on every host from the beginning.
#[must_use]
pub fn residents() -> Vec<(AgentId, Start)> {
    let host = Start { kind: Host::KIND.to_owned(), ..Start::default() };
    vec![(AgentId::HOST, host)]
}

/// Adds the kinds of the residents.
#[must_use]
pub fn with_residents(kinds: Kinds) -> Kinds {
    kinds.kind::<Host>()
}

/// The small kinds that the stock daemon carries.
#[must_use]
pub fn stock() -> Kinds {
    Kinds::new().kind::<Echo>().kind::<Counter>().kind::<Guest>()
}
