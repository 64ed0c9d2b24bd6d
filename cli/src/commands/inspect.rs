//! `p2p inspect`

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::Value;
use starling_node::{
    WallTime,
    api::{AgentRow, Inspection, Member, documents::Descriptor, journal::StateThen},
    journal::archive::{At, Who},
};

use crate::{
    commands::agents,
    failure::Failure,
    moment,
    output::Output,
    session::Session,
    source::{self, Source},
    table::{Grid, field},
    text,
};

/// Show a host or an agent in detail, as it is or as it was
///
/// With --at an agent of this host is shown as it was then, from the journal; agents that are
/// dead, too.
#[derive(Debug, Args)]
#[command(before_help = "  p2p inspect beta              a host
  p2p inspect visits            an agent by its name, kind or id
  p2p inspect visits@beta       an agent on a certain host
  p2p inspect visits --at 17    its state when it had handled entry 17
  p2p inspect visits --at 5m    its state five minutes ago
  p2p inspect visits --at 2026-11-22T10:00:00Z --file copy.db
")]
pub(crate) struct Inspect {
    /// A host, AGENT or AGENT@HOST; of ids, the beginning suffices
    #[arg(value_name = "WHAT")]
    what: String,
    /// When: an entry's number, 5m (ago), or a time in UTC
    #[arg(long, value_name = "ENTRY|TIME", value_parser = at)]
    at: Option<At>,
    /// A file or directory of a journal, instead of the daemon's
    #[arg(long, value_name = "PATH", requires = "at")]
    file: Option<PathBuf>,
}

fn at(text: &str) -> Result<At, String> {
    match text.parse() {
        Ok(entry) => Ok(At::Entry(entry)),
        Err(_) => moment::parse(text).map(|ms| At::Time(WallTime::from_millis(ms))),
    }
}

impl Inspect {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        if let Some(at) = self.at {
            return then(session, Who::Agent(self.what), at, self.file).await;
        }
        let path = format!("/v1/inspect?what={}", text::query(&self.what));
        let seen: Inspection = session.client()?.get(&path).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("inspect", &seen);
        }
        match &seen {
            _ if out.quiet => out.line(&text::plain(id(&seen))),
            Inspection::Host { member, agents, kinds } => host(out, member, agents, kinds),
            Inspection::Agent { row, state, understands, topics, waits, descriptor } => {
                agent(out, row)?;
                fact(out, "understands", &understands.join(", "))?;
                fact(out, "listens to", &topics.join(", "))?;
                state_and_waits(out, state, waits)?;
                descriptor.as_ref().map_or(Ok(()), |descriptor| described(out, descriptor))
            }
        }
    }
}

/// An agent as it was.
async fn then(session: &Session, who: Who, at: At, file: Option<PathBuf>) -> Result<(), Failure> {
    let out = &session.out;
    let when = match at {
        At::Entry(number) => format!("entry={number}"),
        At::Time(wall) => format!("at_ms={}", wall.as_millis()),
    };
    let path = format!("/v1/journal/state?{}&{when}", source::query(&who));
    let source = Source::new(session, file.as_deref())?;
    let seen: StateThen = source.once(&path, |archive| archive.state(&who, at)).await?;
    if out.is_json() {
        return out.envelope("inspect-at", &seen);
    }
    let row = &seen.row;
    if out.quiet {
        return out.line(&text::plain(&row.agent));
    }
    fact(out, "agent", row.name.as_deref().unwrap_or_default())?;
    fact(out, "id", &row.agent)?;
    fact(out, "kind", &row.kind)?;
    fact(out, "host", &format!("{} ({})", row.host_name, text::short(&row.host)))?;
    fact(out, "life", &row.life.to_string())?;
    fact(out, "inputs", &seen.inputs.to_string())?;
    fact(out, "since", &text::when(seen.at_ms))?;
    fact(out, "listens to", &seen.topics.join(", "))?;
    fact(out, "offers", &seen.offers.join(", "))?;
    state_and_waits(out, &seen.state, &seen.waits)
}

fn id(seen: &Inspection) -> &str {
    match seen {
        Inspection::Host { member, .. } => &member.host,
        Inspection::Agent { row, .. } => &row.agent,
    }
}

fn fact(out: &Output, label: &str, value: &str) -> Result<(), Failure> {
    if value.is_empty() {
        return Ok(());
    }
    out.line(&format!("{}  {}", out.paint.bold(&format!("{label:<11}")), text::plain(value)))
}

fn host(
    out: &Output,
    member: &Member,
    agents: &[AgentRow],
    kinds: &[String],
) -> Result<(), Failure> {
    fact(out, "host", &member.name)?;
    fact(out, "id", &member.host)?;
    fact(out, "state", &member.state)?;
    fact(out, "why", member.why.as_deref().unwrap_or_default())?;
    fact(out, "version", &member.version)?;
    fact(out, "incarnation", &member.incarnation.to_string())?;
    for address in &member.addresses {
        fact(out, "address", address)?;
    }
    fact(out, "kinds", &kinds.join(", "))?;
    fact(out, "agents", &agents.len().to_string())?;
    if agents.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.grid(agents::grid(agents))
}

fn agent(out: &Output, row: &AgentRow) -> Result<(), Failure> {
    fact(out, "agent", row.name.as_deref().unwrap_or_default())?;
    fact(out, "id", &row.agent)?;
    fact(out, "kind", &row.kind)?;
    fact(out, "host", &format!("{} ({})", row.host_name, text::short(&row.host)))?;
    fact(out, "inputs", &row.inputs.to_string())?;
    fact(out, "waiting", &row.waiting.to_string())
}

/// What all hosts know of an agent, and which of them have this version.
fn described(out: &Output, descriptor: &Descriptor) -> Result<(), Failure> {
    let Descriptor { row, replicas, behind, missing } = descriptor;
    out.line(&out.paint.bold("descriptor"))?;
    indented(out, &row.value)?;
    let heads: Vec<String> = row.heads.iter().map(|head| text::short(head)).collect();
    let instance = row.owner.as_ref().map(|owner| owner.instance.to_string());
    fact(out, "document", &row.name)?;
    fact(out, "instance", &instance.unwrap_or_default())?;
    fact(out, "heads", &heads.join(", "))?;
    fact(out, "known to", &replicas.join(", "))?;
    fact(out, "not yet to", &behind.join(", "))?;
    let missing: Vec<String> =
        missing.iter().map(|missing| format!("{} ({})", missing.host, missing.why)).collect();
    fact(out, "no answer", &missing.join(", "))
}

fn state_and_waits(out: &Output, state: &Value, waits: &[Value]) -> Result<(), Failure> {
    out.line(&out.paint.bold("state"))?;
    indented(out, state)?;
    if waits.is_empty() {
        return Ok(());
    }
    let of_contracts = |wait: &&Value| wait["then"]["contract"].is_string();
    let (contracts, others): (Vec<_>, Vec<_>) = waits.iter().partition(of_contracts);
    if !contracts.is_empty() {
        out.line(&out.paint.bold("contracts"))?;
        out.grid(contract_grid(&contracts))?;
    }
    let (partners, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|wait| wait["then"]["relation"].is_string());
    if !partners.is_empty() {
        out.line(&out.paint.bold("partners"))?;
        out.grid(partner_grid(&partners))?;
    }
    if !others.is_empty() {
        out.line(&out.paint.bold("waits for"))?;
        out.grid(wait_grid(&others))?;
    }
    Ok(())
}

/// What `p2p trace` goes by stands last.
fn contract_grid(contracts: &[&Value]) -> Grid {
    let mut grid =
        Grid::new(&["  ROLE", "CONTRACT", "NUMBER", "PHASE", "LEFT", "WITH", "BIDS", "SEARCH"]);
    for wait in contracts {
        let then = &wait["then"];
        let bids = then["bids"].as_array().map(|bids| bids.iter().map(bid).collect::<Vec<_>>());
        let unanswered = then["unanswered"].as_u64().filter(|open| *open > 0);
        let with = unanswered.map(|open| format!("{open} unanswered"));
        grid.row([
            field(&format!("  {}", plain(&wait["what"]))),
            field(&plain(&then["contract"])),
            field(&plain(&then["number"])),
            field(&plain(&then["phase"])),
            field(&left(wait)),
            field(&with.unwrap_or_else(|| address(&plain(&then["manager"])))),
            field(&bids.unwrap_or_default().join(", ")),
            field(&plain(&then["search"])),
        ]);
    }
    grid
}

/// A partnership that stands waits for nothing.
fn partner_grid(partners: &[&Value]) -> Grid {
    let mut grid = Grid::new(&["  RELATION", "PARTNER", "STAGE", "LEFT", "BOND"]);
    for wait in partners {
        let then = &wait["then"];
        let left = if then["stage"] == "standing" { String::new() } else { left(wait) };
        let bond = plain(&then["bond"]);
        grid.row([
            field(&format!("  {}", plain(&then["relation"]))),
            field(&address(&plain(&then["partner"]))),
            field(&plain(&then["stage"])),
            field(&left),
            field(&bond.chars().take(8).collect::<String>()),
        ]);
    }
    grid
}

fn bid(bid: &Value) -> String {
    let (bidder, cost, is) = (plain(&bid["bidder"]), plain(&bid["cost"]), plain(&bid["is"]));
    format!("{} for {cost} {is}", address(&bidder)).trim_end().to_owned()
}

fn wait_grid(waits: &[&Value]) -> Grid {
    let mut grid = Grid::new(&["  WHAT", "LEFT", "THEN"]);
    for wait in waits {
        // What is not of this form is shown as it is.
        let known = wait["what"].is_string();
        let then = if known { plain(&wait["then"]) } else { wait.to_string() };
        let what = format!("  {}", plain(&wait["what"]));
        grid.row([field(&what), field(&left(wait)), field(&then)]);
    }
    grid
}

fn left(wait: &Value) -> String {
    let left = wait["left_ms"].as_u64().map(Duration::from_millis);
    left.map(|left| humantime::format_duration(left).to_string()).unwrap_or_default()
}

/// A text without its quotes; nothing as nothing.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An address with both ids shortened.
fn address(whole: &str) -> String {
    match whole.split_once('@') {
        Some((agent, host)) => format!("{}@{}", text::short(agent), text::short(host)),
        None => whole.to_owned(),
    }
}

fn indented(out: &Output, value: &Value) -> Result<(), Failure> {
    let text = text::plain_lines(&format!("{value:#}"));
    text.lines().try_for_each(|line| out.line(&format!("  {line}")))
}
