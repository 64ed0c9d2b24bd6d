//! What can go wrong at the network's edge.

use std::io;

use starling_protocols::limits::GOSSIP_BYTES_MAX;

/// Why the network did not start. Nothing is listening.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A listen address that cannot be read or is of a kind that is not supported.
    #[error(
        "cannot listen on {address:?}: {why}; write it like \"/ip4/0.0.0.0/tcp/4040\" or \
         \"/ip4/0.0.0.0/udp/4040/quic-v1\""
    )]
    BadAddress {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another program listens there.
    #[error(
        "cannot listen on {address}: the port is in use; stop the program that has it (is a \
         daemon running already?) or change `listen` in the configuration"
    )]
    PortInUse {
        /// The address.
        address: String,
    },
    /// The system refuses to listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The libraries refuse their settings. This is a defect of Starling.
    #[error("the network cannot be set up: {0}; please report this")]
    SetUp(String),
}

/// Why a message was not given to gossip. It went to nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Larger than gossip carries.
    #[error("{0} bytes, and gossip carries at most {GOSSIP_BYTES_MAX}; send it over lanes")]
    TooLarge(usize),
    /// No linked host listens to this bucket, as far as is known here.
    #[error("no linked host listens; try again when one does, or do without")]
    NoPeers,
    /// The queues to all listeners are full.
    #[error("the queues to all listeners are full; send less, or try again later")]
    QueueFull,
    /// There is no such bucket.
    #[error("there is no gossip bucket {0}")]
    NoBucket(u8),
    /// The library failed.
    #[error("gossip failed: {0}")]
    Failed(String),
}
