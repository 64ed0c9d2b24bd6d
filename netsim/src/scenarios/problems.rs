use std::time::Duration;

use starling_protocols::{
    entropy::Entropy,
    ident::{Address, AgentId},
};

use super::{start_members, tell_to_rest, without_gossip};
use crate::{
    faults::{FaultKind, HostNo},
    invariants::{
        AllAreSettled, CapsHold, Invariant, NobodyDies, OneActs, RostersConverge, SolutionsAreFound,
    },
    run::Options,
    scenario::{Scenario, Times},
    sim::Sim,
    workload::{self, SMITH, Slip, Smith, TINKER, Tinker, kinds},
};

/// How long a fixer waits between two alarms, at most, in milliseconds.
const PACE_MS: u32 = 24_000;

/// Groups have problems together, and of each one acts.
#[derive(Debug, Default)]
pub struct Problems {
    /// A mistake that all fixers make.
    pub flaw: Slip,
}

/// All but gossip, and but calendars that are set: acts are compared by them.
const FAULTS: [FaultKind; 19] = {
    let all: [FaultKind; 20] = without_gossip(&FaultKind::ALL);
    let mut kinds = [FaultKind::Loss; 19];
    let (mut from, mut to) = (0, 0);
    while from < all.len() {
        if !matches!(all[from], FaultKind::ClockJump) {
            kinds[to] = all[from];
            to += 1;
        }
        from += 1;
    }
    kinds
};

impl Scenario for Problems {
    fn name(&self) -> &'static str {
        "problems"
    }

    fn about(&self) -> &'static str {
        "groups have problems together: of each group one acts, and all get the solution"
    }

    fn faults(&self) -> &'static [FaultKind] {
        &FAULTS
    }

    fn times(&self, options: &Options) -> Times {
        // Long enough for many problems at which nothing goes wrong any more.
        let afterglow = Duration::from_secs(120);
        // All the time that a problem has, for one that is noticed last of all.
        let rest = Duration::from_secs(110);
        Times { faults: options.minutes(), afterglow, rest }
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        let all = (0..hosts).map(HostNo).flat_map(|host| {
            [TINKER, SMITH].map(|agent| Address { host: sim.future_id(host), agent })
        });
        let whom: Vec<Address> = all.collect();
        let flaw = self.flaw;
        start_members(sim, hosts, &kinds(), |_| {
            let tinker = Tinker::new(whom.clone(), PACE_MS, flaw);
            let smith = Smith::new(whom.clone(), PACE_MS, flaw);
            vec![(TINKER, workload::start(&tinker)), (SMITH, workload::start(&smith))]
        });
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[TINKER, SMITH]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[TINKER, SMITH]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(SolutionsAreFound),
            Box::new(OneActs::default()),
            Box::new(AllAreSettled),
        ]
    }
}
