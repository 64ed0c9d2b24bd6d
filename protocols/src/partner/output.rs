use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::{Bond, Letter, Row};
use crate::{exchange::Failure, ident::Address};

/// Why there is no partnership after all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Declined {
    /// The other side does not agree, for the reason in words.
    #[error("the other side does not agree: {0}")]
    Refused(String),
    /// This side does not agree in the end, for the reason in words.
    #[error("this side does not agree in the end: {0}")]
    Reconsidered(String),
    /// There was no answer in time. The other side may agree yet; it is told then that it is too
    /// late.
    #[error("there was no answer in time")]
    TimedOut,
    /// It could not be delivered.
    #[error("it was not delivered: {0}")]
    Undelivered(Failure),
    /// The other side has proposed the same at the same time, and that goes on.
    #[error("the other side has proposed the same, and that goes on")]
    Crossed,
    /// The agent has withdrawn it.
    #[error("it was withdrawn")]
    Withdrawn,
}

/// How a partnership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parted {
    /// The partner has broken up, or has ended its life in good order.
    Goodbye,
    /// This agent has broken up.
    Breakup,
    /// This agent ends its life, in good order.
    Shutdown,
    /// The partner has died, and will not come back.
    Buried,
    /// The partner is not there any more, or knows nothing of it, and nobody has said why.
    Lost,
}

impl fmt::Display for Parted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Goodbye => "the partner has ended it",
            Self::Breakup => "this agent has ended it",
            Self::Shutdown => "this agent ends its life",
            Self::Buried => "the partner has died",
            Self::Lost => "the partner is not there any more",
        })
    }
}

/// What the agent itself must decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Whether it agrees to what another proposes: [`accept`](super::Partnerships::accept) or
    /// [`decline`](super::Partnerships::decline) follows.
    Answer {
        /// Of what.
        bond: Bond,
        /// What else was said, encoded.
        terms: Vec<u8>,
    },
    /// Whether it still agrees to what it has proposed and the other has accepted:
    /// [`confirm`](super::Partnerships::confirm) or [`reconsider`](super::Partnerships::reconsider) follows.
    Confirmation {
        /// Of what.
        bond: Bond,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A letter is to be posted.
    Post {
        /// To whom.
        to: Address,
        /// Under which name.
        name: Cow<'static, str>,
        /// The letter.
        letter: Letter<'static>,
    },
    /// The agent is to be watched, for this bond.
    Watch {
        /// Whom.
        of: Address,
        /// What for.
        bond: Bond,
    },
    /// It is to be watched for that no more.
    Unwatch {
        /// Whom.
        of: Address,
        /// What for.
        bond: Bond,
    },
    /// What was proposed is not to be.
    Declined {
        /// What.
        bond: Bond,
        /// What was known of it.
        row: Row,
        /// Why.
        why: Declined,
    },
    /// A partnership has ended.
    Parted {
        /// Which.
        bond: Bond,
        /// What was known of it.
        row: Row,
        /// How.
        how: Parted,
        /// The partner's other partners of the same relation, if it has told them.
        brothers: Vec<Address>,
    },
    /// A partner lives elsewhere now.
    Restarted {
        /// Of which partnership.
        bond: Bond,
        /// Where it lived before.
        before: Address,
    },
}
