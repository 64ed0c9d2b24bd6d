//! One module for each system measured.

pub mod actix_local;
pub mod gossip;
pub mod kameo_local;
pub mod kameo_remote;
pub mod local;
pub mod nats;
pub mod p2p;
pub mod p2p_request;
pub mod p2p_stream;
pub mod ractor_local;
pub mod serf;
pub mod tcp_echo;
pub mod tokio_mpsc;
