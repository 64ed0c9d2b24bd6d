//! The thread that writes. It takes everything that waits and commits it in one transaction.

use std::{sync::Arc, time::Duration};

use starling_protocols::journal::Batch;
use tokio::time::Instant;

use super::{
    JournalError, Options,
    error::Trouble,
    files::Files,
    progress::Feed,
    queue::{LogRow, Queue, Work},
    store::Store,
};
use crate::clock;

/// When nothing can be written, it is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// How often old messages of the log are looked for.
const TICK: Duration = Duration::from_secs(60);

/// Messages of the log that are deleted at once, so that a commit does not wait long for it.
const TRIM_ROWS: u64 = 2000;

/// The write-ahead log is brought into the file when it has grown to this and nothing waits…
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// …or, whatever waits, to this.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) feed: Arc<Feed>,
    pub(super) files: Files,
    pub(super) options: Options,
    pub(super) store: Store,
}

/// Says that nothing is written any more, however the writer ended.
struct Ends {
    queue: Arc<Queue>,
    feed: Arc<Feed>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.feed.failed(JournalError::Panicked);
        }
        self.feed.end();
        // What comes now is not kept: it can never be durable.
        self.queue.fail();
    }
}

impl Writer {
    /// Writes until the queue is closed or something fails.
    pub(super) fn run(mut self) {
        let ends = Ends { queue: Arc::clone(&self.queue), feed: Arc::clone(&self.feed) };
        if let Err(why) = self.write_all() {
            ends.feed.failed(why);
        } else if let Err(why) = self.store.close() {
            ends.feed.failed(why);
        }
    }

    fn write_all(&mut self) -> Result<(), JournalError> {
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
            if Instant::now() >= tick {
                let more = self.tidy()?;
                tick = Instant::now() + if more { RETRY } else { TICK };
            }
            self.checkpoint()?;
        }
    }

    /// Writes, however long it takes until there is room.
    fn write(&mut self, work: &Work) -> Result<(), JournalError> {
        let logs = with_dropped(work);
        let bytes = work.batches.iter().map(|batch| batch.bytes.len()).sum();
        loop {
            let tried = self.try_write(&work.batches, &logs);
            match tried.map_err(Trouble::of) {
                Ok(()) => break,
                Err(Trouble::Fatal(why)) => return Err(why),
                Err(Trouble::Blocked(why)) => {
                    self.feed.full(&why);
                    if self.queue.pause(RETRY) {
                        let path = self.store.path.clone();
                        return Err(JournalError::Blocked { path, why });
                    }
                }
            }
        }
        self.queue.release(bytes);
        self.feed.written(self.store.tail.next, !self.store.loose);
        Ok(())
    }

    fn try_write(&mut self, batches: &[Batch], logs: &[LogRow]) -> Result<(), JournalError> {
        self.store.check_there()?;
        match batches {
            [batch] if batch.begins_file => self.rotate(batch, logs),
            _ => {
                let urgent = batches.iter().any(|batch| batch.urgent);
                self.store.commit(batches, logs, urgent)
            }
        }
    }

    fn rotate(&mut self, batch: &Batch, logs: &[LogRow]) -> Result<(), JournalError> {
        // Whoever is told that the new file is durable takes the old one for it, too.
        self.store.flush()?;
        let new = self.files.begin(self.store.tail, Some(batch))?;
        let old = std::mem::replace(&mut self.store, new);
        // It is all durable; that it is in one file is for those who copy it.
        let path = old.path.clone();
        let closed = old.close();
        if let Err(Trouble::Fatal(why)) = closed.map_err(Trouble::of) {
            tracing::error!(%why, "an old file of the journal could not be closed");
            return Err(why);
        }
        tracing::info!(
            old = %path.display(), new = %self.store.path.display(), "the journal begins a new file"
        );
        self.retain();
        if !logs.is_empty() {
            self.store.commit(&[], logs, false)?;
        }
        Ok(())
    }

    /// Deletes what is old. If it cannot be, the next time does.
    fn retain(&self) {
        let Options { retain_bytes, retain_age, .. } = self.options;
        match self.files.retain(retain_bytes, retain_age, clock::wall().as_millis()) {
            Ok(deleted) => deleted.iter().for_each(|path| {
                tracing::info!(path = %path.display(), "an old file of the journal was deleted");
            }),
            Err(why) => tracing::warn!(%why, "an old file of the journal could not be deleted"),
        }
    }

    /// Deletes what is old, a little at a time. Says whether there is more.
    fn tidy(&mut self) -> Result<bool, JournalError> {
        self.retain();
        let age = u64::try_from(self.options.logs_age.as_millis()).unwrap_or(u64::MAX);
        let before = clock::wall().as_millis().saturating_sub(age);
        let rows = self.options.logs_rows_max;
        let mut more = true;
        while std::mem::take(&mut more) {
            self.wait_out(|store| {
                more = store.trim_logs(before, rows, TRIM_ROWS)?;
                Ok(())
            })?;
            if !self.queue.is_idle() {
                break;
            }
        }
        Ok(more)
    }

    fn checkpoint(&mut self) -> Result<(), JournalError> {
        let log = self.store.log_bytes;
        let idle = self.queue.is_idle();
        if log < CHECKPOINT_BYTES || (!idle && log < CHECKPOINT_BYTES_MAX) {
            return Ok(());
        }
        self.wait_out(Store::flush)?;
        self.feed.written(self.store.tail.next, !self.store.loose);
        self.wait_out(Store::checkpoint)
    }

    /// Does what may be left for later when there is no room.
    fn wait_out(
        &mut self,
        act: impl FnOnce(&mut Store) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        match act(&mut self.store).map_err(Trouble::of) {
            Ok(()) => Ok(()),
            Err(Trouble::Blocked(why)) => {
                tracing::debug!(why, "put off");
                // So that it is not tried again at once.
                self.store.log_bytes = 0;
                Ok(())
            }
            Err(Trouble::Fatal(why)) => Err(why),
        }
    }
}

/// Says how many messages are missing, as a message.
fn with_dropped(work: &Work) -> Vec<LogRow> {
    let mut rows = work.logs.clone();
    if work.logs_dropped > 0 {
        rows.push(LogRow {
            wall_ms: clock::wall().as_millis(),
            level: 2,
            target: module_path!().to_owned(),
            message: format!("{} messages found no room and are missing here", work.logs_dropped),
            ..LogRow::default()
        });
    }
    rows
}
