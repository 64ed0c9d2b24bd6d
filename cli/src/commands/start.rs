//! `p2p start`

use clap::Args;
use starling_node::api::{self, Started};

use crate::{failure::Failure, json, session::Session, text};

/// Start an agent, here or on another host
#[derive(Debug, Args)]
#[command(before_help = "  p2p start counter --name visits
  p2p start counter --name visits --on beta
  p2p start guest --state '{\"name\": \"Ada\"}'
")]
pub(crate) struct Start {
    /// The kind of agent; `p2p kinds` lists them
    kind: String,
    /// On which host: its name, its id or the beginning of its id; here when absent
    #[arg(long, value_name = "HOST")]
    on: Option<String>,
    /// A name, unique on its host
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its first state: JSON, @FILE or - for standard input
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    state: Option<String>,
}

impl Start {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let state = self.state.as_deref().map(|state| json::argument(Some(state))).transpose()?;
        let start = api::Start { kind: self.kind, host: self.on, name: self.name, state };
        let started: Started = session.client()?.post("/v1/agents", &start).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("start", &started);
        }
        if out.quiet {
            return out.line(&text::plain(&started.agent));
        }
        let (kind, agent) = (text::plain(&start.kind), text::short(&started.agent));
        let host = text::plain(&started.host_name);
        let name = start.name.map(|name| format!("{} ", text::plain(&name))).unwrap_or_default();
        out.line(&format!("started {kind} {name}({agent}) on {host}"))
    }
}
