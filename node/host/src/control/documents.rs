use axum::{Router, extract, routing::get};
use serde::Deserialize;

use super::{
    Command, DocsCommand,
    answer::{self, Answer},
    extract::{Asked, check_exact},
    routes::{Context, State, posted},
};
use crate::api::{Code, Problem};

/// Documents that one gets without asking for a number.
const LIST_DEFAULT: u32 = 100;

/// Changes that one gets without asking for a number.
const HISTORY_DEFAULT: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    name: String,
    #[serde(default)]
    path: String,
    at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    name: String,
    older_than: Option<String>,
    count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Diff {
    name: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conflicts {
    name: Option<String>,
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Locate {
    what: String,
}

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/v1/docs", get(list))
        .route("/v1/docs/get", get(read))
        .route("/v1/docs/set", posted(|set| Command::Docs(DocsCommand::Set(set))))
        .route("/v1/docs/delete", posted(|delete| Command::Docs(DocsCommand::Delete(delete))))
        .route("/v1/docs/history", get(history))
        .route("/v1/docs/diff", get(diff))
        .route("/v1/docs/conflicts", get(conflicts))
        .route("/v1/docs/resolve", posted(|resolve| Command::Docs(DocsCommand::Resolve(resolve))))
        .route("/v1/docs/raise", posted(|raise| Command::Docs(DocsCommand::Raise(raise))))
        .route("/v1/locate", get(locate))
}

async fn ask(state: State, command: DocsCommand) -> Answer {
    answer::once(state.call(Command::Docs(command)).await)
}

/// Taken apart by hand: `where` may stand there several times.
async fn list(
    extract::State(state): Context,
    Asked(asked): Asked<Vec<(String, String)>>,
) -> Answer {
    let (mut prefix, mut fields, mut after, mut limit) =
        (String::new(), Vec::new(), None, LIST_DEFAULT);
    let usage = |message: String| Problem::new(Code::Usage, message);
    for (key, value) in asked {
        match key.as_str() {
            "prefix" => prefix = value,
            "after" => after = Some(value),
            "limit" => {
                let number = value.parse().ok().filter(|limit| *limit > 0);
                let wrong = || usage(format!("limit: {value:?} is no number from 1 on"));
                limit = number.ok_or_else(wrong)?;
            }
            "where" => {
                let pair = value.split_once('=').filter(|(path, _)| !path.is_empty());
                let (path, json) = pair.ok_or_else(|| {
                    usage(format!(
                        "where: {value:?} is not of the form PATH=JSON, as kind=\"room\""
                    ))
                })?;
                check_exact(&format!("where: {path}"), json)?;
                fields.push((path.to_owned(), json.to_owned()));
            }
            _ => {
                let known = "prefix, where, after and limit";
                return Err(usage(format!("unknown field {key:?}; there are {known}")).into());
            }
        }
    }
    ask(state, DocsCommand::List { prefix, fields, after, limit }).await
}

async fn read(extract::State(state): Context, Asked(asked): Asked<Get>) -> Answer {
    let Get { name, path, at } = asked;
    ask(state, DocsCommand::Get { name, path, at }).await
}

async fn history(extract::State(state): Context, Asked(asked): Asked<History>) -> Answer {
    let History { name, older_than, count } = asked;
    let count = count.unwrap_or(HISTORY_DEFAULT);
    if count == 0 {
        return Err(Problem::new(Code::Usage, "count: a number from 1 on is expected").into());
    }
    ask(state, DocsCommand::History { name, older_than, count }).await
}

async fn diff(extract::State(state): Context, Asked(asked): Asked<Diff>) -> Answer {
    let Diff { name, from, to } = asked;
    ask(state, DocsCommand::Diff { name, from, to }).await
}

async fn conflicts(extract::State(state): Context, Asked(asked): Asked<Conflicts>) -> Answer {
    let Conflicts { name, after } = asked;
    ask(state, DocsCommand::Conflicts { name, after }).await
}

async fn locate(extract::State(state): Context, Asked(asked): Asked<Locate>) -> Answer {
    ask(state, DocsCommand::Locate { what: asked.what }).await
}
