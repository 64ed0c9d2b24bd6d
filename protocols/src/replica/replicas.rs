use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use automerge::{AutoCommit, Automerge};

use super::{
    Author, Base, Body, BodyError, ChangeError, Content, DocName, Head, Offer, Owner, Revision,
    Title, TitleError, Want,
};
use crate::{
    ident::{HostId, MeshId, SecretKey},
    limits::{DOCUMENT_HEADS_MAX, DOCUMENTS_MAX, DOCUMENTS_OPEN_MAX},
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
    held: BTreeMap<DocName, Held>,
    /// The names by bucket, and the sums of the prints of what is whole.
    buckets: BTreeSet<(u8, DocName)>,
    sums: Sums,
    open: Open,
}

/// One copy.
#[derive(Clone, Debug)]
struct Held {
    print: u64,
    /// Whose it is, if it is a descriptor.
    owner: Option<Owner>,
    base: Base,
    heads: Vec<Head>,
    /// The [`Revision`], encoded, without what it holds of the document…
    frame: Box<[u8]>,
    /// …and that.
    body: Box<[u8]>,
    /// What is wrong with it, if something is.
    damage: Option<Box<str>>,
}

/// Documents that are unpacked; those used last are at the end.
#[derive(Default)]
struct Open(VecDeque<(DocName, Body)>);

/// Who writes, with what key.
#[derive(Debug)]
pub struct Pen<'a> {
    /// The host's key.
    pub key: &'a SecretKey,
    /// What stands in the history.
    pub author: Author,
}

/// What came of a revision from another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was all here.
    Same,
    /// What is here counts more: the other host lacks it.
    Older,
    /// It is here now.
    New {
        /// What was here before, if it does not count any more and holds what the new one lacks.
        dropped: Option<Dropped>,
    },
    /// It cannot be joined to what is here: the whole is needed, or the difference to these heads.
    Lacking(Vec<Head>),
}

/// Whose a document is said to be.
enum Claim {
    /// Everybody's.
    Plain,
    /// An agent's, which lives on a host.
    Owned(Owner),
    /// Of a tenure that is not known here, and it does not say by what right.
    Untold,
}

/// A version that does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Whose it was, if it is a descriptor.
    pub owner: Option<Owner>,
    /// Its heads.
    pub heads: Vec<Head>,
    /// The document, as automerge saves it.
    pub body: Vec<u8>,
}

/// Why a revision is refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A descriptor without title, or a title of something else.
    #[error("it has no title, or not one of this agent")]
    Untitled,
    /// The title is not good.
    #[error(transparent)]
    Title(#[from] TitleError),
    /// Somebody else than its owner, or than a member, has written it.
    #[error("nobody vouches for it who may write it")]
    Unvouched,
    /// What it holds is not what it says.
    #[error("its content has other heads than it says")]
    Heads,
    /// Too many heads.
    #[error("it has {0} heads; at most {DOCUMENT_HEADS_MAX} are allowed")]
    TooManyHeads(usize),
    /// Its content is no document, or too large.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// There is no room for another document.
    #[error("this host has {DOCUMENTS_MAX} documents already")]
    Full,
}

/// Why a document was not changed. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The change itself was not made.
    #[error("{0}")]
    Change(ChangeError<E>),
    /// It is an agent's descriptor, and the agent lives elsewhere or is not known here.
    #[error("only the host that the agent lives on changes its descriptor")]
    NotOwner,
    /// The copy of this host is damaged, and others may have what is missing here.
    #[error(
        "the copy of this host is damaged: {0}; it is replaced when another host has a good one"
    )]
    Damaged(String),
    /// There is no room for another document.
    #[error("this host has {DOCUMENTS_MAX} documents already")]
    Full,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is none, or it is deleted.
    #[error("there is no such document on this host")]
    Unknown,
    /// The copy is damaged; it is replaced when another host has a good one.
    #[error("the copy of this host is damaged: {0}")]
    Damaged(String),
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
        }
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

    /// The print of one copy, if it is whole.
    #[must_use]
    pub fn print(&self, name: &DocName) -> Option<u64> {
        self.sound(name).map(|held| held.print)
    }

    fn sound(&self, name: &DocName) -> Option<&Held> {
        self.held.get(name).filter(|held| held.damage.is_none())
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

    /// Copies that turned out to be damaged and were not replaced yet, with what is wrong.
    pub fn damaged(&self) -> impl Iterator<Item = (&DocName, &str)> {
        self.held.iter().filter_map(|(name, held)| Some((name, held.damage.as_deref()?)))
    }

    /// Takes up a copy from this host's own disk, whose signatures were checked when it came there.
    ///
    /// # Errors
    /// [`wire::Error`] when it is no revision: it is not taken up.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<DocName, wire::Error> {
        let revision: Revision = wire::decode(bytes, bytes.len())?;
        let owner = revision.title.as_ref().and_then(Title::unchecked);
        let name = revision.name.clone();
        self.put(revision, owner);
        Ok(name)
    }

    /// A copy as it is kept on the disk.
    #[must_use]
    pub fn kept(&self, name: &DocName) -> Option<Vec<u8>> {
        self.whole(name).map(|revision| wire::encode(&revision))
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
        let held = self.sound(name)?;
        if held.base != base || base.gone || heads.is_empty() {
            return self.whole(name);
        }
        let mut revision = held.revision();
        let whole = held.body.len();
        let since = self.body(name).ok().and_then(|body| body.since(heads));
        match since {
            Some(bytes) if bytes.len() < whole => {
                revision.title = None;
                revision.content = Content::Since(bytes);
                Some(revision)
            }
            _ => self.whole(name),
        }
    }

    /// A copy, as it is offered to a host that may lack it.
    #[must_use]
    pub fn offer(&self, name: &DocName) -> Option<Offer> {
        let held = self.sound(name)?;
        let tenure = held.owner.as_ref().and_then(|owner| owner.tenures.last().copied());
        Some(Offer { name: name.clone(), tenure, base: held.base, heads: held.heads.clone() })
    }

    /// What to wish for of what is offered; `None` when it is here, or counts less than what is.
    pub fn wish(&mut self, offer: &Offer) -> Option<Want> {
        let name = &offer.name;
        let own = self.offer(name);
        if own.as_ref() == Some(offer) {
            return None;
        }
        let same = |own: &Offer| (own.tenure, own.base) == (offer.tenure, offer.base);
        let Some(own) = own.filter(same) else {
            let counts_less = self.sound(name).is_some_and(|held| {
                let tenure = held.owner.as_ref().and_then(|owner| owner.tenures.last());
                tenure == offer.tenure.as_ref() && held.base.outranks(&offer.base).is_gt()
            });
            return (!counts_less).then(|| Want::whole(name.clone()));
        };
        let body = self.body(name).ok()?;
        let known = offer.heads.iter().all(|head| body.knows(*head));
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
        let changed = body.change(&pen.author, change);
        if let Ok(Some(_)) = changed {
            revision.heads = body.heads();
            revision.content = Content::Whole(body.save());
            revision.sign(pen.key, self.mesh);
            let owner = self.owner(name).cloned();
            self.put(revision, owner);
        }
        self.open.put(name.clone(), body);
        changed.map_err(WriteError::Change)
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
        let mut revision = held.revision();
        if revision.base.gone {
            // It comes back as another document of this name.
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
        let mut revision = self.to_be_written(name, pen)?;
        revision.base = revision.base.deleted();
        revision.heads.clear();
        revision.content = Content::Gone;
        revision.sign(pen.key, self.mesh);
        self.open.forget(name);
        let owner = self.owner(name).cloned();
        self.put(revision, owner);
        Ok(true)
    }

    /// Takes a revision from another host.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub fn take(
        &mut self,
        mut revision: Revision,
        is_member: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        if revision.heads.len() > DOCUMENT_HEADS_MAX {
            return Err(Refused::TooManyHeads(revision.heads.len()));
        }
        let name = revision.name.clone();
        if self.print(&name) == Some(revision.print()) {
            return Ok(Taken::Same);
        }
        let owner = match self.judge(&mut revision, &is_member)? {
            Claim::Plain => None,
            Claim::Owned(owner) => Some(owner),
            Claim::Untold => return Ok(Taken::Lacking(Vec::new())),
        };
        let rank = self.sound(&name).map(|held| {
            let titles = match (&owner, &held.owner) {
                (Some(new), Some(old)) => new.outranks(old),
                _ => Ordering::Equal,
            };
            titles.then_with(|| revision.base.outranks(&held.base))
        });
        let may = |host| owner.as_ref().map_or_else(|| is_member(host), |own| own.host == host);
        match rank {
            Some(Ordering::Less) => Ok(Taken::Older),
            Some(Ordering::Equal) if !revision.base.gone => {
                self.merge(revision, owner.clone(), may)
            }
            _ => self.replace(revision, owner.clone(), may),
        }
    }

    /// Whose the document is.
    fn judge(
        &self,
        revision: &mut Revision,
        is_member: impl Fn(HostId) -> bool,
    ) -> Result<Claim, Refused> {
        let Some(agent) = revision.name.agent() else {
            let plain = revision.tenure.is_none() && revision.title.is_none();
            return if plain { Ok(Claim::Plain) } else { Err(Refused::Untitled) };
        };
        let tenure = revision.tenure.ok_or(Refused::Untitled)?;
        let held = self.held.get(&revision.name);
        if let Some((held, owner)) = held.and_then(|held| Some((held, held.owner.as_ref()?)))
            && owner.tenures.last() == Some(&tenure)
        {
            revision.title = held.revision().title;
            return Ok(Claim::Owned(owner.clone()));
        }
        let Some(title) = &revision.title else { return Ok(Claim::Untold) };
        let owner = title.open(self.mesh, is_member)?;
        let fits = owner.agent == agent && owner.tenures.last() == Some(&tenure);
        if fits { Ok(Claim::Owned(owner)) } else { Err(Refused::Untitled) }
    }

    /// A revision of what is here.
    fn merge(
        &mut self,
        mut revision: Revision,
        owner: Option<Owner>,
        may: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        let name = revision.name.clone();
        let (Content::Whole(bytes) | Content::Since(bytes)) = &revision.content else {
            return Err(Refused::Heads);
        };
        let mesh = self.mesh;
        let known = self.held.get(&name).map(|held| held.revision().stamps).unwrap_or_default();
        let said = revision.heads.clone();
        let mut body = match self.unpack(&name) {
            Ok(body) => body,
            // What is here is damaged: it counts as missing.
            Err(_) => return self.replace(revision, owner, may),
        };
        // From here on the unpacked one is dropped if anything is wrong with what came.
        match body.take(bytes) {
            Ok(true) => {}
            Ok(false) => {
                self.open.put(name, body);
                return Ok(Taken::Same);
            }
            Err(BodyError::Gap) => return Ok(Taken::Lacking(self.heads(&name).to_vec())),
            Err(why) => return Err(why.into()),
        }
        if !said.iter().all(|head| body.knows(*head)) {
            return Err(Refused::Heads);
        }
        revision.heads = body.heads();
        if revision.heads.len() > DOCUMENT_HEADS_MAX {
            return Err(Refused::TooManyHeads(revision.heads.len()));
        }
        if !revision.cover(&known, mesh, may) {
            return Err(Refused::Unvouched);
        }
        revision.content = Content::Whole(body.save());
        self.put(revision, owner);
        self.open.put(name, body);
        Ok(Taken::New { dropped: None })
    }

    /// A revision of something new, or that counts more than what is here.
    fn replace(
        &mut self,
        mut revision: Revision,
        owner: Option<Owner>,
        may: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        let name = revision.name.clone();
        if !self.held.contains_key(&name) && self.len() >= DOCUMENTS_MAX {
            return Err(Refused::Full);
        }
        let body = match &revision.content {
            Content::Since(..) => return Ok(Taken::Lacking(Vec::new())),
            Content::Gone if revision.base.gone && revision.heads.is_empty() => None,
            Content::Whole(bytes) if !revision.base.gone => Some(Body::load(bytes)?),
            _ => return Err(Refused::Heads),
        };
        let mut body = body;
        if body.as_mut().is_some_and(|body| body.heads() != revision.heads) {
            return Err(Refused::Heads);
        }
        if !revision.cover(&[], self.mesh, may) {
            return Err(Refused::Unvouched);
        }
        let dropped = self.dropped(&name, body.as_mut());
        self.put(revision, owner);
        self.open.forget(&name);
        if let Some(body) = body {
            self.open.put(name, body);
        }
        Ok(Taken::New { dropped })
    }

    /// What is here, if the new one does not hold it.
    fn dropped(&self, name: &DocName, new: Option<&mut Body>) -> Option<Dropped> {
        let held = self.held.get(name).filter(|held| !held.heads.is_empty())?;
        if let Some(new) = new
            && held.heads.iter().all(|head| new.knows(*head))
        {
            return None;
        }
        let (owner, heads) = (held.owner.clone(), held.heads.clone());
        Some(Dropped { owner, heads, body: held.body.to_vec() })
    }

    fn put(&mut self, mut revision: Revision, owner: Option<Owner>) {
        let name = revision.name.clone();
        let content = std::mem::replace(&mut revision.content, Content::Gone);
        let body = match content {
            Content::Whole(bytes) | Content::Since(bytes) => bytes.into(),
            Content::Gone => Box::default(),
        };
        let held = Held {
            print: revision.print(),
            owner,
            base: revision.base,
            heads: revision.heads.clone(),
            frame: wire::encode(&revision).into(),
            body,
            damage: None,
        };
        self.discount(&name);
        self.sums.add(name.bucket(), held.print);
        self.buckets.insert((name.bucket(), name.clone()));
        self.held.insert(name, held);
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
        name.as_str().len() + (self.heads(name).len() + 2) * size_of::<Head>()
    }
}

impl Held {
    fn revision(&self) -> Revision {
        wire::decode(&self.frame, self.frame.len()).expect("it was encoded here")
    }
}

impl Revision {
    fn nothing(name: DocName) -> Self {
        Self {
            name,
            tenure: None,
            title: None,
            base: Base::default(),
            heads: Vec::new(),
            stamps: Vec::new(),
            content: Content::Gone,
        }
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Open {
    fn take(&mut self, name: &DocName) -> Option<Body> {
        let place = self.0.iter().position(|(open, _)| open == name)?;
        self.0.remove(place).map(|(_, body)| body)
    }

    fn put(&mut self, name: DocName, body: Body) -> &mut Body {
        self.forget(&name);
        if self.0.len() >= DOCUMENTS_OPEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back((name, body));
        &mut self.0.back_mut().expect("it was just put there").1
    }

    fn forget(&mut self, name: &DocName) {
        self.0.retain(|(open, _)| open != name);
    }
}

#[cfg(test)]
mod tests;
