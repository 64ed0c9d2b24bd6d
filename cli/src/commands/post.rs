//! `p2p post`

use clap::Args;
use starling_node::api::{self, Posted};

use crate::{failure::Failure, json, session::Session, text};

/// Post a durable notification to an agent
///
/// When this succeeds, the letter is on this host's disk: it arrives, whatever restarts meanwhile,
/// here or there, and is handled exactly once if the agent's kind is write-ahead, in the order in
/// which it was posted. Until then the agent's host may be down. It is not an answer: what the
/// agent makes of it is seen in its state or its journal.
///
/// If there is no such agent any more when it arrives, or it does not understand it, the letter is
/// dropped; `p2p events` and `p2p logs` here tell of it. An agent whose host is down is named by
/// both ids in full: AGENT@HOST.
#[derive(Debug, Args)]
#[command(before_help = "  p2p post till shop/sold '{\"item\": \"tea\", \"count\": 2}'
  p2p post till@beta shop/sold @sale.json
")]
pub(crate) struct Post {
    /// AGENT or AGENT@HOST: its id, the beginning of its id, its name, or its kind
    agent: String,
    /// The notification's name, as chat/said
    name: String,
    /// The notification: JSON, @FILE or - for standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    body: Option<String>,
}

impl Post {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let body = json::argument(self.body.as_deref())?;
        let post = api::Post { to: self.agent, name: self.name, body };
        let client = session.client()?.under_way("the letter", &["inspect", &post.to]);
        let posted: Posted = client.post("/v1/post", &post).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("post", &posted);
        }
        if out.quiet {
            return out.line(&posted.number.to_string());
        }
        let (agent, host) = (text::short(&posted.agent), text::short(&posted.host));
        out.note(&format!("letter {} to {agent}@{host} is durable here", posted.number));
        Ok(())
    }
}
