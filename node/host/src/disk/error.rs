use std::{
    fmt,
    io::{Error, ErrorKind},
    path::{Path, PathBuf},
};

use starling_protocols::limits::NAME_BYTES_MAX;

/// Why something was not read from or written to the data directory.
///
/// Unless the variant says otherwise, the files are as they were before.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another daemon uses the directory. Nothing was touched.
    #[error(
        "the data directory {dir} is in use by another daemon ({holder}): stop that one with \
         `p2p down`, or give this one a directory of its own with `--data-dir`",
        dir = dir.display(), holder = Holder(*pid)
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that wrote its number into the lock file; `None` when it has not yet.
        pid: Option<u32>,
    },
    /// Something could not be read, made or looked at.
    #[error(
        "cannot {doing} {path}: {source}; {next}",
        path = path.display(), next = advice(source)
    )]
    Io {
        /// What was tried, as `read`.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: Error,
    },
    /// A file could not be replaced. What it held before is still there.
    #[error(
        "cannot write {path}: {source} (while trying to {doing}); its old content is unchanged; \
         {next}",
        path = path.display(), next = advice(source)
    )]
    Write {
        /// The step that failed, as `write the new content`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Error,
    },
    /// A file was replaced, but the system did not confirm that this would survive a power cut.
    /// Do not tell anybody that it was saved.
    #[error(
        "{path} was written, but it is not certain to survive a power cut: {source}; {next}",
        path = path.display(), next = advice(source)
    )]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Error,
    },
    /// A file or directory is open to others than its owner.
    #[error(
        "{path} may be {what} by others than its owner (mode {mode:04o}): type \
         `chmod {fix} {path}`, after making sure that nobody has made use of it",
        path = path.display()
    )]
    WidePermissions {
        /// The file or directory.
        path: PathBuf,
        /// What others may do, as `read`.
        what: &'static str,
        /// Its permissions.
        mode: u32,
        /// What `chmod` should be given.
        fix: &'static str,
    },
    /// A file is not as it was written. It is left as it is.
    #[error("{path} is damaged: {why}; {next}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        next: &'static str,
    },
    /// A file was written by a later version. It is left as it is.
    #[error(
        "{path} was written by a later version (format {format}): start that version again",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// A value is too large for its file, so it could not be read again. Nothing was written.
    #[error("{path} was not written: {why}; its old content is unchanged", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large it may be.
        why: String,
    },
    /// There is a key already. It is left as it is: a key is never overwritten.
    #[error(
        "there is a key already, {path}: a key is never overwritten; to make this a new host, \
         move the directory away",
        path = path.display()
    )]
    KeyExists {
        /// The key's file.
        path: PathBuf,
    },
    /// The directory belongs to a mesh already. It is left as it is.
    #[error(
        "{dir} belongs to the mesh {mesh_name:?} ({mesh}) already: nothing was changed; start it \
         with `p2p up`, or choose another directory with `--data-dir`",
        dir = dir.display()
    )]
    InMesh {
        /// The data directory.
        dir: PathBuf,
        /// The mesh's name.
        mesh_name: String,
        /// The beginning of the mesh's id.
        mesh: String,
    },
    /// The name for the new mesh does not do. Nothing was changed.
    #[error("a mesh's name has 1 to {NAME_BYTES_MAX} bytes; {0} were given")]
    MeshName(usize),
    /// The number of the host's last life is lost, and the clock cannot stand in for it.
    #[error(
        "{path} was damaged and the clock is behind the time it was written: a new life of this \
         host might be taken for an old one; set the clock, then start again",
        path = path.display()
    )]
    ClockBehind {
        /// The file with the number.
        path: PathBuf,
    },
    /// The operating system gave no random bytes. Nothing was changed.
    #[error("the operating system gave no random bytes: {0}; see its log")]
    Entropy(getrandom::Error),
}

impl DiskError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(super) fn write(doing: &'static str, path: &Path) -> impl FnOnce(Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { doing, path, source }
    }
}

struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("its process number is not known"),
        }
    }
}

fn advice(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space on its filesystem (see `df`), then try again"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "make its filesystem writable again; one that went read-only by itself has failed \
             (see `dmesg`)"
        }
        ErrorKind::PermissionDenied => {
            "run as the owner of the data directory, or give it to this user with `chown -R`"
        }
        ErrorKind::NotFound => "make the directory above it",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "something else is in its place",
        _ => "see the system's log (`dmesg`) for the state of the disk",
    }
}
