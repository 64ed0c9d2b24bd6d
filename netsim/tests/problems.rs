//! The collective solver as agents use it: of a group that is not parted one acts, and all get the
//! solution. That these promises can be broken is shown by fixers that make mistakes.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Counted, found};
use starling_netsim::{
    Options, Sim,
    invariants::Findings,
    run, run_seed,
    scenario::Make,
    scenarios::Problems,
    workload::{Fixer, Slip, TINKER},
};

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

fn count(_: &Sim, findings: &Findings) -> Result<(), String> {
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

#[test]
fn where_nothing_goes_wrong_exactly_one_acts_and_all_are_told() {
    let calm = Options { only: Some(Vec::new()), ..options() };
    let counted: Make = || Box::new(Counted(Problems::default(), count));
    for seed in 1..=8 {
        let outcome = run_seed(counted, &calm, seed, None);
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
    let told = TOLD.each_ref().map(|of| of.load(Ordering::Relaxed));
    // Some were told of nothing, where all whom they knew of have failed.
    assert!(told[0] > 5 && told[1] > told[0] && told[2] > 0, "{told:?}");
}

#[test]
fn a_fixer_that_acts_unasked_is_found() {
    let make: Make = || Box::new(Problems { flaw: Slip::ActsUnasked });
    let found = found(make, &options(), SEEDS, "one-acts");
    assert!(found.contains(" acts on ") && found.contains("and so does"), "{found}");
}

#[test]
fn a_fixer_that_never_finishes_is_found() {
    let make: Make = || Box::new(Problems { flaw: Slip::Idles });
    let found = found(make, &options(), SEEDS, "one-acts");
    assert!(found.contains("was told Err(\"there was no solution in time"), "{found}");
}
