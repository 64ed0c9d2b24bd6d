//! Contracts as agents write them: whatever goes wrong, nobody is granted twice, both sides agree,
//! and nothing is left behind. That these promises can be broken is shown by traders that make
//! mistakes.

mod common;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use common::Counted;
use starling_netsim::{
    Options, Outcome, Sim,
    invariants::Findings,
    run, run_seed,
    scenario::Make,
    scenarios::Market,
    workload::{Flaw, SHOP, STALL, Trader},
};

const SEEDS: u64 = 12;

fn options() -> Options {
    Options { scenario: "market".into(), hosts: 8, minutes: 2, ..Options::default() }
}

fn failures(make: Make, seeds: u64, options: &Options) -> Vec<Outcome> {
    let all = (1..=seeds).map(|seed| run_seed(make, options, seed, None));
    all.filter(|outcome| outcome.broken.is_some()).collect()
}

#[test]
fn nobody_is_granted_twice_and_nothing_leaks_over_some_seeds() {
    let report = run(&Options { seeds: SEEDS, ..options() }).expect("a scenario");
    assert_eq!(report.failures, [], "{report}");
}

/// How often a deal and a part ended in which way, over all seeds of one test.
static ENDS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn count(_: &Sim, findings: &Findings) -> Result<(), String> {
    let stalls = findings.states::<Trader<false>>(STALL)?.into_iter();
    let shops = findings.states::<Trader<true>>(SHOP)?.into_iter();
    let ends = stalls.map(|(_, of)| of.ends).chain(shops.map(|(_, of)| of.ends));
    let mut all = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    for (end, times) in ends.flatten() {
        *all.entry(end).or_default() += times;
    }
    Ok(())
}

#[test]
fn every_way_in_which_a_contract_can_end_comes_up() {
    let counted: Make = || Box::new(Counted(Market::default(), count));
    let failed = failures(counted, 8, &options());
    assert!(failed.is_empty(), "{:?}", failed.first().map(|failed| &failed.broken));
    let ends = ENDS.lock().expect("nobody panicked");
    let known: Vec<(&str, u64)> = ends.iter().map(|(end, times)| (end.as_str(), *times)).collect();
    let words: Vec<&str> = known.iter().map(|(end, _)| *end).collect();
    let expected = [
        "bid gone",
        "contract aborted",
        "contract cancelled",
        "contract completed",
        "contract expired",
        "contract given up",
        "contract partial",
        "job aborted",
        "job acknowledged",
        "job cancelled",
        "job defected",
        "job delegated",
        "job expired",
        "job refused",
        "job rejected",
        "job withdrawn",
    ];
    assert_eq!(words, expected, "{known:?}");
}

#[test]
fn where_nothing_goes_wrong_both_sides_agree_on_all() {
    let calm = Options { only: Some(Vec::new()), seeds: 4, ..options() };
    let report = run(&calm).expect("a scenario");
    assert_eq!(report.failures, []);
}

fn found(make: Make, promise: &str) -> String {
    common::found(make, &options(), 2 * SEEDS, promise)
}

#[test]
fn a_seller_that_forgets_to_release_what_was_rejected_is_found() {
    let make: Make = || Box::new(Market { flaw: Flaw::KeepsRejected });
    let found = found(make, "nobody-is-granted-twice");
    assert!(found.contains("allocations are there"), "{found}");
}

#[test]
fn a_seller_that_keeps_what_was_taken_back_is_found() {
    let make: Make = || Box::new(Market { flaw: Flaw::KeepsCancelled });
    let found = found(make, "nothing-is-left-of-contracts");
    assert!(found.contains("still holds"), "{found}");
}

#[test]
fn a_seller_that_believes_what_it_cannot_know_is_found() {
    let found = found(|| Box::new(Market { flaw: Flaw::Hopes }), "traders-agree");
    assert!(found.contains("it is acknowledged, for its manager"), "{found}");
}

#[test]
fn a_manager_that_grants_the_same_twice_is_found() {
    let make: Make = || Box::new(Market { flaw: Flaw::OrdersTwice });
    let found = found(make, "nobody-is-granted-twice");
    assert!(found.starts_with("of order "), "{found}");
}
