//! The hosts that there is a lane to.

use super::{Message, Replication, Want};
use crate::{
    ident::HostId,
    limits::{DOCUMENTS_PER_MESSAGE_MAX, DOCUMENTS_STATE_EVERY},
    reconcile,
    time::Time,
};

impl Replication {
    /// There is a lane to a host.
    pub fn lane_up(&mut self, host: HostId) {
        self.peers.insert(host);
        self.refusals.forget(host);
        if self.away.is_none() {
            self.send(vec![host], Message::InTouch);
        }
        self.tell_state(host);
        let damaged: Vec<_> =
            self.replicas.damaged().map(|(name, _)| Want::whole(name.clone())).collect();
        for wanted in damaged.chunks(DOCUMENTS_PER_MESSAGE_MAX) {
            self.send(vec![host], Message::Want(wanted.to_vec()));
        }
    }

    /// There is none any more.
    pub fn lane_down(&mut self, host: HostId, now: Time) {
        if self.peers.remove(&host) {
            self.awaited.lost(host);
            let acts = self.reconciler.lost(host, &self.replicas, now);
            self.act(acts);
        }
    }

    /// Two hosts may have something else, though they have a lane: because what was to be sent
    /// could not be, for one. They compare in a while.
    pub fn compare_later(&mut self, now: Time) {
        self.state_at.get_or_insert(now + DOCUMENTS_STATE_EVERY);
    }

    pub(super) fn tell_state(&mut self, host: HostId) {
        let state = reconcile::state(&self.replicas, self.me, host);
        self.send(vec![host], Message::Digest(state));
    }
}
