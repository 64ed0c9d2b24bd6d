use serde::{Deserialize, Serialize};

use super::{Base, DocName, Head, Revision, TenureId};
use crate::reconcile::Digest;

/// What two hosts say to each other about documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What the sender has, or a question about it.
    Digest(Digest),
    /// What has changed at the sender, or was asked for. Answered by [`Have`](Self::Have) when it
    /// is durable there.
    Revisions(Vec<Revision>),
    /// What the receiver lacks, perhaps. Answered by [`Want`](Self::Want).
    Offers(Vec<Offer>),
    /// Asks for documents.
    Want(Vec<Want>),
    /// The sender has these durably.
    Have(Vec<Receipt>),
    /// The sender has been in touch with others lately: a document that it does not come to have
    /// is deleted, or new. Said when a lane opens.
    InTouch,
}

/// A version of a document that the sender has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Of which document.
    pub name: DocName,
    /// The agent's last tenure, if it is a descriptor.
    pub tenure: Option<TenureId>,
    /// Which history.
    pub base: Base,
    /// The heads, in rising order.
    pub heads: Vec<Head>,
}

/// A wish for a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Which.
    pub name: DocName,
    /// What the one who wishes has already: these heads of this history. None: the whole is wanted.
    pub heads: Vec<Head>,
    /// Of which history.
    pub base: Base,
}

impl Want {
    /// A wish for all of it.
    #[must_use]
    pub fn whole(name: DocName) -> Self {
        Self { name, heads: Vec::new(), base: Base::default() }
    }
}

/// A document, as somebody has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub name: DocName,
    /// All that these heads follow is there.
    pub heads: Vec<Head>,
}
