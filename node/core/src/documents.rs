//! What a document says, for programs and for people.

mod align;
mod conflicts;
mod diff;
mod history;
mod json;
mod path;
mod reconcile;
#[cfg(test)]
mod tests;

pub use conflicts::{Candidate, Conflict, Conflicts, ResolveError, conflicts, resolve};
pub use diff::{Difference, Differences, What, diff, diff_values};
pub use history::{ChangeView, HeadError, HistoryPage, at, find_head, history};
pub use json::{Unreadable, to_json};
pub use path::{Path, PathError, SetError, Step, get, remove, set};
pub use reconcile::{ReconcileError, reconcile_json};
