//! The journal on the disk: what the agents of this host did, and what the daemon had to say.
//!
//! | file in `<data dir>/journal` | holds |
//! |---|---|
//! | `00000000000000000001.db`, … | records from the one of that number on; the last is written |
//! | `current.db` | a link to the last, for people |
//! | `next.db` | one that is being made; nobody relies on it |
//! | `damaged-1.db`, … | one of which nothing could be used; it is never deleted |
//!
//! Each is an SQLite database (`.schema` explains the tables). The records stand in pages, each
//! with a checksum and the hash of the page before it; everything else is an index. A file never
//! changes its name while it may be open: SQLite finds the log beside it by name.
//!
//! One thread writes ([`Journal`]). It takes everything that waits and commits it in one
//! transaction; if somebody waits for a part of it, the commit is forced to the disk. Any number of
//! [`Reader`]s may look on.

pub mod archive;
mod error;
mod files;
mod index;
mod layer;
mod progress;
mod queue;
mod reader;
mod recover;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::Path, time::Duration};

pub use error::JournalError;
use files::Files;
pub use layer::{LogHandle, LogLayer};
pub use progress::Progress;
pub use reader::{
    EraView, LifeView, LogEntry, LogFilter, LogNames, LogPlace, Problem, Reader, Records, Report,
    Told, Which,
};
pub use recover::{JournalDamage, Opened};
use starling_protocols::journal::Batch;
use writer::Keeper;

use crate::database::{self, Desk, Trouble};

/// Damaged files that were set aside in the directory of a journal and are still there.
#[must_use]
pub fn set_aside(dir: &Path) -> Vec<std::path::PathBuf> {
    files::damaged(dir)
}

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of batches that may wait to be written. With more, [`Journal::has_room`] says no.
    /// 64 MiB.
    pub queue_bytes_max: usize,
    /// Bytes of old files. With more, the oldest are deleted. 1 GiB.
    pub retain_bytes: u64,
    /// Old files are deleted after this time. 30 days.
    pub retain_age: Duration,
    /// Messages of the log in the current file. 200,000.
    pub logs_rows_max: u64,
    /// Messages of the log are deleted after this time. 7 days.
    pub logs_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_bytes_max: database::QUEUE_BYTES_MAX,
            retain_bytes: 1024 * 1024 * 1024,
            retain_age: Duration::from_secs(30 * 24 * 3600),
            logs_rows_max: 200_000,
            logs_age: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// The journal of this host, open for writing. Only the holder of the data directory's lock has it.
#[derive(Debug)]
pub struct Journal {
    desk: Desk<Keeper>,
}

impl Journal {
    /// Opens the journal in `dir`, and makes it when there is none. What it gives back is durable.
    ///
    /// Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`JournalError::Newer`] when a later version wrote it; otherwise when the disk does not work
    /// or is full. A damaged journal is no error: see [`Opened::damage`].
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), JournalError> {
        let blocked = |why| Trouble::of(why).into_error(dir);
        let files = Files::open(dir).map_err(blocked)?;
        let (store, opened) = recover::open(&files).map_err(blocked)?;
        let queue_bytes_max = options.queue_bytes_max;
        let desk = Desk::open("journal", Keeper { files, options, store }, queue_bytes_max)
            .map_err(JournalError::io("start the writer of", dir))?;
        Ok((Self { desk }, opened))
    }

    /// Has a batch written, after all those before it. Never blocks; ask [`has_room`](Self::has_room)
    /// before taking on new work.
    pub fn append(&self, batch: Batch) {
        self.desk.put(batch);
    }

    /// Has the log's messages written here from now on, and those that were kept until now.
    pub fn keep_logs(&self, logs: &LogHandle) {
        logs.connect(self.desk.queue());
    }

    /// Whether there is room for more. While there is not, the daemon must take on nothing new.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.desk.has_room()
    }

    /// Bytes of batches that wait to be written.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.desk.queue().bytes()
    }

    /// Waits until there is room.
    pub async fn wait_for_room(&self) {
        self.desk.wait_for_room().await;
    }

    /// What is new: waits for it. After a [`Progress::Failed`] or the end comes `None`.
    ///
    /// Nothing is lost when this is dropped half-way. For one caller at a time.
    pub async fn progress(&self) -> Option<Progress> {
        self.desk.progress().await
    }

    /// What is new, if anything is.
    #[must_use]
    pub fn try_progress(&self) -> Option<Progress> {
        self.desk.try_progress()
    }

    /// Why nothing can be written now and what to do, while that is so.
    #[must_use]
    pub fn why_full(&self) -> Option<String> {
        self.desk.why_full()
    }

    /// Writes what waits, makes everything durable and closes the file. Blocks for as long as the
    /// disk takes.
    ///
    /// # Errors
    /// [`JournalError::Blocked`] when there is no room for what waits: it is lost, but was not
    /// reported written. Otherwise what the writer failed with, if nobody was told yet.
    pub fn close(self) -> Result<(), JournalError> {
        self.desk.close()
    }
}

/// How many bytes the files of a journal have.
#[must_use]
pub fn bytes_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    // A file may be deleted meanwhile. Links are not followed.
    let about = entries.filter_map(|entry| entry.metadata().ok());
    about.filter(std::fs::Metadata::is_file).map(|about| about.len()).sum()
}
