//! What can go wrong: the kinds of fault, and how often each really had an effect.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A host of the simulation, by the order in which it was added.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct HostNo(pub u32);

impl HostNo {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for HostNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One thing that is wrong, from when it is imposed until it is lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// Segments are lost on all links; a stream sends them again, later and later.
    Loss {
        /// How many of a thousand.
        permille: u32,
    },
    /// Some segments take much longer than others.
    Spikes {
        /// How many of a thousand.
        permille: u32,
        /// How much longer, in milliseconds.
        millis: u32,
    },
    /// Some hops of gossip are dropped by a full queue; half of them come later by repair.
    GossipLoss {
        /// How many of a thousand.
        permille: u32,
    },
    /// Some gossip messages come again after they had been seen and forgotten.
    GossipDuplicates {
        /// How many of a thousand.
        permille: u32,
    },
    /// Nothing gets from some hosts to some others.
    Cut {
        /// Whose bytes are lost.
        from: Vec<HostNo>,
        /// On the way to whom.
        to: Vec<HostNo>,
        /// Whether the way back is cut as well.
        both_ways: bool,
    },
    /// All connections between two hosts are reset; what was under way is lost. Over at once.
    Reset {
        /// One host.
        a: HostNo,
        /// The other.
        b: HostNo,
    },
    /// Little gets through between two hosts.
    SlowLink {
        /// One host.
        a: HostNo,
        /// The other.
        b: HostNo,
        /// How many bytes in a second, each way.
        bytes_per_second: u64,
    },
    /// A host is suspended: what reaches it waits, and its clocks go on.
    Pause {
        /// Which host.
        host: HostNo,
    },
    /// A host is busy with other things: each input takes it a while.
    SlowHost {
        /// Which host.
        host: HostNo,
        /// How long each input takes, in microseconds.
        micros: u32,
    },
    /// A host's calendar is set. Not undone.
    ClockJump {
        /// Which host.
        host: HostNo,
        /// By how much, in milliseconds.
        millis: i64,
    },
    /// A host's clock runs fast or slow.
    ClockDrift {
        /// Which host.
        host: HostNo,
        /// By how many millionths.
        ppm: i64,
    },
    /// A host's daemon is killed; lifted, it starts again. Its machine tells the others.
    Crash {
        /// Which host.
        host: HostNo,
    },
    /// A host's machine loses power; lifted, it starts again. The others notice by its silence.
    PowerCut {
        /// Which host.
        host: HostNo,
    },
    /// A host goes down on purpose and says so; lifted, it comes back.
    Leave {
        /// Which host.
        host: HostNo,
    },
    /// There is no room on a host's disk.
    DiskFull {
        /// Which host.
        host: HostNo,
    },
    /// A host's disk takes longer for all that it does.
    SlowDisk {
        /// Which host.
        host: HostNo,
        /// By how much, in microseconds.
        micros: u32,
    },
    /// Nothing that a host's disk does ends.
    StalledDisk {
        /// Which host.
        host: HostNo,
    },
    /// The next sync of a host's disk fails: its daemon ends, because nobody knows what is on the
    /// disk; lifted, it starts again.
    FailedSync {
        /// Which host.
        host: HostNo,
    },
    /// A host ends in the middle of something that its disk does; lifted, it starts again.
    CrashAtDisk {
        /// Which host.
        host: HostNo,
        /// Operations of the disk before it.
        after: u32,
        /// When, by the operation.
        moment: DiskMoment,
        /// Whether the machine loses power; otherwise only the daemon is killed.
        power: bool,
    },
    /// Syncs of a host's disk bring nothing to the medium and say that they did. No promise holds
    /// on such a disk: it is there to show that a broken one is noticed.
    LyingDisk {
        /// Which host.
        host: HostNo,
    },
}

/// When a host ends, by an operation of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskMoment {
    /// Before it.
    Before,
    /// While it goes on: a part may have happened.
    During,
    /// After it, before anybody is told.
    After,
}

/// The kinds of fault, for counting and for choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// [`Fault::Loss`]; fired for each segment lost.
    Loss,
    /// [`Fault::Spikes`]; fired for each segment that took longer.
    Spikes,
    /// [`Fault::GossipLoss`]; fired for each hop dropped or late.
    GossipLoss,
    /// [`Fault::GossipDuplicates`]; fired for each message that came again.
    GossipDuplicates,
    /// [`Fault::Cut`] both ways; fired for each thing that was held up.
    Partition,
    /// [`Fault::Cut`] one way; fired for each thing that was held up.
    OneWay,
    /// [`Fault::Reset`]; fired for each connection reset.
    Reset,
    /// [`Fault::SlowLink`]; fired for each piece that had to wait.
    SlowLink,
    /// [`Fault::Pause`]; fired for each input that had to wait.
    Pause,
    /// [`Fault::SlowHost`]; fired for each input that took long.
    SlowHost,
    /// [`Fault::ClockJump`]; fired for each jump of a running host.
    ClockJump,
    /// [`Fault::ClockDrift`]; fired for each running host whose rate changed.
    ClockDrift,
    /// [`Fault::Crash`]; fired for each running host killed.
    Crash,
    /// [`Fault::PowerCut`]; fired for each running host that lost power.
    PowerCut,
    /// [`Fault::Leave`]; fired for each running host that left.
    Leave,
    /// [`Fault::DiskFull`]; fired for each write that found no room.
    DiskFull,
    /// [`Fault::SlowDisk`]; fired for each operation that took longer.
    SlowDisk,
    /// [`Fault::StalledDisk`]; fired for each operation that should have ended.
    StalledDisk,
    /// [`Fault::FailedSync`]; fired for each sync that failed.
    FailedSync,
    /// [`Fault::CrashAtDisk`]; fired for each host that ended so.
    CrashAtDisk,
    /// What a power cut does to a disk, and any end to a commit of documents; fired for each page or
    /// batch that had been written and was lost.
    LostPages,
    /// What a power cut or a kill does to a disk; fired for each page of which a part was left.
    TornPages,
    /// [`Fault::LyingDisk`]; fired for each sync that did nothing.
    LyingDisk,
}

impl FaultKind {
    /// All under which all promises hold: all but [`LyingDisk`](Self::LyingDisk).
    pub const ALL: [Self; 22] = [
        Self::Loss,
        Self::Spikes,
        Self::GossipLoss,
        Self::GossipDuplicates,
        Self::Partition,
        Self::OneWay,
        Self::Reset,
        Self::SlowLink,
        Self::Pause,
        Self::SlowHost,
        Self::ClockJump,
        Self::ClockDrift,
        Self::Crash,
        Self::PowerCut,
        Self::Leave,
        Self::DiskFull,
        Self::SlowDisk,
        Self::StalledDisk,
        Self::FailedSync,
        Self::CrashAtDisk,
        Self::LostPages,
        Self::TornPages,
    ];

    /// Those of hosts and of the network: all that come before those of disks.
    #[must_use]
    pub const fn without_disks() -> &'static [Self] {
        Self::ALL.split_at(15).0
    }

    /// Its name, as reports show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Spikes => "spikes",
            Self::GossipLoss => "gossip-loss",
            Self::GossipDuplicates => "gossip-duplicates",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Reset => "reset",
            Self::SlowLink => "slow-link",
            Self::Pause => "pause",
            Self::SlowHost => "slow-host",
            Self::ClockJump => "clock-jump",
            Self::ClockDrift => "clock-drift",
            Self::Crash => "crash",
            Self::PowerCut => "power-cut",
            Self::Leave => "leave",
            Self::DiskFull => "disk-full",
            Self::SlowDisk => "slow-disk",
            Self::StalledDisk => "stalled-disk",
            Self::FailedSync => "failed-sync",
            Self::CrashAtDisk => "crash-at-disk",
            Self::LostPages => "lost-pages",
            Self::TornPages => "torn-pages",
            Self::LyingDisk => "lying-disk",
        }
    }
}

impl Fault {
    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Loss { .. } => FaultKind::Loss,
            Self::Spikes { .. } => FaultKind::Spikes,
            Self::GossipLoss { .. } => FaultKind::GossipLoss,
            Self::GossipDuplicates { .. } => FaultKind::GossipDuplicates,
            Self::Cut { both_ways: true, .. } => FaultKind::Partition,
            Self::Cut { both_ways: false, .. } => FaultKind::OneWay,
            Self::Reset { .. } => FaultKind::Reset,
            Self::SlowLink { .. } => FaultKind::SlowLink,
            Self::Pause { .. } => FaultKind::Pause,
            Self::SlowHost { .. } => FaultKind::SlowHost,
            Self::ClockJump { .. } => FaultKind::ClockJump,
            Self::ClockDrift { .. } => FaultKind::ClockDrift,
            Self::Crash { .. } => FaultKind::Crash,
            Self::PowerCut { .. } => FaultKind::PowerCut,
            Self::Leave { .. } => FaultKind::Leave,
            Self::DiskFull { .. } => FaultKind::DiskFull,
            Self::SlowDisk { .. } => FaultKind::SlowDisk,
            Self::StalledDisk { .. } => FaultKind::StalledDisk,
            Self::FailedSync { .. } => FaultKind::FailedSync,
            Self::CrashAtDisk { .. } => FaultKind::CrashAtDisk,
            Self::LyingDisk { .. } => FaultKind::LyingDisk,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss { permille } => write!(f, "{permille} ‰ of all segments are lost"),
            Self::Spikes { permille, millis } => {
                write!(f, "{permille} ‰ of all segments take {millis} ms longer")
            }
            Self::GossipLoss { permille } => write!(f, "{permille} ‰ of gossip is dropped"),
            Self::GossipDuplicates { permille } => write!(f, "{permille} ‰ of gossip comes again"),
            Self::Cut { from, to, both_ways } => {
                let way = if *both_ways { "either way" } else { "this way only" };
                write!(f, "nothing gets from {} to {}, {way}", list(from), list(to))
            }
            Self::Reset { a, b } => write!(f, "connections of {a} and {b} are reset"),
            Self::SlowLink { a, b, bytes_per_second } => {
                write!(f, "{a} and {b} exchange {bytes_per_second} bytes in a second")
            }
            Self::Pause { host } => write!(f, "{host} is suspended"),
            Self::SlowHost { host, micros } => write!(f, "{host} takes {micros} µs for each input"),
            Self::ClockJump { host, millis } => {
                write!(f, "the calendar of {host} jumps by {millis} ms")
            }
            Self::ClockDrift { host, ppm } => write!(f, "the clock of {host} is off by {ppm} ppm"),
            Self::Crash { host } => write!(f, "{host} is killed"),
            Self::PowerCut { host } => write!(f, "{host} loses power"),
            Self::Leave { host } => write!(f, "{host} leaves"),
            Self::DiskFull { host } => write!(f, "the disk of {host} is full"),
            Self::SlowDisk { host, micros } => {
                write!(f, "the disk of {host} takes {micros} µs longer")
            }
            Self::StalledDisk { host } => write!(f, "the disk of {host} does not answer"),
            Self::FailedSync { host } => write!(f, "the next sync of {host} fails"),
            Self::CrashAtDisk { host, after, moment, power } => {
                let end = if *power { "loses power" } else { "is killed" };
                let when = match moment {
                    DiskMoment::Before => "before",
                    DiskMoment::During => "during",
                    DiskMoment::After => "after",
                };
                write!(f, "{host} {end} {when} operation {after} of its disk from now on")
            }
            Self::LyingDisk { host } => write!(f, "the disk of {host} lies"),
        }
    }
}

fn list(hosts: &[HostNo]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// How often each kind of fault had an effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Fired(BTreeMap<FaultKind, u64>);

impl Fired {
    pub(crate) fn count(&mut self, kind: FaultKind, times: u64) {
        if times > 0 {
            *self.0.entry(kind).or_default() += times;
        }
    }

    /// How often a kind fired.
    #[must_use]
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Adds what fired in another run.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(kind, times)| self.count(*kind, *times));
    }

    /// All that fired, each kind with its count.
    pub fn iter(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        self.0.iter().map(|(kind, times)| (*kind, *times))
    }
}

/// How the links are, while nothing is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// How long a segment takes from one host to another, about; each pair has its own.
    pub latency: Duration,
    /// By how much that differs from segment to segment.
    pub jitter: Duration,
}

impl Default for Weather {
    /// A network of one building: half a millisecond.
    fn default() -> Self {
        Self { latency: Duration::from_micros(500), jitter: Duration::from_micros(200) }
    }
}
