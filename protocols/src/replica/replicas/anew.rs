//! Histories that are begun anew, and changes that are repeated in them.

use std::collections::BTreeMap;

use super::{
    super::{
        Base, Body, BodyError, Content, Covered, DocName, Head, Lineage, Revision,
        body::{Entry, Maker, Planned, Repeating, Size, Step, derive},
        lineage::Origin,
    },
    Carried, Dropped, Pen, Replicas,
    held::{Held, Past},
};
use crate::limits::{
    DESCRIPTOR_BYTES_MAX, DOCUMENT_BASES_MAX, DOCUMENT_CHANGES_KEPT_MIN,
    DOCUMENT_CHANGES_WEIGHED_MIN, DOCUMENT_CONFLICTS_KEPT_MAX, DOCUMENT_HEADS_MAX,
    DOCUMENT_KEPT_PERCENT,
};

/// What the root of a history says.
pub(super) fn message(number: u64, lineage: &Lineage) -> String {
    let before = number.saturating_sub(1);
    let covered = data_encoding::HEXLOWER.encode(&lineage.hash());
    format!("begun anew after history {before}; covers {covered}")
}

/// The changes of earlier histories that are repeated in this one, by where they come from.
pub(super) fn repeated(body: &mut Body) -> Result<BTreeMap<Origin, Head>, BodyError> {
    let steps = body.steps()?;
    let twins = steps.iter().filter_map(|step| Some((Origin::read(&step.message)?.0, step.head)));
    Ok(twins.collect())
}

/// A document of this value whose root says what it covers; it follows `past`. Values in conflict
/// stand there as such, if there is room for them. None is made of more bytes than `most`.
fn rooted(
    name: &DocName,
    past: &Past,
    base: Base,
    lineage: &Lineage,
    body: &mut Body,
    steps: &[Step],
    most: usize,
) -> Option<(Body, Head)> {
    let heads = body.heads();
    let root = || Maker {
        actor: derive("starling root 1", &(name, base.number, &heads)),
        time: steps.iter().map(|step| step.time).max().unwrap_or_default(),
        message: message(base.number + 1, lineage),
    };
    let maker = |head: Head| {
        let step = steps.iter().find(|step| step.head == head);
        let origin = step.map(|step| past.origin(step).message(head, &step.message));
        Maker {
            actor: [0; 16],
            time: step.map(|step| step.time).unwrap_or_default(),
            message: origin.unwrap_or_default(),
        }
    };
    let all = body.anew(root(), DOCUMENT_CONFLICTS_KEPT_MAX, maker);
    let new = all.or_else(|_| body.anew(root(), 0, maker)).ok();
    new.filter(|(new, _)| new.len_saved() <= most)
}

/// The next history of a document, which begins with what `all` says: the present version, `past`,
/// and perhaps more, of which it covers these changes, too. It is made of no more bytes than `most`.
fn after(
    revision: &mut Revision,
    past: &Past,
    all: &mut Body,
    more: Vec<Origin>,
    most: usize,
) -> Option<Body> {
    let base = past.base;
    if base.number >= DOCUMENT_BASES_MAX {
        return None;
    }
    let steps = all.steps().ok()?;
    let made = steps.iter().filter(|step| Some(step.head) != base.root);
    let origins = made.map(|step| past.origin(step)).chain(more).collect();
    let lineage = revision.lineage.then(base, &all.heads(), origins);
    let (new, root) = rooted(&revision.name, past, base, &lineage, all, &steps, most)?;
    (revision.base, revision.lineage) = (base.after(Some(root)), lineage);
    Some(new)
}

/// A document with all that another version of it has in addition, which may be one of another
/// history. If its history has no room for that, it is begun anew; then what it was is given, too.
pub(super) fn together(
    revision: &mut Revision,
    body: &mut Body,
    past: &Past,
    all: &[Past],
) -> Result<(Body, Option<Past>), BodyError> {
    let same = past.base == revision.base;
    let mut both = if same {
        body.with(&mut Body::load(&past.body)?)?
    } else {
        carried(revision, body, past, all)?
    };
    both.join(DOCUMENT_HEADS_MAX)?;
    match both.settle() {
        Err(why @ BodyError::TooLarge { .. }) => {
            let present = Past::of(revision, body);
            let (mut both, covered) = (both.unsettled()?, past.covered()?);
            let new = after(revision, &present, &mut both, covered, usize::MAX).ok_or(why)?;
            Ok((new, Some(present)))
        }
        settled => Ok((settled?, None)),
    }
}

impl Replicas {
    /// Begins the history anew, if it is long. Gives what it was.
    pub(super) fn begin_anew(&self, revision: &mut Revision, body: &mut Body) -> Option<Past> {
        let changes = body.len_changes();
        let of_agent = revision.name.agent().is_some();
        let large = body.is_above(DOCUMENT_KEPT_PERCENT)
            || of_agent && body.len_saved() * 100 > DESCRIPTOR_BYTES_MAX * DOCUMENT_KEPT_PERCENT;
        let long = changes > self.changes_max || changes > DOCUMENT_CHANGES_KEPT_MIN && large;
        // Few large changes make a large history of a small value.
        let may_shrink = large && changes > DOCUMENT_CHANGES_WEIGHED_MIN;
        // Whatever it says by now, with its history it has no room here.
        let any = long || body.leaves_room(Size::default()).is_err();
        if any || may_shrink { self.next_history(revision, body, any) } else { None }
    }

    /// The document with a change that was just made, which its history may have no room for. Gives
    /// what it was before, if that is to be kept.
    pub(super) fn changed(
        &self,
        revision: &mut Revision,
        body: &mut Body,
        (mut made, head): (Repeating, Head),
    ) -> Result<Option<Past>, BodyError> {
        let before = body.size();
        let past = match body.settled(&mut made, head) {
            Err(why @ BodyError::TooLarge { .. }) => {
                let past = Past::of(revision, body);
                let mut all = made.unsettled()?;
                *body = after(revision, &past, &mut all, Vec::new(), usize::MAX).ok_or(why)?;
                Some(past)
            }
            settled => {
                *body = settled?;
                self.begin_anew(revision, body)
            }
        };
        super::take::fits(&revision.name, body)?;
        body.leaves_room(before)?;
        Ok(past)
    }

    /// Begins the history anew: if it is not to be done at any rate, only if what it holds is half
    /// of it at most. Gives what it was.
    fn next_history(&self, revision: &mut Revision, body: &mut Body, any: bool) -> Option<Past> {
        let past = Past::of(revision, body);
        let most = if any { usize::MAX } else { body.len_saved() / 2 };
        *body = after(revision, &past, body, Vec::new(), most)?;
        Some(past)
    }

    /// What is covered by what comes after a version.
    pub(super) fn covered_by_root(
        &mut self,
        name: &DocName,
        revision: &Revision,
    ) -> Option<Lineage> {
        let (past, base) = (self.held.get(name)?.past(), revision.base);
        let steps = self.body(name).ok()?.steps().ok()?;
        let made = steps.iter().filter(|step| Some(step.head) != base.root);
        let origins = made.map(|step| past.origin(step)).collect();
        Some(revision.lineage.then(base, &revision.heads, origins))
    }

    /// Whether [`carry`](Self::carry) is to be called.
    #[must_use]
    pub fn is_pending(&self, name: &DocName) -> bool {
        self.held.get(name).is_some_and(|held| held.pasts.iter().any(|past| past.pending))
    }

    /// The documents for which [`carry`](Self::carry) is to be called: after a crash, for one.
    pub fn pending(&self) -> impl Iterator<Item = &DocName> {
        self.held.keys().filter(|name| self.is_pending(name))
    }

    /// Repeats in the present history of a document what others have done in histories that it
    /// replaces, so that none of it is lost; and vouches for that. It does not matter who does it,
    /// or how often. What has no room there waits: it is tried again when the document has changed.
    pub fn carry(&mut self, name: &DocName, pen: &Pen<'_>) -> Carried {
        let mut carried = Carried::default();
        let Some(held) = self.held.get_mut(name) else { return carried };
        let all = held.pasts.clone();
        held.pasts.iter_mut().for_each(|past| past.pending = false);
        held.pasts.retain(|past| !past.base.gone);
        let pending: Vec<&Past> = all.iter().filter(|past| past.pending).collect();
        if pending.iter().any(|past| past.base.gone) {
            carried.changed = true;
            carried.dropped.extend(self.current(name));
            if self.delete(name, pen).is_err() {
                carried.dropped.clear();
            }
            return carried;
        }
        let gone = self.held.get(name).is_some_and(|held| held.base.gone);
        let may = held_by(self.held.get(name).map(Box::as_ref), pen);
        for past in &pending {
            let done = if gone {
                self.bring_back(name, past, pen).ok_or(BodyError::Gap)
            } else if may {
                self.carry_one(name, past, &all, pen)
            } else {
                Err(BodyError::Gap)
            };
            match done {
                Err(BodyError::TooLarge { .. }) if self.wait(name, past) => carried.waiting += 1,
                Err(_) => carried.dropped.extend(past.dropped(self.owner(name))),
                Ok(()) => {}
            }
        }
        carried.changed = carried.waiting < pending.len();
        carried
    }

    /// What there was no room for waits until the document has changed.
    fn wait(&mut self, name: &DocName, past: &Past) -> bool {
        let Some(held) = self.held.get_mut(name) else { return false };
        let done = Past { pending: false, ..past.clone() };
        held.pasts.retain(|other| *other != done);
        held.keep(past.clone())
    }

    /// Goes on with a document that only has the name of one that is deleted: with a root of its
    /// own, because others may have written by that name again.
    fn bring_back(&mut self, name: &DocName, past: &Past, pen: &Pen<'_>) -> Option<()> {
        let mut body = Body::load(&past.body).ok()?;
        let mut revision = self.whole(name).filter(|it| it.base.number < DOCUMENT_BASES_MAX)?;
        let steps = body.steps().ok()?;
        let origins = steps.iter().map(|step| past.origin(step)).collect();
        let deletion = revision.base;
        revision.lineage = revision.lineage.then(past.base, &body.heads(), origins);
        revision.lineage.from = deletion.number + 1;
        let (new, root) =
            rooted(name, past, deletion, &revision.lineage, &mut body, &steps, usize::MAX)?;
        revision.base = deletion.after(Some(root));
        revision.heads = new.heads();
        revision.content = Content::Whole(new.save());
        revision.sign(pen.key, self.mesh);
        self.put(revision, None);
        self.keep_past(name, Some(Past { pending: false, ..past.clone() }));
        self.open.put(name.clone(), new);
        Some(())
    }

    fn current(&self, name: &DocName) -> Option<Dropped> {
        let held = self.held.get(name).filter(|held| !held.heads.is_empty())?;
        let (owner, heads) = (held.owner.clone(), held.heads.clone());
        Some(Dropped { owner, heads, body: held.body.to_vec() })
    }

    fn carry_one(
        &mut self,
        name: &DocName,
        past: &Past,
        all: &[Past],
        pen: &Pen<'_>,
    ) -> Result<(), BodyError> {
        let mut revision = self.whole(name).ok_or(BodyError::Gap)?;
        let mut present = self.body(name)?.clone();
        let (body, full) = together(&mut revision, &mut present, past, all)?;
        if body.heads() == present.heads() {
            return Ok(());
        }
        revision.heads = body.heads();
        revision.content = Content::Whole(body.save());
        revision.sign(pen.key, self.mesh);
        let owner = self.owner(name).cloned();
        self.put(revision, owner);
        self.keep_past(name, full);
        self.open.put(name.clone(), body);
        Ok(())
    }
}

/// A document with what another history of it has in addition, however large that is.
fn carried(
    revision: &Revision,
    body: &mut Body,
    past: &Past,
    all: &[Past],
) -> Result<Repeating, BodyError> {
    let root = revision.base.root.ok_or(BodyError::Gap)?;
    let mut carrier = Carrier::new(body, root, revision.lineage.clone())?;
    carrier.history(past, all)?;
    Ok(carrier.target)
}

/// Only the owner of a descriptor says what it holds.
fn held_by(held: Option<&Held>, pen: &Pen<'_>) -> bool {
    held.is_some_and(|held| held.owner.as_ref().is_none_or(|own| own.host == pen.key.host()))
}

/// Repeats changes of other histories in the present one of a document.
struct Carrier {
    target: Repeating,
    root: Head,
    /// When the root was made, in milliseconds.
    began: i64,
    lineage: Lineage,
    /// What is repeated there already.
    known: BTreeMap<Origin, Head>,
    /// The values there that stand in conflict, by the changes that wrote them first.
    standing: BTreeMap<Origin, Vec<Head>>,
    /// The changes there that are repetitions: their actor, of what, and where that was made first.
    twins: BTreeMap<Head, ([u8; 16], u64, Origin)>,
    /// The last change of each actor there.
    last: BTreeMap<[u8; 16], Head>,
    /// What stands for the changes of other histories.
    places: BTreeMap<Head, Vec<Head>>,
    /// How many values of the root may still be kept beside what replaces them: each has an actor of
    /// its own, of which a document has only so many.
    room: usize,
}

/// What is said of a value of the root that is kept beside what has replaced it.
const KEPT: &str = "stands beside what did not know it";

impl Carrier {
    fn new(body: &mut Body, root: Head, lineage: Lineage) -> Result<Self, BodyError> {
        let mut all = Self {
            target: body.repeating()?,
            root,
            began: 0,
            lineage,
            known: BTreeMap::new(),
            standing: BTreeMap::new(),
            twins: BTreeMap::new(),
            last: BTreeMap::new(),
            places: BTreeMap::new(),
            room: DOCUMENT_CONFLICTS_KEPT_MAX,
        };
        for step in body.steps()? {
            if let Some((origin, of, _)) = Origin::read(&step.message) {
                all.twins.insert(step.head, (step.actor, of, origin.clone()));
                if all.lineage.covers(&origin) {
                    all.standing.entry(origin.clone()).or_default().push(step.head);
                }
                all.known.insert(origin, step.head);
            }
            if step.head == root {
                all.began = step.time;
            }
            if step.message == KEPT {
                all.room = all.room.saturating_sub(1);
            }
            all.last.insert(step.actor, step.head);
        }
        Ok(all)
    }

    /// Repeats what is missing of a history; `all` are those that are known beside it.
    fn history(&mut self, past: &Past, all: &[Past]) -> Result<(), BodyError> {
        let mut source = Body::load(&past.body)?;
        for step in source.steps()? {
            if Some(step.head) == past.base.root {
                self.of_root(past, all, &mut source, &step)?;
                continue;
            }
            let origin = past.origin(&step);
            let place = match self.known.get(&origin) {
                _ if self.lineage.covers(&origin) => self.covered(&step, &origin),
                Some(twin) => vec![*twin],
                None if step.empty => self.onto(&step.deps),
                None => self.repeat(&mut source, &step, origin)?,
            };
            self.places.insert(step.head, place);
        }
        Ok(())
    }

    /// What stands here for the root of another history.
    fn of_root(
        &mut self,
        past: &Past,
        all: &[Past],
        source: &mut Body,
        step: &Step,
    ) -> Result<(), BodyError> {
        if self.places.contains_key(&step.head) {
            return Ok(());
        }
        let place = if past.root_is_covered(&self.lineage) {
            self.known_by(past)
        } else if let Some((before, heads)) = past.before(all) {
            self.history(before, all)?;
            self.onto(&heads)
        } else {
            self.fill(past, source, step)?
        };
        self.places.insert(step.head, place);
        Ok(())
    }

    /// Adds what is missing here of the root of another history: what that was made of is not known
    /// any more.
    fn fill(
        &mut self,
        past: &Past,
        source: &mut Body,
        step: &Step,
    ) -> Result<Vec<Head>, BodyError> {
        let actor = derive("starling filled 1", &step.head);
        let Base { number, .. } = past.base;
        let origin = Origin { number, base: past.base.short(), actor, seq: step.seq };
        let mut place = self.known_by(past);
        if self.lineage.covers(&origin) {
            return Ok(self.with(place, self.standing.get(&origin).into_iter().flatten()));
        }
        let mut twin = self.known.get(&origin).copied();
        if twin.is_none() {
            // What stands in conflict here is here. It is not replaced by what stands there.
            let present = self.with(vec![self.root], self.standing.values().flatten());
            let plan = Planned {
                actor: derive("starling filled 2", &(step.head, self.root)),
                time: step.time,
                message: origin.message(step.head, ""),
                onto: vec![self.root],
            };
            twin = self.target.fill(source, step.head, &present, &plan)?;
        }
        place = self.with(place, &twin);
        Ok(place)
    }

    /// The root, with those values in conflict on it that a history knew when it was begun anew.
    fn known_by(&self, past: &Past) -> Vec<Head> {
        let known = self.standing.iter().filter(|(origin, _)| past.lineage.covers(origin));
        self.with(vec![self.root], known.flat_map(|(_, values)| values))
    }

    /// A place, and more that follows the root.
    fn with<'a>(
        &self,
        mut place: Vec<Head>,
        more: impl IntoIterator<Item = &'a Head>,
    ) -> Vec<Head> {
        place.extend(more);
        self.maximal(place)
    }

    /// What stands here for a change that the root covers: with the root, what of it and of those
    /// before it stands in conflict.
    fn covered(&self, step: &Step, origin: &Origin) -> Vec<Head> {
        self.with(self.onto(&step.deps), self.standing.get(origin).into_iter().flatten())
    }

    fn onto(&self, deps: &[Head]) -> Vec<Head> {
        let places = deps.iter().filter_map(|dep| self.places.get(dep)).flatten();
        self.maximal(places.copied().collect())
    }

    /// These, without the root where there is any other: all others follow it.
    fn maximal(&self, mut heads: Vec<Head>) -> Vec<Head> {
        heads.retain(|head| *head != self.root);
        heads.sort_unstable();
        heads.dedup();
        if heads.is_empty() { vec![self.root] } else { heads }
    }

    fn repeat(
        &mut self,
        source: &mut Body,
        step: &Step,
        origin: Origin,
    ) -> Result<Vec<Head>, BodyError> {
        let onto = self.onto(&step.deps);
        let actor = self
            .continued(step, &origin, &onto)
            .unwrap_or_else(|| derive("starling carried 1", &(step.head, self.root, &onto)));
        let text = origin.message(step.head, &step.message);
        let plan = Planned { actor, time: step.time, message: text, onto };
        let (twin, replaced) = self.target.repeat(source, step, self.root, &plan)?;
        let Some(twin) = twin else { return Ok(plan.onto) };
        replaced.iter().try_for_each(|entry| self.keep(entry))?;
        self.known.insert(origin.clone(), twin);
        let of = Origin::read(&plan.message).map_or(0, |(_, of, _)| of);
        self.twins.insert(twin, (actor, of, origin));
        self.last.insert(actor, twin);
        Ok(vec![twin])
    }

    /// What the root has in an entry stands beside what a change has put there that did not know it.
    fn keep(&mut self, entry: &Entry) -> Result<(), BodyError> {
        let actor = entry.actor(self.root);
        if self.room > 0 && !self.last.contains_key(&actor) {
            self.room -= 1;
            let plan =
                Planned { actor, time: self.began, message: KEPT.into(), onto: vec![self.root] };
            let kept = self.target.keep(self.root, entry, &plan)?;
            kept.map(|kept| self.last.insert(actor, kept));
        }
        Ok(())
    }

    /// The actor of the change that this one continues there, as it did where it was made: so that
    /// a long row of changes does not need as many actors. Only the next change of one actor does:
    /// there is one such, whoever repeats it.
    fn continued(&self, step: &Step, origin: &Origin, onto: &[Head]) -> Option<[u8; 16]> {
        let ([dep], [twin]) = (step.deps.as_slice(), onto) else { return None };
        let (actor, of, before) = self.twins.get(twin)?;
        let next = Origin { seq: before.seq.checked_add(1)?, ..before.clone() };
        let short = u64::from_be_bytes(dep.0[..8].try_into().ok()?);
        (*of == short && next == *origin && self.last.get(actor) == Some(twin)).then_some(*actor)
    }
}

impl Held {
    /// This, as another history of what replaces it.
    pub(super) fn past(&self) -> Past {
        let (base, lineage) = (self.base, self.revision().lineage);
        Past { base, lineage, body: self.body.to_vec(), pending: false }
    }
}

impl Past {
    pub(super) fn new(revision: &Revision, body: Vec<u8>) -> Self {
        Self { base: revision.base, lineage: revision.lineage.clone(), body, pending: true }
    }

    /// What a document is before its history begins anew.
    fn of(revision: &Revision, body: &Body) -> Self {
        Self { pending: false, ..Self::new(revision, body.save()) }
    }

    pub(super) fn origin(&self, step: &Step) -> Origin {
        Origin::of(self.base, step.actor, step.seq, &step.message)
    }

    /// All changes that it holds, by themselves or in its root.
    fn covered(&self) -> Result<Vec<Origin>, BodyError> {
        let steps = Body::load(&self.body)?.steps()?;
        let made = steps.iter().filter(|step| Some(step.head) != self.base.root);
        let mut all: Vec<Origin> = made.map(|step| self.origin(step)).collect();
        all.extend(self.lineage.origins());
        Ok(all)
    }

    /// Whether all that its root holds is covered by the present history.
    pub(super) fn root_is_covered(&self, lineage: &Lineage) -> bool {
        let follows = lineage.of(self.base.short()).is_some_and(|it| !it.heads.is_empty());
        self.base.root.is_none() || follows || lineage.covers_all(&self.lineage)
    }

    /// The history before it and the heads at which that ended, if all of them are there.
    fn before<'a>(&self, all: &'a [Self]) -> Option<(&'a Self, Vec<Head>)> {
        let mut covered = self.lineage.covered.iter().rev();
        let before = |it: &Covered| it.number < self.base.number && !it.heads.is_empty();
        let covered = covered.find(|it| before(it))?;
        let is_it = |past: &&Self| {
            let base: Base = past.base;
            let known = base.short() == covered.base && !past.body.is_empty();
            let body = if known { Body::load(&past.body).ok() } else { None };
            body.is_some_and(|mut body| covered.heads.iter().all(|head| body.knows(*head)))
        };
        Some((all.iter().find(is_it)?, covered.heads.clone()))
    }

    fn dropped(&self, owner: Option<&super::Owner>) -> Option<Dropped> {
        let heads = Body::load(&self.body).ok()?.heads();
        Some(Dropped { owner: owner.cloned(), heads, body: self.body.clone() })
    }
}
