//! `p2p request`

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use starling_node::api::{Answered, Ask};

use crate::{
    failure::{Exit, Failure},
    json,
    session::Session,
};

/// The daemon ends the wait, so that it can say why; we only guard against the daemon.
const GRACE: Duration = Duration::from_secs(5);

/// Ask an agent something, and print its reply as JSON
///
/// An answer `{"Err": …}` is the agent's own error: it is printed, and the exit code is 1.
/// Exit code 6 means that the host cannot be reached or that no answer came in time: the agent
/// may or may not have done what was asked.
#[derive(Debug, Args)]
#[command(before_help = "  p2p request echo echo/say '{\"text\": \"hello\"}'
  p2p request visits@beta counter/add '{\"by\": 2}'
  p2p request visits counter/read --timeout 2s
  p2p request visits counter/add @body.json
")]
pub(crate) struct Request {
    /// AGENT or AGENT@HOST: its id, the beginning of its id, its name, or its kind
    agent: String,
    /// The name of the request, as echo/say
    request: String,
    /// Its body: JSON, @FILE or - for standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    body: Option<String>,
    /// How long to wait for the answer, as 500ms or 10s
    #[arg(long, value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Request {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let ask = Ask {
            to: self.agent,
            request: self.request,
            body: json::argument(self.body.as_deref())?,
            timeout_ms: u64::try_from(self.timeout.as_millis()).ok(),
        };
        let within = self.timeout.saturating_add(GRACE);
        let client = session.client()?.under_way("the request", &["inspect", &ask.to]);
        let answered: Answered = client.post_within("/v1/request", &ask, within).await?;
        if session.out.is_json() {
            session.out.envelope("request", &answered)?;
        } else {
            session.out.indented_json(&answered.reply)?;
        }
        if is_error(&answered.reply) { Err(Failure::Silent(Exit::Failure)) } else { Ok(()) }
    }
}

/// Whether a reply is the bad half of a `Result`, as serde writes it.
fn is_error(reply: &Value) -> bool {
    reply.as_object().is_some_and(|fields| fields.len() == 1 && fields.contains_key("Err"))
}
