use automerge::{
    AutoCommit, Automerge, ChangeHash, ObjId, ObjType, Prop, ROOT, ReadDoc, Value as Stored,
    ValueRef, transaction::Transactable,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_protocols::{limits::DOCUMENT_CONFLICTS_MAX, time::WallTime};

use super::{
    diff::as_text,
    history::{made_by, wall_time},
    json::{Budget, Unreadable, stored_value, to_json},
    path::{Path, Step, find},
    reconcile::{ReconcileError, contained},
};
use crate::guard::guarded;

/// The places of a document where several hosts have written at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conflicts {
    /// The places, in the order of the document.
    pub places: Vec<Conflict>,
    /// How many more there are.
    pub more: usize,
}

/// A place where several concurrent values stand, until somebody writes there who knows them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Where.
    #[serde(with = "as_text")]
    pub path: Path,
    /// The values; the first is the one that is shown, on all hosts.
    pub values: Vec<Candidate>,
    /// How many more there are.
    pub more: usize,
}

/// One of the values that stand at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The value; none where it is too large to be told with the others.
    pub value: Option<Value>,
    /// The change that wrote it, in hexadecimal digits: what [`resolve`] chooses by. None while it
    /// stands in a transaction that is open.
    pub change: Option<String>,
    /// Who wrote it, in hexadecimal digits.
    pub actor: Option<String>,
    /// The name of the host that wrote it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When, by the calendar of who wrote it.
    pub at: Option<WallTime>,
    /// Whether it is the one that is shown.
    pub shown: bool,
}

/// Why a conflict was not resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nothing stands there. Nothing was changed.
    #[error("nothing stands at {0}")]
    Nothing(Path),
    /// There is but one value. Somebody may have resolved it. Nothing was changed.
    #[error("only one value stands at {0}")]
    NoConflict(Path),
    /// None of the values is of that change. Look at the conflict again. Nothing was changed.
    #[error("change {change} wrote none of the values at {at}")]
    NoCandidate {
        /// Where.
        at: Path,
        /// The change that was asked for.
        change: ChangeHash,
    },
    /// The chosen value cannot be read. Nothing was changed.
    #[error("the value cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// The document was not changed, or only in a transaction to be rolled back.
    #[error(transparent)]
    Write(#[from] ReconcileError),
}

/// All places where several concurrent values stand that are not the same. Within maps and lists
/// that are themselves one of several values, only those shown are looked through.
///
/// # Errors
/// If the document cannot be read.
pub fn conflicts(doc: &Automerge) -> Result<Conflicts, Unreadable> {
    // What is shown has been read whole then, and is nested no deeper than the cap.
    to_json(doc)?;
    guarded(|| {
        let mut seeker = Seeker::new(doc);
        seeker.object(&ROOT, ObjType::Map);
        seeker.found
    })
    .map_err(Unreadable::Damaged)
}

struct Seeker<'a> {
    doc: &'a Automerge,
    at: Vec<Step>,
    /// Of all values together.
    budget: Budget,
    found: Conflicts,
}

impl<'a> Seeker<'a> {
    fn new(doc: &'a Automerge) -> Self {
        Self { doc, at: Vec::new(), budget: Budget::default(), found: Conflicts::default() }
    }

    fn object(&mut self, obj: &ObjId, kind: ObjType) {
        match kind {
            ObjType::Map | ObjType::Table => {
                for item in self.doc.map_range(obj, ..) {
                    let key = item.key.as_ref().to_owned();
                    let step = (Step::Key(key.clone()), Prop::Map(key));
                    self.place(obj, step, item.conflict, &item.value, || item.id());
                }
            }
            ObjType::List => {
                for item in self.doc.list_range(obj, ..) {
                    let step = (Step::Index(item.index), Prop::Seq(item.index));
                    self.place(obj, step, item.conflict, &item.value, || item.id());
                }
            }
            ObjType::Text => {}
        }
    }

    fn place(
        &mut self,
        obj: &ObjId,
        (step, prop): (Step, Prop),
        conflict: bool,
        value: &ValueRef<'_>,
        id: impl Fn() -> ObjId,
    ) {
        self.at.push(step);
        if conflict && self.found.places.len() == DOCUMENT_CONFLICTS_MAX {
            self.found.more += 1;
        } else if conflict {
            self.conflict(obj, prop);
        }
        if let ValueRef::Object(kind) = value {
            self.object(&id(), *kind);
        }
        self.at.pop();
    }

    fn conflict(&mut self, obj: &ObjId, prop: Prop) {
        let stand = self.doc.get_all(obj, prop).unwrap_or_default();
        let more = stand.len().saturating_sub(DOCUMENT_CONFLICTS_MAX);
        let told = stand.iter().rev().take(DOCUMENT_CONFLICTS_MAX).enumerate();
        let depth = self.at.len() + 1;
        let candidate = |(n, (stored, id)): (usize, &(Stored<'_>, ObjId))| {
            let value = stored_value(self.doc, stored, id, depth, &mut self.budget).ok();
            let change = self.doc.hash_for_opid(id);
            let meta = change.and_then(|change| self.doc.get_change_meta_by_hash(&change));
            Candidate {
                value,
                change: change.map(|change| change.to_string()),
                actor: meta.as_ref().map(|meta| made_by(meta).0.to_hex_string()),
                host: None,
                at: meta.and_then(|meta| wall_time(meta.timestamp)),
                shown: n == 0,
            }
        };
        let mut values: Vec<Candidate> = Vec::new();
        for candidate in told.map(candidate) {
            // Who wrote the same does not contradict.
            let same = |other: &Candidate| other.value.is_some() && other.value == candidate.value;
            if !values.iter().any(same) {
                values.push(candidate);
            }
        }
        if values.len() + more < 2 {
            return;
        }
        let path = Path::new(self.at.iter().cloned());
        self.found.places.push(Conflict { path, values, more });
    }
}

/// Chooses one of several concurrent values, by the change that wrote it, in the document's open
/// transaction: it stands alone then.
///
/// A map, list or text that is chosen is written anew as a copy: what others write into the old one
/// meanwhile is not in it.
///
/// # Errors
/// If there is no conflict, or the change wrote none of the values.
pub fn resolve(doc: &mut AutoCommit, path: &Path, choice: &ChangeHash) -> Result<(), ResolveError> {
    let nothing = || ResolveError::Nothing(path.clone());
    let place = if path.steps().is_empty() { None } else { find(doc, path)? };
    let place = place.ok_or_else(nothing)?;
    let stand = contained(|| {
        let stand = doc.get_all(&place.parent, place.prop.clone())?;
        Ok(stand.into_iter().map(|(stored, id)| (stored.into_owned(), id)).collect::<Vec<_>>())
    })?;
    if stand.len() < 2 {
        return Err(ResolveError::NoConflict(path.clone()));
    }
    let chosen = stand.into_iter().find(|(_, id)| doc.hash_for_opid(id).as_ref() == Some(choice));
    let (stored, id) =
        chosen.ok_or_else(|| ResolveError::NoCandidate { at: path.clone(), change: *choice })?;
    // Read within the caps, before it is copied without them.
    let depth = path.steps().len() + 1;
    stored_value(doc, &stored, &id, depth, &mut Budget::default())?;
    contained(|| match stored {
        Stored::Scalar(scalar) => doc.put(&place.parent, place.prop, scalar.into_owned()),
        Stored::Object(_) => {
            let copy = doc.hydrate(&id, None)?;
            doc.batch_create_object(&place.parent, place.prop, &copy, false).map(|_| ())
        }
    })?;
    Ok(())
}
