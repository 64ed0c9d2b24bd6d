use serde::{Deserialize, Serialize};

use super::{Genesis, HostId, MeshId, SecretKey, Signable, Signed, SignedError};
use crate::{
    limits::{CERTIFICATE_CHAIN_MAX, CERTIFICATE_LIFE},
    time::WallTime,
    wire,
};

/// One host's membership, stated by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The version of this record.
    pub version: u16,
    /// The member.
    pub subject: HostId,
    /// When the membership ends.
    pub not_after: WallTime,
    /// Whether the member may admit others.
    pub may_admit: bool,
    /// Room for what later versions add, by number; unknown ones are kept and ignored.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Signable for Certificate {
    const CONTEXT: &'static str = "starling certificate 1";
    const BYTES_MAX: usize = 4 * 1024;
}

/// All that a host shows to prove that it is a member: the genesis of the mesh, and certificates
/// from the founder's down to its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The birth record; its hash must be the mesh's id.
    pub genesis: Genesis,
    /// The first is signed by the founder, each further one by the subject of the one before.
    pub chain: Vec<Signed<Certificate>>,
}

/// Why a credential is refused. Nothing was served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It belongs to another mesh.
    #[error("it is a credential of another mesh ({found:?}, not {wanted:?})")]
    ForeignMesh {
        /// The mesh it belongs to.
        found: MeshId,
        /// The mesh it was shown to.
        wanted: MeshId,
    },
    /// The chain is empty or too long.
    #[error("its chain has {0} certificates; 1 to {CERTIFICATE_CHAIN_MAX} are allowed")]
    ChainLength(usize),
    /// A link of the chain is signed by a host other than the one before it.
    #[error("certificate {0} of its chain is signed by the wrong host")]
    BrokenChain(usize),
    /// A signer in the chain was never allowed to admit.
    #[error("certificate {0} of its chain is signed by a host that may not admit others")]
    MayNotAdmit(usize),
    /// A signature is not good.
    #[error("certificate {0} of its chain is not good: {1}")]
    Signature(usize, SignedError),
    /// A certificate of the chain has expired.
    #[error("certificate {0} of its chain has expired; join again with a new token")]
    Expired(usize),
    /// It is about another host than the one that showed it.
    #[error("it belongs to host {found:?}, but host {wanted:?} showed it")]
    WrongSubject {
        /// The host it is about.
        found: HostId,
        /// The host that showed it.
        wanted: HostId,
    },
}

impl Credential {
    /// The founder's own credential, made afresh whenever the founder starts.
    #[must_use]
    pub fn of_founder(key: &SecretKey, genesis: Genesis, now: WallTime) -> Self {
        let own = certificate(key.host(), now + CERTIFICATE_LIFE, true);
        let own = Signed::new(key, genesis.mesh(), &own);
        Self { genesis, chain: vec![own] }
    }

    /// A credential for `subject`, signed by the holder of this one, or `None` when the chain
    /// would grow too long. It never outlives the holder's own.
    ///
    /// Whether this credential permits admitting is for the caller to know; a chain that breaks
    /// the rule is refused by everybody.
    #[must_use]
    pub fn admit(
        &self,
        key: &SecretKey,
        subject: HostId,
        may_admit: bool,
        now: WallTime,
    ) -> Option<Self> {
        let founder = self.genesis.founder == key.host();
        let above: &[Signed<Certificate>] = if founder { &[] } else { &self.chain };
        if above.len() >= CERTIFICATE_CHAIN_MAX {
            return None;
        }
        let mut until = now + CERTIFICATE_LIFE;
        if !founder {
            until = until.min(self.not_after());
        }
        let new = certificate(subject, until, may_admit);
        let new = Signed::new(key, self.genesis.mesh(), &new);
        let chain = above.iter().cloned().chain([new]).collect();
        Some(Self { genesis: self.genesis.clone(), chain })
    }

    /// The mesh it belongs to, by its own word.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        self.genesis.mesh()
    }

    /// Checks that it makes `subject` a member of `mesh` at `now`; gives its own certificate.
    ///
    /// # Errors
    /// [`CredentialError`] names the rule that it breaks.
    pub fn verify(
        &self,
        mesh: MeshId,
        subject: HostId,
        now: WallTime,
    ) -> Result<Certificate, CredentialError> {
        if self.mesh() != mesh {
            return Err(CredentialError::ForeignMesh { found: self.mesh(), wanted: mesh });
        }
        if !(1..=CERTIFICATE_CHAIN_MAX).contains(&self.chain.len()) {
            return Err(CredentialError::ChainLength(self.chain.len()));
        }
        let mut above = certificate(self.genesis.founder, now, true);
        for (place, signed) in self.chain.iter().enumerate() {
            if signed.signer() != above.subject {
                return Err(CredentialError::BrokenChain(place));
            }
            if !above.may_admit {
                return Err(CredentialError::MayNotAdmit(place));
            }
            let next = signed.open(mesh).map_err(|why| CredentialError::Signature(place, why))?;
            if next.not_after < now {
                return Err(CredentialError::Expired(place));
            }
            above = next;
        }
        if above.subject != subject {
            return Err(CredentialError::WrongSubject { found: above.subject, wanted: subject });
        }
        Ok(above)
    }

    /// The certificate at the end of the chain as it stands, unchecked: for one's own credential
    /// and for showing it. `None` when there is none.
    #[must_use]
    pub fn own(&self) -> Option<Certificate> {
        self.chain.last().and_then(|signed| signed.open(self.mesh()).ok())
    }

    fn not_after(&self) -> WallTime {
        self.own().map_or(WallTime::from_millis(0), |own| own.not_after)
    }
}

const fn certificate(subject: HostId, not_after: WallTime, may_admit: bool) -> Certificate {
    Certificate { version: wire::VERSION, subject, not_after, may_admit, extensions: Vec::new() }
}

#[cfg(test)]
mod tests;
