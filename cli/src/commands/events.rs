//! `p2p events`

use std::time::{Duration, UNIX_EPOCH};

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
    let (when, what) = (out.paint.dim(&when(event.at_ms)), out.paint.cyan(&name));
    out.line(&format!("{when}  {what}  {}", text::plain(&event.text)))
}

/// Beyond the year 9999, which only a broken clock shows, the milliseconds themselves.
fn when(at_ms: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if at_ms >= YEAR_10000_MS {
        return format!("{at_ms}ms");
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at_ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_never_panic() {
        assert_eq!(when(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(when(u64::MAX), "18446744073709551615ms");
    }
}
