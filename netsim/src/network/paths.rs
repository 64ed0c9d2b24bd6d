use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use starling_protocols::entropy::Entropy;

use crate::faults::{FaultKind, Fired, HostNo, Weather};

/// What gets through between the hosts now, and how fast.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    pub(crate) weather: Weather,
    pub(crate) loss: u32,
    pub(crate) spikes: Option<(u32, Duration)>,
    pub(crate) cuts: BTreeSet<(HostNo, HostNo)>,
    /// Bytes in a second; the lower host first.
    pub(crate) slow: BTreeMap<(HostNo, HostNo), u64>,
}

/// Bytes in one segment.
const SEGMENT_BYTES: usize = 1400;

/// Segments of one piece that are looked at, so that a large piece does not take a thousand draws.
const SEGMENTS_MAX: usize = 16;

/// How often one segment can be lost in a row.
const LOST_MAX: u32 = 6;

impl Paths {
    /// Whether nothing gets from one host to the other.
    pub(crate) fn is_cut(&self, from: HostNo, to: HostNo) -> bool {
        !self.cuts.is_empty() && self.cuts.contains(&(from, to))
    }

    /// The kind of fault that holds up what goes this way.
    pub(crate) fn kind_of_cut(&self, from: HostNo, to: HostNo) -> FaultKind {
        if self.is_cut(to, from) && self.is_cut(from, to) {
            FaultKind::Partition
        } else {
            FaultKind::OneWay
        }
    }

    /// Bytes in a second between two hosts, where that is few.
    pub(crate) fn rate(&self, a: HostNo, b: HostNo) -> Option<u64> {
        if self.slow.is_empty() {
            return None;
        }
        self.slow.get(&super::pair(a, b)).copied()
    }

    /// How long something of this many bytes takes, with all that must be sent again on the way.
    pub(crate) fn delay(
        &self,
        (from, to): (HostNo, HostNo),
        bytes: usize,
        entropy: &mut Entropy,
        fired: &mut Fired,
    ) -> Duration {
        let mut delay = self.latency(from, to) + self.jitter(entropy);
        if let Some((permille, longer)) = self.spikes
            && chance(entropy, permille)
        {
            fired.count(FaultKind::Spikes, 1);
            delay += longer;
        }
        if self.loss > 0 {
            delay += self.resent(bytes, entropy, fired);
        }
        delay
    }

    /// Each pair of hosts has a distance of its own: between half and one and a half times the
    /// usual.
    fn latency(&self, from: HostNo, to: HostNo) -> Duration {
        let (low, high) = super::pair(from, to);
        let mixed =
            (u64::from(low.0) << 32 | u64::from(high.0)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let percent = u32::try_from((mixed >> 32) % 101).unwrap_or_default();
        self.weather.latency * (50 + percent) / 100
    }

    fn jitter(&self, entropy: &mut Entropy) -> Duration {
        let nanos = u64::try_from(self.weather.jitter.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(entropy.below(nanos.saturating_add(1).max(1)))
    }

    /// What is lost is sent again after a while, and after twice as long when it is lost again.
    fn resent(&self, bytes: usize, entropy: &mut Entropy, fired: &mut Fired) -> Duration {
        let mut left = bytes.div_ceil(SEGMENT_BYTES).clamp(1, SEGMENTS_MAX);
        let (mut delay, mut wait) = (Duration::ZERO, super::RESEND_FIRST);
        for _ in 0..LOST_MAX {
            left = (0..left).filter(|_| chance(entropy, self.loss)).count();
            if left == 0 {
                break;
            }
            fired.count(FaultKind::Loss, left as u64);
            delay += wait;
            wait *= 2;
        }
        delay
    }
}

/// Whether something happens that happens so many times in a thousand.
pub(crate) fn chance(entropy: &mut Entropy, permille: u32) -> bool {
    permille > 0 && entropy.below(1000) < u64::from(permille)
}
