use std::cmp::Ordering;

use super::{
    super::{Body, BodyError, Content, DocName, Lineage, Owner, Revision},
    Dropped, Refused, Replicas, Taken,
    held::Past,
};
use crate::{
    ident::HostId,
    limits::{
        DESCRIPTOR_BYTES_MAX, DOCUMENT_BASES_MAX, DOCUMENT_HEADS_MAX, DOCUMENTS_MAX,
        LINEAGE_ACTORS_MAX, LINEAGE_HISTORIES_MAX,
    },
};

/// Whose a document is said to be.
enum Claim {
    /// Everybody's.
    Plain,
    /// An agent's, which lives on a host.
    Owned(Owner),
    /// Of a tenure that is not known here, and it does not say by what right.
    Untold,
}

impl Replicas {
    /// Takes a revision from another host.
    ///
    /// When it is of a history that counts more than the one here, or less, and the one that counts
    /// less has changes that the other does not cover, these are put aside: then
    /// [`is_pending`](Self::is_pending), and [`carry`](Self::carry) is to be called.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub fn take(
        &mut self,
        mut revision: Revision,
        is_member: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        sane(&mut revision)?;
        let name = revision.name.clone();
        if self.sound(&name).is_some_and(|held| held.print == revision.print()) {
            self.trust(&name);
            return Ok(Taken::Same);
        }
        let owner = match self.judge(&mut revision, &is_member)? {
            Claim::Plain => None,
            Claim::Owned(owner) => Some(owner),
            Claim::Untold => return Ok(Taken::Lacking(Vec::new())),
        };
        let ranks = self.held.get(&name).map(|held| {
            let titles = match (&owner, &held.owner) {
                (Some(new), Some(old)) => new.outranks(old),
                _ => Ordering::Equal,
            };
            // A damaged copy counts as missing, but whose it is is known.
            let whole = held.damage.is_none();
            let bases = if whole { revision.base.outranks(&held.base) } else { Ordering::Greater };
            (titles, bases)
        });
        let may = |host| owner.as_ref().map_or_else(|| is_member(host), |own| own.host == host);
        match ranks {
            Some((Ordering::Equal, Ordering::Less)) => self.older(revision, may),
            Some((Ordering::Less, _)) => Ok(Taken::Older),
            Some((Ordering::Equal, Ordering::Equal)) if !revision.base.gone => {
                self.merge(revision, owner.clone(), may)
            }
            Some((Ordering::Equal, _)) => self.replace(revision, owner.clone(), true, may),
            _ => self.replace(revision, owner.clone(), false, may),
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
        let known = self.held.get(&name).map(|held| held.revision()).ok_or(Refused::Heads)?;
        let said = revision.heads.clone();
        let mut body = match self.unpack(&name) {
            Ok(body) => body,
            // What is here is damaged: it counts as missing.
            Err(_) => return self.replace(revision, owner, true, may),
        };
        // From here on the unpacked one is dropped if anything is wrong with what came.
        match body.take(bytes) {
            Ok(true) => {}
            Ok(false) if said.iter().all(|head| body.knows(*head)) => {
                self.open.put(name.clone(), body);
                self.trust(&name);
                return Ok(Taken::Same);
            }
            Ok(false) | Err(BodyError::Gap) => return self.lacking(&revision),
            Err(why @ BodyError::TooLarge { .. }) if owner.is_none() => {
                self.open.put(name, body);
                return self.put_aside(revision, why.into(), may);
            }
            Err(why) => return Err(why.into()),
        }
        if !said.iter().all(|head| body.knows(*head)) {
            return self.lacking(&revision);
        }
        // It begins with its root, as it did before; nothing else may stand beside that.
        if revision.base.root.is_some() && body.len_firsts() != 1 {
            return Err(Refused::Heads);
        }
        let heads = body.heads();
        if heads.len() > DOCUMENT_HEADS_MAX {
            return self.put_aside(revision, Refused::TooManyHeads(heads.len()), may);
        }
        (revision.heads, revision.lineage) = (heads, known.lineage);
        fits(&name, &body)?;
        if !revision.cover(&known.stamps, mesh, may) {
            return Err(Refused::Unvouched);
        }
        revision.content = Content::Whole(body.save());
        self.put(revision, owner);
        self.open.put(name, body);
        Ok(Taken::New { dropped: None })
    }

    /// A version that has no room beside the one here: it is [carried](Replicas::carry), with the
    /// joining of all heads or a history that begins anew, if what both say has room there.
    fn put_aside(
        &mut self,
        mut revision: Revision,
        why: Refused,
        may: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        let name = revision.name.clone();
        let Content::Whole(bytes) = &revision.content else {
            return Ok(Taken::Lacking(Vec::new()));
        };
        let mut other = Body::load(bytes)?;
        if other.heads() != revision.heads || !begins_as_said(&revision, &mut other) {
            return Err(Refused::Heads);
        }
        let past = Past::new(&revision, bytes.clone());
        let mut present = self.held.get(&name).map(|held| held.revision()).ok_or(Refused::Heads)?;
        let fits = self
            .body(&name)
            .is_ok_and(|body| super::anew::together(&mut present, body, &past, &[]).is_ok());
        if !fits {
            return Err(why);
        }
        if !revision.cover(&[], self.mesh, may) {
            return Err(Refused::Unvouched);
        }
        let news = self.held.get_mut(&name).is_some_and(|held| held.keep(past));
        if news { Ok(Taken::New { dropped: None }) } else { Err(why) }
    }

    /// A difference need not hold all that it says, if this host has less than was thought there:
    /// what came before it may have been lost, and need not be what it follows.
    fn lacking(&self, revision: &Revision) -> Result<Taken, Refused> {
        match revision.content {
            Content::Since(_) => Ok(Taken::Lacking(self.heads(&revision.name).to_vec())),
            Content::Whole(_) | Content::Gone => Err(Refused::Heads),
        }
    }

    /// A revision of something new, or that counts more than what is here: as another history of
    /// the same document if it has the `same` owner.
    fn replace(
        &mut self,
        mut revision: Revision,
        owner: Option<Owner>,
        same: bool,
        may: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        let name = revision.name.clone();
        if !self.held.contains_key(&name) && self.len() >= DOCUMENTS_MAX {
            return Err(Refused::Full);
        }
        let mut body = match &revision.content {
            Content::Since(..) => return Ok(Taken::Lacking(Vec::new())),
            Content::Gone if revision.base.gone && revision.heads.is_empty() => None,
            Content::Whole(bytes) if !revision.base.gone => Some(Body::load(bytes)?),
            _ => return Err(Refused::Heads),
        };
        if let Some(body) = &mut body {
            if body.heads() != revision.heads || !begins_as_said(&revision, body) {
                return Err(Refused::Heads);
            }
            fits(&name, body)?;
        }
        if !revision.cover(&[], self.mesh, may) {
            return Err(Refused::Unvouched);
        }
        let past = if same { self.left_over(&revision, body.as_mut()) } else { None };
        let dropped = match past {
            Some(_) => None,
            None => self.dropped(&name, body.as_mut()),
        };
        self.put(revision, owner);
        if let Some(held) = self.held.get_mut(&name).filter(|_| !same) {
            held.pasts.clear();
        }
        self.keep_past(&name, past);
        self.open.forget(&name);
        if let Some(body) = body {
            self.open.put(name, body);
        }
        Ok(Taken::New { dropped })
    }

    /// What is here, as another history of what is to replace it: if it is that.
    fn left_over(&mut self, new: &Revision, body: Option<&mut Body>) -> Option<Past> {
        let held = self.sound(&new.name)?;
        if new.base.gone {
            return independent(held.past(), &new.lineage);
        }
        let body = body?;
        new.base.root?;
        let mut past = held.past();
        if past.base.gone {
            // A deletion counts more than what goes on from what it deletes, whatever its number.
            past.pending = true;
            return (new.lineage.from <= past.base.number).then_some(past);
        }
        if past.base.number < new.lineage.known_from || past.body.is_empty() {
            return None;
        }
        past.pending = match Body::load(&past.body) {
            Ok(mut own) => has_more(&past, &mut own, &new.lineage, body).unwrap_or(true),
            Err(_) => return None,
        };
        Some(past)
    }

    /// A revision of a history that counts less than the one here, which may have changes that are
    /// missing here.
    fn older(
        &mut self,
        mut revision: Revision,
        may: impl Fn(HostId) -> bool,
    ) -> Result<Taken, Refused> {
        let name = revision.name.clone();
        let Some(held) = self.held.get(&name).filter(|held| held.base.root.is_some()) else {
            return Ok(Taken::Older);
        };
        let lineage = held.revision().lineage;
        let gone = revision.base.gone && lineage.from <= revision.base.number;
        let other = !revision.base.gone && lineage.known_from <= revision.base.number;
        if name.agent().is_some() || held.is_full() || !gone && !other {
            return Ok(Taken::Older);
        }
        let past = match &revision.content {
            Content::Since(_) => return Ok(Taken::Lacking(Vec::new())),
            Content::Gone if gone && revision.heads.is_empty() => Past::new(&revision, Vec::new()),
            Content::Whole(bytes) if other => {
                let mut body = Body::load(bytes)?;
                if body.heads() != revision.heads || !begins_as_said(&revision, &mut body) {
                    return Err(Refused::Heads);
                }
                let past = Past::new(&revision, bytes.clone());
                let own = self.body(&name)?;
                // Whoever has begun it anew from what is missing here has that, too.
                if !past.root_is_covered(&lineage) || !has_more(&past, &mut body, &lineage, own)? {
                    return Ok(Taken::Older);
                }
                past
            }
            _ => return Err(Refused::Heads),
        };
        if !revision.cover(&[], self.mesh, may) {
            return Err(Refused::Unvouched);
        }
        let news = self.held.get_mut(&name).is_some_and(|held| held.keep(past));
        Ok(if news { Taken::New { dropped: None } } else { Taken::Same })
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
}

/// Whether a revision can be what it says it is, before anything else is looked at.
fn sane(revision: &mut Revision) -> Result<(), Refused> {
    let Revision { base, heads, lineage, stamps, .. } = revision;
    // No more stamps than heads: to look at each takes time.
    let many = heads.len().max(stamps.len());
    if many > DOCUMENT_HEADS_MAX {
        return Err(Refused::TooManyHeads(many));
    }
    if base.number > DOCUMENT_BASES_MAX {
        return Err(Refused::Base);
    }
    let ordered = heads.is_sorted_by(|one, next| one < next);
    let begun = !(base.root.is_some() && (base.gone || base.number == 0));
    let actors: usize = lineage.covered.iter().map(|covered| covered.clock.len()).sum();
    let short = lineage.covered.len() <= LINEAGE_HISTORIES_MAX && actors <= LINEAGE_ACTORS_MAX;
    if !ordered || !begun || !short || base.gone && !heads.is_empty() {
        return Err(Refused::Heads);
    }
    if base.root.is_none() && !base.gone {
        *lineage = Lineage::new(*base);
    }
    Ok(())
}

/// The descriptor of an agent is small.
pub(super) fn fits(name: &DocName, body: &Body) -> Result<(), BodyError> {
    let (found, most) = (body.len_saved() as u64, DESCRIPTOR_BYTES_MAX);
    if name.agent().is_some() && found > most as u64 {
        return Err(BodyError::TooLarge { what: "bytes of a descriptor", found, most });
    }
    Ok(())
}

/// Whether the history begins with the root that it says, and with that alone, and the root with
/// what it says of the histories before.
fn begins_as_said(revision: &Revision, body: &mut Body) -> bool {
    let Some(root) = revision.base.root else { return true };
    let Ok(steps) = body.steps() else { return false };
    let mut firsts = steps.iter().filter(|step| step.deps.is_empty());
    let message = super::anew::message(revision.base.number, &revision.lineage);
    firsts.next().is_some_and(|first| first.head == root && first.message == message)
        && firsts.next().is_none()
}

/// A document, if it has no change at all that somebody knew who has deleted it: then it is another
/// one that only has the same name, and is not meant.
fn independent(mut past: Past, deleted: &Lineage) -> Option<Past> {
    if past.base.gone || past.base.root.is_some() || past.base.number < deleted.known_from {
        return None;
    }
    let steps = Body::load(&past.body).and_then(|mut body| body.steps()).ok()?;
    past.pending = !steps.is_empty() && !steps.iter().any(|it| deleted.covers(&past.origin(it)));
    past.pending.then_some(past)
}

/// Whether another history has changes that are not in the present one.
fn has_more(
    past: &Past,
    other: &mut Body,
    lineage: &Lineage,
    own: &mut Body,
) -> Result<bool, BodyError> {
    if !past.root_is_covered(lineage) {
        return Ok(true);
    }
    let known = super::anew::repeated(own)?;
    let mut steps = other.steps()?.into_iter().filter(|step| Some(step.head) != past.base.root);
    Ok(steps.any(|step| {
        let origin = past.origin(&step);
        !step.empty && !lineage.covers(&origin) && !known.contains_key(&origin)
    }))
}
