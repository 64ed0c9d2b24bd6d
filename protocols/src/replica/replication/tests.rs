//! Hosts with documents, lanes and disks: they hear of everything, whatever happens to them.

mod many;
mod mesh;
mod refusals;
mod room;
mod rules;
mod schedule;
