use super::{Findings, Invariant};
use crate::{
    host::Asked,
    sim::Sim,
    workload::{CALLER, Caller, Came},
};

/// Whoever asks learns what came of it, once: done, refused, gone, or timed out. Only a host that
/// has ended learns nothing.
#[derive(Debug, Default)]
pub struct EveryCallEnds;

impl Invariant for EveryCallEnds {
    fn name(&self) -> &'static str {
        "every-call-ends"
    }

    fn source(&self) -> &'static str {
        "every request has one outcome in time; ARCHITECTURE.md, never a wait without a deadline"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        for (finding, caller) in findings.states::<Caller>(CALLER)? {
            let name = sim.name(finding.host);
            if let Some(number) = caller.twice.first() {
                return Err(format!("the caller of {name} got two answers to {number}"));
            }
            let of = |kind| caller.came.iter().find(|(_, came)| **came == kind);
            if let Some((number, _)) = of(Came::Wrong) {
                return Err(format!("the caller of {name} got a wrong reply to {number}"));
            }
            if let Some((number, _)) = of(Came::Open).filter(|_| finding.alive) {
                return Err(format!("the caller of {name} never learned what came of {number}"));
            }
        }
        for host in sim.hosts() {
            if sim.asked(host).any(|(_, asked)| *asked == Asked::Waiting) {
                let name = sim.name(host);
                return Err(format!("a question from outside at {name} has no end"));
            }
        }
        Ok(())
    }
}
