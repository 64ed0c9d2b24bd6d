use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::ident::Address;

/// Names one partnership, the same on both sides. Drawn by whoever proposes it; whoever knows it is
/// a party to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bond(pub u128);

impl fmt::Display for Bond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What two agents tell each other of a partnership. It travels as a durable notification under the
/// name that the receiver has for the relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Letter<'a> {
    /// Let us be partners.
    Propose {
        /// Of what.
        bond: Bond,
        /// What else there is to say, encoded.
        #[serde(borrow)]
        terms: Cow<'a, [u8]>,
    },
    /// We are.
    Accept {
        /// Of what.
        bond: Bond,
    },
    /// No.
    Decline {
        /// Of what.
        bond: Bond,
        /// Why not, in words.
        #[serde(borrow)]
        why: Cow<'a, str>,
    },
    /// We are not any more.
    End {
        /// Of what.
        bond: Bond,
        /// Why not.
        how: Leaving,
        /// The sender's partners of the same relation, the receiver among them, in the order of
        /// their ids: the same for all who are told.
        brothers: Vec<Address>,
    },
    /// Are we still? Answered by [`Sound`](Self::Sound) or [`End`](Self::End).
    Check {
        /// Of what.
        bond: Bond,
    },
    /// We are still.
    Sound {
        /// Of what.
        bond: Bond,
    },
}

impl Letter<'_> {
    /// Of which partnership it is.
    #[must_use]
    pub const fn bond(&self) -> Bond {
        match self {
            Self::Propose { bond, .. }
            | Self::Accept { bond }
            | Self::Decline { bond, .. }
            | Self::End { bond, .. }
            | Self::Check { bond }
            | Self::Sound { bond } => *bond,
        }
    }

    /// With nothing borrowed.
    #[must_use]
    pub fn into_owned(self) -> Letter<'static> {
        match self {
            Self::Propose { bond, terms } => {
                Letter::Propose { bond, terms: Cow::Owned(terms.into_owned()) }
            }
            Self::Decline { bond, why } => {
                Letter::Decline { bond, why: Cow::Owned(why.into_owned()) }
            }
            Self::Accept { bond } => Letter::Accept { bond },
            Self::End { bond, how, brothers } => Letter::End { bond, how, brothers },
            Self::Check { bond } => Letter::Check { bond },
            Self::Sound { bond } => Letter::Sound { bond },
        }
    }
}

/// Why an agent ends a partnership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leaving {
    /// It wants no answer to its proposal any more, or did not agree in the end.
    Withdrawn,
    /// It has broken up.
    Breakup,
    /// It ends its life, in good order.
    Shutdown,
    /// It knows of no such partnership.
    Unknown,
}
