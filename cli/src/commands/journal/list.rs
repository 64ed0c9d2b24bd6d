use clap::Args;
use starling_node::api::{Listing, journal::LifeRow};

use super::Whose;
use crate::{
    failure::Failure,
    session::Session,
    source::{self, Source},
    table::{Grid, Tone, field, id, number},
    text,
};

/// List the lives of agents that are recorded
///
/// ENDED is empty for who lives; `host-down` is a life that ended with its host.
#[derive(Debug, Args)]
#[command(before_help = "  p2p journal list
  p2p journal list visits                 those of one agent, or of all that had the name
  p2p journal list --file copy/
  p2p journal list -q                     numbers of lives only
")]
pub(crate) struct List {
    #[command(flatten)]
    whose: Whose,
}

impl List {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (who, out) = (self.whose.all(), &session.out);
        let path = format!("/v1/journal/lives?{}", source::query(&who));
        let source = Source::new(session, self.whose.file.as_deref())?;
        let read = |archive: &starling_node::journal::archive::Archive| {
            Ok(Listing { items: archive.lives(&who)?, missing: Vec::new() })
        };
        let lives: Listing<LifeRow> = source.once(&path, read).await?;
        if out.is_json() {
            return out.envelope("journal-list", &lives.items);
        }
        if out.quiet {
            return lives.items.iter().try_for_each(|row| out.line(&row.life.to_string()));
        }
        out.grid(grid(&lives.items))
    }
}

fn grid(rows: &[LifeRow]) -> Grid {
    let head = ["LIFE", "NAME", "AGENT", "KIND", "KEPT", "ENTRIES", "BEGUN", "ENDED"];
    let mut grid = Grid::new(&head);
    for row in rows {
        let ended = row.ended.as_deref().unwrap_or_default();
        let tone = if ended == "died" { Tone::Bad } else { Tone::Dim };
        let kind = field(&row.kind);
        grid.row([
            number(row.life),
            field(row.name.as_deref().unwrap_or_default()),
            id(&row.agent),
            if row.known { kind } else { kind.tone(Tone::Warn) },
            field(&row.durability),
            number(row.next - row.first.min(row.next)),
            field(&text::when(row.begun_ms)),
            field(ended).tone(tone),
        ]);
    }
    grid
}
