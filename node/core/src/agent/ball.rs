use std::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_protocols::{
    exchange::Codec,
    interest::TopicName,
    journal::Durability,
    limits::{BODY_BYTES_MAX, DEFERRED_PER_AGENT_MAX, SNAPSHOT_BYTES_MAX},
    time::Time,
    wire,
};

use super::{
    Agent, CONFIGURED, Configuration, Cx, Dialog, Input, Interests, Resources, Undelivered,
    Updating, WaitId, configured,
    contract::Part,
    cx::Turn,
    dealings::{Dealings, Lazy, Waits},
    interests::{BodyOf, Does, read_json},
    partners,
    waits::{Book, What},
    watch::Everybodys,
};

/// The state an agent begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Init {
    /// The kind's default.
    #[default]
    Default,
    /// The state as its kind encodes it.
    Native(Vec<u8>),
    /// The state as JSON text.
    Json(String),
}

/// What became of an input.
pub type Handled = Result<(), Rejection>;

/// Why an agent did not take up an input. Its state is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It declares no interest of that name.
    #[error("it does not understand this message")]
    Unknown,
    /// The body does not fit the type.
    #[error("the body does not fit: {0}")]
    BadBody(String),
    /// It owes too many answers already.
    #[error("it has put off too many answers already")]
    Busy,
}

/// Counts up when what is encoded behind the state changes its shape.
const DEALINGS_FORMAT: u8 = 2;

/// Where an agent lives (FEAT: the hamsterball): its state and what it waits for, and nothing
/// else. All of it can be saved between two inputs.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Ball<A: Agent> {
    pub(crate) state: A,
    pub(crate) book: Book<A::Then>,
    /// Encoded behind the rest, and only by agents that have any.
    #[serde(skip)]
    pub(crate) dealings: Lazy,
}

impl<A: Agent> Ball<A> {
    pub(crate) fn new(state: A) -> Self {
        Self { state, book: Book::default(), dealings: Lazy::default() }
    }

    /// Appends all of it, encoded.
    pub(crate) fn save(&self, out: &mut Vec<u8>) -> Result<(), wire::Error> {
        wire::encode_into(self, out)?;
        if self.dealings.is_empty() {
            return Ok(());
        }
        out.push(DEALINGS_FORMAT);
        wire::encode_into(&*self.dealings, out)
    }

    /// What was saved so.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, wire::Error> {
        let max = SNAPSHOT_BYTES_MAX.max(bytes.len());
        let (mut ball, read): (Self, usize) = wire::decode_next(bytes, max)?;
        if read < bytes.len() {
            let [DEALINGS_FORMAT, dealings @ ..] = &bytes[read..] else {
                return Err(wire::Error::Malformed(
                    "an unknown format of an agent's dealings".into(),
                ));
            };
            let dealings: Dealings = wire::decode_own(dealings, max)?;
            ball.dealings = dealings.into();
        }
        Ok(ball)
    }

    /// All that it waits for.
    pub(crate) fn waits(&self) -> impl Iterator<Item = (WaitId, What, Time)> {
        let own = self.book.iter().map(|(id, wait)| (id, wait.what, wait.until));
        own.chain(self.dealings.waits.iter())
    }

    fn wait(&self, wait: WaitId) -> Option<(What, Time)> {
        if Waits::has(wait) {
            return self.dealings.waits.get(wait);
        }
        self.book.get(wait).map(|wait| (wait.what, wait.until))
    }
}

/// What the descriptor of an agent shows of it beside what its author says; each is a map, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) resources: Value,
    pub(crate) allocations: Value,
    pub(crate) partners: Value,
}

/// A ball of whatever kind.
pub(crate) type AnyBall = Box<dyn Any + Send>;

/// One thing an agent waits for, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitView {
    pub(crate) what: String,
    pub(crate) until: Time,
    pub(crate) then: String,
}

/// A kind of agent whose type has been forgotten.
pub(crate) trait AnyKind: Send + Sync {
    fn name(&self) -> &'static str;
    fn mailbox(&self) -> u32;
    fn version(&self) -> u32;
    fn durability(&self) -> Durability;
    fn is_described(&self) -> bool;
    /// The names of the messages it understands; `is_request` tells requests from notifications.
    fn understands(&self) -> Vec<(&'static str, bool)>;
    /// The name as the kind declares it, if it understands such a message.
    fn find(&self, name: &str, is_request: bool) -> Option<&'static str>;
    fn topics(&self) -> &[TopicName];
    /// The services that all agents of the kind offer.
    fn services(&self) -> Vec<&'static str>;
    /// How its agents are configured.
    fn configuration(&self) -> Option<&Configuration>;
    /// The updates of documents that it declares.
    fn updates(&self) -> &[Updating];
    fn make(&self, init: &Init) -> Result<AnyBall, Rejection>;
    /// Appends the whole ball, encoded.
    fn save(&self, ball: &AnyBall, out: &mut Vec<u8>) -> Result<(), wire::Error>;
    /// The ball that was saved so.
    fn load(&self, bytes: &[u8]) -> Result<AnyBall, wire::Error>;
    fn handle(&self, ball: &mut AnyBall, input: &Input<'_>, turn: Turn<'_>) -> Handled;
    /// When a wait ends, if it is still open.
    fn until(&self, ball: &AnyBall, wait: WaitId) -> Option<Time>;
    /// Whether a wait is for a reply.
    fn is_request(&self, ball: &AnyBall, wait: WaitId) -> bool;
    /// The deadlines of all that is open.
    fn deadlines(&self, ball: &AnyBall) -> Vec<(Time, WaitId)>;
    /// What is open, and of which sort it is.
    fn open(&self, ball: &AnyBall) -> Vec<(WaitId, What, Time)>;
    /// Questions it has promised to answer.
    fn deferred(&self, ball: &AnyBall) -> Vec<Dialog>;
    fn state(&self, ball: &AnyBall) -> Value;
    /// Whether there is something of it that its descriptor shows.
    fn has_to_show(&self, ball: &AnyBall) -> bool;
    fn shown(&self, ball: &AnyBall) -> Shown;
    fn waits(&self, ball: &AnyBall) -> Vec<WaitView>;
    /// Shows a body to people, of what it understands or answers.
    fn show(&self, of: BodyOf, name: &str, body: &[u8]) -> Option<Value>;
}

/// The kind of the agent type `A`.
pub(crate) struct Kind<A: Agent>(Interests<A>);

impl<A: Agent> Kind<A> {
    /// Collects what `A` declares.
    ///
    /// # Panics
    /// When it declares a message twice, or one that every agent answers.
    pub(crate) fn new() -> Self {
        Self(Interests::of_kind())
    }

    fn ball(any: &AnyBall) -> &Ball<A> {
        any.downcast_ref().expect("a ball is handled by its own kind")
    }

    pub(crate) fn run(&self, ball: &mut Ball<A>, input: &Input<'_>, turn: Turn<'_>) -> Handled {
        let Ball { state, book, dealings } = ball;
        let mut cx = Cx::new(turn, book, dealings);
        let handled = self.take_up(state, &mut cx, input);
        if cx.dealings.is_some() {
            cx.tell_news(state, |name| self.does(name).ok());
        }
        handled
    }

    fn take_up(&self, state: &mut A, cx: &mut Cx<'_, A>, input: &Input<'_>) -> Handled {
        match input {
            Input::Started => state.started(cx),
            Input::Stopping => {
                state.stopping(cx);
                cx.end_contracts();
                cx.end_problems();
                cx.part_from_all();
            }
            Input::Recovered => {
                cx.end_strange_contracts(|name| self.part(name));
                cx.end_strange_problems(|name| matches!(self.does(name), Ok(Does::Solve(_))));
                cx.partners_recovered(|ends| {
                    matches!(self.does(&ends.mine), Ok(Does::Partner(fns)) if fns.is_of(ends))
                });
                state.recovered(cx);
            }
            Input::Moving { to } => state.moving(cx, *to),
            Input::TakenUp(past) => {
                cx.partners_taken_up(&past.partners, |ends| {
                    matches!(self.does(&ends.mine), Ok(Does::Partner(fns)) if fns.is_of(ends))
                });
                state.taken_up(cx, past);
            }
            Input::Undelivered { to, name, why } => {
                if self.0.writes_to_partners(name) {
                    cx.letter_undelivered(*to, name, why);
                } else {
                    state.undelivered(cx, &Undelivered { to: *to, name, why });
                }
            }
            Input::Request { name, dialog, body } => {
                return self.asked(state, cx, (name, *dialog), body);
            }
            Input::Notification { name, codec, body, .. } => {
                return self.told(state, cx, (name, *codec), body);
            }
            Input::Missed { topic, count } => {
                if let Does::Collect { missed, .. } = self.does(topic.notification())? {
                    missed(state, cx, topic.clone(), *count);
                }
            }
            Input::Resume { wait, .. } if Waits::has(*wait) => {
                cx.dealings_resumed(*wait, |name| self.part(name));
            }
            Input::Resume { wait, .. } => cx.resume(state, *wait),
        }
        Ok(())
    }

    fn asked(
        &self,
        state: &mut A,
        cx: &mut Cx<'_, A>,
        (name, dialog): (&str, Dialog),
        body: &[u8],
    ) -> Handled {
        if cx.has_deferred(DEFERRED_PER_AGENT_MAX) {
            return Err(Rejection::Busy);
        }
        let Ok(does) = self.does(name) else {
            return self.asked_as_everybody(state, cx, name, body);
        };
        match does {
            Does::Answer(answer) => answer(state, cx, dialog.codec(), body),
            Does::Contract(fns) => cx.contract_asked(fns.part(), dialog.codec(), body),
            Does::Solve(fns) => cx.problem_asked(state, name, fns, dialog.codec(), body),
            Does::Collect { .. } | Does::Partner(_) => Err(Rejection::Unknown),
        }
    }

    fn told(
        &self,
        state: &mut A,
        cx: &mut Cx<'_, A>,
        (name, codec): (&str, Codec),
        body: &[u8],
    ) -> Handled {
        let Ok(does) = self.does(name) else {
            return match Everybodys::find(name) {
                Some(Everybodys::Unwatch) => cx.is_unwatched(codec, body),
                Some(Everybodys::Restarted) => cx.told_of_restart(codec, body),
                Some(Everybodys::Buried) => cx.told_of_burial(codec, body),
                _ if name == CONFIGURED => self.told_config(state, cx, body),
                _ => Err(Rejection::Unknown),
            };
        };
        match does {
            Does::Collect { collect, .. } => collect(state, cx, codec, body),
            Does::Contract(fns) => cx.contract_told(fns.part(), codec, body),
            Does::Solve(_) => cx.problem_told(name, codec, body),
            Does::Partner(fns) => cx.partner_told(fns, codec, body),
            Does::Answer(_) => Err(Rejection::Unknown),
        }
    }

    fn told_config(&self, state: &mut A, cx: &mut Cx<'_, A>, body: &[u8]) -> Handled {
        self.0.config.as_ref().ok_or(Rejection::Unknown)?.tell(state, cx, body)
    }

    /// What the kind takes part in, of contracts of that name.
    fn part(&self, name: &str) -> Option<Part> {
        match self.does(name) {
            Ok(Does::Contract(fns)) => Some(fns.part()),
            _ => None,
        }
    }

    fn asked_as_everybody(
        &self,
        state: &mut A,
        cx: &mut Cx<'_, A>,
        name: &str,
        body: &[u8],
    ) -> Handled {
        match Everybodys::find(name) {
            Some(Everybodys::Ping) => {
                cx.answer_now(Ok(&()));
                Ok(())
            }
            Some(Everybodys::Watch) => cx.is_watched(body),
            Some(Everybodys::Died) => cx.told_of_death(state, body, |name| match self.does(name) {
                Ok(Does::Partner(fns)) => Some(fns),
                _ => None,
            }),
            _ => Err(Rejection::Unknown),
        }
    }

    fn does(&self, name: &str) -> Result<&Does<A>, Rejection> {
        self.0.find(name).map(|handler| &handler.does).ok_or(Rejection::Unknown)
    }
}

impl<A: Agent> AnyKind for Kind<A> {
    fn name(&self) -> &'static str {
        A::KIND
    }

    fn mailbox(&self) -> u32 {
        A::MAILBOX
    }

    fn version(&self) -> u32 {
        A::VERSION
    }

    fn is_described(&self) -> bool {
        A::DESCRIBED
    }

    fn durability(&self) -> Durability {
        A::DURABILITY
    }

    fn understands(&self) -> Vec<(&'static str, bool)> {
        let handlers = self.0.handlers.iter();
        handlers.map(|handler| (handler.name, handler.does.takes(true))).collect()
    }

    fn find(&self, name: &str, is_request: bool) -> Option<&'static str> {
        let Some(handler) = self.0.find(name) else {
            return Everybodys::find(name).filter(|of| of.takes(is_request)).map(Everybodys::name);
        };
        handler.does.takes(is_request).then_some(handler.name)
    }

    fn topics(&self) -> &[TopicName] {
        &self.0.topics
    }

    fn configuration(&self) -> Option<&Configuration> {
        self.0.config.as_ref().map(|config| &config.of)
    }

    fn updates(&self) -> &[Updating] {
        &self.0.updates
    }

    fn services(&self) -> Vec<&'static str> {
        let services = self.0.handlers.iter().filter(|handler| handler.does.is_service());
        services.map(|handler| handler.name).collect()
    }

    fn make(&self, init: &Init) -> Result<AnyBall, Rejection> {
        let state: A = match init {
            Init::Default => A::default(),
            Init::Native(bytes) => wire::decode(bytes, BODY_BYTES_MAX)
                .map_err(|why| Rejection::BadBody(why.to_string()))?,
            Init::Json(text) => read_json(text.as_bytes()).map_err(Rejection::BadBody)?,
        };
        Ok(Box::new(Ball::new(state)))
    }

    fn save(&self, ball: &AnyBall, out: &mut Vec<u8>) -> Result<(), wire::Error> {
        Self::ball(ball).save(out)
    }

    fn load(&self, bytes: &[u8]) -> Result<AnyBall, wire::Error> {
        Ok(Box::new(Ball::<A>::load(bytes)?))
    }

    fn handle(&self, ball: &mut AnyBall, input: &Input<'_>, turn: Turn<'_>) -> Handled {
        let ball = ball.downcast_mut().expect("a ball is handled by its own kind");
        self.run(ball, input, turn)
    }

    fn until(&self, ball: &AnyBall, wait: WaitId) -> Option<Time> {
        Self::ball(ball).wait(wait).map(|(_, until)| until)
    }

    fn is_request(&self, ball: &AnyBall, wait: WaitId) -> bool {
        Self::ball(ball).wait(wait).is_some_and(|(what, _)| what == What::Reply)
    }

    fn deadlines(&self, ball: &AnyBall) -> Vec<(Time, WaitId)> {
        Self::ball(ball).waits().map(|(id, _, until)| (until, id)).collect()
    }

    fn open(&self, ball: &AnyBall) -> Vec<(WaitId, What, Time)> {
        Self::ball(ball).waits().collect()
    }

    fn deferred(&self, ball: &AnyBall) -> Vec<Dialog> {
        Self::ball(ball).book.deferred.keys().copied().collect()
    }

    fn state(&self, ball: &AnyBall) -> Value {
        let state = serde_json::to_value(&Self::ball(ball).state);
        state.unwrap_or_else(|why| Value::String(format!("cannot be shown as JSON: {why}")))
    }

    fn has_to_show(&self, ball: &AnyBall) -> bool {
        let Ball { state, dealings, .. } = Self::ball(ball);
        A::DESCRIBED && (!dealings.partners.is_empty() || state.sharing().is_some())
    }

    fn shown(&self, ball: &AnyBall) -> Shown {
        let Ball { state, dealings, .. } = Self::ball(ball);
        let (resources, allocations) = state.sharing().map(Resources::shown).unwrap_or_default();
        Shown { resources, allocations, partners: partners::shown(&dealings.partners) }
    }

    fn waits(&self, ball: &AnyBall) -> Vec<WaitView> {
        let Ball { book, dealings, .. } = Self::ball(ball);
        let own = book.iter().map(|(_, wait)| WaitView {
            what: format!("{:?}", wait.what).to_lowercase(),
            until: wait.until,
            then: serde_json::to_string(&wait.then).unwrap_or_default(),
        });
        let dealt = dealings.views().into_iter();
        let dealt =
            dealt.map(|(what, until, then)| WaitView { what, until, then: then.to_string() });
        own.chain(dealt).collect()
    }

    fn show(&self, of: BodyOf, name: &str, body: &[u8]) -> Option<Value> {
        if name == CONFIGURED {
            return configured::said(body).ok()?;
        }
        self.0.find(name)?.shows.show(of, body)
    }
}
