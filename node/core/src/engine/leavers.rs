use starling_protocols::{
    ident::HostId,
    limits::{LINKS_KEPT_MAX, REDIAL_LEFT, REDIAL_LEFT_HOSTS_MAX},
};

use super::{Due, Engine};

/// Whose turn it is of the hosts that have left.
///
/// One that is back tells so to whom it knows to be there. But two hosts that were down in turn may
/// each have heard the other's goodbye last, and then nobody would speak first. So hosts that have
/// left are dialled, too: when a daemon starts, and seldom later.
pub(super) struct Leavers {
    /// The last one that was dialled.
    last: HostId,
    /// Whether there will be another round.
    awaited: bool,
}

impl Leavers {
    pub(super) const fn new(me: HostId) -> Self {
        Self { last: me, awaited: false }
    }
}

impl Engine {
    /// Dials hosts that have left, for the first time in this life.
    pub(super) fn begin_leavers(&mut self) {
        self.dial_leavers(LINKS_KEPT_MAX);
    }

    /// Another round is due.
    pub(super) fn leavers_are_due(&mut self) {
        self.leavers.awaited = false;
        self.dial_leavers(REDIAL_LEFT_HOSTS_MAX);
    }

    fn dial_leavers(&mut self, count: usize) {
        if self.record.left {
            return;
        }
        for host in self.roster.left_behind(self.leavers.last, count, self.wall) {
            self.leavers.last = host;
            if self.links.want(host, false) {
                self.dial_at_its_addresses(host);
            }
        }
        self.await_leavers();
    }

    /// Sees to it that there is another round, as long as there is anybody who has left.
    pub(super) fn await_leavers(&mut self) {
        if !self.leavers.awaited && self.roster.present() < self.roster.len() {
            self.leavers.awaited = true;
            let wait = self.entropy.jitter(REDIAL_LEFT);
            self.due.set(self.now + wait, Due::Leavers);
        }
    }
}
