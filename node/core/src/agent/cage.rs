use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use starling_protocols::{
    entropy::Entropy,
    exchange::{Codec, Failure},
    ident::{Address, AgentId, HostId},
    time::{Time, WallTime},
    wire,
};

use super::{
    Agent, Answers, CONFIGURED, Collects, ConfiguredBy, Dialog, Effect, Handled, Input, Kind,
    Notification, Request, Topic, Turn, WaitId, ball::Ball, configuration_body,
};
use crate::documents::{Document, whole_of};

/// One agent in a cage: give it inputs, compare the exact list of effects, then
/// [`replay`](Cage::replay) it all. There is no runtime, no host and no time but the cage's own.
///
/// Effects go nowhere: what another agent would answer, the test answers with
/// [`answer`](Cage::answer) or [`fail`](Cage::fail).
pub struct Cage<A: Agent> {
    kind: Kind<A>,
    ball: Ball<A>,
    seed: Entropy,
    now: Time,
    begin: Vec<u8>,
    record: Vec<Entry>,
}

/// What is recorded of one input.
struct Entry {
    input: Input<'static>,
    now: Time,
    handled: Handled,
    effects: Vec<Effect>,
    /// Of the state and the waits after it.
    digest: u64,
}

/// The address of the caged agent.
const ME: Address = Address { host: HostId([1; 32]), agent: AgentId(AgentId::RESERVED) };
/// The address that asks and tells in a cage.
pub(super) const ASKER: Address =
    Address { host: HostId([2; 32]), agent: AgentId(AgentId::RESERVED + 1) };
/// The dialog of what is asked in a cage.
pub(super) const DIALOG: Dialog = Dialog { asker: ASKER, number: 0, json: false };

impl<A: Agent> Cage<A> {
    /// Who the caged agent is.
    pub const ME: Address = ME;
    /// Who asks and tells, where a test names nobody.
    pub const ASKER: Address = ASKER;

    /// Puts an agent with this state into a cage. [`Agent::started`] is not called; see
    /// [`start`](Self::start).
    ///
    /// # Panics
    /// When the kind declares an interest twice, or one of the names that every agent answers.
    #[must_use]
    pub fn new(state: A) -> Self {
        let ball = Ball::new(state);
        Self {
            kind: Kind::new(),
            begin: encode(&ball),
            ball,
            seed: Entropy::from_seed([0; 32]),
            now: Time::ZERO,
            record: Vec::new(),
        }
    }

    /// The agent as another version of its code, `B`, finds it after an upgrade; it is to be given
    /// [`Input::Recovered`] next.
    ///
    /// # Panics
    /// When `B` cannot read the state.
    #[must_use]
    pub fn upgraded<B: Agent>(&self) -> Cage<B> {
        let begin = encode(&self.ball);
        let (kind, ball, seed) = (Kind::new(), decode(&begin), Entropy::from_seed([1; 32]));
        Cage { kind, ball, seed, now: self.now, begin, record: Vec::new() }
    }

    /// The agent's state.
    #[must_use]
    pub const fn state(&self) -> &A {
        &self.ball.state
    }

    /// What it waits for, in the order of the table that holds it.
    #[must_use]
    pub fn waits(&self) -> Vec<WaitId> {
        self.ball.waits().map(|(id, ..)| id).collect()
    }

    /// How many questions it has yet to answer.
    #[must_use]
    pub fn deferred(&self) -> usize {
        self.ball.book.deferred.values().map(|count| *count as usize).sum()
    }

    /// Begins its life.
    pub fn start(&mut self) -> Vec<Effect> {
        self.input(Input::Started)
    }

    /// Ends its life in good order.
    pub fn stop(&mut self) -> Vec<Effect> {
        self.input(Input::Stopping)
    }

    /// Asks it.
    ///
    /// # Panics
    /// When the agent does not take the request up.
    pub fn ask<R: Request>(&mut self, request: R) -> Vec<Effect>
    where
        A: Answers<R>,
    {
        let body = wire::encode(&request).into();
        self.input(Input::Request { name: R::NAME.into(), dialog: DIALOG, body })
    }

    /// Tells it.
    ///
    /// # Panics
    /// When the agent does not take the notification up.
    pub fn tell<N: Notification>(&mut self, notification: N) -> Vec<Effect>
    where
        A: Collects<N>,
    {
        self.tell_from(ASKER, None, &notification)
    }

    /// Tells it on a topic.
    ///
    /// # Panics
    /// When the agent does not take the notification up.
    pub fn hear<N: Notification>(
        &mut self,
        from: Address,
        topic: &Topic<N>,
        notification: &N,
    ) -> Vec<Effect>
    where
        A: Collects<N>,
    {
        self.tell_from(from, Some(topic), notification)
    }

    /// Brings it its configuration.
    ///
    /// # Panics
    /// When the agent's kind does not declare that it is [configured] by this type, or `config`
    /// cannot be written.
    ///
    /// [configured]: super::Interests::configured_by
    pub fn configure<C: Document + Default>(&mut self, config: &C) -> Vec<Effect>
    where
        A: ConfiguredBy<C>,
    {
        let whole = whole_of(config).expect("a configuration is written").to_string();
        let from = Address { host: ME.host, agent: AgentId::ENGINE };
        let (name, body) = (CONFIGURED.into(), configuration_body(Some(&whole)).into());
        self.input(Input::Notification { name, from, topic: None, codec: Codec::Native, body })
    }

    /// Replies to a request of its own.
    ///
    /// # Panics
    /// When the agent declares no such message.
    pub fn answer<R: Request>(&mut self, wait: WaitId, reply: &R::Reply) -> Vec<Effect> {
        let outcome = Some(Ok(wire::encode(reply).into()));
        self.input(Input::Resume { wait, outcome })
    }

    /// Lets a request of its own fail.
    ///
    /// # Panics
    /// Never, but that the agent's handler does.
    pub fn fail(&mut self, wait: WaitId, why: Failure) -> Vec<Effect> {
        self.input(Input::Resume { wait, outcome: Some(Err(why)) })
    }

    /// Lets time pass: what is due comes back, in the order of its time. Requests that were not
    /// answered time out.
    ///
    /// # Panics
    /// Never, but that the agent's handler does.
    pub fn advance(&mut self, by: Duration) -> Vec<Effect> {
        let until = self.now + by;
        let mut effects = Vec::new();
        while let Some((at, wait, timed_out)) = self.due(until) {
            self.now = at;
            let outcome = timed_out.then_some(Err(Failure::TimedOut));
            effects.extend(self.input(Input::Resume { wait, outcome }));
        }
        self.now = until;
        effects
    }

    /// Gives it any input, as the engine would; the other verbs are made of this one.
    ///
    /// # Panics
    /// When the agent rejects the input.
    pub fn input(&mut self, input: Input<'static>) -> Vec<Effect> {
        let (handled, effects) = self.try_input(input);
        handled.expect("the agent takes the input up");
        effects
    }

    /// As [`input`](Self::input), for an input that the agent may reject.
    pub fn try_input(&mut self, input: Input<'static>) -> (Handled, Vec<Effect>) {
        let number = self.record.len() as u64;
        let run = run(&self.kind, &mut self.ball, &self.seed, &input, self.now, number);
        let (handled, effects) = run.clone();
        let digest = digest(&encode(&self.ball));
        self.record.push(Entry { input, now: self.now, handled, effects, digest });
        run
    }

    /// Runs all inputs again from the first state, through an encoding of the state between any
    /// two, and compares every effect and every state.
    ///
    /// # Panics
    /// At the first input whose effects, result or new state differ: then something outside the
    /// agent decided, or the state holds a collection without an order (a `HashMap`).
    pub fn replay(&self) {
        let mut ball: Ball<A> = decode(&self.begin);
        for (entry, number) in self.record.iter().zip(0..) {
            let again = run(&self.kind, &mut ball, &self.seed, &entry.input, entry.now, number);
            let first = (entry.handled.clone(), entry.effects.clone());
            assert_eq!(again, first, "input {number} ({:?}) replays differently", entry.input);
            let bytes = encode(&ball);
            let same = digest(&bytes) == entry.digest;
            assert!(same, "input {number} ({:?}) replays to another state", entry.input);
            ball = decode(&bytes);
        }
    }

    fn tell_from<N: Notification>(
        &mut self,
        from: Address,
        topic: Option<&Topic<N>>,
        notification: &N,
    ) -> Vec<Effect> {
        let name = Cow::Borrowed(N::NAME);
        let topic = topic.map(|topic| topic.name().clone());
        let body = wire::encode(notification).into();
        self.input(Input::Notification { name, from, topic, codec: Codec::Native, body })
    }

    fn due(&self, until: Time) -> Option<(Time, WaitId, bool)> {
        let waits = self.ball.waits();
        let due = waits.map(|(id, what, until)| (until, id, what == super::waits::What::Reply));
        due.min().filter(|(at, ..)| *at <= until)
    }
}

/// Tells two states apart; the same in one process, and nowhere stored.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn encode<A: Agent>(ball: &Ball<A>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ball.save(&mut bytes).expect("an agent's state encodes");
    bytes
}

fn decode<A: Agent>(bytes: &[u8]) -> Ball<A> {
    Ball::load(bytes).expect("an agent's state reads back what it wrote")
}

fn run<A: Agent>(
    kind: &Kind<A>,
    ball: &mut Ball<A>,
    seed: &Entropy,
    input: &Input<'static>,
    now: Time,
    number: u64,
) -> (Handled, Vec<Effect>) {
    let mut effects = Vec::new();
    let wall = WallTime::from_millis(now.as_nanos() / 1_000_000);
    let turn = Turn::new(ME, seed, now, wall, number, input, &mut effects);
    let handled = kind.run(ball, input, turn);
    (handled, effects)
}
