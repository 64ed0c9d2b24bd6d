use super::{Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{TILL, Till},
};

/// Timers and questions of agents that outlive their daemon go on in its next life: each rings, and
/// each ends.
#[derive(Debug, Default)]
pub struct WaitsGoOn;

impl Invariant for WaitsGoOn {
    fn name(&self) -> &'static str {
        "waits-go-on"
    }

    fn source(&self) -> &'static str {
        "node/core, agent::Agent::recovered"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        for (finding, till) in findings.states::<Till>(TILL)? {
            let name = sim.name(finding.host);
            if finding.alive && (till.timers, till.questions) != (0, 0) {
                let Till { timers, questions, .. } = till;
                return Err(format!(
                    "the till of {name} waits for {timers} timers and {questions} answers for ever"
                ));
            }
            if finding.alive && !till.resting {
                return Err(format!("the till of {name} was told to rest and has forgotten it"));
            }
        }
        Ok(())
    }
}
