//! What the journal and the documents have in common: SQLite files, each with one thread that
//! writes it. It takes everything that waits and commits it in one transaction.
//!
//! A disk that is full holds everything up and loses nothing. After a failed sync nobody knows what
//! is on the disk: the writer ends, and the next start looks.

mod error;
mod feed;
pub(crate) mod file;
mod queue;
pub(crate) mod wal;
mod writer;

use std::{sync::Arc, thread};

pub(crate) use error::{Cause, Failure, FileError, Trouble, advice, is_damage};
use feed::Feed;
pub(crate) use feed::Stage;
pub(crate) use queue::{Batched, Beside, Queue, Work};
pub(crate) use writer::Keeper;
use writer::Writer;

/// The queue before a keeper.
type QueueOf<K> = Queue<<K as Keeper>::Batch, <K as Keeper>::Beside>;

/// Bytes of batches that may wait to be written. With more, [`Desk::has_room`] says no.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The main loop's side of a writer. When it is dropped, what waits is written first.
#[derive(Debug)]
pub(crate) struct Desk<K: Keeper> {
    queue: Arc<QueueOf<K>>,
    feed: Arc<Feed<K::Stage>>,
    queue_bytes_max: usize,
    writer: Option<thread::JoinHandle<()>>,
}

impl<K: Keeper> Desk<K> {
    /// Begins to write, in a thread of this name.
    pub(crate) fn open(
        name: &str,
        keeper: K,
        queue_bytes_max: usize,
    ) -> Result<Self, std::io::Error> {
        let (queue, feed) = (Arc::new(Queue::default()), Arc::new(Feed::default()));
        feed.begin(keeper.stage());
        let writer = Writer { queue: Arc::clone(&queue), feed: Arc::clone(&feed), keeper };
        let writer = thread::Builder::new().name(name.into()).spawn(move || writer.run())?;
        Ok(Self { queue, feed, queue_bytes_max, writer: Some(writer) })
    }

    pub(crate) const fn queue(&self) -> &Arc<QueueOf<K>> {
        &self.queue
    }

    pub(crate) fn put(&self, batch: K::Batch) {
        self.queue.put(batch);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.queue.bytes() < self.queue_bytes_max
    }

    pub(crate) async fn wait_for_room(&self) {
        self.queue.room(self.queue_bytes_max).await;
    }

    pub(crate) async fn progress(&self) -> Option<<K::Stage as Stage>::Progress> {
        self.feed.next().await
    }

    pub(crate) fn try_progress(&self) -> Option<<K::Stage as Stage>::Progress> {
        self.feed.try_next()
    }

    pub(crate) fn why_full(&self) -> Option<String> {
        self.feed.why_full()
    }

    /// Writes what waits and closes the file. Gives what the writer failed with, if nobody was told
    /// yet.
    pub(crate) fn close(mut self) -> Result<(), K::Error> {
        self.join();
        self.feed.failure().map_or(Ok(()), Err)
    }

    fn join(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

impl<K: Keeper> Drop for Desk<K> {
    fn drop(&mut self) {
        self.join();
    }
}
