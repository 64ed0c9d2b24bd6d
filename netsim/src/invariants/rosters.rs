use starling_core::engine::{Engine, HostState};
use starling_protocols::{limits::LINKS_KEPT_MAX, roster::Roster};

use super::Invariant;
use crate::{faults::HostNo, sim::Sim};

/// After healing, every host knows every member in its present life, and in a mesh that is small
/// enough is linked to it.
#[derive(Debug, Default)]
pub struct RostersConverge;

impl Invariant for RostersConverge {
    fn name(&self) -> &'static str {
        "rosters-converge"
    }

    fn source(&self) -> &'static str {
        "all hosts of a mesh come to know the same hosts; ARCHITECTURE.md, roster and link"
    }

    fn eventually(&mut self, sim: &Sim) -> Result<(), String> {
        let running: Vec<HostNo> = sim.hosts().filter(|host| sim.is_running(*host)).collect();
        let (Some(first), linked) = (running.first(), running.len() <= LINKS_KEPT_MAX + 1) else {
            return Ok(());
        };
        for here in &running {
            // In a large mesh most rosters are the same one: what is right in it need not be looked
            // at again.
            let same = here != first && !linked && roster(sim, *here) == roster(sim, *first);
            if same {
                continue;
            }
            for there in running.iter().filter(|there| *there != here) {
                check(sim, *here, *there, linked)?;
            }
        }
        Ok(())
    }
}

fn roster(sim: &Sim, host: HostNo) -> Option<&Roster> {
    sim.engine(host).map(Engine::roster)
}

fn check(sim: &Sim, here: HostNo, there: HostNo, linked: bool) -> Result<(), String> {
    let Some(engine) = sim.engine(here) else { return Ok(()) };
    let names = || (sim.name(here), sim.name(there));
    let Some(view) = engine.host_view(sim.id(there)) else {
        let (here, there) = names();
        return Err(format!("{here} has never heard of {there}"));
    };
    if view.record.left || view.record.incarnation != sim.incarnation(there) {
        let (here, there) = names();
        let (life, left) = (view.record.incarnation, view.record.left);
        return Err(format!("{here} knows {there} in an old life ({life:?}, left: {left})"));
    }
    if linked && view.state != HostState::Linked {
        let (here, there) = names();
        let trouble = view.trouble.unwrap_or_default();
        return Err(format!("{here} is not linked to {there}: {:?}, {trouble}", view.state));
    }
    Ok(())
}
