//! What a host answers to what others offer, wish for, and have.

use std::collections::BTreeSet;

use super::{Message, Offer, Receipt, Replication, Short, Want, at_most, shorts};
use crate::{
    ident::HostId,
    limits::{DOCUMENT_HEADS_MAX, DOCUMENTS_WANTED_BYTES_MAX},
    reconcile,
    time::Time,
};

impl Replication {
    pub(super) fn offers(
        &mut self,
        from: HostId,
        offers: Vec<Offer>,
    ) -> Result<(), reconcile::Refused> {
        let offers = at_most(offers)?;
        offers.iter().try_for_each(|offer| few(&offer.heads))?;
        let mut wanted = Vec::new();
        for offer in &offers {
            if self.refusals.are_of_offer(from, offer, self.replicas.print(&offer.name)) {
                continue;
            }
            match self.replicas.deletion_of(offer) {
                Some(deletion) => self.send(vec![from], Message::Revisions(vec![deletion])),
                None => wanted.extend(self.replicas.wish(offer)),
            }
        }
        if !wanted.is_empty() {
            if self.reconciler.asking() == Some(from) {
                self.awaited.wanted(from, wanted.iter().map(|want| want.name.clone()));
            }
            self.send(vec![from], Message::Want(wanted));
        }
        Ok(())
    }

    pub(super) fn wanted(
        &mut self,
        from: HostId,
        wanted: Vec<Want>,
        now: Time,
    ) -> Result<(), reconcile::Refused> {
        let wanted = at_most(wanted)?;
        wanted.iter().try_for_each(|want| few(&want.heads))?;
        let (mut names, mut bytes) = (BTreeSet::new(), 0);
        for want in wanted {
            if bytes > DOCUMENTS_WANTED_BYTES_MAX {
                self.compare_later(now);
                break;
            }
            if !names.insert(want.name.clone()) {
                continue;
            }
            if let Some(revision) = self.replicas.wanted(&want) {
                bytes += revision.size();
                self.send(vec![from], Message::Revisions(vec![revision]));
            }
        }
        Ok(())
    }

    pub(super) fn receipts(
        &mut self,
        from: HostId,
        all: Vec<Receipt>,
    ) -> Result<(), reconcile::Refused> {
        let all = at_most(all)?;
        all.iter().try_for_each(|receipt| few(&receipt.heads))?;
        for Receipt { name, heads } in all {
            // Who has what is here now has all that was written here before.
            let all = shorts(self.replicas.heads(&name)) == heads;
            let done = self.waits.held(&name, &heads, all, from);
            self.replicated(done);
        }
        Ok(())
    }
}

/// The heads of one document, if they are not too many.
fn few(heads: &[Short]) -> Result<(), reconcile::Refused> {
    let few = heads.len() <= DOCUMENT_HEADS_MAX;
    if few { Ok(()) } else { Err(reconcile::Refused::Malformed) }
}
