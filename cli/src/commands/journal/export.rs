use clap::Args;
use serde_json::Value;

use super::Whose;
use crate::{
    failure::{Exit, Failure},
    progress::Progress,
    session::Session,
    source::{self, Source},
};

/// Print a line of JSON for each record, for other tools
///
/// `record` says what it is: era, at, life, snapshot, entry, gap, end, post, delivered, took,
/// numbering. Bodies and states are shown as JSON where the reader has their kind.
#[derive(Debug, Args)]
#[command(before_help = "  p2p journal export > journal.jsonl
  p2p journal export visits | jq 'select(.record == \"entry\") | .outcome'
  p2p journal export --bytes --file copy.db
")]
pub(crate) struct Export {
    #[command(flatten)]
    whose: Whose,
    /// With all that is encoded in base64, and the seeds: enough to replay it elsewhere
    #[arg(long)]
    bytes: bool,
}

impl Export {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (who, out, bytes) = (self.whose.all(), &session.out, self.bytes);
        let path = format!("/v1/journal/export?{}&bytes={bytes}", source::query(&who));
        let path = path.replace("?&", "?");
        let source = Source::new(session, self.whose.file.as_deref())?;
        let mut progress = Progress::new(out, "exporting");
        let (mut done, mut damaged) = (0, false);
        let put = |object: Value| {
            done += 1;
            damaged |= object["record"] == "damaged";
            progress.tell(done, object["sequence"].as_u64().unwrap_or(done));
            out.json_line(&object)
        };
        source.lines(&path, |archive, put| archive.export(&who, bytes, put), put).await?;
        progress.end();
        if damaged { Err(Failure::Silent(Exit::Failure)) } else { Ok(()) }
    }
}
