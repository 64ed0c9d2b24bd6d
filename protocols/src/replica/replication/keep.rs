//! What becomes of documents as time goes by.

use super::{Away, DocName, Message, Output, Pen, Replication, Want};
use crate::{
    ident::HostId,
    limits::{DOCUMENT_UNVOUCHED_TRIES_MAX, DOCUMENTS_UNVOUCHED_MAX},
    time::{Time, WallTime},
};

impl Replication {
    /// Repeats in the present history of a document what others have done in earlier ones; see
    /// [`Output::Carry`]. The result is stored and sent like a change that was made here.
    pub fn carry(&mut self, name: &DocName, pen: &Pen<'_>) {
        let (base, heads) = (self.replicas.base(name), self.replicas.heads(name).to_vec());
        let carried = self.replicas.carry(name, pen);
        for dropped in carried.dropped {
            self.outputs.push_back(Output::Dropped { name: name.clone(), dropped });
        }
        if carried.waiting > 0 {
            self.outputs.push_back(Output::Waiting { name: name.clone() });
        }
        if self.replicas.base(name) != base || self.replicas.heads(name) != heads {
            self.pushes(name, heads);
            self.change(name.clone(), None);
        } else if carried.changed {
            self.changed.insert(name.clone());
        }
    }

    /// Forgets old deletions; see [`Replicas::collect`](crate::replica::Replicas::collect). Called
    /// about once in an hour.
    pub fn collect(&mut self, now: WallTime) {
        let (noted, forgotten) = self.replicas.collect(now);
        self.changed.extend(noted);
        self.forgotten.extend(forgotten);
    }

    /// Vouches for what only hosts vouch for that have left; see
    /// [`Replicas::vouch`](crate::replica::Replicas::vouch). Called seldom.
    pub fn vouch(&mut self, pen: &Pen<'_>, is_member: impl Fn(HostId) -> bool) {
        self.changed.extend(self.replicas.vouch(pen, is_member));
    }

    /// This host had no lane to anybody since `contact`, for longer than half of
    /// [`TOMBSTONE_KEPT`](crate::limits::TOMBSTONE_KEPT); or it is new in its mesh, and has nothing
    /// yet. Called before the first lane is there.
    ///
    /// It [doubts](crate::replica::Replicas::doubt) what it has. Some minutes after the first peer
    /// has said something, what no peer has is dropped, if one of them was not away itself; if all
    /// were, everything is good again.
    pub fn was_away(&mut self, contact: WallTime) {
        self.replicas.doubt(self.me, contact);
        self.away = Some(Away::default());
    }

    pub(super) fn decide(&mut self, now: Time) {
        let due = |away: &Away| away.until.is_some_and(|until| until <= now);
        let Some(away) = self.away.take_if(|away| due(away)) else { return };
        for (name, dropped) in self.replicas.decide(away.asked) {
            self.forgotten.insert(name.clone());
            self.outputs.push_back(Output::Dropped { name: name.clone(), dropped });
            self.outputs.push_back(Output::Changed { name, from: None });
        }
        let peers: Vec<HostId> = self.peers.iter().copied().collect();
        self.send(peers.clone(), Message::InTouch);
        peers.into_iter().for_each(|host| self.tell_state(host));
    }

    /// Asks for a document again in a while: more may be known then of who is a member, or another
    /// host may vouch for it.
    pub(super) fn ask_again(&mut self, name: DocName, now: Time) {
        if self.unvouched.len() < DOCUMENTS_UNVOUCHED_MAX || self.unvouched.contains_key(&name) {
            self.unvouched.entry(name).or_default();
            self.compare_later(now);
        }
    }

    pub(super) fn ask_for_unvouched(&mut self, now: Time) {
        let peers: Vec<HostId> = self.peers.iter().copied().collect();
        let mut asked = Vec::new();
        for (name, tries) in &mut self.unvouched {
            if let Some(peer) = peers.get(*tries % peers.len().max(1)) {
                asked.push((*peer, name.clone()));
            }
            *tries += 1;
        }
        self.unvouched.retain(|_, tries| *tries < DOCUMENT_UNVOUCHED_TRIES_MAX);
        for (peer, name) in asked {
            self.send(vec![peer], Message::Want(vec![Want::whole(name)]));
        }
        if !self.unvouched.is_empty() {
            self.compare_later(now);
        }
    }
}
