//! The only real clock of a daemon.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use starling_core::engine::Now;
use starling_protocols::{
    journal::Moment,
    time::{Time, WallTime},
};
use tokio::time::Instant;

/// The only real clock of a daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// What it showed then: the monotonic time of a host goes on through its lives.
    base: Time,
}

impl Clock {
    /// Goes on from the last moment that was recorded. How long the host was down is known by the
    /// calendar only; if it was set back meanwhile, no time has passed.
    pub(crate) fn after(last: Moment) -> Self {
        let down =
            if last == Moment::default() { Duration::ZERO } else { wall().remaining(last.wall) };
        let base = last.time + down;
        Self { start: Instant::now(), base }
    }

    pub(crate) fn now(&self) -> Now {
        Now { time: self.base + self.start.elapsed(), wall: wall() }
    }

    pub(crate) fn instant(&self, at: Time) -> Instant {
        self.start + at.since(self.base)
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}

/// What the calendar of this machine shows.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
