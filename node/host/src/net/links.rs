//! Connections as the swarm reports them, told as links: one per host, however many connections.

use std::io;

use libp2p::{
    PeerId, TransportError,
    gossipsub::{self, MessageId},
    mdns, ping,
    swarm::{ConnectionError, ConnectionId, DialError, ListenError, NetworkBehaviour, SwarmEvent},
};
use starling_protocols::{ident::HostId, limits::GOSSIP_BYTES_MAX};

use super::{
    Net,
    behaviour::Behaviour,
    event::{GossipId, NetEvent, Verdict},
    gate::GateError,
    gossip,
    peer::{host_of, in_words},
};

/// All connections to one host.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// In the order in which they came up.
    pub(super) connections: Vec<ConnectionId>,
    /// The one on which a lane is being opened.
    pub(super) opening: Option<ConnectionId>,
    /// How often in a row that failed.
    pub(super) failures: u32,
}

/// What the derive makes of [`Behaviour`].
type BehaviourEvent = <Behaviour as NetworkBehaviour>::ToSwarm;
use super::behaviour::BehaviourEvent as Part;

impl Net {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(part) => self.on_part(part),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address().to_string();
                self.on_connected(peer_id, connection_id, address);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                self.on_closed(peer_id, connection_id, cause.as_ref());
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_error(peer_id, connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.on_stranger(send_back_addr.to_string(), &error);
            }
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. } => {
                let addresses = self.addresses();
                self.tell(NetEvent::Listening { addresses });
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener has trouble");
            }
            _ => {}
        }
    }

    fn on_part(&mut self, part: Part) {
        match part {
            Part::Lanes(event) => self.on_lane(event),
            Part::Gossip(event) => self.on_gossip(event),
            Part::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            Part::Ping(event) => self.on_ping(&event),
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, address: String) {
        let shown = self.gate.credential_of(peer);
        let Some((host, credential)) = host_of(peer).zip(shown) else {
            // Unheard of: the gate remembers whom it lets through.
            tracing::warn!(%peer, "a connection without a credential is closed");
            self.swarm().close_connection(connection);
            return;
        };
        if self.dialling.get(&host) == Some(&connection) {
            self.dialling.remove(&host);
        }
        let link = self.links.entry(host).or_default();
        link.connections.push(connection);
        if link.connections.len() == 1 {
            self.tell(NetEvent::LinkUp { host, credential, address });
        }
        self.open_lane(host);
    }

    fn on_closed(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        cause: Option<&ConnectionError>,
    ) {
        let Some(host) = host_of(peer) else { return };
        let why = cause.map_or_else(|| "closed by this host".into(), |cause| in_words(cause));
        self.lane_connection_closed(host, connection, &why);
        let Some(link) = self.links.get_mut(&host) else { return };
        link.connections.retain(|known| *known != connection);
        if link.connections.is_empty() {
            self.links.remove(&host);
            self.tell(NetEvent::LinkDown { host, why });
        } else {
            self.open_lane(host);
        }
    }

    fn on_dial_error(&mut self, peer: Option<PeerId>, connection: ConnectionId, error: &DialError) {
        let Some(host) = peer.and_then(host_of) else { return };
        if self.dialling.get(&host) != Some(&connection) {
            return;
        }
        self.dialling.remove(&host);
        // Linked meanwhile from the other side: that was the outcome, and it was told.
        if !self.links.contains_key(&host) {
            self.tell(NetEvent::DialFailed { host, why: dial_error(error) });
        }
    }

    fn on_stranger(&mut self, address: String, error: &ListenError) {
        let ListenError::Transport(TransportError::Other(broken)) = error else {
            return self.tell(NetEvent::Stranger { address, why: in_words(error) });
        };
        if let Some(GateError::Joined) = GateError::within(broken) {
            tracing::debug!(%address, "a stranger has joined");
            return;
        }
        self.tell(NetEvent::Stranger { address, why: transport_error(broken) });
    }

    fn on_ping(&mut self, event: &ping::Event) {
        let Err(failure) = &event.result else { return };
        if matches!(failure, ping::Failure::Unsupported) {
            return;
        }
        // A dead TCP connection can look alive for a quarter of an hour.
        tracing::debug!(peer = %event.peer, %failure, "a connection does not answer and is closed");
        self.swarm().close_connection(event.connection);
    }

    fn on_discovered(&mut self, found: Vec<(PeerId, libp2p::Multiaddr)>) {
        let mut hosts = std::collections::BTreeMap::<HostId, Vec<String>>::new();
        for (peer, address) in found {
            if let Some(host) = host_of(peer) {
                hosts.entry(host).or_default().push(address.to_string());
            }
        }
        for (host, addresses) in hosts {
            self.tell(NetEvent::Discovered { host, addresses });
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(propagation_source, message_id, message);
            }
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                tracing::debug!(%peer_id, ?failed_messages, "gossip to a slow peer was dropped");
            }
            _ => {}
        }
    }

    fn on_message(&mut self, from: PeerId, message: MessageId, content: gossipsub::Message) {
        let id = GossipId { message, from };
        let origin = content.source.and_then(host_of);
        let bucket = gossip::bucket(&content.topic);
        match origin.zip(bucket) {
            Some((origin, bucket)) if content.data.len() <= GOSSIP_BYTES_MAX => {
                self.tell(NetEvent::Gossip { id, origin, bucket, bytes: content.data });
            }
            // Nobody who keeps to the protocol sends this.
            _ => self.judge(id, Verdict::Reject),
        }
    }
}

/// Which addresses were tried, and why each failed.
pub(super) fn dial_error(error: &DialError) -> String {
    match error {
        DialError::Transport(tried) => {
            let tried = tried.iter().map(|(address, why)| match why {
                TransportError::Other(broken) => format!("{address}: {}", transport_error(broken)),
                TransportError::MultiaddrNotSupported(_) => {
                    format!("{address}: this kind of address is not supported")
                }
            });
            tried.collect::<Vec<_>>().join("; ")
        }
        DialError::WrongPeerId { obtained, address } => {
            format!("{address}: another host answers there ({obtained})")
        }
        DialError::NoAddresses => "there is no address to dial but this host's own".into(),
        DialError::Denied { cause } => in_words(cause),
        other => in_words(other),
    }
}

/// The gate's own words where it had any, else what the system said.
pub(super) fn transport_error(error: &io::Error) -> String {
    GateError::within(error).map_or_else(|| in_words(error), |gate| in_words(gate))
}
