use starling_protocols::{entropy::Entropy, ident::AgentId};

use super::{
    FIRST_BALANCE, caller, crier, start_members, tell_to_rest, till, tills, worker, workers,
};
use crate::{
    deposits::Deposits,
    faults::FaultKind,
    invariants::{
        AcknowledgedIsDurable, AtMostOnce, CapsHold, EveryCallEnds, Invariant, LettersOnceInOrder,
        MoneyIsKept, NobodyDies, OrderedTopics, RostersConverge, WaitsGoOn,
    },
    scenario::Scenario,
    sim::Sim,
    workload::{CALLER, CRIER, TILL, WORKER, kinds},
};

/// Questions, topics and money at once.
#[derive(Debug, Default)]
pub struct Mixed {
    deposits: Deposits,
    own: Option<Entropy>,
}

impl Scenario for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn about(&self) -> &'static str {
        "every host asks, pays and speaks to all others, while everything goes wrong that can"
    }

    fn faults(&self) -> &'static [FaultKind] {
        &FaultKind::ALL
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy) {
        let (whom, pays) = (workers(sim, hosts), tills(sim, hosts));
        let residents = |_| vec![worker(), caller(&whom, 1500), crier(6000, 3), till(&pays, 4000)];
        start_members(sim, hosts, &kinds(), residents);
        self.own = Some(entropy.fork("deposits"));
    }

    fn step(&mut self, sim: &mut Sim) {
        if let Some(own) = &mut self.own {
            self.deposits.pay_somewhere(sim, own);
        }
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[CALLER, CRIER, TILL]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[WORKER, CALLER, CRIER, TILL]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        let deposits = self.deposits.clone();
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(EveryCallEnds),
            Box::new(AtMostOnce),
            Box::new(OrderedTopics),
            Box::new(AcknowledgedIsDurable { deposits }),
            Box::new(LettersOnceInOrder),
            Box::new(MoneyIsKept { first: FIRST_BALANCE }),
            Box::new(WaitsGoOn),
        ]
    }
}
