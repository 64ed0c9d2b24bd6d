//! `p2p members`

use clap::Args;
use starling_node::api::{Listing, Member};

use crate::{
    client::Client,
    failure::Failure,
    session::Session,
    table::{Field, Grid, Tone, field, id},
};

/// Show the hosts of the mesh
///
/// STATE is how this host reaches the other: self, linked, dialling, unreachable, known (not
/// tried yet) or left.
#[derive(Debug, Args)]
#[command(before_help = "  p2p members
  p2p members -q                ids only
  p2p members --format json | jq -r '.data[] | select(.state == \"linked\").name'
")]
pub(crate) struct Members {}

impl Members {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        show(session, &session.client()?).await
    }
}

pub(crate) async fn show(session: &Session, client: &Client) -> Result<(), Failure> {
    let members: Listing<Member> = client.get("/v1/members").await?;
    session.out.listing("members", &members, |member| &member.host, grid)
}

pub(crate) fn grid(members: &[Member]) -> Grid {
    let mut grid = Grid::new(&["NAME", "HOST", "STATE", "VERSION", "ADDRESS", "WHY"]);
    for member in members {
        grid.row([
            field(&member.name),
            id(&member.host),
            field(&member.state).tone(tone(&member.state)),
            field(&member.version),
            address(&member.addresses),
            field(member.why.as_deref().unwrap_or_default()).tone(Tone::Bad),
        ]);
    }
    grid
}

fn tone(state: &str) -> Tone {
    match state {
        "self" | "linked" => Tone::Good,
        "dialling" => Tone::Warn,
        "unreachable" => Tone::Bad,
        "left" => Tone::Dim,
        _ => Tone::Plain,
    }
}

/// The first address; the others are in the JSON.
fn address(addresses: &[String]) -> Field {
    match addresses {
        [] => field(""),
        [only] => field(only),
        [first, rest @ ..] => field(&format!("{first} +{}", rest.len())),
    }
}
