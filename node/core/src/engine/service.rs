use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::AgentId,
    limits::{AGENTS_PER_LISTING_MAX, BODY_BYTES_MAX},
    wire,
};

use super::{
    CanGive, Counter, Describe, DescribeOn, Engine, FindDocuments, GiveAgent, Start, TakeUpAgent,
    WatchDocuments,
    agents::{AgentNo, Row},
    documents::LEAVE,
    journal::Held,
    services::{FindProviders, ListHosts},
};
use crate::{
    agent::{Dialog, Notification, Request, UpdateDocument},
    guard::guarded,
};

/// Asks the engine to start an agent on this host.
///
/// The engine itself answers this and the other requests of this module, at
/// [`AgentId::ENGINE`] and to agents of its own host only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAgent(pub Start);

impl Request for StartAgent {
    const NAME: &'static str = "engine/start";
    type Reply = Result<AgentId, StartError>;
}

/// Why an agent was not started. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartError {
    /// The host has no such kind.
    #[error("unknown kind {kind:?}; this host has: {}", known.join(", "))]
    UnknownKind {
        /// The kind asked for.
        kind: String,
        /// The kinds there are.
        known: Vec<String>,
    },
    /// The state does not fit the kind.
    #[error("the state does not fit the kind: {0}")]
    BadState(String),
    /// Another agent of the host has the name.
    #[error("another agent of this host is named {0:?}; choose another name")]
    NameTaken(String),
    /// The name is empty, too long, or has other characters than letters, digits and `-_.`
    #[error("{0:?} is no name: letters, digits, '-', '_' and '.' make one")]
    BadName(String),
    /// The host is full.
    #[error("this host runs as many agents as it may")]
    TooMany,
    /// An agent of this kind must not be lost, and the host cannot store it.
    #[error("the agent could not be stored: {0}")]
    Storage(String),
}

/// Asks the engine to stop an agent of this host in good order. The reply says whether there was
/// one, and comes when it has ended, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAgent(pub AgentId);

impl Request for StopAgent {
    const NAME: &'static str = "engine/stop";
    type Reply = bool;
}

/// Asks the engine for the agents of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAgents;

impl Request for ListAgents {
    const NAME: &'static str = "engine/agents";
    type Reply = Listed;
}

/// The agents of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The agents, at most [`AGENTS_PER_LISTING_MAX`] of them.
    pub agents: Vec<AgentSummary>,
    /// How many there are.
    pub total: u64,
}

/// One agent in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSummary {
    /// Its id.
    pub agent: AgentId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Inputs it has handled.
    pub inputs: u64,
    /// Messages that wait for it.
    pub waiting: u32,
}

/// Asks the engine about one agent of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect(pub AgentId);

impl Request for Inspect {
    const NAME: &'static str = "engine/inspect";
    type Reply = Option<AgentDetail>;
}

/// One agent in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDetail {
    /// As in a list.
    pub summary: AgentSummary,
    /// Its state, as JSON text.
    pub state: String,
    /// The messages it understands.
    pub understands: Vec<String>,
    /// The topics it listens to.
    pub topics: Vec<String>,
    /// What it waits for, each as JSON text with `what`, `then` and `left_ms`.
    pub waits: Vec<String>,
}

/// Asks the engine which kinds of agents this host can start, each with the messages it
/// understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListKinds;

impl Request for ListKinds {
    const NAME: &'static str = "engine/kinds";
    type Reply = Vec<(String, Vec<String>)>;
}

/// Asks the engine which types of documents this host knows, each with the newest version that it
/// reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTypes;

impl Request for ListTypes {
    const NAME: &'static str = "engine/types";
    type Reply = Vec<(String, u32)>;
}

/// Asks the engine which version of a document this host has: its heads, in hex and in order. None
/// when it has none, or the document is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentHeads(pub String);

impl Request for DocumentHeads {
    const NAME: &'static str = "engine/document-heads";
    type Reply = Vec<String>;
}

/// Asks the engine why a document does not fit its type. None when it does, and when the type is not
/// known to this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentMisfit(pub String);

impl Request for DocumentMisfit {
    const NAME: &'static str = "engine/document-misfit";
    type Reply = Option<String>;
}

impl Engine {
    pub(super) fn serve(&mut self, name: &str, dialog: Dialog, body: &[u8]) {
        if dialog.codec() == Codec::Json {
            return self.answer(dialog, Err(Failure::NoAgent));
        }
        if name == StopAgent::NAME
            && let Some(agent) = self.agent_to_stop(body)
        {
            return self.stop(agent, Some(dialog));
        }
        if name == DescribeOn::NAME {
            return self.describe_on(dialog, body);
        }
        if name == GiveAgent::NAME {
            return self.give(dialog, body);
        }
        if name == TakeUpAgent::NAME {
            return self.take_up_asked(dialog, body);
        }
        if name == UpdateDocument::NAME {
            return self.update_document(dialog, body);
        }
        let outcome = self.served(name, dialog.asker.agent, body);
        if [StartAgent::NAME, StopAgent::NAME].contains(&name) {
            // Who hears that an agent was started or is gone finds it so after a crash.
            self.answer_when_durable(dialog, outcome);
        } else {
            self.answer(dialog, outcome);
        }
    }

    /// Answers when all that was recorded so far is durable, if anybody waits for that.
    pub(super) fn answer_when_durable(
        &mut self,
        dialog: Dialog,
        outcome: Result<Vec<u8>, Failure>,
    ) {
        let awaited = self.journal.as_ref().and_then(super::journal::Journal::awaited);
        match (awaited, &mut self.journal) {
            (Some(last), Some(journal)) => {
                journal.hold(last, Held::Answer { dialog, outcome });
            }
            _ => self.answer(dialog, outcome),
        }
    }

    /// An agent of this host tells the engine something.
    pub(super) fn told(&mut self, from: AgentId, name: &str, body: &[u8]) {
        if name == LEAVE {
            return self.hand_over(from, body);
        }
        match wire::decode::<Describe>(body, BODY_BYTES_MAX) {
            Ok(Describe(fields)) if name == Describe::NAME => self.describe(from, &fields),
            _ => self.counters.add(Counter::NotUnderstood, 1),
        }
    }

    fn served(&mut self, name: &str, asker: AgentId, body: &[u8]) -> Result<Vec<u8>, Failure> {
        match name {
            StartAgent::NAME => serve(body, |StartAgent(start)| self.start(start)),
            // One that is there is stopped first, and then answered for.
            StopAgent::NAME => serve(body, |StopAgent(_)| false),
            ListAgents::NAME => serve(body, |ListAgents| self.list()),
            Inspect::NAME => serve(body, |Inspect(agent)| self.inspect(agent)),
            ListKinds::NAME => serve(body, |ListKinds| self.list_kinds()),
            ListTypes::NAME => serve(body, |ListTypes| self.list_types()),
            FindProviders::NAME => serve(body, |FindProviders(service)| self.providers(&service)),
            ListHosts::NAME => serve(body, |ListHosts(scope)| self.hosts_about(scope)),
            DocumentHeads::NAME => serve(body, |DocumentHeads(name)| self.document_heads(&name)),
            DocumentMisfit::NAME => serve(body, |DocumentMisfit(name)| {
                name.parse().ok().and_then(|name| self.misfit(&name))
            }),
            CanGive::NAME => serve(body, |ask| self.can_give(ask)),
            FindDocuments::NAME => serve(body, |find| self.find(&find)),
            WatchDocuments::NAME => {
                serve(body, |WatchDocuments(prefix)| self.watch_documents(asker, &prefix))
            }
            _ => Err(Failure::Unknown(name.to_owned())),
        }
    }

    fn agent_to_stop(&self, body: &[u8]) -> Option<AgentNo> {
        let StopAgent(agent) = wire::decode_own(body, BODY_BYTES_MAX).ok()?;
        // Built-in agents live as long as their host.
        self.agents.find(agent).filter(|_| agent.0 >= AgentId::RESERVED)
    }

    /// Whoever asked for the end of an agent is told, when it is durable if it has to be.
    pub(super) fn has_stopped(&mut self, asked: Option<Dialog>) {
        if let Some(dialog) = asked {
            self.answer_when_durable(dialog, Ok(wire::encode(&true)));
        }
    }

    fn list(&self) -> Listed {
        let rows = self.agents.iter().take(AGENTS_PER_LISTING_MAX);
        let agents = rows.map(|(_, row)| self.summary(row)).collect();
        Listed { agents, total: self.agents.len() as u64 }
    }

    fn summary(&self, row: &Row) -> AgentSummary {
        AgentSummary {
            agent: row.id,
            name: row.name.as_deref().map(str::to_owned),
            kind: self.kinds[usize::from(row.kind)].name().to_owned(),
            inputs: row.inputs - row.born,
            waiting: row.waiting,
        }
    }

    fn inspect(&self, agent: AgentId) -> Option<AgentDetail> {
        let agent = self.agents.find(agent)?;
        let row = self.agents.get(agent)?;
        let kind = &self.kinds[usize::from(row.kind)];
        let state = guarded(|| kind.state(&row.ball).to_string());
        let mut state = state.unwrap_or_else(|why| Value::String(why).to_string());
        if state.len() > BODY_BYTES_MAX / 2 {
            state =
                Value::String(format!("too large to be shown: {} bytes", state.len())).to_string();
        }
        Some(AgentDetail {
            summary: self.summary(row),
            state,
            understands: names(&kind.understands()),
            topics: self.topics_of(agent),
            waits: guarded(|| kind.waits(&row.ball))
                .unwrap_or_default()
                .into_iter()
                .map(|wait| self.wait_text(&wait))
                .collect(),
        })
    }

    fn topics_of(&self, agent: AgentNo) -> Vec<String> {
        let topics = self.listeners.topics_of(super::topics::Listener::Agent(agent));
        topics.take(AGENTS_PER_LISTING_MAX).map(ToString::to_string).collect()
    }

    fn wait_text(&self, wait: &crate::agent::WaitView) -> String {
        let left = u64::try_from(wait.until.since(self.now).as_millis()).unwrap_or(u64::MAX);
        let then: Value = serde_json::from_str(&wait.then).unwrap_or_default();
        serde_json::json!({ "what": wait.what, "then": then, "left_ms": left }).to_string()
    }

    fn list_kinds(&self) -> Vec<(String, Vec<String>)> {
        let kinds = self.kinds.iter();
        kinds.map(|kind| (kind.name().to_owned(), names(&kind.understands()))).collect()
    }

    /// Whether an agent lives here.
    #[must_use]
    pub fn has_agent(&self, agent: AgentId) -> bool {
        self.agents.find(agent).is_some()
    }

    /// How many agents live here.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }
}

fn names(understands: &[(&'static str, bool)]) -> Vec<String> {
    understands.iter().map(|(name, _)| (*name).to_owned()).collect()
}

fn serve<R: DeserializeOwned, T: Serialize>(
    body: &[u8],
    serve: impl FnOnce(R) -> T,
) -> Result<Vec<u8>, Failure> {
    let request = wire::decode(body, BODY_BYTES_MAX);
    let request = request.map_err(|why| Failure::BadBody(why.to_string()))?;
    Ok(wire::encode(&serve(request)))
}
