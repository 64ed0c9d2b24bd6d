use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Deref, DerefMut},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    contract::{BidId, Contractor, End, Ended, Manager, Traversal, Visited},
    ident::Address,
    limits::{CONTRACTS_PER_AGENT_MAX, WAITS_PER_AGENT_MAX},
    time::Time,
};

use crate::agent::{
    Dialog, WaitId,
    waits::{Book, Wait, What},
};

/// All contracts of one agent, in both roles. Part of what is saved of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dealings {
    /// The number of the next contract or job.
    pub(super) next: u64,
    /// Boxed, as are the jobs: a node of a map has room for eleven of what it holds, and with these
    /// in it each first contract would allocate several kilobytes.
    pub(super) managed: BTreeMap<u64, Box<Managed>>,
    pub(super) jobs: BTreeMap<u64, Box<JobRow>>,
    pub(super) visited: Visited,
    /// Announcements that wait because enough jobs of their sort are under way.
    pub(super) waiting: BTreeMap<String, VecDeque<Announced>>,
    pub(crate) waits: Waits,
    /// What the agent is to be told in this turn.
    #[serde(skip)]
    pub(super) news: VecDeque<News>,
}

/// The contracts of an agent, if it has ever had any: most never do, and there are many of them.
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

/// A contract that the agent has announced.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Managed {
    pub(super) name: String,
    pub(super) machine: Manager,
    pub(super) traversal: Traversal,
    /// The job for which it was announced.
    pub(super) job: Option<u64>,
    pub(super) timer: Option<(WaitId, Time)>,
    /// Those who have not answered, each with what waits for that.
    pub(super) asked: BTreeMap<Address, WaitId>,
    /// Those who were granted the work and have not reported.
    pub(super) granted: BTreeMap<BidId, WaitId>,
}

/// The agent's part in a contract of another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JobRow {
    pub(super) name: String,
    pub(super) machine: Contractor,
    /// Who announced it, or has granted it since.
    pub(super) manager: Address,
    /// The manager's number for it.
    pub(super) contract: u64,
    pub(super) traversal: Traversal,
    pub(super) level: u8,
    pub(super) reach: Option<u8>,
    /// The question of the manager's that is to be answered next. A bid for what was announced to
    /// all is no answer.
    pub(super) answers: Option<Dialog>,
    /// Others may be asked for it, and were not for the search's reach.
    pub(super) further: bool,
    pub(super) timer: Option<(WaitId, Time)>,
}

/// An announcement as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    pub(super) manager: Address,
    pub(super) answers: Option<Dialog>,
    pub(super) contract: u64,
    pub(super) traversal: Traversal,
    pub(super) level: u8,
    pub(super) reach: Option<u8>,
    pub(super) until: Time,
    pub(super) body: Vec<u8>,
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
}

/// What an agent's contracts wait for. Their ids are told from those of its own waits by a bit that
/// no place in a table reaches.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Waits(Book<For>);

const OF_CONTRACTS: u64 = 1 << 31;

impl Waits {
    /// Whether a wait is one of contracts.
    pub(crate) const fn has(wait: WaitId) -> bool {
        wait.0 & OF_CONTRACTS != 0
    }

    /// How many answers may be waited for, so that there is always room for the windows.
    pub(super) fn room(&self) -> usize {
        let most = WAITS_PER_AGENT_MAX - 2 * CONTRACTS_PER_AGENT_MAX - 64;
        most.saturating_sub(self.0.len())
    }

    pub(super) fn begin(&mut self, then: For, what: What, until: Time) -> WaitId {
        assert!(!self.0.is_full(), "the contracts of one agent wait for too much");
        WaitId(self.0.add(Wait { then, what, until, task: None }).0 | OF_CONTRACTS)
    }

    pub(super) fn end(&mut self, wait: WaitId) -> Option<(For, Time)> {
        let Wait { then, until, .. } = self.0.take(WaitId(wait.0 & !OF_CONTRACTS))?;
        Some((then, until))
    }

    pub(crate) fn get(&self, wait: WaitId) -> Option<(What, Time)> {
        let wait = self.0.get(WaitId(wait.0 & !OF_CONTRACTS))?;
        Some((wait.what, wait.until))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WaitId, What, Time)> {
        let waits = self.0.iter();
        waits.map(|(id, wait)| (WaitId(id.0 | OF_CONTRACTS), wait.what, wait.until))
    }
}

/// What the agent is to be told.
#[derive(Debug)]
pub(super) enum News {
    Bid { contract: u64, bid: BidId },
    Closed { contract: u64 },
    Over { contract: u64, end: End },
    Announced { job: u64, body: Vec<u8> },
    Granted { job: u64, body: Vec<u8> },
    JobOver { job: u64, how: Ended },
}

impl News {
    pub(super) const fn is_of_manager(&self) -> bool {
        matches!(self, Self::Bid { .. } | Self::Closed { .. } | Self::Over { .. })
    }
}

impl Dealings {
    /// Whether there is nothing to save.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == 0 && self.visited.is_empty()
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The name of the contract that something is told of.
    pub(super) fn name_of(&self, news: &News) -> Option<&str> {
        match news {
            News::Bid { contract, .. }
            | News::Closed { contract }
            | News::Over { contract, .. } => {
                self.managed.get(contract).map(|row| row.name.as_str())
            }
            News::Announced { job, .. } | News::Granted { job, .. } | News::JobOver { job, .. } => {
                self.jobs.get(job).map(|row| row.name.as_str())
            }
        }
    }

    /// How many jobs of a sort are under way.
    pub(super) fn jobs_of(&self, name: &str) -> usize {
        self.jobs.values().filter(|job| job.name == name).count()
    }

    /// For people: each contract and job, and when its window ends.
    pub(crate) fn views(&self) -> Vec<(String, Time, Value)> {
        let contracts = self.managed.iter().map(|(number, row)| {
            let bids = row.machine.story().map(|(bid, state)| {
                json!({ "bidder": bid.id.bidder.to_string(), "cost": bid.cost, "is": state })
            });
            let then = json!({
                "contract": row.name, "number": number, "phase": row.machine.phase(),
                "unanswered": row.asked.len(), "bids": bids.collect::<Vec<_>>(),
            });
            ("manager".to_owned(), row.machine.next_deadline().unwrap_or_default(), then)
        });
        let jobs = self.jobs.iter().map(|(number, row)| {
            let then = json!({
                "contract": row.name, "number": number, "phase": row.machine.phase(),
                "manager": row.manager.to_string(), "level": row.level,
            });
            ("contractor".to_owned(), row.machine.next_deadline().unwrap_or_default(), then)
        });
        contracts.chain(jobs).collect()
    }
}
