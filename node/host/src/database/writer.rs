//! The thread that writes. It takes everything that waits and commits it in one transaction.

use std::{fmt::Debug, path::Path, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Batched, Beside, Failure, FileError, QueueOf, Stage, Trouble, Work, feed::Feed};

/// When nothing can be written, it is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// How often one looks for what is old.
const TICK: Duration = Duration::from_secs(60);

/// The write-ahead log is brought into the file when it has grown to this and nothing waits…
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// …or, whatever waits, to this.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whoever keeps batches in a file.
pub(crate) trait Keeper: Debug + Send + Sized + 'static {
    type Batch: Batched;
    type Beside: Beside;
    type Error: Failure + From<FileError> + Send;
    type Stage: Stage<Error = Self::Error>;

    /// Writes all of it in one transaction, or nothing. What is refused for want of room comes
    /// again.
    fn write(&mut self, work: &Work<Self::Batch, Self::Beside>) -> Result<(), Self::Error>;

    /// How far it has come.
    fn stage(&self) -> Self::Stage;

    /// The file.
    fn path(&self) -> &Path;

    /// Written to the write-ahead log since the last checkpoint, roughly.
    fn log_bytes(&mut self) -> &mut u64;

    /// Makes everything durable that is written.
    fn flush(&mut self) -> Result<(), Self::Error>;

    /// Brings what is in the write-ahead log into the file itself.
    fn checkpoint(&mut self) -> Result<(), Self::Error>;

    /// Whether there is something to tidy up before the minute is over.
    fn is_untidy(&self) -> bool {
        false
    }

    /// Does a little of what may be done at any time. Says whether there is more.
    fn tidy(&mut self) -> Result<bool, Self::Error>;

    /// Makes everything durable and closes the file.
    fn close(self) -> Result<(), Self::Error>;

    /// The writer panicked.
    fn panicked() -> Self::Error;
}

#[derive(Debug)]
pub(super) struct Writer<K: Keeper> {
    pub(super) queue: Arc<QueueOf<K>>,
    pub(super) feed: Arc<Feed<K::Stage>>,
    pub(super) keeper: K,
}

/// Says that nothing is written any more, however the writer ended.
struct Ends<K: Keeper> {
    queue: Arc<QueueOf<K>>,
    feed: Arc<Feed<K::Stage>>,
}

impl<K: Keeper> Drop for Ends<K> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.feed.failed(K::panicked());
        }
        self.feed.end();
        // What comes now is not kept: it can never be durable.
        self.queue.fail();
    }
}

impl<K: Keeper> Writer<K> {
    /// Writes until the queue is closed or something fails.
    pub(super) fn run(mut self) {
        let ends = Ends::<K> { queue: Arc::clone(&self.queue), feed: Arc::clone(&self.feed) };
        if let Err(why) = self.write_all() {
            ends.feed.failed(why);
        } else if let Err(why) = self.keeper.close() {
            ends.feed.failed(why);
        }
    }

    fn write_all(&mut self) -> Result<(), K::Error> {
        let mut tick = Instant::now() + TICK;
        loop {
            let work = self.queue.take(tick);
            let last = work.last;
            if !work.is_empty() {
                self.write(&work)?;
            }
            if last {
                return Ok(());
            }
            if Instant::now() >= tick || (self.keeper.is_untidy() && self.queue.is_idle()) {
                let more = self.tidy()?;
                tick = Instant::now() + if more { RETRY } else { TICK };
            }
            self.checkpoint()?;
        }
    }

    /// Writes, however long it takes until there is room.
    fn write(&mut self, work: &Work<K::Batch, K::Beside>) -> Result<(), K::Error> {
        let bytes = work.batches.iter().map(K::Batch::bytes).sum();
        loop {
            match self.keeper.write(work).map_err(Trouble::of) {
                Ok(()) => break,
                Err(Trouble::Fatal(why)) => return Err(why),
                Err(Trouble::Blocked(why)) => {
                    self.feed.full(&why);
                    if self.queue.pause(RETRY) {
                        let path = self.keeper.path().to_owned();
                        return Err(FileError::Blocked { path, why }.into());
                    }
                }
            }
        }
        self.queue.release(bytes);
        self.feed.stands(self.keeper.stage());
        Ok(())
    }

    /// Tidies up a little at a time, until something else is to be done. Says whether there is more.
    fn tidy(&mut self) -> Result<bool, K::Error> {
        let mut more = true;
        while std::mem::take(&mut more) {
            self.put_off(|keeper| {
                more = keeper.tidy()?;
                Ok(())
            })?;
            if !self.queue.is_idle() {
                break;
            }
        }
        Ok(more)
    }

    fn checkpoint(&mut self) -> Result<(), K::Error> {
        let log = *self.keeper.log_bytes();
        let idle = self.queue.is_idle();
        if log < CHECKPOINT_BYTES || (!idle && log < CHECKPOINT_BYTES_MAX) {
            return Ok(());
        }
        self.put_off(K::flush)?;
        self.feed.stands(self.keeper.stage());
        self.put_off(K::checkpoint)
    }

    /// Does what may be left for later when there is no room.
    fn put_off(
        &mut self,
        act: impl FnOnce(&mut K) -> Result<(), K::Error>,
    ) -> Result<(), K::Error> {
        match act(&mut self.keeper).map_err(Trouble::of) {
            Ok(()) => Ok(()),
            Err(Trouble::Blocked(why)) => {
                tracing::debug!(why, "put off");
                // So that it is not tried again at once.
                *self.keeper.log_bytes() = 0;
                Ok(())
            }
            Err(Trouble::Fatal(why)) => Err(why),
        }
    }
}
