use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

use crate::words::cut;

/// Characters that are shown of a text that is no id.
const SHOWN_CHARS: usize = 80;

/// A host: its Ed25519 public key, which is also its libp2p peer id.
///
/// Shown as 52 letters and digits; [`short`](Self::short) gives the first eight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub [u8; 32]);

/// A mesh: the BLAKE3 hash of its genesis. Bound into every handshake, topic name and signature,
/// so that two meshes never mix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeshId(pub [u8; 32]);

/// An agent: 128 bits, given when it is started and kept as long as it lives, on whatever host; half
/// of them are random, and the other half tell [where it was born](Self::born). The first 1,024
/// numbers are reserved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u128);

/// One partnership of two agents, the same on both sides: 128 random bits, drawn by whoever proposes
/// it. Whoever knows it is a party to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bond(pub u128);

/// One life of a host: greater than all earlier ones of the same host.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

/// Where an agent is reached: its host and its id. In JSON `{"host": …, "agent": …}`; read from
/// `"agent@host"` as well, as it is shown to people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Address {
    /// The host it runs on.
    pub host: HostId,
    /// The agent.
    pub agent: AgentId,
}

/// A text that should be an id and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {wrong}; copy a whole one, as `p2p … --format json` shows it")]
pub struct ParseIdError {
    text: String,
    what: &'static str,
    wrong: String,
}

impl ParseIdError {
    fn new(text: &str, what: &'static str, length: usize) -> Self {
        let fits = |c: &char| matches!(c, 'a'..='z' | 'A'..='Z' | '2'..='7');
        let wrong = match (text.chars().find(|c| !fits(c)), text.len()) {
            (Some(c), _) => format!("one has only letters a–z and digits 2–7, not {c:?}"),
            (None, long) if long == length => "none ends so".to_owned(),
            (None, long) => format!("one has {length} letters and digits, and this has {long}"),
        };
        Self { text: cut(text, SHOWN_CHARS).into_owned(), what, wrong }
    }
}

fn to_text(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_lowercase()
}

fn from_text<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], ParseIdError> {
    BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| ParseIdError::new(text, what, (N * 8).div_ceil(5)))
}

macro_rules! text_id {
    ($id:ty, $what:literal, $to:expr, $from:expr, $binary:ty, $open:expr) => {
        impl $id {
            /// The first eight letters: enough for people to tell ids apart.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&to_text(&$to(self)))
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    <$binary>::from(self.0).serialize(serializer)
                }
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <$binary>::deserialize(deserializer).map($open).map(Self)
                }
            }
        }
        impl FromStr for $id {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                from_text(text, $what).map($from)
            }
        }
    };
}

text_id!(HostId, "a host id", |id: &HostId| id.0, HostId, ByteArray<32>, ByteArray::into_array);
text_id!(MeshId, "a mesh id", |id: &MeshId| id.0, MeshId, ByteArray<32>, ByteArray::into_array);
text_id!(
    AgentId,
    "an agent id",
    |id: &AgentId| id.0.to_be_bytes(),
    |bytes| AgentId(u128::from_be_bytes(bytes)),
    u128,
    std::convert::identity
);

text_id!(
    Bond,
    "a partnership",
    |bond: &Bond| bond.0.to_be_bytes(),
    |bytes| Bond(u128::from_be_bytes(bytes)),
    u128,
    std::convert::identity
);

impl AgentId {
    /// Nobody: the sender of what comes from a person or a program outside the mesh.
    pub const OUTSIDE: Self = Self(0);
    /// The host agent, which runs on every host.
    pub const HOST: Self = Self(1);
    /// The engine itself, which serves agents of its own host only.
    pub const ENGINE: Self = Self(2);
    /// Ids below this are reserved for built-in agents.
    pub const RESERVED: u128 = 1024;
}

/// What an address is written as.
#[derive(Deserialize)]
#[serde(rename = "Address")]
struct Parts {
    host: HostId,
    agent: AgentId,
}

impl From<Parts> for Address {
    fn from(Parts { host, agent }: Parts) -> Self {
        Self { host, agent }
    }
}

/// The forms in which people write an address.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an address is AGENT@HOST, or has the fields host and agent")]
enum Written {
    Text(String),
    Parts(Parts),
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Parts::deserialize(deserializer).map(Self::from);
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
            Written::Parts(parts) => Ok(parts.into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.agent, self.host)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.agent, self.host)
    }
}

impl FromStr for Address {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (agent, host) = text.split_once('@').unwrap_or((text, ""));
        Ok(Self { agent: agent.parse()?, host: host.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_told_why() {
        let why = |text: &str| text.parse::<AgentId>().expect_err("no id").to_string();
        let whole = AgentId(7 << 100).to_string();
        for (text, wrong) in [
            ("garbage", "one has 26 letters and digits, and this has 7"),
            ("", "one has 26 letters and digits, and this has 0"),
            ("hits@alpha", "one has only letters a–z and digits 2–7, not '@'"),
            (&whole.replace('a', "ä"), "one has only letters a–z and digits 2–7, not 'ä'"),
            (&format!("{}b", &whole[..25]), "none ends so"),
        ] {
            let said = format!("{text:?} is not an agent id: {wrong}; copy a whole one, ");
            assert!(why(text).starts_with(&said), "{}", why(text));
        }
        assert!(why(&"a".repeat(100_000)).len() < 250);
    }
}
