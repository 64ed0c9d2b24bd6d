//! A journal as people and programs look at it: lists, entries, replay, the state at some moment,
//! differences, verification, export.
//!
//! Everything here blocks for as long as the disk takes, and reads beside a running daemon without
//! holding it up. What a daemon has recorded is seen at most a tenth of a second later.

mod diff;
mod entries;
mod export;
mod logs;
mod open;
mod pick;
mod quiet;
mod replay;
mod state;
mod trace;

use std::{ops::ControlFlow, path::Path};

pub use diff::diff_journals;
pub use logs::{LOG_LINES_MAX, LogQuery};
pub use pick::Who;
use starling_core::engine::Kinds;
pub use state::At;

use super::{JournalError, Reader};
use crate::api::{
    Code, Problem,
    journal::{Fault, Verified, VerifyLine},
};

/// Where lines go. It says when nobody wants more.
pub type Sink<'a, T> = &'a mut dyn FnMut(T) -> ControlFlow<()>;

/// A journal to be looked at, and the kinds with which its agents are replayed.
pub struct Archive {
    reader: Reader,
    kinds: Kinds,
}

impl Archive {
    /// Opens one file, or all files of a journal's directory.
    ///
    /// # Errors
    /// [`Problem`] says why nothing of it can be read.
    pub fn open(path: &Path, kinds: Kinds) -> Result<Self, Problem> {
        let reader = Reader::open(path).map_err(|why| open::explain(path, why))?;
        Ok(Self { reader, kinds })
    }

    /// Reads everything and checks it; tells how far it is. The last line is the report.
    ///
    /// # Errors
    /// [`Problem`] when nothing of it can be read.
    pub fn verify(&self, put: Sink<'_, VerifyLine>) -> Result<(), Problem> {
        let report = self.reader.verify_with(&mut |done, of| {
            // It goes on without a listener: there is no way to end it early.
            let _ = put(VerifyLine::Progress { done, of });
        });
        // It is no advice to do what was just done.
        let report = report.map_err(|why| Problem { next: None, ..why.into() })?;
        let problems = report.problems.into_iter().map(|problem| Fault {
            path: problem.path.display().to_string(),
            page: problem.page,
            sequence: problem.sequence,
            what: problem.what,
        });
        let _ = put(VerifyLine::Report(Verified {
            files: report.files,
            pages: report.pages,
            records: report.records,
            entries: report.entries,
            snapshots: report.snapshots,
            problems: problems.collect(),
            more_problems: report.more_problems,
        }));
        Ok(())
    }
}

impl From<JournalError> for Problem {
    fn from(why: JournalError) -> Self {
        let code = match &why {
            JournalError::Missing(_) | JournalError::NoLife { .. } => Code::NotFound,
            JournalError::Newer { .. } | JournalError::Damaged { .. } => Code::Damaged,
            why if why.is_damage() => Code::Damaged,
            JournalError::Blocked { .. } => Code::Busy,
            _ => Code::Internal,
        };
        let damaged = why.is_damage();
        // What to do stands in the sentences that a daemon says when it cannot start.
        let message = match &why {
            JournalError::Damaged { path, why } => format!("{} is damaged: {why}", path.display()),
            JournalError::Database { path, source, .. } if damaged => {
                format!("{} is damaged: {source}", path.display())
            }
            why => why.to_string(),
        };
        let problem = Self::new(code, message);
        match why {
            JournalError::Missing(_) => problem.next("name a file or a directory of a journal"),
            _ if damaged => problem.next("see what can be read: p2p journal verify"),
            _ => problem,
        }
    }
}
