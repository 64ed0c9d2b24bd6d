use serde_json::Value;
use starling_protocols::{
    exchange::Codec,
    interest::{Scope, TopicName},
    limits::BODY_BYTES_MAX,
    wire,
};

use super::{
    Agent, Answers, Bids, CONFIGURED, Collects, ConfiguredBy, Contract, Cx, Manages, Many,
    Notification, One, Partners, Problem, Relation, Request, Solves, Topic, Updating,
    ball::Rejection, configured::ConfigFns, contract::ContractFns, message::Answered,
    partners::PartnerFns, solve::SolveFns, watch::Everybodys,
};
use crate::documents::{Document, Update};

/// What a kind of agent answers, collects and listens to.
pub struct Interests<A: Agent> {
    pub(super) handlers: Vec<Handler<A>>,
    pub(super) topics: Vec<TopicName>,
    pub(super) config: Option<ConfigFns<A>>,
    pub(super) updates: Vec<Updating>,
}

pub(super) struct Handler<A: Agent> {
    pub(super) name: &'static str,
    pub(super) does: Does<A>,
    pub(super) shows: Shows,
}

type Show = fn(&[u8]) -> Option<Value>;

/// Show bodies to people.
#[derive(Default)]
pub(super) struct Shows {
    request: Option<Show>,
    notification: Option<Show>,
    reply: Option<Show>,
}

impl Shows {
    pub(super) fn show(&self, of: BodyOf, body: &[u8]) -> Option<Value> {
        let show = match of {
            BodyOf::Request => self.request,
            BodyOf::Notification => self.notification,
            BodyOf::Reply => self.reply,
        };
        show?(body)
    }
}

/// What a body belongs to. Requests and notifications of one name may have different types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOf {
    /// A request.
    Request,
    /// A notification, on a topic or to one agent.
    Notification,
    /// A reply.
    Reply,
}

type Handle<A> = fn(&mut A, &mut Cx<'_, A>, Codec, &[u8]) -> Result<(), Rejection>;

pub(super) enum Does<A: Agent> {
    Answer(Handle<A>),
    Collect {
        collect: Handle<A>,
        missed: fn(&mut A, &mut Cx<'_, A>, TopicName, u64),
    },
    /// Both requests and notifications.
    Contract(ContractFns<A>),
    /// Both requests and notifications.
    Solve(SolveFns<A>),
    Partner(PartnerFns<A>),
}

impl<A: Agent> Does<A> {
    /// Whether agents of the kind do something for others by it.
    pub(super) const fn is_service(&self) -> bool {
        match self {
            Self::Answer(_) | Self::Partner(_) | Self::Solve(_) => true,
            Self::Collect { .. } => false,
            Self::Contract(fns) => fns.is_of_bidders(),
        }
    }

    /// Whether it is for requests, or for notifications.
    pub(super) const fn takes(&self, is_request: bool) -> bool {
        match self {
            Self::Answer(_) => is_request,
            Self::Collect { .. } | Self::Partner(_) => !is_request,
            Self::Contract(_) | Self::Solve(_) => true,
        }
    }
}

impl<A: Agent> Interests<A> {
    pub(super) fn of_kind() -> Self {
        let (handlers, topics, updates) = (Vec::new(), Vec::new(), Vec::new());
        let mut interests = Self { handlers, topics, config: None, updates };
        A::interests(&mut interests);
        interests.handlers.sort_by_key(|handler| handler.name);
        for Handler { name, .. } in &interests.handlers {
            assert!(
                Everybodys::find(name).is_none() && *name != CONFIGURED,
                "kind {} declares {name}, which every agent answers",
                A::KIND
            );
        }
        let names = interests.handlers.windows(2);
        for pair in names {
            assert!(
                pair[0].name != pair[1].name,
                "kind {} declares {} twice",
                A::KIND,
                pair[0].name
            );
        }
        interests
    }

    /// Agents of this kind answer `R`.
    pub fn answers<R: Request>(&mut self)
    where
        A: Answers<R>,
    {
        let does = Does::Answer(answer::<A, R>);
        let (request, reply): (Show, Show) = (show::<R>, show::<R::Reply>);
        let shows = Shows { request: Some(request), notification: None, reply: Some(reply) };
        self.handlers.push(Handler { name: R::NAME, does, shows });
    }

    /// Agents of this kind take up `N` when it is sent to them, or comes on a topic they listen
    /// to by [`Cx::listen`].
    pub fn collects<N: Notification>(&mut self)
    where
        A: Collects<N>,
    {
        let does = Does::Collect { collect: collect::<A, N>, missed: missed::<A, N> };
        let shows = Shows { notification: Some(show::<N>), ..Shows::default() };
        self.handlers.push(Handler { name: N::NAME, does, shows });
    }

    /// As [`collects`](Self::collects); and from the beginning of their lives, agents of this
    /// kind listen to all `N` within `scope`.
    ///
    /// # Panics
    /// When `N::NAME` is no valid name.
    pub fn listens<N: Notification>(&mut self, scope: Scope)
    where
        A: Collects<N>,
    {
        self.collects::<N>();
        let topic = TopicName::new(scope, N::NAME, None);
        self.topics.push(topic.expect("the name of a notification makes a topic"));
    }

    /// Agents of this kind bid for `C` when it is announced to them.
    pub fn bids<C: Contract>(&mut self)
    where
        A: Bids<C>,
    {
        self.contract::<C>(ContractFns::bids::<C>());
    }

    /// As [`bids`](Self::bids); and from the beginning of their lives, agents of this kind hear of
    /// all `C` that is announced within `scope`.
    ///
    /// # Panics
    /// When `C::NAME` is no valid name.
    pub fn bids_in<C: Contract>(&mut self, scope: Scope)
    where
        A: Bids<C>,
    {
        self.bids::<C>();
        let topic = TopicName::new(scope, C::NAME, None);
        self.topics.push(topic.expect("the name of a contract makes a topic"));
    }

    /// Agents of this kind announce `C`.
    pub fn manages<C: Contract>(&mut self)
    where
        A: Manages<C>,
    {
        self.contract::<C>(ContractFns::manages::<C>());
    }

    /// Agents of this kind take part in problems of the sort `P`.
    pub fn solves<P: Problem>(&mut self)
    where
        A: Solves<P>,
    {
        let does = Does::Solve(SolveFns::of::<P>());
        let shows = Shows {
            request: Some(super::solve::show_ask::<P>),
            notification: Some(super::solve::show_tell::<P>),
            reply: Some(super::solve::show_reply::<P>),
        };
        self.handlers.push(Handler { name: P::NAME, does, shows });
    }

    /// Agents of this kind are configured by the document `conf/` and the kind's name.
    ///
    /// # Panics
    /// When the kind is configured by two types, or its name makes no name of a document: that has
    /// small letters, digits, `-`, `_` and `.`.
    pub fn configured_by<C: Document + Default>(&mut self)
    where
        A: ConfiguredBy<C>,
    {
        let before = self.config.replace(ConfigFns::new::<C>());
        assert!(before.is_none(), "kind {} is configured by two types", A::KIND);
    }

    /// Agents of this kind apply `U` to documents of the type `D`, by [`Cx::update`].
    ///
    /// # Panics
    /// When the kind declares another update of that name.
    pub fn updates<D: Document, U: Update<D>>(&mut self) {
        let twice = self.updates.iter().any(|other| other.name == U::NAME);
        assert!(!twice, "kind {} declares the update {} twice", A::KIND, U::NAME);
        self.updates.push(Updating::of::<D, U>());
    }

    /// Agents of this kind have one partner of this relation at most.
    pub fn has_one<R: Relation>(&mut self)
    where
        A: Partners<R, Count = One>,
    {
        self.partners::<R>();
    }

    /// Agents of this kind have any number of partners of this relation.
    pub fn has_many<R: Relation>(&mut self)
    where
        A: Partners<R, Count = Many>,
    {
        self.partners::<R>();
    }

    fn partners<R: Relation>(&mut self)
    where
        A: Partners<R>,
    {
        let does = Does::Partner(PartnerFns::new::<R>());
        let shows = Shows { notification: Some(super::partners::show::<R>), ..Shows::default() };
        self.handlers.push(Handler { name: R::NAME, does, shows });
    }

    /// A kind may have both roles in contracts of one sort.
    fn contract<C: Contract>(&mut self, fns: ContractFns<A>) {
        let same = self.handlers.iter_mut().find(|handler| handler.name == C::NAME);
        let Some(Handler { does: Does::Contract(has), .. }) = same else {
            let shows = Shows {
                request: Some(super::contract::show_ask::<C>),
                notification: Some(super::contract::show_tell::<C>),
                reply: Some(super::contract::show_reply::<C>),
            };
            let does = Does::Contract(fns);
            return self.handlers.push(Handler { name: C::NAME, does, shows });
        };
        assert!(has.join(fns), "kind {} declares {} twice", A::KIND, C::NAME);
    }

    /// Whether letters of this name are told by the kind's agents to their partners.
    pub(super) fn writes_to_partners(&self, name: &str) -> bool {
        let writes = |does: &Does<A>| matches!(does, Does::Partner(fns) if fns.writes(name));
        self.handlers.iter().any(|handler| writes(&handler.does))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Handler<A>> {
        let place = self.handlers.binary_search_by(|handler| handler.name.cmp(name));
        place.ok().map(|place| &self.handlers[place])
    }
}

fn answer<A: Answers<R>, R: Request>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    codec: Codec,
    body: &[u8],
) -> Result<(), Rejection> {
    let request: R = read(codec, body)?;
    match agent.answer(cx, request).0 {
        Answered::Now(reply) => cx.answer_now(Ok(&reply)),
        Answered::Refused(why) => cx.answer_now::<R::Reply>(Err(why)),
        Answered::Later => {}
    }
    Ok(())
}

fn collect<A: Collects<N>, N: Notification>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    codec: Codec,
    body: &[u8],
) -> Result<(), Rejection> {
    let notification: N = read(codec, body)?;
    agent.collect(cx, notification);
    Ok(())
}

fn missed<A: Collects<N>, N: Notification>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    topic: TopicName,
    count: u64,
) {
    agent.missed(cx, &Topic::named(topic), count);
}

fn read<T: serde::de::DeserializeOwned>(codec: Codec, body: &[u8]) -> Result<T, Rejection> {
    match codec {
        Codec::Native => {
            wire::decode(body, BODY_BYTES_MAX).map_err(|why| Rejection::BadBody(why.to_string()))
        }
        Codec::Json => read_json(body)
            .or_else(|why| empty_otherwise(body).and_then(|body| read_json(body).ok()).ok_or(why))
            .map_err(Rejection::BadBody),
    }
}

/// People write nothing, `null` or `{}` for a message without fields; types differ in which of them
/// they are.
fn empty_otherwise(body: &[u8]) -> Option<&'static [u8]> {
    match body {
        b"null" => Some(b"{}"),
        b"{}" => Some(b"null"),
        _ => None,
    }
}

/// Reads JSON; an error names the field.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|why| {
        let path = why.path().to_string();
        if path == "." { why.inner().to_string() } else { format!("{path}: {}", why.inner()) }
    })?;
    json.end().map_err(|why| why.to_string())?;
    Ok(value)
}

fn show<T: serde::de::DeserializeOwned + serde::Serialize>(body: &[u8]) -> Option<Value> {
    let value: T = wire::decode(body, BODY_BYTES_MAX).ok()?;
    serde_json::to_value(&value).ok()
}
