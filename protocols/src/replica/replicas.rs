mod anew;
mod held;
mod keep;
mod outcome;
mod take;

use std::collections::{BTreeMap, BTreeSet};

use automerge::{AutoCommit, Automerge};

use self::held::{Held, OnDisk, Open, Past};
pub use self::outcome::{Carried, Dropped, ReadError, Refused, Taken, WriteError};
use super::{
    Author, Base, Body, BodyError, Content, Covered, DocName, Head, Lineage, Offer, Owner,
    Revision, Short, Title, TitleError, Want,
};
use crate::{
    ident::{AgentId, HostId, MeshId, SecretKey},
    limits::{DOCUMENT_BASES_MAX, DOCUMENT_CHANGES_KEPT_MAX, DOCUMENT_HEADS_MAX, DOCUMENTS_MAX},
    reconcile::{Prints, Sums},
    wire,
};

/// All documents that a host has a copy of.
///
/// They are kept as they are saved; those used last are also kept unpacked. A copy that turns out
/// to be damaged counts as missing until a good one comes from another host.
#[derive(Debug)]
pub struct Replicas {
    mesh: MeshId,
    held: BTreeMap<DocName, Box<Held>>,
    /// The names by bucket, and the sums of the prints of what is whole.
    buckets: BTreeSet<(u8, DocName)>,
    sums: Sums,
    open: Open,
    changes_max: usize,
    /// Documents whose deletion is never forgotten.
    lasting: BTreeSet<DocName>,
}

/// Who writes, with what key.
#[derive(Debug)]
pub struct Pen<'a> {
    /// The host's key.
    pub key: &'a SecretKey,
    /// What stands in the history.
    pub author: Author,
}

impl Replicas {
    /// None yet.
    #[must_use]
    pub fn new(mesh: MeshId) -> Self {
        Self {
            mesh,
            held: BTreeMap::new(),
            buckets: BTreeSet::new(),
            sums: Sums::new(),
            open: Open::default(),
            changes_max: DOCUMENT_CHANGES_KEPT_MAX,
            lasting: BTreeSet::new(),
        }
    }

    /// Keeps the deletions of these documents for ever. For a few that somebody would make again.
    pub fn keep_deletions_of(&mut self, names: impl IntoIterator<Item = DocName>) {
        self.lasting.extend(names);
    }

    /// Begins histories anew that have more than `changes`, in place of
    /// [`DOCUMENT_CHANGES_KEPT_MAX`].
    pub const fn set_changes_max(&mut self, changes: usize) {
        self.changes_max = changes;
    }

    /// How many there are, deleted ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The names of all that are not deleted, from the one after `after` on.
    pub fn names(&self, after: Option<&DocName>) -> impl Iterator<Item = &DocName> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let held = self.held.range::<DocName, _>((from, std::ops::Bound::Unbounded));
        held.filter(|(_, held)| !held.base.gone).map(|(name, _)| name)
    }

    /// The print of one copy, if it is whole, not deleted, and not doubtful.
    #[must_use]
    pub fn print(&self, name: &DocName) -> Option<u64> {
        self.held.get(name).filter(|held| held.counts()).map(|held| held.print)
    }

    fn sound(&self, name: &DocName) -> Option<&Held> {
        self.held.get(name).map(Box::as_ref).filter(|held| held.damage.is_none())
    }

    /// Whose descriptor it is.
    #[must_use]
    pub fn owner(&self, name: &DocName) -> Option<&Owner> {
        self.held.get(name)?.owner.as_ref()
    }

    /// The heads of a copy; none when there is none or it is deleted.
    #[must_use]
    pub fn heads(&self, name: &DocName) -> &[Head] {
        self.held.get(name).map_or(&[], |held| &held.heads)
    }

    /// Which history the copy holds.
    #[must_use]
    pub fn base(&self, name: &DocName) -> Option<Base> {
        self.held.get(name).map(|held| held.base)
    }

    /// Which history each copy holds, those of deleted documents included.
    pub fn bases(&self) -> impl Iterator<Item = (&DocName, Base)> {
        self.held.iter().map(|(name, held)| (name, held.base))
    }

    /// Copies that turned out to be damaged and were not replaced yet, with what is wrong.
    pub fn damaged(&self) -> impl Iterator<Item = (&DocName, &str)> {
        self.held.iter().filter_map(|(name, held)| Some((name, held.damage.as_deref()?)))
    }

    /// Takes up a copy from this host's own disk, whose signatures were checked when it came there.
    ///
    /// # Errors
    /// [`wire::Error`] when it is no revision: it is not taken up.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<DocName, wire::Error> {
        let OnDisk { revision, pasts, gone_since } = wire::decode_own(bytes, bytes.len())?;
        let owner = revision.title.as_ref().and_then(Title::unchecked);
        let name = revision.name.clone();
        self.put(revision, owner);
        if let Some(held) = self.held.get_mut(&name) {
            (held.pasts, held.gone_since) = (pasts, gone_since);
        }
        Ok(name)
    }

    /// A copy that was on this host's disk cannot be read: it counts as missing until a good one comes
    /// from another host, and is not written over before it is deleted.
    pub fn lost(&mut self, name: &DocName, why: &str) {
        // The host of an agent says anew what stands in its descriptor.
        if name.agent().is_none() && !self.held.contains_key(name) {
            self.put(Revision::nothing(name.clone()), None);
            self.set_aside(name, why);
        }
    }

    /// A copy as it is kept on the disk.
    #[must_use]
    pub fn kept(&self, name: &DocName) -> Option<Vec<u8>> {
        let (revision, held) = (self.whole(name)?, self.held.get(name)?);
        let (pasts, gone_since) = (held.pasts.clone(), held.gone_since);
        Some(wire::encode(&OnDisk { revision, pasts, gone_since }))
    }

    /// A copy, whole.
    #[must_use]
    pub fn whole(&self, name: &DocName) -> Option<Revision> {
        let held = self.sound(name)?;
        let mut revision = held.revision();
        if !held.base.gone {
            revision.content = Content::Whole(held.body.to_vec());
        }
        Some(revision)
    }

    /// What another host lacks that has these heads of this history, in the smallest form.
    pub fn since(&mut self, name: &DocName, base: Base, heads: &[Head]) -> Option<Revision> {
        let held = self.sound(name).filter(|held| !held.doubtful)?;
        let many = heads.len() > DOCUMENT_HEADS_MAX;
        if held.base != base || base.gone || heads.is_empty() || many {
            return self.whole(name);
        }
        let mut revision = held.revision();
        let whole = held.body.len();
        let since = self.body(name).ok().and_then(|body| body.since(heads));
        match since {
            Some(bytes) if bytes.len() < whole => {
                (revision.title, revision.lineage) = (None, Lineage::default());
                revision.content = Content::Since(bytes);
                Some(revision)
            }
            _ => self.whole(name),
        }
    }

    /// What is wished for.
    pub(super) fn wanted(&mut self, want: &Want) -> Option<Revision> {
        let Want { name, heads, base } = want;
        let of_this = self.base(name) == Some(*base) && !heads.is_empty();
        let of_this = of_this && self.sound(name).is_some_and(|held| !held.doubtful);
        let known = if of_this { self.body(name).ok()?.find(heads) } else { None };
        self.since(name, *base, &known.unwrap_or_default())
    }

    /// A copy, as it is offered to a host that may lack it.
    #[must_use]
    pub fn offer(&self, name: &DocName) -> Option<Offer> {
        let held = self.sound(name)?;
        let heads = held.heads.iter().map(Head::short).collect();
        Some(Offer { name: name.clone(), tenure: held.tenure(), base: held.base, heads })
    }

    /// What to wish for of what is offered; `None` when it is here, or counts less than what is.
    pub fn wish(&mut self, offer: &Offer) -> Option<Want> {
        let name = &offer.name;
        let own = self.offer(name);
        if own.as_ref() == Some(offer) {
            self.trust(name);
            return None;
        }
        let same = |own: &Offer| (own.tenure, own.base) == (offer.tenure, offer.base);
        let Some(own) = own.filter(same) else {
            let counts_less = self.sound(name).is_some_and(|held| {
                held.tenure() == offer.tenure && held.base.outranks(&offer.base).is_gt()
            });
            if counts_less {
                // The other host has the document, if not all of it.
                self.trust(name);
            }
            return (!counts_less).then(|| Want::whole(name.clone()));
        };
        let known = self.body(name).ok()?.find(&offer.heads).is_some();
        if known {
            self.trust(name);
        }
        (!known).then(|| Want { name: name.clone(), heads: own.heads, base: own.base })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read<T>(
        &mut self,
        name: &DocName,
        read: impl FnOnce(&Automerge) -> T,
    ) -> Result<T, ReadError> {
        let held = self.held.get(name).filter(|held| !held.base.gone);
        let held = held.ok_or(ReadError::Unknown)?;
        if let Some(why) = &held.damage {
            return Err(ReadError::Damaged(why.to_string()));
        }
        let body = self.body(name);
        body.and_then(|body| body.read(read)).map_err(|why| ReadError::Damaged(why.to_string()))
    }

    /// Begins the descriptor of an agent that is born on, or taken up by, the host that writes.
    ///
    /// # Errors
    /// [`TitleError`]: the title is not one of this agent and host.
    pub fn entitle(
        &mut self,
        title: &Title,
        is_member: impl Fn(HostId) -> bool,
        pen: &Pen<'_>,
    ) -> Result<DocName, TitleError> {
        let owner = title.open(self.mesh, is_member)?;
        let name = DocName::of_agent(owner.agent);
        let mut revision = self.whole(&name).unwrap_or_else(|| Revision {
            name,
            tenure: None,
            title: None,
            base: Base::default(),
            lineage: Lineage::default(),
            heads: Vec::new(),
            stamps: Vec::new(),
            content: Content::Whole(Body::empty().save()),
        });
        revision.tenure = owner.tenures.last().copied();
        revision.title = Some(title.clone());
        revision.sign(pen.key, self.mesh);
        let name = revision.name.clone();
        self.put(revision, Some(owner));
        Ok(name)
    }

    /// Begins the descriptor of an agent that is born on the host that writes: its title and its
    /// first change at once. There must be none of this agent yet. Gives the change.
    ///
    /// # Errors
    /// [`WriteError`]: there is none then.
    pub fn bear<E>(
        &mut self,
        agent: AgentId,
        pen: &Pen<'_>,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, WriteError<E>> {
        let name = DocName::of_agent(agent);
        if !agent.is_born_on(pen.key.host()) || self.held.contains_key(&name) {
            return Err(WriteError::NotOwner);
        }
        let title = Title::of_birth(pen.key, self.mesh, agent);
        let owner = title.unchecked();
        let mut revision = Revision::nothing(name.clone());
        revision.tenure = owner.as_ref().and_then(|owner| owner.tenures.last().copied());
        revision.title = Some(title);
        let mut body = Body::empty();
        let head = body.change(&pen.author, change).map_err(WriteError::Change)?;
        revision.heads = body.heads();
        revision.content = Content::Whole(body.save());
        revision.sign(pen.key, self.mesh);
        self.put(revision, owner);
        self.open.put(name, body);
        Ok(head)
    }

    /// Changes a document, or makes it when there is none. Gives the new head, if anything changed.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write<E>(
        &mut self,
        name: &DocName,
        pen: &Pen<'_>,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, WriteError<E>> {
        let mut revision = self.to_be_written(name, pen)?;
        let unpacked =
            if revision.heads.is_empty() { Ok(Body::empty()) } else { self.unpack(name) };
        let mut body = unpacked.map_err(|why| WriteError::Damaged(why.to_string()))?;
        let made = body.make(&pen.author, change);
        let made = match made {
            Ok(Some(made)) => made,
            other => {
                self.open.put(name.clone(), body);
                return other.map(|_| None).map_err(WriteError::Change);
            }
        };
        let past = self.changed(&mut revision, &mut body, made);
        let past = past.map_err(|why| WriteError::Change(why.into()))?;
        revision.heads = body.heads();
        revision.content = Content::Whole(body.save());
        revision.sign(pen.key, self.mesh);
        let (owner, head) = (self.owner(name).cloned(), body.heads().first().copied());
        self.put(revision, owner);
        self.keep_past(name, past);
        self.open.put(name.clone(), body);
        Ok(head)
    }

    fn to_be_written<E>(&self, name: &DocName, pen: &Pen<'_>) -> Result<Revision, WriteError<E>> {
        let held = self.held.get(name);
        if name.agent().is_some() {
            let owns = |owner: &Owner| owner.host == pen.key.host();
            let own = held.filter(|held| held.owner.as_ref().is_some_and(owns));
            let own = own.ok_or(WriteError::NotOwner)?;
            let mut revision = own.revision();
            if own.damage.is_some() || own.base.gone {
                // The agent knows what it has to say: it says it anew, also when its end was undone
                // by a crash.
                revision.base = revision.base.after(None);
                revision.heads.clear();
            }
            return Ok(revision);
        }
        let Some(held) = held else {
            if self.len() >= DOCUMENTS_MAX {
                return Err(WriteError::Full);
            }
            return Ok(Revision::nothing(name.clone()));
        };
        if let Some(why) = &held.damage {
            // Others may have what is missing here: it is not written over.
            return Err(WriteError::Damaged(why.to_string()));
        }
        if held.doubtful {
            return Err(WriteError::Doubtful);
        }
        let mut revision = held.revision();
        if revision.base.gone {
            // It comes back as another document of this name.
            if revision.base.number >= DOCUMENT_BASES_MAX {
                return Err(WriteError::Bases);
            }
            revision.base = revision.base.after(None);
        }
        Ok(revision)
    }

    /// Deletes a document. Gives whether there was one.
    ///
    /// # Errors
    /// [`WriteError::NotOwner`].
    pub fn delete(
        &mut self,
        name: &DocName,
        pen: &Pen<'_>,
    ) -> Result<bool, WriteError<std::convert::Infallible>> {
        if self.held.get(name).is_none_or(|held| held.base.gone) {
            return Ok(false);
        }
        let damaged = self.held.get(name).filter(|held| held.damage.is_some());
        let mut revision = match damaged.filter(|_| name.agent().is_none()) {
            Some(held) => held.revision(),
            None => self.to_be_written(name, pen)?,
        };
        revision.lineage = self.covered_by_root(name, &revision).unwrap_or(revision.lineage);
        revision.base = revision.base.deleted();
        revision.heads.clear();
        revision.content = Content::Gone;
        revision.sign(pen.key, self.mesh);
        self.open.forget(name);
        let owner = self.owner(name).cloned();
        self.put(revision, owner);
        Ok(true)
    }

    /// Whether those who made the present version knew of all that stood in one that it has
    /// replaced: then nothing of that is lost but what they meant to be.
    #[must_use]
    pub fn knew_of(&self, name: &DocName, dropped: &Dropped) -> bool {
        let Some(held) = self.held.get(name) else { return false };
        let knows =
            |covered: &Covered| dropped.heads.iter().all(|head| covered.heads.contains(head));
        !dropped.heads.is_empty() && held.revision().lineage.covered.iter().any(knows)
    }

    fn put(&mut self, revision: Revision, owner: Option<Owner>) {
        let mut held = Box::new(Held::new(revision, owner));
        let name = held.name.clone();
        if let Some(before) = self.held.get_mut(&name).filter(|_| !held.base.gone) {
            held.pasts = std::mem::take(&mut before.pasts);
        }
        self.discount(&name);
        if held.counts() {
            self.sums.add(name.bucket(), held.print);
        }
        if self.held.insert(name.clone(), held).is_none() {
            self.buckets.insert((name.bucket(), name));
        }
    }

    fn keep_past(&mut self, name: &DocName, past: Option<Past>) {
        if let (Some(past), Some(held)) = (past, self.held.get_mut(name)) {
            let _ = held.keep(past);
        }
    }

    fn discount(&mut self, name: &DocName) {
        if let Some(print) = self.print(name) {
            self.sums.remove(name.bucket(), print);
        }
    }

    fn body(&mut self, name: &DocName) -> Result<&mut Body, BodyError> {
        let body = self.unpack(name)?;
        Ok(self.open.put(name.clone(), body))
    }

    /// The document, unpacked. A copy that cannot be is put aside as damaged.
    fn unpack(&mut self, name: &DocName) -> Result<Body, BodyError> {
        if let Some(body) = self.open.take(name) {
            return Ok(body);
        }
        let Some(held) = self.held.get(name).filter(|held| !held.heads.is_empty()) else {
            return Ok(Body::empty());
        };
        Body::load(&held.body).inspect_err(|why| self.set_aside(name, &why.to_string()))
    }

    /// A copy is damaged: it counts as missing until a good one comes.
    pub fn set_aside(&mut self, name: &DocName, why: &str) {
        self.open.forget(name);
        self.discount(name);
        if let Some(held) = self.held.get_mut(name) {
            held.damage = Some(why.into());
        }
    }

    /// A copy is not doubtful any more.
    fn trust(&mut self, name: &DocName) {
        if let Some(held) = self.held.get_mut(name).filter(|held| held.doubtful) {
            held.doubtful = false;
            if held.counts() {
                self.sums.add(name.bucket(), held.print);
            }
        }
    }
}

impl Prints for Replicas {
    type Item = DocName;

    fn sums(&self) -> &Sums {
        &self.sums
    }

    fn bucket(&self, bucket: u8) -> impl Iterator<Item = (u64, &DocName)> {
        let from = self.buckets.range((bucket, DocName::first())..);
        let names = from.take_while(move |(of, _)| *of == bucket).map(|(_, name)| name);
        names.filter_map(|name| Some((self.print(name)?, name)))
    }

    fn bytes(&self, name: &DocName) -> usize {
        // It is offered, not sent.
        // With its tenure, and the root of its history.
        name.as_str().len() + (self.heads(name).len() + 1) * size_of::<Short>() + size_of::<Head>()
    }
}

impl Revision {
    fn nothing(name: DocName) -> Self {
        Self {
            name,
            tenure: None,
            title: None,
            base: Base::default(),
            lineage: Lineage::default(),
            heads: Vec::new(),
            stamps: Vec::new(),
            content: Content::Gone,
        }
    }
}

#[cfg(test)]
mod tests;
