use std::fmt::Display;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{typed::Document, wanted::in_words};
use crate::guard::guarded;

type Change = fn(Value) -> Result<Value, String>;

/// One step between two versions of a type of documents, in both directions.
///
/// A step down must keep all that the older version knew: a document that was read by a newer
/// program and is written back in the older version says the same to older programs.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    up: Change,
    down: Change,
}

impl Migration {
    /// A step between two Rust types, the older version's and the newer's, each of which can be
    /// made of the other.
    #[must_use]
    pub const fn between<Old, New>() -> Self
    where
        Old: Serialize + DeserializeOwned + TryFrom<New, Error: Display>,
        New: Serialize + DeserializeOwned + TryFrom<Old, Error: Display>,
    {
        Self { up: convert::<Old, New>, down: convert::<New, Old> }
    }

    /// A step between the `fields` of both versions as JSON.
    #[must_use]
    pub const fn of_values(up: Change, down: Change) -> Self {
        Self { up, down }
    }
}

fn convert<From, To>(value: Value) -> Result<Value, String>
where
    From: DeserializeOwned,
    To: Serialize + TryFrom<From, Error: Display>,
{
    let from: From = serde_path_to_error::deserialize(value).map_err(|why| {
        let said = in_words(&why.inner().to_string());
        match why.path().iter().len() {
            0 => format!("fields: {said}"),
            _ => format!("fields.{}: {said}", why.path()),
        }
    })?;
    let to = To::try_from(from).map_err(|why| why.to_string())?;
    serde_json::to_value(to).map_err(|why| why.to_string())
}

/// A document could not be brought to another version of its type. It is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document cannot be brought from version {from} of its type to version {to}: {why}")]
pub struct StepError {
    /// The version before the step.
    pub from: u32,
    /// The version after it.
    pub to: u32,
    /// Why.
    pub why: String,
}

/// The oldest version that is read and written.
pub(super) fn oldest<D: Document>() -> u32 {
    const {
        assert!(D::VERSION > 0, "versions are counted from 1");
        assert!(
            D::STEPS.len() < D::VERSION as usize,
            "there are more steps than versions before this one"
        );
    }
    D::VERSION - u32::try_from(D::STEPS.len()).unwrap_or(0)
}

/// Brings fields to a newer version.
pub(super) fn up<D: Document>(fields: Value, from: u32, to: u32) -> Result<Value, StepError> {
    (from..to).try_fold(fields, |fields, at| step::<D>(at, fields, at, at + 1, |step| step.up))
}

/// Brings fields from this program's version to an older one.
pub(super) fn down<D: Document>(fields: Value, to: u32) -> Result<Value, StepError> {
    let mut steps = (to..D::VERSION).rev();
    steps.try_fold(fields, |fields, at| step::<D>(at, fields, at + 1, at, |step| step.down))
}

/// Goes the step between version `at` and the next.
fn step<D: Document>(
    at: u32,
    fields: Value,
    from: u32,
    to: u32,
    direction: fn(&Migration) -> Change,
) -> Result<Value, StepError> {
    let step = at.checked_sub(oldest::<D>()).and_then(|n| D::STEPS.get(n as usize));
    let done = match step {
        Some(step) => guarded(|| direction(step)(fields)).flatten(),
        None => Err("this program does not know how".into()),
    };
    done.map_err(|why| StepError { from, to, why })
}
