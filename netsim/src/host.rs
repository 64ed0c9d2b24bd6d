use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde_json::Value;
use starling_core::engine::{
    Engine, GossipId, Kinds, LinkChange, Now, Save, Start, Storage, Ticket,
};
use starling_protocols::{
    admission::Token,
    entropy::Entropy,
    exchange::Failure,
    ident::{Address, AgentId, HostId},
    interest::TopicName,
    journal::Sequence,
    replica::DocName,
    time::Time,
};

use crate::{
    clock::Clock,
    disk::Disk,
    faults::HostNo,
    network::{ConnNo, DialNo, LaneNo, NetState, Piece},
    sim::{Edit, Written},
};

/// What one input costs a host that is not slow. More than nothing, so that hosts that keep each
/// other busy without end do not stop the time.
pub(crate) const STEP: Duration = Duration::from_micros(20);

/// Gossip messages that wait for a host that does not read. At the cap further ones are dropped.
pub(crate) const GOSSIP_WAITING_MAX: usize = 8192;

/// One machine, and the daemon that may run on it.
pub(crate) struct SimHost {
    pub(crate) id: HostId,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    /// How often a daemon was started here.
    pub(crate) life: u64,
    pub(crate) running: Option<Running>,
    pub(crate) down: Down,
    pub(crate) paused: bool,
    /// How long one input takes when the host is slow.
    pub(crate) slow: Option<Duration>,
    pub(crate) kinds: Kinds,
    pub(crate) residents: Vec<(AgentId, Start)>,
    /// What people outside have asked here.
    pub(crate) asked: BTreeMap<Ticket, Asked>,
    pub(crate) heard: Vec<Heard>,
    /// What people outside have changed in documents here.
    pub(crate) written: BTreeMap<Ticket, Written>,
    pub(crate) tickets: u64,
    /// Bytes that its daemons have written to lanes.
    pub(crate) sent_bytes: u64,
    /// Decides what happens to what this host sends.
    pub(crate) entropy: Entropy,
}

/// Why no daemon runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Down {
    /// One runs, or could.
    #[default]
    No,
    /// It was killed: the machine still answers for it.
    Killed,
    /// The machine is off.
    Off,
    /// It left on purpose.
    Left,
}

/// All that is lost when a daemon ends.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) net: NetState,
    pub(crate) inbox: VecDeque<Inbox>,
    /// Until when the input in hand keeps it busy.
    pub(crate) busy_until: Time,
    pub(crate) turn_planned: bool,
    pub(crate) alarm: Option<Time>,
    /// What its clocks showed when it last did anything.
    pub(crate) last: Option<Now>,
    pub(crate) leaving: bool,
    pub(crate) gossip_waiting: usize,
    pub(crate) judging: BTreeMap<GossipId, (u64, HostNo)>,
    pub(crate) joined_buckets: BTreeSet<u8>,
    /// Strangers at the gate that wait for an answer.
    pub(crate) redeeming: BTreeMap<Ticket, HostNo>,
    /// What is written to disk in a moment.
    pub(crate) unsaved: Option<Save>,
    pub(crate) scratch: Vec<u8>,
}

/// What waits for a daemon's attention.
#[derive(Debug)]
pub(crate) enum Inbox {
    Tick,
    Listening,
    /// Somebody this daemon does not know yet has come through the encryption.
    Knock(DialNo),
    Welcome(DialNo),
    Agree(ConnNo),
    Refused(DialNo, String),
    Piece(LaneNo, usize, Piece),
    Closed(ConnNo, String),
    PingFails(ConnNo, u64),
    RetryLane(HostNo),
    Writable(HostNo),
    LinkChange(HostNo, LinkChange),
    LaneDown(HostNo, String),
    Gossip {
        message: u64,
        from: HostNo,
        again: bool,
    },
    Redeem {
        joiner: HostNo,
        token: Token,
    },
    Outside(Outside),
    /// The disk has made durable all up to this record.
    Durable(Sequence),
    /// The same of batches of documents.
    Stored(u64),
    Storage(Storage),
}

impl Inbox {
    /// Whether it comes from another host, and so has to wait while too much does already.
    pub(crate) const fn is_from_network(&self) -> bool {
        let own = matches!(self, Self::Tick | Self::Outside(_) | Self::Durable(_));
        !own && !matches!(self, Self::Stored(_) | Self::Storage(_))
    }
}

/// What people on a host want of their daemon.
#[derive(Debug)]
pub(crate) enum Outside {
    Ask { ticket: Ticket, to: Address, name: String, body: Vec<u8>, budget: Duration },
    Subscribe { ticket: Ticket, topic: TopicName },
    Unsubscribe { ticket: Ticket },
    Publish { ticket: Ticket, topic: TopicName, body: Vec<u8> },
    Edit { ticket: Ticket, edit: Edit },
    Delete { ticket: Ticket, name: DocName },
    Leave,
}

/// A question from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// There is no answer yet.
    Waiting,
    /// The answer, or why there is none.
    Answered(Result<Value, Failure>),
    /// The daemon that was to ask has ended.
    Lost,
}

/// What a subscription from outside was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A message.
    Message {
        /// The topic.
        topic: String,
        /// Who published it.
        from: Address,
        /// The message as JSON, or nothing where no kind of the host knows its type.
        body: Option<Value>,
    },
    /// Messages were lost.
    Missed {
        /// The topic.
        topic: String,
        /// How many.
        count: u64,
    },
}

impl SimHost {
    pub(crate) fn new(disk: Disk, clock: Clock, entropy: Entropy) -> Self {
        Self {
            id: disk.key.host(),
            disk,
            clock,
            life: 0,
            running: None,
            down: Down::No,
            paused: false,
            slow: None,
            kinds: Kinds::new(),
            residents: Vec::new(),
            asked: BTreeMap::new(),
            heard: Vec::new(),
            written: BTreeMap::new(),
            tickets: 0,
            sent_bytes: 0,
            entropy,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.disk.name
    }

    pub(crate) const fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Where it can be dialled.
    pub(crate) fn addresses(host: HostNo) -> Vec<String> {
        vec![format!("/sim/{host}")]
    }

    /// The host that an address leads to.
    pub(crate) fn at_address(address: &str) -> Option<HostNo> {
        address.strip_prefix("/sim/")?.parse().ok().map(HostNo)
    }
}

impl Running {
    pub(crate) fn new(engine: Engine, now: Time) -> Self {
        Self {
            engine,
            net: NetState::default(),
            inbox: VecDeque::new(),
            busy_until: now,
            turn_planned: false,
            alarm: None,
            last: None,
            leaving: false,
            gossip_waiting: 0,
            judging: BTreeMap::new(),
            joined_buckets: BTreeSet::new(),
            redeeming: BTreeMap::new(),
            unsaved: None,
            scratch: Vec::new(),
        }
    }
}
