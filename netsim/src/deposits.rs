use std::{cell::RefCell, rc::Rc, time::Duration};

use serde_json::json;
use starling_core::engine::Ticket;
use starling_protocols::entropy::Entropy;

use crate::{faults::HostNo, sim::Sim, workload::TILL};

/// How long somebody outside waits for the answer.
const BUDGET: Duration = Duration::from_secs(15);

/// What people outside have paid in: a scenario pays, an invariant looks at what came of it.
#[derive(Clone, Debug, Default)]
pub struct Deposits(Rc<RefCell<Vec<Paid>>>);

/// One payment from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paid {
    pub(crate) asked_at: HostNo,
    pub(crate) ticket: Ticket,
    pub(crate) to: HostNo,
    pub(crate) key: u64,
}

impl Deposits {
    pub(crate) fn all(&self) -> Vec<Paid> {
        self.0.borrow().clone()
    }

    /// Pays something in at the till of one host, from outside at another.
    pub(crate) fn pay(&self, sim: &mut Sim, asked_at: HostNo, to: HostNo, own: &mut Entropy) {
        // JSON numbers are exact up to here.
        let key = own.u64() >> 12;
        let later = (own.below(4) == 0).then(|| own.below(3000));
        let body = json!({ "key": key, "sum": 1 + own.below(1000), "later_ms": later });
        let till = sim.address(to, TILL);
        let ticket = sim.ask(asked_at, till, "sim/deposit", &body, BUDGET);
        self.0.borrow_mut().push(Paid { asked_at, ticket, to, key });
    }

    /// As [`pay`](Self::pay), from and to any host.
    pub(crate) fn pay_somewhere(&self, sim: &mut Sim, own: &mut Entropy) {
        let hosts: Vec<HostNo> = sim.hosts().collect();
        let mut any = || usize::try_from(own.below(hosts.len() as u64)).unwrap_or_default();
        let (from, to) = (hosts[any()], hosts[any()]);
        self.pay(sim, from, to, own);
    }
}
