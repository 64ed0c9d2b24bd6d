use std::time::Duration;

use serde_json::json;
use starling_protocols::{
    entropy::Entropy,
    ident::{Address, AgentId},
};

use super::{REST_WITHIN, start_members, without_gossip};
use crate::{
    faults::{FaultKind, HostNo},
    invariants::{
        CapsHold, EachEndIsToldOnce, Invariant, NobodyDies, NothingIsLeftOfPartners, PartnersAgree,
        RostersConverge,
    },
    run::Options,
    scenario::{Scenario, Times},
    sim::Sim,
    workload::{self, Cottage, Farm, Mistake, NEIGHBOUR_HOSTS_MAX, NEIGHBOURS, kinds},
};

/// How long a neighbour waits between two deeds, at most, in milliseconds.
const PACE_MS: u32 = 4_000;

/// Everybody has partners, leaves them and finds others.
#[derive(Debug, Default)]
pub struct Partners {
    /// A mistake that all neighbours make.
    pub flaw: Mistake,
}

impl Scenario for Partners {
    fn name(&self) -> &'static str {
        "partners"
    }

    fn about(&self) -> &'static str {
        "everybody has partners, leaves them and finds others: both sides agree, and nothing leaks"
    }

    fn hosts_max(&self) -> u32 {
        NEIGHBOUR_HOSTS_MAX
    }

    fn faults(&self) -> &'static [FaultKind] {
        // All goes by letters and questions, which take lanes.
        const FAULTS: [FaultKind; 20] = without_gossip(&FaultKind::ALL);
        &FAULTS
    }

    fn times(&self, options: &Options) -> Times {
        // A dead connection is noticed, a letter posted again, and a check repeated that could not
        // be posted.
        let rest = Duration::from_secs(120);
        Times { faults: options.minutes(), rest, ..Times::default() }
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        let mut whom: Vec<Address> = Vec::new();
        for host in (0..hosts).map(HostNo) {
            let at = sim.future_id(host);
            let both = [workload::cottage_of(host), workload::farm_of(host)];
            whom.extend(both.map(|agent| Address { host: at, agent }));
        }
        // There is always somebody who does not exist, or not any more.
        whom.push(Address { host: sim.future_id(HostNo(0)), agent: AgentId(999) });
        let flaw = self.flaw;
        start_members(sim, hosts, &kinds(), |host| {
            let cottage = Cottage::new(whom.clone(), PACE_MS, flaw);
            let farm = Farm::new(whom.clone(), PACE_MS, flaw);
            vec![
                (workload::cottage_of(host), workload::start(&cottage)),
                (workload::farm_of(host), workload::start(&farm)),
            ]
        });
    }

    fn rest(&mut self, sim: &mut Sim) {
        for host in sim.hosts().filter(|host| sim.is_running(*host)).collect::<Vec<_>>() {
            for agent in [workload::cottage_of(host), workload::farm_of(host)] {
                let to = sim.address(host, agent);
                sim.ask(host, to, "sim/rest", &json!({}), REST_WITHIN);
            }
        }
    }

    fn watched(&self) -> &'static [AgentId] {
        &NEIGHBOURS
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(EachEndIsToldOnce),
            Box::new(PartnersAgree),
            Box::new(NothingIsLeftOfPartners),
        ]
    }
}
