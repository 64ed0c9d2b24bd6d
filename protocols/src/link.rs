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
