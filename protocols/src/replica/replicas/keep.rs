//! What becomes of copies as time goes by.

use super::{
    super::{Body, DocName, Offer, Owner, Revision},
    Dropped, Pen, Replicas,
};
use crate::{ident::HostId, limits::TOMBSTONE_KEPT, time::WallTime};

impl Replicas {
    /// Forgets deletions that have been known here for [`TOMBSTONE_KEPT`]. Called now and then with
    /// this host's own clock: the first call after a deletion came notes since when it is known.
    /// Gives the names of the copies that are to be stored, and of those that are forgotten.
    pub fn collect(&mut self, now: WallTime) -> (Vec<DocName>, Vec<DocName>) {
        let (mut noted, mut forgotten) = (Vec::new(), Vec::new());
        for (name, held) in self.held.iter_mut().filter(|(_, held)| held.base.gone) {
            match held.gone_since {
                // A clock that was set back does not make it stay for ever.
                Some(since) if since <= now => {
                    let lasts = self.lasting.contains(name);
                    if now.remaining(since) >= TOMBSTONE_KEPT && !lasts {
                        forgotten.push(name.clone());
                    }
                }
                _ => {
                    held.gone_since = Some(now);
                    noted.push(name.clone());
                }
            }
        }
        forgotten.iter().for_each(|name| drop(self.forget(name)));
        (noted, forgotten)
    }

    /// Takes a copy out.
    fn forget(&mut self, name: &DocName) -> Option<Dropped> {
        self.discount(name);
        self.open.forget(name);
        self.buckets.remove(&(name.bucket(), name.clone()));
        let held = self.held.remove(name)?;
        let body = held.body.into_vec();
        Some(Dropped { owner: held.owner, heads: held.heads, body })
    }

    /// The deletion of what is offered, if that is known here.
    pub(in crate::replica) fn deletion_of(&self, offer: &Offer) -> Option<Revision> {
        let held = self.sound(&offer.name).filter(|held| held.base.gone && !offer.base.gone)?;
        let counts = held.tenure() == offer.tenure && held.base.outranks(&offer.base).is_gt();
        if counts { self.whole(&offer.name) } else { None }
    }

    /// This host was away since `contact`, for so long that others may have forgotten what was
    /// deleted meanwhile: it doubts whatever it has, until somebody else has it, too. What is
    /// doubtful can be read, but is neither changed nor offered nor sent. The descriptors of its
    /// own agents it does not doubt, nor what was written here since then.
    pub fn doubt(&mut self, me: HostId, contact: WallTime) {
        let names: Vec<DocName> = self.names(None).cloned().collect();
        for name in names {
            let own = |owner: &Owner| owner.host == me;
            if self.owner(&name).is_some_and(own) || self.is_written_since(&name, contact) {
                continue;
            }
            self.discount(&name);
            if let Some(held) = self.held.get_mut(&name) {
                held.doubtful = true;
            }
        }
    }

    fn is_written_since(&self, name: &DocName, contact: WallTime) -> bool {
        let Some(held) = self.held.get(name) else { return false };
        let contact = i64::try_from(contact.as_millis()).unwrap_or(i64::MAX);
        let late =
            |mut body: Body| body.steps().ok()?.iter().any(|it| it.time > contact).then_some(());
        Body::load(&held.body).ok().and_then(late).is_some()
    }

    /// What is doubtful.
    pub fn doubtful(&self) -> impl Iterator<Item = &DocName> {
        self.held.iter().filter(|(_, held)| held.doubtful).map(|(name, _)| name)
    }

    pub(super) fn is_doubtful(&self, name: &DocName) -> bool {
        self.held.get(name).is_some_and(|held| held.doubtful)
    }

    /// Ends all doubt: what nobody else has is `gone`, or else it is as good as before.
    pub fn decide(&mut self, gone: bool) -> Vec<(DocName, Dropped)> {
        let names: Vec<DocName> = self.doubtful().cloned().collect();
        let mut dropped = Vec::new();
        for name in names {
            if gone {
                dropped.extend(self.forget(&name).map(|copy| (name, copy)));
            } else {
                self.trust(&name);
            }
        }
        dropped
    }

    /// Vouches for those documents of which a head is vouched for by a host that is no member any
    /// more: a newcomer would refuse them. Gives their names; they are to be stored.
    ///
    /// A print does not tell who vouches, so nobody compares that: whoever refuses a copy asks
    /// others for it. Descriptors are left out, since only the word of their owner counts: those of
    /// an owner that is expelled stay with those who have them, and newcomers do not get them.
    ///
    /// It looks at every copy: to be called seldom, when somebody has left for good.
    pub fn vouch(&mut self, pen: &Pen<'_>, is_member: impl Fn(HostId) -> bool) -> Vec<DocName> {
        let mut vouched = Vec::new();
        if !is_member(pen.key.host()) {
            return vouched;
        }
        let names: Vec<DocName> =
            self.held.keys().filter(|name| name.agent().is_none()).cloned().collect();
        for name in names {
            if self.is_doubtful(&name) {
                continue;
            }
            let Some(held) = self.sound(&name) else { continue };
            let revision = held.revision();
            if revision.stamps.iter().all(|stamp| is_member(stamp.signer())) {
                continue;
            }
            let mesh = self.mesh;
            let Some(held) = self.held.get_mut(&name) else { continue };
            let mut revision = revision;
            revision.sign(pen.key, mesh);
            held.vouched(revision);
            vouched.push(name);
        }
        vouched
    }
}
