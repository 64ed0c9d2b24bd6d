use std::{collections::BTreeMap, time::Duration};

use starling_protocols::{
    exchange::{Hello, Violation},
    ident::{HostId, Signed},
    limits::HOSTS_MAX,
    roster::HostRecord,
    time::Time,
};

use super::Engine;

/// How long a host counts as running twice after the last sign of it. The daemon that is turned away
/// tries again within seconds.
const TOLD_FOR: Duration = Duration::from_secs(300);

/// One sign alone may be a lane of an earlier life that came late.
const SIGNS_MIN: u64 = 2;

/// Signs of daemons that have one identity: their data directory was copied, perhaps.
#[derive(Default)]
pub(super) struct Doubles {
    /// Whoever has a record that another daemon has signed as this host.
    proven: Option<HostId>,
    /// Whoever says that it has met a later life of this host. That is not signed.
    said: Option<(HostId, Signs)>,
    others: BTreeMap<HostId, Signs>,
}

struct Signs {
    times: u64,
    last: Time,
}

impl Signs {
    const fn new(now: Time) -> Self {
        Self { times: 0, last: now }
    }

    fn note(&mut self, now: Time) {
        if now.since(self.last) > TOLD_FOR {
            self.times = 0;
        }
        (self.times, self.last) = (self.times + 1, now);
    }

    /// Whether they are enough, and came lately.
    fn count(&self, now: Time) -> bool {
        self.times >= SIGNS_MIN && now.since(self.last) <= TOLD_FOR
    }
}

/// Another daemon has the identity of this one, and began no earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// The host that knows of it.
    pub known_to: HostId,
    /// Whether the other has signed something as this host: that stays true as long as this one
    /// lives. Otherwise it is what the host says, and passes some minutes after it was said last.
    pub is_proven: bool,
}

impl Engine {
    /// Whether a linked host knows of another daemon that has the identity of this one: whoever
    /// meets a later one turns this one away.
    #[must_use]
    pub fn superseded(&self, now: Time) -> Option<Superseded> {
        let said = self.doubles.said.as_ref().filter(|(_, signs)| signs.count(now));
        let said = said.map(|(host, _)| Superseded { known_to: *host, is_proven: false });
        let proven = self.doubles.proven;
        proven.map(|known_to| Superseded { known_to, is_proven: true }).or(said)
    }

    /// Hosts that seem to run twice: daemons of an earlier life than the one met came lately, with
    /// how often.
    pub fn doubles(&self, now: Time) -> impl Iterator<Item = (HostId, u64)> {
        let all = self.doubles.others.iter().filter(move |(_, signs)| signs.count(now));
        all.map(|(host, signs)| (*host, signs.times))
    }

    /// A host says on a new lane whom it has met as this host.
    pub(super) fn heard_of_this_host(&mut self, from: HostId, hello: &Hello) {
        let met = hello.heard.map(|(session, _)| session.incarnation);
        if met.is_some_and(|met| met > self.record.incarnation) {
            let now = self.now;
            let (host, signs) = self.doubles.said.get_or_insert((from, Signs::new(now)));
            *host = from;
            signs.note(now);
        }
    }

    /// A host knows these records: one of them may be of this host, and not by it.
    pub(super) fn look_for_itself(&mut self, from: HostId, records: &[Signed<HostRecord>]) {
        let Some(own) = self.roster.known(self.me) else { return };
        let foreign = |record: &&Signed<HostRecord>| {
            record.signer() == self.me
                && *record != own.signed()
                && record.open(self.credential.mesh()).is_ok_and(|said| {
                    // A machine that was copied while it ran is two in one life.
                    said.host == self.me && said.age() >= own.record().age()
                })
        };
        if records.iter().any(|record| foreign(&record)) {
            self.doubles.proven = Some(from);
        }
    }

    /// A host broke a rule: perhaps because it is not the one that was met before.
    pub(super) fn note_double(&mut self, host: HostId, violation: &Violation) {
        let (now, others) = (self.now, &mut self.doubles.others);
        let has_place = others.len() < HOSTS_MAX || others.contains_key(&host);
        if *violation == Violation::Stale && has_place {
            others.entry(host).or_insert(Signs::new(now)).note(now);
        }
    }
}
