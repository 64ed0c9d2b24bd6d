//! `p2p stop`

use clap::Args;
use starling_node::api::{self, Done};

use crate::{failure::Failure, session::Session, text};

/// Stop an agent
#[derive(Debug, Args)]
#[command(before_help = "  p2p stop visits
  p2p stop visits@beta
")]
pub(crate) struct Stop {
    /// AGENT or AGENT@HOST: its id, the beginning of its id, its name, or its kind
    #[arg(value_name = "AGENT")]
    agent: String,
}

impl Stop {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let stop = api::Stop { agent: self.agent };
        let done: Done = session.client()?.post("/v1/agents/stop", &stop).await?;
        if session.out.is_json() {
            return session.out.envelope("stop", &done);
        }
        session.out.note(&text::plain(&done.done));
        Ok(())
    }
}
