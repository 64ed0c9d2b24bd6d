//! The same seed gives the same run; many seeds together show all faults.

use std::sync::{Arc, Mutex};

use starling_netsim::{FaultKind, Fired, Options, run, run_seed, scenario};

fn options(scenario: &str, minutes: u32) -> Options {
    Options { scenario: scenario.into(), hosts: 4, minutes, ..Options::default() }
}

#[test]
fn the_same_seed_twice_is_the_same_run_and_another_is_not() {
    for make in scenario::ALL {
        let options = options(make().name(), 2);
        let [one, again, other] = [5, 5, 65].map(|seed| run_seed(make, &options, seed, None));
        assert_eq!(one, again, "{}", options.scenario);
        assert_ne!(one.digest, other.digest, "{}", options.scenario);
        assert_eq!(one.broken, None, "{}", options.command());
    }
}

#[test]
fn all_promises_are_kept_and_every_fault_has_an_effect_over_some_seeds() {
    for scenario in ["mixed", "membership"] {
        let report = run(&Options { seeds: 20, ..options(scenario, 4) }).expect("a scenario");
        assert!(report.is_good(), "{report}");
        assert_eq!(report.seeds, 20);
    }
}

#[test]
fn a_fault_that_never_had_an_effect_fails_a_run_of_many_seeds() {
    let without = Options { seeds: 20, only: Some(Vec::new()), ..options("dialogs", 1) };
    let report = run(&without).expect("a scenario");
    assert_eq!(report.failures, []);
    assert_eq!(report.fired, Fired::default());
    let dialogs = scenario::named("dialogs").expect("a scenario");
    assert_eq!(report.never_fired, dialogs().faults());
    assert!(!report.never_fired.contains(&FaultKind::GossipLoss), "there is no gossip in it");
    assert!(!report.is_good());
    let few = run(&Options { seeds: 2, ..without }).expect("a scenario");
    assert!(few.is_good(), "few seeds prove nothing");
}

#[test]
fn the_story_is_told_and_changes_nothing() {
    let (options, heard) = (options("mixed", 1), Arc::new(Mutex::new(Vec::new())));
    let lines = Arc::clone(&heard);
    let sink = Box::new(move |line: &str| lines.lock().expect("lock").push(line.to_owned()));
    let make = options.check().expect("a scenario");
    let told = run_seed(make, &options, 3, Some(sink));
    assert_eq!(told, run_seed(make, &options, 3, None));
    let heard = heard.lock().expect("lock");
    assert_eq!(heard.first().map(String::as_str), Some("00:00.000 host-0 starts"));
    assert!(heard.iter().any(|line| line.contains("is linked to")));
}

#[test]
fn unknown_scenarios_and_no_hosts_are_refused() {
    let unknown = run(&options("nothing", 1)).expect_err("there is no such scenario");
    assert!(unknown.to_string().contains("mixed, durable, documents, moves"), "{unknown}");
    let nobody = Options { hosts: 0, ..options("mixed", 1) };
    assert!(run(&nobody).is_err());
}

#[test]
fn a_step_that_no_schedule_has_is_refused() {
    let with = |only: &[usize], seeds| Options {
        scenario: "dialogs".into(),
        minutes: 1,
        seeds,
        only: Some(only.to_vec()),
        ..Options::default()
    };
    let make = with(&[], 1).check().expect("no steps at all can be played");
    let steps = |seed| {
        let all = Options { seed, only: None, ..with(&[], 1) };
        run_seed(make, &all, seed, None).schedule.len()
    };
    let last = steps(1) - 1;
    assert!(with(&[0, last], 1).check().is_ok());
    let refused = with(&[0, last + 1], 1).check().expect_err("it has no such step");
    let expected =
        format!("the schedule of seed 1 has no step {}; it has steps 0 to {last}", last + 1);
    assert_eq!(refused.to_string(), expected);
    let most = (1..=4).map(steps).max().expect("some");
    let refused = with(&[most], 4).check().expect_err("no seed has it");
    assert!(refused.to_string().starts_with("the schedule of seed "), "{refused}");
}
