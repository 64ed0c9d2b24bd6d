//! libp2p without the gate: a whole peer, and a single bare stream.

use std::{error::Error, future::poll_fn, task::Poll};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade::Version,
    },
    gossipsub, identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use starling_tests::PATIENCE;
use tokio::time::timeout;

/// Everything a curious peer would try.
#[derive(NetworkBehaviour)]
pub(crate) struct Stranger {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) streams: libp2p_stream::Behaviour,
}

/// A peer that speaks the right protocols of this mesh, but does not pass the gate.
pub(crate) fn swarm(mesh: &str) -> Result<Swarm<Stranger>, Box<dyn Error>> {
    let behaviour = |keypair: &Keypair| -> Result<_, Box<dyn Error + Send + Sync>> {
        let config = gossipsub::ConfigBuilder::default()
            .protocol_id_prefix(format!("/starling/{mesh}/gossip"))
            .build()?;
        let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
        let mut gossip = gossipsub::Behaviour::new(signed, config)?;
        gossip.subscribe(&gossipsub::IdentTopic::new(format!("starling/{mesh}/0")))?;
        let about = identify::Config::new("/ipfs/0.1.0".into(), keypair.public());
        Ok(Stranger {
            gossip,
            identify: identify::Behaviour::new(about),
            ping: ping::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
        })
    };
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(behaviour)?
        .build();
    Ok(swarm)
}

/// Whether the stranger learns something by this.
pub(crate) fn learns(event: &SwarmEvent<StrangerEvent>) -> bool {
    match event {
        SwarmEvent::Behaviour(StrangerEvent::Identify(identify::Event::Received { .. }))
        | SwarmEvent::Behaviour(StrangerEvent::Gossip(
            gossipsub::Event::Message { .. } | gossipsub::Event::Subscribed { .. },
        )) => true,
        SwarmEvent::Behaviour(StrangerEvent::Ping(ping)) => ping.result.is_ok(),
        _ => false,
    }
}

/// The peer in an address.
pub(crate) fn peer_id(address: &str) -> PeerId {
    let address: Multiaddr = address.parse().expect("an address");
    let peer = address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    peer.expect("an address with a peer")
}

/// One stream on an encrypted connection, before any protocol is agreed on.
pub(crate) struct Visit {
    muxer: StreamMuxerBox,
    stream: SubstreamBox,
}

impl Visit {
    pub(crate) async fn to(address: Multiaddr, secret: [u8; 32]) -> Result<Self, Box<dyn Error>> {
        let keypair = Keypair::ed25519_from_bytes(secret)?;
        let mut transport = tcp::tokio::Transport::default()
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair)?)
            .multiplex(yamux::Config::default())
            .boxed();
        let without_peer = address.iter().filter(|part| !matches!(part, Protocol::P2p(_)));
        let dial = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, mut muxer) = transport.dial(without_peer.collect(), dial)?.await?;
        let stream = poll_fn(|cx| {
            if let Poll::Ready(opened) = muxer.poll_outbound_unpin(cx) {
                return Poll::Ready(opened);
            }
            while let Poll::Ready(event) = muxer.poll_unpin(cx) {
                event?;
            }
            Poll::Pending
        })
        .await?;
        Ok(Self { muxer, stream })
    }

    /// Says something, and gives all that comes back until the end.
    pub(crate) async fn say(self, words: &[u8]) -> Vec<u8> {
        let Self { mut muxer, mut stream } = self;
        let mut heard = Vec::new();
        let talk = async {
            // The other side may have turned away already.
            let _ = stream.write_all(words).await;
            let _ = stream.flush().await;
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                heard.extend_from_slice(&chunk[..read]);
            }
        };
        // A muxer makes progress only while it is polled.
        let drive = poll_fn(|cx| {
            while let Poll::Ready(event) = muxer.poll_unpin(cx) {
                if event.is_err() {
                    return Poll::Ready(());
                }
            }
            let _ = muxer.poll_inbound_unpin(cx);
            Poll::Pending
        });
        let both = async {
            tokio::select! {
                biased;
                () = talk => {}
                // The end of the connection also ends the stream.
                () = async { drive.await; std::future::pending::<()>().await } => {}
            }
        };
        timeout(PATIENCE, both).await.expect("the other side comes to an end");
        heard
    }
}
