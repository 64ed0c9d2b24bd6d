//! The control API's server: HTTP/1 on a unix socket. It turns each call into a [`Command`] for
//! the main loop and the answer into JSON; it decides nothing itself.
//!
//! Whatever a client does, it takes one of a bounded number of connections, and every wait ends:
//! for a request's head and body, for the main loop, and at the end for the shutdown.

mod answer;
mod documents;
mod extract;
mod journal;
mod routes;
mod server;
mod socket;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use journal::Journals;
pub use server::{ControlError, Server};
use starling_protocols::limits::{BUDGET_DEFAULT, BUDGET_MAX};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};

use crate::api::{self, Code, Problem};

/// Calls that may wait for the main loop. At the cap a call is refused as busy.
const CALLS_WAITING_MAX: usize = 256;

/// How long the main loop may take for what it can do alone or by asking other hosts.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to join: dialling, and the gate.
const PATIENCE_JOIN: Duration = Duration::from_secs(90);

/// What a request of an agent may take beyond its own budget.
const GRACE: Duration = Duration::from_secs(5);

/// The way to the main loop.
#[derive(Clone, Debug)]
pub struct Handle(mpsc::Sender<Call>);

/// One call, with the place for its answer. A dropped place is a fault of the main loop.
#[derive(Debug)]
pub struct Call {
    /// What is wanted.
    pub command: Command,
    /// Where the answer goes. The caller may have gone.
    pub answer: Place,
}

/// Where an answer goes.
pub type Place = oneshot::Sender<Result<Reply, Problem>>;

/// What a local program wants. The answers are those of [`api`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named like its route and carries the route's type")]
pub enum Command {
    Status,
    Members,
    /// Of one host, or of all.
    Agents {
        host: Option<String>,
    },
    Inspect {
        what: String,
    },
    /// Who offers a service, in the shard or in the mesh.
    Find {
        service: String,
        shard: bool,
    },
    Start(api::Start),
    Stop(api::Stop),
    Move(api::Move),
    TakeUp(api::TakeUp),
    Request(api::Ask),
    /// Answered when the letter is durable.
    Post(api::Post),
    Publish(api::Publish),
    /// Answered with [`Reply::Subscribed`]; ends when either end of the sink is dropped.
    Subscribe {
        topic: String,
        sink: mpsc::Sender<api::Heard>,
    },
    /// Answered with [`Reply::Subscribed`]; the sink has room for the backlog. Without `follow`
    /// the main loop drops the sink after the backlog.
    Events {
        backlog: usize,
        follow: bool,
        sink: mpsc::Sender<api::EventLine>,
    },
    /// Answered when all that happened before can be read in the journal, or nothing can be
    /// written now.
    Recorded,
    /// What is asked of documents.
    Docs(DocsCommand),
    Kinds,
    Invite(api::Invite),
    Invites,
    Join(api::Join),
    Doctor,
    Down,
    /// Answered with [`Reply::Text`], in the OpenMetrics format.
    Metrics,
    /// Answered with a problem as long as the daemon is not ready.
    Ready,
}

/// What a local program wants of documents. The answers are those of [`api::documents`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named like its route and carries what the route is given")]
pub enum DocsCommand {
    List {
        prefix: String,
        fields: Vec<(String, String)>,
        after: Option<String>,
        limit: u32,
    },
    Get {
        name: String,
        path: String,
        at: Option<String>,
    },
    Set(api::documents::DocSet),
    Delete(api::documents::DocDelete),
    History {
        name: String,
        older_than: Option<String>,
        count: usize,
    },
    Diff {
        name: String,
        from: Option<String>,
        to: Option<String>,
    },
    /// Of one document, or of all after a name.
    Conflicts {
        name: Option<String>,
        after: Option<String>,
    },
    Resolve(api::documents::DocResolve),
    Raise(api::documents::DocRaise),
    Locate {
        what: String,
    },
}

/// What the main loop answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The route's type.
    Json(serde_json::Value),
    /// A text.
    Text(String),
    /// The answer follows through the sink.
    Subscribed,
}

impl Handle {
    /// The way to the main loop, and the main loop's end of it.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(CALLS_WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Asks the main loop.
    ///
    /// # Errors
    /// The main loop's own [`Problem`]; `Busy` when too many calls wait (nothing was done),
    /// `Internal` when it is gone, `TimedOut` when it does not answer (the outcome is unknown).
    pub async fn call(&self, command: Command) -> Result<Reply, Problem> {
        let patience = command.patience();
        let (answer, reply) = oneshot::channel();
        self.0.try_send(Call { command, answer }).map_err(|why| match why {
            TrySendError::Full(_) => busy(),
            TrySendError::Closed(_) => gone(),
        })?;
        match timeout(patience, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(silent(patience)),
        }
    }
}

impl Command {
    /// Longer than the main loop itself waits, so that its own answer, which says more, comes
    /// first.
    fn patience(&self) -> Duration {
        match self {
            Self::Request(ask) => {
                let own = ask.timeout_ms.map_or(BUDGET_DEFAULT, Duration::from_millis);
                own.min(BUDGET_MAX) + GRACE
            }
            Self::Docs(DocsCommand::Set(set)) => {
                let own = set.timeout_ms.map_or(BUDGET_DEFAULT, Duration::from_millis);
                own.min(BUDGET_MAX) + GRACE
            }
            Self::Join(_) | Self::Move(_) => PATIENCE_JOIN,
            _ => PATIENCE,
        }
    }
}

fn busy() -> Problem {
    Problem::new(Code::Busy, format!("{CALLS_WAITING_MAX} calls are waiting; nothing was done"))
        .next("try again in a moment")
}

fn gone() -> Problem {
    Problem::new(Code::Internal, "the daemon is going down or has failed")
        .next("see its log, and start it again with `p2p up`")
}

fn silent(patience: Duration) -> Problem {
    let message = format!(
        "the daemon did not answer within {} s; whether it was done is not known",
        patience.as_secs()
    );
    Problem::new(Code::TimedOut, message).next("see how it is with `p2p status` and `p2p doctor`")
}
