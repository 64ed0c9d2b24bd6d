use std::time::Duration;

use serde::Serialize;
use starling_protocols::{
    entropy::Entropy,
    exchange::{Codec, Delivery, Failure},
    ident::{Address, AgentId, HostId},
    limits::{BODY_BYTES_MAX, BUDGET_MAX, EFFECTS_PER_INPUT_MAX, REASON_BYTES_MAX},
    time::{Time, WallTime},
    wire,
};

use super::{
    Agent, Await, Collects, Continuation, Dialog, Effect, Input, Level, Notification, Outcome,
    ReplyTo, Request, Task, Topic, WaitId,
    dealings::Lazy,
    waits::{Book, Wait, What},
};
use crate::engine::Describe;

/// What an agent sees of the world while it handles one input, and how it asks for effects.
///
/// Everything read here is decided by the input, its number, its time and the agent's seed, so a
/// replay reads the same.
pub struct Cx<'a, A: Agent> {
    turn: Turn<'a>,
    book: &'a mut Book<A::Then>,
    pub(super) dealings: &'a mut Lazy,
    task: Option<WaitId>,
}

/// What the engine or the cage gives for one input.
pub(crate) struct Turn<'a> {
    me: Address,
    now: Time,
    wall: WallTime,
    /// The number of the input in the agent's life.
    number: u64,
    seed: &'a Entropy,
    entropy: Option<Entropy>,
    sender: Option<Address>,
    dialog: Option<Dialog>,
    outcome: Option<Result<&'a [u8], Failure>>,
    effects: &'a mut Vec<Effect>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        me: Address,
        seed: &'a Entropy,
        now: Time,
        wall: WallTime,
        number: u64,
        input: &'a Input<'_>,
        effects: &'a mut Vec<Effect>,
    ) -> Self {
        let (mut sender, mut dialog, mut outcome) = (None, None, None);
        match input {
            Input::Request { dialog: of, .. } => {
                sender = Some(of.asker);
                dialog = Some(*of);
            }
            Input::Notification { from, .. } => sender = Some(*from),
            Input::Resume { outcome: of, .. } => {
                outcome =
                    of.as_ref().map(|of| of.as_ref().map(AsRef::as_ref).map_err(Clone::clone));
            }
            Input::Started
            | Input::Missed { .. }
            | Input::Stopping
            | Input::Recovered
            | Input::Moving { .. }
            | Input::TakenUp(_)
            | Input::Undelivered { .. } => {}
        }
        Self { me, now, wall, number, seed, entropy: None, sender, dialog, outcome, effects }
    }
}

impl<'a, A: Agent> Cx<'a, A> {
    pub(super) const fn new(
        turn: Turn<'a>,
        book: &'a mut Book<A::Then>,
        dealings: &'a mut Lazy,
    ) -> Self {
        Self { turn, book, dealings, task: None }
    }

    /// This agent's id.
    #[must_use]
    pub const fn id(&self) -> AgentId {
        self.turn.me.agent
    }

    /// The host it lives on.
    #[must_use]
    pub const fn host(&self) -> HostId {
        self.turn.me.host
    }

    /// Where it is reached.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.turn.me
    }

    /// When this input was handled, by this host's monotonic clock.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.turn.now
    }

    /// The same by the calendar: to show to people, not to decide by.
    #[must_use]
    pub const fn wall(&self) -> WallTime {
        self.turn.wall
    }

    /// Randomness that the agent's seed and the number of this input decide.
    pub fn entropy(&mut self) -> &mut Entropy {
        let Turn { me, number, seed, entropy, .. } = &mut self.turn;
        entropy.get_or_insert_with(|| seed.fork_at(me.agent.0, *number))
    }

    /// Who sent the message in hand. What comes from a person or a program outside the mesh has
    /// the agent [`AgentId::OUTSIDE`].
    ///
    /// # Panics
    /// In handlers of other inputs than requests and notifications.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.turn.sender.expect("only requests and notifications have a sender")
    }

    /// Tells one agent. Where the notification's [`DELIVERY`](Notification::DELIVERY) is
    /// [`Durable`](Delivery::Durable), it reaches the agent exactly once, whatever host restarts
    /// meanwhile, after those told to the same host before; if it cannot, [`Agent::undelivered`]
    /// says so. Otherwise it is lost when a host goes down.
    pub fn notify<N: Notification>(&mut self, to: Address, notification: &N) {
        let (name, body) = (N::NAME.into(), encode(notification));
        self.push(match N::DELIVERY {
            Delivery::Durable => Effect::Post { to, name, body },
            _ => Effect::Notify { to, name, body },
        });
    }

    /// Says what others are to know of this agent, also when its host is gone: in its descriptor,
    /// below `fields`, in place of what it said before. Whatever `serde` writes as JSON will do.
    /// Keep what changes by the second out of it. An agent that outlives its daemon says it again when
    /// it is [recovered](Agent::recovered): the last words may not have come to the disk.
    ///
    /// Where the kind has [no descriptor](Agent::DESCRIBED) nothing comes of it; where it cannot
    /// be written, the host says so in its events.
    ///
    /// # Panics
    /// When `fields` cannot be written as JSON: a map in it has keys that are no texts, for one.
    pub fn describe(&mut self, fields: &impl Serialize) {
        let fields = serde_json::to_string(fields).expect("fields are written as JSON");
        let engine = Address { host: self.host(), agent: AgentId::ENGINE };
        self.notify(engine, &Describe(fields));
    }

    /// Says something to people who follow this agent's log; a text that is too long is cut.
    pub fn log(&mut self, level: Level, text: impl Into<String>) {
        let mut text = text.into();
        if text.len() > REASON_BYTES_MAX {
            text = text.chars().take(REASON_BYTES_MAX / 4).collect();
        }
        self.push(Effect::Log { level, text });
    }

    /// Tells all who listen to `topic`, this agent included if it does.
    pub fn publish<N: Notification>(&mut self, topic: &Topic<N>, notification: &N) {
        const {
            assert!(
                matches!(N::DELIVERY, Delivery::Hint | Delivery::Ordered),
                "what is published is a hint or ordered"
            );
        }
        let body = encode(notification);
        let topic = topic.name().clone();
        self.push(Effect::Publish { topic, delivery: N::DELIVERY, body });
    }

    /// Listens to `topic` from now on.
    pub fn listen<N: Notification>(&mut self, topic: &Topic<N>)
    where
        A: Collects<N>,
    {
        self.push(Effect::Listen { topic: topic.name().clone() });
    }

    /// Listens to `topic` no longer.
    pub fn ignore<N: Notification>(&mut self, topic: &Topic<N>) {
        self.push(Effect::Ignore { topic: topic.name().clone() });
    }

    /// Asks one agent. The reply comes back with the continuation that `then` makes; so does
    /// the news that there is none.
    ///
    /// ```ignore
    /// cx.request(room, CountHeads, |heads| Then::Counted { heads, room });
    /// ```
    pub fn request<R: Request>(
        &mut self,
        to: Address,
        request: &R,
        then: impl FnOnce(Await<R>) -> A::Then,
    ) -> WaitId {
        self.request_within(R::BUDGET, to, request, then)
    }

    /// As [`request`](Self::request), waiting for at most `budget`, which is at most
    /// [`BUDGET_MAX`].
    ///
    /// # Panics
    /// When the agent already waits for [`WAITS_PER_AGENT_MAX`] things.
    ///
    /// [`WAITS_PER_AGENT_MAX`]: starling_protocols::limits::WAITS_PER_AGENT_MAX
    pub fn request_within<R: Request>(
        &mut self,
        budget: Duration,
        to: Address,
        request: &R,
        then: impl FnOnce(Await<R>) -> A::Then,
    ) -> WaitId {
        let budget = budget.min(BUDGET_MAX);
        let body = encode(request);
        let wait = self.wait(What::Reply, self.turn.now + budget, then(Await::new()));
        self.push(Effect::Request { to, name: R::NAME.into(), body, wait, budget });
        wait
    }

    /// The outcome of the request whose continuation is being resumed.
    ///
    /// # Panics
    /// When called twice, or with an `Await` other than that of the continuation in hand.
    pub fn take<R: Request>(&mut self, _: Await<R>) -> Outcome<R::Reply> {
        let outcome = self.turn.outcome.take();
        let bytes = outcome.expect("an outcome is taken once, by the continuation it resumes")?;
        wire::decode(bytes, BODY_BYTES_MAX).map_err(|why| Failure::BadBody(why.to_string()))
    }

    /// Answers a question that was put off.
    pub fn reply<R: Request>(&mut self, to: ReplyTo<R>, reply: &R::Reply) {
        self.answer_deferred(to.dialog, encode_in(to.dialog.codec(), reply));
    }

    /// Refuses a question that was put off.
    pub fn refuse<R: Request>(&mut self, to: ReplyTo<R>, why: &str) {
        self.answer_deferred(to.dialog, Err(refused(why)));
    }

    /// Comes back with `then` after `delay`.
    ///
    /// # Panics
    /// When the agent already waits for too many things.
    pub fn after(&mut self, delay: Duration, then: A::Then) -> WaitId {
        let at = self.turn.now + delay;
        let wait = self.wait(What::Timer, at, then);
        self.push(Effect::Wake { at, wait });
        wait
    }

    /// Gives up a request or a timer: its continuation does not come. A request may have been
    /// carried out all the same. Gives the continuation back, if it was still open.
    pub fn cancel(&mut self, wait: WaitId) -> Option<A::Then> {
        let Wait { then, until, .. } = self.book.take(wait)?;
        self.push(Effect::Forget { at: until, wait });
        Some(then)
    }

    /// Begins a task that must [`end`](Self::end) within `limit`, at most [`BUDGET_MAX`];
    /// otherwise it is ended, and `expired` comes back.
    ///
    /// # Panics
    /// When the agent already waits for too many things.
    pub fn begin(&mut self, limit: Duration, expired: A::Then) -> Task {
        let at = self.turn.now + limit.min(BUDGET_MAX);
        let wait = self.wait(What::Task, at, expired);
        self.push(Effect::Wake { at, wait });
        Task(wait)
    }

    /// Whether `task` has neither ended nor expired.
    #[must_use]
    pub fn is_running(&self, task: Task) -> bool {
        self.book.get(task.0).is_some()
    }

    /// Runs `body` as a part of `task`: what it waits for, and what follows from that, is given up
    /// when the task ends. Of a task that has ended already nothing can be a part: look with
    /// [`is_running`](Self::is_running) first.
    pub fn during<T>(&mut self, task: Task, body: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.task.replace(task.0);
        let result = body(self);
        self.task = outer;
        result
    }

    /// What comes back if `task` expires, to be read and changed as long as it runs: what is
    /// collected while it lasts can stand there.
    pub fn kept(&mut self, task: Task) -> Option<&mut A::Then> {
        self.book.get_mut(task.0).map(|wait| &mut wait.then)
    }

    /// Ends `task` and gives up all that was begun during it. Nothing happens when it has ended.
    pub fn end(&mut self, task: Task) {
        self.finish(task);
    }

    /// As [`end`](Self::end), and gives back what would have come if it had expired.
    pub fn finish(&mut self, task: Task) -> Option<A::Then> {
        let then = self.cancel(task.0);
        self.end_children(task.0);
        then
    }

    /// How many requests, timers and tasks the agent waits for.
    #[must_use]
    pub fn waits(&self) -> usize {
        self.book.len()
    }

    /// Stops this agent, in good order, after this handler.
    pub fn stop(&mut self) {
        self.push(Effect::StopSelf);
    }

    fn end_children(&mut self, task: WaitId) {
        for child in self.book.of_task(task) {
            self.cancel(child);
        }
    }

    /// Goes on with what a wait of the agent's own was for.
    pub(super) fn resume(&mut self, state: &mut A, id: WaitId) {
        let Some(wait) = self.book.take(id) else { return };
        if wait.what == What::Task {
            self.end_children(id);
        } else {
            // What follows from a part of a task is a part of it too.
            self.task = wait.task;
        }
        wait.then.resume(state, self);
    }

    /// What is begun from here on in this turn is a part of this task, or of none.
    pub(super) fn go_on_with(&mut self, task: Option<WaitId>) {
        self.task = task;
    }

    /// Whether it owes so many answers.
    pub(super) fn has_deferred(&self, count: usize) -> bool {
        self.book.deferred.len() >= count
    }

    pub(super) fn defer<R: Request>(&mut self) -> ReplyTo<R> {
        ReplyTo::new(self.defer_dialog())
    }

    pub(super) fn defer_dialog(&mut self) -> Dialog {
        let dialog = self.turn.dialog.take().expect("one promise to answer per request");
        *self.book.deferred.entry(dialog).or_default() += 1;
        dialog
    }

    /// The dialog of the request in hand.
    pub(super) fn dialog(&self) -> Dialog {
        self.turn.dialog.expect("a request has a dialog")
    }

    /// The outcome of what is being resumed.
    pub(super) fn outcome(&mut self) -> Option<Result<&'a [u8], Failure>> {
        self.turn.outcome.take()
    }

    pub(super) fn answer_now<T: Serialize>(&mut self, reply: Result<&T, String>) {
        let to = self.turn.dialog.expect("a request has a dialog");
        let outcome = match reply {
            Ok(reply) => encode_in(to.codec(), reply),
            Err(why) => Err(refused(&why)),
        };
        self.push(Effect::Reply { to, outcome });
    }

    /// Strikes a question from those that have yet to be answered: nobody waits any more.
    pub(super) fn leave_unanswered(&mut self, dialog: Dialog) {
        self.book.answered(dialog);
    }

    pub(super) fn answer_deferred(&mut self, to: Dialog, outcome: Result<Vec<u8>, Failure>) {
        if self.book.answered(to) {
            self.push(Effect::Reply { to, outcome });
        }
    }

    fn wait(&mut self, what: What, until: Time, then: A::Then) -> WaitId {
        assert!(!self.book.is_full(), "an agent of kind {} waits for too much", A::KIND);
        self.book.add(Wait { then, what, until, task: self.task })
    }

    /// How many effects more this input may cause.
    pub(super) fn effects_left(&self) -> usize {
        EFFECTS_PER_INPUT_MAX - self.turn.effects.len()
    }

    pub(super) fn push(&mut self, effect: Effect) {
        let effects = self.turn.effects.len();
        assert!(effects < EFFECTS_PER_INPUT_MAX, "one input caused {effects} effects");
        self.turn.effects.push(effect);
    }
}

fn refused(why: &str) -> Failure {
    Failure::Refused(why.chars().take(REASON_BYTES_MAX / 4).collect())
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut body = Vec::with_capacity(32);
    wire::encode_into(value, &mut body).expect("messages encode");
    body
}

/// Writes a reply. Not every type has a form in JSON (a map whose keys are no texts has none):
/// whoever asks in JSON then learns why, and the agent lives on.
fn encode_in<T: Serialize>(codec: Codec, value: &T) -> Result<Vec<u8>, Failure> {
    match codec {
        Codec::Native => Ok(encode(value)),
        Codec::Json => serde_json::to_vec(value)
            .map_err(|why| refused(&format!("the reply has no form in JSON: {why}"))),
    }
}
