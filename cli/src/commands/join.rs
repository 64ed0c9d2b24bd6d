//! `p2p join`

use std::time::Duration;

use clap::{Arg, Args};
use starling_node::api::{self, Joined};

use crate::{
    client::{Client, Presence},
    commands::{members, up::How},
    daemon,
    failure::{Exit, Failure},
    json, launch,
    session::Session,
    text,
};

/// How long the daemon may take to come back in the other mesh.
const RETURN_TIME: Duration = Duration::from_secs(20);

/// Join another mesh with a token from `p2p invite`
///
/// The daemon, if it runs, starts anew in the other mesh. A token on the command line can be seen
/// by other users of this machine while the command runs; with - it is read from standard input.
#[derive(Debug, Args)]
#[command(
    before_help = "  p2p join starling1-…
  p2p join starling1-… --up     start the daemon too
  p2p join starling1-… --up --name beta --port 4001
  p2p join - < token.txt
",
    mut_args(for_the_start)
)]
pub(crate) struct Join {
    /// The token, or - for standard input
    token: String,
    /// Start the daemon afterwards, if it does not run
    #[arg(long)]
    up: bool,
    #[command(flatten)]
    how: How,
}

/// How the daemon is started matters only when it is.
fn for_the_start(arg: Arg) -> Arg {
    if How::IDS.contains(&arg.get_id().as_str()) {
        arg.requires("up").help_heading("With --up, for the daemon")
    } else {
        arg
    }
}

impl Join {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let token = if self.token == "-" { json::stdin()? } else { self.token.clone() };
        let token = token.trim().to_owned();
        if token.is_empty() {
            return Err(Failure::usage("the token is empty").next("make one with: p2p invite"));
        }
        let client = session.client()?;
        if client.presence().await == Presence::Absent {
            return self.without_daemon(session, &token).await;
        }
        if self.how != How::default() {
            session.out.note("the daemon is already running: it goes on as it was started");
        }
        with_daemon(session, &client, token).await
    }

    async fn without_daemon(self, session: &Session, token: &str) -> Result<(), Failure> {
        let config = session.config_with(self.how.overrides())?;
        let joined = daemon::join(&config, token).await?;
        tell(session, &joined)?;
        if self.up {
            let again = format!("it has joined; start it with: {} up --port N", session.program());
            return self.how.start(session).await.map_err(|why| why.next(again));
        }
        session.out.note("no daemon runs here; next:");
        session.out.hints(&[(format!("{} up", session.program()), "start it")]);
        Ok(())
    }
}

async fn with_daemon(session: &Session, client: &Client, token: String) -> Result<(), Failure> {
    let joined = join_running(client, token).await?;
    tell(session, &joined)?;
    if session.out.is_json() || session.out.quiet {
        return Ok(());
    }
    members::show(session, client).await
}

/// Has a running daemon join, and waits until it serves in the other mesh.
pub(crate) async fn join_running(client: &Client, token: String) -> Result<Joined, Failure> {
    let joined: Joined = client.post("/v1/join", &api::Join { token }).await?;
    let there = async || {
        let status: Result<api::Status, _> = client.get("/v1/status").await;
        status.is_ok_and(|status| status.mesh == joined.mesh)
            && client.presence().await == Presence::Ready
    };
    if launch::until(RETURN_TIME, there).await {
        return Ok(joined);
    }
    let waited = RETURN_TIME.as_secs();
    let message = format!("joined, but the daemon is not back after {waited} s");
    Err(Failure::told(Exit::Partial, message).next("see p2p doctor and the daemon's log"))
}

fn tell(session: &Session, joined: &Joined) -> Result<(), Failure> {
    if session.out.is_json() {
        return session.out.envelope("join", joined);
    }
    if session.out.quiet {
        return session.out.line(&text::plain(&joined.mesh));
    }
    let (name, mesh) = (text::plain(&joined.mesh_name), text::short(&joined.mesh));
    let hosts = text::count(joined.members, "host");
    session.out.line(&format!("joined the mesh {name} ({mesh}), {hosts}"))
}
