use super::{Reply, Unsolved};
use crate::ident::Address;

/// What a [`Member`](super::Member) wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask that member whether this one may act. The answer goes to
    /// [`answered`](super::Member::answered), with the same turn.
    Claim {
        /// Whom.
        to: Address,
        /// Names the question.
        turn: u32,
    },
    /// Ask that member for the solution. The answer goes to
    /// [`answered`](super::Member::answered) too. A question of this sort that was asked earlier
    /// need not be waited for any more.
    Follow {
        /// Whom.
        to: Address,
        /// Names the question.
        turn: u32,
    },
    /// Answer a question whose answer [`followed`](super::Member::followed) has put off.
    Answer {
        /// Whose.
        to: Address,
        /// The answer.
        reply: Reply,
    },
    /// Tell that member the solution: it seemed to be gone, and may have been out of reach.
    Tell {
        /// Whom.
        to: Address,
    },
    /// The agent is to solve the problem, and to say so by [`solve`](super::Member::solve) or
    /// [`fail`](super::Member::fail). This comes once.
    Solve,
    /// The agent learns how it ended; [`solution`](super::Member::solution) is what there is.
    Settled(Result<Address, Unsolved>),
    /// Another member has solved the problem too: there was a partition, or a crash.
    Another {
        /// Who.
        by: Address,
        /// Its solution.
        solution: Vec<u8>,
    },
}
