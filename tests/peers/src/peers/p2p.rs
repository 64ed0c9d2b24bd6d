//! What the libp2p peers share: TCP, Noise and Yamux on the loopback.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

/// Longer than any run.
const IDLE: Duration = Duration::from_secs(60);

/// A swarm with an identity of its own.
pub fn swarm<B: NetworkBehaviour>(key: Keypair, behaviour: B) -> Result<Swarm<B>> {
    let tcp = tcp::Config::default().nodelay(true);
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    Ok(swarm)
}

/// A new identity.
pub fn identity() -> Keypair {
    Keypair::generate_ed25519()
}

/// Listens on a free port of the loopback; the address names the peer.
pub async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Result<Multiaddr> {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok(address.with(Protocol::P2p(*swarm.local_peer_id())));
        }
    }
}

/// Prints where a serving process listens.
pub fn announce(address: &impl std::fmt::Display) -> Result<()> {
    println!("{address}");
    Ok(std::io::stdout().flush()?)
}

/// Connects to a peer by its address.
pub async fn connect<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: &str) -> Result<PeerId> {
    let address: Multiaddr = address.parse()?;
    let peer = address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return peer.context("no peer in address"),
            SwarmEvent::OutgoingConnectionError { error, .. } => bail!(error),
            _ => {}
        }
    }
}
