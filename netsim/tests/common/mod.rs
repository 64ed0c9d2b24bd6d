//! What the tests of the scenarios of negotiation share.

use starling_netsim::{
    FaultKind, Options, Sim,
    invariants::{Findings, Invariant},
    run_seed,
    scenario::{Make, Scenario, Times},
};
use starling_protocols::{entropy::Entropy, ident::AgentId};

/// Counts what has become of a run.
pub(crate) type Count = fn(&Sim, &Findings) -> Result<(), String>;

/// A scenario at whose end something is counted as well.
pub(crate) struct Counted<S>(pub(crate) S, pub(crate) Count);

impl<S: Scenario> Scenario for Counted<S> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn about(&self) -> &'static str {
        self.0.about()
    }
    fn faults(&self) -> &'static [FaultKind] {
        self.0.faults()
    }
    fn times(&self, options: &Options) -> Times {
        self.0.times(options)
    }
    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy) {
        self.0.set_up(sim, hosts, entropy);
    }
    fn rest(&mut self, sim: &mut Sim) {
        self.0.rest(sim);
    }
    fn watched(&self) -> &'static [AgentId] {
        self.0.watched()
    }
    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        let mut all = self.0.invariants();
        all.push(Box::new(AtEnd(self.1)));
        all
    }
}

struct AtEnd(Count);

impl Invariant for AtEnd {
    fn name(&self) -> &'static str {
        "count"
    }
    fn source(&self) -> &'static str {
        "this test"
    }
    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        (self.0)(sim, findings)
    }
}

/// How the first of so many seeds fails that breaks this promise.
pub(crate) fn found(make: Make, options: &Options, seeds: u64, promise: &str) -> String {
    let outcomes = (1..=seeds).map(|seed| run_seed(make, options, seed, None));
    let mut broken = outcomes.filter_map(|outcome| outcome.broken);
    let broken = broken.find(|broken| broken.invariant == promise);
    broken.expect("one of the seeds finds it").why
}
