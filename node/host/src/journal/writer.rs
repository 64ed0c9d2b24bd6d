//! What the journal's writer does: commits, begins new files, and deletes what is old.

use std::path::Path;

use starling_protocols::journal::Batch;

use super::{
    JournalError, Options,
    files::Files,
    progress::Stage,
    queue::{LogRow, LogRows, Work},
    store::Store,
};
use crate::{
    clock,
    database::{self, Trouble},
};

/// Messages of the log that are deleted at once, so that a commit does not wait long for it.
const TRIM_ROWS: u64 = 2000;

/// The files of a journal, the last of them open for writing.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) files: Files,
    pub(super) options: Options,
    pub(super) store: Store,
}

impl database::Keeper for Keeper {
    type Batch = Batch;
    type Beside = LogRows;
    type Error = JournalError;
    type Stage = Stage;

    fn write(&mut self, work: &Work) -> Result<(), JournalError> {
        self.store.check_there()?;
        let logs = with_dropped(work);
        match &work.batches[..] {
            // It has begun, and there was no room for the log's messages: they come again.
            [batch] if batch.begins_file && batch.next() == self.store.tail.next => {
                self.store.commit(&[], &logs, false)
            }
            [batch] if batch.begins_file => self.rotate(batch, &logs),
            batches => {
                let urgent = batches.iter().any(|batch| batch.urgent);
                self.store.commit(batches, &logs, urgent)
            }
        }
    }

    fn stage(&self) -> Stage {
        Stage { written: self.store.tail.next, durable: self.store.durable }
    }

    fn path(&self) -> &Path {
        &self.store.path
    }

    fn log_bytes(&mut self) -> &mut u64 {
        &mut self.store.log_bytes
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        self.store.flush()
    }

    fn checkpoint(&mut self) -> Result<(), JournalError> {
        self.store.checkpoint()
    }

    fn tidy(&mut self) -> Result<bool, JournalError> {
        self.retain();
        let age = u64::try_from(self.options.logs_age.as_millis()).unwrap_or(u64::MAX);
        let before = clock::wall().as_millis().saturating_sub(age);
        self.store.trim_logs(before, self.options.logs_rows_max, TRIM_ROWS)
    }

    fn close(self) -> Result<(), JournalError> {
        self.store.close()
    }

    fn panicked() -> JournalError {
        JournalError::Panicked
    }
}

impl Keeper {
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
        if logs.is_empty() { Ok(()) } else { self.store.commit(&[], logs, false) }
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
}

/// Says how many messages are missing, as a message.
fn with_dropped(work: &Work) -> Vec<LogRow> {
    let mut rows = work.beside.rows.clone();
    if work.beside.dropped > 0 {
        rows.push(LogRow {
            wall_ms: clock::wall().as_millis(),
            level: 2,
            target: module_path!().to_owned(),
            message: format!("{} messages found no room and are missing here", work.beside.dropped),
            ..LogRow::default()
        });
    }
    rows
}
