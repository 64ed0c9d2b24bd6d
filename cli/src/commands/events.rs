//! `p2p events`

use clap::Args;
use starling_node::api::EventLine;

use crate::{
    client::Lines,
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    text,
};

/// Show what happened on this host
///
/// Times are in UTC. With --format json, a line of JSON for each event.
#[derive(Debug, Args)]
#[command(before_help = "  p2p events
  p2p events -f                 go on as things happen
  p2p events -f --backlog 0     only what is new
")]
pub(crate) struct Events {
    /// Go on as things happen, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many past events to begin with
    #[arg(long, value_name = "N", default_value_t = 50)]
    backlog: u32,
}

impl Events {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = format!("/v1/events?backlog={}&follow={}", self.backlog, self.follow);
        let lines = session.client()?.stream(&path).await?;
        tokio::select! {
            ended = print(&session.out, lines) => ended?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let ended = || Failure::told(Exit::NoDaemon, "the daemon ended the stream");
        if self.follow { Err(ended().next("see: p2p status")) } else { Ok(()) }
    }
}

async fn print(out: &Output, mut lines: Lines) -> Result<(), Failure> {
    while let Some(event) = lines.next::<EventLine>().await? {
        if out.is_json() {
            out.json_line(&event)?;
        } else {
            show(out, &event)?;
        }
    }
    Ok(())
}

fn show(out: &Output, event: &EventLine) -> Result<(), Failure> {
    let name = format!("{:<18}", text::plain(&event.event));
    let (when, what) = (out.paint.dim(&text::when(event.at_ms)), out.paint.cyan(&name));
    out.line(&format!("{when}  {what}  {}", text::plain(&event.text)))
}
