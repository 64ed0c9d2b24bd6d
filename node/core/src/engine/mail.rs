use std::{borrow::Cow, sync::Arc};

use starling_protocols::{
    exchange::{Codec, Failure},
    ident::{Address, HostId},
    interest::TopicName,
    journal::LetterId,
};

use super::agents::AgentNo;
use crate::agent::{Dialog, Input, TakenUp, WaitId};

/// A message that waits for an agent of this host.
pub(super) struct Parcel {
    pub(super) to: AgentNo,
    pub(super) mail: Mail,
}

/// An [`Input`] that owns its parts, with the names as the agent's kind declares them.
pub(super) enum Mail {
    Started,
    Request {
        name: &'static str,
        dialog: Dialog,
        body: Vec<u8>,
    },
    Notification(Box<Notification>),
    Missed {
        topic: TopicName,
        count: u64,
    },
    Resume {
        wait: WaitId,
        outcome: Option<Result<Vec<u8>, Failure>>,
    },
    /// It is to end; who asked for that is told when it has, for good.
    Stop(Option<Dialog>),
    Recovered,
    /// A notification that came as a durable letter.
    Letter(LetterId, Box<Notification>),
    /// A letter that nobody can handle.
    Unwelcome(LetterId, Failure),
    Undelivered(Box<(Address, String, Failure)>),
    /// It is given to another host; who asked for that is answered.
    Move {
        to: HostId,
        asked: Dialog,
    },
    TakenUp(Box<TakenUp>),
}

pub(super) struct Notification {
    pub(super) name: &'static str,
    pub(super) from: Address,
    pub(super) topic: Option<TopicName>,
    pub(super) codec: Codec,
    /// Shared by all who are told the same.
    pub(super) body: Arc<[u8]>,
}

impl Mail {
    pub(super) const fn letter(&self) -> Option<LetterId> {
        match self {
            Self::Letter(letter, _) | Self::Unwelcome(letter, _) => Some(*letter),
            _ => None,
        }
    }

    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Self::Started => Input::Started,
            Self::Request { name, dialog, body } => {
                Input::Request { name: Cow::Borrowed(name), dialog: *dialog, body: body.into() }
            }
            Self::Notification(told) | Self::Letter(_, told) => Input::Notification {
                name: Cow::Borrowed(told.name),
                from: told.from,
                topic: told.topic.clone(),
                codec: told.codec,
                body: Cow::Borrowed(&told.body),
            },
            Self::Missed { topic, count } => Input::Missed { topic: topic.clone(), count: *count },
            Self::Resume { wait, outcome } => Input::Resume {
                wait: *wait,
                outcome: outcome.as_ref().map(|outcome| match outcome {
                    Ok(body) => Ok(Cow::Borrowed(body.as_slice())),
                    Err(why) => Err(why.clone()),
                }),
            },
            Self::Stop(_) => Input::Stopping,
            // Of those the second never reaches an agent.
            Self::Recovered | Self::Unwelcome(..) => Input::Recovered,
            Self::Undelivered(what) => {
                let (to, name, why) = &**what;
                Input::Undelivered { to: *to, name: Cow::Borrowed(name), why: why.clone() }
            }
            Self::Move { to, .. } => Input::Moving { to: *to },
            Self::TakenUp(past) => Input::TakenUp(past.clone()),
        }
    }
}
