use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use serde_json::{Value, json};
use starling_core::{
    agent::Agent,
    documents::{Path, Step},
    engine::Ticket,
};
use starling_protocols::{
    entropy::Entropy,
    ident::{Address, AgentId},
    replica::DocName,
    time::Time,
};

use crate::{
    faults::HostNo,
    host::Asked,
    sim::{Edit, Sim},
    workload::{Landmark, Signpost},
};

/// How long somebody outside waits for an answer.
const BUDGET: Duration = Duration::from_secs(10);

/// Documents that all change and nobody deletes, and as many that are deleted now and then.
const DOCUMENTS: u64 = 3;

/// Agents that people start in one run, at most.
const POSTS_MAX: usize = 60;

/// What people outside have done with documents and with agents that are described: a scenario
/// does it, invariants look at what came of it.
#[derive(Clone, Debug, Default)]
pub struct Chronicle(Rc<RefCell<Book>>);

#[derive(Debug, Default)]
struct Book {
    edits: Vec<Edited>,
    deletions: Vec<(HostNo, Ticket)>,
    posts: Vec<Planted>,
    /// When everything was healed, and nobody began anything new.
    healed: Option<Time>,
    /// Which agents the hosts listed after that.
    lists: BTreeMap<HostNo, Ticket>,
    /// Agents that were told to rest.
    resting: BTreeMap<Address, Ticket>,
}

/// One change of a document.
#[derive(Clone, Debug)]
pub(crate) struct Edited {
    pub(crate) at: HostNo,
    pub(crate) ticket: Ticket,
    pub(crate) name: DocName,
    /// The entry that the change made. It stands at the top: of two maps that two hosts make at once
    /// under one key, one counts.
    pub(crate) key: String,
}

/// One agent that was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    pub(crate) host: HostNo,
    pub(crate) started: Ticket,
    pub(crate) stopped: Option<Ticket>,
}

impl Planted {
    /// The agent, if it was said that it is started.
    pub(crate) fn agent(&self, sim: &Sim) -> Option<AgentId> {
        let Asked::Answered(Ok(id)) = sim.answer(self.host, self.started) else { return None };
        serde_json::from_value(id.clone()).ok()
    }

    /// Whether it was said that it has been stopped.
    pub(crate) fn is_stopped(&self, sim: &Sim) -> bool {
        let stopped = self.stopped.map(|ticket| sim.answer(self.host, ticket));
        matches!(stopped, Some(Asked::Answered(Ok(Value::Bool(true)))))
    }
}

impl Chronicle {
    pub(crate) fn edits(&self) -> Vec<Edited> {
        self.0.borrow().edits.clone()
    }

    pub(crate) fn deletions(&self) -> Vec<(HostNo, Ticket)> {
        self.0.borrow().deletions.clone()
    }

    pub(crate) fn posts(&self) -> Vec<Planted> {
        self.0.borrow().posts.clone()
    }

    /// When nobody began anything new any more.
    pub(crate) fn healed(&self) -> Option<Time> {
        self.0.borrow().healed
    }

    /// Changes a document somewhere.
    pub(crate) fn edit_somewhere(&self, sim: &mut Sim, own: &mut Entropy) {
        let at = any(sim, own);
        let number = own.below(DOCUMENTS);
        let sort = if own.below(2) == 0 { "kept" } else { "brief" };
        let name: DocName = format!("conf/{sort}-{number}").parse().expect("a name");
        let many = 1 + own.below(sim.hosts().count() as u64);
        let replicas = usize::try_from(many).unwrap_or(1);
        let mut book = self.0.borrow_mut();
        let key = format!("c{}", book.edits.len());
        let step = |text: &str| Step::Key(text.to_owned());
        let set =
            vec![(Path::new([step(&key)]), json!(at.0)), (Path::new([step("last")]), json!(key))];
        let edit = Edit { name: name.clone(), set, replicas, patience: BUDGET };
        let ticket = sim.edit(at, edit);
        book.edits.push(Edited { at, ticket, name, key });
    }

    /// Deletes one of the documents that may be deleted.
    pub(crate) fn delete_somewhere(&self, sim: &mut Sim, own: &mut Entropy) {
        let at = any(sim, own);
        let name: DocName = format!("conf/brief-{}", own.below(DOCUMENTS)).parse().expect("a name");
        let ticket = sim.delete_document(at, &name);
        self.0.borrow_mut().deletions.push((at, ticket));
    }

    /// Starts an agent that describes itself.
    pub(crate) fn plant_somewhere(&self, sim: &mut Sim, own: &mut Entropy) {
        let mut book = self.0.borrow_mut();
        if book.posts.len() >= POSTS_MAX {
            return;
        }
        let host = any(sim, own);
        let kind = if own.below(2) == 0 { Signpost::KIND } else { Landmark::KIND };
        let pace_ms = [500, 2_000, 10_000][usize::try_from(own.below(3)).unwrap_or_default()];
        let state = json!({ "pace_ms": pace_ms, "resting": false, "said": 0 }).to_string();
        let to = sim.address(host, AgentId::HOST);
        let body = json!({ "kind": kind, "name": null, "state": state });
        let started = sim.ask(host, to, "host/start", &body, BUDGET);
        book.posts.push(Planted { host, started, stopped: None });
    }

    /// Stops one of the agents that were started.
    pub(crate) fn uproot_somewhere(&self, sim: &mut Sim, own: &mut Entropy) {
        let mut book = self.0.borrow_mut();
        let mut there: Vec<&mut Planted> =
            book.posts.iter_mut().filter(|post| post.stopped.is_none()).collect();
        if there.is_empty() {
            return;
        }
        let place = usize::try_from(own.below(there.len() as u64)).unwrap_or_default();
        let post = &mut *there[place];
        let Some(agent) = post.agent(sim) else { return };
        let to = sim.address(post.host, AgentId::HOST);
        let body = json!({ "agent": agent.to_string() });
        post.stopped = Some(sim.ask(post.host, to, "host/stop", &body, BUDGET));
    }

    /// Everything is healed: nobody begins anything new.
    pub(crate) fn heal(&self, sim: &mut Sim) {
        self.0.borrow_mut().healed = Some(sim.now());
        self.hush(sim);
    }

    /// Asks all hosts for their agents, and those that describe themselves to rest, until all do.
    pub(crate) fn hush(&self, sim: &mut Sim) {
        let mut book = self.0.borrow_mut();
        for host in sim.hosts() {
            let listed = book.lists.get(&host).map(|ticket| sim.answer(host, *ticket).clone());
            match listed {
                Some(Asked::Waiting) => {}
                Some(Asked::Answered(Ok(listed))) => {
                    for agent in posts_in(&listed) {
                        let to = sim.address(host, agent);
                        let told = book.resting.get(&to).map(|ticket| sim.answer(host, *ticket));
                        if !matches!(told, Some(Asked::Waiting | Asked::Answered(Ok(_)))) {
                            let ticket = sim.ask(host, to, "sim/rest", &json!({}), BUDGET);
                            book.resting.insert(to, ticket);
                        }
                    }
                }
                None | Some(_) => {
                    let to = sim.address(host, AgentId::HOST);
                    let ticket = sim.ask(host, to, "host/agents", &json!({}), BUDGET);
                    book.lists.insert(host, ticket);
                }
            }
        }
    }

    /// Whether all agents that describe themselves rest.
    pub(crate) fn is_hushed(&self, sim: &Sim) -> Result<(), String> {
        let book = self.0.borrow();
        for host in sim.hosts() {
            let name = sim.name(host);
            let listed = book.lists.get(&host).map(|ticket| sim.answer(host, *ticket));
            let Some(Asked::Answered(Ok(listed))) = listed else {
                return Err(format!("{name} has not listed its agents"));
            };
            for agent in posts_in(listed) {
                let told = book.resting.get(&sim.address(host, agent));
                let told = told.map(|ticket| sim.answer(host, *ticket));
                if !matches!(told, Some(Asked::Answered(Ok(_)))) {
                    return Err(format!("{agent} of {name} does not rest"));
                }
            }
        }
        Ok(())
    }

    /// All agents that are known to have been started, or were found later.
    pub(crate) fn agents(&self, sim: &Sim) -> Vec<AgentId> {
        let book = self.0.borrow();
        let started = book.posts.iter().filter_map(|post| post.agent(sim));
        let found = book.resting.keys().map(|address| address.agent);
        let all: std::collections::BTreeSet<AgentId> = started.chain(found).collect();
        all.into_iter().collect()
    }
}

/// The agents of a list that describe themselves.
fn posts_in(listed: &Value) -> Vec<AgentId> {
    let agents = listed["agents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let posts = agents
        .iter()
        .filter(|agent| agent["kind"] == Signpost::KIND || agent["kind"] == Landmark::KIND);
    posts.filter_map(|agent| serde_json::from_value(agent["agent"].clone()).ok()).collect()
}

fn any(sim: &Sim, own: &mut Entropy) -> HostNo {
    let hosts: Vec<HostNo> = sim.hosts().collect();
    hosts[usize::try_from(own.below(hosts.len() as u64)).unwrap_or_default()]
}
