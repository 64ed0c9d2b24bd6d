use starling_protocols::{entropy::Entropy, ident::AgentId};

use super::{EVERYTHING, crier, start_members, tell_to_rest};
use crate::{
    faults::FaultKind,
    invariants::{CapsHold, Invariant, NobodyDies, OrderedTopics, RostersConverge},
    scenario::Scenario,
    sim::Sim,
    workload::{CRIER, kinds},
};

/// Every host speaks to all others.
#[derive(Debug, Default)]
pub struct Topics;

impl Scenario for Topics {
    fn name(&self) -> &'static str {
        "topics"
    }

    fn about(&self) -> &'static str {
        "every host speaks to all: each word is heard once and in order, or its loss is told"
    }

    fn faults(&self) -> &'static [FaultKind] {
        EVERYTHING
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        start_members(sim, hosts, &kinds(), |_| vec![crier(1500, 4)]);
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[CRIER]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[CRIER]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(OrderedTopics),
        ]
    }
}
