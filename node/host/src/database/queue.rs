//! What waits to be written.

use std::{
    collections::VecDeque,
    fmt::Debug,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// What is written in one go or not at all.
pub(crate) trait Batched: Debug + Send + 'static {
    /// What it counts for in the queue.
    fn bytes(&self) -> usize;

    /// Whether it must not be written in one transaction with others.
    fn is_alone(&self) -> bool {
        false
    }
}

/// What is written with the batches and may wait a little for some. It caps itself.
pub(crate) trait Beside: Debug + Default + Send + 'static {
    /// How long it waits.
    const DELAY: Duration;

    fn is_empty(&self) -> bool;
}

impl Beside for () {
    const DELAY: Duration = Duration::ZERO;

    fn is_empty(&self) -> bool {
        true
    }
}

/// Between the main loop on one side and the writer on the other.
#[derive(Debug)]
pub(crate) struct Queue<B, S> {
    state: Mutex<State<B, S>>,
    work: Condvar,
    room: Notify,
}

#[derive(Debug)]
struct State<B, S> {
    batches: VecDeque<B>,
    /// Of all batches that are not written yet, also those that the writer has taken.
    bytes: usize,
    beside: S,
    closing: bool,
    /// Nothing is kept any more.
    failed: bool,
}

/// What the writer takes at once.
#[derive(Debug)]
pub(crate) struct Work<B, S> {
    pub(crate) batches: Vec<B>,
    pub(crate) beside: S,
    /// Nothing comes after this.
    pub(super) last: bool,
}

impl<B, S: Beside> Work<B, S> {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.beside.is_empty()
    }
}

impl<B, S: Default> Default for Queue<B, S> {
    fn default() -> Self {
        let (batches, beside) = (VecDeque::new(), S::default());
        let state = State { batches, bytes: 0, beside, closing: false, failed: false };
        Self { state: Mutex::new(state), work: Condvar::new(), room: Notify::new() }
    }
}

impl<B: Batched, S: Beside> Queue<B, S> {
    fn state(&self) -> MutexGuard<'_, State<B, S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody writes any more.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        state.failed = true;
        state.batches.clear();
        state.beside = S::default();
    }

    /// Whether nothing waits that somebody may wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.state().batches.is_empty()
    }

    pub(crate) fn put(&self, batch: B) {
        let mut state = self.state();
        if state.failed {
            return;
        }
        state.bytes += batch.bytes();
        state.batches.push_back(batch);
        drop(state);
        self.work.notify_one();
    }

    /// Has something written beside the batches.
    pub(crate) fn put_beside(&self, put: impl FnOnce(&mut S)) {
        let mut state = self.state();
        if state.failed {
            return;
        }
        let was_empty = state.beside.is_empty();
        put(&mut state.beside);
        let first = was_empty && !state.beside.is_empty();
        drop(state);
        if first {
            self.work.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.work.notify_one();
    }

    pub(crate) fn bytes(&self) -> usize {
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

    /// Takes everything, but what must be alone. Waits until there is something, at the
    /// longest until `tick`.
    pub(crate) fn take(&self, tick: Instant) -> Work<B, S> {
        let mut state = self.state();
        let mut linger = tick;
        let mut lingers = false;
        while state.batches.is_empty() && !state.closing {
            let now = Instant::now();
            if !state.beside.is_empty() && !lingers {
                (linger, lingers) = (tick.min(now + S::DELAY), true);
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

impl<B: Batched, S: Beside> State<B, S> {
    fn work(&mut self) -> Work<B, S> {
        let alone = self.batches.iter().position(B::is_alone);
        let taken = match alone {
            Some(0) => 1,
            Some(before) => before,
            None => self.batches.len(),
        };
        let batches: Vec<B> = self.batches.drain(..taken).collect();
        Work {
            batches,
            beside: std::mem::take(&mut self.beside),
            last: self.closing && self.batches.is_empty(),
        }
    }
}
