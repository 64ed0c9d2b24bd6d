use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ident::Address;

/// What a member knows of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The members it knows of, itself not among them.
    pub members: BTreeSet<Address>,
    /// Those that have acted and failed; it may be one of them.
    pub tried: BTreeSet<Address>,
}

/// What one member asks another as a request, so that it learns when there is no answer to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask<'a> {
    /// Whether it may act. The answer is [`Reply::Yield`], [`Reply::Mine`], [`Reply::Solved`] or
    /// [`Reply::Full`].
    Claim {
        /// Which problem of its sort.
        #[serde(borrow)]
        key: Cow<'a, str>,
        /// The problem, as its type encodes it, for those that have not noticed it.
        #[serde(borrow, with = "serde_bytes")]
        problem: Cow<'a, [u8]>,
        /// What the claimer knows of the group.
        group: Group,
    },
    /// For the solution. The answer is [`Reply::Solved`], [`Reply::Wait`], [`Reply::Elsewhere`],
    /// [`Reply::Free`] or [`Reply::Full`].
    Follow {
        /// Which problem of its sort.
        #[serde(borrow)]
        key: Cow<'a, str>,
        /// What the follower knows of the group.
        group: Group,
    },
}

/// What a member answers to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It does not act: the claimer goes on.
    Yield(Group),
    /// It acts, or claims and ranks before: the claimer is to follow it.
    Mine(Group),
    /// There is a solution.
    Solved {
        /// The solution, as the problem's type encodes it.
        #[serde(with = "serde_bytes")]
        solution: Vec<u8>,
        /// Who acted.
        by: Address,
    },
    /// There is none yet: ask again.
    Wait(Group),
    /// It follows another itself.
    Elsewhere {
        /// Whom.
        whom: Address,
        /// What it knows of the group.
        group: Group,
    },
    /// It neither acts nor follows one that does; if it has acted and failed, why.
    Free {
        /// What it knows of the group.
        group: Group,
        /// What it failed for.
        why: Option<String>,
    },
    /// It knows of as many members as a group may have, and this is one more.
    Full,
}

impl Reply {
    /// What it says of the group.
    pub(super) const fn group(&self) -> Option<&Group> {
        match self {
            Self::Yield(group)
            | Self::Mine(group)
            | Self::Wait(group)
            | Self::Elsewhere { group, .. }
            | Self::Free { group, .. } => Some(group),
            Self::Solved { .. } | Self::Full => None,
        }
    }
}

/// What a member tells another without waiting for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tell<'a> {
    /// There is a solution, for one that seemed gone.
    Solved {
        /// Which problem of its sort.
        #[serde(borrow)]
        key: Cow<'a, str>,
        /// The solution, as the problem's type encodes it.
        #[serde(borrow, with = "serde_bytes")]
        solution: Cow<'a, [u8]>,
        /// Who acted.
        by: Address,
    },
}
