//! Partnerships: two agents that rely on each other, and both know it (FEAT's
//! `agents/base/partners.py`).
//!
//! What two agents tell each other of their partnership goes by durable letters, which arrive
//! exactly once and in their order whatever host restarts meanwhile. Each side writes its own half
//! down when it handles a letter; so a crash between the two writes only delays the second. What
//! letters cannot do is to remember for an agent that has lost its own state with its host: the
//! other side notices that by its watch on the agent, and checks.
//!
//! [`Partnerships`] is one agent's side of all its partnerships. It is driven by verbs; after each,
//! [`poll`](Partnerships::poll) gives what is to be done until there is nothing left.
//!
//! # One side of one partnership
//!
//! | stage | what comes | next stage | what is done |
//! |---|---|---|---|
//! | – | it proposes | proposed | the proposal goes out |
//! | – | a proposal; there is room, and it agrees | standing | the other side is told and watched |
//! | – | a proposal; there is none, or it does not agree | – | the other side is told why |
//! | – | anything of a bond it does not know, but an end | – | the other side is told that it ended |
//! | proposed | it is accepted, and this side agrees too | standing | the other side is watched |
//! | proposed | it is accepted, and this side does not agree | *declined* | the other side is told |
//! | proposed | it is declined, ended, not delivered | *declined* | |
//! | proposed | no answer in time | *declined* | the proposal is withdrawn |
//! | proposed | the same is proposed by the other side | the proposal of the smaller id goes on | the other is dropped |
//! | standing | it breaks up, it ends its life | *breakup*, *shutdown* | the other side is told, with the brothers |
//! | standing | the other side has ended it | *goodbye* | |
//! | standing | the watch ends | standing | the other side is asked whether it stands |
//! | standing | it is told that it stands | standing | the other side is watched |
//! | standing | a letter could not be delivered: no such agent | *lost* | |
//! | standing | the other side has lost it; proposes it anew | *lost* | |
//! | standing | the partner was buried | *buried* | |
//! | standing | the partner lives elsewhere now | standing | its address changes; it is watched there |
//!
//! What is in italics is an end; each is told once. When a partnership that replaces another begins
//! to stand, the other is broken up in the same step.

mod message;
mod output;
mod table;

pub use message::{Leaving, Letter};
pub use output::{Declined, Output, Parted, Wants};
pub use table::{Ends, Partnerships, Proposal, ProposeError, Row, Stage};

pub use crate::ident::Bond;

#[cfg(test)]
mod tests;
