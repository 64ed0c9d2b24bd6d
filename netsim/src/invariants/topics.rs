use super::{Finding, Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{CRIER, Crier, Stream},
};

/// Each live subscriber gets each message of an ordered topic once, in its sender's order, or
/// learns how many it missed; and in the end it has heard of the last.
#[derive(Debug, Default)]
pub struct OrderedTopics;

impl Invariant for OrderedTopics {
    fn name(&self) -> &'static str {
        "ordered-topics"
    }

    fn source(&self) -> &'static str {
        "messages of a topic come in order, and what is missed is told"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let criers = findings.states::<Crier>(CRIER)?;
        for (finding, crier) in &criers {
            let name = sim.name(finding.host);
            if let Some(wrong) = crier.wrong.first() {
                return Err(format!("at {name}: {wrong}"));
            }
            gaps_were_told(&name, crier, one_life_each(&criers, crier))?;
            if finding.alive {
                nothing_is_outstanding(&name, finding, crier, &criers)?;
            }
        }
        Ok(())
    }
}

/// Whether nobody that a crier heard has had another life: what begins in the middle of such a
/// life is counted as missed too, and nobody knows how much that was.
fn one_life_each(criers: &[(&Finding, Crier)], crier: &Crier) -> bool {
    let lives = |of| criers.iter().filter(|(finding, _)| finding.id == of).count();
    crier.heard.iter().all(|stream| lives(stream.of) == 1)
}

fn gaps_were_told(name: &str, crier: &Crier, exactly: bool) -> Result<(), String> {
    for (what, streams, missed) in [
        ("words", &crier.heard, crier.missed),
        ("whispers", &crier.whispers_heard, crier.whispers_missed),
    ] {
        let skipped: u64 = streams.iter().map(|stream| stream.skipped).sum();
        if skipped > missed {
            return Err(format!("{name} never heard {skipped} {what}, and was told of {missed}"));
        }
        if exactly && what == "words" && skipped < missed {
            return Err(format!("{name} never heard {skipped} {what}, but was told of {missed}"));
        }
    }
    Ok(())
}

fn nothing_is_outstanding(
    name: &str,
    finding: &Finding,
    crier: &Crier,
    criers: &[(&Finding, Crier)],
) -> Result<(), String> {
    let others = criers.iter().filter(|(other, _)| other.alive && other.id != finding.id);
    for (other, says) in others.filter(|(_, says)| says.said > 0) {
        let of_life = |stream: &&Stream| stream.of == other.id && stream.life == says.life;
        let last = crier.heard.iter().find(of_life).map_or(0, |stream| stream.last);
        if last != says.said {
            let (host, said) = (other.host, says.said);
            return Err(format!("{name} heard word {last} of host {host}, which said {said}"));
        }
    }
    Ok(())
}
