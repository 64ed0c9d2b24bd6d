//! That the checks can fail: a disk that lies is found by seeds and shrunk, and so is an agent that
//! is not deterministic.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use starling_core::{agent::prelude::*, engine::Kinds};
use starling_netsim::{
    Broken, FaultKind, Options, Sim,
    invariants::Invariant,
    run_seed,
    scenario::{Make, Scenario},
    scenarios::Durable,
    shrink, workload,
};
use starling_protocols::entropy::Entropy;

fn options() -> Options {
    Options { hosts: 3, minutes: 2, ..Options::default() }
}

/// [`Durable`], on disks whose syncs do nothing and say that they did.
#[derive(Default)]
struct OnLyingDisks(Durable);

impl Scenario for OnLyingDisks {
    fn name(&self) -> &'static str {
        "lying-disks"
    }
    fn about(&self) -> &'static str {
        "money on disks that lie"
    }
    fn faults(&self) -> &'static [FaultKind] {
        &[FaultKind::LyingDisk, FaultKind::PowerCut, FaultKind::Loss, FaultKind::Reset]
    }
    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy) {
        self.0.set_up(sim, hosts, entropy);
    }
    fn step(&mut self, sim: &mut Sim) {
        self.0.step(sim);
    }
    fn rest(&mut self, sim: &mut Sim) {
        self.0.rest(sim);
    }
    fn watched(&self) -> &'static [AgentId] {
        self.0.watched()
    }
    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        self.0.invariants()
    }
}

const LYING: Make = || Box::new(OnLyingDisks::default());

#[test]
fn a_disk_that_lies_is_found_and_shrunk_to_the_lie_and_the_power_cut() {
    let outcomes = (1..=40).map(|seed| run_seed(LYING, &options(), seed, None));
    let failed = outcomes.filter(|outcome| outcome.broken.is_some()).take(4);
    // Some depend on who happens to say what to whom at the moment: the shortest is looked at.
    let shrunk = failed.filter_map(|failed| shrink(LYING, &options(), &failed));
    let shrunk = shrunk.min_by_key(|shrunk| shrunk.outcome.schedule.len());
    let shrunk = shrunk.expect("one of forty seeds finds it");
    let kinds: Vec<FaultKind> =
        shrunk.outcome.schedule.steps().map(|step| step.fault.kind()).collect();
    assert!((2..=3).contains(&kinds.len()), "{shrunk}");
    assert!(kinds.contains(&FaultKind::LyingDisk) && kinds.contains(&FaultKind::PowerCut));
}

/// Looks at something that is not its own: how often agents were asked in this process.
#[derive(Default, Serialize, Deserialize)]
struct Leaky {
    rung: u64,
}

static CALLS: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize, Deserialize)]
struct Ring;

impl Agent for Leaky {
    const KIND: &'static str = "test-leaky";
    type Then = Ring;
    fn interests(_: &mut Interests<Self>) {}
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        cx.after(std::time::Duration::from_secs(1), Ring);
    }
}

impl Continuation<Leaky> for Ring {
    fn resume(self, leaky: &mut Leaky, cx: &mut Cx<'_, Leaky>) {
        leaky.rung = if leaky.rung < 3 { leaky.rung + 1 } else { CALLS.load(Ordering::Relaxed) };
        CALLS.fetch_add(1, Ordering::Relaxed);
        cx.after(std::time::Duration::from_secs(1), Self);
    }
}

/// One host with one agent that is not deterministic.
struct NotDeterministic;

impl Scenario for NotDeterministic {
    fn name(&self) -> &'static str {
        "not-deterministic"
    }
    fn about(&self) -> &'static str {
        "an agent whose state is not all there is"
    }
    fn faults(&self) -> &'static [FaultKind] {
        &[]
    }
    fn set_up(&mut self, sim: &mut Sim, _: u32, _: &Entropy) {
        let leaky = (AgentId(920), workload::start(&Leaky::default()));
        let host = sim.add_host("here", Kinds::new().kind::<Leaky>(), vec![leaky]);
        sim.found(host);
        sim.admit_all();
        sim.start(host);
    }
    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        Vec::new()
    }
}

#[test]
fn an_agent_that_is_not_deterministic_is_caught_at_the_end_with_its_entry_named() {
    let make: Make = || Box::new(NotDeterministic);
    let outcome = run_seed(make, &Options { hosts: 1, minutes: 1, ..options() }, 1, None);
    let Some(Broken { invariant, why, .. }) = outcome.broken else { panic!("it is not caught") };
    assert_eq!(invariant, "replay");
    assert!(why.contains("replays differently in the state"), "{why}");
    // Its start is its input 0, and the fourth time it rings is the first that differs.
    assert!(why.starts_with("on here: agent ") && why.contains("(test-leaky), record "), "{why}");
    assert!(why.contains("input 4 (record "), "{why}");
}
