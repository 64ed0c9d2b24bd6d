use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, ffi};
use starling_protocols::journal::{Life, Sequence};

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
        match self {
            Self::Damaged { .. } => true,
            Self::Database { source, .. } => is_damage(source),
            _ => false,
        }
    }
}

/// Whether what SQLite found is no journal, or one that is not as it was written. Our queries are
/// right, so whatever is no trouble of the system or of the moment is one of the file.
pub(super) fn is_damage(why: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = why else { return true };
    match failure.code {
        // A file that is shorter than it says.
        ErrorCode::SystemIoFailure => failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ,
        ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OutOfMemory
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied
        | ErrorCode::ReadOnly
        | ErrorCode::OperationInterrupted => false,
        _ => true,
    }
}

/// What keeps a writer from going on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing is lost, and it may pass.
    Blocked(String),
    /// Nobody knows what is on the disk.
    Fatal(JournalError),
}

impl Trouble {
    /// Tells a disk that is full from one that is broken.
    pub(super) fn of(error: JournalError) -> Self {
        match &error {
            JournalError::Io { source, .. } if is_full(source) => Self::Blocked(no_room(source)),
            JournalError::Database { source, path, .. } => match block(source, path) {
                Some(why) => Self::Blocked(why),
                None => Self::Fatal(error),
            },
            JournalError::Blocked { why, .. } => Self::Blocked(why.clone()),
            _ => Self::Fatal(error),
        }
    }

    /// The same for who cannot wait.
    pub(super) fn into_error(self, path: &Path) -> JournalError {
        match self {
            Self::Blocked(why) => JournalError::Blocked { path: path.to_owned(), why },
            Self::Fatal(error) => error,
        }
    }
}

fn block(why: &rusqlite::Error, path: &Path) -> Option<String> {
    let rusqlite::Error::SqliteFailure(failure, _) = why else { return None };
    match failure.code {
        ErrorCode::DiskFull => Some(no_room(&ErrorKind::StorageFull.into())),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Some("another program keeps it locked: end that program".into())
        }
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen if !is_sync(failure) => {
            // SQLite names a full disk only where it writes to its two main files.
            let full = probe(path.parent()?).err().filter(is_full)?;
            Some(no_room(&full))
        }
        _ => None,
    }
}

fn is_sync(failure: &ffi::Error) -> bool {
    [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC].contains(&failure.extended_code)
}

fn is_full(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn no_room(why: &io::Error) -> String {
    format!("{why}: free some space on its filesystem (see `df`); it then goes on by itself")
}

/// Whether a file can grow here.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let written = File::create(&path).and_then(|mut file| file.write_all(&[1; 65_536]));
    // It says nothing more, and the next probe writes it anew.
    let _ = fs::remove_file(&path);
    written
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space on its filesystem (see `df`), then try again"
        }
        ErrorKind::PermissionDenied => {
            "run as the owner of the data directory, or give it to this user with `chown -R`"
        }
        ErrorKind::NotFound => "check the path",
        _ => "see the system's log (`dmesg`) for the state of the disk",
    }
}
