use std::{
    fmt::Debug,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, ffi};

/// What went wrong with a file. Whose file it is says so in words of its own.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The operating system refused something.
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// SQLite refused something.
    Database { doing: &'static str, path: PathBuf, source: rusqlite::Error },
    /// There is no room, or another program keeps the file locked.
    Blocked { path: PathBuf, why: String },
    /// A later version wrote it.
    Newer { path: PathBuf, format: u32 },
    /// It is not as it was written.
    Damaged { path: PathBuf, why: String },
}

impl FileError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn database(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Database { doing, path, source }
    }
}

/// What an error comes from.
#[derive(Debug)]
pub(crate) enum Cause<'a> {
    System(&'a io::Error),
    Database(&'a rusqlite::Error, &'a Path),
    Blocked(&'a str),
    Damage,
    Other,
}

/// Errors of those who keep something in files.
pub(crate) trait Failure: Debug {
    fn cause(&self) -> Cause<'_>;

    /// Whether the file itself is the trouble, and not the disk.
    fn is_damage(&self) -> bool {
        match self.cause() {
            Cause::Damage => true,
            Cause::Database(why, _) => is_damage(why),
            _ => false,
        }
    }
}

impl Failure for FileError {
    fn cause(&self) -> Cause<'_> {
        match self {
            Self::Io { source, .. } => Cause::System(source),
            Self::Database { source, path, .. } => Cause::Database(source, path),
            Self::Blocked { why, .. } => Cause::Blocked(why),
            Self::Damaged { .. } => Cause::Damage,
            Self::Newer { .. } => Cause::Other,
        }
    }
}

/// Whether what SQLite found is no file of ours, or one that is not as it was written. Our queries
/// are right, so whatever is no trouble of the system or of the moment is one of the file.
pub(crate) fn is_damage(why: &rusqlite::Error) -> bool {
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
pub(crate) enum Trouble<E> {
    /// Nothing is lost, and it may pass.
    Blocked(String),
    /// Nobody knows what is on the disk.
    Fatal(E),
}

impl<E: Failure> Trouble<E> {
    /// Tells a disk that is full from one that is broken.
    pub(crate) fn of(error: E) -> Self {
        let blocked = match error.cause() {
            Cause::System(why) if is_full(why) => Some(no_room(why)),
            Cause::Database(why, path) => block(why, path),
            Cause::Blocked(why) => Some(why.to_owned()),
            _ => None,
        };
        blocked.map_or(Self::Fatal(error), Self::Blocked)
    }

    /// The same for who cannot wait.
    pub(crate) fn into_error(self, path: &Path) -> E
    where
        E: From<FileError>,
    {
        match self {
            Self::Blocked(why) => FileError::Blocked { path: path.to_owned(), why }.into(),
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
    format!(
        "{why}: free some space on its filesystem (see `df`); a daemon that runs then goes on by itself"
    )
}

/// Whether a file can grow here.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let written = File::create(&path).and_then(|mut file| file.write_all(&[1; 65_536]));
    // It says nothing more, and the next probe writes it anew.
    let _ = fs::remove_file(&path);
    written
}

/// What to do about it.
pub(crate) fn advice(error: &io::Error) -> &'static str {
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
