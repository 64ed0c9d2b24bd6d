//! The files of a journal: which is written, which are old, and how one takes the place of another.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use starling_protocols::journal::Batch;

use super::{
    JournalError,
    schema::beside,
    store::{Store, Tail},
};
use crate::database::{FileError, file};

/// Digits of the numbers that files are named by: as many as the greatest number has, so that the
/// order of the names is the order of the files.
const DIGITS: usize = 20;

/// How the names of damaged files begin.
const DAMAGED: &str = "damaged-";

/// The directory of a journal.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the directory if it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self, JournalError> {
        let files = Self { dir: dir.to_owned() };
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => file::sync(dir.parent().unwrap_or(dir))?,
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            Err(why) => return Err(JournalError::io("make", dir)(why)),
        }
        // What a crash left behind that nobody relies on yet.
        file::remove(&files.next())?;
        Ok(files)
    }

    /// The numbered files, oldest first. The last is the one that is written.
    pub(super) fn numbered(&self) -> Result<Vec<PathBuf>, JournalError> {
        numbered(&self.dir)
    }

    /// Makes a file that goes on after `tail`, with this batch in it. The file is in its place only
    /// when all of it is durable.
    pub(super) fn begin(&self, tail: Tail, batch: Option<&Batch>) -> Result<Store, JournalError> {
        let (next, path) = (self.next(), self.path_of(tail.next.0));
        file::remove(&next)?;
        let mut made = Store::create(&next, tail)?;
        if let Some(batch) = batch {
            made.commit(std::slice::from_ref(batch), &[], true)?;
        }
        let tail = made.tail;
        made.close()?;
        file::put_in_place(&next, &path)?;
        self.point_to(&path);
        Store::open(&path, tail)
    }

    /// Files that are gone and whose logs are still there, oldest first.
    pub(super) fn gone(&self) -> Result<Vec<PathBuf>, JournalError> {
        let log = |path: &PathBuf| path.to_str()?.strip_suffix("-wal").map(PathBuf::from);
        let listed = fs::read_dir(&self.dir).map_err(JournalError::io("list", &self.dir))?;
        let logs = listed.flatten().filter_map(|entry| log(&entry.path()));
        let mut gone: Vec<_> =
            logs.filter(|path| first_of(path).is_some() && !path.exists()).collect();
        gone.sort();
        Ok(gone)
    }

    /// Keeps a copy of the log beside a file, before SQLite cuts off what it cannot read.
    pub(super) fn copy_log_aside(path: &Path) -> Result<PathBuf, FileError> {
        file::copy_log_aside(path, DAMAGED)
    }

    /// Gives a damaged file another name, under which nothing uses it.
    pub(super) fn set_aside(path: &Path) -> Result<PathBuf, FileError> {
        file::set_aside(path, DAMAGED)
    }

    /// Deletes old files, oldest first: those last written before so long, and what is more than
    /// so many bytes. Never the one that is written. Gives what was deleted.
    pub(super) fn retain(
        &self,
        bytes_max: u64,
        age_max: Duration,
        now_ms: u64,
    ) -> Result<Vec<PathBuf>, JournalError> {
        let mut old = self.numbered()?;
        old.pop();
        let about: Vec<(PathBuf, u64, u64)> = old.into_iter().map(about).collect();
        let mut bytes: u64 = about.iter().map(|(_, bytes, _)| bytes).sum();
        let before = now_ms.saturating_sub(u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX));
        let mut deleted = Vec::new();
        for (path, size, written_ms) in about {
            if bytes <= bytes_max && written_ms >= before {
                break;
            }
            file::remove(&path)?;
            bytes -= size;
            deleted.push(path);
        }
        Ok(deleted)
    }

    fn next(&self) -> PathBuf {
        self.dir.join("next.db")
    }

    fn path_of(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:0DIGITS$}.db"))
    }

    /// `current.db` is for people only; nothing relies on it.
    fn point_to(&self, path: &Path) {
        let (link, new) = (self.dir.join("current.db"), self.dir.join("current.new"));
        let Some(name) = path.file_name() else { return };
        let _ = fs::remove_file(&new);
        let pointed = symlink(name, &new).and_then(|()| fs::rename(&new, &link));
        if let Err(why) = pointed {
            tracing::debug!(%why, "current.db does not point to the current file");
        }
    }
}

/// Damaged files that were set aside in this directory and are still there.
pub(super) fn damaged(dir: &Path) -> Vec<PathBuf> {
    file::damaged(dir, DAMAGED)
}

/// The numbered files of a directory, oldest first.
pub(super) fn numbered(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let listed = fs::read_dir(dir).map_err(JournalError::io("list", dir))?;
    let mut found = Vec::new();
    for entry in listed {
        let path = entry.map_err(JournalError::io("list", dir))?.path();
        if first_of(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The number of the first record of a file, by its name.
pub(super) fn first_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".db")?;
    let is_number = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { name.parse().ok() } else { None }
}

/// How large a file is with its write-ahead log.
fn bytes_of(path: &Path) -> u64 {
    let length = |path: PathBuf| fs::metadata(path).map_or(0, |about| about.len());
    length(path.to_owned()) + length(beside(path, "-wal"))
}

/// A file, its size, and when it was last written.
fn about(path: PathBuf) -> (PathBuf, u64, u64) {
    let written = fs::metadata(&path).and_then(|about| about.modified()).ok();
    let since = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let bytes = bytes_of(&path);
    (path, bytes, u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
