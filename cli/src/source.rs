//! Where a journal is read: at the daemon, or in files, with the kinds of this program.

use std::{ops::ControlFlow, path::Path, time::Duration};

use serde::de::DeserializeOwned;
use starling_node::{
    api::{
        Problem,
        journal::{LifeRow, Line},
    },
    journal::archive::{Archive, Sink, Who},
    society,
};

use crate::{
    client::Client,
    failure::{Exit, Failure},
    session::Session,
    text,
};

/// How long the daemon may read for one answer.
const READ_TIME: Duration = Duration::from_secs(600);

/// Where a journal is read.
pub(crate) enum Source {
    Daemon(Client),
    Files(Box<Archive>),
}

impl Source {
    /// The daemon, or the file or directory that was named.
    pub(crate) fn new(session: &Session, file: Option<&Path>) -> Result<Self, Failure> {
        match file {
            None => Ok(Self::Daemon(session.client()?)),
            Some(path) => Ok(Self::Files(Box::new(archive(path)?))),
        }
    }

    /// One answer.
    pub(crate) async fn once<T: DeserializeOwned>(
        &self,
        path: &str,
        read: impl FnOnce(&Archive) -> Result<T, Problem>,
    ) -> Result<T, Failure> {
        match self {
            Self::Daemon(client) => client.get_within(path, READ_TIME).await,
            Self::Files(archive) => Ok(read(archive)?),
        }
    }

    /// An answer in lines, to its end.
    pub(crate) async fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        read: impl FnOnce(&Archive, Sink<'_, T>) -> Result<(), Problem>,
        mut put: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let client = match self {
            Self::Daemon(client) => client,
            Self::Files(archive) => return read_lines(archive, read, put),
        };
        let mut lines = client.stream(path).await?;
        while let Some(line) = lines.next::<Line<T>>().await? {
            match line {
                Line::Item(item) => put(item)?,
                Line::Problem { problem } => return Err(problem.into()),
                Line::Complete { .. } => return Ok(()),
            }
        }
        Err(Failure::told(Exit::NoDaemon, "the daemon ended the stream").next("see: p2p status"))
    }
}

fn read_lines<T>(
    archive: &Archive,
    read: impl FnOnce(&Archive, Sink<'_, T>) -> Result<(), Problem>,
    mut put: impl FnMut(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failed = None;
    read(archive, &mut |item| match put(item) {
        Ok(()) => ControlFlow::Continue(()),
        Err(why) => {
            failed = Some(why);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// A journal in files.
pub(crate) fn archive(path: &Path) -> Result<Archive, Failure> {
    Ok(Archive::open(path, society::with_residents(starling_node::stock()))?)
}

/// Whose lives are meant, for a query.
pub(crate) fn query(who: &Who) -> String {
    match who {
        Who::All => String::new(),
        Who::Agent(agent) => format!("agent={}", text::query(agent)),
        Who::Life(life) => format!("life={life}"),
    }
}

/// A life, as people call it.
pub(crate) fn called(row: &LifeRow) -> String {
    let name = row.name.as_deref().map(|name| format!(" {}", text::plain(name)));
    let (kind, agent) = (text::plain(&row.kind), text::short(&row.agent));
    format!("{kind}{} ({agent}), life {}", name.unwrap_or_default(), row.life)
}
