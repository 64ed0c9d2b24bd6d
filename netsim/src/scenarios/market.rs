use std::time::Duration;

use starling_protocols::{
    entropy::Entropy,
    ident::{Address, AgentId},
};

use super::{start_members, tell_to_rest, without_gossip};
use crate::{
    faults::{FaultKind, HostNo},
    invariants::{
        CapsHold, Invariant, NobodyDies, NobodyIsGrantedTwice, NothingIsLeftOfContracts,
        RostersConverge, TradersAgree,
    },
    run::Options,
    scenario::{Scenario, Times},
    sim::Sim,
    workload::{self, Flaw, SHOP, STALL, Shop, Stall, kinds},
};

/// How long a trader waits between two orders, at most, in milliseconds.
const PACE_MS: u32 = 12_000;

/// Everybody trades with everybody, by contracts.
#[derive(Debug, Default)]
pub struct Market {
    /// A mistake that all traders make.
    pub flaw: Flaw,
}

impl Scenario for Market {
    fn name(&self) -> &'static str {
        "market"
    }

    fn about(&self) -> &'static str {
        "everybody trades with everybody by contracts: nothing is granted twice, and nothing leaks"
    }

    fn faults(&self) -> &'static [FaultKind] {
        // Whatever is announced to an interest goes over lanes, not by gossip, where there are so
        // few hosts.
        const FAULTS: [FaultKind; 20] = without_gossip(&FaultKind::ALL);
        &FAULTS
    }

    fn times(&self, options: &Options) -> Times {
        // All windows of one contract in one of another, and what was sold comes back.
        let rest = Duration::from_secs(80);
        Times { faults: options.minutes(), rest, ..Times::default() }
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        let all = (0..hosts).map(HostNo).flat_map(|host| {
            [STALL, SHOP].map(|agent| Address { host: sim.future_id(host), agent })
        });
        let mut whom: Vec<Address> = all.collect();
        // There is always somebody who does not exist, or not any more.
        whom.push(Address { host: sim.future_id(HostNo(0)), agent: AgentId(999) });
        let flaw = self.flaw;
        start_members(sim, hosts, &kinds(), |_| {
            let stall = Stall::new(whom.clone(), PACE_MS, flaw);
            let shop = Shop::new(whom.clone(), PACE_MS, flaw);
            vec![(STALL, workload::start(&stall)), (SHOP, workload::start(&shop))]
        });
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[STALL, SHOP]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[STALL, SHOP]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(NobodyIsGrantedTwice),
            Box::new(TradersAgree),
            Box::new(NothingIsLeftOfContracts),
        ]
    }
}
