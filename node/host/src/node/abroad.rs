use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use starling_core::{
    agent::Request,
    engine::{AgentDetail, AgentSummary, HostState, HostView, MOVING, Provider},
    society::{
        AgentsHere, DocumentHere, InspectHere, KindsHere, MisfitHere, PickError, Place,
        ProvidersHere, StartHere, StopHere, pick_agent, pick_host,
    },
};
use starling_protocols::{
    admission::Token,
    exchange::Failure,
    ident::{Address, AgentId, HostId},
    interest::{ServiceError, ServiceName},
    limits::{BUDGET_DEFAULT, DISCOVERY_WINDOW},
    roster::HostRecord,
};
use tokio::time::timeout;

use super::{
    Node,
    client::{Client, internal},
    serve::{Answer, json, member, others},
};
use crate::{
    api::{
        self, AgentRow, Code, Inspection, KindRow, Listing, Missing, Problem, ProviderRow,
        documents::{Descriptor, DocSeen, Located, Misfit},
    },
    control::Command,
    net,
};

/// How long one host may take to answer for itself.
pub(super) const HOST_BUDGET: Duration = Duration::from_secs(5);

/// How long a host may take to which there is no link yet.
const UNLINKED_BUDGET: Duration = Duration::from_secs(1);

/// Serves what other hosts are asked for.
pub(super) async fn abroad(client: Client, command: Command) -> Answer {
    match command {
        Command::Agents { host } => json(&agents(&client, host.as_deref()).await?),
        Command::Inspect { what } => json(&inspect(&client, &what).await?),
        Command::Find { service, shard } => json(&providers(&client, &service, shard).await?),
        Command::Start(start) => json(&self::start(&client, start).await?),
        Command::Stop(stop) => json(&self::stop(&client, &stop.agent).await?),
        Command::Move(ask) => json(&super::moves::move_agent(&client, ask).await?),
        Command::TakeUp(ask) => json(&super::moves::take_up(&client, ask).await?),
        Command::Request(ask) => json(&request(&client, ask).await?),
        Command::Post(post) => json(&self::post(&client, post).await?),
        Command::Join(join) => json(&self::join(&client, &join.token).await?),
        Command::Kinds => json(&kinds(&client).await?),
        _ => Err(internal("a command was sent the wrong way")),
    }
}

type Rows = Vec<(HostId, String, AgentSummary)>;

/// The agents of some hosts; those that did not answer are listed apart.
async fn survey(
    client: &Client,
    hosts: &[HostView],
    budget: Duration,
) -> Result<(Rows, Vec<Missing>), Problem> {
    let (answers, mut missing) = ask_each(client, hosts, &AgentsHere {}, budget).await?;
    let mut rows = Vec::new();
    for (record, listed) in answers {
        missing.extend(cut(record, listed.agents.len(), listed.total));
        let named = |agent| (record.host, record.name.clone(), agent);
        rows.extend(listed.agents.into_iter().map(named));
    }
    Ok((rows, missing))
}

/// What a host did not say of its agents.
fn cut(record: &HostRecord, said: usize, total: u64) -> Option<Missing> {
    let more = total.saturating_sub(said as u64);
    let missing = |more| Missing { host: record.name.clone(), why: more };
    (more > 0).then(|| missing(format!("{more} more agents live there")))
}

/// What some hosts answer to one question; those that did not are listed apart.
async fn ask_each<'a, R>(
    client: &Client,
    hosts: &'a [HostView],
    question: &R,
    budget: Duration,
) -> Result<(Vec<(&'a HostRecord, R::Reply)>, Vec<Missing>), Problem>
where
    R: Request + Sync,
{
    let asked = hosts.iter().map(|view| async {
        // Why it cannot be reached is known already: nobody is kept waiting for it.
        if view.state == HostState::Unreachable {
            return Ok(Err(Failure::Unreachable));
        }
        let at_hand = matches!(view.state, HostState::Linked | HostState::Myself);
        let budget = if at_hand { budget } else { budget.min(UNLINKED_BUDGET) };
        client.ask_host(view.record.host, question, budget).await
    });
    let (mut answers, mut missing) = (Vec::new(), Vec::new());
    for (view, answer) in hosts.iter().zip(join_all(asked).await) {
        let record = &view.record;
        match answer? {
            Ok(answer) => answers.push((record, answer)),
            Err(why) => {
                let why = view.trouble.clone().unwrap_or_else(|| match why {
                    Failure::TimedOut => "no answer in time".to_owned(),
                    why => why.to_string(),
                });
                missing.push(Missing { host: record.name.clone(), why });
            }
        }
    }
    Ok((answers, missing))
}

/// The hosts that have not left, or the one that is named.
pub(super) async fn hosts(client: &Client, named: Option<&str>) -> Result<Vec<HostView>, Problem> {
    let all = client.with(|node| node.engine.hosts()).await?;
    let Some(text) = named else {
        return Ok(all.into_iter().filter(|view| view.state != HostState::Left).collect());
    };
    let host = pick_host(&all, text).map_err(|why| not_picked(&why, "p2p members"))?;
    Ok(all.into_iter().filter(|view| view.record.host == host).collect())
}

async fn agents(client: &Client, host: Option<&str>) -> Result<Listing<AgentRow>, Problem> {
    let (rows, missing) = survey(client, &hosts(client, host).await?, HOST_BUDGET).await?;
    let mut items: Vec<AgentRow> =
        rows.into_iter().map(|(host, name, agent)| row(host, &name, agent)).collect();
    items.sort_by(|a, b| {
        let key = |row: &AgentRow| (row.host_name.clone(), row.kind.clone(), row.agent.clone());
        key(a).cmp(&key(b))
    });
    Ok(Listing { items, missing })
}

/// Who offers a service. Without shards of its own yet, a mesh is one.
async fn providers(
    client: &Client,
    service: &str,
    _shard: bool,
) -> Result<Listing<ProviderRow>, Problem> {
    let service: ServiceName =
        service.parse().map_err(|why: ServiceError| Problem::new(Code::Usage, why.to_string()))?;
    let asked = hosts(client, None).await?;
    let question = ProvidersHere { service };
    let (answers, mut missing) = ask_each(client, &asked, &question, DISCOVERY_WINDOW).await?;
    let mut items = Vec::new();
    for (record, found) in answers {
        missing.extend(cut(record, found.agents.len(), found.total));
        items.extend(found.agents.into_iter().map(|Provider { agent, name, kind }| ProviderRow {
            agent: agent.to_string(),
            name,
            kind,
            host: record.host.to_string(),
            host_name: record.name.clone(),
        }));
    }
    items.sort_by(|a, b| {
        let key = |row: &ProviderRow| (row.host_name.clone(), row.kind.clone(), row.agent.clone());
        key(a).cmp(&key(b))
    });
    Ok(Listing { items, missing })
}

/// The agent that a person means; other hosts are asked where the text alone does not say.
pub(super) async fn find(
    client: &Client,
    text: &str,
    budget: Duration,
) -> Result<Address, Problem> {
    let place = Place::parse(text);
    if let Some(address) = place.address() {
        return Ok(address);
    }
    let asked = hosts(client, place.host).await?;
    let (rows, missing) = survey(client, &asked, budget.min(HOST_BUDGET)).await?;
    let picked = pick_agent(&rows, place.agent);
    if let Err(PickError::None { .. }) = &picked
        && let Some(found) = described(client, place.agent).await
        && let Some(answer) = by_descriptor(&found, &asked, &rows, &missing)
    {
        return answer;
    }
    picked.map_err(|why| match (&why, missing.first()) {
        // It may well live there.
        (PickError::None { .. }, Some(Missing { host, why })) => {
            let message = format!("host {host} cannot be reached ({why}), and elsewhere");
            Problem::new(Code::Unreachable, format!("{message} there is no agent {text:?}"))
                .next("see how the hosts are: p2p members")
        }
        _ => not_picked(&why, "p2p agents; where one lived last: p2p locate"),
    })
}

/// The one agent that has this id, name or beginning of an id, by its descriptor.
async fn described(client: &Client, text: &str) -> Option<Located> {
    let located = timeout(HOST_BUDGET, super::documents::locate(client, text)).await.ok()?;
    let mut found = located.ok()?.items;
    if found.len() == 1 { found.pop() } else { None }
}

/// What can be said of an agent that none of the hosts that were asked has named. Nothing, if they
/// know better than its descriptor.
fn by_descriptor(
    found: &Located,
    asked: &[HostView],
    rows: &[(HostId, String, AgentSummary)],
    missing: &[Missing],
) -> Option<Result<Address, Problem>> {
    let Located { agent, host, host_name, moving, .. } = found;
    let short: String = agent.chars().take(8).collect();
    if *moving {
        return Some(Err(Problem::new(Code::Busy, MOVING).next(seen_at(&short))));
    }
    let at = Address { host: host.parse().ok()?, agent: agent.parse().ok()? };
    if asked.iter().all(|view| view.record.host != at.host) {
        let message = format!("agent {short} lives on {host_name}, not there");
        return Some(Err(Problem::new(Code::NotFound, message).next(seen_at(&short))));
    }
    let silent = missing.iter().find(|missing| missing.host == *host_name)?;
    if rows.iter().any(|(host, ..)| *host == at.host) {
        // It has answered: the list of its agents was cut.
        return Some(Ok(at));
    }
    let message = format!("agent {short} lives on {host_name}, which cannot be reached");
    let next = format!("if {host_name} is gone for good: p2p take-up {short}");
    let problem = Problem::new(Code::Unreachable, format!("{message}: {}", silent.why));
    Some(Err(problem.next(next)))
}

async fn inspect(client: &Client, what: &str) -> Result<Inspection, Problem> {
    match hosts(client, Some(what)).await {
        Ok(found) => inspect_host(client, found).await,
        Err(no_host) if no_host.code != Code::NotFound => Err(no_host),
        Err(_) => inspect_agent(client, find(client, what, HOST_BUDGET).await?).await,
    }
}

async fn inspect_host(client: &Client, found: Vec<HostView>) -> Result<Inspection, Problem> {
    let (rows, _) = survey(client, &found, HOST_BUDGET).await?;
    let Some(view) = found.into_iter().next() else { return Err(internal("a host vanished")) };
    let kinds = client.ask_host(view.record.host, &KindsHere {}, HOST_BUDGET).await?;
    let kinds = kinds.unwrap_or_default().into_iter().map(|(kind, _)| kind).collect();
    let agents = rows.into_iter().map(|(host, name, agent)| row(host, &name, agent)).collect();
    Ok(Inspection::Host { member: member(view), agents, kinds })
}

async fn inspect_agent(client: &Client, at: Address) -> Result<Inspection, Problem> {
    let inspect = InspectHere { agent: at.agent };
    let detail = client.ask_host(at.host, &inspect, HOST_BUDGET).await?.map_err(failed)?;
    let Some(detail) = detail else { return Err(failed(Failure::NoAgent)) };
    let descriptor = descriptor(client, at.agent).await?.map(Box::new);
    let name = client.with(move |node| node.engine.name_of(at.host)).await?;
    let AgentDetail { summary, state, understands, topics, waits } = detail;
    let value = |text: &String| serde_json::from_str(text).unwrap_or(Value::Null);
    Ok(Inspection::Agent {
        row: row(at.host, &name, summary),
        state: value(&state),
        understands,
        topics,
        waits: waits.iter().map(value).collect(),
        descriptor,
    })
}

/// What this host knows of an agent, and which of the linked hosts have the same version of it.
async fn descriptor(client: &Client, agent: AgentId) -> Result<Option<Descriptor>, Problem> {
    let look = move |node: &mut super::Node| (node.descriptor(agent), node.engine.hosts());
    let (row, mut hosts) = client.with(look).await?;
    let Some(row) = row else { return Ok(None) };
    hosts.retain(|view| matches!(view.state, HostState::Linked | HostState::Myself));
    let here = DocumentHere { name: row.name.clone() };
    let (answers, missing) = ask_each(client, &hosts, &here, UNLINKED_BUDGET).await?;
    let (mut replicas, mut behind) = (Vec::new(), Vec::new());
    for (record, heads) in answers {
        let list = if heads == row.heads { &mut replicas } else { &mut behind };
        list.push(record.name.clone());
    }
    replicas.sort();
    behind.sort();
    Ok(Some(Descriptor { row, replicas, behind, missing }))
}

/// Asks those hosts that may know the type of a document whether it fits, where this one does not.
pub(super) async fn misfits(client: &Client, seen: &mut DocSeen) -> Result<(), Problem> {
    let says = seen.value.get("type").is_some_and(Value::is_string);
    if seen.misfit.is_some() || !(says || seen.name.starts_with("conf/")) {
        return Ok(());
    }
    let (name, whole) = (seen.name.clone(), seen.value.clone());
    let others = move |node: &mut Node| {
        let is_known = |name| node.engine.type_of(&name, &whole).is_some();
        if name.parse().is_ok_and(is_known) { Vec::new() } else { node.engine.hosts() }
    };
    let mut hosts = client.with(others).await?;
    hosts.retain(|view| view.state == HostState::Linked);
    let here = MisfitHere { name: seen.name.clone() };
    let (answers, _) = ask_each(client, &hosts, &here, UNLINKED_BUDGET).await?;
    let told = answers.into_iter().filter_map(|(record, why)| Some((record, why?)));
    seen.misfits = told.map(|(record, why)| Misfit { host: record.name.clone(), why }).collect();
    Ok(())
}

async fn start(client: &Client, start: api::Start) -> Result<api::Started, Problem> {
    let view = match &start.host {
        Some(text) => hosts(client, Some(text)).await?.into_iter().next(),
        None => client.with(|node| node.engine.host_view(node.engine.host())).await?,
    };
    let Some(HostView { record, .. }) = view else { return Err(internal("a host vanished")) };
    let state = start.state.map(|state| state.to_string());
    let here = StartHere { kind: start.kind, name: start.name, state };
    let agent = match client.ask_host(record.host, &here, HOST_BUDGET).await? {
        Ok(agent) => agent,
        Err(why) => return Err(not_started(client, record.host, &here.kind, why).await?),
    };
    let (agent, host) = (agent.to_string(), record.host.to_string());
    Ok(api::Started { agent, host, host_name: record.name })
}

/// A host refuses in words only; whether it has no such kind is asked for.
async fn not_started(
    client: &Client,
    host: HostId,
    kind: &str,
    why: Failure,
) -> Result<Problem, Problem> {
    let Failure::Refused(words) = &why else { return Ok(failed(why)) };
    let kinds = client.ask_host(host, &KindsHere {}, HOST_BUDGET).await?;
    if kinds.is_ok_and(|kinds| kinds.iter().all(|(known, _)| known != kind)) {
        return Ok(Problem::new(Code::NotFound, words.clone()));
    }
    Ok(failed(why))
}

async fn stop(client: &Client, agent: &str) -> Result<api::Done, Problem> {
    let at = find(client, agent, HOST_BUDGET).await?;
    let stop = StopHere { agent: at.agent };
    if client.ask_host(at.host, &stop, HOST_BUDGET).await?.map_err(failed)? {
        return Ok(api::Done { done: format!("agent {} stops", at.agent.short()) });
    }
    Err(match at.agent.0 < starling_protocols::ident::AgentId::RESERVED {
        true => Problem::new(Code::Denied, "built-in agents live as long as their host"),
        false => failed(Failure::NoAgent),
    })
}

async fn request(client: &Client, ask: api::Ask) -> Result<api::Answered, Problem> {
    let begun = tokio::time::Instant::now();
    let budget = ask.timeout_ms.map_or(BUDGET_DEFAULT, Duration::from_millis);
    let at = find(client, &ask.to, budget).await?;
    let body = serde_json::to_vec(&ask.body).map_err(internal)?;
    let left = budget.saturating_sub(begun.elapsed());
    let reply = client.ask(at, ask.request, body, left).await?;
    let reply = reply.map_err(|why| failed_of(&ask.to, why))?;
    let reply = serde_json::from_slice(&reply).map_err(internal)?;
    Ok(api::Answered { agent: at.agent.to_string(), host: at.host.to_string(), reply })
}

/// Posts a letter. It is answered when the letter is durable here, however its host is.
async fn post(client: &Client, post: api::Post) -> Result<api::Posted, Problem> {
    let at = find(client, &post.to, HOST_BUDGET).await?;
    let body = serde_json::to_vec(&post.body).map_err(internal)?;
    let number = client.post(at, post.name, body).await?;
    let number = number.map_err(|why| failed_of(&post.to, why))?;
    let number = serde_json::from_slice(&number).map_err(internal)?;
    Ok(api::Posted { agent: at.agent.to_string(), host: at.host.to_string(), number })
}

async fn kinds(client: &Client) -> Result<Listing<KindRow>, Problem> {
    let here = client.with(|node| node.engine.host()).await?;
    let kinds = client.ask_host(here, &KindsHere {}, HOST_BUDGET).await?.map_err(failed)?;
    let kinds = kinds.into_iter().map(|(kind, understands)| KindRow { kind, understands });
    Ok(Listing { items: kinds.collect(), missing: Vec::new() })
}

/// Leaves a mesh in which this host is alone for another.
async fn join(client: &Client, token: &str) -> Result<api::Joined, Problem> {
    let token: Token = token.parse().map_err(super::start::bad_token)?;
    let invite = token.open(crate::clock::wall()).map_err(super::start::bad_token)?;
    let (mesh, others, key) = client
        .with(|node| {
            let hosts = node.engine.hosts();
            (node.engine.credential().mesh(), others(&hosts), node.engine.key().clone())
        })
        .await?;
    super::start::may_join(key.host(), mesh, others, &invite)?;
    let joined = net::redeem(&key, &token, &invite).await.map_err(super::start::join_problem)?;
    let (mesh, members) = (invite.mesh, joined.members(key.host()));
    let mesh_name = invite.mesh_name.clone();
    client.with(move |node| node.joined(&invite, joined)).await??;
    Ok(api::Joined { mesh: mesh.to_string(), mesh_name, members })
}

fn row(host: HostId, host_name: &str, agent: AgentSummary) -> AgentRow {
    AgentRow {
        agent: agent.agent.to_string(),
        name: agent.name,
        kind: agent.kind,
        host: host.to_string(),
        host_name: host_name.to_owned(),
        inputs: agent.inputs,
        waiting: agent.waiting,
    }
}

fn not_picked(why: &PickError, list: &str) -> Problem {
    match why {
        PickError::None { .. } => {
            Problem::new(Code::NotFound, why.to_string()).next(format!("see what there is: {list}"))
        }
        PickError::Several { text, .. } => Problem::new(Code::Usage, why.to_string())
            .next(format!("say which one: {text}@HOST, or more letters of the id")),
    }
}

/// The same, of an agent that was called so.
fn failed_of(agent: &str, why: Failure) -> Problem {
    let next = match &why {
        Failure::Unknown(_) => Some(format!("see what it understands: p2p inspect {agent}")),
        Failure::Refused(why) if why == MOVING => Some(seen_at(agent)),
        _ => None,
    };
    match (failed(why), next) {
        (problem, Some(next)) => problem.next(next),
        (problem, None) => problem,
    }
}

fn seen_at(agent: &str) -> String {
    let agent = agent.split('@').next().unwrap_or_default();
    format!("see where it is: p2p locate {agent}")
}

pub(super) fn failed(why: Failure) -> Problem {
    if why == Failure::Refused(MOVING.to_owned()) {
        return Problem::new(Code::Busy, MOVING);
    }
    let code = match &why {
        Failure::Refused(_) => Code::Refused,
        Failure::Busy => Code::Busy,
        Failure::NoAgent | Failure::Unknown(_) => Code::NotFound,
        Failure::BadBody(_) => Code::BadBody,
        Failure::Gone | Failure::Unreachable => Code::Unreachable,
        Failure::Storage(_) => Code::Internal,
        Failure::TimedOut => Code::TimedOut,
    };
    let problem = Problem::new(code, why.to_string());
    match why {
        Failure::NoAgent => problem.next("see what there is: p2p agents"),
        Failure::Gone | Failure::TimedOut | Failure::Unreachable => {
            problem.next("see how its host is: p2p members")
        }
        _ => problem,
    }
}
