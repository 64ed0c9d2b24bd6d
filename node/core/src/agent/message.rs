use std::{fmt, marker::PhantomData, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use starling_protocols::{
    exchange::{Codec, Delivery, Failure},
    ident::Address,
    interest::{Scope, TopicError, TopicName},
    limits::BUDGET_DEFAULT,
};

use super::{Agent, Cx};

/// A question that one agent puts to another, with a reply of one type.
pub trait Request: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, unique in the mesh, as `chat/count-heads`. bincode does not describe itself: a
    /// request of another shape needs another name (`chat/count-heads/2`), and an agent may
    /// answer both.
    const NAME: &'static str;

    /// How long the asker waits, unless it says otherwise; ten seconds by default.
    const BUDGET: Duration = BUDGET_DEFAULT;

    /// What is answered.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// What an agent tells others without expecting an answer.
pub trait Notification: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, unique in the mesh, as `chat/said`; see [`Request::NAME`] for versions.
    const NAME: &'static str;

    /// How it travels: [`Delivery::Ordered`] (the default) or [`Delivery::Hint`] on topics, or
    /// [`Delivery::Durable`] to one agent.
    const DELIVERY: Delivery = Delivery::Ordered;
}

/// An agent that answers `R`.
pub trait Answers<R: Request>: Agent {
    /// Answers now, refuses, or promises to answer later.
    fn answer(&mut self, cx: &mut Cx<'_, Self>, request: R) -> Answer<R>;
}

/// An agent that takes up `N`.
pub trait Collects<N: Notification>: Agent {
    /// Takes it up. [`Cx::sender`] says whose it is.
    fn collect(&mut self, cx: &mut Cx<'_, Self>, notification: N);

    /// `count` notifications on a topic were lost before the next one.
    fn missed(&mut self, cx: &mut Cx<'_, Self>, topic: &Topic<N>, count: u64) {
        let _ = (cx, topic, count);
    }
}

/// What comes of a request: the reply, or why there is none.
pub type Outcome<T> = Result<T, Failure>;

/// What a handler answers to a request `R`.
pub struct Answer<R: Request>(pub(super) Answered<R::Reply>);

pub(super) enum Answered<T> {
    Now(T),
    Refused(String),
    Later,
}

impl<R: Request> Answer<R> {
    /// The reply.
    #[must_use]
    pub const fn now(reply: R::Reply) -> Self {
        Self(Answered::Now(reply))
    }

    /// No, and why; the asker gets [`Failure::Refused`].
    #[must_use]
    pub fn refuse(why: impl Into<String>) -> Self {
        Self(Answered::Refused(why.into()))
    }

    /// Not yet: keep the second part in the agent's state, and answer with [`Cx::reply`] or
    /// [`Cx::refuse`] from a later handler. If the agent ends first, the asker gets
    /// [`Failure::Gone`].
    #[must_use]
    pub fn later<A: Agent>(cx: &mut Cx<'_, A>) -> (Self, ReplyTo<R>) {
        (Self(Answered::Later), cx.defer())
    }
}

/// The right to answer one request, once. Part of an agent's state.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReplyTo<R> {
    pub(super) dialog: Dialog,
    #[serde(skip)]
    of: PhantomData<fn() -> R>,
}

/// Where a reply goes: the asker's dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dialog {
    /// Who asked.
    pub asker: Address,
    /// The asker's name for the dialog.
    pub number: u64,
    /// Whether question and answer are JSON (from and to outside the mesh) or bincode.
    pub json: bool,
}

impl Dialog {
    pub(crate) const fn codec(self) -> Codec {
        if self.json { Codec::Json } else { Codec::Native }
    }
}

impl<R> ReplyTo<R> {
    pub(super) const fn new(dialog: Dialog) -> Self {
        Self { dialog, of: PhantomData }
    }

    /// Who asked.
    #[must_use]
    pub const fn asker(&self) -> Address {
        self.dialog.asker
    }
}

impl<R: Request> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyTo({} of {:?})", R::NAME, self.dialog.asker)
    }
}

/// The promise of a reply to `R`, held in a continuation. [`Cx::take`] gives the outcome when the
/// continuation is resumed.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Await<R>(#[serde(skip)] PhantomData<fn() -> R>);

impl<R> Await<R> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Request> fmt::Debug for Await<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Await({})", R::NAME)
    }
}

/// A topic on which `N` is published. The name of another notification's topic does not decode
/// as one.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[serde(bound(serialize = "", deserialize = "N: Notification"))]
pub struct Topic<N> {
    name: TopicName,
    of: PhantomData<fn() -> N>,
}

impl<N: Notification> Topic<N> {
    /// The topic of all `N` in the mesh.
    ///
    /// # Panics
    /// When `N::NAME` is no valid name (empty, too long, or with blanks).
    #[must_use]
    pub fn all() -> Self {
        Self::of(Scope::Mesh, None).expect("the name of a notification makes a topic")
    }

    /// The topic of all `N` in the shard.
    ///
    /// # Panics
    /// As [`all`](Self::all).
    #[must_use]
    pub fn shard() -> Self {
        Self::of(Scope::Shard, None).expect("the name of a notification makes a topic")
    }

    /// One of many topics for `N`, told apart by `room`.
    ///
    /// # Errors
    /// [`TopicError`] when `room` is too long or has blanks.
    pub fn room(room: &str) -> Result<Self, TopicError> {
        Self::of(Scope::Mesh, Some(room))
    }

    fn of(scope: Scope, room: Option<&str>) -> Result<Self, TopicError> {
        TopicName::new(scope, N::NAME, room).map(Self::named)
    }
}

impl<N> Topic<N> {
    pub(super) const fn named(name: TopicName) -> Self {
        Self { name, of: PhantomData }
    }

    /// Its name, as it goes over the wire.
    #[must_use]
    pub const fn name(&self) -> &TopicName {
        &self.name
    }
}

impl<N> Clone for Topic<N> {
    fn clone(&self) -> Self {
        Self::named(self.name.clone())
    }
}

impl<N> PartialEq for Topic<N> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<N> fmt::Debug for Topic<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.name)
    }
}

impl<N: Notification> TryFrom<String> for Topic<N> {
    type Error = TopicError;
    fn try_from(text: String) -> Result<Self, TopicError> {
        let name: TopicName = text.parse()?;
        if name.notification() != N::NAME {
            return Err(TopicError::OtherName(N::NAME));
        }
        Ok(Self::named(name))
    }
}

impl<N> From<Topic<N>> for String {
    fn from(topic: Topic<N>) -> Self {
        topic.name.as_str().to_owned()
    }
}
