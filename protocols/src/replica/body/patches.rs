//! Does again in one document what a change has done in another.

use std::collections::BTreeMap;

use automerge::{
    AutoCommit, ChangeHash, ObjId, ObjType, Patch, PatchAction, Prop, ROOT, ReadDoc as _, Value,
    marks::{ExpandMark, Mark},
    transaction::Transactable as _,
};

use super::{
    Head,
    anew::derive,
    copying::fresh,
    hash,
    lists::{Places, prints},
};

/// An entry of a map, or an item of a list, that a root has.
pub(in crate::replica) struct Entry {
    object: ObjId,
    place: Place,
}

enum Place {
    Key(String),
    /// The operation that put it there: its position is another one in each version.
    Item(ObjId),
}

impl Entry {
    pub(super) const fn object(&self) -> &ObjId {
        &self.object
    }

    /// What a document has there, and where that is.
    pub(super) fn of<'a>(&self, document: &'a AutoCommit) -> Option<(Value<'a>, ObjId, Prop)> {
        let prop = match &self.place {
            Place::Key(key) => Prop::Map(key.clone()),
            Place::Item(id) => {
                let is_it = |at: &usize| {
                    let all = document.get_all(&self.object, *at).unwrap_or_default();
                    all.iter().any(|(_, its)| its == id)
                };
                Prop::Seq((0..document.length(&self.object)).find(is_it)?)
            }
        };
        let (value, id) = document.get(&self.object, prop.clone()).ok()??;
        Some((value, id, prop))
    }

    /// Whether nobody has replaced what the root has there.
    pub(super) fn stands(&self, document: &AutoCommit, root: Head) -> bool {
        let Some((.., prop)) = self.of(document) else { return false };
        let all = document.get_all(&self.object, prop).unwrap_or_default();
        all.iter().any(|(_, id)| document.hash_for_opid(id) == Some(hash(root)))
    }

    /// The actor of who writes again what a root has there.
    pub(in crate::replica) fn actor(&self, root: Head) -> [u8; 16] {
        let object = self.object.to_string();
        match &self.place {
            Place::Key(key) => derive("starling kept 1", &(root, object, key)),
            Place::Item(id) => derive("starling kept 2", &(root, object, id.to_string())),
        }
    }
}

/// Repeats what one change has done.
pub(super) struct Again<'a> {
    source: &'a AutoCommit,
    /// What the change follows in its own document.
    before: &'a [ChangeHash],
    doc: &'a mut AutoCommit,
    root: Head,
    /// Where the items of its lists stand here.
    lists: BTreeMap<ObjId, Places>,
    replaced: Vec<Entry>,
}

impl<'a> Again<'a> {
    pub(super) const fn new(
        source: &'a AutoCommit,
        before: &'a [ChangeHash],
        doc: &'a mut AutoCommit,
        root: Head,
    ) -> Self {
        Self { source, before, doc, root, lists: BTreeMap::new(), replaced: Vec::new() }
    }

    /// What of the root it has replaced though it knew another value of that.
    pub(super) fn replaced(self) -> Vec<Entry> {
        self.replaced
    }

    /// Does what a patch says. What has no place here any more is left out.
    pub(super) fn patch(&mut self, patch: &Patch) {
        let Some(object) = self.place(patch) else { return };
        let Ok(sort) = self.doc.object_type(&object) else { return };
        let _ = match sort {
            ObjType::Map | ObjType::Table => self.in_map(&object, patch),
            ObjType::List => self.in_list(&object, patch),
            ObjType::Text => self.in_text(&object, &patch.action),
        };
    }

    /// The object of this document in the place where a patch found one.
    fn place(&mut self, patch: &Patch) -> Option<ObjId> {
        let mut object = ROOT;
        for (its, prop) in &patch.path {
            let prop = match prop {
                Prop::Seq(at) if self.is_list(&object) => {
                    Prop::Seq(self.places(its, &object).of(*at)?)
                }
                prop => prop.clone(),
            };
            let (value, id) = self.doc.get(&object, prop).ok()??;
            object = value.is_object().then_some(id)?;
        }
        Some(object)
    }

    fn is_list(&self, object: &ObjId) -> bool {
        self.doc.object_type(object) == Ok(ObjType::List)
    }

    fn places(&mut self, its: &ObjId, object: &ObjId) -> &mut Places {
        let (source, before, doc) = (self.source, self.before, &*self.doc);
        self.lists.entry(its.clone()).or_insert_with(|| {
            Places::between(&prints(source, its, Some(before)), &prints(doc, object, None))
        })
    }

    fn in_map(&mut self, object: &ObjId, patch: &Patch) -> Option<()> {
        match &patch.action {
            PatchAction::PutMap { key, value: (value, _), .. } => {
                let unknown = self.unknown(object, key.as_str().into(), patch, key.as_str().into());
                self.replaced.extend(unknown);
                set(self.doc, object, Prop::Map(key.clone()), value)
            }
            PatchAction::DeleteMap { key } => {
                self.doc.get(object, key.as_str()).ok()??;
                let unknown = self.unknown(object, key.as_str().into(), patch, key.as_str().into());
                if unknown.is_none() {
                    self.doc.delete(object, key.as_str()).ok()?;
                }
                Some(())
            }
            PatchAction::Increment { prop: prop @ Prop::Map(_), value } => {
                self.doc.increment(object, prop.clone(), *value).ok()
            }
            _ => None,
        }
    }

    fn in_list(&mut self, object: &ObjId, patch: &Patch) -> Option<()> {
        let its = &patch.obj;
        match &patch.action {
            PatchAction::PutSeq { index, value: (value, _), .. } => {
                let Some(at) = self.places(its, object).of(*index) else {
                    // It was taken out here meanwhile: who changes it has it stay.
                    let at = self.places(its, object).put_back(*index);
                    return insert(self.doc, object, at, value);
                };
                if let Some(was) = self.places(its, object).was(*index) {
                    let unknown = self.unknown(object, at.into(), patch, was.into());
                    self.replaced.extend(unknown);
                }
                set(self.doc, object, Prop::Seq(at), value)
            }
            PatchAction::Insert { index, values } => {
                let at = self.places(its, object).insert(*index, values.len());
                let mut all = values.iter().enumerate();
                all.try_for_each(|(more, (value, ..))| insert(self.doc, object, at + more, value))
            }
            PatchAction::DeleteSeq { index, length } => {
                (0..*length).try_for_each(|_| self.take_out(object, patch, *index))
            }
            PatchAction::Increment { prop: Prop::Seq(index), value } => {
                let at = self.places(its, object).of(*index)?;
                self.doc.increment(object, at, *value).ok()
            }
            _ => None,
        }
    }

    fn take_out(&mut self, object: &ObjId, patch: &Patch, index: usize) -> Option<()> {
        let places = self.places(&patch.obj, object);
        let (at, was) = (places.of(index), places.was(index));
        let Some(at) = at else { return places.take_out(index, false) };
        let known =
            was.is_none_or(|was| self.unknown(object, at.into(), patch, was.into()).is_none());
        self.places(&patch.obj, object).take_out(index, known)?;
        if known { self.doc.delete(object, at).ok() } else { Some(()) }
    }

    fn in_text(&mut self, object: &ObjId, action: &PatchAction) -> Option<()> {
        let end = self.doc.length(object);
        match action {
            PatchAction::SpliceText { index, value, .. } => {
                let at = (*index).min(end);
                self.doc.splice_text(object, at, 0, &value.make_string()).ok()
            }
            PatchAction::DeleteSeq { index, length } => {
                let there = end.saturating_sub(*index).min(*length);
                self.doc.splice_text(object, *index, isize::try_from(there).ok()?, "").ok()
            }
            PatchAction::Mark { marks } => {
                for mark in marks.iter().filter(|mark| mark.start < end) {
                    let value = mark.value().clone();
                    let (name, until) = (mark.name().to_owned(), mark.end.min(end));
                    let mark = Mark::new(name, value, mark.start, until);
                    self.doc.mark(object, mark, ExpandMark::Both).ok()?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// What a patch replaces or deletes, if the root wrote what stands there and who made the change
    /// knew another value, in the place where that `was`.
    fn unknown(&self, object: &ObjId, now: Prop, patch: &Patch, was: Prop) -> Option<Entry> {
        let place = now.clone();
        let (now, id) = self.doc.get(object, now).ok()??;
        let was = self.source.get_at(&patch.obj, was, self.before).ok().flatten();
        let known = match (&now, was.as_ref().map(|(was, _)| was)) {
            (Value::Scalar(now), Some(Value::Scalar(was))) => fresh(now) == fresh(was),
            (Value::Object(now), Some(Value::Object(was))) => now == was,
            _ => false,
        };
        let of_root = self.doc.hash_for_opid(&id) == Some(hash(self.root));
        let place = match place {
            Prop::Map(key) => Place::Key(key),
            Prop::Seq(_) => Place::Item(id),
        };
        (of_root && !known).then(|| Entry { object: object.clone(), place })
    }
}

fn set(doc: &mut AutoCommit, object: &ObjId, prop: Prop, value: &Value<'_>) -> Option<()> {
    match value {
        Value::Object(ObjType::Table) => doc.put_object(object, prop, ObjType::Map).map(drop).ok(),
        Value::Object(sort) => doc.put_object(object, prop, *sort).map(drop).ok(),
        Value::Scalar(value) => doc.put(object, prop, fresh(value)).ok(),
    }
}

fn insert(doc: &mut AutoCommit, object: &ObjId, at: usize, value: &Value<'_>) -> Option<()> {
    match value {
        Value::Object(ObjType::Table) => doc.insert_object(object, at, ObjType::Map).map(drop).ok(),
        Value::Object(sort) => doc.insert_object(object, at, *sort).map(drop).ok(),
        Value::Scalar(value) => doc.insert(object, at, fresh(value)).ok(),
    }
}
