//! What is asked of the engine when an agent goes to another host, and what it answers.

use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::{AgentId, HostId},
    limits::GONE_AFTER,
    replica::TitleError,
    words::count,
};

use crate::{
    agent::Request,
    engine::{DocumentError, StartError},
};

/// Asks the engine whether an agent of this host can be given to another host. The reply names its
/// kind, which the other host must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanGive {
    /// Which agent.
    pub agent: AgentId,
    /// To which host.
    pub to: HostId,
}

impl Request for CanGive {
    const NAME: &'static str = "engine/can-give";
    type Reply = Result<String, MoveError>;
}

/// Asks the engine to give an agent of this host to another host: its last words and the gift stand
/// in its descriptor then, on this disk and, if one was in reach, on that of another host, and the
/// agent does not live here any more. The other host takes it up when it reads that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveAgent {
    /// Which agent.
    pub agent: AgentId,
    /// To which host.
    pub to: HostId,
}

impl Request for GiveAgent {
    const NAME: &'static str = "engine/give";
    type Reply = Result<(), MoveError>;
}

/// Asks the engine to take up an agent on this host: one that was given to it; one whose host is
/// dead; or one of its own that has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeUpAgent {
    /// Which agent.
    pub agent: AgentId,
    /// Whoever asks vouches for it that the agent's host is gone, whatever it looks like.
    pub its_host_is_gone: bool,
}

impl Request for TakeUpAgent {
    const NAME: &'static str = "engine/take-up";
    type Reply = Result<TookUp, MoveError>;
}

/// An agent lives on this host now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TookUp {
    /// Where it lived before.
    pub before: HostId,
    /// How many hosts it had before this one.
    pub instance: u64,
}

/// Why an agent was not given away or taken up. It lives where it did, if it did, and its
/// descriptor is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MoveError {
    /// No descriptor of such an agent is on this host.
    #[error("no agent {0} is known here")]
    Unknown(AgentId),
    /// The agent does not live on the host that was asked to give it away.
    #[error("agent {0} does not live on this host")]
    NotHere(AgentId),
    /// The agent lives on this host, or on the one that it is to be given to.
    #[error("agent {0} lives there already")]
    There(AgentId),
    /// Agents of its kind have no descriptors, so that nothing is known of them elsewhere.
    #[error("agents of kind {0:?} have no descriptor: they end with their host")]
    NotDescribed(String),
    /// It is to be given to a host that is no member.
    #[error("host {0} is not known in this mesh")]
    UnknownHost(HostId),
    /// Another host has taken it up at the same time, and that counts more.
    #[error("agent {0} was taken up by another host at the same time")]
    Lost(AgentId),
    /// It is being given away already.
    #[error("agent {0} is about to leave this host")]
    Leaving(AgentId),
    /// Its host seems to live.
    #[error(
        "its host {0} is not known to be gone: move it from there, or, if you know better, say so: \
         --its-host-is-gone"
    )]
    Alive(String),
    /// It cannot be started here.
    #[error("{0}")]
    NotStarted(StartError),
    /// Others would not accept it.
    #[error("others would not accept it: {0}")]
    Title(String),
    /// This host cannot read or write its descriptor.
    #[error("its descriptor: {0}")]
    Document(DocumentError),
    /// It is to be given to a host that is out of reach.
    #[error(
        "host {0} cannot be reached: the agent stays where it is; see p2p members, or choose \
         another host"
    )]
    OutOfReach(String),
    /// Its host has been there too lately to be taken for gone.
    #[error(
        "its host {host} has been {} for no more than {}, as far as is known here, and may be back \
         in a moment: try again in {}, or, if it is gone for good, say so: --its-host-is-gone",
        if *.left { "down" } else { "out of reach" },
        count(*.seconds, "second"),
        count(GONE_AFTER.as_secs().saturating_sub(*.seconds).max(1), "second")
    )]
    Lately {
        /// The name of the host.
        host: String,
        /// For how long it has been away, as far as the host knows that was asked.
        seconds: u64,
        /// It went down on purpose.
        left: bool,
    },
}

impl From<DocumentError> for MoveError {
    fn from(why: DocumentError) -> Self {
        Self::Document(why)
    }
}

impl From<TitleError> for MoveError {
    fn from(why: TitleError) -> Self {
        Self::Title(why.to_string())
    }
}
