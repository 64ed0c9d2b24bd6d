use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use starling_protocols::{
    ident::Address,
    limits::BODY_BYTES_MAX,
    solver::{Ask, Group, Patience, Reply, Tell, Unsolved},
    wire,
};

use super::{Outcome, Problem, Solution, Solves, Solving};
use crate::agent::{Agent, Cx, dealings::ProblemNews};

type OnMembers<A> = fn(&mut A, &mut Cx<'_, A>, &[u8]) -> Option<Vec<Address>>;
type OnSolve<A> = fn(&mut A, &mut Cx<'_, A>, u64, &[u8]);
type OnSettled<A> = fn(&mut A, &mut Cx<'_, A>, &[u8], Settled<'_>);
type OnAnother<A> = fn(&mut A, &mut Cx<'_, A>, &[u8], &[u8], Address);

type Settled<'a> = Result<(&'a [u8], Address), Unsolved>;

/// What a kind does with problems of one sort, its types forgotten.
pub(in crate::agent) struct SolveFns<A: Agent> {
    patience: Patience,
    members: OnMembers<A>,
    solve: OnSolve<A>,
    settled: OnSettled<A>,
    another: OnAnother<A>,
}

impl<A: Agent> SolveFns<A> {
    pub(in crate::agent) const fn of<P: Problem>() -> Self
    where
        A: Solves<P>,
    {
        Self {
            patience: P::PATIENCE,
            members: members::<A, P>,
            solve: solve::<A, P>,
            settled: settled::<A, P>,
            another: another::<A, P>,
        }
    }

    pub(super) const fn patience(&self) -> Patience {
        self.patience
    }

    /// Whom the agent knows to be concerned by a problem, if it is one.
    pub(super) fn members(
        &self,
        agent: &mut A,
        cx: &mut Cx<'_, A>,
        problem: &[u8],
    ) -> Option<Vec<Address>> {
        (self.members)(agent, cx, problem)
    }
}

impl<A: Agent> Cx<'_, A> {
    /// Tells the agent what has come of a problem.
    pub(in crate::agent) fn tell_of_problem(
        &mut self,
        agent: &mut A,
        fns: &SolveFns<A>,
        problem: &[u8],
        what: ProblemNews,
    ) {
        match what {
            ProblemNews::Solve(number) => (fns.solve)(agent, self, number, problem),
            ProblemNews::Settled(how) => {
                let how = how.as_ref().map(|(solution, by)| (&**solution, *by));
                (fns.settled)(agent, self, problem, how.map_err(Clone::clone));
            }
            ProblemNews::Another(solution, by) => {
                (fns.another)(agent, self, problem, &solution, by);
            }
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    wire::decode(body, BODY_BYTES_MAX).ok()
}

fn members<A: Solves<P>, P: Problem>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    problem: &[u8],
) -> Option<Vec<Address>> {
    let problem: P = decode(problem)?;
    Some(agent.members(cx, &problem))
}

fn solve<A: Solves<P>, P: Problem>(agent: &mut A, cx: &mut Cx<'_, A>, number: u64, problem: &[u8]) {
    let task = Solving::<P>::new(number);
    let outcome = decode(problem).map(|problem| agent.solve(cx, task, &problem).0);
    match outcome.unwrap_or_else(|| Outcome::Failed("the problem does not decode".into())) {
        Outcome::Now(solution) => drop(cx.solved(task, &solution)),
        Outcome::Failed(why) => drop(cx.unsolvable(task, &why)),
        Outcome::Later => {}
    }
}

fn settled<A: Solves<P>, P: Problem>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    problem: &[u8],
    how: Settled<'_>,
) {
    let Some(problem) = decode::<P>(problem) else { return };
    let outcome = how.and_then(|(solution, by)| {
        let why = || Unsolved::Failed("the solution does not decode".into());
        decode(solution).map(|solution| Solution { solution, by }).ok_or_else(why)
    });
    agent.settled(cx, &problem, outcome);
}

fn another<A: Solves<P>, P: Problem>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    problem: &[u8],
    solution: &[u8],
    by: Address,
) {
    if let Some((problem, solution)) = decode::<P>(problem).zip(decode(solution)) {
        agent.another(cx, &problem, Solution { solution, by });
    }
}

/// Shows what members ask each other.
pub(in crate::agent) fn show_ask<P: Problem>(body: &[u8]) -> Option<Value> {
    let problem = |of: &[u8]| serde_json::to_value(decode::<P>(of)?).ok();
    Some(match wire::decode_borrowed::<Ask<'_>>(body, BODY_BYTES_MAX).ok()? {
        Ask::Claim { key, problem: of, group } => {
            json!({ "claim": key, "problem": problem(&of), "group": names(&group) })
        }
        Ask::Follow { key, group } => json!({ "follow": key, "group": names(&group) }),
    })
}

/// Shows what members tell each other.
pub(in crate::agent) fn show_tell<P: Problem>(body: &[u8]) -> Option<Value> {
    let Tell::Solved { key, solution, by } = wire::decode_borrowed(body, BODY_BYTES_MAX).ok()?;
    Some(json!({
        "solved": key, "by": by.to_string(), "solution": self::solution::<P>(&solution),
    }))
}

/// Shows what members answer each other.
pub(in crate::agent) fn show_reply<P: Problem>(body: &[u8]) -> Option<Value> {
    Some(match decode(body)? {
        Reply::Yield(group) => json!({ "yield": names(&group) }),
        Reply::Mine(group) => json!({ "mine": names(&group) }),
        Reply::Solved { solution: of, by } => {
            json!({ "solved": solution::<P>(&of), "by": by.to_string() })
        }
        Reply::Wait(group) => json!({ "wait": names(&group) }),
        Reply::Elsewhere { whom, group } => {
            json!({ "elsewhere": whom.to_string(), "group": names(&group) })
        }
        Reply::Free { group, why } => json!({ "free": names(&group), "why": why }),
        Reply::Full => json!("full"),
    })
}

fn solution<P: Problem>(of: &[u8]) -> Option<Value> {
    serde_json::to_value(decode::<P::Solution>(of)?).ok()
}

fn names(group: &Group) -> Value {
    let names = |of: &std::collections::BTreeSet<Address>| {
        of.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    json!({ "members": names(&group.members), "tried": names(&group.tried) })
}
