//! Hosts as libp2p knows them. A host's Ed25519 key is its peer id, with the key inside.

use libp2p::{
    Multiaddr, PeerId,
    identity::{Keypair, PublicKey, ed25519},
    multiaddr::Protocol,
};
use starling_protocols::ident::{HostId, SecretKey};

/// The multihash code under which a peer id holds its key as it is, not hashed.
const IDENTITY: u64 = 0;

/// The peer id of `host`, or `None` when the 32 bytes are no Ed25519 key.
pub(crate) fn peer_of(host: HostId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&host.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The host with this peer id, or `None` when its key is of another type than Ed25519.
pub(crate) fn host_of(peer: PeerId) -> Option<HostId> {
    let hash: &libp2p::multihash::Multihash<64> = peer.as_ref();
    if hash.code() != IDENTITY {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(HostId(key.try_into_ed25519().ok()?.to_bytes()))
}

/// The same key, as libp2p wants it.
pub(crate) fn keypair(key: &SecretKey) -> Keypair {
    Keypair::ed25519_from_bytes(key.to_bytes()).expect("any 32 bytes are an Ed25519 secret")
}

/// The peer id at the end of an address, if it names one.
pub(crate) fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// An error with its causes, each said once.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        cause = error.source();
    }
    // Some tell several in as many lines.
    words.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Told {
        said: &'static str,
        source: Option<Box<Told>>,
    }

    #[test]
    fn an_error_is_told_in_one_line_and_each_cause_once() {
        let cause = Told { said: "refused", source: None };
        let told = Told { said: "two dials:\n - refused", source: Some(Box::new(cause)) };
        assert_eq!(in_words(&told), "two dials: - refused");
        let cause = Told { said: "no route", source: None };
        let told = Told { said: "one dial", source: Some(Box::new(cause)) };
        assert_eq!(in_words(&told), "one dial: no route");
    }
}
