use std::{collections::BTreeMap, time::Duration};

use starling_protocols::{
    ident::HostId,
    limits::{GONE_AFTER, HOSTS_MAX},
    link,
    time::Time,
};

use super::{Engine, HostState};

/// Since when other hosts are away, as far as this host knows: it remembers nothing of that from
/// its earlier lives.
pub(super) struct Absences {
    began: Time,
    hosts: BTreeMap<HostId, Absence>,
}

#[derive(Clone, Copy)]
struct Absence {
    since: Time,
    /// When that was found last.
    found: Time,
}

impl Absences {
    pub(super) const fn new(began: Time) -> Self {
        Self { began, hosts: BTreeMap::new() }
    }

    /// A host could not be reached, or a link to it was lost.
    fn missed(&mut self, host: HostId, now: Time) {
        if self.hosts.len() < HOSTS_MAX || self.hosts.contains_key(&host) {
            let absence = self.hosts.entry(host).or_insert(Absence { since: now, found: now });
            // It may have been there meanwhile.
            if now.since(absence.found) > GONE_AFTER {
                absence.since = now;
            }
            absence.found = now;
        }
    }

    fn heard_of(&mut self, host: HostId) {
        self.hosts.remove(&host);
    }
}

impl Engine {
    /// A host could not be reached, or the last connection to it was lost.
    pub(super) fn is_missed(&mut self, host: HostId) {
        // A dial that fails beside a connection says nothing.
        if self.links.state(host) != link::State::Up {
            self.absences.missed(host, self.now);
        }
    }

    /// A host is there, or has said something of itself that was not known: lately, perhaps.
    pub(super) fn is_heard_of(&mut self, host: HostId) {
        self.absences.heard_of(host);
    }

    /// A host has said that it goes down: it may be back in a moment.
    pub(super) fn has_said_goodbye(&mut self, host: HostId) {
        self.absences.heard_of(host);
        self.absences.missed(host, self.now);
    }

    /// Has a host dialled that others are to be sure of, for as long as nothing else is wanted: in a
    /// large mesh nobody dials most of them.
    pub(super) fn look_for(&mut self, host: HostId) {
        let is_there = self.is_linked(host) || self.links.state(host) == link::State::Up;
        let can_be_dialled = self.roster.get(host).is_some_and(|record| !record.left);
        if host != self.me && !is_there && can_be_dialled && self.links.want(host, true) {
            self.dial(host);
        }
    }

    /// For how long a host has been away without a break, as far as is known here; nothing when it
    /// is there, or when nobody has looked lately.
    pub(super) fn absent_for(&self, host: HostId) -> Option<Duration> {
        // Also one of which nothing is known, because there is no room for its record.
        if self.is_linked(host) || self.links.state(host) == link::State::Up {
            return None;
        }
        let now = self.now;
        let known = self.absences.hosts.get(&host);
        let state = self.roster.get(host).map(|record| self.state_of(record));
        match state {
            Some(HostState::Myself | HostState::Linked) => None,
            // It is dialled too seldom to be found out of reach: it would come by itself.
            None | Some(HostState::Left) => {
                Some(now.since(known.map_or(self.absences.began, |absence| absence.since)))
            }
            Some(HostState::Dialling | HostState::Unreachable | HostState::Known) => known
                .filter(|absence| now.since(absence.found) <= GONE_AFTER)
                .map(|absence| now.since(absence.since)),
        }
    }
}
