use automerge::transaction::Transactable;
use serde::{Serialize, de::DeserializeOwned};

use super::typed::{Document, ReadError, WriteError, change_fields, read, write};
use crate::guard::guarded;

/// A change of a document that has a name, so that it can be sent to who may write, tried again on
/// what stands there by then, and told to people.
///
/// It must give the same result wherever and whenever it is applied to the same value.
pub trait Update<D: Document>: Serialize + DeserializeOwned {
    /// Its name, such as `echo/raise-limit`.
    const NAME: &'static str;

    /// Changes the value, or says why not; then what it has changed is dropped.
    ///
    /// # Errors
    /// [`Refused::Because`] if it cannot be applied to what stands there, and
    /// [`Refused::NothingToDo`] if that says already what it should.
    fn apply(&self, to: &mut D) -> Result<(), Refused>;

    /// What it is applied to when there is no such document; then that is made. By default none is
    /// made: the document has to be there.
    fn begin(&self) -> Option<D> {
        None
    }
}

/// An update was not applied. The document is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, thiserror::Error)]
pub enum Refused {
    /// It does not suit what stands there.
    #[error("{0}")]
    Because(String),
    /// What stands there says already what it should.
    #[error("there is nothing to do")]
    NothingToDo,
}

impl Refused {
    /// It does not suit what stands there, for this reason.
    pub fn because(why: impl Into<String>) -> Self {
        Self::Because(why.into())
    }
}

/// Why an update did not change a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// What stands there is not of the type. Nothing was changed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The update refused. Nothing was changed.
    #[error("{name} was refused: {why}")]
    Refused {
        /// The update.
        name: &'static str,
        /// What it said.
        why: String,
    },
    /// The result was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Applies an update to a document in its open transaction, and gives back whether it has changed
/// anything. `all_read` is as in [`write()`].
///
/// # Errors
/// If the document is not of the type, the update refuses or panics, or its result cannot be
/// written.
pub fn update<D: Document, U: Update<D>>(
    doc: &mut impl Transactable,
    update: &U,
    all_read: u32,
) -> Result<bool, UpdateError> {
    let begun = || guarded(|| update.begin()).unwrap_or_default();
    let mut value: D = match read(doc) {
        Err(ReadError::Empty) => begun().ok_or(ReadError::Empty)?,
        read => read?,
    };
    let applied = applied(update, &mut value)?;
    Ok(applied && write(doc, &value, all_read)?)
}

/// The same, of the `fields` of an agent's descriptor, which is of no type.
///
/// # Errors
/// As [`update`].
pub(crate) fn update_fields<D: Document, U: Update<D>>(
    doc: &mut impl Transactable,
    update: &U,
) -> Result<bool, UpdateError> {
    change_fields(doc, |value| applied(update, value))
}

fn applied<D: Document, U: Update<D>>(update: &U, value: &mut D) -> Result<bool, UpdateError> {
    match guarded(|| update.apply(value)).map_err(Refused::Because).flatten() {
        Ok(()) => Ok(true),
        Err(Refused::NothingToDo) => Ok(false),
        Err(Refused::Because(why)) => Err(UpdateError::Refused { name: U::NAME, why }),
    }
}
