use serde::{Deserialize, Serialize};
use starling_protocols::{
    admission::{Ledger, Refusal, Token},
    exchange::Failure,
    ident::{Address, AgentId, Credential, HostId, Signed},
    interest::TopicName,
    journal::{Batch, Sequence},
    replica::KeptBatch,
    roster::{HostRecord, Roster},
    time::{Time, WallTime},
};

use super::{Event, Storage};
use crate::agent::Level;

/// The moment of an input, by both clocks of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// By the monotonic clock.
    pub time: Time,
    /// By the calendar.
    pub wall: WallTime,
}

/// The host's name for a question from outside, a subscription or a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// The host's name for a gossip message that waits for a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub u64);

/// What reaches the engine.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing but time: a deadline has passed, or messages wait.
    Tick,
    /// The link to a host changed.
    Link {
        /// Which host.
        host: HostId,
        /// How.
        change: LinkChange,
    },
    /// A lane to a linked host is there. It replaces an earlier one.
    LaneUp {
        /// Which host.
        host: HostId,
    },
    /// Bytes arrived on a lane.
    LaneBytes {
        /// From which host.
        host: HostId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A lane is gone.
    LaneDown {
        /// To which host.
        host: HostId,
        /// Why, in words.
        why: String,
    },
    /// A gossip message, signed by its origin, waits for a verdict.
    Gossip {
        /// Which.
        id: GossipId,
        /// Who published it.
        origin: HostId,
        /// What.
        bytes: &'a [u8],
    },
    /// The host listens on these addresses.
    Listening {
        /// All of them, the best first.
        addresses: Vec<String>,
    },
    /// A host was discovered on the local network. It may be of another mesh.
    Discovered {
        /// Which host.
        host: HostId,
        /// Where.
        addresses: Vec<String>,
    },
    /// A stranger at the gate shows a token.
    Redeem {
        /// Names the answer.
        ticket: Ticket,
        /// Who.
        joiner: HostId,
        /// The token.
        token: Token,
    },
    /// All records of the journal up to this one are durable.
    Durable {
        /// Its number.
        upto: Sequence,
    },
    /// The storage of the journal has changed.
    Storage(Storage),
    /// All documents of the batches up to this one are durable.
    Stored {
        /// Its number.
        upto: u64,
    },
}

/// How a link changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// A connection passed the gate.
    Up {
        /// When the other side's membership ends, by its certificate.
        until: WallTime,
    },
    /// The last connection is gone.
    Down {
        /// Why, in words.
        why: String,
    },
    /// A dial failed.
    DialFailed {
        /// Why, in words.
        why: String,
    },
}

/// What the engine wants done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Connect to a host; the outcome comes back as a [`LinkChange`].
    Dial {
        /// Which host.
        host: HostId,
        /// Where, the best first.
        addresses: Vec<String>,
    },
    /// Cut all connections to a host.
    Disconnect {
        /// Which host.
        host: HostId,
        /// Why, in words.
        why: String,
    },
    /// Close the lane to a host: it broke the rules. [`Input::LaneDown`] follows.
    CloseLane {
        /// Which host.
        host: HostId,
        /// Why, in words.
        why: String,
    },
    /// There is something to write to a host; see [`Engine::transmit`](super::Engine::transmit).
    Transmit {
        /// Which host.
        host: HostId,
    },
    /// Publish on a gossip topic.
    Gossip {
        /// Which.
        bucket: u8,
        /// What.
        bytes: Vec<u8>,
    },
    /// Subscribe to a gossip topic.
    JoinBucket {
        /// Which.
        bucket: u8,
    },
    /// Unsubscribe from a gossip topic.
    LeaveBucket {
        /// Which.
        bucket: u8,
    },
    /// What to do with a gossip message.
    Judge {
        /// Which.
        id: GossipId,
        /// The verdict.
        verdict: Verdict,
    },
    /// Make these records durable, in the order in which they come. What depends on them is held
    /// back until [`Input::Durable`].
    Record(Batch),
    /// Make these documents durable, in the order in which the batches come; see
    /// [`Input::Stored`].
    Store(KeptBatch),
    /// As many hosts as were waited for have a document durably, or time is up.
    Replicated {
        /// Who waited.
        ticket: Ticket,
        /// How many hosts have it, this one included; 0 when it is not even durable here.
        replicas: usize,
    },
    /// What an agent says to people.
    Log {
        /// Which agent.
        agent: AgentId,
        /// Its kind.
        kind: &'static str,
        /// How important it is.
        level: Level,
        /// What it says.
        text: String,
    },
    /// Make something durable. What was put out before does not wait for it; what comes after,
    /// does.
    Save(Save),
    /// The answer to a question from outside.
    Answered {
        /// Which question.
        ticket: Ticket,
        /// The reply as JSON text, or why there is none.
        outcome: Result<Vec<u8>, Failure>,
    },
    /// A message for a subscription from outside.
    Heard {
        /// Which subscription.
        ticket: Ticket,
        /// The topic.
        topic: TopicName,
        /// Who published it.
        from: Address,
        /// The notification as JSON, or its bytes where no kind here knows the type.
        body: Result<serde_json::Value, Vec<u8>>,
    },
    /// Messages were lost for a subscription from outside.
    Missed {
        /// Which subscription.
        ticket: Ticket,
        /// The topic.
        topic: TopicName,
        /// How many.
        count: u64,
    },
    /// The answer to a stranger at the gate.
    Redeemed {
        /// Which.
        ticket: Ticket,
        /// Its membership and the hosts of the mesh, or why not.
        outcome: Result<(Credential, Vec<Signed<HostRecord>>), Refusal>,
    },
    /// Something happened that people may want to know.
    Event(Event),
}

/// What is made durable.
#[derive(Debug, PartialEq)]
pub enum Save {
    /// The invites.
    Ledger(Ledger),
    /// The hosts known.
    Hosts(Roster),
}

/// What becomes of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Accept,
    /// Do not, but nobody is to blame.
    Ignore,
    /// It breaks the rules: who sent it is to blame.
    Reject,
}
