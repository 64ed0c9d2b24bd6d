use std::time::Duration;

use clap::Args;
use serde_json::Value;
use starling_node::api::documents::{DocEdit, DocSet, DocWritten};

use super::{some, value, written};
use crate::{failure::Failure, json, session::Session, text};

/// More than the daemon takes beyond the time it is given.
const GRACE: Duration = Duration::from_secs(10);

/// How a change is made.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Why, for those who read the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// How many hosts are to have it on their disks; the exit code is 6 when fewer have in time
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = some)]
    replicas: usize,
    /// How long to wait for them, as 500ms or 10s
    #[arg(long, value_name = "TIME", default_value = "10s",
          value_parser = duration)]
    timeout: Duration,
}

impl How {
    pub(super) async fn make(
        self,
        session: &Session,
        name: String,
        edits: Vec<DocEdit>,
    ) -> Result<DocWritten, Failure> {
        let set = DocSet {
            name,
            edits,
            message: self.message.unwrap_or_default(),
            replicas: Some(u32::try_from(self.replicas).unwrap_or(u32::MAX)),
            timeout_ms: u64::try_from(self.timeout.as_millis()).ok(),
        };
        let within = self.timeout.saturating_add(GRACE);
        let client = session.client()?.under_way("the change", &["docs", "get", &set.name]);
        client.post_within("/v1/docs/set", &set, within).await
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a time is expected, as 500ms or 10s".to_owned())
}

/// Set values in a document, or make it
///
/// A VALUE that is no JSON is a text; @FILE and - read JSON. Several values are set in one change.
/// Maps that are missing on the way are made, and an index one past the end of a list appends.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs set conf/echo limit 3
  p2p docs set conf/echo greeting Hello -m 'be kind'
  p2p docs set conf/echo rooms[0].name hall rooms[0].seats 20
  p2p docs set conf/echo '' @echo.json     the whole document
  p2p docs set conf/echo limit 4 --replicas 3 --timeout 5s
")]
pub(crate) struct Set {
    /// The document
    name: String,
    /// Where, and what: as many pairs as you like
    #[arg(value_names = ["PATH", "VALUE"], num_args = 2.., required = true,
          allow_negative_numbers = true)]
    edits: Vec<String>,
    /// All values are JSON: what is not is refused
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// All values are texts as they stand
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    how: How,
}

impl Set {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (json, as_text) = (self.json, self.text);
        let edits = self.edits.chunks(2).map(|pair| {
            let [path, arg] = pair else {
                let alone = pair.first().map_or("", String::as_str);
                return Err(Failure::usage(format!("there is no value for the path {alone:?}")));
            };
            let value = match (json, as_text) {
                (true, _) => json::argument(Some(arg))?,
                (_, true) => Value::from(arg.as_str()),
                _ => value(arg)?,
            };
            if value.is_string() && !as_text && arg.starts_with(['{', '[']) {
                session.out.note(&format!("what {path:?} is set to is no JSON: it is a text then"));
            }
            Ok(DocEdit { path: path.clone(), value: Some(value), ..DocEdit::default() })
        });
        let edits = edits.collect::<Result<Vec<_>, Failure>>()?;
        let done = self.how.make(session, self.name, edits).await?;
        written(session, "docs-set", &done)
    }
}

/// Remove keys of a document with what stands there, or items of its lists
///
/// The exit code is 5 when nothing stands at one of the places; then nothing is removed.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs remove conf/echo greeting
  p2p docs remove conf/echo rooms[0] old -m 'closed'
")]
pub(crate) struct Remove {
    /// The document
    name: String,
    /// Where; several are removed one after the other
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    #[command(flatten)]
    how: How,
}

impl Remove {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        if self.paths.iter().any(String::is_empty) {
            let delete = format!("{} docs delete {}", session.program(), text::shell(&self.name));
            return Err(Failure::usage(
                "the empty path is the whole document; nothing was changed",
            )
            .next(format!("to delete it: {delete}")));
        }
        let remove = |path| DocEdit { path, remove: true, must_stand: true, ..DocEdit::default() };
        let edits = self.paths.into_iter().map(remove).collect();
        let done = self.how.make(session, self.name, edits).await?;
        written(session, "docs-remove", &done)
    }
}
