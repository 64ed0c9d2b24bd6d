use starling_protocols::{
    exchange::{Hello, SessionId, Violation},
    limits::HOSTS_MAX,
    wire,
};

use super::*;

/// One of many hosts that are nobody.
pub(super) fn numbered(number: usize) -> HostId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    HostId(id)
}

impl Mesh {
    /// Who knows of another daemon with the identity of this one, and whether that is proven.
    fn superseded(&self, host: usize) -> Option<(HostId, bool)> {
        let other = self.engines[host].superseded(self.now);
        other.map(|other| (other.known_to, other.is_proven))
    }
}

#[test]
fn a_broken_lane_resumes_and_nothing_happens_twice() {
    let mut mesh = Mesh::new(2);
    // The call arrives; its reply does not, because the lane breaks before.
    mesh.held.insert((1, 0));
    let ticket = mesh.put(0, mesh.probe(1), "once");
    mesh.cut(0, 1);
    mesh.held.clear();
    mesh.connect(0, 1);
    mesh.settle();
    assert_eq!(mesh.answers[&ticket], Ok("\"got once\"".into()));
    assert_eq!(mesh.log(1), ["put once"], "carried out once");
}

#[test]
fn a_call_that_was_not_sent_reaches_the_next_life() {
    let mut mesh = Mesh::new(2);
    mesh.held.insert((0, 1));
    let ticket = mesh.put(0, mesh.probe(1), "early");
    mesh.held.clear();
    mesh.restart(1, 2);
    mesh.settle();
    assert_eq!(mesh.answers[&ticket], Ok("\"got early\"".into()));
}

#[test]
fn a_call_under_way_to_a_host_that_restarts_is_gone() {
    let mut mesh = Mesh::new(2);
    let sent = mesh.put(0, mesh.probe(1), "wait");
    mesh.cut(0, 1);
    let unsent = mesh.put(0, mesh.probe(1), "later");
    mesh.restart(1, 2);
    mesh.settle();
    assert_eq!(mesh.answers[&sent], Err(Failure::Gone));
    assert_eq!(mesh.answers[&unsent], Ok("\"got later\"".into()));
    let ticket = mesh.put(1, mesh.probe(0), "back");
    assert_eq!(mesh.answers[&ticket], Ok("\"got back\"".into()));
}

#[test]
fn an_earlier_life_is_turned_away() {
    let mut mesh = Mesh::new(2);
    mesh.restart(1, 5);
    mesh.settle();
    mesh.restart(1, 4);
    mesh.settle();
    assert_eq!(mesh.engines[0].counters().get(Counter::LaneViolations), 1);
}

#[test]
fn a_host_that_runs_twice_is_known_to_whoever_meets_both_and_to_the_earlier() {
    let mut mesh = Mesh::new(2);
    let (host, copied) = (mesh.host(0), mesh.host(1));
    let doubles = |mesh: &Mesh| mesh.engines[0].doubles(mesh.now).collect::<Vec<_>>();
    let superseded = |mesh: &Mesh| mesh.superseded(1);
    mesh.restart(1, 5);
    mesh.settle();
    assert_eq!((doubles(&mesh), superseded(&mesh)), (vec![], None));
    for times in 1..4 {
        mesh.restart(1, 4);
        mesh.settle();
        // One alone may have come late.
        let told = if times > 1 { vec![(copied, times)] } else { Vec::new() };
        assert_eq!(doubles(&mesh), told);
        // It has begun anew, and was told once.
        assert_eq!(superseded(&mesh), None);
    }
    mesh.cut(0, 1);
    mesh.connect(0, 1);
    mesh.settle();
    assert_eq!(superseded(&mesh), Some((host, false)));
    mesh.advance(Duration::from_secs(301));
    assert_eq!(doubles(&mesh), []);
    // Much later it is one sign again.
    mesh.restart(1, 4);
    mesh.settle();
    assert_eq!(doubles(&mesh), []);
    mesh.restart(1, 6);
    mesh.settle();
    assert_eq!((doubles(&mesh), superseded(&mesh)), (vec![], None));
    assert!(mesh.engines[0].is_linked(copied));
}

/// What a host begins a lane with that has met this life of the other one.
fn hello_of_who_met(life: Incarnation) -> Hello {
    let session = |incarnation| SessionId { incarnation, epoch: 0 };
    let heard = Some((session(life), 0));
    Hello { version: wire::VERSION, session: session(Incarnation(1)), heard }
}

#[test]
fn who_says_last_that_a_host_runs_twice_is_named() {
    let mut mesh = Mesh::new(3);
    for teller in [0, 2] {
        let host = mesh.host(teller);
        mesh.engines[1].heard_of_this_host(host, &hello_of_who_met(Incarnation(9)));
    }
    assert_eq!(mesh.superseded(1), Some((mesh.host(2), false)));
    // To have met this life is no sign of another.
    for _ in 0..2 {
        let host = mesh.host(0);
        mesh.engines[2].heard_of_this_host(host, &hello_of_who_met(Incarnation(1)));
    }
    assert_eq!(mesh.superseded(2), None);
}

#[test]
fn what_nobody_has_signed_makes_no_host_a_double_once_or_for_ever() {
    let mut mesh = Mesh::new(2);
    let (host, later) = (mesh.host(0), Incarnation(9));
    let hello = hello_of_who_met(later);
    let says = |mesh: &mut Mesh| {
        let now = mesh.now();
        mesh.engines[1].handle(Input::Tick, now);
        mesh.engines[1].heard_of_this_host(host, &hello);
        mesh.superseded(1)
    };
    assert_eq!((says(&mut mesh), says(&mut mesh)), (None, Some((host, false))));
    mesh.advance(Duration::from_secs(300));
    assert_eq!(mesh.superseded(1), Some((host, false)));
    mesh.advance(Duration::from_secs(1));
    assert_eq!(mesh.superseded(1), None);
    assert_eq!((says(&mut mesh), says(&mut mesh)), (None, Some((host, false))));
}

#[test]
fn doubles_that_are_known_are_counted_also_when_there_is_no_place_for_more() {
    let mut mesh = Mesh::new(1);
    let engine = &mut mesh.engines[0];
    // Other rules are broken by others.
    for _ in 0..2 {
        engine.note_double(numbered(1), &Violation::OutOfOrder);
    }
    for host in 0..=HOSTS_MAX {
        engine.note_double(numbered(host), &Violation::Stale);
    }
    for host in [0, HOSTS_MAX] {
        engine.note_double(numbered(host), &Violation::Stale);
    }
    assert_eq!(engine.doubles(mesh.now).collect::<Vec<_>>(), [(numbered(0), 2)]);
}

#[test]
fn a_host_hears_of_its_double_from_those_who_have_not_met_both() {
    let mut mesh = Mesh::new(3);
    let (relay, known) = (mesh.host(2), mesh.genesis.mesh());
    assert_eq!(mesh.superseded(1), None);
    // The other one tells somebody of itself whom this one has no lane to.
    let mut record = mesh.engines[1].record.clone();
    record.incarnation = Incarnation(9);
    let forged = Signed::new(&key(2), known, &record);
    let record = Signed::new(&key(1), known, &record);
    let (peer, now) = (mesh.engines[1].peers.find(relay).expect("a peer"), mesh.now());
    mesh.engines[1].learn_from(peer, &[forged]);
    assert_eq!(mesh.superseded(1), None);
    let from = mesh.engines[2].peers.find(mesh.host(0)).expect("a peer");
    mesh.engines[2].learn_from(from, &[record]);
    mesh.engines[2].handle(Input::Tick, now);
    mesh.settle();
    assert_eq!(mesh.superseded(1), Some((relay, true)));
    mesh.advance(Duration::from_secs(3600));
    assert_eq!(mesh.superseded(1), Some((relay, true)), "who has signed it is there");
}

#[test]
fn a_host_hears_of_its_double_that_lives_the_same_life() {
    let mut mesh = Mesh::new(2);
    let (host, known) = (mesh.host(0), mesh.genesis.mesh());
    let peer = mesh.engines[1].peers.find(host).expect("a peer");
    let own = mesh.engines[1].record.clone();
    let elsewhere = HostRecord { addresses: vec!["elsewhere".into()], ..own.clone() };
    let earlier = HostRecord { sequence: own.sequence - 1, ..elsewhere.clone() };
    let of_another = HostRecord { host, sequence: own.sequence + 1, ..own.clone() };
    for nothing_new in [own, earlier, of_another] {
        let record = Signed::new(&key(1), known, &nothing_new);
        mesh.engines[1].learn_from(peer, &[record]);
        assert_eq!(mesh.superseded(1), None);
    }
    for sequence in [elsewhere.sequence, elsewhere.sequence + 1] {
        let mut mesh = Mesh::new(2);
        let said = HostRecord { sequence, ..elsewhere.clone() };
        let record = Signed::new(&key(1), known, &said);
        mesh.engines[1].learn_from(peer, &[record]);
        assert_eq!(mesh.superseded(1), Some((host, true)));
    }
}

#[test]
fn a_host_out_of_reach_for_long_is_given_up_and_met_anew() {
    let mut mesh = Mesh::new(2);
    let waiting = mesh.put(0, mesh.probe(1), "wait");
    mesh.cut(0, 1);
    mesh.advance(Duration::from_secs(61));
    assert_eq!(mesh.answers[&waiting], Err(Failure::TimedOut));
    assert_eq!(mesh.engines[0].counters().get(Counter::Abandoned), 1);
    mesh.connect(0, 1);
    mesh.settle();
    for (here, there) in [(0, 1), (1, 0)] {
        let ticket = mesh.put(here, mesh.probe(there), "again");
        assert_eq!(mesh.answers[&ticket], Ok("\"got again\"".into()));
    }
    super::dialogs::tell(&mut mesh, 0, &Shout(1, 2));
    assert_eq!(mesh.log(1).last().map(String::as_str), Some("word 1"));
}

#[test]
fn garbage_on_a_lane_closes_it_and_is_counted() {
    for bytes in [&[0xff; 64][..], &[3, 0, 0, 0, 9, 9, 9], &[1, 0, 0, 0, 0xfe]] {
        let mut mesh = Mesh::new(2);
        let (host, now) = (mesh.host(1), mesh.now());
        mesh.engines[0].handle(Input::LaneBytes { host, bytes }, now);
        assert_eq!(mesh.engines[0].counters().get(Counter::LaneViolations), 1);
        let closed = std::iter::from_fn(|| mesh.engines[0].poll())
            .any(|output| matches!(output, Output::CloseLane { .. }));
        assert!(closed, "{bytes:?}");
    }
}

#[test]
fn everybody_learns_of_everybody() {
    let mut mesh = Mesh::new(4);
    mesh.settle();
    for engine in &mesh.engines {
        assert_eq!(engine.hosts().len(), 4);
    }
    let now = mesh.now();
    mesh.engines[2].leave(now);
    mesh.settle();
    let left = mesh.engines[0].host_view(mesh.host(2)).expect("known");
    assert!(left.record.left);
}

#[test]
fn a_link_ends_with_the_membership_that_opened_it() {
    let mut mesh = Mesh::new(2);
    mesh.advance(Duration::from_secs(7100));
    assert_eq!(mesh.disconnected, []);
    mesh.advance(Duration::from_secs(100));
    let (zero, one) = (mesh.host(0), mesh.host(1));
    assert_eq!(mesh.disconnected, [(0, one), (1, zero)]);
}

#[test]
fn a_host_that_does_not_read_is_given_up() {
    let mut mesh = Mesh::new(2);
    mesh.held.insert((0, 1));
    // Replies may not be dropped: past the hard cap of the queue the lane is of no use.
    for _ in 0..40 {
        let dialog = crate::agent::Dialog {
            asker: Address { host: mesh.host(1), agent: AgentId(1031) },
            number: 1,
            json: false,
        };
        mesh.engines[0].answer(dialog, Ok(vec![0; 1024 * 1024]));
    }
    let now = mesh.now();
    mesh.engines[0].handle(Input::Tick, now);
    assert_eq!(mesh.engines[0].counters().get(Counter::LaneOverflows), 1);
    assert_eq!(mesh.engines[0].counters().get(Counter::Abandoned), 1);
}

#[test]
fn a_host_given_up_for_not_reading_is_met_anew_and_stays() {
    let mut mesh = Mesh::new(2);
    mesh.held.insert((0, 1));
    for _ in 0..40 {
        let asker = Address { host: mesh.host(1), agent: AgentId(1031) };
        let dialog = crate::agent::Dialog { asker, number: 1, json: false };
        mesh.engines[0].answer(dialog, Ok(vec![0; 1024 * 1024]));
    }
    let now = mesh.now();
    mesh.engines[0].handle(Input::Tick, now);
    mesh.cut(0, 1);
    mesh.held.clear();
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(120));
    assert_eq!(mesh.engines[0].counters().get(Counter::Abandoned), 1, "given up once");
    let ticket = mesh.put(0, mesh.probe(1), "well");
    assert_eq!(mesh.answers[&ticket], Ok("\"got well\"".into()));
}
