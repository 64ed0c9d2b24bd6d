//! Pure: this crate decides and touches nothing. No sockets, files, clocks or OS entropy; its
//! manifest keeps that promise and a test proves it.
//!
//! [`agent`] is what authors write with, and the cage they test in. [`engine`] conducts one host:
//! it routes inputs to protocol machines and agents, and never awaits, locks or names a built-in
//! agent. [`documents`] reads and changes what all hosts have a copy of. [`replay`] plays what a
//! journal holds again, [`story`] tells of one negotiation from several journals. [`society`] holds
//! the built-in agents, written like everybody else's.

pub mod agent;
pub mod documents;
pub mod engine;
mod guard;
pub mod replay;
pub mod society;
pub mod story;
