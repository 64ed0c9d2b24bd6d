//! Agents that go from one host to another, as people want it.

use std::time::Duration;

use starling_core::{
    documents::{Automerge, history},
    engine::{HostView, TookUp},
    society::{GiveHere, TakeUpHere},
};
use starling_protocols::{ident::AgentId, replica::DocName, time::WallTime};

use super::{
    Node,
    abroad::{HOST_BUDGET, failed, find, hosts},
    client::{Client, internal},
    documents::locate,
};
use crate::api::{self, Code, Problem, documents::Located};

/// How long a host may take to give an agent away: it waits for the disks of others, and asks the
/// host that is to have it three times.
const GIVE_BUDGET: Duration = Duration::from_secs(20);

pub(super) async fn move_agent(client: &Client, ask: api::Move) -> Result<api::Moved, Problem> {
    let at = find(client, &ask.agent, HOST_BUDGET).await?;
    let view = hosts(client, Some(&ask.to)).await?.into_iter().next();
    let Some(HostView { record, .. }) = view else { return Err(internal("a host vanished")) };
    let give = GiveHere { agent: at.agent, to: record.host };
    let arrived = client.ask_host(at.host, &give, GIVE_BUDGET).await?;
    let arrived = arrived.map_err(|why| {
        let in_doubt = why.is_in_doubt();
        let problem = failed(why);
        match in_doubt {
            true => problem.next(format!("see where it is: p2p locate {}", at.agent.short())),
            false => problem,
        }
    })?;
    let (agent, host) = (at.agent.to_string(), record.host.to_string());
    Ok(api::Moved { agent, host, host_name: record.name, arrived, from: None })
}

pub(super) async fn take_up(client: &Client, ask: api::TakeUp) -> Result<api::Moved, Problem> {
    let view = match &ask.on {
        Some(text) => hosts(client, Some(text)).await?.into_iter().next(),
        None => client.with(|node| node.engine.host_view(node.engine.host())).await?,
    };
    let Some(HostView { record, .. }) = view else { return Err(internal("a host vanished")) };
    let agent = known(client, &ask.agent).await?;
    let take = TakeUpHere { agent, its_host_is_gone: ask.its_host_is_gone };
    let described_at = client.with(move |node| node.described_at(agent)).await?;
    let took = client.ask_host(record.host, &take, HOST_BUDGET).await?.map_err(failed)?;
    let from = client.with(move |node| node.moved_from(took, described_at)).await?;
    let (agent, host) = (agent.to_string(), record.host.to_string());
    Ok(api::Moved { agent, host, host_name: record.name, arrived: true, from: Some(from) })
}

impl Node {
    /// When the descriptor of an agent was changed last.
    fn described_at(&mut self, agent: AgentId) -> Option<WallTime> {
        let newest = |doc: &Automerge| history(doc, None, 1).ok()?.changes.into_iter().next()?.at;
        let (name, now) = (DocName::of_agent(agent), self.clock.now());
        self.engine.read_document(&name, now, newest).ok()?
    }

    fn moved_from(&self, took: TookUp, described_at: Option<WallTime>) -> api::MovedFrom {
        api::MovedFrom {
            host: took.before.to_string(),
            host_name: self.engine.name_of(took.before),
            instance: took.instance,
            described_at_ms: described_at.map(WallTime::as_millis),
        }
    }
}

/// The agent that a person means, of those whose descriptors are known.
async fn known(client: &Client, text: &str) -> Result<AgentId, Problem> {
    let found: Vec<Located> = locate(client, text).await?.items;
    match &found[..] {
        [one] => one.agent.parse().map_err(internal),
        [] => Err(Problem::new(Code::NotFound, format!("no agent {text:?} is known"))
            .next("see whose descriptors there are: p2p docs list agent/")),
        several => {
            let message = format!("{} agents are called {text:?}", several.len());
            Err(Problem::new(Code::Usage, message)
                .next(format!("say which one by its id: p2p locate {text}")))
        }
    }
}
