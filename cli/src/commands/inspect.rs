//! `p2p inspect`

use clap::Args;
use serde_json::Value;
use starling_node::api::{AgentRow, Inspection, Member};

use crate::{commands::agents, failure::Failure, output::Output, session::Session, text};

/// Show a host or an agent in detail
#[derive(Debug, Args)]
#[command(before_help = "  p2p inspect beta              a host
  p2p inspect visits            an agent by its name, kind or id
  p2p inspect visits@beta       an agent on a certain host
")]
pub(crate) struct Inspect {
    /// A host, AGENT or AGENT@HOST; of ids, the beginning suffices
    #[arg(value_name = "WHAT")]
    what: String,
}

impl Inspect {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = format!("/v1/inspect?what={}", text::query(&self.what));
        let seen: Inspection = session.client()?.get(&path).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("inspect", &seen);
        }
        match &seen {
            _ if out.quiet => out.line(&text::plain(id(&seen))),
            Inspection::Host { member, agents, kinds } => host(out, member, agents, kinds),
            Inspection::Agent { row, state, understands, topics, waits } => {
                agent(out, row)?;
                fact(out, "understands", &understands.join(", "))?;
                fact(out, "listens to", &topics.join(", "))?;
                state_and_waits(out, state, waits)
            }
        }
    }
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

fn state_and_waits(out: &Output, state: &Value, waits: &[Value]) -> Result<(), Failure> {
    out.line(&out.paint.bold("state"))?;
    indented(out, state)?;
    if waits.is_empty() {
        return Ok(());
    }
    out.line(&out.paint.bold("waits for"))?;
    waits.iter().try_for_each(|wait| indented(out, wait))
}

fn indented(out: &Output, value: &Value) -> Result<(), Failure> {
    let text = text::plain_lines(&format!("{value:#}"));
    text.lines().try_for_each(|line| out.line(&format!("  {line}")))
}
