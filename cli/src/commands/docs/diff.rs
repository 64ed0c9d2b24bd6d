use clap::Args;
use starling_node::api::documents::DocDiff;

use super::query;
use crate::{failure::Failure, session::Session, text};

/// Show what differs between two versions of a document
///
/// Without FROM, what the last change did; without TO, up to now.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs diff conf/echo                  the last change
  p2p docs diff conf/echo 3fa2             since then
  p2p docs diff conf/echo 3fa2 9c41        between two
")]
pub(crate) struct Diff {
    /// The document
    name: String,
    /// The old version: a head of p2p docs history, or its first digits
    #[arg(value_name = "FROM")]
    from: Option<String>,
    /// The new version
    #[arg(value_name = "TO")]
    to: Option<String>,
}

impl Diff {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let parts = [
            ("name", Some(&*self.name)),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
        ];
        let path = format!("/v1/docs/diff?{}", query(&parts));
        let diff: DocDiff = session.client()?.get(&path).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("docs-diff", &diff);
        }
        let mut lines = diff.differences.lines.iter();
        lines.try_for_each(|line| out.line(&text::plain(&line.to_string())))?;
        match (diff.differences.lines.len(), diff.differences.more) {
            (0, _) => out.note("both say the same"),
            (_, 0) => {}
            (_, more) => out.note(&format!("and {more} more")),
        }
        Ok(())
    }
}
