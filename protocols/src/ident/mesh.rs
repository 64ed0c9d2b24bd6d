use serde::{Deserialize, Serialize};

use super::{HostId, MeshId};
use crate::{time::WallTime, wire};

/// The birth record of a mesh. Its hash is the mesh's id; its founder is the root of every
/// certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// The version of the protocols the mesh began with.
    pub version: u16,
    /// A name for people; two meshes may share it.
    pub name: String,
    /// The host whose key signs the first certificates.
    pub founder: HostId,
    /// When it was made.
    pub created: WallTime,
    /// Makes two meshes of one founder differ.
    pub nonce: [u8; 16],
}

impl Genesis {
    /// The id that this genesis gives its mesh.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        let mut hasher = blake3::Hasher::new_derive_key("starling genesis 1");
        hasher.update(&wire::encode(self));
        MeshId(*hasher.finalize().as_bytes())
    }
}
