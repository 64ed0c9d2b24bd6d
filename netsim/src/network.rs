//! Links and lanes as connections over TCP behave: bytes in order, later when segments are lost,
//! and broken when nothing is heard for too long.

mod dial;
mod lanes;
mod links;
mod paths;
mod pipe;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use starling_protocols::{
    ident::{Certificate, Credential},
    time::{Time, WallTime},
};

use self::pipe::Pipe;
pub(crate) use self::{
    paths::{Paths, chance},
    pipe::Piece,
};
use crate::faults::HostNo;

/// Connections are pinged this often, and closed when the answer takes longer than
/// [`PING_TIMEOUT`].
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(30);

/// A segment that got lost is sent again after this; then after twice as long, up to the last.
const RESEND_FIRST: Duration = Duration::from_millis(200);
const RESEND_LAST: Duration = Duration::from_secs(60);

/// Connecting and encrypting must be over within this time; then the gate has its own.
const ENCRYPT_TIMEOUT: Duration = Duration::from_secs(8);

/// An unanswered attempt to connect is repeated after this; then after twice as long.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// Bytes on the way in one direction of a lane, read by nobody yet, beyond which it takes no more.
const WINDOW_BYTES: usize = 256 * 1024;

/// Connections to one host: two, because two hosts may dial each other at once.
const PER_PEER_MAX: usize = 2;

/// The first pause before a lane that failed is opened again; it doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// A lane must be agreed upon within this time.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnNo(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneNo(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DialNo(u64);

/// All that is between the hosts.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) paths: Paths,
    conns: BTreeMap<ConnNo, Conn>,
    lanes: BTreeMap<LaneNo, Lane>,
    dials: BTreeMap<DialNo, Dial>,
    /// The connections between two hosts, the lower first.
    between: BTreeMap<(HostNo, HostNo), Vec<ConnNo>>,
    /// The credentials that were found good, each with the certificate at its end.
    verified: BTreeMap<HostNo, (Credential, Certificate)>,
    made: u64,
}

/// What a daemon knows of its connections.
#[derive(Default)]
pub(crate) struct NetState {
    links: BTreeMap<HostNo, Link>,
    lanes: BTreeMap<HostNo, LaneNo>,
    dialling: BTreeMap<HostNo, DialNo>,
    /// Hosts whose lane could not take bytes when there were some.
    blocked: BTreeSet<HostNo>,
}

/// All connections of a daemon to one host.
#[derive(Default)]
struct Link {
    /// In the order in which they came up.
    conns: Vec<ConnNo>,
    /// The one on which a lane is being opened.
    opening: Option<ConnNo>,
    failures: u32,
}

/// A connection. Side 0 is who dialled.
struct Conn {
    hosts: [HostNo; 2],
    lives: [u64; 2],
    /// Which sides have not closed it.
    open: [bool; 2],
    /// Which sides have passed the gate.
    met: [bool; 2],
    /// Which sides' daemons count it among their connections.
    counted: [bool; 2],
    /// When the other side's membership ends.
    until: [WallTime; 2],
    pings: [Option<Ping>; 2],
    lanes: Vec<LaneNo>,
    agree_by: Time,
}

/// A ping that is not answered as things stand.
#[derive(Clone, Copy)]
struct Ping {
    number: u64,
    sent: Time,
    /// The way was cut, and what is sent again comes later and later.
    cut: bool,
}

/// A stream over a connection, with a direction for each side to write.
struct Lane {
    conn: ConnNo,
    pipes: [Pipe; 2],
    open: [bool; 2],
    /// Which sides may write.
    told: [bool; 2],
}

/// An attempt to connect.
struct Dial {
    from: HostNo,
    to: HostNo,
    lives: [u64; 2],
    tries: u32,
    knocked: bool,
    /// What the listener showed.
    shown: Option<Credential>,
    /// When the dialler's membership ends, as the listener saw it.
    until: WallTime,
}

/// What happens in the network at a time.
#[derive(Debug)]
pub(crate) enum NetEvent {
    Knock(DialNo),
    Welcome(DialNo),
    Refused(DialNo, String),
    DialTimeout(DialNo),
    Agree(ConnNo),
    /// The first piece of one direction of a lane is there.
    Arrive(LaneNo, usize),
    /// The other side has closed the connection.
    Notice {
        conn: ConnNo,
        side: usize,
        why: &'static str,
        again: Duration,
    },
    PingFails {
        conn: ConnNo,
        side: usize,
        number: u64,
    },
    OpenTimeout(LaneNo),
    RetryLane {
        host: HostNo,
        life: u64,
        peer: HostNo,
    },
    Writable {
        host: HostNo,
        life: u64,
        peer: HostNo,
    },
}

impl Network {
    const fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn conns_between(&self, a: HostNo, b: HostNo) -> Vec<ConnNo> {
        self.between.get(&pair(a, b)).cloned().unwrap_or_default()
    }
}

impl NetState {
    /// The hosts that this daemon is connected to.
    pub(crate) fn linked(&self) -> impl Iterator<Item = HostNo> {
        self.links.keys().copied()
    }
}

impl Conn {
    fn side(&self, host: HostNo) -> usize {
        usize::from(self.hosts[1] == host)
    }
}

/// Two hosts, the lower first.
fn pair(a: HostNo, b: HostNo) -> (HostNo, HostNo) {
    (a.min(b), a.max(b))
}

/// The next wait of something that is sent again.
fn doubled(wait: Duration) -> Duration {
    (2 * wait).clamp(RESEND_FIRST, RESEND_LAST)
}
