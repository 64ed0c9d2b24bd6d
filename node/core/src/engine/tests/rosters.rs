use starling_protocols::{
    limits::{ROSTER_WINDOW, ROSTER_WINDOW_DIGESTS_MAX},
    reconcile::Digest,
    roster::Roster,
};

use super::{super::Save, *};

fn known(mesh: &Mesh, host: usize) -> Vec<(HostId, Incarnation, u64)> {
    let views = mesh.engines[host].hosts().into_iter();
    views.map(|view| (view.record.host, view.record.incarnation, view.record.sequence)).collect()
}

fn refused(mesh: &Mesh) -> Vec<u64> {
    let counters = mesh.engines.iter().map(Engine::counters);
    let refused = [Counter::RosterRefused, Counter::BadRecords];
    counters.map(|counters| refused.map(|of| counters.get(of)).iter().sum()).collect()
}

fn address(host: usize) -> Vec<String> {
    vec![format!("/memory/{host}")]
}

fn knowing(mesh: &Mesh, host: usize, life: u64, roster: &Roster) -> Engine {
    let known = Known::Checked(roster.clone());
    Engine::new(Config { known, ..mesh.config(host, life) }, mesh.now())
}

/// A mesh whose hosts share one roster from the beginning.
fn sharing(hosts: usize) -> (Mesh, Roster) {
    let mut mesh = Mesh::apart(vec![0..0; hosts], false);
    let mut roster = Roster::new(mesh.genesis.mesh());
    let record = |host| mesh.first_record(&key(host), format!("host-{host}"), address(host));
    for record in (0..hosts).map(record).chain((0..100).map(|number| mesh.phantom(number))) {
        roster.merge(&record, WALL).expect("a good record");
    }
    mesh.engines = (0..hosts).map(|host| knowing(&mesh, host, 1, &roster)).collect();
    (mesh, roster)
}

#[test]
fn hosts_with_different_rosters_come_to_know_the_same() {
    // Few, and so many that sums are compared; nobody links the first to the last.
    let mut mesh = Mesh::apart(vec![0..10, 5..90, 80..100, 0..0], false);
    mesh.connect(0, 1);
    mesh.connect(2, 3);
    mesh.settle();
    assert_eq!((mesh.engines[0].hosts().len(), mesh.engines[3].hosts().len()), (92, 22));
    mesh.connect(1, 2);
    mesh.settle();
    assert_eq!(known(&mesh, 0).len(), 104);
    (1..4).for_each(|host| assert_eq!(known(&mesh, host), known(&mesh, 0)));
    assert_eq!(refused(&mesh), [0; 4]);
}

#[test]
fn hosts_that_share_a_roster_have_little_to_say() {
    let (mut mesh, roster) = sharing(3);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        mesh.connect(a, b);
    }
    mesh.settle();
    assert!(mesh.carried < 3 * 2 * 400, "{} bytes", mesh.carried);
    // Where they listen is where the roster says.
    let (carried, now) = (mesh.carried, mesh.now());
    for host in 0..3 {
        mesh.engines[host].handle(Input::Listening { addresses: address(host) }, now);
    }
    mesh.settle();
    assert_eq!(mesh.carried, carried);
    let records: Vec<_> = roster.iter().cloned().collect();
    for engine in &mesh.engines {
        assert!(engine.hosts().into_iter().map(|view| view.record).eq(records.iter().cloned()));
    }
    let ticket = mesh.put(0, mesh.probe(2), "at once");
    assert_eq!(mesh.answers[&ticket], Ok("\"got at once\"".into()));
}

#[test]
fn a_host_in_a_later_life_than_the_shared_roster_says_tells_it() {
    let (mut mesh, roster) = sharing(2);
    mesh.engines[1] = knowing(&mesh, 1, 2, &roster);
    mesh.connect(0, 1);
    mesh.settle();
    assert!(known(&mesh, 0).contains(&(mesh.host(1), Incarnation(2), 1)));
    assert_eq!(known(&mesh, 0), known(&mesh, 1));
}

#[test]
fn what_changed_while_there_was_no_lane_is_learned_with_the_next() {
    let mut mesh = Mesh::new(3);
    mesh.cut(0, 1);
    mesh.cut(1, 2);
    let now = mesh.now();
    for host in [0, 2] {
        mesh.engines[host].handle(Input::Listening { addresses: address(host) }, now);
    }
    mesh.settle();
    assert_ne!(known(&mesh, 1), known(&mesh, 0));
    // The session goes on where it stopped.
    mesh.connect(0, 1);
    mesh.settle();
    assert_eq!(known(&mesh, 1), known(&mesh, 0));
    let view = mesh.engines[1].host_view(mesh.host(2)).expect("known");
    assert_eq!(view.record.addresses, ["/memory/2"]);
}

#[test]
fn who_asks_too_often_is_refused_and_counted() {
    let mut mesh = Mesh::with_phantoms(2, 20);
    let peer = mesh.engines[0].peers.find(mesh.host(1)).expect("a peer");
    let ask = |mesh: &mut Mesh| {
        let now = mesh.now();
        mesh.engines[0].handle(Input::Tick, now);
        mesh.engines[0].digest(peer, &Digest::List(Vec::new()));
        mesh.settle();
        mesh.engines[0].counters().get(Counter::RosterRefused)
    };
    mesh.advance(ROSTER_WINDOW);
    let asked = (0..ROSTER_WINDOW_DIGESTS_MAX).map(|_| ask(&mut mesh)).max();
    let carried = mesh.carried;
    assert_eq!((asked, ask(&mut mesh), mesh.carried), (Some(0), 1, carried));
    mesh.cut(0, 1);
    mesh.connect(0, 1);
    mesh.settle();
    assert_eq!(ask(&mut mesh), 2, "a new lane changes nothing");
    mesh.advance(ROSTER_WINDOW);
    assert_eq!(ask(&mut mesh), 2);
}

#[test]
fn hosts_are_saved_once_for_many_changes() {
    let mut mesh = Mesh::apart(vec![0..0, 0..100], false);
    mesh.connect(0, 1);
    let mut saved = Vec::new();
    let now = Now { time: Time::ZERO + Duration::from_secs(1), wall: WALL };
    while (0..2).any(|host| mesh.turn(host)) {}
    mesh.engines[0].handle(Input::Tick, now);
    while let Some(output) = mesh.engines[0].poll() {
        saved.extend(matches!(&output, Output::Save(Save::Hosts(_))).then_some(output));
    }
    let [Output::Save(Save::Hosts(hosts))] = &saved[..] else { panic!("{saved:?}") };
    assert_eq!(hosts.len(), 102);
}

#[test]
fn when_the_lane_to_a_host_that_was_asked_breaks_the_next_is_asked() {
    let mut mesh = Mesh::apart(vec![0..0, 0..20, 0..20], false);
    mesh.connect(0, 1);
    mesh.turn(0);
    mesh.turn(1);
    assert!(mesh.engines[0].reconciler.next_deadline().is_some(), "it has asked");
    mesh.cut(0, 1);
    mesh.connect(0, 2);
    mesh.settle();
    assert_eq!(known(&mesh, 0).len(), 22);
}
