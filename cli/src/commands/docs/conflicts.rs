use clap::Args;
use starling_node::api::documents::{DocConflicts, DocConflictsPage, DocResolve, DocWritten};

use super::{made_by, query, short, written};
use crate::{
    failure::Failure,
    session::Session,
    table::{Grid, Tone, field, id},
    text,
};

/// List the places where several hosts have written at once
///
/// One of the values is shown everywhere, the same on all hosts; the others are kept until somebody
/// chooses with `p2p docs resolve`, or writes there. After 512 changes, or some hundred kB, the history
/// of a document begins anew: with up to 48 values that are in conflict; of more, or if there is no
/// room, with those that are shown.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs conflicts                       of all documents
  p2p docs conflicts conf/echo
")]
pub(crate) struct Conflicts {
    /// The document
    name: Option<String>,
}

impl Conflicts {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (out, client) = (&session.out, session.client()?);
        let mut found: Vec<DocConflicts> = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let parts = [("name", self.name.as_deref()), ("after", next.as_deref())];
            let path = format!("/v1/docs/conflicts?{}", query(&parts));
            let page: DocConflictsPage = client.get(&path).await?;
            found.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if out.is_json() {
            return out.envelope("docs-conflicts", &found);
        }
        if out.quiet {
            return found.iter().try_for_each(|doc| out.line(&text::plain(&doc.name)));
        }
        if found.is_empty() {
            out.note("there are no conflicts");
            return Ok(());
        }
        out.grid(grid(&found))?;
        if let Some(DocConflicts { name, conflicts }) = found.first()
            && let Some(place) = conflicts.places.first()
        {
            let path = text::shell(&place.path.to_string());
            out.note(&format!("choose one by its change: p2p docs resolve {name} {path} CHANGE"));
        }
        Ok(())
    }
}

fn grid(found: &[DocConflicts]) -> Grid {
    let mut grid = Grid::new(&["NAME", "PATH", "CHANGE", "AT", "BY", "VALUE", ""]);
    let places = |doc: &'_ DocConflicts| doc.conflicts.places.clone();
    for (doc, place) in found.iter().flat_map(|doc| places(doc).into_iter().map(move |p| (doc, p)))
    {
        for value in &place.values {
            let shown = if value.shown { "shown" } else { "" };
            let said = value.value.as_ref().map(short);
            let at = value.at.map(|at| text::when(at.as_millis()));
            grid.row([
                field(&doc.name),
                field(&place.path.to_string()),
                id(value.change.as_deref().unwrap_or_default()),
                field(&at.unwrap_or_default()),
                made_by(value.host.as_deref(), value.actor.as_deref().unwrap_or_default()),
                field(&said.unwrap_or_else(|| "(too large to be shown)".into())),
                field(shown).tone(Tone::Dim),
            ]);
        }
    }
    grid
}

/// Choose one of the values that stand at one place
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs conflicts conf/echo             which values there are
  p2p docs resolve conf/echo limit 3fa2    the one that this change wrote
")]
pub(crate) struct Resolve {
    /// The document
    name: String,
    /// The place
    path: String,
    /// The change that wrote the value, or its first digits
    #[arg(value_name = "CHANGE")]
    choice: String,
}

impl Resolve {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { name, path, choice } = self;
        let resolve = DocResolve { name, path, choice };
        let look = ["docs", "conflicts", &resolve.name];
        let client = session.client()?.under_way("the change", &look);
        let done: DocWritten = client.post("/v1/docs/resolve", &resolve).await?;
        written(session, "docs-resolve", &done)
    }
}
