//! Hosts that went down on purpose are looked for all the same.

use std::iter;

use starling_protocols::{
    limits::{LINKS_KEPT_MAX, REDIAL_LEFT, REDIAL_LEFT_HOSTS_MAX},
    roster::Roster,
};

use super::{super::HostState, *};

impl Mesh {
    /// A host begins its next life, and nobody is linked to it.
    fn wake(&mut self, host: usize, known: Known) {
        self.engines[host] = Engine::new(Config { known, ..self.config(host, 2) }, self.now());
        self.settle();
    }

    /// Whom a host has dialled since this was asked last. Nobody listens.
    fn dialled_in_vain(&mut self, from: usize) -> Vec<HostId> {
        let dials = self.dialled.extract_if(.., |(here, _)| *here == from);
        let dialled: Vec<_> = dials.map(|(_, host)| host).collect();
        for host in &dialled {
            let change = LinkChange::DialFailed { why: "nobody listens".into() };
            let now = self.now();
            self.engines[from].handle(Input::Link { host: *host, change }, now);
        }
        self.settle();
        dialled
    }

    fn state(&self, here: usize, there: usize) -> HostState {
        self.engines[here].host_view(self.host(there)).expect("known").state
    }

    fn is_told_of_dials(&self) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, Event::DialFailed { .. }))
    }
}

/// What one of two hosts knows when the other has said goodbye.
fn after_the_goodbye_of(host: usize) -> Roster {
    let mut mesh = Mesh::new(2);
    let now = mesh.now();
    mesh.engines[host].leave(now);
    mesh.settle();
    mesh.engines[1 - host].roster().clone()
}

fn records(roster: &Roster) -> Known {
    Known::Records(roster.signed().cloned().collect())
}

/// Two hosts that begin, each of which has heard the other's goodbye last.
fn strangers(known: fn(&Roster) -> Known) -> Mesh {
    let mut mesh = Mesh::apart(vec![0..0; 2], false);
    mesh.settle();
    mesh.dialled.clear();
    for host in 0..2 {
        mesh.wake(host, known(&after_the_goodbye_of(1 - host)));
        assert_eq!(mesh.state(host, 1 - host), HostState::Left);
    }
    mesh
}

#[test]
fn a_host_that_begins_dials_whom_it_holds_for_gone() {
    for known in [records, |roster: &Roster| Known::Checked(roster.clone())] {
        let mut mesh = strangers(known);
        let hosts = [mesh.host(0), mesh.host(1)];
        assert_eq!(mesh.dialled, [(0, hosts[1]), (1, hosts[0])]);
        // The other was not there yet when the first began.
        mesh.dialled_in_vain(0);
        mesh.connect(1, 0);
        mesh.settle();
        assert_eq!((mesh.state(0, 1), mesh.state(1, 0)), (HostState::Linked, HostState::Linked));
        assert!(!mesh.is_told_of_dials());
        // From now on it is a host as any other.
        mesh.dialled.clear();
        mesh.cut(0, 1);
        mesh.advance(Duration::from_secs(1));
        assert_eq!(mesh.dialled_in_vain(0), [hosts[1]]);
        assert!(mesh.is_told_of_dials());
    }
}

#[test]
fn hosts_that_hold_each_other_for_gone_find_each_other_without_beginning_anew() {
    let mut mesh = strangers(records);
    let [first, second] = [mesh.host(0), mesh.host(1)];
    assert_eq!((mesh.dialled_in_vain(0), mesh.dialled_in_vain(1)), (vec![second], vec![first]));
    for _ in 0..5 {
        mesh.advance(REDIAL_LEFT);
        let dialled = mesh.dialled_in_vain(0);
        assert!(!dialled.is_empty() && dialled.iter().all(|host| *host == second));
        assert!(dialled.len() <= 2, "seldom");
        assert_eq!(mesh.state(0, 1), HostState::Left);
    }
    assert!(!mesh.is_told_of_dials(), "it said that it would not be there");
    mesh.connect(0, 1);
    mesh.settle();
    assert_eq!((mesh.state(0, 1), mesh.state(1, 0)), (HostState::Linked, HostState::Linked));
    mesh.dialled.clear();
    mesh.advance(10 * REDIAL_LEFT);
    assert_eq!(mesh.dialled, [], "there is nobody to look for");
}

#[test]
fn who_says_goodbye_is_looked_for_until_it_is_back() {
    let mut mesh = Mesh::new(3);
    let [me, mut gone @ ..] = [0, 1, 2].map(|host| mesh.host(host));
    gone.sort_unstable();
    for host in [1, 2] {
        let now = mesh.now();
        mesh.engines[host].leave(now);
        mesh.settle();
        mesh.cut(0, host);
    }
    mesh.dialled.clear();
    mesh.advance(REDIAL_LEFT / 4);
    assert_eq!(mesh.dialled_in_vain(0), []);
    mesh.advance(3 * REDIAL_LEFT / 4);
    let mut dialled = mesh.dialled_in_vain(0);
    dialled.sort_unstable();
    assert_eq!(dialled, gone);
    let by_the_first = mesh.dialled.iter().filter(|(here, host)| *here == 1 && *host != me);
    assert_eq!(by_the_first.count(), 0, "who goes down looks for nobody");
}

#[test]
fn of_many_that_left_a_few_are_dialled_at_a_time_and_all_in_turn() {
    let mut mesh = Mesh::apart(iter::once(0..0).collect(), false);
    let many = LINKS_KEPT_MAX + 2 * REDIAL_LEFT_HOSTS_MAX;
    let goodbye = |number: usize| {
        let own = key(number + 1);
        let first = mesh.first_record(&own, format!("host-{number}"), Vec::new());
        let record = first.open(mesh.genesis.mesh()).expect("its own record");
        Signed::new(&own, mesh.genesis.mesh(), &HostRecord { left: true, ..record })
    };
    let records: Vec<_> = (0..many).map(goodbye).collect();
    mesh.wake(0, Known::Records(records.clone()));
    let mut dialled = mesh.dialled_in_vain(0);
    assert_eq!(dialled.len(), LINKS_KEPT_MAX);
    for _ in 0..2 {
        let next = mesh.engines[0].next_deadline().expect("there is another round").0;
        mesh.advance(next.since(mesh.now));
        let round = mesh.dialled_in_vain(0);
        assert_eq!(round.len(), REDIAL_LEFT_HOSTS_MAX);
        dialled.extend(round);
        // There is one wait for a round, whoever else leaves.
        mesh.engines[0].await_leavers();
        let next = mesh.engines[0].next_deadline().expect("there is another round").0;
        assert!(next.since(mesh.now) >= REDIAL_LEFT / 2);
    }
    dialled.sort_unstable();
    let mut hosts: Vec<_> = records.iter().map(Signed::signer).collect();
    hosts.sort_unstable();
    assert_eq!(dialled, hosts);
    let peers = hosts.iter().filter_map(|host| mesh.engines[0].peers.find(*host));
    assert_eq!(peers.count(), 0, "nothing is kept of them");
}

#[test]
fn whoever_is_dialled_already_is_not_dialled_once_more() {
    let mut mesh = strangers(records);
    let dials = mesh.dialled.clone();
    assert_eq!(dials.len(), 2);
    mesh.advance(3 * REDIAL_LEFT);
    assert_eq!(mesh.dialled, dials);
}

#[test]
fn hosts_look_for_those_that_left_at_different_times() {
    let mesh = strangers(records);
    let next = [0, 1].map(|host| mesh.engines[host].next_deadline().map(|next| next.0));
    assert!(next.iter().all(Option::is_some) && next[0] != next[1], "{next:?}");
}

#[test]
fn where_nobody_has_left_nothing_is_waited_for() {
    let mut mesh = Mesh::apart(iter::once(0..0).collect(), false);
    mesh.settle();
    mesh.advance(Duration::from_secs(1));
    mesh.engines[0].await_leavers();
    assert_eq!(mesh.engines[0].next_deadline(), None);
}
