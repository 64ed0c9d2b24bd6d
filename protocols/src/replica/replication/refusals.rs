//! Documents of other hosts that are not taken here: as long as that is so, the copies differ.

use std::collections::BTreeMap;

use super::{Base, DocName, Offer, Refused, Replication, Short};
use crate::{
    ident::HostId,
    limits::{DOCUMENTS_REFUSED_MAX, DOCUMENTS_REFUSED_PER_HOST_MAX},
    reconcile,
};

/// What was refused last of each document and host.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(DocName, HostId), Refusal>);

/// A version that was not taken, and what was here.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) base: Base,
    pub(super) heads: Vec<Short>,
    pub(super) why: Refused,
    /// What stands for the copy here.
    pub(super) own: Option<u64>,
}

impl Refusals {
    pub(super) fn refused(&mut self, name: DocName, from: HostId, refusal: Refusal) {
        let key = (name, from);
        let of_host = self.0.keys().filter(|(_, host)| *host == from).count();
        let has_place =
            self.0.len() < DOCUMENTS_REFUSED_MAX && of_host < DOCUMENTS_REFUSED_PER_HOST_MAX;
        if has_place || self.0.contains_key(&key) {
            self.0.insert(key, refusal);
        }
    }

    /// Whether just this was refused, and would be again: it does not go with what is here.
    pub(super) fn are_of_offer(&self, from: HostId, offer: &Offer, own: Option<u64>) -> bool {
        self.0.get(&(offer.name.clone(), from)).is_some_and(|last| {
            let same = last.base == offer.base && last.heads == offer.heads && last.own == own;
            same && matches!(last.why, Refused::Body(_))
        })
    }

    /// A document came from a host, and it was taken or was here already.
    pub(super) fn taken(&mut self, name: &DocName, from: HostId) {
        if self.0.is_empty() {
            return;
        }
        // For what nobody vouched, others do now.
        self.0.retain(|(of, host), refusal| {
            of != name || (*host != from && !refusal.why.is_for_now())
        });
    }

    /// A host has what is here, or tells it all anew.
    pub(super) fn forget(&mut self, from: HostId) {
        self.0.retain(|(_, host), _| *host != from);
    }

    fn are_of(&self, host: HostId) -> bool {
        self.0.keys().any(|(_, from)| *from == host)
    }
}

impl Replication {
    /// The documents that other hosts have sent and that were not taken, each with the host and the
    /// reason. One is not told of any more when its host has sent a version that is taken, when it
    /// has the same documents as this one, or is [not there any more](Self::keep_refused_of), or
    /// when the document was deleted or begun anew [here](Self::mind_refused); and not until it
    /// comes again when there is another lane to that host.
    pub fn refused(&self) -> impl Iterator<Item = (&DocName, HostId, &Refused)> {
        self.refusals.0.iter().map(|((name, from), refusal)| (name, *from, &refusal.why))
    }

    /// Forgets what was refused of a document that counts less than what is here. Called when a
    /// document has [changed](super::Output::Changed), or is [refused](super::Output::Refused).
    pub fn mind_refused(&mut self, name: &DocName) {
        let Some(own) = self.replicas.base(name) else { return };
        self.refusals.0.retain(|(of, _), last| of != name || own.outranks(&last.base).is_le());
    }

    /// Forgets what was refused of hosts that are not there any more.
    pub fn keep_refused_of(&mut self, is_there: impl Fn(HostId) -> bool) {
        self.refusals.0.retain(|(_, host), _| is_there(*host));
    }

    /// A host says what the sum of all is that it has.
    pub(super) fn compare_refused(&mut self, from: HostId, digest: &reconcile::Digest) {
        if self.refusals.are_of(from) && *digest == reconcile::state(&self.replicas, self.me, from)
        {
            self.refusals.forget(from);
        }
    }
}
