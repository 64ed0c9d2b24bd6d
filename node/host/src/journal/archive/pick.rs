use std::sync::Arc;

use starling_protocols::{
    ident::{AgentId, Incarnation},
    journal::{Durability, Ended, Era, Life},
    time::WallTime,
};

use super::{
    super::{EraView, LifeView, Which},
    Archive,
};
use crate::api::{Code, Problem, journal::LifeRow};

/// The shortest beginning of an id that is taken for one.
const ID_CHARS_MIN: usize = 4;

/// Whose lives are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody's.
    All,
    /// Those of agents that a person calls so: by name, id, the beginning of an id, or kind, and
    /// perhaps `@HOST`.
    Agent(String),
    /// One life.
    Life(u64),
}

/// The lives of the host, for what is said of agents.
pub(super) struct Host {
    latest: Option<Arc<Era<'static>>>,
    /// When the latest incarnation began.
    since: WallTime,
}

impl Host {
    fn new(eras: &[EraView]) -> Self {
        let latest = eras.last().map(|view| Arc::clone(&view.era));
        let incarnation = latest.as_ref().map_or(Incarnation::default(), |era| era.incarnation);
        let first = eras.iter().find(|view| view.era.incarnation == incarnation);
        Self { latest, since: first.map_or(WallTime::default(), |view| view.wall) }
    }
}

impl Archive {
    /// Lists lives, oldest first.
    ///
    /// # Errors
    /// [`Problem`] when there is none that is meant, or they cannot be read.
    pub fn lives(&self, who: &Who) -> Result<Vec<LifeRow>, Problem> {
        let host = self.host()?;
        let found = match who {
            Who::All => self.reader.lives(Which::All)?,
            Who::Life(life) => self.reader.lives(Which::Life(Life(*life)))?,
            Who::Agent(text) => {
                let agent = here(&host, text)?;
                let mut all = self.reader.lives(Which::All)?;
                let rank = all.iter().map(|view| rank(view, agent)).max().flatten();
                all.retain(|view| rank.is_some() && self::rank(view, agent) == rank);
                one_agent(all, agent, rank)?
            }
        };
        if found.is_empty() && *who != Who::All {
            let message = match who {
                Who::Life(life) => format!("the journal knows no life {life}"),
                Who::Agent(text) => format!("the journal knows no agent {text:?}"),
                Who::All => String::new(),
            };
            return Err(
                Problem::new(Code::NotFound, message).next("see which there are: p2p journal list")
            );
        }
        Ok(found.into_iter().map(|view| self.row(&host, view)).collect())
    }

    /// The one life that is meant: of several, the latest.
    ///
    /// # Errors
    /// As [`lives`](Self::lives).
    pub fn life(&self, who: &Who) -> Result<LifeRow, Problem> {
        let nobody = || Problem::new(Code::NotFound, "nothing of any agent is recorded yet");
        self.lives(who)?.pop().ok_or_else(nobody)
    }

    pub(super) fn host(&self) -> Result<Host, Problem> {
        Ok(Host::new(&self.reader.eras()?))
    }

    pub(super) fn row(&self, host: &Host, view: LifeView) -> LifeRow {
        let LifeView { head, begun, ended, first, next, last } = view;
        let (how, when) = match ended {
            Some((how, when)) => (Some(word(how)), Some(when)),
            // Its host has begun another life since, in which nothing was recorded of it.
            None if last < host.since => (Some("host-down"), None),
            None => (None, None),
        };
        let era = host.latest.as_ref();
        LifeRow {
            life: head.life.0,
            agent: head.agent.to_string(),
            name: head.name.map(|name| name.to_string()),
            known: self.kinds.has(&head.kind),
            kind: head.kind.to_string(),
            version: head.version,
            durability: match head.durability {
                Durability::History => "history".into(),
                Durability::WriteAhead => "write-ahead".into(),
            },
            host: era.map(|era| era.host.to_string()).unwrap_or_default(),
            host_name: era.map(|era| era.name.to_string()).unwrap_or_default(),
            begun_ms: begun.as_millis(),
            ended: how.map(str::to_owned),
            ended_ms: when.map(WallTime::as_millis),
            first: first.min(next),
            next,
            last_ms: last.as_millis(),
        }
    }
}

pub(super) const fn word(how: Ended) -> &'static str {
    match how {
        Ended::Stopped => "stopped",
        Ended::Died => "died",
    }
}

/// The agent's part of what a person wrote; the host's must be the journal's own.
fn here<'t>(host: &Host, text: &'t str) -> Result<&'t str, Problem> {
    let Some((agent, place)) = text.split_once('@') else { return Ok(text) };
    let mine = host.latest.as_ref().is_some_and(|era| {
        *era.name == *place || place.len() >= ID_CHARS_MIN && begins(&era.host.to_string(), place)
    });
    if mine {
        return Ok(agent);
    }
    let name = host.latest.as_ref().map_or("nobody", |era| &*era.name);
    let message = format!("this is the journal of host {name}, not of {place:?}");
    Err(Problem::new(Code::NotFound, message).next("each host has a journal of its own: ask there"))
}

/// How well a life fits what a person wrote: an id is better than a name, a name than a kind.
fn rank(view: &LifeView, text: &str) -> Option<u8> {
    let (head, id) = (&view.head, view.head.agent.to_string());
    if id == text {
        Some(4)
    } else if head.name.as_deref() == Some(text) {
        Some(3)
    } else if text.len() >= ID_CHARS_MIN && begins(&id, text) {
        Some(2)
    } else if head.kind == text {
        Some(1)
    } else {
        None
    }
}

fn begins(id: &str, text: &str) -> bool {
    id.starts_with(&text.to_lowercase())
}

/// A name may have passed from agent to agent; an id or a kind must mean one.
fn one_agent(found: Vec<LifeView>, text: &str, rank: Option<u8>) -> Result<Vec<LifeView>, Problem> {
    let mut agents: Vec<_> = found.iter().map(|view| view.head.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    if agents.len() < 2 || rank == Some(3) {
        return Ok(found);
    }
    let ids: Vec<String> = agents.iter().take(5).map(AgentId::short).collect();
    let message = format!("{text:?} may be any of {} agents: {}", agents.len(), ids.join(", "));
    Err(Problem::new(Code::Usage, message)
        .next("say which one by name, by more letters of its id, or by --life N"))
}
