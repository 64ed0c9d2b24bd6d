//! From HTTP to the API's types; whatever does not fit becomes a [`Problem`] that names it.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use starling_protocols::limits::CONTROL_BODY_BYTES_MAX;
use tokio::time::timeout;

use super::{answer::Failure, routes::State};
use crate::api::{Code, Problem};

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

async fn body(request: Request, patience: Duration) -> Result<Bytes, Failure> {
    let read = timeout(patience, Bytes::from_request(request, &())).await.map_err(|_| {
        let message = format!("the body did not arrive within {} s", patience.as_secs());
        usage(StatusCode::REQUEST_TIMEOUT, message)
    })?;
    read.map_err(|why| match why.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("the body has more than {CONTROL_BODY_BYTES_MAX} bytes");
            usage(StatusCode::PAYLOAD_TOO_LARGE, message)
        }
        status => usage(status, format!("the body cannot be read: {}", why.body_text())),
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let mut source = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|why| {
        let path = why.path().to_string();
        bad_json(&path, why.inner())
    })?;
    source.end().map_err(|why| bad_json(".", &why))?;
    Ok(value)
}

/// What is no JSON is a wrong call; what is JSON of another type does not fit.
fn bad_json(path: &str, why: &serde_json::Error) -> Failure {
    match why.classify() {
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
