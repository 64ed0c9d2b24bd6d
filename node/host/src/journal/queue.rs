//! What waits to be written into the journal: batches, and messages of the log beside them.

use std::time::Duration;

use starling_protocols::journal::Batch;

use crate::database::{self, Batched, Beside};

/// Messages of the log wait this long for others to be written with them.
const LOG_DELAY: Duration = Duration::from_millis(200);

/// Messages of the log that wait to be written. At the cap further ones are counted, not kept.
const LOG_ROWS_MAX: usize = 8192;

/// One message of the log.
#[derive(Clone, Debug, Default)]
pub(super) struct LogRow {
    pub(super) wall_ms: u64,
    /// 1 error … 5 trace.
    pub(super) level: u8,
    pub(super) target: String,
    pub(super) agent: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) host: Option<String>,
    pub(super) message: String,
    pub(super) fields: Option<String>,
}

/// Messages of the log that wait to be written.
#[derive(Debug, Default)]
pub(super) struct LogRows {
    pub(super) rows: Vec<LogRow>,
    /// Messages that found no room since the last time.
    pub(super) dropped: u64,
}

/// Between the main loop and the log on one side and the writer on the other.
pub(super) type Queue = database::Queue<Batch, LogRows>;

/// What the writer takes at once.
pub(super) type Work = database::Work<Batch, LogRows>;

impl Batched for Batch {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn is_alone(&self) -> bool {
        self.begins_file
    }
}

impl Beside for LogRows {
    const DELAY: Duration = LOG_DELAY;

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Queue {
    pub(super) fn put_log(&self, row: LogRow) {
        self.put_beside(|logs| {
            if logs.rows.len() < LOG_ROWS_MAX {
                logs.rows.push(row);
            } else {
                logs.dropped += 1;
            }
        });
    }
}
