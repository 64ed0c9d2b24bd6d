//! What must hold in every run: one invariant in each file, with the place that promises it.

mod acknowledged;
mod answers;
mod at_most_once;
mod caps;
mod documents;
mod homes;
mod letters;
mod mishaps;
mod money;
mod rosters;
mod solvers;
mod ties;
mod topics;
mod trades;
mod waits;

pub use self::{
    acknowledged::AcknowledgedIsDurable,
    answers::EveryCallEnds,
    at_most_once::AtMostOnce,
    caps::CapsHold,
    documents::{
        AcknowledgedIsEverywhere, DescriptorsAreTrue, DocumentsConverge, NobodyRefusesDocuments,
    },
    homes::OneHome,
    letters::LettersOnceInOrder,
    mishaps::NobodyDies,
    money::MoneyIsKept,
    rosters::RostersConverge,
    solvers::{AllAreSettled, OneActs, SolutionsAreFound},
    ties::{EachEndIsToldOnce, NothingIsLeftOfPartners, PartnersAgree},
    topics::OrderedTopics,
    trades::{NobodyIsGrantedTwice, NothingIsLeftOfContracts, TradersAgree},
    waits::WaitsGoOn,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use starling_protocols::ident::{AgentId, HostId, Incarnation};

use crate::{faults::HostNo, sim::Sim};

/// One promise, watched while a run goes on. `Err` says in words how it was broken.
pub trait Invariant {
    /// Its name, as reports show it.
    fn name(&self) -> &'static str;

    /// Where it is promised.
    fn source(&self) -> &'static str;

    /// Looked at every virtual second, whatever goes wrong.
    ///
    /// # Errors
    /// It is broken.
    fn during(&mut self, sim: &Sim) -> Result<(), String> {
        let _ = sim;
        Ok(())
    }

    /// Looked at again and again once everything is healed: it must come true within the bound of
    /// the run.
    ///
    /// # Errors
    /// It is not true yet.
    fn eventually(&mut self, sim: &Sim) -> Result<(), String> {
        let _ = sim;
        Ok(())
    }

    /// Looked at when nothing is under way any more.
    ///
    /// # Errors
    /// It is broken.
    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let _ = (sim, findings);
        Ok(())
    }
}

/// The states of the watched agents: those of hosts that ended, and those that live at the end.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

/// The state of one agent in one life of its host.
#[derive(Debug)]
pub struct Finding {
    /// Its host.
    pub host: HostNo,
    /// The host's id.
    pub id: HostId,
    /// The life of its host.
    pub incarnation: Incarnation,
    /// The agent.
    pub agent: AgentId,
    /// Its state.
    pub state: Value,
    /// What it waits for, as people are shown it; nothing for one whose host ended.
    pub waits: Vec<Value>,
    /// Whether it lives at the end of the run.
    pub alive: bool,
}

impl Findings {
    /// Looks at all watched agents of all hosts, and at some more where they were born.
    #[must_use]
    pub fn of(sim: &mut Sim, agents: &[AgentId], also: &[AgentId]) -> Self {
        let ended = sim.obituaries().to_vec().into_iter().map(|ended| Finding {
            host: ended.host,
            id: sim.id(ended.host),
            incarnation: ended.incarnation,
            agent: ended.agent,
            state: ended.state,
            waits: Vec::new(),
            alive: false,
        });
        let mut all: Vec<Finding> = ended.collect();
        for host in sim.hosts() {
            let id = sim.id(host);
            let born = also.iter().filter(|agent| agent.is_born_on(id));
            for agent in agents.iter().chain(born) {
                if let Some((state, waits)) = sim.examine_all(host, *agent) {
                    let (id, incarnation) = (sim.id(host), sim.incarnation(host));
                    let agent = *agent;
                    let alive = true;
                    all.push(Finding { host, id, incarnation, agent, state, waits, alive });
                }
            }
        }
        Self(all)
    }

    /// The states of one agent of every host, in all lives, read as its type.
    ///
    /// # Errors
    /// A state that does not read.
    pub fn states<A: DeserializeOwned>(
        &self,
        agent: AgentId,
    ) -> Result<Vec<(&Finding, A)>, String> {
        let of_agent = self.0.iter().filter(|finding| finding.agent == agent);
        let read = of_agent.map(|finding| {
            let state = serde_json::from_value(finding.state.clone());
            let state = state.map_err(|why| format!("a state does not read: {why}"))?;
            Ok((finding, state))
        });
        read.collect()
    }
}
