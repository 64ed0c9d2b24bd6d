use super::Invariant;
use crate::sim::Sim;

/// No agent panics, and no host breaks the rules of a lane towards another: all of them are
/// honest, and streams deliver what was written.
#[derive(Debug, Default)]
pub struct NobodyDies;

impl Invariant for NobodyDies {
    fn name(&self) -> &'static str {
        "nobody-dies"
    }

    fn source(&self) -> &'static str {
        "no host breaks the protocol between hosts; protocols, exchange::Violation"
    }

    fn during(&mut self, sim: &Sim) -> Result<(), String> {
        match sim.mishaps().first() {
            None => Ok(()),
            Some(mishap) => Err(format!("{} says {:?}", sim.name(mishap.host), mishap.what)),
        }
    }
}
