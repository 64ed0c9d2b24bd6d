//! From the main loop's answers to HTTP.

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Reply;
use crate::api::{Code, Problem};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A failed call.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    problem: Problem,
}

impl Failure {
    /// With a status that says more than the problem's own.
    pub(super) const fn with_status(status: StatusCode, problem: Problem) -> Self {
        Self { status, problem }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.code.status());
        Self { status: status.expect("every code has a good status"), problem }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, [(CONTENT_TYPE, JSON)], json(&self.problem)).into_response()
    }
}

pub(super) type Answer = Result<Response, Failure>;

/// The JSON of one of our own types.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the API's types become JSON")
}

/// The answer to a command that is answered at once.
pub(super) fn once(reply: Result<Reply, Problem>) -> Answer {
    match reply? {
        Reply::Json(value) => Ok(([(CONTENT_TYPE, JSON)], json(&value)).into_response()),
        Reply::Text(text) => Ok(text.into_response()),
        Reply::Subscribed => Err(misanswered()),
    }
}

/// The metrics, in the format that their content type names.
pub(super) fn metrics(reply: Result<Reply, Problem>) -> Answer {
    match reply? {
        Reply::Text(text) => Ok(([(CONTENT_TYPE, METRICS)], text).into_response()),
        Reply::Json(_) | Reply::Subscribed => Err(misanswered()),
    }
}

/// Whether the daemon is ready: whatever the problem, 503 is what those who ask understand.
pub(super) fn ready(reply: Result<Reply, Problem>) -> Answer {
    once(reply).map_err(|why| Failure { status: StatusCode::SERVICE_UNAVAILABLE, ..why })
}

/// The answer to a command that sends through a sink: a line of JSON for each message, each
/// passed on as soon as it is there. It ends with the sender, with the client, or at the shutdown.
pub(super) fn lines<T: Serialize + Send + 'static>(
    reply: Result<Reply, Problem>,
    source: mpsc::Receiver<T>,
    stop: CancellationToken,
) -> Answer {
    let Reply::Subscribed = reply? else { return Err(misanswered()) };
    Ok(stream_of(None, source, stop))
}

/// A line of JSON for each message, `first` before all others, until the sender, the client or the daemon ends it.
pub(super) fn stream_of<T: Serialize + Send + 'static>(
    first: Option<T>,
    source: mpsc::Receiver<T>,
    stop: CancellationToken,
) -> Response {
    let lines = stream::unfold((first, source, stop), |(first, mut source, stop)| async move {
        let message = match first {
            Some(first) => first,
            None => tokio::select! {
                biased;
                message = source.recv() => message?,
                () = stop.cancelled() => return None,
            },
        };
        let line = Bytes::from(json(&message) + "\n");
        Some((Ok::<_, std::convert::Infallible>(line), (None, source, stop)))
    });
    ([(CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response()
}

fn misanswered() -> Failure {
    Problem::new(Code::Internal, "the daemon's answer is not of the kind this call has")
        .next("this is a fault of the daemon: report it, with its log")
        .into()
}
