//! How a lane's stream is opened and accepted on a given connection.
//!
//! A handler of our own, because the stream must be opened on a connection that is known to be
//! up, never by way of a dial, and because no opened stream may be lost when many come at once.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};

/// Opens and accepts lanes.
#[derive(Debug)]
pub(crate) struct Behaviour {
    protocol: StreamProtocol,
    /// Short: the swarm empties it before it asks the handlers for more.
    queue: VecDeque<ToSwarm<Event, Open>>,
}

/// A lane's stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    /// The stream, with whether this host opened it, or why it could not be opened.
    pub(crate) outcome: Outcome,
}

/// What became of opening a stream.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// This host opened it.
    Opened(Stream),
    /// The other host opened it.
    Accepted(Stream),
    /// This host could not open it, for this reason.
    Failed(String),
}

/// "Open a stream."
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open;

impl Behaviour {
    pub(crate) const fn new(protocol: StreamProtocol) -> Self {
        Self { protocol, queue: VecDeque::new() }
    }

    /// Opens a stream on this connection. An [`Event`] tells the outcome, unless the connection
    /// closes first.
    pub(crate) fn open(&mut self, peer_id: PeerId, connection: ConnectionId) {
        let handler = NotifyHandler::One(connection);
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: Open });
    }

    fn handler(&self) -> Handler {
        Handler { protocol: self.protocol.clone(), open: false, opened: None, accepted: None }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        outcome: THandlerOutEvent<Self>,
    ) {
        self.queue.push_back(ToSwarm::GenerateEvent(Event { peer, connection, outcome }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // The swarm is polled after every call from outside, so no waker is kept.
        self.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The part of the behaviour that lives with one connection.
#[derive(Debug)]
pub(crate) struct Handler {
    protocol: StreamProtocol,
    open: bool,
    opened: Option<Outcome>,
    /// The newest; one that nobody has taken yet is replaced, as the newest lane counts.
    accepted: Option<Stream>,
}

type Upgrade = ReadyUpgrade<StreamProtocol>;

impl Handler {
    fn upgrade(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ())
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Outcome;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        self.upgrade()
    }

    fn on_behaviour_event(&mut self, Open: Open) {
        self.open = true;
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Upgrade, (), Outcome>> {
        // Every change comes through the two `on_` functions, after which the handler is polled.
        if std::mem::take(&mut self.open) {
            let protocol = self.upgrade();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        let accepted = || self.accepted.take().map(Outcome::Accepted);
        match self.opened.take().or_else(accepted) {
            Some(outcome) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome)),
            None => Poll::Pending,
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, Upgrade>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => {
                self.accepted = Some(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol, ..
            }) => {
                self.opened = Some(Outcome::Opened(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.opened = Some(Outcome::Failed(in_words(error)));
            }
            _ => {}
        }
    }
}

fn in_words(error: StreamUpgradeError<Infallible>) -> String {
    match error {
        StreamUpgradeError::Timeout => "the other side did not answer".into(),
        StreamUpgradeError::NegotiationFailed => "the other side does not serve lanes".into(),
        StreamUpgradeError::Io(why) => why.to_string(),
    }
}
