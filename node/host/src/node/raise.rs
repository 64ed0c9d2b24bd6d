//! Documents are written in the newest version of their types, when all hosts read it.

use std::time::Duration;

use futures::future::join_all;
use starling_core::{
    documents::{Schema, to_json},
    engine::{HostState, HostView, Writing},
    society::TypesHere,
};
use starling_protocols::limits::BUDGET_DEFAULT;
use tokio::sync::oneshot;

use super::{
    Node,
    client::Client,
    documents::{doc_name, refused, unreadable},
};
use crate::api::{
    Code, Problem,
    documents::{DocRaise, DocRaised},
};

/// How long one host may take to say what it reads.
const HOST_BUDGET: Duration = Duration::from_secs(5);

/// Hosts that are named in one message.
const NAMED_MAX: usize = 10;

impl Node {
    /// The version in which a document is written, and the type that it is of.
    fn written_in(&mut self, name: &str) -> Result<(u32, Schema), Problem> {
        let place = doc_name(name)?;
        let now = self.clock.now();
        let whole = self.engine.read_document(&place, now, to_json);
        let whole = whole.map_err(|why| refused(&why))?.map_err(unreadable)?;
        if let Some(found) = self.engine.type_of(&place, &whole) {
            return Ok(found);
        }
        let says = whole["type"].as_str().filter(|_| whole["version"].is_u64());
        Err(match says {
            Some(of) => {
                let message = format!("the program of this host does not know {of:?}, its type");
                Problem::new(Code::NotFound, format!("{name} cannot be raised here: {message}"))
                    .next("raise it on a host whose program has that type")
            }
            None => {
                let is_empty = whole.as_object().is_some_and(serde_json::Map::is_empty);
                let why = match is_empty {
                    true => "it is empty",
                    false => "it does not say of what type it is, and in which version",
                };
                Problem::new(Code::Conflict, format!("{name} cannot be raised: {why}"))
                    .next(format!("see what it says: p2p docs get {name}"))
            }
        })
    }
}

/// Writes a document anew in the version of its type that this host's program has. Unless it is
/// forced, all members have to read that.
pub(super) async fn raise(client: &Client, asked: DocRaise) -> Result<DocRaised, Problem> {
    let DocRaise { name, force } = asked;
    let asked = name.clone();
    let look =
        move |node: &mut Node| Ok::<_, Problem>((node.written_in(&asked)?, node.engine.hosts()));
    let ((from, schema), hosts) = client.with(look).await??;
    let to = schema.version;
    if from >= to {
        return Ok(DocRaised { name, from, to: from, head: None });
    }
    let behind = if force { Vec::new() } else { behind(client, hosts, &schema).await? };
    if !behind.is_empty() {
        let mut words = behind.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        if behind.len() > NAMED_MAX {
            words.push_str(", and more");
        }
        let message = format!("version {to} of {} is not known to be read by {words}", schema.name);
        return Err(Problem::new(Code::Conflict, message).next(format!(
            "update these hosts; or, if you know better: p2p docs raise {name} --force"
        )));
    }
    let (answer, stored) = oneshot::channel();
    let asked = name.clone();
    let head = client
        .with(move |node| {
            let place = doc_name(&asked)?;
            let (ticket, now) = (node.ticket(), node.clock.now());
            let message = format!("raised to version {to}");
            let writing = Writing { message, ticket, replicas: 1, patience: BUDGET_DEFAULT };
            let head = node.engine.raise_document(&place, writing, now);
            let head = head.map_err(|why| refused(&why))?;
            node.waiting.wait(ticket, answer);
            Ok::<_, Problem>(head)
        })
        .await??;
    if stored.await.unwrap_or(0) == 0 {
        return Err(Problem::new(Code::TimedOut, "the change is not on the disk yet")
            .next("see how the disk is: p2p doctor"));
    }
    let head = head.map(|head| data_encoding::HEXLOWER.encode(&head.0));
    Ok(DocRaised { name, from, to, head })
}

/// The members that do not read this version, or do not say.
async fn behind(
    client: &Client,
    hosts: Vec<HostView>,
    schema: &Schema,
) -> Result<Vec<String>, Problem> {
    let asked = hosts.iter().map(|view| async move {
        if !matches!(view.state, HostState::Linked | HostState::Myself) {
            return Ok(Some(format!("{} (it cannot be asked)", view.record.name)));
        }
        let host = view.record.host;
        let Ok(types) = client.ask_host(host, &TypesHere {}, HOST_BUDGET).await? else {
            return Ok(Some(format!("{} (it does not say)", view.record.name)));
        };
        // A host whose program does not have the type does not read it at all.
        let reads = types.iter().find(|(name, _)| name == schema.name);
        let reads = reads.filter(|(_, newest)| *newest < schema.version);
        Ok(reads.map(|(_, newest)| format!("{} (up to {newest})", view.record.name)))
    });
    let answers: Result<Vec<Option<String>>, Problem> = join_all(asked).await.into_iter().collect();
    Ok(answers?.into_iter().flatten().collect())
}
