//! What is asked of documents, and what is answered.

use std::{fmt::Display, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::HostId,
    replica::{ChangeError, ReadError, WriteError},
};

use crate::{
    agent::{Notification, Request},
    engine::Ticket,
};

/// Why something was not done with a document. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DocumentError {
    /// The host was begun without documents.
    #[error("this host keeps no documents")]
    NotKept,
    /// There is none of this name, or it is deleted.
    #[error("there is no such document on this host")]
    Unknown,
    /// The copy of this host is damaged; it is replaced when another host has a good one.
    #[error(
        "the copy of this host is damaged: {0}; it is replaced from another host; if none has it, \
         delete it and write it anew"
    )]
    Damaged(String),
    /// It is the descriptor of an agent that does not live on this host.
    #[error("only the host that an agent lives on changes its descriptor")]
    NotOwner,
    /// The change was not made, and why.
    #[error("{0}")]
    Refused(String),
    /// It may have been deleted while this host was away. Try again in some minutes, when others
    /// have been asked.
    #[error("it may have been deleted while this host was away; try again in some minutes")]
    Doubtful,
    /// It is the descriptor of an agent: what stands there the agent says, and the host where it
    /// lives.
    #[error("what stands in the descriptor of an agent is said by the agent, and by nobody else")]
    Described,
}

impl DocumentError {
    /// Whether it may be possible in a while.
    pub(super) const fn is_for_now(&self) -> bool {
        matches!(self, Self::Unknown | Self::Damaged(_) | Self::Doubtful)
    }
}

impl From<ReadError> for DocumentError {
    fn from(why: ReadError) -> Self {
        match why {
            ReadError::Unknown => Self::Unknown,
            ReadError::Damaged(why) => Self::Damaged(why),
        }
    }
}

impl<E: Display> From<WriteError<E>> for DocumentError {
    fn from(why: WriteError<E>) -> Self {
        match why {
            WriteError::NotOwner => Self::NotOwner,
            WriteError::Damaged(why) => Self::Damaged(why),
            WriteError::Change(ChangeError::Given(why)) => Self::Refused(why.to_string()),
            WriteError::Change(ChangeError::Message) => {
                Self::Refused(ChangeError::<std::fmt::Error>::Message.to_string())
            }
            WriteError::Change(ChangeError::Meddled) => {
                Self::Refused(ChangeError::<std::fmt::Error>::Meddled.to_string())
            }
            WriteError::Change(ChangeError::Body(why)) => Self::Refused(why.to_string()),
            WriteError::Doubtful => Self::Doubtful,
            WriteError::Bases => Self::Refused(why.to_string()),
            WriteError::Full => Self::Refused("this host has as many documents as it may".into()),
        }
    }
}

/// How a change is made, and who waits until how many hosts have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Why, for those who read the history. May be empty.
    pub message: String,
    /// Answered by [`Output::Replicated`](crate::engine::Output::Replicated).
    pub ticket: Ticket,
    /// How many hosts are to have it durably, this one included.
    pub replicas: usize,
    /// How long that is waited for.
    pub patience: Duration,
}

/// Says what others are to know of the agent that sends this to [`AgentId::ENGINE`](starling_protocols::ident::AgentId::ENGINE): its fields, as
/// JSON text. They stand in its descriptor, below `fields`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Describe(pub String);

impl Notification for Describe {
    const NAME: &'static str = "engine/describe";
}

/// The same, for who waits until some hosts have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeOn {
    /// The fields, as JSON text.
    pub fields: String,
    /// How many hosts are to have it durably, this one included.
    pub replicas: u32,
    /// How long that is waited for.
    pub patience: Duration,
}

impl Request for DescribeOn {
    const NAME: &'static str = "engine/describe-on";
    type Reply = Result<u32, DocumentError>;
}

/// Has an agent told of all changes of documents whose names begin so: as
/// [`DocumentChanged`], first of how they are now. An agent that outlives its daemon asks anew when
/// it is recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchDocuments(pub String);

impl Request for WatchDocuments {
    const NAME: &'static str = "engine/watch-documents";
    type Reply = Result<(), DocumentError>;
}

/// A document is another one than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentChanged {
    /// Which.
    pub name: String,
    /// What it says now, as JSON text; `None` when it is deleted.
    pub value: Option<String>,
}

impl Notification for DocumentChanged {
    const NAME: &'static str = "engine/document-changed";
}

/// Asks the engine for documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindDocuments {
    /// How their names begin: `agent/` for all descriptors.
    pub prefix: String,
    /// What they say, as paths with JSON text: `kind` and `"room"`.
    pub fields: Vec<(String, String)>,
    /// The name after which to go on.
    pub after: Option<String>,
    /// How many, at most.
    pub limit: u32,
}

impl Request for FindDocuments {
    const NAME: &'static str = "engine/find-documents";
    type Reply = Result<DocumentPage, DocumentError>;
}

/// Some documents, in the order of their names.
///
/// A document that is there from the first page to the last is on exactly one of them; one that
/// comes, goes or changes meanwhile may be missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPage {
    /// The documents.
    pub items: Vec<DocumentView>,
    /// Where to go on, if there may be more. A page may be empty and still not the last.
    pub next: Option<String>,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentView {
    /// Its name.
    pub name: String,
    /// What it says, as JSON text.
    pub value: String,
    /// Its heads, in hex: the same on two hosts that have the same.
    pub heads: Vec<String>,
    /// Whose descriptor it is: the host that the agent lives on, and the number of its hosts before.
    pub owner: Option<(HostId, u64)>,
}
