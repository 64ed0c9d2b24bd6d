use starling_core::engine::Kinds;
use starling_protocols::entropy::Entropy;

use super::start_members;
use crate::{
    faults::FaultKind,
    invariants::{CapsHold, Invariant, NobodyDies, RostersConverge},
    scenario::Scenario,
    sim::Sim,
};

/// Nothing happens and nothing goes wrong.
#[derive(Debug, Default)]
pub struct Quiet;

impl Scenario for Quiet {
    fn name(&self) -> &'static str {
        "quiet"
    }

    fn about(&self) -> &'static str {
        "a mesh that nobody uses and nothing happens to: what it costs to be there"
    }

    fn hosts_max(&self) -> u32 {
        10_000
    }

    fn faults(&self) -> &'static [FaultKind] {
        &[]
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        start_members(sim, hosts, &Kinds::new(), |_| Vec::new());
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![Box::new(NobodyDies), Box::new(CapsHold), Box::new(RostersConverge)]
    }
}
