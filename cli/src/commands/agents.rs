//! `p2p agents`

use clap::Args;
use starling_node::api::{AgentRow, Listing};

use crate::{
    failure::Failure,
    session::Session,
    table::{Grid, Tone, field, id, number},
    text,
};

/// Show the agents of the mesh
///
/// A host that does not answer is named on standard error, and the exit code is 6.
#[derive(Debug, Args)]
#[command(before_help = "  p2p agents
  p2p agents --host beta
  p2p agents -q                 ids only
")]
pub(crate) struct Agents {
    /// Only those of this host: its name, its id or the beginning of its id
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

impl Agents {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let host = self.host.map(|host| format!("?host={}", text::query(&host)));
        let path = format!("/v1/agents{}", host.unwrap_or_default());
        let agents: Listing<AgentRow> = session.client()?.get(&path).await?;
        session.out.listing("agents", &agents, |row| &row.agent, grid)
    }
}

pub(crate) fn grid(rows: &[AgentRow]) -> Grid {
    let mut grid = Grid::new(&["NAME", "AGENT", "KIND", "HOST", "INPUTS", "WAITING"]);
    for row in rows {
        let waiting = number(row.waiting);
        grid.row([
            field(row.name.as_deref().unwrap_or_default()),
            id(&row.agent),
            field(&row.kind),
            field(&row.host_name),
            number(row.inputs),
            if row.waiting == 0 { waiting.tone(Tone::Dim) } else { waiting },
        ]);
    }
    grid
}
