//! Partners as agents have them: whatever goes wrong, both sides agree in the end, each end is told
//! once, and nothing is left behind. That these promises can be broken is shown by neighbours that
//! make mistakes.

mod common;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use common::{Counted, found};
use starling_netsim::{
    HostNo, Options, Sim,
    invariants::Findings,
    run, run_seed,
    scenario::Make,
    scenarios::Partners,
    workload::{Mistake, Neighbour, cottage_of, farm_of},
};

const SEEDS: u64 = 24;

fn options() -> Options {
    Options { scenario: "partners".into(), hosts: 8, minutes: 2, ..Options::default() }
}

#[test]
fn both_sides_agree_and_nothing_leaks_over_some_seeds() {
    let report = run(&Options { seeds: SEEDS, ..options() }).expect("a scenario");
    assert_eq!(report.failures, [], "{report}");
}

#[test]
fn where_nothing_goes_wrong_both_sides_agree() {
    let calm = Options { only: Some(Vec::new()), seeds: 4, ..options() };
    let report = run(&calm).expect("a scenario");
    assert_eq!(report.failures, [], "{report}");
}

/// How often a partnership or a proposal ended in which way, over all seeds of one test, and how
/// many partnerships stood in the end.
static ENDS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn count(sim: &Sim, findings: &Findings) -> Result<(), String> {
    let mut all = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    for host in (0..8).map(HostNo) {
        let cottages = findings.states::<Neighbour<false>>(cottage_of(host))?;
        let farms = findings.states::<Neighbour<true>>(farm_of(host))?;
        let cottages = cottages.into_iter().map(|(of, state)| (of, state.ends, state.ties));
        let farms = farms.into_iter().map(|(of, state)| (of, state.ends, state.ties));
        for (of, ends, ties) in cottages.chain(farms) {
            ends.into_iter().for_each(|(end, times)| *all.entry(end).or_default() += times);
            if of.alive {
                let standing = ties.values().filter(|tie| tie.stands).count();
                *all.entry("standing".into()).or_default() += standing as u64;
            }
        }
    }
    assert_eq!(sim.hosts().count(), 8);
    Ok(())
}

#[test]
fn every_way_in_which_a_partnership_can_end_comes_up() {
    let counted: Make = || Box::new(Counted(Partners::default(), count));
    for seed in 1..=8 {
        let outcome = run_seed(counted, &options(), seed, None);
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
    let ends = ENDS.lock().expect("nobody panicked");
    let words: Vec<&str> = ends.keys().map(String::as_str).collect();
    // A life that ends in good order ends its books too, and nobody is buried but by mistake.
    let expected = [
        "breakup",
        "crossed",
        "goodbye",
        "lost",
        "reconsidered",
        "refused",
        "standing",
        "timed out",
        "undelivered",
        "withdrawn",
    ];
    assert_eq!(words, expected, "{ends:?}");
    assert!(ends["standing"] > 100, "{ends:?}");
}

#[test]
fn a_neighbour_that_releases_nothing_when_partners_part_is_found() {
    let make: Make = || Box::new(Partners { flaw: Mistake::KeepsPlaces });
    let found = found(make, &options(), SEEDS, "each-end-is-told-once");
    assert!(found.contains("is set aside for nobody"), "{found}");
}

#[test]
fn whoever_is_buried_alive_hears_of_it() {
    let make: Make = || Box::new(Partners { flaw: Mistake::BuriesTheLiving });
    for seed in 1..=8 {
        let outcome = run_seed(make, &options(), seed, None);
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
}
