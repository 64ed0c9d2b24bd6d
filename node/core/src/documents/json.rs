use automerge::{
    ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, ScalarValueRef, Value as Stored,
    ValueRef,
};
use data_encoding::BASE64;
use serde_json::{Map, Number, Value, json};
use starling_protocols::{
    limits::{
        DOCUMENT_DEPTH_MAX, DOCUMENT_LIST_ITEMS_MAX, DOCUMENT_TEXT_BYTES_MAX, DOCUMENT_VALUES_MAX,
    },
    words::cut,
};

use crate::guard::guarded;

/// The key that marks bytes in JSON.
const BYTES_KEY: &str = "base64";

/// Why a document, or a value that is to stand in one, is not taken as JSON. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Maps and lists stand in each other too deep. Flatten it.
    #[error("it is nested deeper than {DOCUMENT_DEPTH_MAX} maps and lists: flatten it")]
    TooDeep,
    /// There are too many values. Share it out over several documents.
    #[error("it has more than {DOCUMENT_VALUES_MAX} values: share it out over several documents")]
    TooManyValues,
    /// Keys and texts together are too long. Share it out over several documents.
    #[error(
        "its keys and texts have more than {DOCUMENT_TEXT_BYTES_MAX} bytes together: share it out \
         over several documents"
    )]
    TooLong,
    /// Its lists are too long to be written. Use maps: their keys stay what they are.
    #[error(
        "its lists have more than {DOCUMENT_LIST_ITEMS_MAX} items together: larger collections are \
         maps"
    )]
    TooManyItems,
    /// A version was asked for that the document has not, by one of its heads.
    #[error("it has no change {0}")]
    UnknownHead(ChangeHash),
    /// The document is damaged. Fetch it from another host.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// The document as it is now, as JSON.
///
/// Bytes are `{"base64": …}`; times are milliseconds since 1970, counters their sum, numbers that
/// JSON has not (such as NaN) null. Of concurrent values the one that stands is shown, see
/// [`conflicts`](super::conflicts).
///
/// # Errors
/// If it is nested too deep, too large, or damaged.
pub fn to_json(doc: &impl ReadDoc) -> Result<Value, Unreadable> {
    value_of(doc, &ROOT, ObjType::Map, None, 1)
}

/// One object of a document, `depth` deep in it; 1 is the root.
pub(super) fn value_of(
    doc: &impl ReadDoc,
    obj: &ObjId,
    kind: ObjType,
    heads: Option<&[ChangeHash]>,
    depth: usize,
) -> Result<Value, Unreadable> {
    let reader = || Reader { doc, heads, budget: &mut Budget::default() }.object(obj, kind, depth);
    guarded(reader).map_err(Unreadable::Damaged).flatten()
}

/// What [`ReadDoc::get`] has found, `depth` deep, as far as the budget reaches.
pub(super) fn stored_value(
    doc: &impl ReadDoc,
    stored: &Stored<'_>,
    id: &ObjId,
    depth: usize,
    budget: &mut Budget,
) -> Result<Value, Unreadable> {
    match stored {
        Stored::Object(kind) => {
            let reader = || Reader { doc, heads: None, budget }.object(id, *kind, depth);
            guarded(reader).map_err(Unreadable::Damaged).flatten()
        }
        Stored::Scalar(scalar) => {
            let value = image(scalar);
            budget.value(&value, depth).map(|()| value)
        }
    }
}

/// Whether a value fits into a document whose root it is, or stands `depth` deep in.
pub(super) fn fits(value: &Value, depth: usize) -> Result<(), Unreadable> {
    Budget::default().value(value, depth)?;
    if items(value) > DOCUMENT_LIST_ITEMS_MAX { Err(Unreadable::TooManyItems) } else { Ok(()) }
}

/// How many items all lists of a value have together; it is not too deep.
fn items(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.len() + list.iter().map(items).sum::<usize>(),
        Value::Object(map) => map.values().map(items).sum(),
        _ => 0,
    }
}

/// A scalar as JSON.
pub(super) fn image(scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Null => Value::Null,
        ScalarValue::Boolean(value) => (*value).into(),
        ScalarValue::Str(text) => text.as_str().into(),
        ScalarValue::Uint(value) => (*value).into(),
        ScalarValue::Int(value) | ScalarValue::Timestamp(value) => (*value).into(),
        ScalarValue::Counter(counter) => i64::from(counter).into(),
        ScalarValue::F64(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        ScalarValue::Bytes(bytes) | ScalarValue::Unknown { bytes, .. } => {
            json!({ BYTES_KEY: BASE64.encode(bytes) })
        }
    }
}

/// The bytes that JSON stands for, if it is the image of some.
pub(super) fn bytes(value: &Map<String, Value>) -> Option<Vec<u8>> {
    let text = value.get(BYTES_KEY).filter(|_| value.len() == 1)?.as_str()?;
    BASE64.decode(text.as_bytes()).ok()
}

/// A value as JSON on one line, cut after `chars`.
pub(super) fn short(value: &Value, chars: usize) -> String {
    cut(&value.to_string(), chars).into_owned()
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn one(&mut self, bytes: usize) -> Result<(), Unreadable> {
        self.values += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.values > DOCUMENT_VALUES_MAX {
            return Err(Unreadable::TooManyValues);
        }
        if self.bytes > DOCUMENT_TEXT_BYTES_MAX {
            return Err(Unreadable::TooLong);
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Unreadable> {
        match value {
            Value::Array(items) => {
                nested(depth)?;
                self.one(0)?;
                items.iter().try_for_each(|item| self.value(item, depth + 1))
            }
            Value::Object(entries) => {
                nested(depth)?;
                self.one(0)?;
                entries.iter().try_for_each(|(key, value)| {
                    self.bytes += key.len();
                    self.value(value, depth + 1)
                })
            }
            Value::String(text) => self.one(text.len()),
            _ => self.one(0),
        }
    }
}

fn nested(depth: usize) -> Result<(), Unreadable> {
    if depth > DOCUMENT_DEPTH_MAX { Err(Unreadable::TooDeep) } else { Ok(()) }
}

struct Reader<'a, D> {
    doc: &'a D,
    heads: Option<&'a [ChangeHash]>,
    budget: &'a mut Budget,
}

impl<D: ReadDoc> Reader<'_, D> {
    fn object(&mut self, id: &ObjId, kind: ObjType, depth: usize) -> Result<Value, Unreadable> {
        match kind {
            ObjType::Map | ObjType::Table => self.map(id, depth),
            ObjType::List => self.list(id, depth),
            ObjType::Text => self.text(id),
        }
    }

    fn map(&mut self, id: &ObjId, depth: usize) -> Result<Value, Unreadable> {
        nested(depth)?;
        self.budget.one(0)?;
        let range = match self.heads {
            Some(heads) => self.doc.map_range_at(id, .., heads),
            None => self.doc.map_range(id, ..),
        };
        let mut entries = Map::new();
        for item in range {
            self.budget.bytes += item.key.len();
            let value = self.value(&item.value, || item.id(), depth + 1)?;
            entries.insert(item.key.into_owned(), value);
        }
        Ok(Value::Object(entries))
    }

    fn list(&mut self, id: &ObjId, depth: usize) -> Result<Value, Unreadable> {
        nested(depth)?;
        self.budget.one(0)?;
        let range = match self.heads {
            Some(heads) => self.doc.list_range_at(id, .., heads),
            None => self.doc.list_range(id, ..),
        };
        let mut items = Vec::new();
        for item in range {
            items.push(self.value(&item.value, || item.id(), depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn text(&mut self, id: &ObjId) -> Result<Value, Unreadable> {
        let length = match self.heads {
            Some(heads) => self.doc.length_at(id, heads),
            None => self.doc.length(id),
        };
        // Before the text is made: what is stored of it may be far shorter.
        if length > DOCUMENT_TEXT_BYTES_MAX {
            return Err(Unreadable::TooLong);
        }
        let text = match self.heads {
            Some(heads) => self.doc.text_at(id, heads),
            None => self.doc.text(id),
        };
        let text = text.map_err(|why| Unreadable::Damaged(why.to_string()))?;
        self.budget.one(text.len())?;
        Ok(Value::String(text))
    }

    fn value(
        &mut self,
        value: &ValueRef<'_>,
        id: impl FnOnce() -> ObjId,
        depth: usize,
    ) -> Result<Value, Unreadable> {
        let scalar = match value {
            ValueRef::Object(kind) => return self.object(&id(), *kind, depth),
            ValueRef::Scalar(scalar) => scalar,
        };
        if let ScalarValueRef::Bytes(bytes) | ScalarValueRef::Unknown { bytes, .. } = scalar
            && bytes.len() > DOCUMENT_TEXT_BYTES_MAX
        {
            return Err(Unreadable::TooLong);
        }
        if let ScalarValueRef::Str(text) = scalar
            && text.len() > DOCUMENT_TEXT_BYTES_MAX
        {
            return Err(Unreadable::TooLong);
        }
        let value = match value.clone().into_value() {
            Stored::Scalar(scalar) => image(&scalar),
            Stored::Object(_) => Value::Null,
        };
        self.budget.value(&value, depth)?;
        Ok(value)
    }
}
