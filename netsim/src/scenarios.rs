//! The scenarios that come with the simulator.

mod crashes;
mod dialogs;
mod documents;
mod durable;
mod market;
mod membership;
mod mixed;
mod moves;
mod partners;
mod problems;
mod quiet;
mod topics;

pub use self::{
    crashes::Crashes, dialogs::Dialogs, documents::Documents, durable::Durable, market::Market,
    membership::Membership, mixed::Mixed, moves::Moves, partners::Partners, problems::Problems,
    quiet::Quiet, topics::Topics,
};

use std::time::Duration;

use serde_json::json;
use starling_core::engine::{Kinds, Start};
use starling_protocols::ident::{Address, AgentId};

use crate::{
    faults::{FaultKind, HostNo},
    sim::Sim,
    workload::{self, CALLER, CRIER, Caller, Crier, TILL, Till, WORKER, Worker},
};

/// Everything that can happen to hosts and the network between them.
const EVERYTHING: &[FaultKind] = FaultKind::without_disks();

/// These kinds of fault but those of gossip, of which there are two.
const fn without_gossip<const KINDS: usize>(of: &[FaultKind]) -> [FaultKind; KINDS] {
    let mut kinds = [FaultKind::Loss; KINDS];
    let (mut from, mut to) = (0, 0);
    while from < of.len() {
        if !matches!(of[from], FaultKind::GossipLoss | FaultKind::GossipDuplicates) {
            kinds[to] = of[from];
            to += 1;
        }
        from += 1;
    }
    kinds
}

/// What each till has at first.
const FIRST_BALANCE: i64 = 10_000;

/// As long as anybody might take to answer.
const REST_WITHIN: Duration = Duration::from_secs(20);

/// Adds hosts of one mesh, each with these residents, and starts them.
fn start_members(
    sim: &mut Sim,
    hosts: u32,
    kinds: &Kinds,
    residents: impl Fn(HostNo) -> Vec<(AgentId, Start)>,
) {
    for number in 0..hosts {
        let residents = residents(HostNo(number));
        sim.add_host(&format!("host-{number}"), kinds.clone(), residents);
    }
    sim.found(HostNo(0));
    sim.admit_all();
    sim.hosts().for_each(|host| sim.start(host));
}

/// The workers of all hosts: ids are decided by the seed, so that they are known before the hosts
/// are there.
fn workers(sim: &Sim, hosts: u32) -> Vec<Address> {
    let all = (0..hosts).map(HostNo);
    all.map(|host| Address { host: sim.future_id(host), agent: WORKER }).collect()
}

fn caller(whom: &[Address], pace_ms: u32) -> (AgentId, Start) {
    let caller = Caller { whom: whom.to_vec(), pace_ms, ..Caller::default() };
    (CALLER, workload::start(&caller))
}

fn worker() -> (AgentId, Start) {
    (WORKER, workload::start(&Worker::default()))
}

fn crier(pace_ms: u32, whisper_every: u64) -> (AgentId, Start) {
    let crier = Crier { pace_ms, whisper_every, ..Crier::default() };
    (CRIER, workload::start(&crier))
}

/// The tills of all hosts.
fn tills(sim: &Sim, hosts: u32) -> Vec<Address> {
    let all = (0..hosts).map(HostNo);
    all.map(|host| Address { host: sim.future_id(host), agent: TILL }).collect()
}

fn till(whom: &[Address], pace_ms: u32) -> (AgentId, Start) {
    let balance = FIRST_BALANCE;
    let till = Till { whom: whom.to_vec(), pace_ms, balance, ..Till::default() };
    (TILL, workload::start(&till))
}

/// Tells these agents of all hosts to rest.
fn tell_to_rest(sim: &mut Sim, agents: &[AgentId]) {
    for host in sim.hosts().filter(|host| sim.is_running(*host)).collect::<Vec<_>>() {
        for agent in agents {
            let to = sim.address(host, *agent);
            sim.ask(host, to, "sim/rest", &json!({}), REST_WITHIN);
        }
    }
}
