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
//! | – | a proposal; there is room | considered | the agent is asked, in the same step |
//! | – | a proposal; there is no room, or its bond is taken, or it is the agent's own | – | the other side is told why not |
//! | – | anything else of a bond it does not know, but an end or a no | – | the other side is told that it has ended |
//! | considered | it agrees | standing | the other side is told and watched |
//! | considered | it does not agree, breaks it up, ends its life | – | the other side is told why |
//! | proposed | it is accepted or checked, and this side agrees too | standing | the other side is watched |
//! | proposed | it is accepted or checked, and this side does not agree | *declined* | the other side is told |
//! | proposed | it is declined, ended, not delivered | *declined* | |
//! | proposed | no answer in time; it breaks up, it ends its life | *declined* | the proposal is withdrawn |
//! | proposed | the same is proposed by the other side, whose id is greater | proposed | the other's is declined |
//! | proposed | the same is proposed by the other side, whose id is smaller | *declined* | the other's is considered, and replaces whom this one was to replace |
//! | proposed, standing | the same is proposed from another address: by one with the same id | as before | that is declined |
//! | standing | it breaks up, it ends its life | *breakup*, *shutdown* | the other side is told, with the brothers |
//! | standing | the other side has ended it | *goodbye* | |
//! | standing | the watch ends, and something has answered | standing | the other side is asked whether it stands, and watched again after a pause |
//! | standing | the watch ends, and nothing has answered | standing | as above, but it is asked the first time only |
//! | standing | a letter could not be posted or taken up | standing | the other side is watched again after a pause |
//! | standing | it is told that it stands | standing | the other side is watched, and the pauses begin anew |
//! | standing | it is asked whether it stands | standing | the other side is told so |
//! | standing | a letter could not be delivered: no such agent | *lost* | |
//! | standing | the other side says that it does not know it | *lost* | |
//! | standing | the other side proposes the same: it has begun anew | *lost* | the proposal is considered |
//! | standing | the partner was buried | *buried* | |
//! | proposed, standing | the partner lives elsewhere now | as before | its address changes; if it stands, it is watched there |
//! | standing | the agent is back in another life of its host | standing | the other side is watched |
//! | – | the agent was taken up by another host, which has read of it | standing | the other side is told where the agent is, and watched |
//! | any | the agent is back, and its kind has no such partners any more | *breakup*, *declined* | as if it broke up |
//!
//! What is in italics is an end; each is told once, but that of what was only considered: of that
//! the agent has decided itself. When a partnership that replaces another begins to stand, the
//! other is broken up in the same step.
//!
//! The pauses of a partner that is silent are 5, 10, 20, 40 and then 80 seconds, and up to a
//! quarter more, which the bond decides: so not all look at once. They begin anew when it says that
//! the partnership stands, or when a watch has lasted longer than 80 seconds.

mod message;
mod output;
mod table;

pub use message::{Leaving, Letter};
pub use output::{Declined, Output, Parted, Wants};
pub use table::{Ends, Partnerships, Proposal, ProposeError, Row, Stage};

pub use crate::ident::Bond;

#[cfg(test)]
mod tests;
