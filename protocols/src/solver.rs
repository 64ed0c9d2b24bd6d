//! The collective problem solver: of a group of agents that have the same problem, one acts and
//! the others wait for its solution (FEAT's `agents/base/problem.py`).
//!
//! [`Member`] is one agent's part in one problem. It knows nothing of carriers: it is driven by
//! verbs; after each, [`poll`](Member::poll) gives what is to be done until there is nothing left,
//! and [`next_deadline`](Member::next_deadline) says when [`expire`](Member::expire) is due.
//!
//! Who wants to act *claims* the problem: it asks all members it knows of. All messages carry the
//! sender's list of members, whoever is new in it is asked too, and the claimer acts when all have
//! yielded or are gone. Who does not act *follows* another: it asks that one for the solution, and
//! the answer is kept back until there is one, or for half a [window](Patience::follow), after
//! which the question is repeated; so it is noticed soon when the one that acts is gone.
//!
//! # The table
//!
//! | phase | what comes | next phase | what is done |
//! |---|---|---|---|
//! | new | the agent notices the problem | claiming | all are asked |
//! | new, resting | a claim | following that one | it yields |
//! | claiming | a claim of one that ranks before | following that one | it yields; its followers are sent there |
//! | claiming | a claim of one that ranks after | claiming | *mine* |
//! | claiming | the last has yielded, or is gone | acting | the agent is to solve it |
//! | claiming | a failure that may pass | claiming | that one is asked once more before it counts as gone |
//! | claiming | *mine* | following that one | its followers are sent there |
//! | following | a claim | the same | it yields |
//! | following | *wait* | the same | it asks again |
//! | following | *elsewhere* | following that one | |
//! | following | the one followed is gone, has failed, or neither acts nor follows | resting; *tried* if it has | |
//! | resting | a short and random time passes | claiming | all are asked |
//! | acting | a claim | acting | *mine* |
//! | acting | it solves | *solved* | all followers are answered, and those told that seemed gone |
//! | acting | it fails | tried | all followers are told |
//! | tried | a claim | following that one | it yields |
//! | tried | there is nobody left to try it | *unsolved* | |
//! | any but solved | a solution | *solved*; acting stays | the agent is told, or that there is another |
//! | any of these but acting and claiming | one wants to follow | the same | *elsewhere* or *free* |
//! | acting, claiming | one wants to follow | the same | its question is kept |
//! | any but the ends | the [total](Patience::total) time is over, or too many claims or members | *unsolved* | followers are told |
//! | *solved* | a claim, one wants to follow, the agent notices | the same | the solution |
//! | *solved* | another solution | the same | the agent is told that there is another |
//! | *unsolved* | a claim | the same | it yields |
//! | *unsolved* | the agent notices | claiming | as if it were new |
//!
//! Among claimers the least [`rank`] goes first. Each member acts at most once for a problem, and
//! its ends are remembered for a while, so that who asks twice or late gets the same answer.
//!
//! # What is promised
//!
//! *At most one acts.* Take two members such that the lists, followed from each to those it asks
//! and on to those they name, have somebody in common (one of the two is enough). While these
//! live, answer within the window and reach each other, at most one of the two is acting or has
//! solved. For let both have been yielded to by the common member: the later of the two learned of
//! the earlier from that answer, asked it before it acted itself, and was told *mine*, or was
//! yielded to by a claimer that gave its claim up. Lists that lead to nobody in common are two
//! groups.
//!
//! *Somebody acts*, as long as one lives that has noticed the problem: claims are given up in favour
//! of those that rank before or act already, and whoever waits for one that is gone claims again.
//!
//! *Under partition* this holds in each part for itself: at most one acts in each part whose members
//! reach each other, so there may be as many solutions as parts. When the parts meet again nobody
//! acts anew: who asks gets a solution, and who has one and hears of another is told.
//!
//! *After a crash.* Who acts and ends before it has told anybody has acted unseen, and another acts
//! too. So what solving does outside must bear being done twice, one after the other.

mod member;
mod message;
mod output;

pub use member::Member;
pub use message::{Ask, Group, Reply, Tell};
pub use output::Output;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ident::{Address, AgentId, HostId},
    limits::BUDGET_MAX,
};

/// How long members of a group wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// For the answer to a claim. Who has not answered by then counts as gone.
    pub claim: Duration,
    /// For an answer of the one that is followed; if it has no solution yet, it says so after half
    /// of this.
    pub follow: Duration,
    /// For the solution, from when a member noticed the problem or was asked.
    pub total: Duration,
    /// So long the outcome is remembered. The same problem that is noticed later is a new one.
    pub memory: Duration,
}

impl Patience {
    /// As in FEAT: three seconds for a claim, twenty for who is followed, a minute in all. The
    /// outcome is remembered for ten minutes.
    pub const DEFAULT: Self = Self {
        claim: Duration::from_secs(3),
        follow: Duration::from_secs(20),
        total: Duration::from_secs(60),
        memory: Duration::from_secs(600),
    };

    /// Within what any wait may last.
    #[must_use]
    pub fn capped(self) -> Self {
        let cap = |window: Duration| window.min(BUDGET_MAX);
        Self {
            claim: cap(self.claim),
            follow: cap(self.follow),
            total: cap(self.total),
            memory: cap(self.memory),
        }
    }
}

/// What stands for a key that is longer than
/// [`PROBLEM_KEY_BYTES_MAX`](crate::limits::PROBLEM_KEY_BYTES_MAX): its BLAKE3 hash, in hexadecimal
/// digits.
#[must_use]
pub fn short_key(key: &str) -> String {
    blake3::hash(key.as_bytes()).to_hex().to_string()
}

/// Where a member stands among claimers: the least goes first.
#[must_use]
pub const fn rank(member: Address) -> (AgentId, HostId) {
    (member.agent, member.host)
}

/// Why a member has no solution. Nothing is under way here any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Unsolved {
    /// There was none in time. One that acts may still bring it to an end.
    #[error("there was no solution in time; a member that acts may yet have one")]
    TimedOut,
    /// All members that are there have tried. What the last said.
    #[error("all members that are there have tried; the last said: {0}")]
    Failed(String),
    /// Nobody was asked: this agent has too many problems, or the description is too large.
    #[error("nobody was asked: this agent has too many problems, or the description is too large")]
    NoRoom,
    /// The group is larger than a group may be. This member has not acted.
    #[error("the group has too many members")]
    TooMany,
    /// It came to nothing, time and again. This member has not acted.
    #[error("it was claimed too often in vain")]
    TooOften,
}
