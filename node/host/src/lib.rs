//! The host half of Starling.

pub mod api;
pub mod net;
