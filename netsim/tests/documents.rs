//! Documents on many hosts: whatever happens, all come to say the same; and how long that takes.

use std::{thread, time::Duration};

use serde_json::json;
use starling_core::{
    agent::Agent,
    documents::{Path, Step},
    engine::{Engine, Kinds, Ticket},
};
use starling_netsim::{
    Asked, Edit, Fault, FaultKind, HostNo, Options, Report, Sim, run_seed, scenario,
    workload::{Signpost, kinds},
};
use starling_protocols::{
    entropy::Entropy, ident::AgentId, reconcile::Prints, replica::DocName, time::Time,
};

const HOSTS: u32 = 10;
const SEEDS: u64 = 200;

fn options() -> Options {
    Options { scenario: "documents".into(), hosts: 4, minutes: 1, ..Options::default() }
}

#[test]
fn after_any_faults_all_hosts_have_all_documents_and_what_was_acknowledged() {
    let make = scenario::named("documents").expect("it is one of the scenarios");
    let half = |first: u64| {
        let seeds = (first..=SEEDS).step_by(2);
        seeds.map(|seed| run_seed(make, &options(), seed, None)).collect::<Vec<_>>()
    };
    let outcomes = thread::scope(|scope| {
        let parts = [1, 2].map(|first| scope.spawn(move || half(first)));
        parts.into_iter().flat_map(|part| part.join().expect("no panic leaves a run")).collect()
    });
    let report = Report::of(make, outcomes);
    assert!(report.is_good(), "{report}");
    assert!(report.fired.of(FaultKind::LostPages) > 0);
}

fn mesh(seed: u64, hosts: u32, kinds: &Kinds) -> Sim {
    let mut sim = Sim::new(seed);
    sim.set_documents(true);
    for number in 0..hosts {
        sim.add_host(&format!("host-{number}"), kinds.clone(), Vec::new());
    }
    sim.found(HostNo(0));
    sim.admit_all();
    sim.hosts().for_each(|host| sim.start(host));
    sim.run_for(Duration::from_secs(5));
    sim
}

fn name(text: &str) -> DocName {
    text.parse().expect("a name")
}

fn edit(name: &DocName, key: &str, replicas: usize) -> Edit {
    let path = Path::new([Step::Key(key.to_owned())]);
    let patience = Duration::from_secs(60);
    Edit { name: name.clone(), set: vec![(path, json!("some words"))], replicas, patience }
}

fn acknowledged(sim: &Sim, host: HostNo, ticket: Ticket) -> u64 {
    match sim.answer(host, ticket) {
        Asked::Answered(Ok(replicas)) => replicas.as_u64().unwrap_or_default(),
        _ => 0,
    }
}

fn heads_at<'a>(sim: &'a Sim, host: HostNo, name: &DocName) -> Option<&'a [impl PartialEq]> {
    sim.engine(host).and_then(Engine::replicas).map(|all| all.heads(name))
}

fn are_equal(sim: &Sim, name: &DocName) -> bool {
    let first = heads_at(sim, HostNo(0), name);
    first.is_some_and(|heads| !heads.is_empty())
        && sim.hosts().all(|host| heads_at(sim, host, name) == first)
}

/// How long changes take to be on all of ten hosts, from the fastest to the slowest.
fn spreading(seed: u64, permille: u32) -> Vec<Duration> {
    let (mut sim, mut own) = (mesh(seed, HOSTS, &Kinds::new()), Entropy::from_seed([7; 32]));
    if permille > 0 {
        sim.impose(Fault::Loss { permille });
    }
    let mut all = Vec::new();
    for number in 0..100 {
        let writer = HostNo(u32::try_from(own.below(u64::from(HOSTS))).expect("small"));
        let (began, name): (Time, _) = (sim.now(), name(&format!("conf/d-{number}")));
        sim.edit(writer, edit(&name, "key", 1));
        let limit = Duration::from_secs(120);
        assert!(sim.run_until(limit, |sim| are_equal(sim, &name)), "seed {seed}, {permille} ‰");
        all.push(sim.now().since(began));
        sim.run_for(Duration::from_millis(200));
    }
    all.sort();
    all
}

#[test]
fn a_change_is_on_ten_hosts_within_seconds_also_when_segments_are_lost() {
    for (permille, bound_s) in [(0, 5), (100, 5), (300, 10)] {
        let all = spreading(1, permille);
        assert!(all[98] <= Duration::from_secs(bound_s), "{permille} ‰ lost: {all:?}");
    }
}

#[test]
fn what_is_on_three_hosts_outlives_its_writer_and_another_disk() {
    for seed in 1..=5 {
        let (mut sim, name) = (mesh(seed, 5, &Kinds::new()), name("conf/kept"));
        // Two hosts hear of it later.
        let (few, others) = (vec![HostNo(0), HostNo(1), HostNo(2)], vec![HostNo(3), HostNo(4)]);
        sim.impose(Fault::Cut { from: few, to: others, both_ways: true });
        let ticket = sim.edit(HostNo(0), edit(&name, "key", 3));
        let limit = Duration::from_secs(30);
        let done = sim.run_until(limit, |sim| acknowledged(sim, HostNo(0), ticket) == 3);
        assert!(done, "seed {seed}: {:?}", sim.answer(HostNo(0), ticket));
        for host in [HostNo(0), HostNo(1)] {
            sim.stop_at_once(host);
            sim.lose_documents(host);
        }
        sim.stop_at_once(HostNo(2));
        sim.run_for(Duration::from_secs(5));
        sim.lift_where(|_| true);
        [HostNo(1), HostNo(2)].into_iter().for_each(|host| sim.start(host));
        let there = |sim: &Sim, host: u32| {
            let replicas = sim.engine(HostNo(host)).and_then(Engine::replicas);
            replicas.is_some_and(|all| !all.heads(&name).is_empty())
        };
        let all = sim.run_until(Duration::from_secs(90), |sim| (1..5).all(|at| there(sim, at)));
        assert!(all, "seed {seed}");
    }
}

/// How many bytes two hosts send each other until both have the same again, when one of them has
/// missed what `change` does on the other.
fn catching_up(change: impl FnOnce(&mut Sim)) -> u64 {
    let mut sim = mesh(1, 2, &kinds());
    let (writer, absent) = (HostNo(0), HostNo(1));
    sim.edit(writer, edit(&name("conf/long"), "key", 2));
    sim.run_for(Duration::from_secs(5));
    sim.stop_at_once(absent);
    sim.run_for(Duration::from_secs(5));
    change(&mut sim);
    let before = sim.sent_bytes(writer) + sim.sent_bytes(absent);
    sim.start(absent);
    let sums = |sim: &Sim, host| {
        let replicas = sim.engine(host).and_then(Engine::replicas);
        replicas.map(|all| all.sums().clone())
    };
    let equal = |sim: &Sim| sums(sim, writer) == sums(sim, absent);
    assert!(sim.run_until(Duration::from_secs(120), equal), "they do not come to the same");
    sim.run_for(Duration::from_secs(5));
    sim.sent_bytes(writer) + sim.sent_bytes(absent) - before
}

#[test]
fn what_was_missed_costs_as_much_as_it_is() {
    let mut own = Entropy::from_seed([9; 32]);
    let changes = catching_up(|sim| {
        let mut tickets = Vec::new();
        for _ in 0..1000 {
            let edit = Edit {
                set: vec![(Path::new([Step::Key("n".into())]), json!(own.u64() >> 12))],
                ..edit(&name("conf/long"), "key", 1)
            };
            tickets.push(sim.edit(HostNo(0), edit));
            sim.run_for(Duration::from_millis(50));
        }
        let made = |ticket: &Ticket| acknowledged(sim, HostNo(0), *ticket) == 1;
        assert_eq!(tickets.iter().filter(|ticket| made(ticket)).count(), 1000);
    });
    let descriptors = catching_up(|sim| {
        let state = json!({ "pace_ms": 3_600_000, "resting": false, "said": 0 }).to_string();
        let body = json!({ "kind": Signpost::KIND, "name": null, "state": state });
        let to = sim.address(HostNo(0), AgentId::HOST);
        for _ in 0..1000 {
            sim.ask(HostNo(0), to, "host/start", &body, Duration::from_secs(10));
            sim.run_for(Duration::from_millis(10));
        }
        sim.run_for(Duration::from_secs(2));
        let all = sim.engine(HostNo(0)).and_then(Engine::replicas).expect("it keeps documents");
        assert_eq!(all.len(), 1001);
    });
    assert!(changes <= 157_000, "{changes} bytes for a thousand changes of one document");
    // Each descriptor is a document of its own, with its title and stamps.
    assert!(descriptors <= 1_100_000, "{descriptors} bytes for a thousand descriptors");
}
