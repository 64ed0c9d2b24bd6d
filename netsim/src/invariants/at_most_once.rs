use std::collections::BTreeMap;

use super::{Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{CALLER, Caller, Came, WORKER, Worker},
};

/// Each question is carried out at most once; one that was replied to was carried out, and one
/// that "was not carried out" was not.
#[derive(Debug, Default)]
pub struct AtMostOnce;

impl Invariant for AtMostOnce {
    fn name(&self) -> &'static str {
        "at-most-once"
    }

    fn source(&self) -> &'static str {
        "a request is handled at most once, and a Failure says whether it may have been"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let mut done = BTreeMap::new();
        for (finding, worker) in findings.states::<Worker>(WORKER)? {
            let name = sim.name(finding.host);
            if let Some(number) = worker.twice.first() {
                return Err(format!("{number} was carried out twice at {name}"));
            }
            for number in worker.done {
                if let Some(other) = done.insert(number, finding.host) {
                    let other = sim.name(other);
                    return Err(format!("{number} was carried out at {other} and at {name}"));
                }
            }
        }
        for (finding, caller) in findings.states::<Caller>(CALLER)? {
            let name = sim.name(finding.host);
            for (number, came) in caller.came {
                let was_done = done.contains_key(&number);
                let replied = matches!(came, Came::Done | Came::Refused);
                if replied && !was_done {
                    return Err(format!("{name} got a reply to {number}, which nobody did"));
                }
                if came == Came::NotDone && was_done {
                    return Err(format!("{name} was told that {number} was not done, but it was"));
                }
            }
        }
        Ok(())
    }
}
