use std::fmt;

use automerge::{Automerge, ChangeHash};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_protocols::limits::DOCUMENT_DIFFERENCES_MAX;

use super::{
    align::{Edit, align},
    history::at,
    json::{Unreadable, short},
    path::{Path, Step},
};

/// Characters of a value that are shown on a line.
const SHOWN_CHARS: usize = 200;

/// What differs between two versions of a document, in the order of the document.
///
/// It is taken from what both versions say and not from the operations between them: so each line
/// has the old value and the new, what was changed and changed back is not there, and what
/// [`reconcile_json`](super::reconcile_json) would do is what is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Differences {
    /// The differences, in the order of keys and lists.
    pub lines: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
}

/// One difference. Displays as one line; long values are cut there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Where; in a list that has become another, by the place in the new list, or in the old one
    /// where an item was deleted.
    #[serde(with = "as_text")]
    pub path: Path,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What is different at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// A key is new.
    Added {
        /// Its value.
        new: Value,
    },
    /// A key is gone.
    Removed {
        /// Its value.
        old: Value,
    },
    /// A value has been replaced.
    Changed {
        /// By what.
        new: Value,
        /// Which.
        old: Value,
    },
    /// A list has an item more.
    Inserted {
        /// The item.
        new: Value,
    },
    /// A list has an item less.
    Deleted {
        /// The item.
        old: Value,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value| short(value, SHOWN_CHARS);
        let path = &self.path;
        match &self.what {
            What::Added { new } => write!(f, "{path}: added {}", shown(new)),
            What::Removed { old } => write!(f, "{path}: removed {}", shown(old)),
            What::Changed { old, new } => write!(f, "{path}: {} -> {}", shown(old), shown(new)),
            What::Inserted { new } => write!(f, "{path}: inserted {}", shown(new)),
            What::Deleted { old } => write!(f, "{path}: deleted {}", shown(old)),
        }
    }
}

/// What differs between two versions of a document, each given by its heads; no heads stand for
/// the time before the first change.
///
/// # Errors
/// If the document has not had one of the heads, or a version cannot be read.
pub fn diff(
    doc: &Automerge,
    old: &[ChangeHash],
    new: &[ChangeHash],
) -> Result<Differences, Unreadable> {
    Ok(diff_values(&at(doc, old)?, &at(doc, new)?))
}

/// What differs between two values.
#[must_use]
pub fn diff_values(old: &Value, new: &Value) -> Differences {
    let mut teller = Teller::default();
    teller.tell(old, new);
    teller.found
}

#[derive(Default)]
struct Teller {
    at: Vec<Step>,
    found: Differences,
}

impl Teller {
    fn tell(&mut self, old: &Value, new: &Value) {
        match (old, new) {
            _ if old == new => {}
            (Value::Object(old), Value::Object(new)) => {
                let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
                keys.sort_unstable();
                keys.dedup();
                for key in keys {
                    let step = Step::Key(key.clone());
                    self.below(step, |teller| match (old.get(key), new.get(key)) {
                        (Some(old), Some(new)) => teller.tell(old, new),
                        (Some(old), None) => teller.line(|| What::Removed { old: old.clone() }),
                        (None, Some(new)) => teller.line(|| What::Added { new: new.clone() }),
                        (None, None) => {}
                    });
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                for edit in align(old, new) {
                    self.edit(edit, old, new);
                }
            }
            _ => self.line(|| What::Changed { old: old.clone(), new: new.clone() }),
        }
    }

    fn edit(&mut self, edit: Edit, old: &[Value], new: &[Value]) {
        match edit {
            Edit::Keep(..) => {}
            Edit::Change(i, j) => {
                self.below(Step::Index(j), |teller| teller.tell(&old[i], &new[j]));
            }
            Edit::Delete(i) => self.below(Step::Index(i), |teller| {
                teller.line(|| What::Deleted { old: old[i].clone() });
            }),
            Edit::Insert(j) => self.below(Step::Index(j), |teller| {
                teller.line(|| What::Inserted { new: new[j].clone() });
            }),
        }
    }

    fn below(&mut self, step: Step, run: impl FnOnce(&mut Self)) {
        self.at.push(step);
        run(self);
        self.at.pop();
    }

    fn line(&mut self, what: impl FnOnce() -> What) {
        if self.found.lines.len() == DOCUMENT_DIFFERENCES_MAX {
            self.found.more += 1;
        } else {
            let path = Path::new(self.at.iter().cloned());
            self.found.lines.push(Difference { path, what: what() });
        }
    }
}

/// A path as the text that people type.
pub(super) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Path;

    pub(in crate::documents) fn serialize<S: Serializer>(
        path: &Path,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(path)
    }

    pub(in crate::documents) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Path, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
