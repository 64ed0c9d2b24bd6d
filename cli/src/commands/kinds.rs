//! `p2p kinds`

use clap::Args;
use starling_node::api::{KindRow, Listing};

use crate::{
    failure::Failure,
    session::Session,
    table::{Grid, field},
};

/// Show the kinds of agents that this host can start
#[derive(Debug, Args)]
#[command(before_help = "  p2p kinds
  p2p kinds -q
")]
pub(crate) struct Kinds {}

impl Kinds {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let kinds: Listing<KindRow> = session.client()?.get("/v1/kinds").await?;
        session.out.listing("kinds", &kinds, |row| &row.kind, grid)
    }
}

fn grid(rows: &[KindRow]) -> Grid {
    let mut grid = Grid::new(&["KIND", "UNDERSTANDS"]);
    for row in rows {
        grid.row([field(&row.kind), field(&row.understands.join(", "))]);
    }
    grid
}
