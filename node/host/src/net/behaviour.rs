//! What is served on a connection once it has passed the gate.

use std::time::Duration;

use libp2p::{
    PeerId,
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::Keypair,
    mdns, ping,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};
use starling_protocols::{ident::MeshId, limits::LINKS_KEPT_MAX};

use super::{
    crowd,
    error::NetError,
    gossip::{self, Gossip},
    lane,
};

/// Connections that may be in the making in one direction. At the cap a stranger is turned away
/// before anything is read from it, and a dial fails.
const PENDING_MAX: u32 = 512;

/// Two, because two hosts may dial each other at once.
const PER_PEER_MAX: u32 = 2;

/// All connections: those that are kept, as many again from hosts that keep one to here, and
/// room for those that somebody asked for.
const ESTABLISHED_MAX: u32 = 8 * LINKS_KEPT_MAX as u32;

const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Longer than the interval, so that a slow link full of bytes is not taken for a dead one.
const PING_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    // First, so that a connection over the limit is known to nothing else.
    limits: connection_limits::Behaviour,
    crowd: crowd::Behaviour,
    pub(crate) lanes: lane::Behaviour,
    pub(crate) gossip: Gossip,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(crate) fn new(keypair: &Keypair, mesh: MeshId, mdns: bool) -> Result<Self, NetError> {
        let name = mesh.to_string();
        let lane = lane::name(&name).map_err(|why| NetError::SetUp(why.to_string()))?;
        let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits()),
            crowd: crowd::Behaviour::default(),
            lanes: lane::Behaviour::new(lane),
            gossip: gossip::behaviour(keypair, &name).map_err(NetError::SetUp)?,
            identify: identify(keypair, mesh),
            ping: ping::Behaviour::new(ping),
            mdns: mdns.then(|| discovery(keypair.public().to_peer_id())).flatten().into(),
        })
    }
}

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_MAX))
        .with_max_pending_outgoing(Some(PENDING_MAX))
        .with_max_established_incoming(Some(ESTABLISHED_MAX))
        .with_max_established_outgoing(Some(ESTABLISHED_MAX))
        .with_max_established(Some(ESTABLISHED_MAX))
        .with_max_established_per_peer(Some(PER_PEER_MAX))
}

fn identify(keypair: &Keypair, mesh: MeshId) -> identify::Behaviour {
    let protocol = format!("/starling/{}/1", mesh.short());
    let config = identify::Config::new(protocol, keypair.public())
        .with_agent_version(concat!("starling/", env!("CARGO_PKG_VERSION")).into())
        // Addresses come from signed host records, not from here.
        .with_cache_size(0);
    identify::Behaviour::new(config)
}

fn discovery(peer: PeerId) -> Option<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), peer)
        .inspect_err(|why| tracing::warn!(%why, "hosts on the local network are not discovered"))
        .ok()
}
