use clap::Args;
use serde_json::Value;
use starling_node::api::documents::{DocSeen, Misfit};

use super::query;
use crate::{failure::Failure, session::Session, text};

/// Show what a document says, or a part of it
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs get conf/echo
  p2p docs get conf/echo rooms[0].name
  p2p docs get conf/echo --at 3fa2            as it was: a head from p2p docs history
  p2p docs get conf/echo greeting -q          a text without quotes, for scripts
")]
pub(crate) struct Get {
    /// The document
    name: String,
    /// Which part of it
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// As it was: a head, or its first digits
    #[arg(long, value_name = "HEAD")]
    at: Option<String>,
}

impl Get {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let parts = [
            ("name", Some(&*self.name)),
            ("path", self.path.as_deref()),
            ("at", self.at.as_deref()),
        ];
        let path = format!("/v1/docs/get?{}", query(&parts));
        let seen: DocSeen = session.client()?.get(&path).await?;
        let out = &session.out;
        if let Some(why) = &seen.not_in_force {
            out.note(&format!("agents here go on with an earlier version: {why}"));
        }
        if let Some(why) = &seen.misfit {
            out.note(&format!("it does not fit its type: {why}"));
        }
        for Misfit { host, why } in &seen.misfits {
            out.note(&format!("it does not fit its type, which {host} knows: {why}"));
        }
        match &seen.value {
            _ if out.is_json() => out.envelope("docs-get", &seen),
            Value::String(value) if out.quiet => out.line(&text::plain_lines(value)),
            value => out.indented_json(value),
        }
    }
}
