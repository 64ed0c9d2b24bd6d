use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Invite, InviteId, Refusal, Token, TokenError};
use crate::{
    ident::{Credential, HostId, SecretKey},
    limits::{
        ADDRESS_BYTES_MAX, ADDRESSES_PER_HOST_MAX, INVITE_LIFE_MAX, INVITE_USES_MAX, INVITES_MAX,
    },
    time::WallTime,
    wire,
};

/// The invites that one host has issued, and who used them. The host makes every change durable
/// before it is acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger(BTreeMap<InviteId, Entry>);

/// One issued invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it expires.
    pub expires: WallTime,
    /// How many hosts may join with it.
    pub uses: u32,
    /// Whether those who join may admit others.
    pub may_admit: bool,
    /// Who has joined with it.
    pub joined: BTreeSet<HostId>,
}

/// What the issuer of an invite decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it is good for; at most [`INVITE_LIFE_MAX`].
    pub life: Duration,
    /// How many hosts may join with it; at least one, at most [`INVITE_USES_MAX`].
    pub uses: u32,
    /// Whether those who join may admit others.
    pub may_admit: bool,
}

/// Why no invite was issued. The ledger is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// The host's certificate does not allow it.
    #[error(
        "this host may not admit others: run `p2p invite` on the host that made the mesh, \
         or on one that joined with a token made by `p2p invite --may-admit`"
    )]
    MayNotAdmit,
    /// Zero or too many uses.
    #[error("{0} uses were asked for; 1 to {INVITE_USES_MAX} are allowed")]
    Uses(u32),
    /// No life, or too long a life.
    #[error("the token's life must be longer than zero and at most 30 days")]
    Life,
    /// No address to put into it.
    #[error("this host listens on no address that others could dial; see `p2p doctor`")]
    NoAddress,
    /// Too many open invites.
    #[error("{INVITES_MAX} invites are open; wait until some have expired")]
    TooMany,
}

impl Ledger {
    /// Issues an invite, to be redeemed at this host, and forgets those that have expired. Of the
    /// addresses, only as many and as long ones go into it as a token may carry.
    ///
    /// # Errors
    /// [`InviteError`]; nothing was issued.
    pub fn issue(
        &mut self,
        key: &SecretKey,
        credential: &Credential,
        addresses: Vec<String>,
        terms: &Terms,
        id: InviteId,
        now: WallTime,
    ) -> Result<Token, InviteError> {
        check_terms(terms)?;
        if !credential.own().is_some_and(|own| own.may_admit) {
            return Err(InviteError::MayNotAdmit);
        }
        let addresses = bounded(addresses);
        if addresses.is_empty() {
            return Err(InviteError::NoAddress);
        }
        if self.0.values().filter(|entry| entry.expires >= now).count() >= INVITES_MAX {
            return Err(InviteError::TooMany);
        }
        self.0.retain(|_, entry| entry.expires >= now);
        let Terms { life, uses, may_admit } = *terms;
        let expires = now + life;
        self.0.insert(id, Entry { expires, uses, may_admit, joined: BTreeSet::new() });
        let invite = Invite {
            version: wire::VERSION,
            mesh: credential.mesh(),
            mesh_name: credential.genesis.name.clone(),
            redeemer: key.host(),
            addresses,
            id,
            expires,
            uses,
        };
        Ok(Token::new(key, &invite))
    }

    /// Lets `joiner` use `token`. A host that has used it before gets a credential again and
    /// takes no further use, so that a lost answer costs nothing.
    ///
    /// # Errors
    /// The [`Refusal`] to send. The ledger is unchanged.
    pub fn redeem(
        &mut self,
        key: &SecretKey,
        credential: &Credential,
        token: &Token,
        joiner: HostId,
        now: WallTime,
    ) -> Result<Credential, Refusal> {
        let invite = token.open(now).map_err(|why| match why {
            TokenError::Expired => Refusal::ExpiredToken,
            _ => Refusal::UnknownToken,
        })?;
        if invite.redeemer != key.host() || invite.mesh != credential.mesh() {
            return Err(Refusal::UnknownToken);
        }
        let entry = self.0.get_mut(&invite.id).ok_or(Refusal::UnknownToken)?;
        if entry.expires < now {
            return Err(Refusal::ExpiredToken);
        }
        let returning = entry.joined.contains(&joiner);
        if !returning && entry.joined.len() >= entry.uses as usize {
            return Err(Refusal::UsedUpToken);
        }
        let admitted = credential
            .admit(key, joiner, entry.may_admit, now)
            .ok_or_else(|| Refusal::CannotAdmit("its chain of certificates is full".into()))?;
        entry.joined.insert(joiner);
        Ok(admitted)
    }

    /// The invites that are still open at `now`, each with its id.
    pub fn open(&self, now: WallTime) -> impl Iterator<Item = (InviteId, &Entry)> {
        self.0
            .iter()
            .filter(move |(_, entry)| entry.expires >= now)
            .filter(|(_, entry)| entry.joined.len() < entry.uses as usize)
            .map(|(id, entry)| (*id, entry))
    }
}

fn bounded(mut addresses: Vec<String>) -> Vec<String> {
    addresses.retain(|address| address.len() <= ADDRESS_BYTES_MAX);
    addresses.truncate(ADDRESSES_PER_HOST_MAX);
    addresses
}

fn check_terms(terms: &Terms) -> Result<(), InviteError> {
    if !(1..=INVITE_USES_MAX).contains(&terms.uses) {
        return Err(InviteError::Uses(terms.uses));
    }
    if terms.life.is_zero() || terms.life > INVITE_LIFE_MAX {
        return Err(InviteError::Life);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
