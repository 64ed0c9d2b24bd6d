//! Which hosts this host is linked to, and when a lost link is dialled again: jitter, doubling,
//! ceiling, and never two dials of one host at once.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    entropy::Entropy,
    ident::HostId,
    limits::{REDIAL_FIRST, REDIAL_MAX},
    time::{Deadlines, Time},
};

/// The links of one host.
#[derive(Debug)]
pub struct Links {
    links: BTreeMap<HostId, Link>,
    redials: Deadlines<HostId>,
    entropy: Entropy,
}

#[derive(Debug, Default)]
struct Link {
    state: State,
    failures: u32,
    /// A link is kept when the mesh wants it, not only while somebody has something to say.
    kept: bool,
}

/// Where one link stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No connection, and none wanted now.
    #[default]
    Down,
    /// A connection is being made.
    Dialling,
    /// Waiting to dial again.
    Waiting {
        /// When.
        until: Time,
    },
    /// Connected, and both sides passed the gate.
    Up,
}

impl Links {
    /// No links.
    #[must_use]
    pub const fn new(entropy: Entropy) -> Self {
        Self { links: BTreeMap::new(), redials: Deadlines::new(), entropy }
    }

    /// Asks for a link to `host`; `keep` asks for it for as long as the host is a member. Gives
    /// whether to dial now.
    pub fn want(&mut self, host: HostId, keep: bool) -> bool {
        let link = self.links.entry(host).or_default();
        link.kept |= keep;
        let dial = link.state == State::Down;
        if dial {
            link.state = State::Dialling;
        }
        dial
    }

    /// Stops wanting a link; an existing connection stays until it is lost.
    pub fn release(&mut self, host: HostId) {
        let Some(link) = self.links.get_mut(&host) else { return };
        link.kept = false;
        if let State::Waiting { until } = link.state {
            self.redials.clear(until, host);
            link.state = State::Down;
        }
    }

    /// Stops wanting all links but those `wanted`, which are in the order of their ids. Takes time
    /// in proportion to the links there are, not to the hosts of the mesh.
    pub fn keep_only(&mut self, wanted: &[HostId]) {
        let unwanted = |host: &HostId| wanted.binary_search(host).is_err();
        let kept = self.links.iter().filter(|(host, link)| link.kept && unwanted(host));
        let kept: Vec<HostId> = kept.map(|(host, _)| *host).collect();
        kept.into_iter().for_each(|host| self.release(host));
        self.links.retain(|host, link| link.state != State::Down || !unwanted(host));
    }

    /// A connection to `host` passed the gate.
    pub fn up(&mut self, host: HostId) {
        let link = self.links.entry(host).or_default();
        if let State::Waiting { until } = link.state {
            self.redials.clear(until, host);
        }
        link.state = State::Up;
        link.failures = 0;
    }

    /// A dial of `host` failed. Gives when it is dialled again, if it is.
    ///
    /// A host that is connected stays so: its own dial came through first.
    pub fn dial_failed(&mut self, host: HostId, now: Time) -> Option<Time> {
        if self.state(host) == State::Up {
            return None;
        }
        self.down(host, now)
    }

    /// The last connection to `host` was lost. Gives when it is dialled again, if it is.
    pub fn down(&mut self, host: HostId, now: Time) -> Option<Time> {
        let link = self.links.get_mut(&host)?;
        if let State::Waiting { until } = link.state {
            return Some(until);
        }
        if !link.kept {
            self.links.remove(&host);
            return None;
        }
        let wait = backoff(link.failures);
        let until = now + self.entropy.jitter(wait);
        link.failures = link.failures.saturating_add(1);
        link.state = State::Waiting { until };
        self.redials.set(until, host);
        Some(until)
    }

    /// The next host to dial now, if the wait of one is over.
    pub fn due(&mut self, now: Time) -> Option<HostId> {
        let host = self.redials.pop(now)?;
        self.links.entry(host).or_default().state = State::Dialling;
        Some(host)
    }

    /// When the next dial is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.redials.next()
    }

    /// Where the link to `host` stands.
    #[must_use]
    pub fn state(&self, host: HostId) -> State {
        self.links.get(&host).map_or(State::Down, |link| link.state)
    }
}

fn backoff(failures: u32) -> Duration {
    REDIAL_FIRST.saturating_mul(1 << failures.min(16)).min(REDIAL_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Want(u8, bool),
        Release(u8),
        Up(u8),
        Lost(u8),
        Fails(u8),
        Sleep(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let host = 0..3u8;
        prop_oneof![
            3 => (host.clone(), any::<bool>()).prop_map(|(host, keep)| Op::Want(host, keep)),
            1 => host.clone().prop_map(Op::Release),
            2 => host.clone().prop_map(Op::Up),
            2 => host.clone().prop_map(Op::Lost),
            4 => host.prop_map(Op::Fails),
            3 => (0..40_000u64).prop_map(Op::Sleep),
        ]
    }

    /// What the host sees: whether it dials, is connected, and whether the link is kept.
    #[derive(Clone, Copy, Debug, Default)]
    struct Seen {
        dialling: bool,
        up: bool,
        kept: bool,
    }

    struct World {
        links: Links,
        seen: [Seen; 3],
        now: Time,
    }

    fn host(number: u8) -> HostId {
        HostId([number; 32])
    }

    impl World {
        fn dial(&mut self, number: u8) {
            let seen = &mut self.seen[number as usize];
            assert!(!seen.dialling && !seen.up, "one dial, and none of who is connected");
            seen.dialling = true;
        }

        fn down(&mut self, number: u8, failed: bool) {
            let Seen { kept, .. } = self.seen[number as usize];
            let again = match failed {
                true => self.links.dial_failed(host(number), self.now),
                false => self.links.down(host(number), self.now),
            };
            assert_eq!(again.is_some(), kept, "who is kept is dialled again");
            if let Some(at) = again {
                let wait = at.since(self.now);
                assert!(wait >= REDIAL_FIRST / 2 && wait <= REDIAL_MAX, "{wait:?}");
                assert_eq!(self.links.state(host(number)), State::Waiting { until: at });
            }
        }

        fn act(&mut self, op: Op) {
            match op {
                Op::Want(number, keep) => {
                    self.seen[number as usize].kept |= keep;
                    if self.links.want(host(number), keep) {
                        self.dial(number);
                    }
                }
                Op::Release(number) => {
                    self.seen[number as usize].kept = false;
                    self.links.release(host(number));
                }
                Op::Up(number) => {
                    let kept = self.seen[number as usize].kept;
                    self.seen[number as usize] = Seen { dialling: false, up: true, kept };
                    self.links.up(host(number));
                    assert_eq!(self.links.state(host(number)), State::Up);
                }
                Op::Lost(number) if self.seen[number as usize].up => {
                    self.seen[number as usize].up = false;
                    self.down(number, false);
                }
                Op::Fails(number) if self.seen[number as usize].dialling => {
                    self.seen[number as usize].dialling = false;
                    self.down(number, true);
                }
                Op::Lost(_) | Op::Fails(_) => {}
                Op::Sleep(millis) => self.now = self.now + Duration::from_millis(millis),
            }
            while let Some(due) = self.links.due(self.now) {
                self.dial(due.0[0]);
            }
            assert!(self.links.next_deadline().is_none_or(|at| at > self.now));
        }
    }

    proptest! {
        #[test]
        fn never_two_dials_of_one_host(ops in prop::collection::vec(op(), 0..80)) {
            let links = Links::new(Entropy::from_seed([1; 32]));
            let mut world = World { links, seen: Default::default(), now: Time::ZERO };
            ops.into_iter().for_each(|op| world.act(op));
        }
    }

    #[test]
    fn waits_double_up_to_the_ceiling_and_begin_anew_after_a_success() {
        let mut links = Links::new(Entropy::from_seed([1; 32]));
        let (host, mut now) = (host(1), Time::ZERO);
        assert!(links.want(host, true));
        for failures in 0..40 {
            let at = links.dial_failed(host, now).expect("it is kept");
            let base = backoff(failures);
            assert!(at.since(now) >= base / 2 && at.since(now) <= base);
            now = at;
            assert_eq!(links.due(now), Some(host));
        }
        assert_eq!(
            (backoff(0), backoff(1), backoff(u32::MAX)),
            (REDIAL_FIRST, 2 * REDIAL_FIRST, REDIAL_MAX)
        );
        links.up(host);
        assert!(links.down(host, now).expect("it is kept").since(now) <= REDIAL_FIRST);
    }

    #[test]
    fn only_the_links_wanted_are_kept() {
        let mut links = Links::new(Entropy::from_seed([1; 32]));
        for number in 0..4 {
            links.want(host(number), true);
        }
        links.up(host(0));
        links.dial_failed(host(1), Time::ZERO);
        links.dial_failed(host(2), Time::ZERO);
        links.keep_only(&[host(2)]);
        let states = [0, 1, 2, 3].map(|number| links.state(host(number)));
        assert_eq!((states[0], states[1], states[3]), (State::Up, State::Down, State::Dialling));
        assert!(matches!(states[2], State::Waiting { .. }));
        assert_eq!(links.links.len(), 3, "nothing is left of one that is down");
        assert_eq!(links.down(host(0), Time::ZERO), None);
        assert_eq!(links.dial_failed(host(3), Time::ZERO), None);
        let State::Waiting { until } = states[2] else { panic!("it waits") };
        assert_eq!((links.due(until), links.due(until)), (Some(host(2)), None));
    }

    #[test]
    fn a_dial_that_fails_beside_a_connection_changes_nothing() {
        let mut links = Links::new(Entropy::from_seed([1; 32]));
        links.want(host(1), true);
        links.up(host(1));
        assert_eq!(links.dial_failed(host(1), Time::ZERO), None);
        assert_eq!((links.state(host(1)), links.next_deadline()), (State::Up, None));
    }
}
