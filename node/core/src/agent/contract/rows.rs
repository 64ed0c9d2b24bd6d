use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    contract::{BidId, Contractor, Manager, Traversal},
    ident::Address,
    time::Time,
};

use crate::agent::{
    Dialog, WaitId,
    dealings::{Dealings, News},
};

/// A contract that the agent has announced.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::agent) struct Managed {
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
pub(in crate::agent) struct JobRow {
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
pub(in crate::agent) struct Announced {
    pub(super) manager: Address,
    pub(super) answers: Option<Dialog>,
    pub(super) contract: u64,
    pub(super) traversal: Traversal,
    pub(super) level: u8,
    pub(super) reach: Option<u8>,
    pub(super) until: Time,
    pub(super) body: Vec<u8>,
}

impl Dealings {
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
