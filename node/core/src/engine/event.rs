use serde::{Deserialize, Serialize};
use starling_protocols::ident::{Address, AgentId, HostId};

/// Something that happened on a host, for people to follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// An agent began to live.
    AgentStarted {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
        /// Its name, if it has one.
        name: Option<String>,
    },
    /// An agent ended in good order.
    AgentStopped {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
    },
    /// An agent panicked; its ball is gone, everything else goes on.
    AgentDied {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
        /// What it panicked with.
        why: String,
    },
    /// An agent is back, in the state it had when the host went down.
    AgentRecovered {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
        /// How many inputs it handled again.
        entries: u64,
    },
    /// An agent does not live here any more: it was given to another host.
    AgentMoved {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
    },
    /// An agent that lived on another host lives here now.
    AgentTakenUp {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
        /// Where it lived before.
        before: HostId,
        /// How many hosts it had before this one.
        instance: u64,
    },
    /// An agent was given to this host, which could not take it up: it lives nowhere.
    NotTakenUp {
        /// Which.
        agent: AgentId,
        /// Why.
        why: String,
    },
    /// An agent should be back and could not be recovered. Its journal is kept.
    AgentLost {
        /// Which.
        agent: AgentId,
        /// Of which kind.
        kind: String,
        /// Why.
        why: String,
    },
    /// A durable letter could not be delivered.
    Undelivered {
        /// Who posted it.
        from: AgentId,
        /// To whom.
        to: Address,
        /// The notification's name.
        name: String,
        /// Why.
        why: String,
    },
    /// What an agent said of itself could not be written into its descriptor. It goes on.
    NotDescribed {
        /// Which.
        agent: AgentId,
        /// Why.
        why: String,
    },
    /// Another configuration of a kind is in force.
    Configured {
        /// Which kind.
        kind: String,
        /// The document.
        document: String,
    },
    /// The configuration of a kind does not fit its type: agents go on with the one before.
    NotConfigured {
        /// Which kind.
        kind: String,
        /// The document.
        document: String,
        /// Why.
        why: String,
    },
    /// A document that the application begins with was made here.
    DocumentBegun {
        /// Which.
        document: String,
        /// Its first head, in hex.
        head: String,
    },
    /// A document that the application begins with could not be made.
    DocumentNotBegun {
        /// Which.
        document: String,
        /// Why.
        why: String,
    },
    /// A document was changed here while it was deleted, or begun anew, elsewhere: the change does
    /// not count any more.
    DocumentDropped {
        /// Which.
        name: String,
        /// What is lost, a line for each place.
        lost: Vec<String>,
    },
    /// A host sent a document that cannot be taken.
    DocumentRefused {
        /// The host.
        host: HostId,
        /// The document.
        name: String,
        /// Why.
        why: String,
    },
    /// A host that was not known.
    HostKnown {
        /// Which.
        host: HostId,
        /// Its name.
        name: String,
    },
    /// A host went down on purpose.
    HostLeft {
        /// Which.
        host: HostId,
        /// Its name.
        name: String,
    },
    /// A host can be talked to.
    LaneUp {
        /// Which.
        host: HostId,
        /// Its name.
        name: String,
        /// Whether it began a new life since it was last met: what was under way with the old one
        /// has an unknown outcome.
        anew: bool,
    },
    /// A host cannot be talked to for now.
    LaneDown {
        /// Which.
        host: HostId,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// A host could not be reached.
    DialFailed {
        /// Which.
        host: HostId,
        /// Its name.
        name: String,
        /// Why.
        why: String,
        /// When it is tried again, in milliseconds, if it is.
        again_in_ms: Option<u64>,
    },
    /// A host broke the rules of the lane; the lane was closed.
    Violation {
        /// Which.
        host: HostId,
        /// Its name.
        name: String,
        /// Which rule.
        why: String,
    },
    /// A host was admitted here.
    Joined {
        /// Which.
        host: HostId,
    },
    /// A host showed a token and was refused.
    JoinRefused {
        /// Which.
        host: HostId,
        /// Why.
        why: String,
    },
    /// What others have changed of a document has no room in it, and is kept until there is.
    DocumentWaits {
        /// Which.
        name: String,
    },
}
