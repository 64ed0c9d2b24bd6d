//! What a document says, for programs and for people.
//!
//! A document is something that several hosts have a copy of and write, such as the configuration
//! of a kind of agents. For an author it is a Rust type with what `serde` derives, and a name:
//!
//! ```
//! use automerge::AutoCommit;
//! use serde::{Deserialize, Serialize};
//! use starling_core::documents::{Document, Refused, Update, read, update, write};
//!
//! /// How all agents of the kind `echo` behave.
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct EchoConfig {
//!     greeting: String,
//!     limit: u32,
//!     #[serde(default)] // added later: older documents have none
//!     loud: bool,
//! }
//!
//! impl Document for EchoConfig {
//!     const TYPE: &'static str = "echo/config";
//! }
//!
//! /// Lets each agent echo more.
//! #[derive(Serialize, Deserialize)]
//! struct RaiseLimit(u32);
//!
//! impl Update<EchoConfig> for RaiseLimit {
//!     const NAME: &'static str = "echo/raise-limit";
//!     fn apply(&self, to: &mut EchoConfig) -> Result<(), Refused> {
//!         to.limit = to.limit.checked_add(self.0).ok_or(Refused::because("it is too high"))?;
//!         Ok(())
//!     }
//! }
//!
//! let mut doc = AutoCommit::new();
//! write(&mut doc, &EchoConfig { greeting: "Hello".into(), limit: 3, loud: false }, 1)?;
//! update(&mut doc, &RaiseLimit(2), 1)?;
//! assert_eq!(read::<EchoConfig>(&doc)?.limit, 5);
//!
//! // What people do with it:
//! use starling_core::documents::{get, set, to_json};
//! set(&mut doc, &"fields.greeting".parse()?, &"Ahoy".into())?;
//! assert_eq!(get(&doc, &"fields.limit".parse()?)?, Some(5.into()));
//! set(&mut doc, &"fields.limit".parse()?, &"many".into())?;
//! assert_eq!(
//!     read::<EchoConfig>(&doc).unwrap_err().to_string(),
//!     "fields.limit: a whole number from 0 to 4294967295 is expected; \
//!      there stands a text: \"many\"",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A later release may have another type, with [`Migration`]s in both directions: see
//! [`Document::STEPS`] and [`write()`].
//!
//! Everything here takes documents that may come from anybody: what they hold is read within caps,
//! and is an error at most.

mod align;
mod conflicts;
mod diff;
mod history;
mod json;
mod merge;
mod migrate;
mod path;
mod reconcile;
#[cfg(test)]
mod tests;
mod typed;
mod update;
mod wanted;

/// The library that documents are made of, in the version that all of this takes.
pub use automerge::{AutoCommit, Automerge, ChangeHash};
pub use conflicts::{Candidate, Conflict, Conflicts, ResolveError, conflicts, resolve};
pub use diff::{Difference, Differences, What, diff, diff_values};
pub use history::{ChangeView, HeadError, HistoryPage, at, find_head, history};
pub use json::{Unreadable, to_json};
pub use merge::merge_values;
pub use migrate::{Migration, StepError};
pub use path::{Path, PathError, SetError, Step, get, remove, set};
pub use reconcile::{ReconcileError, reconcile_json};
pub use typed::{Document, ReadError, Schema, WriteError, read, type_of, write};
pub(crate) use typed::{read_value, version_of, whole_of};
pub(crate) use update::update_fields;
pub use update::{Refused, Update, UpdateError, update};
