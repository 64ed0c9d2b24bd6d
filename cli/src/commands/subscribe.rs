//! `p2p subscribe`

use clap::Args;
use starling_node::api::Heard;

use crate::{
    client::Lines,
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    text,
};

/// Print what is published on a topic, until Ctrl-C
///
/// With --format json, a line of JSON for each message or gap.
#[derive(Debug, Args)]
#[command(before_help = "  p2p subscribe chat/said
  p2p subscribe chat/said#42 --count 1
  p2p subscribe demo/said --format json | jq -r .body.text
")]
pub(crate) struct Subscribe {
    /// The topic: the name of a notification, and a #ROOM if it has rooms
    topic: String,
    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Subscribe {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = format!("/v1/subscribe?topic={}", text::query(&self.topic));
        let lines = session.client()?.stream(&path).await?;
        session.out.note(&format!("listening to {}; Ctrl-C ends", self.topic));
        tokio::select! {
            ended = print(&session.out, lines, self.count) => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }
}

async fn print(out: &Output, mut lines: Lines, count: Option<u64>) -> Result<(), Failure> {
    let mut messages = 0;
    while let Some(heard) = lines.next::<Heard>().await? {
        if out.is_json() {
            out.json_line(&heard)?;
        } else {
            show(out, &heard)?;
        }
        messages += u64::from(matches!(heard, Heard::Message { .. }));
        if count.is_some_and(|count| messages >= count) {
            return Ok(());
        }
    }
    Err(Failure::told(Exit::NoDaemon, "the daemon ended the stream").next("see: p2p status"))
}

fn show(out: &Output, heard: &Heard) -> Result<(), Failure> {
    match heard {
        Heard::Message { from, from_host, body, .. } => {
            let agent = text::short(from.split('@').next().unwrap_or_default());
            let sender = out.paint.cyan(&format!("{agent}@{}", text::plain(from_host)));
            out.line(&format!("{sender}  {}", text::plain(&body.to_string())))
        }
        Heard::Gap { missed, .. } => {
            let messages = text::count(*missed, "message");
            out.warn(&format!("{messages} lost on the way"));
            Ok(())
        }
    }
}
