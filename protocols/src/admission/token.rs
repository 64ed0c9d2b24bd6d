use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use crate::{
    ident::{HostId, MeshId, SecretKey, Signable, Signed, SignedError},
    limits::GATE_BYTES_MAX,
    time::WallTime,
    wire,
};

/// Names one invite; random, and known only to who has the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InviteId(pub [u8; 16]);

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Half of it names the invite for people without giving the secret away.
        f.pad(&BASE32_NOPAD.encode(&self.0[..5]).to_lowercase())
    }
}

/// An offer to join, as its issuer signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The version of this record.
    pub version: u16,
    /// The mesh one joins.
    pub mesh: MeshId,
    /// The mesh's name, for people.
    pub mesh_name: String,
    /// The host that redeems it: the issuer. Uses are counted there and nowhere else.
    pub redeemer: HostId,
    /// Where the redeemer is reached (multiaddresses).
    pub addresses: Vec<String>,
    /// Which invite this is.
    pub id: InviteId,
    /// When it expires.
    pub expires: WallTime,
    /// How many hosts may join with it.
    pub uses: u32,
}

impl Signable for Invite {
    const CONTEXT: &'static str = "starling invite 1";
    const BYTES_MAX: usize = 8 * 1024;
}

/// What a person copies from one machine to another: an invite in one word.
///
/// Whoever has it may join, until it expires or is used up: treat it like a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    invite: Signed<Invite>,
    mesh: MeshId,
}

/// Why a token is not good. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not look like a token.
    #[error("this is not a token: one begins with {PREFIX:?}")]
    NotAToken,
    /// It is cut off or mistyped.
    #[error("the token is damaged (cut off or mistyped): copy it again, whole")]
    Damaged,
    /// It was altered, or not signed by the host that should redeem it.
    #[error("the token was altered: {0}; ask for a new one")]
    Altered(SignedError),
    /// Its content contradicts its envelope.
    #[error("the token contradicts itself; ask for a new one")]
    Inconsistent,
    /// It has expired.
    #[error("the token has expired; ask for a new one with `p2p invite`")]
    Expired,
}

const PREFIX: &str = "starling1-";

impl Token {
    /// Signs `invite` with the redeemer's key.
    #[must_use]
    pub fn new(key: &SecretKey, invite: &Invite) -> Self {
        Self { invite: Signed::new(key, invite.mesh, invite), mesh: invite.mesh }
    }

    /// Checks signature, consistency and expiry.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it and what to do.
    pub fn open(&self, now: WallTime) -> Result<Invite, TokenError> {
        let invite = self.invite.open(self.mesh).map_err(TokenError::Altered)?;
        if invite.redeemer != self.invite.signer() || invite.mesh != self.mesh {
            return Err(TokenError::Inconsistent);
        }
        if invite.expires < now {
            return Err(TokenError::Expired);
        }
        Ok(invite)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&wire::encode(self)).to_lowercase())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl FromStr for Token {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        if body.len() > 2 * GATE_BYTES_MAX {
            return Err(TokenError::Damaged);
        }
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| TokenError::Damaged)?;
        wire::decode(&bytes, GATE_BYTES_MAX).map_err(|_| TokenError::Damaged)
    }
}
