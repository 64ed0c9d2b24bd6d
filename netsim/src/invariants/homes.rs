use starling_core::{documents::to_json, engine::Engine};
use starling_protocols::{
    ident::AgentId,
    replica::{Body, Content, DocName, Replicas},
};

use super::{Findings, Invariant};
use crate::{
    faults::HostNo,
    sim::Sim,
    travels::{Travels, homes},
};

/// After healing an agent lives on one host at most, all hosts say that it is that one, and with
/// what the agent said last. One that outlives its daemons lives.
#[derive(Debug)]
pub struct OneHome {
    /// What was done.
    pub travels: Travels,
}

impl Invariant for OneHome {
    fn name(&self) -> &'static str {
        "one-home"
    }

    fn source(&self) -> &'static str {
        "of two incarnations one survives, the same everywhere; protocols, replica::Title"
    }

    fn eventually(&mut self, sim: &Sim) -> Result<(), String> {
        for traveller in self.travels.travellers() {
            let Some(agent) = traveller.agent(sim) else { continue };
            match homes(sim, agent)[..] {
                [home] => self.is_known(sim, agent, home)?,
                [] if !traveller.outlives => {}
                [] => return Err(format!("{agent} lives nowhere")),
                [one, other, ..] => {
                    let (one, other) = (sim.name(one), sim.name(other));
                    return Err(format!("{agent} lives on {one} and on {other}"));
                }
            }
        }
        Ok(())
    }

    fn at_end(&mut self, sim: &Sim, _: &Findings) -> Result<(), String> {
        self.eventually(sim)
    }
}

impl OneHome {
    fn is_known(&self, sim: &Sim, agent: AgentId, home: HostNo) -> Result<(), String> {
        let name = DocName::of_agent(agent);
        let said = self.travels.said(sim, sim.address(home, agent));
        for host in sim.hosts() {
            let Some(all) = sim.engine(host).and_then(Engine::replicas) else { continue };
            let (here, there) = (sim.name(host), sim.name(home));
            let owner = all.owner(&name).map(|owner| owner.host);
            if owner != Some(sim.id(home)) {
                return Err(format!("{agent} lives on {there}, and {here} says {owner:?}"));
            }
            let value = value(all, &name).ok_or_else(|| format!("{here} has no {name}"))?;
            if value["host"] != sim.id(home).to_string() || value.get("given").is_some() {
                return Err(format!("{agent} lives on {there}, and {here} says {value}"));
            }
            if value.get("under_restart").is_some() {
                return Err(format!("{agent} lives on {there}, and {here} says {value}"));
            }
            if said.is_some_and(|said| value["fields"]["said"] != said) {
                return Err(format!("{agent} said {said:?} on {there}, and {here} says {value}"));
            }
        }
        Ok(())
    }
}

fn value(all: &Replicas, name: &DocName) -> Option<serde_json::Value> {
    let Content::Whole(bytes) = all.whole(name)?.content else { return None };
    Body::load(&bytes).ok()?.read(to_json).ok()?.ok()
}
