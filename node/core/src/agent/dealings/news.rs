use std::borrow::Cow;

use starling_protocols::{
    contract::{BidId, End, Ended},
    ident::Address,
    partner::{Bond, Declined, Parted, Row, Wants},
    solver::Unsolved,
};

use super::Dealings;
use crate::agent::{Agent, Cx, interests::Does};

/// How often an agent may be told something in one turn: one that begins anew whenever it is told
/// that nothing came of it would never end.
const NEWS_PER_INPUT_MAX: usize = 65_536;

/// What the agent is to be told.
#[derive(Debug)]
pub(in crate::agent) enum News {
    Bid { contract: u64, bid: BidId },
    Gone { contract: u64, bid: BidId },
    Closed { contract: u64 },
    Over { contract: u64, end: End },
    Announced { job: u64, body: Vec<u8> },
    Granted { job: u64, body: Vec<u8> },
    JobOver { job: u64, how: Ended },
    Partner(PartnerNews),
    Problem { name: String, problem: Vec<u8>, what: ProblemNews },
}

/// What has become of a partner, or of one that was to be.
#[derive(Debug)]
pub(in crate::agent) enum PartnerNews {
    /// The agent is asked whether it agrees.
    Asked {
        relation: Cow<'static, str>,
        from: Address,
        wants: Wants,
    },
    Declined {
        bond: Bond,
        row: Row,
        why: Declined,
    },
    Parted {
        bond: Bond,
        row: Row,
        how: Parted,
        brothers: Vec<Address>,
    },
    Restarted {
        bond: Bond,
        before: Address,
    },
}

/// What has become of a problem.
#[derive(Debug)]
pub(in crate::agent) enum ProblemNews {
    /// It is this agent that solves it.
    Solve(u64),
    Settled(Result<(Vec<u8>, Address), Unsolved>),
    Another(Vec<u8>, Address),
}

impl News {
    /// Of a contract: whether it is told to its manager, or to a contractor.
    pub(in crate::agent) const fn is_of_manager(&self) -> bool {
        matches!(
            self,
            Self::Bid { .. } | Self::Gone { .. } | Self::Closed { .. } | Self::Over { .. }
        )
    }
}

impl Dealings {
    /// The name under which the kind declares what something is told of.
    fn name_of(&self, news: &News) -> Option<Cow<'static, str>> {
        match news {
            News::Bid { contract, .. }
            | News::Gone { contract, .. }
            | News::Closed { contract }
            | News::Over { contract, .. } => self.managed.get(contract).map(|row| row.name.clone()),
            News::Announced { job, .. } | News::Granted { job, .. } | News::JobOver { job, .. } => {
                self.jobs.get(job).map(|row| row.name.clone())
            }
            News::Partner(PartnerNews::Declined { row, .. } | PartnerNews::Parted { row, .. }) => {
                Some(row.ends.mine.clone())
            }
            News::Partner(PartnerNews::Asked { relation, .. }) => Some(relation.clone()),
            News::Partner(PartnerNews::Restarted { bond, .. }) => {
                self.partners.get(*bond).map(|row| row.ends.mine.clone())
            }
            News::Problem { name, .. } => Some(Cow::Owned(name.clone())),
        }
    }
}

/// How an agent hears of its dealings.
impl<A: Agent> Cx<'_, A> {
    /// Tells the agent what has come of its dealings in this turn, and what comes of that.
    pub(in crate::agent) fn tell_news<'f>(
        &mut self,
        agent: &mut A,
        find: impl Fn(&str) -> Option<&'f Does<A>>,
    ) where
        A: 'f,
    {
        for _ in 0..NEWS_PER_INPUT_MAX {
            let Some(news) = self.dealings.news.pop_front() else { return };
            self.tell_one(agent, news, &find);
        }
        panic!("an agent of kind {} was told of its dealings without end", A::KIND);
    }

    fn tell_one<'f>(
        &mut self,
        agent: &mut A,
        news: News,
        find: &impl Fn(&str) -> Option<&'f Does<A>>,
    ) where
        A: 'f,
    {
        let Some(name) = self.dealings.name_of(&news) else { return };
        match (find(&name), news) {
            (Some(Does::Partner(fns)), News::Partner(news)) => self.tell_partner(agent, fns, news),
            (Some(Does::Solve(fns)), News::Problem { problem, what, .. }) => {
                self.tell_of_problem(agent, fns, &problem, what);
            }
            (_, News::Partner(_) | News::Problem { .. }) => {}
            (Some(Does::Contract(fns)), news) => self.tell_of_contract(agent, fns, news),
            (_, news) => self.tell_nobody(&news),
        }
    }
}
