//! The host half of Starling.

pub mod api;
pub mod config;
pub mod control;
pub mod disk;
