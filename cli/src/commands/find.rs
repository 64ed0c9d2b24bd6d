//! `p2p find`

use clap::Args;
use starling_node::api::{Listing, ProviderRow};

use crate::{
    failure::{Exit, Failure},
    session::Session,
    table::{Grid, field, id},
    text,
};

/// Find the agents that offer a service
///
/// Agents offer each request that they answer and each contract that they bid for, by its name;
/// and what they call themselves. The exit code is 5 when nobody offers it. A host that does not
/// answer is named on standard error, and the exit code is 6.
#[derive(Debug, Args)]
#[command(before_help = "  p2p find counter/add          all agents that answer this request
  p2p find printing/colour      those that offer a service of this name
  p2p find echo/say --shard     in this shard only
  p2p find echo/say -q          ids only
")]
pub(crate) struct Find {
    /// The name of a request, of a contract, or one that agents gave it
    #[arg(value_name = "NAME")]
    service: String,
    /// Only in the shard of this host
    #[arg(long)]
    shard: bool,
}

impl Find {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let shard = if self.shard { "&shard=true" } else { "" };
        let path = format!("/v1/find?service={}{shard}", text::query(&self.service));
        let found: Listing<ProviderRow> = session.client()?.get(&path).await?;
        session.out.listing("find", &found, |row| &row.agent, grid)?;
        if found.items.is_empty() {
            let message = format!("no agent offers {:?}", self.service);
            return Err(Failure::told(Exit::NotFound, message)
                .next("see what agents understand: p2p inspect AGENT, p2p kinds"));
        }
        Ok(())
    }
}

fn grid(rows: &[ProviderRow]) -> Grid {
    let mut grid = Grid::new(&["NAME", "AGENT", "KIND", "HOST"]);
    for row in rows {
        grid.row([
            field(row.name.as_deref().unwrap_or_default()),
            id(&row.agent),
            field(&row.kind),
            field(&row.host_name),
        ]);
    }
    grid
}
