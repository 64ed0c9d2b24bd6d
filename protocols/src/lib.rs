//! Pure: this crate decides and touches nothing. No sockets, files, clocks or OS entropy; its
//! manifest keeps that promise and a test proves it.
//!
//! Every byte that Starling puts on a wire and every protocol state machine lives here. A machine
//! is driven the same way everywhere: call a verb or `handle(input, now)`, then drain its outputs
//! until there are none, then the next mutation. `now` is an argument and never goes back; the
//! next deadline comes back with its reason.

pub mod admission;
pub mod contract;
pub mod entropy;
pub mod exchange;
pub mod ident;
pub mod interest;
pub mod journal;
pub mod limits;
pub mod link;
pub mod partner;
pub mod reconcile;
pub mod replica;
pub mod roster;
pub mod solver;
pub mod time;
pub mod wire;
pub mod words;
