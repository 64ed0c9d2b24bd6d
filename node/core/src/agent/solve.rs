//! Problems that a group of agents has together: one of them acts, all of them get the solution.
//!
//! The rules are those of [`starling_protocols::solver`], which says what is promised, and what is
//! not: at most one acts in each part of a group whose members reach each other; one that crashes
//! after it has acted and before it has told anybody is followed by another. So what solving does
//! outside must bear being done twice, one after the other.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::agent::prelude::*;
//!
//! /// The lamp in that room is dark: somebody should light it.
//! #[derive(Serialize, Deserialize)]
//! struct Dark(String);
//! impl Problem for Dark {
//!     const NAME: &'static str = "house/dark";
//!     type Solution = u32;
//!     fn key(&self) -> String { self.0.clone() }
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Keeper { others: Vec<Address>, candles: u32, lit: Vec<String> }
//! impl Agent for Keeper {
//!     const KIND: &'static str = "keeper";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) { interests.solves::<Dark>(); }
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         cx.solve(&Dark("hall".into()), self.others.iter().copied());
//!     }
//! }
//! impl Solves<Dark> for Keeper {
//!     fn solve(&mut self, _: &mut Cx<'_, Self>, _: Solving<Dark>, _: &Dark) -> Solved<Dark> {
//!         if self.candles == 0 { return Solved::failed("no candles") }
//!         self.candles -= 1;
//!         Solved::now(self.candles)
//!     }
//!     fn settled(&mut self, _: &mut Cx<'_, Self>, room: &Dark, how: Result<Solution<Dark>, Unsolved>) {
//!         if how.is_ok() { self.lit.push(room.0.clone()) }
//!     }
//! }
//!
//! let mut alone = Cage::new(Keeper { candles: 2, ..Keeper::default() });
//! alone.start();
//! assert_eq!((alone.state().candles, &*alone.state().lit), (1, &["hall".to_owned()][..]));
//! // With another it asks that one first.
//! let others = vec![Cage::<Keeper>::ASKER];
//! let mut two = Cage::new(Keeper { others, candles: 2, ..Keeper::default() });
//! two.start();
//! assert_eq!(two.state().candles, 2);
//! two.advance(Dark::PATIENCE.claim); // it does not answer: it is gone
//! assert_eq!(two.state().candles, 1);
//! two.replay();
//! ```
//!
//! A solution of another type, and a problem that nobody solves, do not compile:
//!
//! ```compile_fail,E0277
//! # use serde::{Deserialize, Serialize};
//! # use starling_core::agent::prelude::*;
//! # #[derive(Serialize, Deserialize)]
//! # struct Dark(String);
//! # impl Problem for Dark {
//! #     const NAME: &'static str = "house/dark";
//! #     type Solution = u32;
//! #     fn key(&self) -> String { self.0.clone() }
//! # }
//! # #[derive(Default, Serialize, Deserialize)]
//! # struct Keeper;
//! impl Agent for Keeper {
//!     const KIND: &'static str = "keeper";
//!     type Then = Never;
//!     fn interests(_: &mut Interests<Self>) {}
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         cx.solve(&Dark("hall".into()), []); // Keeper does not solve it
//!     }
//! }
//! ```

mod receive;
mod rows;
mod tell;

pub(super) use receive::Awaited;
pub(super) use rows::Problems;
pub(super) use tell::{SolveFns, show_ask, show_reply, show_tell};

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use starling_protocols::{
    ident::Address,
    limits::PROBLEM_KEY_BYTES_MAX,
    solver::{Patience, Unsolved},
};

use super::{Agent, Cx, cx::encode};

/// Something that one agent of a group should do for all.
pub trait Problem: Serialize + DeserializeOwned + Send + 'static {
    /// The name of its sort, unique in the mesh; see [`Request::NAME`](super::Request::NAME) for
    /// versions.
    const NAME: &'static str;

    /// What comes of it: all members get it.
    type Solution: Serialize + DeserializeOwned + Send + 'static;

    /// How long members wait for each other. Those of one group should agree on it.
    const PATIENCE: Patience = Patience::DEFAULT;

    /// Which problem of its sort it is: two agents mean the same one when the keys are equal. The
    /// outcome is [remembered](Patience::memory) under it, so what happens again needs another key.
    /// Of a key of more than [`PROBLEM_KEY_BYTES_MAX`] bytes the hash is used.
    fn key(&self) -> String;
}

/// An agent that takes part in problems of one sort.
pub trait Solves<P: Problem>: Agent {
    /// Another asks about a problem that this agent has not noticed: who else is concerned, as far
    /// as this agent knows. Two that do not know each other meet by that.
    fn members(&mut self, cx: &mut Cx<'_, Self>, problem: &P) -> Vec<Address> {
        let _ = (cx, problem);
        Vec::new()
    }

    /// It is this agent that acts: solves the problem now, cannot, or does later. It is not told
    /// twice.
    fn solve(&mut self, cx: &mut Cx<'_, Self>, task: Solving<P>, problem: &P) -> Solved<P>;

    /// It has come to an end, for all that took part: also for one that was only asked. After an
    /// end without solution this comes once more if there is one after all, or if the agent begins
    /// again by [`Cx::solve`].
    fn settled(
        &mut self,
        cx: &mut Cx<'_, Self>,
        problem: &P,
        outcome: Result<Solution<P>, Unsolved>,
    );

    /// Another has solved it too: the group was divided, or one acted and crashed.
    fn another(&mut self, cx: &mut Cx<'_, Self>, problem: &P, other: Solution<P>) {
        let _ = (cx, problem, other);
    }
}

/// What a group got for its problem.
pub struct Solution<P: Problem> {
    /// What was found.
    pub solution: P::Solution,
    /// Who acted.
    pub by: Address,
}

/// What comes of a problem that an agent is to solve.
pub struct Solved<P: Problem>(pub(super) Outcome<P::Solution>);

pub(super) enum Outcome<S> {
    Now(S),
    Failed(String),
    Later,
}

impl<P: Problem> Solved<P> {
    /// It is solved.
    #[must_use]
    pub const fn now(solution: P::Solution) -> Self {
        Self(Outcome::Now(solution))
    }

    /// This agent cannot solve it, and why: the next member tries.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Self {
        Self(Outcome::Failed(why.into()))
    }

    /// It takes time: [`Cx::solved`] or [`Cx::unsolvable`] follows, within
    /// [`Patience::total`]. The others wait.
    #[must_use]
    pub const fn later() -> Self {
        Self(Outcome::Later)
    }
}

/// A problem that an agent is to solve. Part of its state, if it does so later.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Solving<P> {
    pub(super) number: u64,
    #[serde(skip)]
    of: PhantomData<fn() -> P>,
}

impl<P> Solving<P> {
    pub(super) const fn new(number: u64) -> Self {
        Self { number, of: PhantomData }
    }
}

impl<P> Clone for Solving<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Solving<P> {}

impl<P> PartialEq for Solving<P> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<P> Eq for Solving<P> {}

impl<P: Problem> fmt::Debug for Solving<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Solving({} of {})", self.number, P::NAME)
    }
}

/// What an agent does with problems of its groups.
impl<A: Agent> Cx<'_, A> {
    /// The agent has noticed a problem of a group, and knows of these members; its own address may
    /// be among them. One of the group acts, and [`Solves::settled`] comes in any case: also when
    /// the problem has been solved already and that is remembered.
    ///
    /// Where the agent takes part in too many problems, or the description is larger than
    /// [`PROBLEM_BYTES_MAX`](starling_protocols::limits::PROBLEM_BYTES_MAX), it is settled at once as
    /// [`Unsolved::NoRoom`].
    pub fn solve<P: Problem>(&mut self, problem: &P, members: impl IntoIterator<Item = Address>)
    where
        A: Solves<P>,
    {
        let members = members.into_iter().collect();
        self.notice(P::NAME, key_of(problem), encode(problem), P::PATIENCE, members);
    }

    /// The agent has solved what it was to solve. Gives whether that was still wanted; if not, the
    /// others may have it from another, or have given up.
    pub fn solved<P: Problem>(&mut self, task: Solving<P>, solution: &P::Solution) -> bool {
        self.solved_number(task.number, encode(solution))
    }

    /// The agent cannot solve what it was to solve, and why: the next member tries. Gives whether
    /// that was still wanted.
    pub fn unsolvable<P: Problem>(&mut self, task: Solving<P>, why: &str) -> bool {
        self.failed_number(task.number, why)
    }
}

fn key_of<P: Problem>(problem: &P) -> String {
    let key = problem.key();
    if key.len() > PROBLEM_KEY_BYTES_MAX {
        starling_protocols::solver::short_key(&key)
    } else {
        key
    }
}

#[cfg(test)]
mod tests;
