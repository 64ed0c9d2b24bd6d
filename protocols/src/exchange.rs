//! What two hosts say to each other: calls and their replies, notifications, topic messages.
//!
//! One long-lived stream per pair of hosts, the *lane*, carries it all. A lane may break and be
//! replaced; the [`Session`] above it numbers items, keeps them until they are acknowledged, and
//! resumes where it stopped. So within one pair of lives of two hosts every item arrives exactly
//! once and in order, which is all the duplicate memory that dialogs need. When one side starts a
//! new life, what was under way has an unknown outcome, and its callers are told
//! [`Failure::Gone`].
//!
//! | class | carried by | promise |
//! |---|---|---|
//! | [`Hint`](Delivery::Hint) | gossip | at most once; may be dropped; gaps are counted |
//! | [`Ordered`](Delivery::Ordered) | lanes, gossip with repair | once, in its sender's order, or the listener learns of the gap |
//! | [`Dialog`](Delivery::Dialog) | lane | executed at most once; the caller always learns |
//! | [`Durable`](Delivery::Durable) | lane and outbox | as dialog, across restarts (needs the journal; refused until then) |

mod inbox;
mod message;
mod session;

pub use inbox::Inbox;
pub use message::{Codec, Delivery, Failure, Frame, Gossip, Hello, Item, Rumour, SessionId};
pub use session::{Class, Greeting, PushError, Session, Violation};
