use std::{
    io,
    path::{Path, PathBuf},
};

use starling_protocols::journal::{Life, Sequence};

use crate::database::{Cause, Failure, FileError, advice};

/// Why a journal was not opened, read or written.
///
/// Unless the variant says otherwise, its files are as they were before.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused something.
    #[error(
        "cannot {doing} {path}: {source}; {next}",
        path = path.display(), next = advice(source)
    )]
    Io {
        /// What was tried, as `make`.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite refused something. What was not reported durable may or may not be on the disk: the
    /// next start looks.
    #[error(
        "cannot {doing} the journal {path}: {source}; see the system's log (`dmesg`) for the state \
         of the disk, then start again: what was durable before is read then",
        path = path.display()
    )]
    Database {
        /// What was tried, as `write to`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// There is no room for the journal, or another program keeps it locked.
    #[error("the journal {path} cannot be written now: {why}", path = path.display())]
    Blocked {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// A later version wrote the file.
    #[error(
        "{path} was written by a later version of Starling (format {format}): use that version",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// A file is not as it was written, so nothing can be read from it.
    #[error(
        "{path} is damaged: {why}; `p2p journal verify` says what can still be read",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no journal there.
    #[error("there is no journal at {path}", path = _0.display())]
    Missing(PathBuf),
    /// The journal does not know this life.
    #[error(
        "there is no life {life} in {path}: `p2p journal list` shows which there are",
        path = path.display()
    )]
    NoLife {
        /// The file, the newest of several.
        path: PathBuf,
        /// The life.
        life: Life,
    },
    /// A batch does not follow the one before it. It was not written, nor is anything after it.
    #[error("record {found} was to be written where {expected} is next: this is a defect")]
    OutOfOrder {
        /// The record that is next.
        expected: Sequence,
        /// The record that came.
        found: Sequence,
    },
    /// The writer panicked. What was not reported durable may or may not be on the disk.
    #[error("the writer of the journal panicked: this is a defect; what was durable is there")]
    Panicked,
}

impl JournalError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(super) fn database(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Database { doing, path, source }
    }

    /// Whether the file itself is the trouble, and not the disk.
    pub(super) fn is_damage(&self) -> bool {
        Failure::is_damage(self)
    }
}

impl From<FileError> for JournalError {
    fn from(why: FileError) -> Self {
        match why {
            FileError::Io { doing, path, source } => Self::Io { doing, path, source },
            FileError::Database { doing, path, source } => Self::Database { doing, path, source },
            FileError::Blocked { path, why } => Self::Blocked { path, why },
            FileError::Newer { path, format } => Self::Newer { path, format },
            FileError::Damaged { path, why } => Self::Damaged { path, why },
        }
    }
}

impl Failure for JournalError {
    fn cause(&self) -> Cause<'_> {
        match self {
            Self::Io { source, .. } => Cause::System(source),
            Self::Database { source, path, .. } => Cause::Database(source, path),
            Self::Blocked { why, .. } => Cause::Blocked(why),
            Self::Damaged { .. } => Cause::Damage,
            _ => Cause::Other,
        }
    }
}
