use std::{fmt, str::FromStr};

use automerge::{ObjId, ObjType, Prop, ROOT, ReadDoc, Value as Stored, transaction::Transactable};
use serde_json::{Map, Value};
use starling_protocols::limits::{DOCUMENT_DEPTH_MAX, DOCUMENT_PATH_BYTES_MAX};

use super::{
    json::{Budget, Unreadable, fits, stored_value, to_json},
    reconcile::{ReconcileError, contained, create_at, reconcile_at, reconcile_json},
};
use crate::guard::guarded;

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// To the value of a key of a map.
    Key(String),
    /// To an item of a list, counted from 0.
    Index(usize),
}

/// Where in a document a value stands, as people type it: `fields.rooms[2].name`.
///
/// Keys stand between dots, indexes in brackets. A key with other characters than letters, digits,
/// `_`, `-`, `/`, `:`, `@`, `+`, `#`, `$`, `%` and `*` is quoted as in JSON: `fields."a.b"`. The
/// empty path is the whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

impl Path {
    /// The path of these steps.
    #[must_use]
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(steps.into_iter().collect())
    }

    /// Its steps, from the root on.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The path to a key of the map that stands here.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.step(Step::Key(key.into()))
    }

    /// The path to an item of the list that stands here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    fn up_to(&self, steps: usize) -> Self {
        Self(self.0[..steps].to_vec())
    }

    /// What stands at this path of a value.
    #[must_use]
    pub fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.as_object()?.get(key),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if n == 0 { "" } else { "." };
                    if !key.is_empty() && key.chars().all(bare) {
                        write!(f, "{dot}{key}")?;
                    } else {
                        write!(f, "{dot}{}", Value::from(key.as_str()))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Characters that need no quotes.
fn bare(c: char) -> bool {
    c.is_alphanumeric() || "_-/:@+#$%*".contains(c)
}

/// A text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at} of the path: {wrong}")]
pub struct PathError {
    /// The character, counted from 1.
    pub at: usize,
    /// What is wrong there, and what may stand there.
    pub wrong: String,
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let mut parser = Parser { text, at: 0 };
        if text.len() > DOCUMENT_PATH_BYTES_MAX {
            return Err(parser.wrong(format!("it is longer than {DOCUMENT_PATH_BYTES_MAX} bytes")));
        }
        let mut steps = Vec::new();
        while !parser.rest().is_empty() {
            if steps.len() == DOCUMENT_DEPTH_MAX {
                let wrong = format!("there are no more than {DOCUMENT_DEPTH_MAX} steps");
                return Err(parser.wrong(wrong));
            }
            steps.push(parser.step(steps.is_empty())?);
        }
        Ok(Self(steps))
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, wrong: impl Into<String>) -> PathError {
        PathError { at: self.text[..self.at].chars().count() + 1, wrong: wrong.into() }
    }

    /// What is found, in words.
    fn found(&self) -> String {
        self.rest().chars().next().map_or("the path ends".into(), |c| format!("here is {c:?}"))
    }

    fn take(&mut self, token: char) -> bool {
        let taken = self.rest().starts_with(token);
        self.at += if taken { token.len_utf8() } else { 0 };
        taken
    }

    fn step(&mut self, first: bool) -> Result<Step, PathError> {
        if self.take('[') {
            let step = if self.rest().starts_with('"') {
                Step::Key(self.quoted()?)
            } else {
                Step::Index(self.number()?)
            };
            if !self.take(']') {
                return Err(self.wrong(format!("`]` is missing, {}", self.found())));
            }
            return Ok(step);
        }
        if !first && !self.take('.') {
            let wrong = format!("`.` and a key, or `[` and an index, can follow; {}", self.found());
            return Err(self.wrong(wrong));
        }
        if self.rest().starts_with('"') { self.quoted() } else { self.bare() }.map(Step::Key)
    }

    fn bare(&mut self) -> Result<String, PathError> {
        let rest = self.rest();
        let key = &rest[..rest.find(|c| !bare(c)).unwrap_or(rest.len())];
        if key.is_empty() {
            let wrong = format!(
                "a key is missing, {}; a key with such characters is quoted, as in \"a.b\"",
                self.found(),
            );
            return Err(self.wrong(wrong));
        }
        self.at += key.len();
        Ok(key.to_owned())
    }

    fn number(&mut self) -> Result<usize, PathError> {
        let rest = self.rest();
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        let number = digits.parse().map_err(|_| {
            self.wrong(format!("an index is a number, as in rooms[2]; {}", self.found()))
        })?;
        self.at += digits.len();
        Ok(number)
    }

    fn quoted(&mut self) -> Result<String, PathError> {
        let mut keys = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        match keys.next() {
            Some(Ok(key)) => {
                self.at += keys.byte_offset();
                Ok(key)
            }
            _ => Err(self.wrong(
                "a quoted key is a text as in JSON, and this does not end or has \
                 a wrong escape",
            )),
        }
    }
}

/// Why a place of a document was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The path goes through, or to, something else than what stands there. Nothing was changed.
    #[error("{} holds {found}, not {expected}", named(.at))]
    OtherKind {
        /// Where.
        at: Path,
        /// What the path needs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A list has fewer items. Nothing was changed.
    #[error("{} has {length} items; [{length}] would append one", named(.at))]
    TooShort {
        /// The list.
        at: Path,
        /// How many items it has.
        length: usize,
    },
    /// The value was not set, with the reason and what became of the document.
    #[error(transparent)]
    Value(#[from] ReconcileError),
}

fn named(path: &Path) -> String {
    if path.0.is_empty() { "the document".into() } else { path.to_string() }
}

/// What stands at a path, as [`to_json`] shows it; nothing if the path leads nowhere.
///
/// # Errors
/// If it cannot be read.
pub fn get(doc: &impl ReadDoc, path: &Path) -> Result<Option<Value>, Unreadable> {
    if path.0.is_empty() {
        return to_json(doc).map(Some);
    }
    match find(doc, path)? {
        Some(place) => {
            let (depth, budget) = (path.0.len() + 1, &mut Budget::default());
            stored_value(doc, &place.stored, &place.id, depth, budget).map(Some)
        }
        None => Ok(None),
    }
}

/// What a path leads to.
pub(super) struct Found {
    pub(super) parent: ObjId,
    pub(super) prop: Prop,
    pub(super) stored: Stored<'static>,
    pub(super) id: ObjId,
}

/// Goes a path that is not empty.
pub(super) fn find(doc: &impl ReadDoc, path: &Path) -> Result<Option<Found>, Unreadable> {
    guarded(|| {
        let mut at = (ROOT, ObjType::Map);
        let mut found = None;
        for (n, step) in path.0.iter().enumerate() {
            let prop = prop_in(at.1, step)?;
            let (stored, id) = doc.get(&at.0, prop.clone()).ok()??;
            let stored = stored.into_owned();
            if n + 1 == path.0.len() {
                found = Some(Found { parent: at.0.clone(), prop, stored, id });
            } else if let Stored::Object(kind) = stored {
                at = (id, kind);
            } else {
                return None;
            }
        }
        found
    })
    .map_err(Unreadable::Damaged)
}

fn prop_in(kind: ObjType, step: &Step) -> Option<Prop> {
    match (kind, step) {
        (ObjType::Map | ObjType::Table, Step::Key(key)) => Some(Prop::Map(key.clone())),
        (ObjType::List, Step::Index(index)) => Some(Prop::Seq(*index)),
        _ => None,
    }
}

/// Makes a place of the document say `value`, as [`reconcile_json`] does, in its open transaction.
/// Gives back whether there was anything to do.
///
/// Maps that are missing on the way are made; an index one past the end of a list appends.
///
/// # Errors
/// If the path does not suit what stands there, or the document would not be readable afterwards.
pub fn set(doc: &mut impl Transactable, path: &Path, value: &Value) -> Result<bool, SetError> {
    if path.0.is_empty() {
        return Ok(reconcile_json(doc, value)?);
    }
    if path.0.len() > DOCUMENT_DEPTH_MAX {
        return Err(ReconcileError::TooLarge(Unreadable::TooDeep).into());
    }
    fits(value, path.0.len() + 1).map_err(ReconcileError::TooLarge)?;
    let mut whole = to_json(doc).map_err(ReconcileError::Unreadable)?;
    // Of the path's steps, how many lead to what exists; and what is to stand one step on.
    let known = known_steps(&whole, path)?;
    let missing = path.0.get(known + 1..).unwrap_or_default();
    let new = wrapped(path, missing, value)?;
    let old = path.of(&whole).cloned();
    put_in(&mut whole, &path.0[..path.0.len() - missing.len()], new.clone());
    fits(&whole, 1).map_err(ReconcileError::TooLarge)?;
    if let Some(old) = old {
        let found = found(doc, path)?;
        return Ok(reconcile_at(doc, &found.parent, found.prop, &old, &new)?);
    }
    let (parent, kind) = match known {
        0 => (ROOT, ObjType::Map),
        _ => object_at(doc, &path.up_to(known))?,
    };
    let prop = prop_in(kind, &path.0[known])
        .ok_or_else(|| other_kind(path.up_to(known), &path.0[known], "something else"))?;
    create_at(doc, &parent, prop, &new)?;
    Ok(true)
}

/// Removes a key with its value, or an item of a list, in the document's open transaction. Gives
/// back whether there was one. The empty path empties the document.
///
/// # Errors
/// If the document cannot be read.
pub fn remove(doc: &mut impl Transactable, path: &Path) -> Result<bool, SetError> {
    if path.0.is_empty() {
        return Ok(reconcile_json(doc, &Value::Object(Map::new()))?);
    }
    let Some(found) = find(doc, path).map_err(ReconcileError::Unreadable)? else {
        return Ok(false);
    };
    contained(|| doc.delete(&found.parent, found.prop))?;
    Ok(true)
}

fn known_steps(whole: &Value, path: &Path) -> Result<usize, SetError> {
    let mut value = whole;
    for (n, step) in path.0.iter().enumerate() {
        let next = match (step, value) {
            (Step::Key(key), Value::Object(entries)) => entries.get(key),
            (Step::Index(index), Value::Array(items)) if *index <= items.len() => items.get(*index),
            (Step::Index(_), Value::Array(items)) => {
                return Err(SetError::TooShort { at: path.up_to(n), length: items.len() });
            }
            _ => return Err(other_kind(path.up_to(n), step, kind_of(value))),
        };
        let Some(next) = next else { return Ok(n) };
        value = next;
    }
    Ok(path.0.len())
}

/// The value within the maps and lists that are missing around it.
fn wrapped(path: &Path, missing: &[Step], value: &Value) -> Result<Value, SetError> {
    let around = path.0.len() - missing.len();
    let mut whole = value.clone();
    for (n, step) in missing.iter().enumerate().rev() {
        whole = match step {
            Step::Key(key) => Value::Object(Map::from_iter([(key.clone(), whole)])),
            Step::Index(0) => Value::Array(vec![whole]),
            Step::Index(_) => {
                return Err(SetError::TooShort { at: path.up_to(around + n), length: 0 });
            }
        };
    }
    Ok(whole)
}

fn put_in(whole: &mut Value, steps: &[Step], new: Value) {
    let Some((step, rest)) = steps.split_first() else {
        *whole = new;
        return;
    };
    match (step, whole) {
        (Step::Key(key), Value::Object(entries)) => {
            put_in(entries.entry(key.clone()).or_insert(Value::Null), rest, new);
        }
        (Step::Index(index), Value::Array(items)) => {
            if *index == items.len() {
                items.push(Value::Null);
            }
            if let Some(item) = items.get_mut(*index) {
                put_in(item, rest, new);
            }
        }
        _ => {}
    }
}

/// What the document has where its JSON has something; bytes look like a map there.
fn found(doc: &impl ReadDoc, path: &Path) -> Result<Found, SetError> {
    find(doc, path).map_err(ReconcileError::Unreadable)?.ok_or_else(|| {
        let last = path.0.len().saturating_sub(1);
        SetError::OtherKind { at: path.up_to(last), expected: "a map", found: "bytes" }
    })
}

fn object_at(doc: &impl ReadDoc, path: &Path) -> Result<(ObjId, ObjType), SetError> {
    let found = found(doc, path)?;
    match found.stored {
        Stored::Object(kind) => Ok((found.id, kind)),
        Stored::Scalar(_) => {
            Err(SetError::OtherKind { at: path.clone(), expected: "a map", found: "bytes" })
        }
    }
}

fn other_kind(at: Path, step: &Step, found: &'static str) -> SetError {
    let expected = match step {
        Step::Key(_) => "a map",
        Step::Index(_) => "a list",
    };
    SetError::OtherKind { at, expected, found }
}

/// The kind of a value, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
