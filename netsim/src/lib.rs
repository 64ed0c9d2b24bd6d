//! Whole meshes of real engines and real agents under virtual time.
//!
//! One seed decides everything: the same seed gives the same run, byte for byte. [`Sim`] is the
//! simulation; [`story`] is the language for tests that read like a story.

mod clock;
mod disk;
pub mod faults;
mod gossip;
mod host;
mod network;
mod queue;
pub mod sim;
pub mod story;
mod trace;

pub use self::{
    clock::WALL_AT_START,
    faults::{Fault, FaultKind, Fired, HostNo, Weather},
    host::{Asked, Heard},
    sim::{FaultId, Mishap, Obituary, Sim},
    trace::Sink,
};
