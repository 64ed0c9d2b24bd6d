use starling_protocols::{entropy::Entropy, ident::AgentId};

use super::start_members;
use crate::{
    chronicle::Chronicle,
    faults::FaultKind,
    invariants::{
        AcknowledgedIsEverywhere, CapsHold, DescriptorsAreTrue, DocumentsConverge, Invariant,
        NobodyDies, NobodyRefusesDocuments, RostersConverge,
    },
    scenario::Scenario,
    sim::Sim,
    workload::kinds,
};

/// Descriptors and shared documents, which all hosts have.
#[derive(Debug, Default)]
pub struct Documents {
    chronicle: Chronicle,
    own: Option<Entropy>,
}

impl Scenario for Documents {
    fn name(&self) -> &'static str {
        "documents"
    }

    fn about(&self) -> &'static str {
        "agents describe themselves and documents change everywhere: all hosts come to say the same"
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
            FaultKind::Leave,
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
        let mut own = entropy.fork("histories");
        sim.set_changes_max([5, 20, 500][usize::try_from(own.below(3)).unwrap_or_default()]);
        start_members(sim, hosts, &kinds(), |_| Vec::new());
        self.own = Some(entropy.fork("chronicle"));
    }

    fn step(&mut self, sim: &mut Sim) {
        if self.chronicle.healed().is_some() {
            return self.chronicle.hush(sim);
        }
        let Some(own) = &mut self.own else { return };
        for _ in 0..own.below(3) {
            self.chronicle.edit_somewhere(sim, own);
        }
        if own.below(15) == 0 {
            self.chronicle.delete_somewhere(sim, own);
        }
        if own.below(4) == 0 {
            self.chronicle.plant_somewhere(sim, own);
        }
        if own.below(10) == 0 {
            self.chronicle.uproot_somewhere(sim, own);
        }
    }

    fn healed(&mut self, sim: &mut Sim) {
        self.chronicle.heal(sim);
    }

    fn is_settled(&self, sim: &Sim) -> Result<(), String> {
        self.chronicle.is_hushed(sim)
    }

    fn also_watched(&self, sim: &Sim) -> Vec<AgentId> {
        self.chronicle.agents(sim)
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        let chronicle = || self.chronicle.clone();
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(NobodyRefusesDocuments),
            Box::new(RostersConverge),
            Box::new(DocumentsConverge::new(chronicle())),
            Box::new(AcknowledgedIsEverywhere { chronicle: chronicle() }),
            Box::new(DescriptorsAreTrue { chronicle: chronicle() }),
        ]
    }
}
