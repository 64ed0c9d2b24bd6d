//! An automerge document that can be given anything.
//!
//! Bytes from elsewhere are looked at before automerge sees them (`scan`); automerge runs on a copy
//! that is thrown away when anything goes wrong, a panic included; and what it made of them must
//! be what came, or nothing has changed: a whole document is the same when it is saved again, and
//! changes have the same hashes when they are put together again from what is kept of them, which
//! is what a host does that loads the document. To load all of it for every change would take
//! longer the longer its history is.
//!
//! Of a document of at most [`DOCUMENT_BYTES_MAX`](crate::limits::DOCUMENT_BYTES_MAX) automerge is
//! given at most [`DOCUMENT_OPS_MAX`](crate::limits::DOCUMENT_OPS_MAX) operations in
//! [`DOCUMENT_CHANGES_MAX`](crate::limits::DOCUMENT_CHANGES_MAX) changes. It holds each operation
//! and each change unpacked while it loads them.

mod anew;
mod columns;
mod copying;
mod lists;
mod patches;
mod rows;
mod scan;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use automerge::{
    ActorId, AutoCommit, Automerge, AutomergeError, Change, ChangeHash,
    transaction::{CommitOptions, Transactable as _},
};
use serde::{Deserialize, Serialize};

use self::scan::{Sent, scan};
pub(super) use self::{
    anew::{Planned, Repeating, Step, derive},
    copying::Maker,
    patches::Entry,
    scan::Size,
};
use crate::{
    ident::{HostId, Incarnation},
    limits::{CHANGE_MESSAGE_BYTES_MAX, DOCUMENT_OWN_PERCENT, REASON_BYTES_MAX},
    time::WallTime,
};

/// What the root of a history takes beside the value, and a small change of it.
const ROOT_BYTES: usize = 512;

/// A change that no other follows: the hash of an automerge change, and so of all before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head(pub [u8; 32]);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first 64 bits of a head or of a [`TenureId`](super::TenureId): enough to tell which of those
/// one knows is meant, not to prove anything. Of two that begin alike one may be taken for the
/// other; then what is sent does not fit, and the whole is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Short(pub [u8; 8]);

impl Short {
    pub(super) fn of(hash: &[u8; 32]) -> Self {
        Self(hash[..8].try_into().expect("8 of 32"))
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl Head {
    /// What stands for it where nothing is proved.
    #[must_use]
    pub fn short(&self) -> Short {
        Short::of(&self.0)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}…")
    }
}

/// Who makes a change and when. With what the change does, this decides every byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Never used by two that do not know of one another's changes: the second of two changes that
    /// one actor made of the same document is refused everywhere. See [`Author::actor_of`].
    pub actor: [u8; 16],
    /// When, to the millisecond.
    pub wall: WallTime,
    /// Why; may be empty. At most [`CHANGE_MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

impl Author {
    /// What stands for one life of a host: how its id begins, so that people can be told who made a
    /// change, and eight bytes that no other life has.
    #[must_use]
    pub fn actor_of(host: HostId, incarnation: Incarnation) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("starling author 2");
        hasher.update(&host.0).update(&incarnation.0.to_be_bytes());
        let mut actor = [0; 16];
        actor[..8].copy_from_slice(&host.0[..8]);
        hasher.finalize_xof().fill(&mut actor[8..]);
        actor
    }

    /// Whether this host made what was made by `actor`.
    #[must_use]
    pub fn is_of(actor: &[u8], host: HostId) -> bool {
        actor.len() == 16 && actor[..8] == host.0[..8]
    }
}

/// Why bytes are refused, or a document can not be read. The document is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// They are not a document as hosts write it.
    #[error("these bytes are not a document: {0}")]
    Malformed(&'static str),
    /// The document would be larger than one may be. Make it smaller, or share it out.
    #[error(
        "the document would be too large: it would have {found} {what}, {most} are the most; make \
         it smaller, or share it out over several documents"
    )]
    TooLarge {
        /// What there would be too many of.
        what: &'static str,
        /// How many there would be.
        found: u64,
        /// How many there may be: fewer for a change that is made on this host.
        most: usize,
    },
    /// Changes before these are missing. Get them first.
    #[error("changes before these are missing")]
    Gap,
    /// One actor has made two changes that do not know of one another. No host can have both.
    #[error("one actor has made two changes that do not know of one another")]
    Forked,
    /// Automerge found them wrong.
    #[error("automerge refuses these bytes: {0}")]
    Refused(String),
    /// They would make a document that is another when it is saved and loaded.
    #[error("the document would not be the same when it is saved and loaded")]
    Unsound,
    /// Automerge, or what reads the document, panicked. The panic was reported where it happened.
    #[error("the document can not be read: what reads it panicked")]
    Panicked,
}

/// Why a change was not made. The document is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError<E> {
    /// The change itself gave this up.
    #[error(transparent)]
    Given(E),
    /// The message is too long.
    #[error("the message of a change has at most {CHANGE_MESSAGE_BYTES_MAX} bytes")]
    Message,
    /// The change committed, merged or loaded something by itself. It may only read and edit.
    #[error("a change may only read and edit the document")]
    Meddled,
    /// What it made is no document that other hosts would take, or it panicked.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// An automerge document, with all its history.
///
/// It is always one that other hosts take: within the caps, and the same when it is saved and
/// loaded.
#[derive(Clone, Debug)]
pub struct Body {
    document: AutoCommit,
    heads: Vec<Head>,
    saved: Vec<u8>,
    size: Size,
}

fn contained<T>(what: impl FnOnce() -> T) -> Result<T, BodyError> {
    catch_unwind(AssertUnwindSafe(what)).or(Err(BodyError::Panicked))
}

fn refused(error: AutomergeError) -> BodyError {
    if let AutomergeError::DuplicateSeqNumber(..) = error {
        return BodyError::Forked;
    }
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    BodyError::Refused(text)
}

fn hash(head: Head) -> ChangeHash {
    ChangeHash(head.0)
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl Body {
    /// A document without history.
    #[must_use]
    pub fn empty() -> Self {
        let mut document = AutoCommit::new();
        let saved = document.save_nocompress();
        let size = Size { bytes: saved.len(), ..Size::default() };
        Self { document, heads: Vec::new(), saved, size }
    }

    /// A document as [`save`](Self::save) gave it.
    ///
    /// # Errors
    ///
    /// Why these bytes are no whole document.
    pub fn load(saved: &[u8]) -> Result<Self, BodyError> {
        let Sent::Document(size) = scan(saved)? else {
            return Err(BodyError::Malformed("it is not whole"));
        };
        contained(|| {
            let mut document = AutoCommit::load(saved).map_err(refused)?;
            if document.save_nocompress() != saved {
                return Err(BodyError::Unsound);
            }
            let heads = heads(&mut document);
            Ok(Self { document, heads, saved: saved.to_vec(), size })
        })?
    }

    /// A document that automerge has made, if it is sound.
    fn settle(document: &mut AutoCommit) -> Result<Self, BodyError> {
        let (saved, heads) = contained(|| (document.save_nocompress(), heads(document)))?;
        let again = Self::load(&saved)?;
        if again.heads == heads { Ok(again) } else { Err(BodyError::Unsound) }
    }

    /// This document, to which automerge has added these changes, if it is sound.
    fn followed(
        &self,
        document: &mut AutoCommit,
        added: &BTreeSet<ChangeHash>,
    ) -> Result<Self, BodyError> {
        let before: Vec<ChangeHash> = self.heads.iter().copied().map(hash).collect();
        let (saved, heads, again) = contained(|| {
            let again: BTreeSet<ChangeHash> =
                document.get_changes(&before).iter().map(Change::hash).collect();
            (document.save_nocompress(), heads(document), again)
        })?;
        let Sent::Document(size) = scan(&saved)? else { return Err(BodyError::Unsound) };
        if again != *added || size.changes != self.size.changes + added.len() {
            return Err(BodyError::Unsound);
        }
        let next = Self { document: std::mem::take(document), heads, saved, size };
        // Only when it loads marks automerge looks at their order.
        if size.marks == 0 || Self::load(&next.saved)?.heads == next.heads {
            Ok(next)
        } else {
            Err(BodyError::Unsound)
        }
    }

    /// The changes that no other follows, in ascending order. Two documents with the same heads say
    /// the same, though the bytes they are saved as may differ.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        self.heads.clone()
    }

    /// How long its history is, in changes.
    #[must_use]
    pub fn len_changes(&self) -> usize {
        self.size.changes
    }

    /// How many of its changes follow no other.
    pub(super) fn len_firsts(&self) -> usize {
        self.size.firsts
    }

    /// The whole document, to be [loaded](Self::load) or [taken](Self::take). Not compressed.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.saved.clone()
    }

    /// How many bytes it is when it is saved.
    #[must_use]
    pub fn len_saved(&self) -> usize {
        self.saved.len()
    }

    /// Lets `read` have a look.
    ///
    /// # Errors
    ///
    /// When `read` panics.
    pub fn read<T>(&mut self, read: impl FnOnce(&Automerge) -> T) -> Result<T, BodyError> {
        contained(|| read(self.document.document()))
    }

    /// Whether a change is in its history.
    #[must_use]
    pub fn knows(&mut self, head: Head) -> bool {
        self.last_op(hash(head)).is_some()
    }

    /// Those of its changes that are meant; `None` when there is none for one of them.
    pub(super) fn find(&mut self, wanted: &[Short]) -> Option<Vec<Head>> {
        let heads = self.heads();
        let of = |all: &[Head], short: &Short| all.iter().find(|it| it.short() == *short).copied();
        if let Some(found) = wanted.iter().map(|short| of(&heads, short)).collect() {
            return Some(found);
        }
        let all: Vec<Head> = self.steps().ok()?.into_iter().map(|step| step.head).collect();
        wanted.iter().map(|short| of(&all, short)).collect()
    }

    /// The highest number of an operation that a change here leaves behind.
    fn last_op(&mut self, change: ChangeHash) -> Option<u64> {
        let document = &mut self.document;
        contained(|| document.get_change_meta_by_hash(&change).map(|meta| meta.max_op)).ok()?
    }

    /// Makes one change: all that `change` does. `None` when it does nothing.
    ///
    /// # Errors
    ///
    /// When `change` fails or panics, or the document would be no good one. It is as it was then.
    pub fn change<E>(
        &mut self,
        author: &Author,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, ChangeError<E>> {
        let Some((mut made, head)) = self.make(author, change)? else { return Ok(None) };
        *self = self.settled(&mut made, head)?;
        Ok(Some(head))
    }

    /// This document with a change of it that was just [made](Self::make), which is taken out of what
    /// was made unless it is refused.
    pub(super) fn settled(&self, made: &mut Repeating, head: Head) -> Result<Self, BodyError> {
        self.followed(made.whole()?, &BTreeSet::from([hash(head)]))
    }

    /// Makes a change, which may be too large for a document.
    pub(super) fn make<E>(
        &self,
        author: &Author,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<(Repeating, Head)>, ChangeError<E>> {
        if author.message.len() > CHANGE_MESSAGE_BYTES_MAX {
            return Err(ChangeError::Message);
        }
        let actor = ActorId::from(author.actor);
        let wall = i64::try_from(author.wall.as_millis()).unwrap_or(i64::MAX);
        let options = CommitOptions::default().with_time(wall);
        let options = match author.message.as_str() {
            "" => options,
            message => options.with_message(message),
        };
        let mut document = contained(|| self.document.clone())?;
        let done: Result<Option<Head>, ChangeError<E>> = contained(|| {
            document.set_actor(actor.clone());
            change(&mut document).map_err(ChangeError::Given)?;
            if document.pending_ops() == 0 && heads(&mut document) == self.heads {
                return Ok(None);
            }
            let own = *document.get_actor() == actor;
            let made = document.commit_with(options).map(|made| Head(made.0));
            Ok(Some(made.filter(|_| own).ok_or(ChangeError::Meddled)?))
        })?;
        let Some(head) = done? else { return Ok(None) };
        let (after, before) = contained(|| (heads(&mut document), before(&mut document, head)))?;
        // It follows its author's last change, too, also where others have followed that since.
        if after != [head] || !self.heads.iter().all(|head| before.contains(head)) {
            return Err(ChangeError::Meddled);
        }
        Ok(Some((document.into(), head)))
    }

    /// Refuses a document that leaves no room for changes made elsewhere at the same time, unless it
    /// left less `before`, but for what a root says.
    pub(super) fn leaves_room(&self, before: Size) -> Result<(), BodyError> {
        let before = Size { bytes: before.bytes + ROOT_BYTES, ..before };
        self.size.within(DOCUMENT_OWN_PERCENT, before)
    }

    /// How much of the caps it uses.
    pub(super) const fn size(&self) -> Size {
        self.size
    }

    /// Merges what another host sent: a whole document, or what [`since`](Self::since) gave there.
    /// True when something in it was new here. Nothing is kept of what is refused.
    ///
    /// # Errors
    ///
    /// Why the bytes are refused, all of them. The document is as it was.
    pub fn take(&mut self, bytes: &[u8]) -> Result<bool, BodyError> {
        let changes = match scan(bytes)? {
            Sent::Document(_) => {
                let mut other = Self::load(bytes)?;
                if self.heads.is_empty() {
                    let is_new = !other.heads.is_empty();
                    *self = other;
                    return Ok(is_new);
                }
                let document = &mut self.document;
                contained(|| document.get_changes_added(&mut other.document))?
            }
            Sent::Changes(chunks) => self.checked(&chunks)?,
        };
        if changes.is_empty() {
            return Ok(false);
        }
        let added = changes.iter().map(Change::hash).collect();
        let applied = contained(|| {
            let mut document = self.document.clone();
            document.apply_changes(changes).map_err(refused)?;
            Ok(document)
        })?;
        *self = self.followed(&mut applied?, &added)?;
        Ok(true)
    }

    /// Those of these changes that are new here. Each must follow those before it.
    fn checked(&mut self, chunks: &[&[u8]]) -> Result<Vec<Change>, BodyError> {
        let mut last_ops = BTreeMap::new();
        let mut changes = Vec::new();
        for chunk in chunks {
            let change = contained(|| Change::try_from(*chunk))?;
            let change = change.map_err(|error| refused(error.into()))?;
            let hash = change.hash();
            if chunk.get(4..8) != Some(&hash.0[..4]) {
                return Err(BodyError::Malformed("its checksum is wrong"));
            }
            if last_ops.contains_key(&hash) || self.last_op(hash).is_some() {
                continue;
            }
            let mut before = 0;
            for dep in change.deps() {
                let known = last_ops.get(dep).copied().or_else(|| self.last_op(*dep));
                before = before.max(known.ok_or(BodyError::Gap)?);
            }
            if change.start_op().get() != before + 1 {
                return Err(BodyError::Malformed("operations are counted wrongly"));
            }
            last_ops.insert(hash, before + change.len() as u64);
            changes.push(change);
        }
        Ok(changes)
    }

    /// What somebody with these heads lacks, in the smallest form that [`take`](Self::take) reads:
    /// nothing, the changes since, or the whole document. `None` if some head is unknown here.
    #[must_use]
    pub fn since(&mut self, heads: &[Head]) -> Option<Vec<u8>> {
        if heads == self.heads {
            return Some(Vec::new());
        }
        if !heads.iter().all(|head| self.knows(*head)) {
            return None;
        }
        let heads: Vec<ChangeHash> = heads.iter().copied().map(hash).collect();
        let document = &mut self.document;
        // Long histories are much smaller whole, and take long to be unpacked into changes.
        let changes = contained(|| document.save_after(&heads)).ok();
        let whole = self.saved.len();
        Some(changes.filter(|changes| changes.len() < whole).unwrap_or_else(|| self.save()))
    }
}

fn heads(document: &mut AutoCommit) -> Vec<Head> {
    sorted(&document.get_heads())
}

/// What a change follows.
fn before(document: &mut AutoCommit, change: Head) -> Vec<Head> {
    let about = document.get_change_meta_by_hash(&hash(change));
    about.map(|about| sorted(&about.deps)).unwrap_or_default()
}

fn sorted(hashes: &[ChangeHash]) -> Vec<Head> {
    let mut heads: Vec<Head> = hashes.iter().map(|hash| Head(hash.0)).collect();
    heads.sort_unstable();
    heads
}
