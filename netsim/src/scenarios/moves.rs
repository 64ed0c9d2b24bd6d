use starling_protocols::entropy::Entropy;

use super::start_members;
use crate::{
    faults::FaultKind,
    invariants::{CapsHold, Invariant, NobodyRefusesDocuments, OneHome, RostersConverge},
    scenario::Scenario,
    sim::Sim,
    travels::Travels,
    workload::kinds,
};

/// Agents go from host to host: given away, and taken up by those who think that their host is dead.
#[derive(Debug, Default)]
pub struct Moves {
    travels: Travels,
    own: Option<Entropy>,
}

impl Scenario for Moves {
    fn name(&self) -> &'static str {
        "moves"
    }

    fn about(&self) -> &'static str {
        "agents are given to other hosts and taken up after deaths that were none: each has one home"
    }

    fn faults(&self) -> &'static [FaultKind] {
        const FAULTS: &[FaultKind] = &[
            FaultKind::Loss,
            FaultKind::Spikes,
            FaultKind::Partition,
            FaultKind::OneWay,
            FaultKind::Reset,
            FaultKind::SlowLink,
            FaultKind::Pause,
            FaultKind::SlowHost,
            FaultKind::ClockJump,
            FaultKind::ClockDrift,
            FaultKind::Crash,
            FaultKind::PowerCut,
            FaultKind::DiskFull,
            FaultKind::SlowDisk,
            FaultKind::StalledDisk,
            FaultKind::FailedSync,
            FaultKind::CrashAtDisk,
            FaultKind::LostPages,
            FaultKind::TornPages,
        ];
        FAULTS
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy) {
        sim.set_documents(true);
        start_members(sim, hosts, &kinds(), |_| Vec::new());
        self.own = Some(entropy.fork("travels"));
    }

    fn step(&mut self, sim: &mut Sim) {
        if self.travels.is_over() {
            return self.travels.hush(sim);
        }
        let Some(own) = &mut self.own else { return };
        if own.below(4) == 0 {
            self.travels.plant(sim, own);
        }
        if own.below(3) == 0 {
            self.travels.give(sim, own);
        }
        if own.below(8) == 0 {
            self.travels.take_up(sim, own);
        }
    }

    fn healed(&mut self, sim: &mut Sim) {
        self.travels.end();
        self.travels.hush(sim);
    }

    fn is_settled(&self, sim: &Sim) -> Result<(), String> {
        self.travels.is_hushed(sim)
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![
            Box::new(CapsHold),
            Box::new(NobodyRefusesDocuments),
            Box::new(RostersConverge),
            Box::new(OneHome { travels: self.travels.clone() }),
        ]
    }
}
