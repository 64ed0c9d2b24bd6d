//! `p2p move`, `p2p take-up`

use std::time::Duration;

use clap::Args;
use starling_node::api::{self, Moved, MovedFrom};

use crate::{failure::Failure, session::Session, text};

/// More than the daemons take to give an agent away.
const PATIENCE: Duration = Duration::from_secs(40);

/// Give an agent to another host
///
/// It begins there with what it has described of itself, under the same id. What it had not
/// described is lost.
#[derive(Debug, Args)]
#[command(before_help = "  p2p move visits --to beta
  p2p move visits@alpha --to beta
")]
pub(crate) struct Move {
    /// AGENT or AGENT@HOST: its id, the beginning of its id, its name, or its kind
    #[arg(value_name = "AGENT")]
    agent: String,
    /// To which host: its name, its id or the beginning of its id
    #[arg(long, value_name = "HOST")]
    to: String,
}

/// Take up an agent whose host is gone, or that was given to this host
///
/// It begins here with what it had described of itself, under the same id. If its host comes back,
/// the agent dies there: so a host counts as gone when it has been out of reach for a minute, and
/// not before, unless you say so.
#[derive(Debug, Args)]
#[command(before_help = "  p2p take-up visits
  p2p take-up visits --on beta
")]
pub(crate) struct TakeUp {
    /// Its id, the beginning of its id, or its name; `p2p locate` finds it
    #[arg(value_name = "AGENT")]
    agent: String,
    /// On which host: its name, its id or the beginning of its id; here when absent
    #[arg(long, value_name = "HOST")]
    on: Option<String>,
    /// You know that its host is gone for good, though it does not look so, or not for long enough.
    /// If it lives, the agent dies there, and what it does until then is lost
    #[arg(long)]
    its_host_is_gone: bool,
}

impl Move {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = session.client()?.under_way("the move", &locate(&self.agent));
        let ask = api::Move { agent: self.agent, to: self.to };
        let moved: Moved = client.post_within("/v1/agents/move", &ask, PATIENCE).await?;
        told(session, "move", &moved)
    }
}

impl TakeUp {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { agent, on, its_host_is_gone } = self;
        let client = session.client()?.under_way("what was begun", &locate(&agent));
        let ask = api::TakeUp { agent, on, its_host_is_gone };
        let moved: Moved = client.post("/v1/agents/take-up", &ask).await?;
        told(session, "take-up", &moved)
    }
}

/// The command that says where an agent lives, whichever host it was looked for on.
fn locate(agent: &str) -> [&str; 2] {
    ["locate", agent.split('@').next().unwrap_or(agent)]
}

fn told(session: &Session, schema: &str, moved: &Moved) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        return out.envelope(schema, moved);
    }
    if out.quiet {
        return out.line(&text::plain(&moved.agent));
    }
    let (agent, host) = (text::short(&moved.agent), text::plain(&moved.host_name));
    if !moved.arrived {
        let given =
            format!("agent {agent} is given to {host}, which takes it up when it hears of it");
        return out.line(&given);
    }
    out.line(&format!("agent {agent} lives on {host} now"))?;
    moved.from.as_ref().map_or(Ok(()), |from| out.line(&begins(from)))
}

/// What an agent begins with that was taken up.
fn begins(from: &MovedFrom) -> String {
    let last = from.described_at_ms.map(|at| format!(", changed last at {}", text::when(at)));
    let (before, last) = (text::plain(&from.host_name), last.unwrap_or_default());
    format!("it begins with its descriptor from {before}{last}; instance {}", from.instance)
}
