use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    contract::{BidId, Contractor, Manager, Traversal},
    ident::Address,
    time::Time,
};

use crate::agent::{
    Dialog, WaitId,
    dealings::{Dealings, ROWS_SHOWN_MAX, more},
};

/// A contract that the agent has announced.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::agent) struct Managed {
    pub(in crate::agent) name: Cow<'static, str>,
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
pub(in crate::agent) struct JobRow {
    pub(in crate::agent) name: Cow<'static, str>,
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
    /// The contracts that were announced for it and have not ended.
    pub(super) nested: BTreeSet<u64>,
    /// When its manager is watched, where it is not yet: the work is done and not acknowledged.
    pub(super) watch_at: Option<Time>,
    /// What waits for the manager to say what has become of the contract.
    pub(super) settles: Option<WaitId>,
    pub(super) timer: Option<(WaitId, Time)>,
}

/// An announcement as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::agent) struct Announced {
    pub(super) manager: Address,
    pub(super) answers: Option<Dialog>,
    pub(super) contract: u64,
    pub(super) traversal: Traversal,
    pub(super) level: u8,
    pub(super) reach: Option<u8>,
    pub(super) until: Time,
    /// Until when a bid has to stand.
    pub(super) stands: Time,
    pub(super) body: Vec<u8>,
}

/// Bids that are shown of all contracts of one agent together.
const BIDS_SHOWN_MAX: usize = 512;

/// A number of a contract, a job or a bid as people see it. A JSON number loses digits.
pub(super) fn hex(number: u64) -> String {
    format!("{number:016x}")
}

impl Dealings {
    /// Whether a contract, past or present, or a job has that number.
    pub(super) fn has_number(&self, number: u64) -> bool {
        let past = self.past.get(number).is_some();
        past || self.managed.contains_key(&number) || self.jobs.contains_key(&number)
    }

    /// Whether another job of a sort may be under way beside those that are.
    pub(super) fn has_place(&self, name: &str, at_once: usize) -> bool {
        self.jobs.len() < at_once
            || self.jobs.values().filter(|job| job.name == name).count() < at_once
    }

    /// Announcements that wait, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.values().flatten().map(|announced| announced.body.len()).sum()
    }

    /// For people: each contract and job, and when its window ends. Of very many, the first, and
    /// how many there are beside them.
    pub(in crate::agent) fn contract_views(&self) -> Vec<(String, Time, Value)> {
        let mut room = BIDS_SHOWN_MAX;
        let mut views: Vec<_> = Vec::new();
        for (number, row) in self.managed.iter().take(ROWS_SHOWN_MAX) {
            let then = row.view(*number, &mut room);
            let until = row.machine.next_deadline().unwrap_or_default();
            views.push(("manager".to_owned(), until, then));
        }
        views.extend(more("manager", self.managed.len()));
        for (number, row) in self.jobs.iter().take(ROWS_SHOWN_MAX) {
            let then = json!({
                "contract": row.name, "number": hex(*number), "phase": row.machine.phase(),
                "manager": row.manager.to_string(), "managers_number": hex(row.contract),
                "level": row.level, "search": row.traversal.to_string(),
            });
            let until = row.machine.next_deadline().unwrap_or_default();
            views.push(("contractor".to_owned(), until, then));
        }
        views.extend(more("contractor", self.jobs.len()));
        for (name, queue) in self.waiting.iter().filter(|(_, queue)| !queue.is_empty()) {
            let until = queue.iter().map(|announced| announced.until).max().unwrap_or_default();
            let then = json!({ "contract": name, "announcements": queue.len() });
            views.push(("its turn".to_owned(), until, then));
        }
        views
    }
}

impl Managed {
    /// Whether whoever has made this bid was granted the work, and has not heard the end of it.
    pub(in crate::agent) fn has_granted(&self, bid: BidId) -> bool {
        self.machine.is_granted(bid)
    }

    fn view(&self, number: u64, room: &mut usize) -> Value {
        let bids = self.machine.story().take(*room).map(|(bid, state)| {
            json!({
                "bidder": bid.id.bidder.to_string(), "number": hex(bid.id.number),
                "cost": bid.cost, "is": state,
            })
        });
        let bids: Vec<Value> = bids.collect();
        *room -= bids.len();
        let mut view = json!({
            "contract": self.name, "number": hex(number), "phase": self.machine.phase(),
            "search": self.traversal.to_string(), "unanswered": self.asked.len(),
        });
        let more = self.machine.story().count() - bids.len();
        view["bids"] = bids.into();
        if more > 0 {
            view["more_bids"] = more.into();
        }
        view
    }
}
