//! Pauses: keys that come back after a while, polled with the rest.

use std::{collections::BTreeSet, future::Future, pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use super::ready::Bell;

/// One timer for many keys.
#[derive(Debug)]
pub(super) struct Alarm<K> {
    due: BTreeSet<(Instant, K)>,
    sleep: Option<Pin<Box<Sleep>>>,
    bell: Bell,
}

impl<K: Ord + Copy> Alarm<K> {
    pub(super) const fn new(bell: Bell) -> Self {
        Self { due: BTreeSet::new(), sleep: None, bell }
    }

    /// `key` comes back after `pause`.
    pub(super) fn set(&mut self, key: K, pause: Duration) {
        self.due.insert((Instant::now() + pause, key));
        // Polling it makes the timer fit the earliest key.
        self.bell.waker().wake_by_ref();
    }

    /// A key whose pause is over, if there is one; else the timer is set to the next.
    pub(super) fn pop(&mut self) -> Option<K> {
        let (at, key) = *self.due.first()?;
        if at <= Instant::now() {
            self.due.pop_first();
            return Some(key);
        }
        self.wait_until(at);
        None
    }

    fn wait_until(&mut self, at: Instant) {
        let waker = self.bell.waker().clone();
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        sleep.as_mut().reset(at);
        if sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.bell.again();
        }
    }
}
