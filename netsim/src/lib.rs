//! Whole meshes of real engines and real agents under virtual time.
//!
//! One seed decides everything: the same seed gives the same run, byte for byte. [`Sim`] is the
//! simulation; [`story`] is the language for tests that read like a story.

mod chronicle;
mod clock;
mod deposits;
mod disk;
pub mod faults;
mod gossip;
mod host;
pub mod invariants;
mod network;
#[cfg(feature = "program")]
pub mod program;
mod queue;
mod report;
pub mod run;
pub mod scenario;
pub mod scenarios;
pub mod schedule;
pub mod shrink;
pub mod sim;
pub mod story;
pub mod swarm;
mod trace;
mod travels;
pub mod workload;

pub use self::{
    chronicle::Chronicle,
    clock::WALL_AT_START,
    deposits::Deposits,
    faults::{DiskMoment, Fault, FaultKind, Fired, HostNo, Weather},
    host::{Asked, Heard},
    run::{Broken, Options, OptionsError, Outcome, Report, run, run_seed},
    schedule::{Schedule, Step},
    shrink::{Shrunk, shrink},
    sim::{Edit, FaultId, Journals, Mishap, Obituary, Replayed, Sim, Written},
    trace::Sink,
    travels::Travels,
};
