use super::super::{BodyError, ChangeError, Head, Owner, TitleError};
use crate::limits::{DOCUMENT_HEADS_MAX, DOCUMENTS_MAX};

/// What came of a revision from another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was all here.
    Same,
    /// What is here counts more: the other host lacks it.
    Older,
    /// It is here now.
    New {
        /// What was here before, if it does not count any more and holds what the new one lacks.
        dropped: Option<Dropped>,
    },
    /// It cannot be joined to what is here: the whole is needed, or the difference to these heads.
    Lacking(Vec<Head>),
}

/// A version that does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Whose it was, if it is a descriptor.
    pub owner: Option<Owner>,
    /// Its heads.
    pub heads: Vec<Head>,
    /// The document, as automerge saves it.
    pub body: Vec<u8>,
}

/// Why a revision is refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A descriptor without title, or a title of something else.
    #[error("it has no title, or not one of this agent")]
    Untitled,
    /// The title is not good.
    #[error(transparent)]
    Title(#[from] TitleError),
    /// Somebody else than its owner, or than a member, has written it.
    #[error("nobody vouches for it who may write it")]
    Unvouched,
    /// What it holds is not what it says.
    #[error("its content has other heads than it says")]
    Heads,
    /// Its history has a number that no host that keeps the rules comes to.
    #[error("its history has a number that none comes to")]
    Base,
    /// Too many heads.
    #[error("it has {0} heads; at most {DOCUMENT_HEADS_MAX} are allowed")]
    TooManyHeads(usize),
    /// Its content is no document, or too large.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// There is no room for another document.
    #[error("this host has {DOCUMENTS_MAX} documents already")]
    Full,
}

impl Refused {
    /// Whether it may be good as soon as more is known of who is a member, and who is dead.
    #[must_use]
    pub const fn is_for_now(&self) -> bool {
        matches!(self, Self::Unvouched | Self::Title(TitleError::NotDead(_)))
    }
}

/// Why a document was not changed. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The change itself was not made.
    #[error("{0}")]
    Change(ChangeError<E>),
    /// It is an agent's descriptor, and the agent lives elsewhere or is not known here.
    #[error("only the host that the agent lives on changes its descriptor")]
    NotOwner,
    /// The copy of this host is damaged, and others may have what is missing here.
    #[error(
        "the copy of this host is damaged: {0}; it is replaced when another host has a good one; if \
         none has, delete it and write it anew"
    )]
    Damaged(String),
    /// There is no room for another document.
    #[error("this host has {DOCUMENTS_MAX} documents already")]
    Full,
    /// This host was away for so long that it may have been deleted meanwhile. Try again in some
    /// minutes, when others have been asked.
    #[error("it may have been deleted while this host was away; try again in some minutes")]
    Doubtful,
    /// It was deleted and made anew too often: use another name.
    #[error("it was deleted and made anew too often; another name has to be used")]
    Bases,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is none, or it is deleted.
    #[error("there is no such document on this host")]
    Unknown,
    /// The copy is damaged; it is replaced when another host has a good one.
    #[error("the copy of this host is damaged: {0}")]
    Damaged(String),
}

/// What came of the changes of other histories that were to be repeated in the present one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The copy is to be stored, because it or what is kept with it has changed.
    pub changed: bool,
    /// What could not be repeated, or is deleted by what came.
    pub dropped: Vec<Dropped>,
    /// How many histories have changes that there is no room for: they wait until there is.
    pub waiting: usize,
}
