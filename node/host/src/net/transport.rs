//! TCP and QUIC, encrypted and multiplexed, with the gate behind them.

use std::{io, time::Duration};

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns,
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use super::gate::Gate;

/// Connecting and encrypting must be over within this time; then the gate has its own.
const ENCRYPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Streams that one connection may have open. A link needs a dozen; what each may buffer
/// (256 KiB to begin with) bounds what a stranger can fill before the gate closes on it.
const STREAMS_MAX: usize = 64;

/// What may be in flight on one QUIC stream, and on a whole connection.
const QUIC_STREAM_BYTES_MAX: u32 = 4 * 1024 * 1024;
const QUIC_CONNECTION_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// A silent QUIC connection is dead after this long; it is kept awake three times as often.
const QUIC_IDLE: Duration = Duration::from_secs(15);

/// An encrypted, multiplexed connection with the peer that the encryption has proven.
pub(crate) type Bare = Boxed<(PeerId, StreamMuxerBox)>;

/// The transport as a stranger uses it: no gate.
pub(crate) fn bare(keypair: &Keypair) -> Result<Bare, noise::Error> {
    match dns::tokio::Transport::system(sockets(keypair)?) {
        Ok(named) => Ok(named.boxed()),
        Err(why) => {
            tracing::warn!(%why, "names in addresses are not looked up; use numbers");
            Ok(sockets(keypair)?)
        }
    }
}

fn sockets(keypair: &Keypair) -> Result<Bare, noise::Error> {
    let both = quic_part(keypair).or_transport(tcp_part(keypair)?);
    Ok(both.map(|either, _| either.into_inner()).boxed())
}

fn tcp_part(keypair: &Keypair) -> Result<Bare, noise::Error> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS_MAX);
    Ok(tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(muxer)
        .timeout(ENCRYPT_TIMEOUT)
        .boxed())
}

fn quic_part(keypair: &Keypair) -> Bare {
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = ENCRYPT_TIMEOUT;
    config.max_idle_timeout = u32::try_from(QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    config.keep_alive_interval = QUIC_IDLE / 3;
    config.max_concurrent_stream_limit = u32::try_from(STREAMS_MAX).unwrap_or(u32::MAX);
    config.max_stream_data = QUIC_STREAM_BYTES_MAX;
    config.max_connection_data = QUIC_CONNECTION_BYTES_MAX;
    quic::tokio::Transport::new(config)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed()
}

/// The transport of a member: every connection passes the gate, in both directions.
pub(crate) fn gated(keypair: &Keypair, gate: Gate) -> Result<Bare, noise::Error> {
    Ok(bare(keypair)?
        .and_then(move |(peer, muxer), point| gate.pass(peer, muxer, point))
        .map_err(|why| why.either(|broken| broken, io::Error::other))
        .boxed())
}
