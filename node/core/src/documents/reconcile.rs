use automerge::{
    AutomergeError, ObjId, ObjType, Prop, ROOT, ScalarValue, Value as Stored,
    transaction::Transactable,
};
use serde_json::{Map, Number, Value};

use super::{
    align::{Edit, align},
    json::{Unreadable, bytes, fits, to_json},
};
use crate::guard::guarded;

/// Why a document was not made to say something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// A document is a map of fields, and this is none. Nothing was changed.
    #[error("a document is a map of keys and values, and this is none")]
    NotAMap,
    /// The value does not fit into a document. Nothing was changed.
    #[error("the new value cannot stand in a document: {0}")]
    TooLarge(Unreadable),
    /// What the document says now cannot be read. Nothing was changed.
    #[error("the document cannot be read: {0}")]
    Unreadable(Unreadable),
    /// The document is damaged. A part of the change may stand in the open transaction: roll it
    /// back, and fetch the document from another host.
    #[error("the document is damaged: {0}")]
    Damaged(String),
}

/// Makes the document say exactly `value`, with few operations, in its open transaction. Gives
/// back whether there was anything to do.
///
/// What stays as it is is not touched. Maps are changed by their keys. In lists equal items stay,
/// maps with an equal `id`, `key` or `name` (the first of these that they have) are changed in
/// their place, and what is left is inserted, deleted or replaced. Texts are scalars, so that of
/// two concurrent ones one wins whole; where a text object stands, it is changed within. Counters
/// go on counting: the difference is added. Times stay times, and whole numbers stay signed or
/// unsigned as far as their value allows; new ones are unsigned, negative ones signed.
/// `{"base64": …}` becomes bytes.
///
/// # Errors
/// If the value is no map or does not fit, or the document cannot be read.
pub fn reconcile_json(doc: &mut impl Transactable, value: &Value) -> Result<bool, ReconcileError> {
    let Value::Object(new) = value else { return Err(ReconcileError::NotAMap) };
    fits(value, 1).map_err(ReconcileError::TooLarge)?;
    let old = to_json(doc).map_err(ReconcileError::Unreadable)?;
    let Value::Object(old) = &old else { return Err(ReconcileError::NotAMap) };
    if old == new {
        return Ok(false);
    }
    contained(|| change_map(doc, &ROOT, old, new))?;
    Ok(true)
}

/// Makes what stands at one place say `new` in place of `old`, which it says.
pub(super) fn reconcile_at(
    doc: &mut impl Transactable,
    obj: &ObjId,
    prop: Prop,
    old: &Value,
    new: &Value,
) -> Result<bool, ReconcileError> {
    if old == new {
        return Ok(false);
    }
    contained(|| change(doc, obj, prop, old, new))?;
    Ok(true)
}

/// Puts a value where none stands: at a new key, or before what stands at an index.
pub(super) fn create_at(
    doc: &mut impl Transactable,
    obj: &ObjId,
    prop: Prop,
    new: &Value,
) -> Result<(), ReconcileError> {
    let place = match prop {
        Prop::Map(key) => Place::At(Prop::Map(key)),
        Prop::Seq(index) => Place::Before(index),
    };
    contained(|| create(doc, obj, place, new, None))
}

/// What the library makes of a hostile document is an error at most.
pub(super) fn contained<T>(
    run: impl FnOnce() -> Result<T, AutomergeError>,
) -> Result<T, ReconcileError> {
    let done = guarded(run).map_err(ReconcileError::Damaged)?;
    done.map_err(|why| ReconcileError::Damaged(why.to_string()))
}

enum Place {
    At(Prop),
    Before(usize),
}

type Done = Result<(), AutomergeError>;

fn change_map(
    doc: &mut impl Transactable,
    obj: &ObjId,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Done {
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        doc.delete(obj, key.as_str())?;
    }
    for (key, value) in new {
        let prop = Prop::Map(key.clone());
        match old.get(key) {
            Some(old) => change(doc, obj, prop, old, value)?,
            None => create(doc, obj, Place::At(prop), value, None)?,
        }
    }
    Ok(())
}

fn change_list(doc: &mut impl Transactable, obj: &ObjId, old: &[Value], new: &[Value]) -> Done {
    let mut at = 0;
    for edit in align(old, new) {
        match edit {
            Edit::Keep(..) => at += 1,
            Edit::Change(i, j) => {
                change(doc, obj, Prop::Seq(at), &old[i], &new[j])?;
                at += 1;
            }
            Edit::Delete(_) => doc.delete(obj, at)?,
            Edit::Insert(j) => {
                create(doc, obj, Place::Before(at), &new[j], None)?;
                at += 1;
            }
        }
    }
    Ok(())
}

fn change(doc: &mut impl Transactable, obj: &ObjId, prop: Prop, old: &Value, new: &Value) -> Done {
    if old == new {
        return Ok(());
    }
    let stands = doc.get(obj, prop.clone())?.map(|(stored, id)| (stored.into_owned(), id));
    match (stands, old, new) {
        (Some((Stored::Object(ObjType::Map | ObjType::Table), id)), Value::Object(old), _)
            if let Value::Object(new) = new
                && bytes(new).is_none() =>
        {
            change_map(doc, &id, old, new)
        }
        (Some((Stored::Object(ObjType::List), id)), Value::Array(old), Value::Array(new)) => {
            change_list(doc, &id, old, new)
        }
        (Some((Stored::Object(ObjType::Text), id)), Value::String(old), Value::String(new)) => {
            change_text(doc, &id, old, new)
        }
        (Some((Stored::Scalar(scalar), _)), ..) => {
            if let ScalarValue::Counter(counter) = scalar.as_ref()
                && let Some(by) = new.as_i64().and_then(|new| new.checked_sub(counter.into()))
            {
                return doc.increment(obj, prop, by);
            }
            create(doc, obj, Place::At(prop), new, Some(&scalar))
        }
        _ => create(doc, obj, Place::At(prop), new, None),
    }
}

/// One splice between what both texts begin and end with.
fn change_text(doc: &mut impl Transactable, obj: &ObjId, old: &str, new: &str) -> Done {
    let (was, is): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let length = doc.length(obj);
    let (mut head, mut tail) = (0, 0);
    // Where what is in the object does not count as characters, all of it is replaced.
    if length == was.len() {
        head = was.iter().zip(&is).take_while(|(was, is)| was == is).count();
        let rest = was[head..].iter().rev().zip(is[head..].iter().rev());
        tail = rest.take_while(|(was, is)| was == is).count();
    }
    let removed = isize::try_from(length - head - tail).unwrap_or(isize::MAX);
    let put: String = is[head..is.len() - tail].iter().collect();
    doc.splice_text(obj, head, removed, &put)
}

/// Puts a new value; `stood` is the scalar that it replaces.
fn create(
    doc: &mut impl Transactable,
    obj: &ObjId,
    place: Place,
    new: &Value,
    stood: Option<&ScalarValue>,
) -> Done {
    match new {
        Value::Object(entries) if bytes(entries).is_none() => {
            let id = create_object(doc, obj, place, ObjType::Map)?;
            entries.iter().try_for_each(|(key, value)| {
                create(doc, &id, Place::At(Prop::Map(key.clone())), value, None)
            })
        }
        Value::Array(items) => {
            let id = create_object(doc, obj, place, ObjType::List)?;
            items
                .iter()
                .enumerate()
                .try_for_each(|(at, value)| create(doc, &id, Place::Before(at), value, None))
        }
        _ => match place {
            Place::At(prop) => doc.put(obj, prop, scalar(new, stood)),
            Place::Before(index) => doc.insert(obj, index, scalar(new, stood)),
        },
    }
}

fn create_object(
    doc: &mut impl Transactable,
    obj: &ObjId,
    place: Place,
    kind: ObjType,
) -> Result<ObjId, AutomergeError> {
    match place {
        Place::At(prop) => doc.put_object(obj, prop, kind),
        Place::Before(index) => doc.insert_object(obj, index, kind),
    }
}

/// What JSON stands for that is neither a map nor a list.
fn scalar(new: &Value, stood: Option<&ScalarValue>) -> ScalarValue {
    match new {
        Value::Bool(value) => ScalarValue::Boolean(*value),
        Value::Number(value) => number(value, stood),
        Value::String(text) => ScalarValue::Str(text.as_str().into()),
        Value::Object(entries) => bytes(entries).map_or(ScalarValue::Null, ScalarValue::Bytes),
        Value::Null | Value::Array(_) => ScalarValue::Null,
    }
}

fn number(new: &Number, stood: Option<&ScalarValue>) -> ScalarValue {
    match (stood, new.as_i64(), new.as_u64()) {
        (Some(ScalarValue::Timestamp(_)), Some(value), _) => ScalarValue::Timestamp(value),
        (Some(ScalarValue::Int(_)), Some(value), _) => ScalarValue::Int(value),
        (_, _, Some(value)) => ScalarValue::Uint(value),
        (_, Some(value), None) => ScalarValue::Int(value),
        (_, None, None) => new.as_f64().map_or(ScalarValue::Null, ScalarValue::F64),
    }
}
