//! Who is who: hosts, agents, the mesh, and what proves membership.

mod credential;
mod id;
mod key;
mod mesh;
mod signed;

pub use credential::{Certificate, Credential, CredentialError};
pub use id::{Address, AgentId, Bond, HostId, Incarnation, MeshId, ParseIdError};
pub use key::SecretKey;
pub use mesh::Genesis;
pub use signed::{Seal, Signable, Signed, SignedError};
