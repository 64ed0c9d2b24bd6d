//! Begins a document anew from its value, and repeats changes of one document in another.

use std::collections::VecDeque;

use automerge::{
    ActorId, AutoCommit, AutomergeError, ChangeHash, ObjType, ROOT,
    transaction::{CommitOptions, Transactable as _},
};

use super::{
    Body, BodyError, Head, contained,
    copying::{Copying, Maker},
    hash, heads,
    patches::{Again, Entry},
    refused,
    scan::Size,
};
use crate::wire;

pub(super) type Done<T = ()> = std::result::Result<T, AutomergeError>;

/// One change of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::replica) struct Step {
    pub(in crate::replica) head: Head,
    pub(in crate::replica) actor: [u8; 16],
    pub(in crate::replica) seq: u64,
    /// Milliseconds.
    pub(in crate::replica) time: i64,
    pub(in crate::replica) message: String,
    pub(in crate::replica) deps: Vec<Head>,
    /// It does nothing but join the heads before it.
    pub(in crate::replica) empty: bool,
}

/// A change that is to be made.
pub(in crate::replica) struct Planned {
    pub(in crate::replica) actor: [u8; 16],
    pub(in crate::replica) time: i64,
    pub(in crate::replica) message: String,
    /// What it follows.
    pub(in crate::replica) onto: Vec<Head>,
}

/// The actor of a change that is the same whoever makes it.
pub(in crate::replica) fn derive(what: &'static str, of: &impl serde::Serialize) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key(what);
    hasher.update(&wire::encode(of));
    let mut actor = [0; 16];
    hasher.finalize_xof().fill(&mut actor);
    actor
}

/// A document in which changes of others are repeated. They count when it is
/// [settled](Self::settle).
#[derive(Clone)]
pub(in crate::replica) struct Repeating {
    document: AutoCommit,
    /// Where changes were made last, each with what is before it and nothing else: the next one
    /// follows that, mostly. What is in them is not in the document yet.
    lines: VecDeque<AutoCommit>,
}

/// To begin another one, or to bring it together with the rest, takes time by the length of the
/// history; so does each copy of memory.
const LINES_MAX: usize = 4;

impl Body {
    /// All changes, each after those that it follows.
    pub(in crate::replica) fn steps(&mut self) -> Result<Vec<Step>, BodyError> {
        let document = &mut self.document;
        contained(|| {
            let all = document.get_changes_meta(&[]);
            let steps = all.into_iter().map(|change| {
                let mut actor = [0; 16];
                let bytes = change.actor.to_bytes();
                let len = bytes.len().min(16);
                actor[..len].copy_from_slice(&bytes[..len]);
                let mut deps: Vec<Head> = change.deps.iter().map(|dep| Head(dep.0)).collect();
                deps.sort_unstable();
                Step {
                    head: Head(change.hash.0),
                    actor,
                    seq: change.seq,
                    time: change.timestamp,
                    message: change.message.unwrap_or_default().into_owned(),
                    deps,
                    empty: change.max_op < change.start_op,
                }
            });
            steps.collect()
        })
    }

    /// How much of its caps it uses: whether anything is above so many percent.
    pub(in crate::replica) fn is_above(&self, percent: usize) -> bool {
        self.size.within(percent, Size::default()).is_err()
    }

    /// A document with the same value and one change, its root; on which the values stand that are
    /// in conflict, each by a change of its own: when and by which message, for the change that wrote
    /// it first. Of more than so many values only those are kept that are shown.
    pub(in crate::replica) fn anew(
        &mut self,
        root: Maker,
        conflicts: usize,
        maker: impl Fn(Head) -> Maker,
    ) -> Result<(Self, Head), BodyError> {
        let from = &self.document;
        let made = contained(|| {
            let mut to = AutoCommit::new();
            to.set_actor(ActorId::from(root.actor));
            let mut copying = Copying::with_conflicts(from, &mut to, conflicts);
            copying.object(&ROOT, &ROOT)?;
            let (time, message) = (root.time, root.message);
            let options = || CommitOptions::default().with_time(time).with_message(&message);
            // Of an empty document, too, there is a root.
            let root = copying.to.commit_with(options());
            let root = Head(root.unwrap_or_else(|| copying.to.empty_change(options())).0);
            copying.stand(maker)?;
            Ok((to, root))
        })?;
        let (document, root) = made.map_err(refused)?;
        let mut all = Repeating::from(document);
        all.join(1)?;
        Ok((all.settle()?, root))
    }

    pub(in crate::replica) fn repeating(&self) -> Result<Repeating, BodyError> {
        contained(|| self.document.clone().into())
    }

    /// This document with the changes of another of the same history, however large that is.
    pub(in crate::replica) fn with(&self, other: &mut Self) -> Result<Repeating, BodyError> {
        let both = contained(|| {
            let mut both = self.document.clone();
            both.merge(&mut other.document).map(|_| both)
        })?;
        both.map(Repeating::from).map_err(refused)
    }
}

impl From<AutoCommit> for Repeating {
    fn from(document: AutoCommit) -> Self {
        Self { document, lines: VecDeque::new() }
    }
}

impl Repeating {
    /// Repeats a change of another document by what it did there. Gives `None` if nothing of it
    /// can be done here, and the entries that it replaces though it knew another value of them, if
    /// nobody else has replaced that: of these it deletes none.
    pub(in crate::replica) fn repeat(
        &mut self,
        source: &mut Body,
        step: &Step,
        root: Head,
        plan: &Planned,
    ) -> Result<(Option<Head>, Vec<Entry>), BodyError> {
        let before: Vec<ChangeHash> = step.deps.iter().copied().map(hash).collect();
        let document = &mut source.document;
        let patches = contained(|| document.diff(&before, &[hash(step.head)]))?;
        let mut replaced = Vec::new();
        let made = self.add(plan, |doc| {
            let mut again = Again::new(document, &before, doc, root);
            patches.iter().for_each(|patch| again.patch(patch));
            replaced = again.replaced();
        })?;
        // What somebody else has replaced already does not come back.
        let others = || self.lines.iter().rev().skip(1).chain([&self.document]);
        replaced.retain(|entry| others().all(|doc| entry.stands(doc, root)));
        Ok((made, replaced))
    }

    /// Writes the value of an entry again that the root has: beside what has replaced it, so that both
    /// stand there.
    pub(in crate::replica) fn keep(
        &mut self,
        root: Head,
        entry: &Entry,
        plan: &Planned,
    ) -> Result<Option<Head>, BodyError> {
        let document = &mut self.document;
        let from = contained(|| document.fork_at(&[hash(root)]))?.map_err(refused)?;
        self.add(plan, |doc| {
            if let Some((value, id, prop)) = entry.of(&from) {
                // The same value again would be no operation.
                let _ = doc.put_object(entry.object(), prop.clone(), ObjType::Map);
                let _ = Copying::shown(&from, doc).entry(&value, &id, entry.object(), prop);
            }
        })
    }

    /// Adds what another document has at its root, and this one has not at these heads.
    pub(in crate::replica) fn fill(
        &mut self,
        source: &mut Body,
        root: Head,
        present: &[Head],
        plan: &Planned,
    ) -> Result<Option<Head>, BodyError> {
        let present: Vec<ChangeHash> = present.iter().copied().map(hash).collect();
        self.together()?;
        let document = &mut self.document;
        let (from, version) = contained(|| {
            Ok((source.document.fork_at(&[hash(root)])?, document.fork_at(&present)?))
        })?
        .map_err(refused)?;
        self.add(plan, |doc| {
            let _ = Copying::shown(&from, doc).missing(&version, &ROOT, &ROOT);
        })
    }

    fn add(
        &mut self,
        plan: &Planned,
        change: impl FnOnce(&mut AutoCommit),
    ) -> Result<Option<Head>, BodyError> {
        let mut line = self.line(&plan.onto)?;
        let made = contained(|| {
            line.set_actor(ActorId::from(plan.actor));
            change(&mut line);
            let options =
                CommitOptions::default().with_time(plan.time).with_message(plan.message.as_str());
            line.commit_with(options).map(|made| Head(made.0))
        })?;
        self.lines.push_back(line);
        Ok(made)
    }

    /// A document with these changes and all before them.
    fn line(&mut self, onto: &[Head]) -> Result<AutoCommit, BodyError> {
        let at = contained(|| self.lines.iter_mut().position(|line| heads(line) == onto))?;
        if let Some(line) = at.and_then(|at| self.lines.remove(at)) {
            return Ok(line);
        }
        let known = |head: &Head| self.document.get_change_by_hash(&hash(*head)).is_some();
        if !onto.iter().all(known) {
            self.together()?;
        }
        let Self { document, lines } = self;
        if lines.len() == LINES_MAX
            && let Some(mut line) = lines.pop_front()
        {
            contained(|| document.merge(&mut line))?.map_err(refused)?;
        }
        let onto: Vec<ChangeHash> = onto.iter().copied().map(hash).collect();
        contained(|| self.document.fork_at(&onto))?.map_err(refused)
    }

    /// All that was made is in the document.
    fn together(&mut self) -> Result<(), BodyError> {
        let Self { document, lines } = self;
        contained(|| lines.drain(..).try_for_each(|mut line| document.merge(&mut line).map(drop)))?
            .map_err(refused)
    }

    /// Makes one head of all, if there are more than so many.
    pub(in crate::replica) fn join(&mut self, most: usize) -> Result<(), BodyError> {
        self.together()?;
        let document = &mut self.document;
        contained(|| {
            let heads = heads(document);
            if heads.len() > most {
                document.set_actor(ActorId::from(derive("starling joined 2", &heads)));
                let options =
                    CommitOptions::default().with_message("joins what was written at once");
                let _ = document.empty_change(options.with_time(0));
            }
        })
    }

    /// The document, though it may be larger than one may be.
    pub(super) fn whole(&mut self) -> Result<&mut AutoCommit, BodyError> {
        self.together()?;
        Ok(&mut self.document)
    }

    pub(in crate::replica) fn settle(&mut self) -> Result<Body, BodyError> {
        Body::settle(self.whole()?)
    }

    /// What has been made, though it may be too large for a document: only to begin a history anew
    /// from what it says.
    pub(in crate::replica) fn unsettled(mut self) -> Result<Body, BodyError> {
        let document = self.whole()?;
        let heads = contained(|| heads(document))?;
        Ok(Body { document: self.document, heads, saved: Vec::new(), size: Size::default() })
    }
}
