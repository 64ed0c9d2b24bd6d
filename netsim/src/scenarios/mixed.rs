use starling_protocols::{entropy::Entropy, ident::AgentId};

use super::{EVERYTHING, caller, crier, start_members, tell_to_rest, worker, workers};
use crate::{
    faults::FaultKind,
    invariants::{
        AtMostOnce, CapsHold, EveryCallEnds, Invariant, NobodyDies, OrderedTopics, RostersConverge,
    },
    scenario::Scenario,
    sim::Sim,
    workload::{CALLER, CRIER, WORKER, kinds},
};

/// Questions and topics at once.
#[derive(Debug, Default)]
pub struct Mixed;

impl Scenario for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn about(&self) -> &'static str {
        "every host asks every other and speaks to all, while everything goes wrong that can"
    }

    fn faults(&self) -> &'static [FaultKind] {
        EVERYTHING
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        let whom = workers(sim, hosts);
        let residents = |_| vec![worker(), caller(&whom, 1500), crier(6000, 3)];
        start_members(sim, hosts, &kinds(), residents);
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[CALLER, CRIER]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[WORKER, CALLER, CRIER]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(EveryCallEnds),
            Box::new(AtMostOnce),
            Box::new(OrderedTopics),
        ]
    }
}
