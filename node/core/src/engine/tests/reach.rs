//! Since when hosts are away, as far as another one knows, and who is looked for.

use starling_protocols::{
    limits::{GONE_AFTER, HOSTS_MAX},
    link,
};

use super::{lanes::numbered, *};

impl Mesh {
    /// For how many seconds a host has been away, as far as another knows.
    fn away(&self, at: usize, host: HostId) -> Option<u64> {
        self.engines[at].absent_for(host).map(|away| away.as_secs())
    }

    /// Time passes at one host, also when nothing is due there.
    fn pass(&mut self, at: usize, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
        let now = self.now();
        self.engines[at].handle(Input::Tick, now);
    }
}

#[test]
fn absences_are_remembered_of_as_many_hosts_as_there_may_be() {
    let mut mesh = Mesh::new(1);
    mesh.pass(0, 100);
    let (first, last) = (numbered(0), numbered(HOSTS_MAX));
    (0..=HOSTS_MAX).for_each(|host| mesh.engines[0].is_missed(numbered(host)));
    // Of who is not remembered it is known that it was not there since this one began.
    assert_eq!((mesh.away(0, first), mesh.away(0, last)), (Some(0), Some(100)));
    // Who is remembered has a place, also when there is none for others.
    mesh.pass(0, GONE_AFTER.as_secs() + 1);
    assert_eq!(mesh.away(0, first), Some(61));
    mesh.engines[0].is_missed(first);
    assert_eq!((mesh.away(0, first), mesh.away(0, last)), (Some(0), Some(161)));
    // Who is back leaves its place to others.
    mesh.engines[0].is_heard_of(first);
    mesh.engines[0].is_missed(last);
    assert_eq!((mesh.away(0, first), mesh.away(0, last)), (Some(161), Some(0)));
}

#[test]
fn a_dial_that_fails_beside_a_connection_says_nothing() {
    let mut mesh = Mesh::new(2);
    let (host, now) = (mesh.host(1), mesh.now());
    let change = LinkChange::DialFailed { why: "nobody listens".into() };
    mesh.engines[0].handle(Input::Link { host, change }, now);
    assert_eq!(mesh.away(0, host), None);
    mesh.pass(0, 30);
    mesh.cut(0, 1);
    assert_eq!(mesh.away(0, host), Some(0));
}

#[test]
fn whoever_is_looked_for_is_dialled_once_if_it_is_not_there() {
    let mut mesh = Mesh::new(2);
    let [me, host] = [0, 1].map(|host| mesh.host(host));
    mesh.settle();
    mesh.dialled.clear();
    // As in a mesh that is too large for a link between every two.
    mesh.engines[0].links.release(host);
    for looked_for in [me, host, numbered(7)] {
        mesh.engines[0].look_for(looked_for);
        mesh.settle();
        assert_eq!(mesh.dialled, []);
    }
    mesh.cut(0, 1);
    assert_eq!(mesh.engines[0].links.state(host), link::State::Down, "it was there");
    for _ in 0..2 {
        mesh.engines[0].look_for(host);
        mesh.settle();
        assert_eq!(mesh.dialled, [(0, host)]);
    }
}
