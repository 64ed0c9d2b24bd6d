//! Directories to try things in, and ways to wait.

use std::{fs, path::Path};

use starling_protocols::journal::Sequence;
use tempfile::TempDir;

use crate::journal::{Journal, Progress};

/// Waits until every record before this one is durable.
#[track_caller]
pub(crate) fn wait_durable(journal: &Journal, next: Sequence) {
    block_on(async {
        loop {
            match journal.progress().await {
                Some(Progress::Durable(upto)) if upto >= next => return,
                Some(Progress::Written(_) | Progress::Durable(_)) => {}
                other => panic!("{other:?} while waiting for {next}"),
            }
        }
    });
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A directory in memory if there can be one: what is tried there is tried thousands of times.
pub(crate) fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The files as they are now, in another directory.
pub(crate) fn copy(dir: &Path) -> TempDir {
    let copy = quick_dir();
    let to = copy.path().join("journal");
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap();
        // The -shm file is rebuilt from the log; a link is for people.
        if path.is_file() && !path.is_symlink() && path.extension() != Some("db-shm".as_ref()) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
    copy
}
