use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{HostId, MeshId, SecretKey, key};
use crate::wire;

/// What may be signed: each type has a context of its own, so that a signature for one is never
/// good for another.
pub trait Signable: Serialize + DeserializeOwned {
    /// Unique among all signed types, with a version.
    const CONTEXT: &'static str;
    /// The largest encoding that is read.
    const BYTES_MAX: usize;
}

/// A value with its signer and signature, in the very bytes that were signed.
///
/// The signature covers the type's context, the mesh and the bytes, so it is worth nothing on
/// another mesh or for another type.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T> {
    signer: HostId,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    #[serde(with = "serde_bytes")]
    signature: Vec<u8>,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

/// A signature and whose it is, without what was signed: for who has that anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    signer: HostId,
    #[serde(with = "serde_bytes")]
    signature: [u8; 64],
}

/// Why a signed value is worth nothing. It was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// Altered, made for another mesh or type, or signed by another key.
    #[error("the signature is not that of host {0:?} for this mesh")]
    Signature(HostId),
    /// Signed properly, but not a value that this version reads.
    #[error("signed by host {0:?}, but {1}")]
    Content(HostId, wire::Error),
}

impl<T: Signable> Signed<T> {
    /// Signs `value` for `mesh`.
    #[must_use]
    pub fn new(key: &SecretKey, mesh: MeshId, value: &T) -> Self {
        let bytes = wire::encode(value);
        let signature = key.sign(&Self::message(mesh, &bytes)).to_vec();
        Self { signer: key.host(), bytes, signature, of: PhantomData }
    }

    /// Checks the signature for `mesh` and reads the value. The caller judges the signer.
    ///
    /// # Errors
    /// [`SignedError`] when the signature or the content is not good.
    pub fn open(&self, mesh: MeshId) -> Result<T, SignedError> {
        let signature = <&[u8; 64]>::try_from(self.signature.as_slice());
        let message = Self::message(mesh, &self.bytes);
        if !signature.is_ok_and(|signature| key::verify(self.signer, &message, signature)) {
            return Err(SignedError::Signature(self.signer));
        }
        self.unchecked()
    }

    /// Reads the value without a look at the signature: for what has been checked before, and for
    /// finding out whether it is worth it.
    ///
    /// # Errors
    /// [`SignedError::Content`].
    pub fn unchecked(&self) -> Result<T, SignedError> {
        wire::decode(&self.bytes, T::BYTES_MAX)
            .map_err(|why| SignedError::Content(self.signer, why))
    }

    /// The signature alone, if this is what was signed, in the same bytes.
    #[must_use]
    pub fn seal(&self, value: &T) -> Option<Seal> {
        let signature = self.signature.as_slice().try_into().ok()?;
        let same = wire::encode(value) == self.bytes;
        same.then_some(Seal { signer: self.signer, signature })
    }

    /// The value with its signature. That the one is of the other is not checked.
    #[must_use]
    pub fn sealed(seal: &Seal, value: &T) -> Self {
        let (bytes, signature) = (wire::encode(value), seal.signature.to_vec());
        Self { signer: seal.signer, bytes, signature, of: PhantomData }
    }

    /// Who claims to have signed.
    #[must_use]
    pub const fn signer(&self) -> HostId {
        self.signer
    }

    /// About how many bytes it takes on the wire: signer, content, signature, and two lengths.
    #[must_use]
    pub const fn size(&self) -> usize {
        size_of::<HostId>() + self.bytes.len() + self.signature.len() + 8
    }

    fn message(mesh: MeshId, bytes: &[u8]) -> Vec<u8> {
        let context = T::CONTEXT.as_bytes();
        let mut message = Vec::with_capacity(context.len() + 1 + mesh.0.len() + bytes.len());
        message.extend_from_slice(context);
        message.push(0);
        message.extend_from_slice(&mesh.0);
        message.extend_from_slice(bytes);
        message
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self {
            signer: self.signer,
            bytes: self.bytes.clone(),
            signature: self.signature.clone(),
            of: PhantomData,
        }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.signer, &self.bytes, &self.signature)
            == (other.signer, &other.bytes, &other.signature)
    }
}

impl<T> Eq for Signed<T> {}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes by {:?})", self.bytes.len(), self.signer)
    }
}
