use std::{ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};

use axum::{Json as AxumJson, Router, extract, response::IntoResponse, routing::get};
use serde::{Deserialize, Serialize};
use starling_core::engine::Kinds;
use starling_protocols::time::WallTime;
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    answer::{Answer, stream_of},
    extract::Asked,
    routes::{Context, State},
};
use crate::{
    api::{
        Code, Listing, Problem,
        journal::{Line, LogLine},
    },
    journal::{
        LogPlace,
        archive::{Archive, At, LogQuery, Sink, Who},
    },
};

/// Calls that read the journal at once. Further ones are refused as busy.
const READERS_MAX: usize = 2;

/// Programs that follow the log at once. Further ones are refused as busy.
const FOLLOWERS_MAX: usize = 16;

/// Lines that may wait for a slow reader; then reading waits.
const LINES_WAITING_MAX: usize = 256;

/// Entries that one gets without asking for a number, and the most.
const ENTRIES_DEFAULT: u64 = 1000;
const ENTRIES_MAX: u64 = 1_000_000;

/// How often the log is looked at for who follows it.
const FOLLOW_LOOK: Duration = Duration::from_millis(300);

/// The journal of this daemon, for those who look at it. Nothing here goes through the main loop.
#[derive(Clone)]
pub struct Journals {
    dir: PathBuf,
    kinds: Kinds,
    readers: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

impl std::fmt::Debug for Journals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journals").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Journals {
    /// The journal in this directory, whose agents are of these kinds.
    #[must_use]
    pub fn new(dir: PathBuf, kinds: Kinds) -> Self {
        let slots = |most| Arc::new(Semaphore::new(most));
        Self { dir, kinds, readers: slots(READERS_MAX), followers: slots(FOLLOWERS_MAX) }
    }

    /// Reads something, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Archive) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let slot = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| busy(READERS_MAX))?;
        let (dir, kinds) = (self.dir.clone(), self.kinds.clone());
        let reading = spawn_blocking(move || {
            let read = Archive::open(&dir, kinds).and_then(|archive| what(&archive));
            drop(slot);
            read
        });
        reading.await.map_err(|why| Problem::new(Code::Internal, why.to_string()))?
    }

    /// Reads something that comes in lines. What is wrong before the first is an answer of its
    /// own.
    async fn stream<T: Serialize + Send + 'static>(
        &self,
        stop: CancellationToken,
        what: impl FnOnce(&Archive, Sink<'_, T>) -> Result<(), Problem> + Send + 'static,
    ) -> Answer {
        let slot = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| busy(READERS_MAX))?;
        let (dir, kinds) = (self.dir.clone(), self.kinds.clone());
        let (sink, mut source) = mpsc::channel::<Line<T>>(LINES_WAITING_MAX);
        spawn_blocking(move || {
            let mut put = |item| match sink.blocking_send(Line::Item(item)) {
                Ok(()) => ControlFlow::Continue(()),
                // Nobody reads any more.
                Err(_) => ControlFlow::Break(()),
            };
            let read = Archive::open(&dir, kinds).and_then(|archive| what(&archive, &mut put));
            let last = match read {
                Ok(()) => Line::Complete { complete: true },
                Err(problem) => Line::Problem { problem },
            };
            let _ = sink.blocking_send(last);
            drop(slot);
        });
        match source.recv().await {
            Some(Line::Problem { problem }) => Err(problem.into()),
            first => Ok(stream_of(first, source, stop)),
        }
    }
}

fn busy(most: usize) -> Problem {
    Problem::new(Code::Busy, format!("{most} programs read the journal already"))
        .next("try again in a moment")
}

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/v1/journal/lives", get(lives))
        .route("/v1/journal/entries", get(entries))
        .route("/v1/journal/replay", get(replay))
        .route("/v1/journal/state", get(state))
        .route("/v1/journal/diff", get(diff))
        .route("/v1/journal/verify", get(verify))
        .route("/v1/journal/export", get(export))
        .route("/v1/journal/trace", get(trace))
        .route("/v1/logs", get(logs))
}

/// Whose lives are meant, as every query has it.
fn who(agent: Option<String>, life: Option<u64>) -> Result<Who, Problem> {
    match (agent, life) {
        (None, None) => Ok(Who::All),
        (Some(agent), None) => Ok(Who::Agent(agent)),
        (None, Some(life)) => Ok(Who::Life(life)),
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::Usage, "either an agent or a life can be named, not both"))
        }
    }
}

/// The same where one must be named.
fn somebody(agent: Option<String>, life: Option<u64>) -> Result<Who, Problem> {
    match who(agent, life)? {
        Who::All => Err(Problem::new(Code::Usage, "name an agent or a life")),
        who => Ok(who),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lives {
    agent: Option<String>,
    life: Option<u64>,
}

async fn lives(extract::State(state): Context, Asked(asked): Asked<Lives>) -> Answer {
    let who = who(asked.agent, asked.life)?;
    let items = state.journals().await.read(move |archive| archive.lives(&who)).await?;
    Ok(AxumJson(Listing { items, missing: Vec::new() }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    agent: Option<String>,
    life: Option<u64>,
    from: Option<u64>,
    #[serde(default = "entries_default")]
    count: u64,
}

const fn entries_default() -> u64 {
    ENTRIES_DEFAULT
}

async fn entries(extract::State(state): Context, Asked(asked): Asked<Entries>) -> Answer {
    let who = somebody(asked.agent, asked.life)?;
    let (from, count) = (asked.from, asked.count.min(ENTRIES_MAX));
    let read = move |archive: &Archive, put: Sink<'_, _>| archive.entries(&who, from, count, put);
    state.journals().await.stream(state.stop.clone(), read).await
}

async fn replay(extract::State(state): Context, Asked(asked): Asked<Lives>) -> Answer {
    let who = who(asked.agent, asked.life)?;
    let read = move |archive: &Archive, put: Sink<'_, _>| archive.replay(&who, put);
    state.journals().await.stream(state.stop.clone(), read).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateAt {
    agent: Option<String>,
    life: Option<u64>,
    entry: Option<u64>,
    at_ms: Option<u64>,
}

async fn state(extract::State(state): Context, Asked(asked): Asked<StateAt>) -> Answer {
    let who = somebody(asked.agent, asked.life)?;
    let at = match (asked.entry, asked.at_ms) {
        (Some(entry), None) => At::Entry(entry),
        (None, Some(ms)) => At::Time(WallTime::from_millis(ms)),
        _ => return Err(Problem::new(Code::Usage, "say either entry=N or at_ms=MS").into()),
    };
    let then = state.journals().await.read(move |archive| archive.state(&who, at)).await?;
    Ok(AxumJson(then).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Diff {
    life: u64,
    with: u64,
}

async fn diff(extract::State(state): Context, Asked(asked): Asked<Diff>) -> Answer {
    let (one, other) = (Who::Life(asked.life), Who::Life(asked.with));
    let diff =
        state.journals().await.read(move |archive| archive.diff(&one, archive, &other)).await?;
    Ok(AxumJson(diff).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn verify(extract::State(state): Context, Asked(Nothing {}): Asked<Nothing>) -> Answer {
    let read = |archive: &Archive, put: Sink<'_, _>| archive.verify(put);
    state.journals().await.stream(state.stop.clone(), read).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    agent: Option<String>,
    life: Option<u64>,
    #[serde(default)]
    bytes: bool,
}

async fn export(extract::State(state): Context, Asked(asked): Asked<Export>) -> Answer {
    let who = who(asked.agent, asked.life)?;
    let read = move |archive: &Archive, put: Sink<'_, _>| archive.export(&who, asked.bytes, put);
    state.journals().await.stream(state.stop.clone(), read).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trace {
    search: String,
}

async fn trace(extract::State(state): Context, Asked(asked): Asked<Trace>) -> Answer {
    let items = state.journals().await.read(move |archive| archive.trace(&asked.search)).await?;
    Ok(AxumJson(Listing { items, missing: Vec::new() }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Logs {
    agent: Option<String>,
    kind: Option<String>,
    level: Option<String>,
    target: Option<String>,
    text: Option<String>,
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

async fn logs(extract::State(state): Context, Asked(asked): Asked<Logs>) -> Answer {
    let Logs { agent, kind, level, target, text, since_ms, until_ms, limit, follow } = asked;
    let (since, until) = (since_ms.map(WallTime::from_millis), until_ms.map(WallTime::from_millis));
    let query = LogQuery { level, target, agent, kind, since, until, text, limit };
    if !follow {
        let read = move |archive: &Archive, put: Sink<'_, _>| {
            let _ = archive.logs(&query)?.into_iter().try_for_each(put);
            Ok(())
        };
        return state.journals.stream(state.stop, read).await;
    }
    let followers = Arc::clone(&state.journals.followers);
    let slot = followers.try_acquire_owned().map_err(|_| busy(FOLLOWERS_MAX))?;
    let begin = query.clone();
    let begun = state.journals.read(move |archive| archive.logs_after(&begin, None)).await?;
    let (sink, source) = mpsc::channel(LINES_WAITING_MAX);
    tokio::spawn(async move {
        follow_logs(&state.journals, query, begun, sink).await;
        drop(slot);
    });
    Ok(stream_of(None, source, state.stop))
}

/// Looks for what is new, again and again, until nobody listens.
async fn follow_logs(
    journals: &Journals,
    mut query: LogQuery,
    (mut found, mut end): (Vec<LogLine>, Option<LogPlace>),
    sink: mpsc::Sender<Line<LogLine>>,
) {
    query.limit = Some(crate::journal::archive::LOG_LINES_MAX);
    loop {
        for line in found {
            if sink.send(Line::Item(line)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sink.closed() => return,
            () = sleep(FOLLOW_LOOK) => {}
        }
        let (again, after) = (query.clone(), end.clone());
        found = match journals.read(move |archive| archive.logs_after(&again, after)).await {
            Ok((found, upto)) => {
                end = upto;
                found
            }
            // There is a next time.
            Err(busy) if busy.code == Code::Busy => Vec::new(),
            Err(problem) => {
                let _ = sink.send(Line::Problem { problem }).await;
                return;
            }
        };
    }
}
