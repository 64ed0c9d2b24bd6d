//! What the SDK keeps for an agent beside its state: its contracts, its partners, and who watches
//! whom.

mod news;

pub(super) use news::{News, PartnerNews, ProblemNews};

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    ops::{Deref, DerefMut},
    sync::LazyLock,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    contract::{BidId, Visited},
    exchange::Codec,
    ident::Address,
    limits::{
        BODY_BYTES_MAX, CONTRACTS_PER_AGENT_MAX, PROBLEMS_PER_AGENT_MAX, WAITS_PER_AGENT_MAX,
    },
    partner::{Bond, Partnerships},
    time::Time,
    wire,
};

use super::{
    Agent, Cx, Effect, Rejection, WaitId,
    contract::{self, Announced, JobRow, Managed, PastContracts},
    cx::encode,
    partners,
    solve::{Awaited, Problems},
    waits::{Book, Wait, What},
    watch::Watches,
};

/// All that the SDK does for one agent beside handing it messages. Part of what is saved of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dealings {
    /// Boxed, as are the jobs: a node of a map has room for eleven of what it holds, and with these
    /// in it each first contract would allocate several kilobytes.
    pub(super) managed: BTreeMap<u64, Box<Managed>>,
    /// Contracts that have ended, as far as they are remembered.
    pub(super) past: PastContracts,
    pub(super) jobs: BTreeMap<u64, Box<JobRow>>,
    pub(super) visited: Visited,
    /// Announcements that wait because enough jobs of their sort are under way.
    pub(super) waiting: BTreeMap<Cow<'static, str>, VecDeque<Announced>>,
    pub(super) watches: Watches,
    pub(super) partners: Partnerships,
    /// When the next window of a proposal ends.
    pub(super) proposals: Option<(WaitId, Time)>,
    pub(super) problems: Problems,
    pub(crate) waits: Waits,
    /// What the agent is to be told in this turn.
    #[serde(skip)]
    pub(super) news: VecDeque<News>,
}

/// The dealings of an agent, if it has ever had any: most never do, and there are many of them.
#[derive(Debug, Default)]
pub(crate) struct Lazy(Option<Box<Dealings>>);

static NONE: LazyLock<Dealings> = LazyLock::new(Dealings::default);

impl Lazy {
    pub(crate) const fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl From<Dealings> for Lazy {
    fn from(dealings: Dealings) -> Self {
        Self(Some(Box::new(dealings)))
    }
}

impl Deref for Lazy {
    type Target = Dealings;
    fn deref(&self) -> &Dealings {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Lazy {
    fn deref_mut(&mut self) -> &mut Dealings {
        self.0.get_or_insert_default()
    }
}

/// What something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum For {
    /// The answer to an announcement.
    Answer { contract: u64, from: Address },
    /// The report on a grant.
    Report { contract: u64, bid: BidId },
    /// The end of a window of a contract.
    Window { contract: u64 },
    /// The end of a window of a job.
    JobWindow { job: u64 },
    /// Something for a problem of a group.
    Problem { problem: u64, what: Awaited },
    /// What has become of the contract of a job that is done.
    Settled { job: u64 },
    /// The end of another agent that is watched.
    Watch { reason: Reason },
    /// The end of the window of a proposal.
    Proposals,
}

/// Why another agent is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Reason {
    /// It manages a job that this agent does.
    Job(u64),
    /// It is a partner.
    Partner(Bond),
}

/// What the SDK waits for on an agent's behalf. The ids are told from those of its own waits by a
/// bit that no place in a table reaches.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Waits(Book<For>);

const OF_DEALINGS: u64 = 1 << 31;

impl Waits {
    /// Whether a wait is one of these.
    pub(crate) const fn has(wait: WaitId) -> bool {
        wait.0 & OF_DEALINGS != 0
    }

    /// Whether nothing was ever waited for: the ids of waits are not given twice.
    fn is_new(&self) -> bool {
        self.0.is_new()
    }

    /// How many answers may be waited for, so that there is always room for the windows.
    pub(super) fn room(&self) -> usize {
        let windows = 3 * CONTRACTS_PER_AGENT_MAX + PROBLEMS_PER_AGENT_MAX + 64;
        let most = WAITS_PER_AGENT_MAX - windows;
        most.saturating_sub(self.0.len())
    }

    pub(super) fn begin(&mut self, then: For, what: What, until: Time) -> WaitId {
        assert!(!self.0.is_full(), "the dealings of one agent wait for too much");
        WaitId(self.0.add(Wait { then, what, until, task: None }).0 | OF_DEALINGS)
    }

    pub(super) fn end(&mut self, wait: WaitId) -> Option<(For, Time)> {
        let Wait { then, until, .. } = self.0.take(WaitId(wait.0 & !OF_DEALINGS))?;
        Some((then, until))
    }

    pub(crate) fn get(&self, wait: WaitId) -> Option<(What, Time)> {
        let wait = self.0.get(WaitId(wait.0 & !OF_DEALINGS))?;
        Some((wait.what, wait.until))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WaitId, What, Time)> {
        let waits = self.0.iter();
        waits.map(|(id, wait)| (WaitId(id.0 | OF_DEALINGS), wait.what, wait.until))
    }
}

impl Dealings {
    /// Whether there is nothing to save.
    pub(crate) fn is_empty(&self) -> bool {
        let contracts = self.managed.is_empty() && self.jobs.is_empty() && self.past.is_empty();
        contracts
            && self.visited.is_empty()
            && self.waiting.is_empty()
            && self.watches.is_empty()
            && self.partners.is_empty()
            && self.proposals.is_none()
            && self.problems.is_empty()
            && self.waits.is_new()
    }

    /// For people: all of them, each with when it waits no longer.
    pub(super) fn views(&self) -> Vec<(String, Time, Value)> {
        let mut views = self.contract_views();
        views.extend(partners::views(&self.partners));
        views.extend(self.problems.views());
        views
    }
}

/// Contracts, jobs and partners that are shown, each.
pub(super) const ROWS_SHOWN_MAX: usize = 256;

/// For people: how many there are of something beside those that are shown.
pub(super) fn more(what: &str, all: usize) -> Option<(String, Time, Value)> {
    let more = all.checked_sub(ROWS_SHOWN_MAX + 1)? + 1;
    Some((what.to_owned(), Time::ZERO, json!({ "more": more })))
}

/// How the SDK itself asks, tells and waits.
impl<A: Agent> Cx<'_, A> {
    /// What was waited for has come.
    pub(super) fn dealings_resumed(
        &mut self,
        wait: WaitId,
        part: impl Fn(&str) -> Option<contract::Part>,
    ) {
        let outcome = self.outcome();
        let Some((what, until)) = self.dealings.waits.end(wait) else { return };
        match what {
            For::Answer { .. }
            | For::Report { .. }
            | For::Window { .. }
            | For::JobWindow { .. }
            | For::Settled { .. } => {
                self.contract_resumed(what, outcome, part);
            }
            For::Problem { problem, what } => self.problem_resumed(problem, what, outcome),
            For::Watch { reason } => {
                self.watch_ended(reason, until, outcome.map(|outcome| outcome.map(drop)));
            }
            For::Proposals => self.proposals_are_due(),
        }
    }

    pub(super) fn ask_of(
        &mut self,
        to: Address,
        name: impl Into<Cow<'static, str>>,
        body: Vec<u8>,
        budget: Duration,
        until: Time,
        what: For,
    ) -> WaitId {
        let wait = self.wait_for(What::Reply, until, what);
        self.push(Effect::Request { to, name: name.into(), body, wait, budget });
        wait
    }

    pub(super) fn tell_of<T: Serialize>(&mut self, to: Address, name: Cow<'static, str>, tell: &T) {
        self.tell_encoded(to, name, encode(tell));
    }

    pub(super) fn tell_encoded(&mut self, to: Address, name: Cow<'static, str>, body: Vec<u8>) {
        self.push(Effect::Notify { to, name, body });
    }

    pub(super) fn wait_for(&mut self, what: What, until: Time, then: For) -> WaitId {
        self.dealings.waits.begin(then, what, until)
    }

    pub(super) fn forget_wait(&mut self, wait: WaitId) {
        if let Some((_, until)) = self.dealings.waits.end(wait) {
            self.push(Effect::Forget { at: until, wait });
        }
    }

    /// Changes a timer to what is due now.
    pub(super) fn set_timer(
        &mut self,
        timer: Option<(WaitId, Time)>,
        due: Option<Time>,
        what: For,
    ) -> Option<(WaitId, Time)> {
        if timer.map(|(_, at)| at) == due {
            return timer;
        }
        if let Some((wait, _)) = timer {
            self.forget_wait(wait);
        }
        let at = due?;
        let wait = self.wait_for(What::Timer, at, what);
        self.push(Effect::Wake { at, wait });
        Some((wait, at))
    }
}

/// Reads what agents say to each other by these means: people and programs outside the mesh have
/// none of them.
pub(super) fn read<'a, T: Deserialize<'a>>(codec: Codec, body: &'a [u8]) -> Result<T, Rejection> {
    if codec == Codec::Json {
        let why = "this is between agents; nobody outside the mesh can take part";
        return Err(Rejection::BadBody(why.to_owned()));
    }
    wire::decode_borrowed(body, BODY_BYTES_MAX).map_err(|why| Rejection::BadBody(why.to_string()))
}
