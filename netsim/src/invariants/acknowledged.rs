use std::collections::BTreeMap;

use starling_protocols::exchange::Failure;

use super::{Findings, Invariant};
use crate::{
    deposits::Deposits,
    host::Asked,
    sim::Sim,
    workload::{TILL, Till},
};

/// What was acknowledged is there for ever; what was said not to have been carried out is not. Only
/// who was told that the outcome is unknown cannot know.
#[derive(Debug)]
pub struct AcknowledgedIsDurable {
    /// What was paid in from outside.
    pub deposits: Deposits,
}

impl Invariant for AcknowledgedIsDurable {
    fn name(&self) -> &'static str {
        "acknowledged-is-durable"
    }

    fn source(&self) -> &'static str {
        "ARCHITECTURE.md, never an acknowledgement before what it stands for is durable"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let mut kept = BTreeMap::new();
        for (finding, till) in findings.states::<Till>(TILL)? {
            if finding.alive {
                kept.extend(till.deposits.into_keys().map(|key| (key, finding.host)));
            }
        }
        for deposit in self.deposits.all() {
            let key = deposit.key;
            let name = || sim.name(deposit.asked_at);
            let there = kept.get(&key);
            match sim.answer(deposit.asked_at, deposit.ticket) {
                Asked::Waiting => return Err(format!("{} got no answer to {key}", name())),
                Asked::Answered(Ok(_)) if there != Some(&deposit.to) => {
                    return Err(format!(
                        "{} was told that deposit {key} is at {}, and it is not",
                        name(),
                        sim.name(deposit.to)
                    ));
                }
                Asked::Answered(Err(why)) if is_certain(why) && there.is_some() => {
                    return Err(format!(
                        "{} was told that deposit {key} did not happen ({why}), and it did",
                        name()
                    ));
                }
                Asked::Answered(_) | Asked::Lost => {}
            }
        }
        Ok(())
    }
}

/// Whether a failure says that nothing was carried out.
const fn is_certain(why: &Failure) -> bool {
    !matches!(why, Failure::Gone | Failure::TimedOut)
}
