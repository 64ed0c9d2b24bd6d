//! Agents that give a simulated mesh something to do, and remember what came of it. Ordinary
//! agents, written on the SDK like everybody else's.

mod caller;
mod crier;
mod till;
mod trader;
mod worker;

pub use self::{
    caller::{Caller, Came, Rest},
    crier::{Crier, Stream, Whisper, Word},
    till::{Balance, Deposit, Money, Till},
    trader::{Commission, Deal, Errand, Flaw, Hold, Part, Plan, Receipt, Shop, Stall, Trader},
    worker::{Do, How, Worker},
};

use starling_core::{
    agent::{Agent, Init},
    engine::{Kinds, Start},
};
use starling_protocols::ident::AgentId;

/// Where the worker of each host lives. Below the ids of usual agents, so that it begins anew
/// with its host.
pub const WORKER: AgentId = AgentId(900);

/// Where the caller of each host lives.
pub const CALLER: AgentId = AgentId(901);

/// Where the crier of each host lives.
pub const CRIER: AgentId = AgentId(902);

/// Where the till of each host lives. It outlives the daemon.
pub const TILL: AgentId = AgentId(903);

/// Where the trader of each host lives that begins anew with it.
pub const STALL: AgentId = AgentId(904);

/// Where the trader of each host lives that outlives the daemon.
pub const SHOP: AgentId = AgentId(905);

/// The kinds of all of them.
#[must_use]
pub fn kinds() -> Kinds {
    let kinds = Kinds::new().kind::<Worker>().kind::<Caller>().kind::<Crier>().kind::<Till>();
    kinds.kind::<Stall>().kind::<Shop>()
}

/// How an agent with this state is started.
///
/// # Panics
/// Never: the states of agents have a form in JSON.
#[must_use]
pub fn start<A: Agent>(state: &A) -> Start {
    let state = serde_json::to_string(state).expect("a state has a form in JSON");
    Start { kind: A::KIND.into(), name: None, init: Init::Json(state) }
}
