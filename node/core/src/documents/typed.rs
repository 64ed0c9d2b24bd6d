use automerge::{
    AutoCommit, ROOT, ReadDoc, ScalarValue, Value as Stored, transaction::Transactable,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;
use starling_protocols::words::cut;

use super::{
    align::{Edit, align},
    json::{Unreadable, short, to_json},
    migrate::{self, Migration, StepError},
    path::{Path, Step, find, kind_of},
    reconcile::{ReconcileError, contained, reconcile_json},
    wanted::in_words,
};
use crate::guard::guarded;

/// Where a document says of what type it is.
const TYPE_KEY: &str = "type";
/// Where it says in which version of its type it is written.
const VERSION_KEY: &str = "version";
/// Where all that is the application's stands.
const FIELDS_KEY: &str = "fields";

/// Characters of what stands in place of what was expected that are shown.
const FOUND_CHARS: usize = 100;
/// Characters of an error's reason that are shown.
const WHY_CHARS: usize = 500;

/// A type of documents: what the `fields` of a document say, as a Rust type.
///
/// All that is needed is what `serde` derives. A document of this type has three keys: `type`
/// ([`TYPE`](Self::TYPE)), `version`, and `fields`, below which all is the application's.
///
/// A field that is added with `#[serde(default)]` needs no new version: programs that do not know
/// it leave it as it is. Raise the version for what older programs could not read.
pub trait Document: Serialize + DeserializeOwned {
    /// The type's name, such as `echo/config`.
    const TYPE: &'static str;
    /// The version of the type that this program has.
    const VERSION: u32 = 1;
    /// How documents of older versions are read and written: the last of these leads to
    /// [`VERSION`](Self::VERSION), each one before it to the version before. Documents older than
    /// the first of them are not read.
    const STEPS: &'static [Migration] = &[];
    /// Whole numbers to which hosts add at once, by their paths below `fields`: the sum of all
    /// that was added stands, where else one of the numbers would.
    const COUNTERS: &'static [&'static str] = &[];
}

/// Why a document is not read as a type. It is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing has been written yet.
    #[error("the document is empty")]
    Empty,
    /// It cannot be read at all.
    #[error("the document cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// It is of another type.
    #[error("the document is of type {found}, not {expected:?}")]
    OtherType {
        /// The type that was asked for.
        expected: &'static str,
        /// What it says of its type.
        found: String,
    },
    /// A newer program has written it. Update this host's program.
    #[error(
        "the document is written in version {document} of its type, this program reads up to \
         version {program}: update the program"
    )]
    Newer {
        /// The document's version.
        document: u32,
        /// The newest that this program reads.
        program: u32,
    },
    /// It is so old that this program does not know how it was written.
    #[error(
        "the document is written in version {document} of its type, this program reads from \
         version {oldest} on: write it anew with a program in between"
    )]
    Older {
        /// The document's version.
        document: u32,
        /// The oldest that this program reads.
        oldest: u32,
    },
    /// It could not be brought to this program's version.
    #[error(transparent)]
    Migration(#[from] StepError),
    /// A field is missing, or something else stands there.
    #[error("{path}: {why}{}", found_words(.found))]
    Field {
        /// Where.
        path: Path,
        /// What was expected.
        why: String,
        /// What stands there; a long value is cut. None if nothing does.
        found: Option<String>,
    },
}

fn found_words(found: &Option<String>) -> String {
    found.as_ref().map(|found| format!("; there stands {found}")).unwrap_or_default()
}

/// Why a document was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// What stands there must not be overwritten. Nothing was changed.
    #[error(transparent)]
    Stands(ReadError),
    /// The value could not be read again by this program. Nothing was changed.
    #[error("the value does not read as its own type: {0}")]
    Schema(ReadError),
    /// The value has something that no document has. Nothing was changed.
    #[error("the value cannot be written: {0}")]
    Value(String),
    /// It could not be brought to the document's version. Nothing was changed.
    #[error(transparent)]
    Migration(#[from] StepError),
    /// Some hosts read only versions that this program does not write any more. Nothing was
    /// changed: update those hosts.
    #[error(
        "some hosts read no more than version {read} of the type, this program writes from \
         version {oldest} on: update them"
    )]
    NotForAll {
        /// The newest version that all hosts read.
        read: u32,
        /// The oldest that this program writes.
        oldest: u32,
    },
    /// The document was not changed, or only in a transaction to be rolled back.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

/// A document as `D`. One that an older program has written is brought to this program's version;
/// the document stays as it is.
///
/// # Errors
/// If it is empty, of another type or a newer version, or does not fit the type: then the error
/// names the field and what stands there.
pub fn read<D: Document>(doc: &impl ReadDoc) -> Result<D, ReadError> {
    read_value(to_json(doc)?)
}

/// The same, of a document as JSON.
pub(crate) fn read_value<D: Document>(whole: Value) -> Result<D, ReadError> {
    let stands = Standing::in_value::<D>(whole)?;
    typed(&migrate::up::<D>(stands.fields, stands.version, D::VERSION)?)
}

/// What a document says that holds `value` in this program's version and nothing else.
pub(crate) fn whole_of<D: Document>(value: &D) -> Result<Value, WriteError> {
    let fields = to_fields(value)?;
    Ok(serde_json::json!({ TYPE_KEY: D::TYPE, VERSION_KEY: D::VERSION, FIELDS_KEY: fields }))
}

/// Makes of the fields of a descriptor, which is of no type, what `change` makes of them.
pub(super) fn change_fields<D: Document, E: From<ReadError> + From<WriteError>>(
    doc: &mut impl Transactable,
    change: impl FnOnce(&mut D) -> Result<bool, E>,
) -> Result<bool, E> {
    let place = Path::default().key(FIELDS_KEY);
    let stands = super::path::get(doc, &place).map_err(ReadError::from)?;
    let mut value: D = typed(&stands.unwrap_or_else(|| Map::new().into()))?;
    if !change(&mut value)? {
        return Ok(false);
    }
    let fields = to_fields(&value)?;
    let set = super::path::set(doc, &place, &fields);
    set.map_err(|why| WriteError::Value(why.to_string()).into())
}

/// Makes a document say `value`, in its open transaction, with few operations. Gives back whether
/// there was anything to do. Keys that stand there and that this program's type does not know stay.
///
/// The document stays in the version in which it is written, so that hosts with an older program
/// go on reading it: `value` is brought to that version. It is written in a newer one, up to this
/// program's, only when `all_read` is at least that: the lowest, over all hosts, of the versions
/// that they read. A new document is written in the newest version that all hosts read.
///
/// While a document is brought to a newer version no other host should write it: what is written
/// in the older version at the same time may be lost.
///
/// # Errors
/// If another type or a newer version stands there, or `value` cannot be written.
pub fn write<D: Document>(
    doc: &mut impl Transactable,
    value: &D,
    all_read: u32,
) -> Result<bool, WriteError> {
    let new = to_fields(value)?;
    let stands = match Standing::of::<D>(doc) {
        Ok(stands) => stands,
        Err(ReadError::Empty) => Standing::new(new_version::<D>(all_read)?),
        Err(why) => return Err(WriteError::Stands(why)),
    };
    let version = stands.version.max(all_read.min(D::VERSION));
    let want = migrate::down::<D>(new, version)?;
    let reads = |fields: &Value| {
        let fields = migrate::up::<D>(fields.clone(), version, D::VERSION)?;
        typed::<D>(&fields)
    };
    reads(&want).map_err(WriteError::Schema)?;
    let kept = kept::<D>(&stands, version, &want);
    let fields = kept.filter(|fields| reads(fields).is_ok()).unwrap_or(want);

    let mut root = stands.root;
    root.insert(TYPE_KEY.into(), D::TYPE.into());
    root.insert(VERSION_KEY.into(), version.into());
    root.insert(FIELDS_KEY.into(), fields);
    let changed = reconcile_json(doc, &Value::Object(root))?;
    Ok(count::<D>(doc)? | changed)
}

/// What is known of a type without its Rust type, to check documents by what they say of theirs.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Its name.
    pub name: &'static str,
    /// The newest version that this program reads.
    pub version: u32,
    /// The oldest version that this program reads.
    pub oldest: u32,
    check: fn(Value) -> Result<(), ReadError>,
    raise: fn(&mut AutoCommit) -> Result<bool, WriteError>,
}

impl Schema {
    /// The schema of a type.
    #[must_use]
    pub fn of<D: Document>() -> Self {
        let check = |whole| read_value::<D>(whole).map(drop);
        let raise = |doc: &mut AutoCommit| {
            let value: D = read(doc).map_err(WriteError::Stands)?;
            write(doc, &value, D::VERSION)
        };
        Self { name: D::TYPE, version: D::VERSION, oldest: migrate::oldest::<D>(), check, raise }
    }

    /// Whether a document can be read as this type: what a change must not break.
    ///
    /// # Errors
    /// As [`read`] gives them.
    pub fn check(&self, doc: &impl ReadDoc) -> Result<(), ReadError> {
        self.check_value(to_json(doc)?)
    }

    /// The same, of a document as JSON.
    ///
    /// # Errors
    /// As [`read`] gives them.
    pub fn check_value(&self, whole: Value) -> Result<(), ReadError> {
        (self.check)(whole)
    }

    /// Writes a document in this program's version of its type, whatever version it was written
    /// in. Gives whether that was an older one. Programs that do not know this version cannot read
    /// it any more.
    ///
    /// # Errors
    /// As [`write()`] gives them.
    pub fn raise(&self, doc: &mut AutoCommit) -> Result<bool, WriteError> {
        (self.raise)(doc)
    }
}

/// In which version of its type a document is written, if it says so.
pub(crate) fn version_of(whole: &Value) -> Option<u32> {
    whole.get(VERSION_KEY)?.as_u64()?.try_into().ok()
}

/// The type that a document says it has.
///
/// # Errors
/// If it cannot be read.
pub fn type_of(doc: &impl ReadDoc) -> Result<Option<String>, Unreadable> {
    let stands = super::path::get(doc, &Path::default().key(TYPE_KEY))?;
    Ok(stands.and_then(|name| name.as_str().map(|name| cut(name, FOUND_CHARS).into_owned())))
}

/// What stands in a document.
struct Standing {
    root: Map<String, Value>,
    version: u32,
    fields: Value,
    /// Whether nothing stood there.
    new: bool,
}

impl Standing {
    fn new(version: u32) -> Self {
        Self { root: Map::new(), version, fields: Value::Null, new: true }
    }

    fn of<D: Document>(doc: &impl ReadDoc) -> Result<Self, ReadError> {
        Self::in_value::<D>(to_json(doc)?)
    }

    fn in_value<D: Document>(whole: Value) -> Result<Self, ReadError> {
        let Value::Object(root) = whole else { return Err(ReadError::Empty) };
        if root.is_empty() {
            return Err(ReadError::Empty);
        }
        let found = root.get(TYPE_KEY);
        if found.and_then(Value::as_str) != Some(D::TYPE) {
            let found = found.map_or("none".into(), |found| short(found, FOUND_CHARS));
            return Err(ReadError::OtherType { expected: D::TYPE, found });
        }
        let stands = root.get(VERSION_KEY);
        let version = stands.and_then(Value::as_u64).and_then(|version| version.try_into().ok());
        let version = version.filter(|version| *version > 0).ok_or_else(|| ReadError::Field {
            path: Path::default().key(VERSION_KEY),
            why: "a version is a number from 1 on".into(),
            found: stands.map(described),
        })?;
        let oldest = migrate::oldest::<D>();
        if version > D::VERSION {
            return Err(ReadError::Newer { document: version, program: D::VERSION });
        }
        if version < oldest {
            return Err(ReadError::Older { document: version, oldest });
        }
        let fields = root.get(FIELDS_KEY).cloned().unwrap_or_else(|| Map::new().into());
        Ok(Self { root, version, fields, new: false })
    }
}

fn new_version<D: Document>(all_read: u32) -> Result<u32, WriteError> {
    let oldest = migrate::oldest::<D>();
    if all_read < oldest {
        return Err(WriteError::NotForAll { read: all_read, oldest });
    }
    Ok(all_read.min(D::VERSION))
}

fn to_fields<D: Document>(value: &D) -> Result<Value, WriteError> {
    let fields = guarded(|| serde_json::to_value(value)).map_err(WriteError::Value)?;
    fields.map_err(|why| WriteError::Value(why.to_string()))
}

fn typed<D: Document>(fields: &Value) -> Result<D, ReadError> {
    let read = guarded(|| serde_path_to_error::deserialize::<_, D>(fields));
    let why = match read {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(why)) => why,
        Err(why) => {
            let path = Path::default().key(FIELDS_KEY);
            return Err(ReadError::Field { path, why, found: None });
        }
    };
    let steps = why.path().iter().map_while(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
        Segment::Unknown => None,
    });
    let below = Path::new(steps);
    let found = below.of(fields).map(described);
    let root = [Step::Key(FIELDS_KEY.into())];
    let path = Path::new(root.into_iter().chain(below.steps().iter().cloned()));
    let why = cut(&in_words(&why.inner().to_string()), WHY_CHARS).into_owned();
    Err(ReadError::Field { path, why, found })
}

fn described(value: &Value) -> String {
    format!("{}: {}", kind_of(value), short(value, FOUND_CHARS))
}

/// What is wanted, with what stands there and the type does not know.
fn kept<D: Document>(stands: &Standing, version: u32, want: &Value) -> Option<Value> {
    if stands.new {
        return None;
    }
    let raised = migrate::up::<D>(stands.fields.clone(), stands.version, version).ok()?;
    let newest = migrate::up::<D>(raised.clone(), version, D::VERSION).ok()?;
    let known = to_fields(&typed::<D>(&newest).ok()?).ok()?;
    let known = migrate::down::<D>(known, version).ok()?;
    let mut fields = want.clone();
    keep_unknown(&raised, &known, &mut fields);
    Some(fields)
}

/// Adds to `want` what stands there and is not in `known`, which is the same as it was read.
fn keep_unknown(stands: &Value, known: &Value, want: &mut Value) {
    match (stands, known, want) {
        (Value::Object(stands), Value::Object(known), Value::Object(want)) => {
            for (key, value) in stands {
                match (known.get(key), want.get_mut(key)) {
                    (Some(known), Some(want)) => keep_unknown(value, known, want),
                    (None, None) => {
                        want.insert(key.clone(), value.clone());
                    }
                    _ => {}
                }
            }
        }
        (Value::Array(stands), Value::Array(known), Value::Array(want))
            if stands.len() == known.len() =>
        {
            for edit in align(known, want) {
                if let Edit::Keep(i, j) | Edit::Change(i, j) = edit {
                    keep_unknown(&stands[i], &known[i], &mut want[j]);
                }
            }
        }
        _ => {}
    }
}

/// Makes counters of the numbers that are to be counted and are none yet.
fn count<D: Document>(doc: &mut impl Transactable) -> Result<bool, WriteError> {
    let mut changed = false;
    for path in D::COUNTERS {
        let path: Path = format!("{FIELDS_KEY}.{path}")
            .parse()
            .map_err(|why| WriteError::Value(format!("the counter {path:?}: {why}")))?;
        let found = find(doc, &path).map_err(ReconcileError::Unreadable)?;
        let Some(found) = found.filter(|found| found.parent != ROOT) else { continue };
        let Stored::Scalar(scalar) = &found.stored else { continue };
        let number = match scalar.as_ref() {
            ScalarValue::Int(number) => Some(*number),
            ScalarValue::Uint(number) => i64::try_from(*number).ok(),
            _ => None,
        };
        if let Some(number) = number {
            contained(|| doc.put(&found.parent, found.prop, ScalarValue::counter(number)))?;
            changed = true;
        }
    }
    Ok(changed)
}
