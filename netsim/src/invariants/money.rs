use starling_core::engine::Engine;

use super::{Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{TILL, Till},
};

/// Money is neither lost nor made: what all tills have is what they had at first and what was paid
/// in, once all letters have arrived.
#[derive(Debug)]
pub struct MoneyIsKept {
    /// What each till had at first.
    pub first: i64,
}

impl Invariant for MoneyIsKept {
    fn name(&self) -> &'static str {
        "money-is-kept"
    }

    fn source(&self) -> &'static str {
        "a durable notification is handled once, whatever crashes"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        for host in sim.hosts() {
            let waiting = sim.engine(host).map_or(0, Engine::letters_waiting);
            if waiting > 0 {
                return Err(format!("{waiting} letters of {} never arrived", sim.name(host)));
            }
        }
        let tills = findings.states::<Till>(TILL)?;
        let alive: Vec<&Till> =
            tills.iter().filter(|(of, _)| of.alive).map(|(_, till)| till).collect();
        if alive.len() != sim.hosts().count() {
            return Err(format!("{} tills are left", alive.len()));
        }
        let total: i64 = alive.iter().map(|till| till.balance).sum();
        let deposits: i64 = alive.iter().flat_map(|till| till.deposits.values()).sum();
        let first = self.first * i64::try_from(alive.len()).unwrap_or_default();
        if total != first + deposits {
            let made = total - first - deposits;
            return Err(format!("{total} are there, {made} more than there should be"));
        }
        Ok(())
    }
}
