//! `p2p publish`

use clap::Args;
use starling_node::api::{self, Published};

use crate::{failure::Failure, json, session::Session, text};

/// Publish a notification on a topic
///
/// Whoever listens to the topic, on any host, hears it.
#[derive(Debug, Args)]
#[command(before_help = "  p2p publish chat/said '{\"text\": \"hello\"}'
  p2p publish chat/said#42 @message.json
")]
pub(crate) struct Publish {
    /// The topic: the name of a notification, and a #ROOM if it has rooms
    topic: String,
    /// The notification: JSON, @FILE or - for standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    body: Option<String>,
}

impl Publish {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let body = json::argument(self.body.as_deref())?;
        let publish = api::Publish { topic: self.topic, body };
        let published: Published = session.client()?.post("/v1/publish", &publish).await?;
        if session.out.is_json() {
            return session.out.envelope("publish", &published);
        }
        let local = text::count(published.local, "listener");
        let hosts = text::count(published.hosts, "other host");
        session.out.note(&format!("sent to {local} here and to {hosts}"));
        Ok(())
    }
}
