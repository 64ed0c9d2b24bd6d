//! What waits to be written.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use starling_protocols::journal::Batch;
use tokio::{sync::Notify, time::Instant};

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

/// Between the main loop and the log on one side and the writer on the other.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    /// Of all batches that are not written yet, also those that the writer has taken.
    bytes: usize,
    logs: Vec<LogRow>,
    logs_dropped: u64,
    closing: bool,
    /// Nothing is kept any more.
    failed: bool,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) batches: Vec<Batch>,
    pub(super) logs: Vec<LogRow>,
    /// Messages that found no room since the last time.
    pub(super) logs_dropped: u64,
    /// Nothing comes after this.
    pub(super) last: bool,
}

impl Work {
    pub(super) const fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.logs.is_empty()
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody writes any more.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        state.failed = true;
        state.batches.clear();
        state.logs.clear();
    }

    /// Whether nothing waits that somebody may wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.state().batches.is_empty()
    }

    pub(super) fn put(&self, batch: Batch) {
        let mut state = self.state();
        if state.failed {
            return;
        }
        state.bytes += batch.bytes.len();
        state.batches.push_back(batch);
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn put_log(&self, row: LogRow) {
        let mut state = self.state();
        if state.failed {
            return;
        }
        if state.logs.len() >= LOG_ROWS_MAX {
            state.logs_dropped += 1;
            return;
        }
        state.logs.push(row);
        let first = state.logs.len() == 1;
        drop(state);
        if first {
            self.work.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.work.notify_one();
    }

    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// The writer is done with so much.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.room.notify_waiters();
    }

    /// Waits until fewer than `max` bytes are not written yet.
    pub(super) async fn room(&self, max: usize) {
        loop {
            let released = self.room.notified();
            if self.bytes() < max {
                return;
            }
            released.await;
        }
    }

    /// Takes everything, but what begins a new file alone. Waits until there is something, at the
    /// longest until `tick`.
    pub(super) fn take(&self, tick: Instant) -> Work {
        let mut state = self.state();
        let mut linger = tick;
        let mut lingers = false;
        while state.batches.is_empty() && !state.closing {
            let now = Instant::now();
            if !state.logs.is_empty() && !lingers {
                (linger, lingers) = (tick.min(now + LOG_DELAY), true);
            }
            if now >= linger {
                break;
            }
            let woken = self.work.wait_timeout(state, linger - now);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.work()
    }

    /// Waits for as long, or until it is to be closed. Says whether it is.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.state();
        while !state.closing {
            let now = Instant::now();
            if now >= until {
                break;
            }
            let woken = self.work.wait_timeout(state, until - now);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closing
    }
}

impl State {
    fn work(&mut self) -> Work {
        let begins = self.batches.iter().position(|batch| batch.begins_file);
        let taken = match begins {
            Some(0) => 1,
            Some(before) => before,
            None => self.batches.len(),
        };
        let batches: Vec<Batch> = self.batches.drain(..taken).collect();
        Work {
            batches,
            logs: std::mem::take(&mut self.logs),
            logs_dropped: std::mem::take(&mut self.logs_dropped),
            last: self.closing && self.batches.is_empty(),
        }
    }
}
