use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::{Delivery, Failure},
    ident::Address,
    interest::{ServiceName, TopicName},
    time::Time,
    wire,
};

use super::{Dialog, Notification, Request, Topic, WaitId, cage::DIALOG};

/// What an agent asks for. Effects are data: a test compares them, a journal records them, and
/// only the engine carries them out, after the handler has returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Tell one agent.
    Notify {
        /// Whom.
        to: Address,
        /// The notification's name.
        name: Cow<'static, str>,
        /// The notification.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// Ask one agent.
    Request {
        /// Whom.
        to: Address,
        /// The request's name.
        name: Cow<'static, str>,
        /// The request.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
        /// What waits for the reply.
        wait: WaitId,
        /// For how long.
        budget: Duration,
    },
    /// Answer.
    Reply {
        /// To which question.
        to: Dialog,
        /// The answer, or why there is none.
        #[serde(with = "super::bytes::outcome")]
        outcome: Result<Vec<u8>, Failure>,
    },
    /// Tell all who listen to a topic.
    Publish {
        /// Which.
        topic: TopicName,
        /// How.
        delivery: Delivery,
        /// The notification.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// Listen to a topic from now on.
    Listen {
        /// Which.
        topic: TopicName,
    },
    /// Listen to it no longer.
    Ignore {
        /// Which.
        topic: TopicName,
    },
    /// Come back at a time.
    Wake {
        /// When.
        at: Time,
        /// What waits for it.
        wait: WaitId,
    },
    /// Do not come back: the wait was given up.
    Forget {
        /// When it would have been.
        at: Time,
        /// What waited.
        wait: WaitId,
    },
    /// Stop this agent.
    StopSelf,
    /// Tell one agent, whatever restarts meanwhile.
    Post {
        /// Whom.
        to: Address,
        /// The notification's name.
        name: Cow<'static, str>,
        /// The notification.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// Say something to people.
    Log {
        /// How important it is.
        level: Level,
        /// What.
        text: String,
    },
    /// Offer a service from now on.
    Offer {
        /// Which.
        service: ServiceName,
    },
    /// Offer it no longer.
    Withdraw {
        /// Which.
        service: ServiceName,
    },
}

/// How important something said to people is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Somebody should act.
    Error,
    /// Somebody should know.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
}

/// Effects as a test expects them.
impl Effect {
    /// The reply to a question that a [`Cage`](super::Cage) put.
    #[must_use]
    pub fn reply<T: Serialize>(reply: &T) -> Self {
        Self::Reply { to: DIALOG, outcome: Ok(wire::encode(reply)) }
    }

    /// A question that a [`Cage`](super::Cage) put is refused.
    #[must_use]
    pub fn refuse(why: &str) -> Self {
        Self::Reply { to: DIALOG, outcome: Err(Failure::Refused(why.into())) }
    }

    /// A durable notification to one agent.
    #[must_use]
    pub fn post<N: Notification>(to: Address, notification: &N) -> Self {
        Self::Post { to, name: N::NAME.into(), body: wire::encode(notification) }
    }

    /// A notification to one agent.
    #[must_use]
    pub fn notify<N: Notification>(to: Address, notification: &N) -> Self {
        Self::Notify { to, name: N::NAME.into(), body: wire::encode(notification) }
    }

    /// A request with its usual budget.
    #[must_use]
    pub fn request<R: Request>(to: Address, request: &R, wait: WaitId) -> Self {
        let body = wire::encode(request);
        Self::Request { to, name: R::NAME.into(), body, wait, budget: R::BUDGET }
    }

    /// A service is offered.
    ///
    /// # Panics
    /// When it is no valid name.
    #[must_use]
    pub fn offer(service: &str) -> Self {
        Self::Offer { service: service.parse().expect("the name of a service") }
    }

    /// A service is offered no longer.
    ///
    /// # Panics
    /// When it is no valid name.
    #[must_use]
    pub fn withdraw(service: &str) -> Self {
        Self::Withdraw { service: service.parse().expect("the name of a service") }
    }

    /// A notification on a topic.
    #[must_use]
    pub fn publish<N: Notification>(topic: &Topic<N>, notification: &N) -> Self {
        let body = wire::encode(notification);
        Self::Publish { topic: topic.name().clone(), delivery: N::DELIVERY, body }
    }
}
