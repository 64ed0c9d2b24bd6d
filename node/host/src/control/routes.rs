//! One handler for each route of the API.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract,
    http::{Method, StatusCode, Uri},
    routing::{MethodRouter, get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use starling_protocols::limits::EVENTS_BACKLOG_MAX;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Command, Handle, Journals, Reply,
    answer::{self, Answer, Failure},
    documents,
    extract::{Asked, Json, hear_out},
    journal,
};
use crate::api::{Code, Problem};

/// Messages of a topic that may wait for a slow reader; beyond it the main loop drops some.
const HEARD_WAITING_MAX: usize = 1024;

/// Events of the past that one gets without asking for a number.
const BACKLOG_DEFAULT: usize = 100;

/// How long who reads the journal waits for what happened just before to be written.
const RECORDED_WAIT: Duration = Duration::from_secs(2);

/// What every handler has.
#[derive(Clone, Debug)]
pub(super) struct State {
    handle: Handle,
    pub(super) journals: Journals,
    /// Ends the streams.
    pub(super) stop: CancellationToken,
    /// How long a body may take to arrive.
    pub(super) body: Duration,
}

pub(super) type Context = extract::State<State>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Agents {
    host: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inspect {
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Find {
    service: String,
    #[serde(default)]
    shard: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    topic: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    #[serde(default = "backlog_default")]
    backlog: usize,
    #[serde(default)]
    follow: bool,
}

const fn backlog_default() -> usize {
    BACKLOG_DEFAULT
}

pub(super) fn router(
    handle: Handle,
    journals: Journals,
    stop: CancellationToken,
    body: Duration,
) -> Router {
    Router::new()
        .route("/v1/status", plain(|| Command::Status))
        .route("/v1/members", plain(|| Command::Members))
        .route("/v1/agents", get(agents))
        .route("/v1/agents", posted(Command::Start))
        .route("/v1/agents/stop", posted(Command::Stop))
        .route("/v1/agents/move", posted(Command::Move))
        .route("/v1/agents/take-up", posted(Command::TakeUp))
        .route("/v1/inspect", get(inspect))
        .route("/v1/find", get(find))
        .route("/v1/request", posted(Command::Request))
        .route("/v1/post", posted(Command::Post))
        .route("/v1/publish", posted(Command::Publish))
        .merge(journal::router())
        .merge(documents::router())
        .route("/v1/subscribe", get(subscribe))
        .route("/v1/events", get(events))
        .route("/v1/kinds", plain(|| Command::Kinds))
        .route("/v1/invites", posted(Command::Invite))
        .route("/v1/invites", plain(|| Command::Invites))
        .route("/v1/join", posted(Command::Join))
        .route("/v1/doctor", plain(|| Command::Doctor))
        .route("/v1/down", post(down))
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(State { handle, journals, stop, body })
}

/// A call that carries nothing.
fn plain(command: fn() -> Command) -> MethodRouter<State> {
    get(async move |extract::State(state): Context| answer::once(state.call(command()).await))
}

/// A call that carries its type in the body.
pub(super) fn posted<T>(command: fn(T) -> Command) -> MethodRouter<State>
where
    T: DeserializeOwned + Send + 'static,
{
    post(move |extract::State(state): Context, Json(body): Json<T>| async move {
        answer::once(state.call(command(body)).await)
    })
}

async fn agents(extract::State(state): Context, Asked(asked): Asked<Agents>) -> Answer {
    answer::once(state.call(Command::Agents { host: asked.host }).await)
}

async fn inspect(extract::State(state): Context, Asked(asked): Asked<Inspect>) -> Answer {
    answer::once(state.call(Command::Inspect { what: asked.what }).await)
}

async fn find(extract::State(state): Context, Asked(asked): Asked<Find>) -> Answer {
    let Find { service, shard } = asked;
    answer::once(state.call(Command::Find { service, shard }).await)
}

async fn subscribe(extract::State(state): Context, Asked(asked): Asked<Subscribe>) -> Answer {
    let (sink, source) = mpsc::channel(HEARD_WAITING_MAX);
    let reply = state.call(Command::Subscribe { topic: asked.topic, sink }).await;
    answer::lines(reply, source, state.stop)
}

async fn events(extract::State(state): Context, Asked(asked): Asked<Events>) -> Answer {
    let backlog = asked.backlog.min(EVENTS_BACKLOG_MAX);
    // Room for the backlog at once, and then for what a slow reader may lag behind.
    let (sink, source) = mpsc::channel(backlog + EVENTS_BACKLOG_MAX);
    let reply = state.call(Command::Events { backlog, follow: asked.follow, sink }).await;
    answer::lines(reply, source, state.stop)
}

async fn down(extract::State(state): Context) -> Answer {
    answer::once(state.call(Command::Down).await)
}

async fn metrics(extract::State(state): Context) -> Answer {
    answer::metrics(state.call(Command::Metrics).await)
}

async fn ready(extract::State(state): Context) -> Answer {
    answer::ready(state.call(Command::Ready).await)
}

async fn unknown_path(extract::State(state): Context, uri: Uri, body: Body) -> Failure {
    hear_out(body, state.body).await;
    Problem::new(Code::NotFound, format!("there is no path {:?} in the control API", uri.path()))
        .next("see whether the daemon is of the same version as the program that calls it")
        .into()
}

async fn wrong_method(
    extract::State(state): Context,
    method: Method,
    uri: Uri,
    body: Body,
) -> Failure {
    hear_out(body, state.body).await;
    let message = format!("{:?} does not take {method}", uri.path());
    Failure::with_status(StatusCode::METHOD_NOT_ALLOWED, Problem::new(Code::Usage, message))
}

impl State {
    pub(super) async fn call(&self, command: Command) -> Result<Reply, Problem> {
        self.handle.call(command).await
    }

    /// The journal, with all in it that happened before. Where the main loop does not see to that,
    /// as it is: who looks for what is wrong with a daemon must not need it for that.
    pub(super) async fn journals(&self) -> &Journals {
        drop(timeout(RECORDED_WAIT, self.call(Command::Recorded)).await);
        &self.journals
    }
}
