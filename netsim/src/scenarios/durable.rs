use starling_protocols::{entropy::Entropy, ident::AgentId};

use super::{start_members, tell_to_rest, till, tills};
use crate::{
    deposits::Deposits,
    faults::FaultKind,
    invariants::{
        AcknowledgedIsDurable, CapsHold, Invariant, LettersOnceInOrder, MoneyIsKept, NobodyDies,
        RostersConverge, WaitsGoOn,
    },
    scenario::Scenario,
    scenarios::FIRST_BALANCE,
    sim::{Journals, Sim},
    workload::{TILL, kinds},
};

/// Money that is in nobody's memory only.
#[derive(Debug, Default)]
pub struct Durable {
    deposits: Deposits,
    own: Option<Entropy>,
}

impl Durable {
    /// How journals are kept, by the seed: small files and many snapshots bring up more of the
    /// moments between two of them.
    fn journals(own: &mut Entropy) -> Journals {
        let mut one_of =
            |numbers: [u64; 3]| numbers[usize::try_from(own.below(3)).unwrap_or_default()];
        let snapshot_entries = u32::try_from(one_of([3, 40, 1000])).unwrap_or(u32::MAX);
        let file_bytes_max = one_of([3_000, 60_000, 256 * 1024 * 1024]);
        Journals { snapshot_entries, file_bytes_max, ..Journals::default() }
    }
}

impl Scenario for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn about(&self) -> &'static str {
        "tills pay each other and are paid from outside: no coin is lost or made, whatever ends"
    }

    fn faults(&self) -> &'static [FaultKind] {
        const FAULTS: &[FaultKind] = &[
            FaultKind::Loss,
            FaultKind::Spikes,
            FaultKind::Partition,
            FaultKind::OneWay,
            FaultKind::Reset,
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
        let mut own = entropy.fork("deposits");
        if sim.keeps_journals() {
            sim.set_journals(Some(Self::journals(&mut own)));
        }
        let whom = tills(sim, hosts);
        start_members(sim, hosts, &kinds(), |_| vec![till(&whom, 1500)]);
        self.own = Some(own);
    }

    fn step(&mut self, sim: &mut Sim) {
        let Some(own) = &mut self.own else { return };
        for _ in 0..own.below(3) {
            self.deposits.pay_somewhere(sim, own);
        }
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[TILL]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[TILL]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        let deposits = self.deposits.clone();
        vec![
            Box::new(NobodyDies),
            Box::new(CapsHold),
            Box::new(RostersConverge),
            Box::new(AcknowledgedIsDurable { deposits }),
            Box::new(LettersOnceInOrder),
            Box::new(MoneyIsKept { first: FIRST_BALANCE }),
            Box::new(WaitsGoOn),
        ]
    }
}
