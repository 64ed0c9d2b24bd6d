use std::{io, path::PathBuf};

use crate::database::{Cause, Failure, FileError, advice};

/// Why documents were not opened or written.
///
/// Unless the variant says otherwise, their file is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
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
    /// SQLite refused something. What was not reported stored may or may not be on the disk: the
    /// next start looks.
    #[error(
        "cannot {doing} the documents {path}: {source}; see the system's log (`dmesg`) for the \
         state of the disk, then start again: what was stored before is read then",
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
    /// There is no room for the documents, or another program keeps them locked.
    #[error("the documents {path} cannot be written now: {why}", path = path.display())]
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
    /// The file is not as it was written.
    #[error(
        "{path} is damaged: {why}; start again: what can be read is used, and the file set aside",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The number of a batch is not above the one before it. It was not written, nor is anything
    /// after it.
    #[error("batch {found} of documents came after batch {last}: this is a defect")]
    OutOfOrder {
        /// The batch that was written last.
        last: u64,
        /// The batch that came.
        found: u64,
    },
    /// The writer panicked. What was not reported stored may or may not be on the disk.
    #[error("the writer of the documents panicked: this is a defect; what was stored is there")]
    Panicked,
}

impl From<FileError> for DocumentsError {
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

impl Failure for DocumentsError {
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
