//! Who listens to what, and how topic messages reach them once and in order.
//!
//! A topic is named by its notification, with a part of its own after `#` where there are many
//! (`chat/said#42`), and by its scope: `shard:` before it keeps it in the shard. Every origin
//! numbers its messages per topic ([`Outgoing`]); every listener's host follows the numbers
//! ([`Incoming`]), asks the origin for what is missing, and reports what cannot be had.
//!
//! [`ServiceName`] is what agents are looked for by.

mod incoming;
mod outgoing;
mod service;
mod topic;
mod who;

pub use incoming::{Arrival, Incoming, Repair};
pub use outgoing::{Kept, Outgoing};
pub use service::{ServiceError, ServiceName};
pub use topic::{Scope, TopicError, TopicName};
pub use who::Listeners;
