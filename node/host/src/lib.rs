//! The host half of Starling: it touches the world and decides nothing.
//!
//! One task with one loop over everything that can happen, around the pure engine of
//! `starling-core`: libp2p, disk, clock and control socket, each translated in and translated
//! out, with bounded queues.
//!
//! An application builds its own daemon in a few lines; see [`run`].

pub mod api;
mod clock;
pub mod config;
pub mod control;
mod daemon;
mod database;
pub mod disk;
pub mod documents;
pub mod exact;
pub mod journal;
mod log;
pub mod net;
mod node;

/// An engine allocates and frees in bursts, a hundred messages of one size at a time, which this
/// takes less time for than the system's allocator (ARCHITECTURE.md, decision 26).
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use clock::wall;
pub use config::{Config, ConfigError, Overrides};
pub use daemon::main;
pub use log::log_to_stderr;
pub use node::{Initialised, NodeError, init, join, run};
pub use starling_core::{agent, engine::Kinds, society, society::stock, story};
pub use starling_protocols::{time::WallTime, words};
