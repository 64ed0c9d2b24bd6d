use clap::Args;
use starling_node::api::documents::{ChangeView, HistoryPage};

use super::{made_by, query, some};
use crate::{
    failure::Failure,
    session::Session,
    table::{Grid, Tone, field, id, number},
    text,
};

/// Show the changes of a document, newest first
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs history conf/echo
  p2p docs history conf/echo -n 5
  p2p docs history conf/echo --older-than 3fa2
")]
pub(crate) struct History {
    /// The document
    name: String,
    /// How many, at most
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 50, value_parser = some)]
    count: usize,
    /// Only those before this one: its head, or the first digits
    #[arg(long, value_name = "HEAD")]
    older_than: Option<String>,
}

impl History {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let count = self.count.to_string();
        let parts = [
            ("name", Some(&*self.name)),
            ("older_than", self.older_than.as_deref()),
            ("count", Some(&*count)),
        ];
        let path = format!("/v1/docs/history?{}", query(&parts));
        let page: HistoryPage = session.client()?.get(&path).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("docs-history", &page);
        }
        if out.quiet {
            let mut changes = page.changes.iter();
            return changes.try_for_each(|change| out.line(&text::plain(&change.head)));
        }
        out.grid(grid(&page.changes))?;
        if let Some(older) = &page.older_than {
            out.note(&format!("there are more: --older-than {}", text::short(older)));
        }
        Ok(())
    }
}

fn grid(changes: &[ChangeView]) -> Grid {
    let mut grid = Grid::new(&["HEAD", "AT", "BY", "OPS", "AFTER", "MESSAGE"]);
    for change in changes {
        let parents: Vec<String> = change.parents.iter().map(|head| text::short(head)).collect();
        let at = change.at.map(|at| text::when(at.as_millis()));
        grid.row([
            id(&change.head),
            field(&at.unwrap_or_default()),
            made_by(change.host.as_deref(), &change.actor),
            number(change.operations),
            field(&parents.join(" ")).tone(Tone::Dim),
            field(change.message.as_deref().unwrap_or_default()),
        ]);
    }
    grid
}
