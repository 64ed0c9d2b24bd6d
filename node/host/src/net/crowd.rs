//! No address may hold more than its share of the connections in the making: otherwise one
//! stranger that connects and says nothing would keep everybody else out.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use super::gate::site;

/// Connections in the making from one address. At the cap a further one is closed before anything
/// is read from it.
const PER_ADDRESS_MAX: usize = 64;

/// Counts connections in the making by the address they come from.
#[derive(Default)]
pub(crate) struct Behaviour {
    // Both are bounded by the cap on all connections in the making.
    pending: BTreeMap<ConnectionId, IpAddr>,
    by_address: BTreeMap<IpAddr, usize>,
}

/// Too many connections in the making come from one address.
#[derive(Debug, thiserror::Error)]
#[error("{PER_ADDRESS_MAX} connections in the making come from {0} already")]
struct Crowded(IpAddr);

impl Behaviour {
    fn settled(&mut self, connection: ConnectionId) {
        let Some(address) = self.pending.remove(&connection) else { return };
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(address) = site(from) else { return Ok(()) };
        let count = self.by_address.entry(address).or_default();
        if *count >= PER_ADDRESS_MAX {
            return Err(ConnectionDenied::new(Crowded(address)));
        }
        *count += 1;
        self.pending.insert(connection, address);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(made) => self.settled(made.connection_id),
            FromSwarm::ListenFailure(failed) => self.settled(failed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knocks(crowd: &mut Behaviour, number: usize, from: &str) -> bool {
        let (here, from) = (Multiaddr::empty(), from.parse().expect("an address"));
        let connection = ConnectionId::new_unchecked(number);
        crowd.handle_pending_inbound_connection(connection, &here, &from).is_ok()
    }

    #[test]
    fn one_address_has_its_share_and_others_theirs() {
        let mut crowd = Behaviour::default();
        for number in 0..PER_ADDRESS_MAX {
            assert!(knocks(&mut crowd, number, "/ip4/192.0.2.1/tcp/1"));
        }
        assert!(!knocks(&mut crowd, 1000, "/ip4/192.0.2.1/tcp/2"));
        assert!(knocks(&mut crowd, 1001, "/ip4/192.0.2.2/tcp/2"));
        crowd.settled(ConnectionId::new_unchecked(7));
        assert!(knocks(&mut crowd, 1002, "/ip4/192.0.2.1/tcp/3"));
    }
}
