//! `p2p down`

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use starling_node::api::Done;

use crate::{client::Client, failure::Failure, launch, session::Session};

/// How long a daemon may take to go down in good order.
const DOWN_TIME: Duration = Duration::from_secs(20);

/// Stop the daemon of this machine
///
/// It goes down in good order: what it has promised is on disk. Exit code 3 if none runs.
#[derive(Debug, Args)]
#[command(before_help = "  p2p down
  p2p --node b down
")]
pub(crate) struct Down {}

impl Down {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = session.client()?;
        go_down(&client).await?;
        if session.out.is_json() {
            return session.out.envelope("down", Done { done: "the daemon is down".into() });
        }
        session.out.note("the daemon is down");
        Ok(())
    }
}

/// Asks the daemon to go down, and waits until it is.
pub(crate) async fn go_down(client: &Client) -> Result<(), Failure> {
    let asked: Result<Done, _> = client.post("/v1/down", &Value::Null).await;
    let gone = match asked {
        Err(failure) if client.listens().await => return Err(failure),
        Err(failure) if failure == client.absent() => return Err(failure),
        // It may be gone before its answer is.
        Ok(_) | Err(_) => launch::until(DOWN_TIME, async || !client.listens().await).await,
    };
    let waited = DOWN_TIME.as_secs();
    let late = || Failure::late(format!("the daemon is still there after {waited} s"));
    gone.then_some(()).ok_or_else(|| late().next("look into its log; p2p status has its pid"))
}
