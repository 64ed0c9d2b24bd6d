//! The collective solver as agents use it: of a group that is not parted one acts, and all get the
//! solution. That these promises can be broken is shown by fixers that make mistakes.

use std::sync::atomic::{AtomicUsize, Ordering};

use starling_netsim::{
    FaultKind, Options, Sim,
    invariants::{Findings, Invariant},
    run, run_seed,
    scenario::{Make, Scenario},
    scenarios::Problems,
    workload::{Fixer, Slip, TINKER},
};
use starling_protocols::{entropy::Entropy, ident::AgentId};

const SEEDS: u64 = 10;

fn options() -> Options {
    Options { scenario: "problems".into(), hosts: 6, minutes: 1, ..Options::default() }
}

#[test]
fn of_those_who_reach_each_other_one_acts_over_some_seeds() {
    let report = run(&Options { seeds: SEEDS, ..options() }).expect("a scenario");
    assert_eq!(report.failures, [], "{report}");
}

/// What tinkers were told, over all seeds of one test: of solutions by themselves, of those by
/// others, and of none.
static TOLD: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// Problems of which is counted how they ended.
struct Counted(Problems);

impl Scenario for Counted {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn about(&self) -> &'static str {
        self.0.about()
    }
    fn faults(&self) -> &'static [FaultKind] {
        self.0.faults()
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
        all.push(Box::new(Count));
        all
    }
}

struct Count;

impl Invariant for Count {
    fn name(&self) -> &'static str {
        "count"
    }
    fn source(&self) -> &'static str {
        "this test"
    }
    fn at_end(&mut self, _: &Sim, findings: &Findings) -> Result<(), String> {
        for (finding, fixer) in findings.states::<Fixer<false>>(TINKER)? {
            for outcome in fixer.cases.into_values().flat_map(|case| case.outcomes) {
                let place = match outcome {
                    Ok((_, by)) => usize::from(by.host != finding.id),
                    Err(_) => 2,
                };
                TOLD[place].fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

#[test]
fn where_nothing_goes_wrong_exactly_one_acts_and_all_are_told() {
    let calm = Options { only: Some(Vec::new()), ..options() };
    let counted: Make = || Box::new(Counted(Problems::default()));
    for seed in 1..=8 {
        let outcome = run_seed(counted, &calm, seed, None);
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
    let told = TOLD.each_ref().map(|of| of.load(Ordering::Relaxed));
    // Some were told of nothing, where all whom they knew of have failed.
    assert!(told[0] > 5 && told[1] > told[0] && told[2] > 0, "{told:?}");
}

/// How the first seed fails that breaks this promise.
fn found(make: Make, promise: &str) -> String {
    let outcomes = (1..=SEEDS).map(|seed| run_seed(make, &options(), seed, None));
    let mut broken = outcomes.filter_map(|outcome| outcome.broken);
    let broken = broken.find(|broken| broken.invariant == promise);
    broken.expect("one of the seeds finds it").why
}

#[test]
fn a_fixer_that_acts_unasked_is_found() {
    let make: Make = || Box::new(Problems { flaw: Slip::ActsUnasked });
    let found = found(make, "one-acts");
    assert!(found.contains(" acts on ") && found.contains("and so does"), "{found}");
}

#[test]
fn a_fixer_that_never_finishes_is_found() {
    let make: Make = || Box::new(Problems { flaw: Slip::Idles });
    let found = found(make, "one-acts");
    assert!(found.contains("was told Err(\"there was no solution in time"), "{found}");
}
