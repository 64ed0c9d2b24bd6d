//! The documents on the disk: the copies that this host has of them.
//!
//! | file in the data directory | holds |
//! |---|---|
//! | `documents.db` | the copies, an SQLite database (`.schema` explains the tables) |
//! | `documents-next.db` | one that is being made; nobody relies on it |
//! | `documents-damaged-1.db`, … | one that could not be read, or not all of it; never deleted |
//!
//! A copy is a row of its own, under its name, with a checksum. One thread writes ([`Documents`]):
//! it takes everything that waits and commits it in one transaction, which is forced to the disk. A
//! batch is there whole or not at all.

mod error;
mod open;
mod schema;
mod store;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use error::DocumentsError;
pub(crate) use open::shown;
pub use open::{DamagedCopies, DocumentsDamage, OpenedDocuments};
use starling_protocols::replica::{Kept, KeptBatch};
use store::Store;

use crate::database::{self, Batched, Desk, Trouble};

/// The file of the copies, in its directory.
pub const FILE: &str = "documents.db";

/// What a row costs in the queue beside its text and bytes.
const ROW_BYTES: usize = 64;

/// What has become of the batches.
#[derive(Debug)]
pub enum Progress {
    /// All batches up to this number are durable.
    Stored(u64),
    /// Nothing can be written now. Nothing is lost; it is tried again every second.
    Full {
        /// Why, and what to do.
        why: String,
    },
    /// It is written again, after [`Full`](Self::Full).
    Works,
    /// Nothing is written any more, and nothing more is ever durable. The daemon must end.
    Failed(DocumentsError),
}

/// How far the writer has come: the number of the last batch that is durable.
#[derive(Clone, Copy, Debug, Default)]
struct Stored(u64);

impl database::Stage for Stored {
    type Error = DocumentsError;
    type Progress = Progress;

    fn tell(self, told: &mut Self) -> Option<Progress> {
        let is_new = self.0 > told.0;
        *told = self;
        is_new.then_some(Progress::Stored(self.0))
    }

    fn full(why: String) -> Progress {
        Progress::Full { why }
    }

    fn works() -> Progress {
        Progress::Works
    }

    fn failed(why: DocumentsError) -> Progress {
        Progress::Failed(why)
    }
}

impl Batched for KeptBatch {
    fn bytes(&self) -> usize {
        let put = self.put.iter().map(|kept| ROW_BYTES + kept.name.len() + kept.bytes.len());
        let forget = self.forget.iter().map(|name| ROW_BYTES + name.len());
        put.chain(forget).sum()
    }
}

/// The copies of this host, open for writing. Only the holder of the data directory's lock has them.
///
/// When it is dropped, what waits is written first.
#[derive(Debug)]
pub struct Documents {
    desk: Desk<Store>,
}

impl Documents {
    /// Opens the file at `path`, and makes it when there is none. Every copy that is whole goes
    /// through `each`, in the order of the names, read one by one. What is given is durable when
    /// this returns.
    ///
    /// A copy that is damaged is not given but named; its row stays until it is overwritten or
    /// forgotten. Of a file that is damaged as a whole what can be read goes into a new one, and it
    /// is set aside. Both is no error: see [`OpenedDocuments`]. Blocks for as long as the disk
    /// takes.
    ///
    /// # Errors
    /// [`DocumentsError::Newer`] when a later version wrote it; otherwise when the disk does not
    /// work or is full. `each` may have had some of the copies then.
    pub fn open(
        path: &Path,
        each: impl FnMut(Kept),
    ) -> Result<(Self, OpenedDocuments), DocumentsError> {
        Self::open_with(path, database::QUEUE_BYTES_MAX, each)
    }

    fn open_with(
        path: &Path,
        queue_bytes_max: usize,
        mut each: impl FnMut(Kept),
    ) -> Result<(Self, OpenedDocuments), DocumentsError> {
        let opened = open::open(path, &mut each).map_err(DocumentsError::from);
        let (store, opened) = opened.map_err(|why| Trouble::of(why).into_error(path))?;
        let desk = Desk::open("documents", store, queue_bytes_max)
            .map_err(database::FileError::io("start the writer of", path))?;
        Ok((Self { desk }, opened))
    }

    /// Has a batch written, after all those before it. Never blocks; ask [`has_room`](Self::has_room)
    /// before taking on new work.
    pub fn store(&self, batch: KeptBatch) {
        self.desk.put(batch);
    }

    /// Whether there is room for more: 64 MiB may wait. While there is not, the daemon must take on
    /// nothing new.
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
    /// [`DocumentsError::Blocked`] when there is no room for what waits: it is lost, but was not
    /// reported stored. Otherwise what the writer failed with, if nobody was told yet.
    pub fn close(self) -> Result<(), DocumentsError> {
        self.desk.close()
    }
}

/// How many bytes the file in this directory has, with its write-ahead log; `None` when it is gone.
#[must_use]
pub fn bytes_of(dir: &Path) -> Option<u64> {
    let file = dir.join(FILE);
    let length = |path: &Path| std::fs::metadata(path).map(|about| about.len());
    let log = length(&database::file::beside(&file, "-wal")).unwrap_or_default();
    Some(length(&file).ok()? + log)
}

/// Damaged files of documents that were set aside in this directory and are still there.
#[must_use]
pub fn set_aside(dir: &Path) -> Vec<PathBuf> {
    database::file::damaged(dir, open::DAMAGED)
}
