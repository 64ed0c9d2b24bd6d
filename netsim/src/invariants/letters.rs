use super::{Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{TILL, Till},
};

/// Durable letters arrive exactly once and in the order in which they were posted, whatever ends
/// in between.
#[derive(Debug, Default)]
pub struct LettersOnceInOrder;

impl Invariant for LettersOnceInOrder {
    fn name(&self) -> &'static str {
        "letters-once-in-order"
    }

    fn source(&self) -> &'static str {
        "a durable notification is handled once, in the order of posting"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let mut tills = findings.states::<Till>(TILL)?;
        tills.retain(|(finding, _)| finding.alive);
        for (here, till) in &tills {
            let name = sim.name(here.host);
            if let Some(wrong) = till.wrong.first() {
                return Err(format!("at {name}: {wrong}"));
            }
            for (there, other) in &tills {
                let sent = other.sent.get(&here.id).copied().unwrap_or_default();
                let received = till.received.get(&there.id).copied().unwrap_or_default();
                if sent != received {
                    let from = sim.name(there.host);
                    return Err(format!(
                        "{from} sent {sent} payments to {name}, and the last to come was {received}"
                    ));
                }
            }
        }
        Ok(())
    }
}
