use serde::{Deserialize, Serialize};

use super::Token;
use crate::{ident::Credential, ident::Signed, limits::REASON_BYTES_MAX, roster::HostRecord};

/// The first bytes on a new connection, from both sides. Whoever sends others speaks another
/// protocol.
pub const GATE_MAGIC: &[u8; 16] = b"starling/gate/1\n";

/// What the dialling side says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Knock {
    /// "I am a member; show me that you are."
    Member(Credential),
    /// "I should like to join." Sent only after the encrypted channel has shown that the listener
    /// is the redeemer named in the token.
    Join(Token),
}

/// What the listening side answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    /// "So am I." The dialler checks it; then every protocol is served.
    Member(Credential),
    /// "Joined." The connection ends; the joiner dials again as a member.
    Joined {
        /// The new member's credential.
        credential: Credential,
        /// Hosts of the mesh, so that the new member can reach others than the redeemer.
        hosts: Vec<Signed<HostRecord>>,
    },
    /// "No." The connection ends.
    Refused(Refusal),
}

/// Why the gate stayed shut. What is told to strangers says no more than they need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The credential is not good; why, in words.
    #[error("the credential was refused: {0}")]
    Credential(String),
    /// The token was not issued here, was altered, or has been withdrawn.
    #[error("the token is not known here; ask for a new one")]
    UnknownToken,
    /// The token has expired.
    #[error("the token has expired; ask for a new one with `p2p invite`")]
    ExpiredToken,
    /// All uses of the token are taken.
    #[error("the token is used up; ask for a new one with `p2p invite`")]
    UsedUpToken,
    /// The listener may not admit, for the reason in words.
    #[error("this host cannot admit others: {0}")]
    CannotAdmit(String),
    /// Too many attempts.
    #[error("too many attempts from this address; try again in a minute")]
    TooManyAttempts,
}

impl Refusal {
    /// A refused credential, the reason cut to what may be sent.
    #[must_use]
    pub fn credential(why: &impl ToString) -> Self {
        Self::Credential(why.to_string().chars().take(REASON_BYTES_MAX / 4).collect())
    }
}
