use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use starling_core::agent::{
    prelude::*,
    resources::{Allocation, AllocationId, Usage, Want},
};
use starling_protocols::contract::BidId;

use super::{Errand, PORTS, Plan, Trader, UNITS};

/// A contract that a trader has announced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deal {
    /// Differs from that of every other.
    pub key: u64,
    /// What it was announced for: the same when the same is ordered again.
    pub order: u64,
    /// How many it wants to have for the order.
    pub wanted: usize,
    /// What is wanted.
    pub errand: Errand,
    /// How it decides.
    pub plan: Plan,
    /// Those who were granted it: the keys of their parts, and their bids.
    pub granted: Vec<(u64, BidId)>,
    /// Those who have reported.
    pub reported: BTreeSet<u64>,
    /// How it ended, once it has.
    pub end: Option<String>,
}

/// A trader's part in a contract of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Differs from that of every other.
    pub key: u64,
    /// What was announced.
    pub errand: Errand,
    /// What it has set aside.
    pub hold: Option<Hold>,
    /// The deal that it was granted.
    pub granted: Option<u64>,
    /// It has reported while the report was wanted.
    pub done: bool,
    /// The contract that it has announced for it.
    pub nested: Option<ContractId<Errand>>,
    /// How it ended, once it has.
    pub end: Option<String>,
}

/// What a trader believes that it has set aside for a job. Kept beside its resources, so that the
/// one can be compared with the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// The allocation.
    pub id: AllocationId,
    /// Until when it must be confirmed; none when it is.
    pub until: Option<Time>,
}

impl<const KEPT: bool> Trader<KEPT> {
    /// Sets aside what an errand takes: for a while, or until it is told otherwise.
    pub(super) fn set_aside(
        &mut self,
        cx: &Cx<'_, Self>,
        errand: &Errand,
        firmly: bool,
    ) -> Option<Hold> {
        let mut want = Want::of("units", errand.units);
        if errand.ports > 0 {
            want = want.and("ports", errand.ports);
        }
        let now = cx.now();
        let id = match firmly {
            true => self.store.allocate(&want, now).ok()?,
            false => self.store.preallocate(&want, now).ok()?,
        };
        let until = self.store.allocation(id).and_then(Allocation::until);
        Some(Hold { id, until })
    }

    /// Gives back what was set aside for a job. What has expired is gone already.
    pub(super) fn release(&mut self, cx: &Cx<'_, Self>, job: Job<Errand>) {
        let hold = self.parts.get_mut(&job).and_then(|part| part.hold.take());
        let Some(Hold { id, until }) = hold else { return };
        let released = self.store.release(id).is_ok();
        if !released && until.is_none() {
            self.complain(cx, "what it held firmly was gone");
        }
    }

    /// Counts how something ended.
    pub(super) fn count(&mut self, end: &str) {
        *self.ends.entry(end.to_owned()).or_default() += 1;
    }

    /// Compares what is allocated with what should be, and both with what there is.
    pub(super) fn audit(&mut self, cx: &Cx<'_, Self>) {
        let now = cx.now();
        self.store.sweep(now);
        if let Err(why) = self.balance(now) {
            self.complain(cx, &why);
        }
    }

    fn balance(&self, now: Time) -> Result<(), String> {
        let (mut units, mut ports) = ([0, 0], [0, 0]);
        let (mut all_ports, mut held) = (BTreeSet::new(), 0);
        for part in self.parts.values() {
            let Some(Hold { id, until }) = &part.hold else { continue };
            if until.is_some_and(|until| until <= now) {
                continue;
            }
            held += 1;
            let Some(allocation) = self.store.allocation(*id) else {
                return Err(format!("{id} is gone"));
            };
            let firm = usize::from(until.is_none());
            units[firm] += part.errand.units;
            ports[firm] += part.errand.ports;
            let values: Vec<u64> = allocation.shares().values("ports").collect();
            let inside = values.iter().all(|port| PORTS.contains(port));
            if !inside || values.len() as u64 != part.errand.ports {
                return Err(format!("{id} has the ports {values:?}"));
            }
            if let Some(port) = values.into_iter().find(|port| !all_ports.insert(*port)) {
                return Err(format!("port {port} was given to two"));
            }
        }
        let there = self.store.allocations().len();
        if there != held {
            return Err(format!("{there} allocations are there, {held} should be"));
        }
        let usage = self.store.usage();
        let is = |name: &str, [pending, firm]: [u64; 2], total: u64| {
            let Usage { allocated, pending: held, free, .. } = usage[name];
            let good = (allocated, held) == (firm, pending) && firm + pending + free == total;
            good.then_some(()).ok_or_else(|| {
                format!("{name}: {firm} + {pending} of {total} are sold, not {:?}", usage[name])
            })
        };
        is("units", units, UNITS)?;
        is("ports", ports, PORTS.count() as u64)
    }
}
