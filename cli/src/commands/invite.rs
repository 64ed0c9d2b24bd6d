//! `p2p invite`

use std::time::Duration;

use clap::Args;
use starling_node::api::{self, InviteRow, Invited, Listing};

use crate::{
    failure::Failure,
    session::Session,
    table::{Field, Grid, field, id, number},
    text,
};

/// Let other hosts into the mesh: print a token to join with
///
/// Whoever has the token may join: hand it over on a safe way. The token is all that goes to
/// standard output, so it can be piped.
#[derive(Debug, Args)]
#[command(before_help = "  p2p invite
  p2p invite --uses 10 --ttl 1day
  p2p invite | ssh other p2p join - --up
  p2p invite --list
")]
pub(crate) struct Invite {
    /// How long the token is good for, as 30m, 1h or 2days
    #[arg(long, value_name = "TIME", default_value = "1h",
          value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// How many hosts may join with it
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// Those who join may invite others
    #[arg(long)]
    may_admit: bool,
    /// Show the open invites instead of making one
    #[arg(long, conflicts_with_all = ["ttl", "uses", "may_admit"])]
    list: bool,
}

impl Invite {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        if self.list { list(session).await } else { self.make(session).await }
    }

    async fn make(self, session: &Session) -> Result<(), Failure> {
        let invite = api::Invite {
            life_seconds: Some(self.ttl.as_secs().max(1)),
            uses: Some(self.uses),
            may_admit: self.may_admit,
        };
        let invited: Invited = session.client()?.post("/v1/invites", &invite).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("invite", &invited);
        }
        out.line(&text::plain(&invited.token))?;
        let hosts = text::count(invited.uses, "host");
        let life = text::duration(invited.life_seconds);
        out.note(&format!("good for {life} and {hosts}; on the other machine:"));
        out.hints(&[
            ("p2p join TOKEN --up".to_owned(), "join, and start the daemon"),
            ("p2p join - --up".to_owned(), "the same, the token from standard input"),
        ]);
        Ok(())
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let invites: Listing<InviteRow> = session.client()?.get("/v1/invites").await?;
    session.out.listing("invites", &invites, |row| &row.invite, grid)
}

fn grid(rows: &[InviteRow]) -> Grid {
    let mut grid = Grid::new(&["INVITE", "USED", "EXPIRES IN", "MAY ADMIT"]);
    for row in rows {
        grid.row([id(&row.invite), used(row), expires(row), field(yes(row.may_admit))]);
    }
    grid
}

fn used(row: &InviteRow) -> Field {
    number(format!("{}/{}", row.used, row.uses))
}

fn expires(row: &InviteRow) -> Field {
    field(&text::duration(row.expires_in_seconds))
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
