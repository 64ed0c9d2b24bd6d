use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use serde_json::{Value, json};
use starling_core::{agent::Agent, engine::Ticket};
use starling_protocols::{
    entropy::Entropy,
    ident::{Address, AgentId},
};

use crate::{
    faults::HostNo,
    host::Asked,
    sim::Sim,
    workload::{Landmark, Signpost},
};

/// How long somebody outside waits for an answer.
const BUDGET: Duration = Duration::from_secs(20);

/// Agents that people start in one run, at most.
const TRAVELLERS_MAX: usize = 30;

/// Agents that were started, and sent from host to host: a scenario does it, an invariant looks at
/// what came of it.
#[derive(Clone, Debug, Default)]
pub struct Travels(Rc<RefCell<Book>>);

#[derive(Debug, Default)]
struct Book {
    travellers: Vec<Traveller>,
    over: bool,
    /// Agents that were told to rest.
    resting: BTreeMap<Address, Ticket>,
}

/// One agent that was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traveller {
    host: HostNo,
    started: Ticket,
    /// Whether it outlives the daemons of its hosts.
    pub(crate) outlives: bool,
}

impl Traveller {
    /// The agent, if it was said that it is started.
    pub(crate) fn agent(&self, sim: &Sim) -> Option<AgentId> {
        let Asked::Answered(Ok(id)) = sim.answer(self.host, self.started) else { return None };
        serde_json::from_value(id.clone()).ok()
    }
}

/// The hosts on which an agent lives.
pub(crate) fn homes(sim: &Sim, agent: AgentId) -> Vec<HostNo> {
    let lives = |host: &HostNo| sim.engine(*host).is_some_and(|engine| engine.has_agent(agent));
    sim.hosts().filter(lives).collect()
}

impl Travels {
    pub(crate) fn travellers(&self) -> Vec<Traveller> {
        self.0.borrow().travellers.clone()
    }

    /// Nobody sends anybody anywhere any more.
    pub(crate) fn end(&self) {
        self.0.borrow_mut().over = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.borrow().over
    }

    /// Starts an agent that describes itself.
    pub(crate) fn plant(&self, sim: &mut Sim, own: &mut Entropy) {
        let mut book = self.0.borrow_mut();
        if book.travellers.len() >= TRAVELLERS_MAX {
            return;
        }
        let (host, outlives) = (any(sim, own), own.below(3) > 0);
        let kind = if outlives { Landmark::KIND } else { Signpost::KIND };
        let state = json!({ "pace_ms": 2_000, "resting": false, "said": 0 }).to_string();
        let body = json!({ "kind": kind, "name": null, "state": state });
        let started = ask(sim, host, "host/start", &body);
        book.travellers.push(Traveller { host, started, outlives });
    }

    /// Has an agent given to another host, by one that it lives on.
    pub(crate) fn give(&self, sim: &mut Sim, own: &mut Entropy) {
        let Some(agent) = self.one_of_them(sim, own) else { return };
        let homes = homes(sim, agent);
        if homes.is_empty() {
            return;
        }
        let from = homes[usize::try_from(own.below(homes.len() as u64)).unwrap_or_default()];
        let to = sim.id(any(sim, own)).to_string();
        let _ = ask(sim, from, "host/give", &json!({ "agent": agent.to_string(), "to": to }));
    }

    /// Has an agent taken up by some host, whether its own is dead or not.
    pub(crate) fn take_up(&self, sim: &mut Sim, own: &mut Entropy) {
        let Some(agent) = self.one_of_them(sim, own) else { return };
        let (host, gone) = (any(sim, own), own.below(2) == 0);
        let body = json!({ "agent": agent.to_string(), "its_host_is_gone": gone });
        let _ = ask(sim, host, "host/take-up", &body);
    }

    fn one_of_them(&self, sim: &Sim, own: &mut Entropy) -> Option<AgentId> {
        let all: Vec<AgentId> =
            self.travellers().iter().filter_map(|traveller| traveller.agent(sim)).collect();
        let place = usize::try_from(own.below(all.len().max(1) as u64)).unwrap_or_default();
        all.get(place).copied()
    }

    /// Tells all agents to rest, wherever they are.
    pub(crate) fn hush(&self, sim: &mut Sim) {
        for at in self.living(sim) {
            let told = self.0.borrow().resting.get(&at).copied();
            let told = told.map(|ticket| sim.answer(host_of(sim, at), ticket).clone());
            if !matches!(told, Some(Asked::Waiting | Asked::Answered(Ok(_)))) {
                let host = host_of(sim, at);
                let ticket = sim.ask(host, at, "sim/rest", &json!({}), BUDGET);
                self.0.borrow_mut().resting.insert(at, ticket);
            }
        }
    }

    /// Whether all agents that live rest.
    pub(crate) fn is_hushed(&self, sim: &Sim) -> Result<(), String> {
        for at in self.living(sim) {
            if self.said(sim, at).is_none() {
                return Err(format!("{at} does not rest"));
            }
        }
        Ok(())
    }

    /// How often an agent had said something of itself when it went to rest.
    pub(crate) fn said(&self, sim: &Sim, at: Address) -> Option<u64> {
        let ticket = self.0.borrow().resting.get(&at).copied()?;
        let Asked::Answered(Ok(said)) = sim.answer(host_of(sim, at), ticket) else { return None };
        said.as_u64()
    }

    fn living(&self, sim: &Sim) -> Vec<Address> {
        let agents = self.travellers().into_iter().filter_map(|traveller| traveller.agent(sim));
        let at = |agent: AgentId| {
            homes(sim, agent).into_iter().map(move |host| sim.address(host, agent))
        };
        agents.flat_map(at).collect()
    }
}

fn host_of(sim: &Sim, at: Address) -> HostNo {
    sim.hosts().find(|host| sim.id(*host) == at.host).unwrap_or(HostNo(0))
}

fn ask(sim: &mut Sim, host: HostNo, name: &str, body: &Value) -> Ticket {
    let to = sim.address(host, AgentId::HOST);
    sim.ask(host, to, name, body, BUDGET)
}

fn any(sim: &Sim, own: &mut Entropy) -> HostNo {
    let hosts: Vec<HostNo> = sim.hosts().collect();
    hosts[usize::try_from(own.below(hosts.len() as u64)).unwrap_or_default()]
}
