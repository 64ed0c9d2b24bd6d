//! What is to come of a question under way.
//!
//! A peer that is asked for what this host lacks offers it, and says that this was all, or that
//! there is more. What is wished for of that comes later. Only then it shows whether the answer
//! brought something, and is worth another question.

use std::collections::BTreeSet;

use super::{DocName, Replication};
use crate::{
    ident::HostId,
    limits::{DOCUMENTS_AWAITED_MAX, DOCUMENTS_AWAITED_TIMEOUT},
    reconcile::Digest,
    time::Time,
};

#[derive(Debug, Default)]
pub(super) struct Awaited {
    peer: Option<HostId>,
    names: BTreeSet<DocName>,
    /// That it was all, or that there is more, as the peer has said; and until when what it said
    /// is held back.
    done: Option<(bool, Time)>,
}

impl Awaited {
    /// What a peer offered while it was asked is wished for.
    pub(super) fn wanted(&mut self, peer: HostId, names: impl Iterator<Item = DocName>) {
        if self.peer != Some(peer) {
            *self = Self { peer: Some(peer), ..Self::default() };
        }
        let room = DOCUMENTS_AWAITED_MAX.saturating_sub(self.names.len());
        self.names.extend(names.take(room));
    }

    /// A peer says that its answer has ended. Gives whether that is not true yet.
    pub(super) fn holds_back(&mut self, peer: HostId, more: bool, now: Time) -> bool {
        let held_back = self.peer == Some(peer) && !self.names.is_empty();
        if held_back {
            self.done = Some((more, now + DOCUMENTS_AWAITED_TIMEOUT));
        }
        held_back
    }

    /// Something has come from a peer, and was taken or refused.
    pub(super) fn came(&mut self, peer: HostId, name: &DocName, now: Time) {
        if self.peer == Some(peer) && self.names.remove(name) {
            self.done = self.done.map(|(more, _)| (more, now + DOCUMENTS_AWAITED_TIMEOUT));
        }
    }

    pub(super) fn lost(&mut self, peer: HostId) {
        if self.peer == Some(peer) {
            *self = Self::default();
        }
    }

    pub(super) fn until(&self) -> Option<Time> {
        self.done.map(|(_, until)| until)
    }

    /// Whose answer has ended, and whether there is more: because all of it has come, or no more
    /// of it comes.
    fn ended(&mut self, now: Time) -> Option<(HostId, bool)> {
        let (more, until) = self.done?;
        let ended = self.names.is_empty() || until <= now;
        let peer = self.peer.filter(|_| ended)?;
        *self = Self::default();
        Some((peer, more))
    }
}

impl Replication {
    /// Asks for more, or asks the next peer, when all has come that was wished for.
    pub(super) fn go_on_asking(&mut self, now: Time) {
        if let Some((peer, more)) = self.awaited.ended(now) {
            // The question may have been given up meanwhile.
            let _ = self.digest(peer, &Digest::Done { more }, now);
        }
    }
}
