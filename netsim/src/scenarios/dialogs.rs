use starling_protocols::{entropy::Entropy, ident::AgentId};

use super::{EVERYTHING, caller, start_members, tell_to_rest, without_gossip, worker, workers};
use crate::{
    faults::FaultKind,
    invariants::{AtMostOnce, CapsHold, EveryCallEnds, Invariant, NobodyDies, RostersConverge},
    scenario::Scenario,
    sim::Sim,
    workload::{CALLER, WORKER, kinds},
};

/// Every host asks every other.
#[derive(Debug, Default)]
pub struct Dialogs;

impl Scenario for Dialogs {
    fn name(&self) -> &'static str {
        "dialogs"
    }

    fn about(&self) -> &'static str {
        "every host asks every other: each question ends once, and is carried out at most once"
    }

    fn faults(&self) -> &'static [FaultKind] {
        // There is no gossip in it.
        const FAULTS: [FaultKind; 13] = without_gossip(EVERYTHING);
        &FAULTS
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        let whom = workers(sim, hosts);
        start_members(sim, hosts, &kinds(), |_| vec![worker(), caller(&whom, 600)]);
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[CALLER]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[WORKER, CALLER]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(EveryCallEnds),
            Box::new(AtMostOnce),
        ]
    }
}
