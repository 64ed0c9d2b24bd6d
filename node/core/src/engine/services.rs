use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::{AgentId, HostId},
    interest::{Scope, ServiceName},
    limits::{PROVIDERS_PER_HOST_MAX, SERVICES_PER_AGENT_MAX},
};

use super::{
    Counter, Engine, HostState,
    agents::{AgentNo, Row},
};
use crate::agent::{AnyKind, Request};

/// Asks the engine for the agents of this host that offer a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindProviders(pub ServiceName);

impl Request for FindProviders {
    const NAME: &'static str = "engine/providers";
    type Reply = Providers;
}

/// The agents of a host that offer a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Providers {
    /// The agents, at most [`PROVIDERS_PER_HOST_MAX`] of them.
    pub agents: Vec<Provider>,
    /// How many there are.
    pub total: u64,
}

/// An agent that offers a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its id.
    pub agent: AgentId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
}

/// Asks the engine for the hosts of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListHosts(pub Scope);

impl Request for ListHosts {
    const NAME: &'static str = "engine/hosts";
    type Reply = HostsAbout;
}

/// The hosts of a scope that have not left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsAbout {
    /// Those that may be asked, this one among them, in the order of their ids.
    pub hosts: Vec<HostId>,
    /// How many more are known to be out of reach.
    pub unreachable: u32,
}

/// Which agents of this host offer what.
///
/// What a kind declares stands once for the kind, so that an agent costs one entry, however many
/// services its kind has.
pub(super) struct Services {
    declared: BTreeMap<&'static str, BTreeSet<u16>>,
    of_kind: Vec<BTreeSet<AgentNo>>,
    own: BTreeMap<ServiceName, BTreeSet<AgentNo>>,
    of_agent: BTreeMap<AgentNo, BTreeSet<ServiceName>>,
}

impl Services {
    pub(super) fn new(kinds: &[Arc<dyn AnyKind>]) -> Self {
        let mut declared: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (kind, number) in kinds.iter().zip(0..) {
            for service in kind.services() {
                declared.entry(service).or_default().insert(number);
            }
        }
        let of_kind = kinds.iter().map(|_| BTreeSet::new()).collect();
        Self { declared, of_kind, own: BTreeMap::new(), of_agent: BTreeMap::new() }
    }

    /// An agent begins to offer what its kind declares.
    pub(super) fn lives(&mut self, agent: AgentNo, kind: u16) {
        self.of_kind[usize::from(kind)].insert(agent);
    }

    /// An agent offers nothing any more.
    pub(super) fn ended(&mut self, agent: AgentNo, kind: u16) {
        self.of_kind[usize::from(kind)].remove(&agent);
        for service in self.of_agent.remove(&agent).unwrap_or_default() {
            self.remove_provider(agent, &service);
        }
    }

    pub(super) fn withdraw(&mut self, agent: AgentNo, service: &ServiceName) {
        let Some(offered) = self.of_agent.get_mut(&agent) else { return };
        offered.remove(service);
        if offered.is_empty() {
            self.of_agent.remove(&agent);
        }
        self.remove_provider(agent, service);
    }

    fn remove_provider(&mut self, agent: AgentNo, service: &ServiceName) {
        if let Some(providers) = self.own.get_mut(service) {
            providers.remove(&agent);
            if providers.is_empty() {
                self.own.remove(service);
            }
        }
    }

    /// Gives whether it may be offered.
    fn offer(&mut self, agent: AgentNo, service: ServiceName) -> bool {
        let offered = self.of_agent.entry(agent).or_default();
        if offered.len() >= SERVICES_PER_AGENT_MAX {
            return offered.contains(&service);
        }
        offered.insert(service.clone());
        self.own.entry(service).or_default().insert(agent);
        true
    }
}

impl Engine {
    pub(super) fn offer(&mut self, agent: AgentNo, service: ServiceName) {
        if !self.services.offer(agent, service) {
            self.counters.add(Counter::AgentServicesFull, 1);
        }
    }

    pub(super) fn providers(&self, service: &ServiceName) -> Providers {
        let kinds = self.services.declared.get(service.as_str());
        let of_kinds: Vec<_> = kinds
            .into_iter()
            .flatten()
            .map(|kind| &self.services.of_kind[usize::from(*kind)])
            .collect();
        // An agent may offer of its own what its kind declares, too.
        let own = self.services.own.get(service).into_iter().flatten();
        let own = own.filter(|agent| !of_kinds.iter().any(|agents| agents.contains(agent)));
        let own: Vec<AgentNo> = own.copied().collect();
        let total = own.len() + of_kinds.iter().map(|agents| agents.len()).sum::<usize>();
        let all = own.iter().chain(of_kinds.into_iter().flatten());
        let rows = all.filter_map(|agent| self.agents.get(*agent)).take(PROVIDERS_PER_HOST_MAX);
        Providers { agents: rows.map(|row| self.provider(row)).collect(), total: total as u64 }
    }

    fn provider(&self, row: &Row) -> Provider {
        Provider {
            agent: row.id,
            name: row.name.as_deref().map(str::to_owned),
            kind: self.kinds[usize::from(row.kind)].name().to_owned(),
        }
    }

    /// As long as a mesh is one shard, both scopes have all its hosts.
    pub(super) fn hosts_about(&self, scope: Scope) -> HostsAbout {
        let (Scope::Mesh | Scope::Shard) = scope;
        let mut about = HostsAbout::default();
        for record in self.roster.iter() {
            match self.state_of(record) {
                HostState::Left => {}
                HostState::Unreachable => about.unreachable += 1,
                _ => about.hosts.push(record.host),
            }
        }
        about
    }
}
