//! Which faults a seed brings: every seed draws its own kinds and its own severity, so that rare
//! mixtures come up.

use std::time::Duration;

use starling_protocols::entropy::Entropy;

use crate::{
    faults::{DiskMoment, Fault, FaultKind, HostNo, Weather},
    schedule::{Schedule, Step},
};

/// Of how many seeds a kind of fault is part, out of a hundred.
const PART_OF_PERCENT: u64 = 60;

/// Steps of one kind in one run.
const STEPS_PER_KIND_MAX: u64 = 6;

/// The greatest jump of a calendar, either way.
const JUMP_MS_MAX: i64 = 262_000;

/// How the links of a run are, by its seed: from a rack to the other side of the world.
#[must_use]
pub fn weather(entropy: &Entropy) -> Weather {
    let mut own = entropy.fork("weather");
    let micros = [100, 500, 2_000, 10_000, 50_000, 150_000][index(&mut own, 6)];
    let jitter = micros * own.below(150) / 100;
    Weather { latency: Duration::from_micros(micros), jitter: Duration::from_micros(jitter) }
}

/// What goes wrong within `time`, by the seed, among faults of these kinds.
#[must_use]
pub fn schedule(entropy: &Entropy, kinds: &[FaultKind], hosts: u32, time: Duration) -> Schedule {
    let mut steps = Vec::new();
    for kind in kinds {
        // Each kind draws on its own, so that another kind more changes nothing.
        let mut own = entropy.fork(kind.name());
        if own.below(100) >= PART_OF_PERCENT {
            continue;
        }
        let many = 1 + own.below(STEPS_PER_KIND_MAX);
        steps.extend((0..many).filter_map(|_| step(*kind, &mut own, hosts, time)));
    }
    Schedule::new(steps)
}

fn step(kind: FaultKind, own: &mut Entropy, hosts: u32, time: Duration) -> Option<Step> {
    let whole = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let at_ms = own.below(whole);
    let lasts_ms = [500, 3_000, 10_000, 35_000, 90_000, 200_000][index(own, 6)];
    let lasts_ms = lasts_ms / 2 + own.below(lasts_ms);
    let host = any(own, hosts);
    let (a, b) = two(own, hosts)?;
    let (fault, lasts_ms) = match kind {
        FaultKind::Loss => (Fault::Loss { permille: number(own, 1, 300) }, 2 * lasts_ms),
        FaultKind::Spikes => {
            let (permille, millis) = (number(own, 1, 100), number(own, 100, 4_000));
            (Fault::Spikes { permille, millis }, 2 * lasts_ms)
        }
        FaultKind::GossipLoss => {
            (Fault::GossipLoss { permille: number(own, 1, 300) }, 2 * lasts_ms)
        }
        FaultKind::GossipDuplicates => {
            (Fault::GossipDuplicates { permille: number(own, 1, 500) }, 2 * lasts_ms)
        }
        FaultKind::Partition | FaultKind::OneWay => {
            (cut(own, hosts, kind == FaultKind::Partition)?, lasts_ms)
        }
        FaultKind::Reset => (Fault::Reset { a, b }, 0),
        FaultKind::SlowLink => {
            let bytes_per_second = u64::from(number(own, 1_000, 200_000));
            (Fault::SlowLink { a, b, bytes_per_second }, lasts_ms)
        }
        FaultKind::Pause => (Fault::Pause { host }, lasts_ms.min(90_000)),
        FaultKind::SlowHost => {
            let micros = number(own, 200, 30_000);
            (Fault::SlowHost { host, micros }, lasts_ms)
        }
        FaultKind::ClockJump => (Fault::ClockJump { host, millis: jump(own) }, 0),
        FaultKind::ClockDrift => {
            let ppm = i64::from(number(own, 0, 100_000)) - 50_000;
            (Fault::ClockDrift { host, ppm }, lasts_ms)
        }
        FaultKind::Crash => (Fault::Crash { host }, lasts_ms),
        FaultKind::PowerCut => (Fault::PowerCut { host }, lasts_ms),
        FaultKind::Leave => (Fault::Leave { host }, lasts_ms),
        FaultKind::DiskFull => (Fault::DiskFull { host }, lasts_ms),
        FaultKind::SlowDisk => {
            let micros = number(own, 500, 200_000);
            (Fault::SlowDisk { host, micros }, lasts_ms)
        }
        FaultKind::StalledDisk => (Fault::StalledDisk { host }, lasts_ms.min(10_000)),
        FaultKind::FailedSync => (Fault::FailedSync { host }, lasts_ms),
        FaultKind::CrashAtDisk => (crash_at_disk(own, host), lasts_ms),
        FaultKind::LyingDisk => (Fault::LyingDisk { host }, 4 * lasts_ms),
        // They are what others do to a disk.
        FaultKind::LostPages | FaultKind::TornPages => return None,
    };
    Some(Step { at_ms, lasts_ms, fault })
}

/// Halves, one host alone, or two hosts that cannot reach each other.
fn cut(own: &mut Entropy, hosts: u32, both_ways: bool) -> Option<Fault> {
    let (a, b) = two(own, hosts)?;
    let (from, to) = match own.below(3) {
        0 => (vec![a], vec![b]),
        1 => (vec![a], (0..hosts).map(HostNo).filter(|host| *host != a).collect()),
        _ => {
            (0..hosts).map(HostNo).partition(|host| *host != b && (own.below(2) == 0 || *host == a))
        }
    };
    Some(Fault::Cut { from, to, both_ways })
}

fn crash_at_disk(own: &mut Entropy, host: HostNo) -> Fault {
    let after = number(own, 0, 40);
    let moment = [DiskMoment::Before, DiskMoment::During, DiskMoment::After][index(own, 3)];
    Fault::CrashAtDisk { host, after, moment, power: own.below(2) == 0 }
}

/// A jump of the calendar, small ones as often as large ones.
fn jump(own: &mut Entropy) -> i64 {
    let size = [4, 100, 2_000, 30_000, JUMP_MS_MAX][index(own, 5)];
    let millis = i64::try_from(own.below(size.unsigned_abs())).unwrap_or_default() + 1;
    if own.below(2) == 0 { millis } else { -millis }
}

fn any(own: &mut Entropy, hosts: u32) -> HostNo {
    HostNo(u32::try_from(own.below(u64::from(hosts.max(1)))).unwrap_or_default())
}

fn two(own: &mut Entropy, hosts: u32) -> Option<(HostNo, HostNo)> {
    let a = any(own, hosts);
    let b = any(own, hosts.checked_sub(1).filter(|rest| *rest > 0)?);
    Some((a, if b.0 >= a.0 { HostNo(b.0 + 1) } else { b }))
}

/// A number between two others, small ones more often than large ones.
fn number(own: &mut Entropy, low: u32, high: u32) -> u32 {
    let up_to = 1 + own.below(u64::from(high - low));
    low + u32::try_from(own.below(up_to)).unwrap_or_default()
}

fn index(own: &mut Entropy, bound: u64) -> usize {
    usize::try_from(own.below(bound)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn drawn(seed: u8) -> Schedule {
        let entropy = Entropy::from_seed([seed; 32]);
        schedule(&entropy, &FaultKind::ALL, 5, Duration::from_secs(600))
    }

    #[test]
    fn seeds_differ_and_all_kinds_come_up() {
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let kinds: BTreeSet<FaultKind> = (0..30u8)
            .flat_map(|seed| drawn(seed).steps().map(|step| step.fault.kind()).collect::<Vec<_>>())
            .collect();
        assert_eq!(kinds.len(), FaultKind::ALL.len() - 2, "two are what others do to a disk");
    }

    #[test]
    fn one_host_alone_has_no_others_to_be_cut_from() {
        let entropy = Entropy::from_seed([1; 32]);
        let cuts = [FaultKind::Partition, FaultKind::OneWay];
        assert!(schedule(&entropy, &cuts, 1, Duration::from_secs(600)).is_empty());
    }
}
