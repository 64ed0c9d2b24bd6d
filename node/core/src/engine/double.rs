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
    own: Option<HostId>,
    others: BTreeMap<HostId, Signs>,
}

struct Signs {
    times: u64,
    last: Time,
}

impl Engine {
    /// A linked host that knows of a later life of this host than this one: another daemon has its
    /// identity, and whoever meets that one turns this one away.
    #[must_use]
    pub const fn superseded(&self) -> Option<HostId> {
        self.doubles.own
    }

    /// Hosts that seem to run twice: daemons of an earlier life than the one met came lately, with
    /// how often.
    pub fn doubles(&self, now: Time) -> impl Iterator<Item = (HostId, u64)> {
        let lately = move |signs: &Signs| now.since(signs.last) <= TOLD_FOR;
        let all = self.doubles.others.iter();
        let all = all.filter(move |(_, signs)| signs.times >= SIGNS_MIN && lately(signs));
        all.map(|(host, signs)| (*host, signs.times))
    }

    /// A host says on a new lane whom it has met as this host.
    pub(super) fn heard_of_this_host(&mut self, from: HostId, hello: &Hello) {
        let met = hello.heard.map(|(session, _)| session.incarnation);
        if met.is_some_and(|met| met > self.record.incarnation) {
            self.doubles.own = Some(from);
        }
    }

    /// A host knows these records: one of them may be of this host, and not by it.
    pub(super) fn look_for_itself(&mut self, from: HostId, records: &[Signed<HostRecord>]) {
        let mesh = self.credential.mesh();
        for record in records.iter().filter(|record| record.signer() == self.me) {
            let said = record.open(mesh).ok().filter(|said| said.host == self.me);
            if said.is_some_and(|said| said.incarnation > self.record.incarnation) {
                self.doubles.own = Some(from);
            }
        }
    }

    /// A host broke a rule: perhaps because it is not the one that was met before.
    pub(super) fn note_double(&mut self, host: HostId, violation: &Violation) {
        let others = &mut self.doubles.others;
        if *violation != Violation::Stale || others.len() >= HOSTS_MAX {
            return;
        }
        let now = self.now;
        let signs = others.entry(host).or_insert(Signs { times: 0, last: now });
        if now.since(signs.last) > TOLD_FOR {
            signs.times = 0;
        }
        (signs.times, signs.last) = (signs.times + 1, now);
    }
}
