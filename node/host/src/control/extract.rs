//! From HTTP to the API's types; whatever does not fit becomes a [`Problem`] that names it.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, request::Parts},
};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use starling_protocols::limits::CONTROL_BODY_BYTES_MAX;
use tokio::time::timeout;

use super::{answer::Failure, routes::State};
use crate::{
    api::{Code, Problem},
    exact,
};

/// Digits of a number that are shown.
const NUMBER_SHOWN: usize = 36;

/// The body, as JSON of this type. No content type is asked for: there is no other.
pub(super) struct Json<T>(pub(super) T);

/// The query string.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &State) -> Result<Self, Failure> {
        parse(&body(request, state.body).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Failure> {
        let query = Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query));
        query.map_err(|why| usage(StatusCode::BAD_REQUEST, why.body_text()))
    }
}

async fn body(request: Request, patience: Duration) -> Result<Vec<u8>, Failure> {
    let read = timeout(patience, read_all(request.into_body())).await.map_err(|_| {
        let message = format!("the body did not arrive within {} s", patience.as_secs());
        usage(StatusCode::REQUEST_TIMEOUT, message)
    })?;
    let (bytes, length) = read
        .map_err(|why| usage(StatusCode::BAD_REQUEST, format!("the body cannot be read: {why}")))?;
    if length > CONTROL_BODY_BYTES_MAX as u64 {
        let most = CONTROL_BODY_BYTES_MAX;
        let message = format!("the body has {length} bytes; a call has at most {most}");
        return Err(usage(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(bytes)
}

/// Reads a body that nobody wants: who is still writing when the connection is closed does not read
/// the answer.
pub(super) async fn hear_out(body: Body, patience: Duration) {
    let mut frames = body.into_data_stream();
    let all = async { while let Some(Ok(_)) = frames.next().await {} };
    // Who has not said it by then is answered all the same.
    let _ = timeout(patience, all).await;
}

/// A body and its length. What is too much is read and thrown away, as in [`hear_out`].
async fn read_all(body: Body) -> Result<(Vec<u8>, u64), axum::Error> {
    let (mut frames, mut bytes, mut length) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        length += frame.len() as u64;
        if length <= CONTROL_BODY_BYTES_MAX as u64 {
            bytes.extend_from_slice(&frame);
        }
    }
    Ok((bytes, length))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let mut source = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|why| {
        let path = why.path().to_string();
        bad_json(&path, why.inner())
    })?;
    source.end().map_err(|why| bad_json(".", &why))?;
    check_exact("the body", &String::from_utf8_lossy(body))?;
    Ok(value)
}

/// Refuses JSON that would not be kept as it is written. What is no JSON is for others to find.
pub(super) fn check_exact(source: &str, text: &str) -> Result<(), Problem> {
    if let Err(why) = exact::parse(text)
        && why.is_data()
    {
        let message = format!("{source} is not kept as it is written: {why}");
        return Err(Problem::new(Code::Usage, message).next("remove one of the two"));
    }
    match exact::too_long(text) {
        Some(number) => Err(inexact(source, &number[..number.len().min(NUMBER_SHOWN)])),
        None => Ok(()),
    }
}

fn inexact(source: &str, number: &str) -> Problem {
    let kept = exact::kept_numbers();
    let message = format!("{source} has {number} that is not kept as it is written: {kept}");
    Problem::new(Code::Usage, message).next("shorten it; or quote it, which makes it a text")
}

/// What is no JSON is a wrong call; what is JSON of another type does not fit.
fn bad_json(path: &str, why: &serde_json::Error) -> Failure {
    match why.classify() {
        Category::Syntax if why.to_string().starts_with(exact::OUT_OF_RANGE) => {
            inexact("the body", &format!("a number ({why})")).into()
        }
        Category::Data if path == "." => {
            Problem::new(Code::BadBody, format!("the body does not fit: {why}")).into()
        }
        Category::Data => {
            Problem::new(Code::BadBody, format!("the field `{path}` does not fit: {why}")).into()
        }
        Category::Io | Category::Syntax | Category::Eof => {
            usage(StatusCode::BAD_REQUEST, format!("the body is not JSON: {why}"))
        }
    }
}

fn usage(status: StatusCode, message: String) -> Failure {
    Failure::with_status(status, Problem::new(Code::Usage, message))
}
