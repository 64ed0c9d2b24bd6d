//! Time as the pure half knows it: an opaque monotonic instant, and tables of deadlines.

use std::{
    collections::BTreeSet,
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// An instant on this host's monotonic clock, in nanoseconds since the engine was made.
///
/// Instants of two hosts cannot be compared: messages carry durations ("remaining budgets").
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// The moment the engine was made.
    pub const ZERO: Self = Self(0);
    /// Later than every deadline.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant `nanos` after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;
    fn sub(self, rhs: Time) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// A moment by the calendar, in milliseconds since 1970-01-01 UTC.
///
/// Used only where people set an expiry (invites, certificates) and to show when things happened;
/// never to order messages or to detect failures.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct WallTime(u64);

impl WallTime {
    /// The moment `millis` after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time left until here; zero when it has passed.
    #[must_use]
    pub const fn remaining(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A table of deadlines, each with the key of what is due.
///
/// ```
/// use starling_protocols::time::{Deadlines, Time};
/// let mut due = Deadlines::default();
/// due.set(Time::from_nanos(5), "tea");
/// assert_eq!(due.next(), Some(Time::from_nanos(5)));
/// assert_eq!(due.pop(Time::from_nanos(4)), None);
/// assert_eq!(due.pop(Time::from_nanos(5)), Some("tea"));
/// ```
#[derive(Clone, Debug)]
pub struct Deadlines<K>(BTreeSet<(Time, K)>);

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Deadlines<K> {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Adds a deadline. The same key may stand at several times.
    pub fn set(&mut self, at: Time, key: K) {
        self.0.insert((at, key));
    }

    /// Takes a deadline away; nothing happens when it is not there.
    pub fn clear(&mut self, at: Time, key: K) {
        self.0.remove(&(at, key));
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline that is due at `now`.
    pub fn pop(&mut self, now: Time) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, key)| key)
    }

    /// How many deadlines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn deadlines_come_in_order_and_never_early(
            set in prop::collection::vec((0..20u64, 0..5u8), 0..30),
            clear in prop::collection::vec((0..20u64, 0..5u8), 0..10),
            now in 0..20u64,
        ) {
            let (mut due, mut model) = (Deadlines::default(), BTreeSet::new());
            for (at, key) in set {
                due.set(Time::from_nanos(at), key);
                model.insert((at, key));
            }
            for (at, key) in clear {
                due.clear(Time::from_nanos(at), key);
                model.remove(&(at, key));
            }
            while let Some(key) = due.pop(Time::from_nanos(now)) {
                prop_assert_eq!(model.pop_first().map(|(at, of)| (at <= now, of)), Some((true, key)));
            }
            prop_assert_eq!(due.next(), model.first().map(|(at, _)| Time::from_nanos(*at)));
            prop_assert!(due.next().is_none_or(|at| at > Time::from_nanos(now)));
            prop_assert_eq!((due.len(), due.is_empty()), (model.len(), model.is_empty()));
        }

        #[test]
        fn arithmetic_stops_at_its_ends(a in any::<u64>(), b in any::<u64>(), by in any::<u64>()) {
            let (a, b) = (Time::from_nanos(a), Time::from_nanos(b));
            prop_assert_eq!((a + Duration::from_nanos(by)).as_nanos(), a.as_nanos().saturating_add(by));
            prop_assert_eq!(a + Duration::MAX, Time::FAR_FUTURE);
            prop_assert_eq!(a - b, a.since(b));
            prop_assert!(a.since(b).is_zero() || b.since(a).is_zero());
            let wall = WallTime::from_millis(by);
            prop_assert!(wall + Duration::MAX >= wall);
            prop_assert_eq!(wall.remaining(wall), Duration::ZERO);
        }
    }
}
