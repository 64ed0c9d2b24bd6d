use std::time::Duration;

use starling_core::engine::Now;
use starling_protocols::{
    journal::Moment,
    time::{Time, WallTime},
};

/// The calendar when a simulation begins: 2023-11-14.
pub const WALL_AT_START: WallTime = WallTime::from_millis(1_700_000_000_000);

const MILLION: u128 = 1_000_000;

/// The clocks of one host: a monotonic one that may run fast or slow, and a calendar that may be
/// set wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Where both clocks stood when the rate was last changed.
    since: Time,
    local: Time,
    drift_ppm: i64,
    skew_ms: i64,
}

impl Clock {
    /// A clock that begins at zero now, on a machine whose calendar is off by `skew_ms`.
    pub(crate) const fn new(now: Time, skew_ms: i64) -> Self {
        Self { since: now, local: Time::ZERO, drift_ppm: 0, skew_ms }
    }

    /// The clock of another life, on the same machine: its monotonic time goes on from the last
    /// moment that was recorded. How long the host was down is known by the calendar only; if it
    /// was set back meanwhile, no time has passed.
    pub(crate) fn after(self, now: Time, last: Moment) -> Self {
        let wall = wall(now, self.skew_ms);
        let down =
            if last == Moment::default() { Duration::ZERO } else { wall.remaining(last.wall) };
        Self { since: now, local: last.time + down, ..self }
    }

    /// What the host's clocks show when it is `now`.
    pub(crate) fn read(&self, now: Time) -> Now {
        Now { time: self.local_at(now), wall: wall(now, self.skew_ms) }
    }

    /// When the host's monotonic clock shows `local`, and not before.
    pub(crate) fn when(&self, local: Time) -> Time {
        if local == Time::FAR_FUTURE {
            return local;
        }
        let ahead = u128::from(local.as_nanos().saturating_sub(self.local.as_nanos()));
        let nanos = (ahead * MILLION).div_ceil(self.rate());
        Time::from_nanos(self.since.as_nanos().saturating_add(bounded(nanos)))
    }

    pub(crate) fn set_drift(&mut self, now: Time, drift_ppm: i64) {
        self.local = self.local_at(now);
        self.since = now;
        self.drift_ppm = drift_ppm;
    }

    pub(crate) const fn jump(&mut self, by_ms: i64) {
        self.skew_ms = self.skew_ms.saturating_add(by_ms);
    }

    pub(crate) const fn skew_ms(&self) -> i64 {
        self.skew_ms
    }

    pub(crate) const fn drift_ppm(&self) -> i64 {
        self.drift_ppm
    }

    fn local_at(&self, now: Time) -> Time {
        let passed = u128::from(now.as_nanos().saturating_sub(self.since.as_nanos()));
        self.local + Duration::from_nanos(bounded(passed * self.rate() / MILLION))
    }

    fn rate(&self) -> u128 {
        // A clock that stands still or runs backwards is not monotonic.
        u128::from((1_000_000 + self.drift_ppm).max(1).unsigned_abs())
    }
}

fn bounded(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// The calendar of a machine that is off by `skew_ms`.
pub(crate) fn wall(now: Time, skew_ms: i64) -> WallTime {
    let right = WALL_AT_START.as_millis() + now.as_nanos() / 1_000_000;
    WallTime::from_millis(right.saturating_add_signed(skew_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_more_and_an_alarm_is_never_early() {
        let mut clock = Clock::new(Time::from_nanos(1000), 0);
        clock.set_drift(Time::from_nanos(2000), 50_000);
        let shown = clock.read(Time::from_nanos(1_002_000)).time;
        assert_eq!(shown.as_nanos(), 1000 + 1_050_000);
        for nanos in [1001, 1_000_001, 77_777_777] {
            let at = clock.when(Time::from_nanos(nanos));
            assert!(clock.read(at).time.as_nanos() >= nanos);
            let before = Time::from_nanos(at.as_nanos() - 2);
            assert!(clock.read(before).time.as_nanos() < nanos);
        }
    }

    #[test]
    fn time_goes_on_through_the_lives_of_a_host_by_the_calendar() {
        let mut clock = Clock::new(Time::ZERO, 0);
        clock.jump(-3000);
        let (at, then) = (Time::from_nanos(20_000_000_000), Time::from_nanos(10_000_000_000));
        let last = Moment { time: then, wall: wall(then, 0) };
        let next = clock.after(at, last).read(at);
        assert_eq!(next.time.as_nanos(), 17_000_000_000);
        clock.jump(-9000);
        assert_eq!(clock.after(at, last).read(at).time, then, "the calendar was set back");
        assert_eq!(clock.after(at, Moment::default()).read(at).time, Time::ZERO);
    }

    #[test]
    fn the_calendar_jumps_and_the_monotonic_clock_does_not() {
        let mut clock = Clock::new(Time::ZERO, 0);
        let now = Time::from_nanos(5_000_000);
        let before = clock.read(now);
        clock.jump(-262_000);
        let after = clock.read(now);
        assert_eq!(after.time, before.time);
        assert_eq!(after.wall.as_millis(), before.wall.as_millis() - 262_000);
    }
}
