use serde::{Deserialize, Serialize};

use crate::{
    ident::{AgentId, Incarnation, Signed},
    reconcile::Digest,
    roster::HostRecord,
};

/// How a message is delivered. A protocol chooses one, and its type names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Delivery {
    /// At most once, may be dropped.
    Hint,
    /// Each live listener gets each message once, in its sender's order, or learns of the gap.
    Ordered,
    /// Correlated, with a budget, executed at most once; the caller always learns the outcome.
    Dialog,
    /// Survives restarts of both ends; executed exactly once.
    Durable,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// bincode, between agents.
    #[default]
    Native,
    /// JSON, from and to people and programs outside the mesh. The receiving host, which knows
    /// the type, translates.
    Json,
}

/// Why a call has no reply. Says whether it may have been carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The agent said no, for the reason in words.
    #[error("refused: {0}")]
    Refused(String),
    /// Too much is waiting there. It was not carried out; try again later.
    #[error("busy: too many messages are waiting; it was not carried out, try again later")]
    Busy,
    /// No such agent lives on that host. It was not carried out.
    #[error("no such agent on that host; it was not carried out")]
    NoAgent,
    /// The agent does not understand a message of this name. It was not carried out.
    #[error("the agent does not understand {0:?}; it was not carried out")]
    Unknown(String),
    /// The body does not fit the type; where, in words. It was not carried out.
    #[error("the body does not fit: {0}; it was not carried out")]
    BadBody(String),
    /// The agent or its host ended meanwhile. Whether it was carried out is unknown.
    #[error("the agent or its host ended meanwhile; it may or may not have been carried out")]
    Gone,
    /// No answer within the budget. Whether it was carried out is unknown.
    #[error("no answer in time; it may or may not have been carried out")]
    TimedOut,
    /// The host is not known here. It was not carried out.
    #[error("the host is not known here; it was not carried out")]
    Unreachable,
    /// The host cannot store what it would do. It was not carried out.
    #[error("the host cannot store anything now ({0}); it was not carried out, try again later")]
    Storage(String),
}

impl Failure {
    /// Whether nobody knows if the call was carried out. After every other failure it was not.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Gone | Self::TimedOut)
    }
}

/// One life of one session: the life of the host, and how often it began the session anew.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SessionId {
    /// The life of the host.
    pub incarnation: Incarnation,
    /// Counts up when the host gave the session up without restarting.
    pub epoch: u32,
}

/// The first frame on a new lane, from both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocols that the sender speaks.
    pub version: u16,
    /// The sender's side of the session.
    pub session: SessionId,
    /// What the sender has of the receiver's side: which session, and how many items.
    pub heard: Option<(SessionId, u64)>,
}

/// One frame on a lane.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// Opens the lane.
    Hello(Hello),
    /// The sender has this many items of the receiver's session.
    Ack(u64),
    /// The next item waited this many milliseconds before it was sent: its budget has shrunk.
    Aged(u32),
    /// An item. Items are numbered by counting.
    #[serde(borrow)]
    Item(Item<'a>),
}

/// What one host tells another, exactly once and in order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item<'a> {
    /// Ask an agent.
    Call {
        /// Who asks.
        from: AgentId,
        /// Who is asked.
        to: AgentId,
        /// The asker's name for this dialog.
        dialog: u64,
        /// What is left of the time for it, in milliseconds.
        budget_ms: u32,
        /// The request's name.
        name: &'a str,
        /// How the body is written, and how the reply should be.
        codec: Codec,
        /// The request.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// An agent's reply.
    Reply {
        /// Who asked.
        to: AgentId,
        /// The asker's name for the dialog.
        dialog: u64,
        /// The reply, in the codec of the call.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// There is no reply, and why.
    Failed {
        /// Who asked.
        to: AgentId,
        /// The asker's name for the dialog.
        dialog: u64,
        /// Why.
        why: Failure,
    },
    /// Tell an agent.
    Notify {
        /// Who tells.
        from: AgentId,
        /// Who is told.
        to: AgentId,
        /// The notification's name.
        name: &'a str,
        /// How the body is written.
        codec: Codec,
        /// The notification.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// A message on a topic that the receiver listens to.
    #[serde(borrow)]
    Publish(Rumour<'a>),
    /// The sender's interests have changed.
    Interests {
        /// Topics it now listens to.
        listen: Vec<&'a str>,
        /// Topics it no longer listens to.
        ignore: Vec<&'a str>,
    },
    /// The sender's next message on a topic will have this number: whoever has not seen the one
    /// before it has a gap.
    Tail {
        /// The topic.
        topic: &'a str,
        /// The number of the next message.
        next: u64,
    },
    /// Send again what the sender of this has missed.
    Repair {
        /// The topic.
        topic: &'a str,
        /// The first missing number.
        from: u64,
        /// The number after the last missing one.
        until: u64,
    },
    /// Messages of a topic that cannot be sent again.
    Lost {
        /// The topic.
        topic: &'a str,
        /// The number after the last lost one.
        until: u64,
    },
    /// Host records, news to the receiver perhaps.
    Hosts(Vec<Signed<HostRecord>>),
    /// A durable letter. It is sent again on every new session until it is taken.
    Letter {
        /// The life of the sending host in which the numbering began.
        epoch: Incarnation,
        /// Its number, from one.
        number: u64,
        /// The number of the first that the sender still has: those before it never come.
        first: u64,
        /// Who posted it.
        from: AgentId,
        /// Whom it is for.
        to: AgentId,
        /// The notification's name.
        name: &'a str,
        /// How the body is written.
        codec: Codec,
        /// The notification.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// The sender has taken all letters up to this one, durably.
    LettersTaken {
        /// Of which numbering.
        epoch: Incarnation,
        /// The number of the last.
        upto: u64,
    },
    /// The sender took a letter that nobody there could handle.
    LetterRefused {
        /// Of which numbering.
        epoch: Incarnation,
        /// Which.
        number: u64,
        /// Why.
        why: Failure,
    },
    /// What the sender knows of the hosts of the mesh, or asks about them.
    Roster(Digest),
    /// A [`replica::Message`](crate::replica::Message), encoded.
    Documents(#[serde(with = "serde_bytes")] &'a [u8]),
}

/// A message on a topic, over a lane or over gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rumour<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Its number among its origin's messages on this topic.
    pub sequence: u64,
    /// Whether gaps are repaired.
    pub ordered: bool,
    /// The agent that published it.
    pub from: AgentId,
    /// How the body is written.
    pub codec: Codec,
    /// The notification.
    #[serde(with = "serde_bytes")]
    pub body: &'a [u8],
}

/// What goes over gossip. Gossipsub signs it with the origin's key, and the gossip topic names the
/// mesh.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gossip<'a> {
    /// A message on a topic.
    Publish {
        /// The life of the origin that published it.
        incarnation: Incarnation,
        /// The message.
        #[serde(borrow)]
        rumour: Rumour<'a>,
    },
    /// The origin's next message on a topic will have this number; see [`Item::Tail`].
    Tail {
        /// The life of the origin.
        incarnation: Incarnation,
        /// The topic.
        topic: &'a str,
        /// The number of the next message.
        next: u64,
    },
}
