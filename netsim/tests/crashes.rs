//! Crash enumeration: a host ends at every write and every sync of a story, in every way.

use std::thread;

use starling_netsim::{
    FaultKind, Fired, Options, Outcome, run_seed,
    scenario::{self, Make},
};

fn options() -> Options {
    Options { scenario: "crashes".into(), hosts: 3, minutes: 0, ..Options::default() }
}

fn run_all(make: Make, points: u64) -> Vec<Outcome> {
    let one = |seed| run_seed(make, &options(), seed, None);
    let half = |first: u64| (first..=points).step_by(2).map(one).collect::<Vec<_>>();
    thread::scope(|scope| {
        let parts = [1, 2].map(|first| scope.spawn(move || half(first)));
        parts.into_iter().flat_map(|part| part.join().expect("no panic leaves a run")).collect()
    })
}

#[test]
fn nothing_acknowledged_is_lost_wherever_a_host_ends() {
    let make = scenario::named("crashes").expect("it is one of the scenarios");
    let points = make().points(&options()).expect("it is known");
    assert!(points > 6 * 30, "{points} points are too few to mean anything");
    let outcomes = run_all(make, points);
    let mut fired = Fired::default();
    for outcome in &outcomes {
        fired.add(&outcome.fired);
        let Outcome { seed, schedule, broken, .. } = outcome;
        assert_eq!(*broken, None, "point {seed}: {schedule}");
        assert!(outcome.replayed > 50, "point {seed}");
    }
    let crashed = fired.of(FaultKind::CrashAtDisk);
    assert!(crashed > points * 9 / 10, "{crashed} of {points} points were reached");
    assert!(fired.of(FaultKind::TornPages) > 0 && fired.of(FaultKind::LostPages) > 0);
}
