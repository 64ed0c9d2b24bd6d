//! `p2p locate`

use clap::Args;
use starling_node::api::{Listing, documents::Located};

use crate::{
    failure::{Exit, Failure},
    session::Session,
    table::{Grid, Tone, field, id, number},
    text,
};

/// Show where an agent lives, or lived last
///
/// It is known from the agent's descriptor, which every host has: no other host is asked, and an
/// agent whose host is gone is found too. One that goes from one host to another is `moving`: it
/// answers again in a moment. All agents that are meant are listed. The exit code is 5
/// when there is none.
#[derive(Debug, Args)]
#[command(before_help = "  p2p locate visits             by its name
  p2p locate vg5nvalf           by its id, or the beginning of it
")]
pub(crate) struct Locate {
    /// An agent's name, its id, or the beginning of its id
    #[arg(value_name = "AGENT")]
    agent: String,
}

impl Locate {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = format!("/v1/locate?what={}", text::query(&self.agent));
        let found: Listing<Located> = session.client()?.get(&path).await?;
        session.out.listing("locate", &found, |row| &row.agent, grid)?;
        if found.items.is_empty() {
            let message = format!("no agent {:?} is known", self.agent);
            return Err(Failure::told(Exit::NotFound, message)
                .next("see what there is: p2p agents, p2p docs list agent/"));
        }
        Ok(())
    }
}

fn grid(rows: &[Located]) -> Grid {
    let mut grid = Grid::new(&["NAME", "AGENT", "KIND", "HOST", "HOST ID", "INSTANCE", "STATE"]);
    for row in rows {
        let state = if row.moving { "moving" } else { row.state.as_str() };
        let tone = match state {
            "self" | "linked" => Tone::Good,
            "dialling" | "known" => Tone::Plain,
            _ => Tone::Warn,
        };
        grid.row([
            field(row.name.as_deref().unwrap_or_default()),
            id(&row.agent),
            field(&row.kind),
            field(&row.host_name),
            id(&row.host),
            number(row.instance),
            field(state).tone(tone),
        ]);
    }
    grid
}
