use serde::{Deserialize, Serialize};

use super::{Base, DocName, Head, Revision};
use crate::reconcile::Digest;

/// What two hosts say to each other about documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What the sender has, or a question about it.
    Digest(Digest),
    /// What the receiver lacks, perhaps. Answered by [`Have`](Self::Have) when it is durable there.
    Revisions(Vec<Revision>),
    /// What the receiver lacks, perhaps, and what is too large to be sent unasked. Answered by
    /// [`Want`](Self::Want).
    Offers(Vec<Offer>),
    /// Asks for documents.
    Want(Vec<Want>),
    /// The sender has these durably.
    Have(Vec<Receipt>),
}

/// A version of a document that the sender has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Of which document.
    pub name: DocName,
    /// Which version: see [`Revision::print`].
    pub print: u64,
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

/// A document, as somebody has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub name: DocName,
    /// All that these heads follow is there.
    pub heads: Vec<Head>,
}
