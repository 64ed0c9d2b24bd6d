//! Agents that give a simulated mesh something to do, and remember what came of it. Ordinary
//! agents, written on the SDK like everybody else's.

mod caller;
mod crier;
mod fixer;
mod neighbour;
mod post;
mod till;
mod trader;
mod worker;

pub use self::{
    caller::{Caller, Came, Rest},
    crier::{Crier, Stream, Whisper, Word},
    fixer::{Act, Alarm, Breakage, Case, Fixer, Slip, Smith, Tinker},
    neighbour::{Beside, Cottage, Farm, Mistake, Neighbour, Over, Side, Tie, Twin, Under},
    post::{Landmark, Post, Signpost},
    till::{Balance, Deposit, Money, Till},
    trader::{Commission, Deal, Errand, Flaw, Hold, Part, Plan, Receipt, Shop, Stall, Trader},
    worker::{Do, How, Worker},
};

use starling_core::{
    agent::{Agent, Init},
    engine::{Kinds, Start},
};
use starling_protocols::ident::AgentId;

use crate::faults::HostNo;

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

/// Where the fixer of each host lives that begins anew with it.
pub const TINKER: AgentId = AgentId(906);

/// Where the fixer of each host lives that outlives the daemon.
pub const SMITH: AgentId = AgentId(907);

/// How many hosts can have neighbours: each neighbour has a reserved id of its own.
pub const NEIGHBOUR_HOSTS_MAX: u32 = 64;

/// Where the neighbours of all hosts live.
pub const NEIGHBOURS: [AgentId; 2 * NEIGHBOUR_HOSTS_MAX as usize] = {
    let mut all = [AgentId::OUTSIDE; 2 * NEIGHBOUR_HOSTS_MAX as usize];
    let mut number = 0;
    while number < NEIGHBOUR_HOSTS_MAX {
        all[2 * number as usize] = cottage_of(HostNo(number));
        all[2 * number as usize + 1] = farm_of(HostNo(number));
        number += 1;
    }
    all
};

/// Where the neighbour of a host lives that begins anew with it.
#[must_use]
pub const fn cottage_of(host: HostNo) -> AgentId {
    AgentId(256 + 2 * host.0 as u128)
}

/// Where the neighbour of a host lives that outlives the daemon.
#[must_use]
pub const fn farm_of(host: HostNo) -> AgentId {
    AgentId(257 + 2 * host.0 as u128)
}

/// The kinds of all of them.
#[must_use]
pub fn kinds() -> Kinds {
    let kinds = Kinds::new().kind::<Worker>().kind::<Caller>().kind::<Crier>().kind::<Till>();
    kinds
        .kind::<Stall>()
        .kind::<Shop>()
        .kind::<Cottage>()
        .kind::<Farm>()
        .kind::<Tinker>()
        .kind::<Smith>()
        .kind::<Signpost>()
        .kind::<Landmark>()
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
