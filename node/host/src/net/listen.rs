//! Listening, and where one can be dialled.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener},
};

use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, multiaddr::Protocol, swarm::NetworkBehaviour,
};

use super::error::NetError;

/// Listens on all of `addresses`, or on none.
pub(super) fn on_all<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    addresses: &[Multiaddr],
) -> Result<(), NetError> {
    for address in addresses {
        check_free(address)?;
    }
    for address in addresses {
        swarm.listen_on(address.clone()).map_err(|why| in_words(address, why))?;
    }
    Ok(())
}

/// libp2p shares TCP ports, so that a second daemon of the same user would take half of the
/// first one's connections instead of being told. A socket that does not share finds out.
fn check_free(address: &Multiaddr) -> Result<(), NetError> {
    let Some(socket) = tcp_socket(address) else { return Ok(()) };
    match TcpListener::bind(socket) {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => {
            Err(NetError::PortInUse { address: address.to_string() })
        }
        // Other errors come back when it is done in earnest.
        _ => Ok(()),
    }
}

fn tcp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        // The wildcard would take IPv4 with it, where another program may rightly listen.
        Protocol::Ip6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) if port != 0 => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

fn in_words(address: &Multiaddr, error: TransportError<io::Error>) -> NetError {
    let address = address.to_string();
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            NetError::BadAddress { address, why: "it is neither TCP nor QUIC".into() }
        }
        TransportError::Other(why) if in_use(&why) => NetError::PortInUse { address },
        TransportError::Other(source) => NetError::Listen { address, source },
    }
}

/// The system's own error is somewhere inside those of libp2p.
fn in_use(error: &io::Error) -> bool {
    if error.kind() == io::ErrorKind::AddrInUse {
        return true;
    }
    let mut cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = cause {
        if inner.downcast_ref::<io::Error>().is_some_and(in_use) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The addresses with the peer id, those that others reach most likely and fastest first.
pub(super) fn dialable<'a>(
    addresses: impl Iterator<Item = &'a Multiaddr>,
    peer: PeerId,
) -> Vec<String> {
    let mut all: Vec<&Multiaddr> = addresses.collect();
    all.sort_by_key(|address| (rank(address), address.to_string()));
    all.dedup();
    all.into_iter()
        .filter_map(|address| address.clone().with_p2p(peer).ok())
        .map(|address| address.to_string())
        .collect()
}

/// Reach first, then TCP before QUIC, which costs more per message on good networks.
fn rank(address: &Multiaddr) -> (u8, bool) {
    let reach = match address.iter().next() {
        Some(Protocol::Ip4(ip)) if ip.is_loopback() => 3,
        Some(Protocol::Ip6(ip)) if ip.is_loopback() => 3,
        Some(Protocol::Ip6(ip)) if ip.is_unicast_link_local() => 2,
        Some(Protocol::Ip6(_)) => 1,
        _ => 0,
    };
    (reach, !address.iter().any(|part| matches!(part, Protocol::Tcp(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_address_comes_first() {
        let peer = PeerId::random();
        let listed: Vec<Multiaddr> = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/udp/1/quic-v1",
            "/ip6/fe80::1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
        ]
        .map(|address| address.parse().expect("an address"))
        .to_vec();
        let wanted = [
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/10.0.0.1/udp/1/quic-v1",
            "/ip6/2001:db8::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
        ]
        .map(|address| format!("{address}/p2p/{peer}"));
        assert_eq!(dialable(listed.iter(), peer), wanted);
    }
}
