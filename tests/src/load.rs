//! Agents that make load, and measure what becomes of it. The benchmarks start them.

pub mod described;
pub mod negotiation;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use starling_core::{
    agent::prelude::*,
    engine::{Start, StartAgent, StopAgent},
};

/// Answers with what it is sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Mirror {}

/// Asks a [`Mirror`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reflect(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Request for Reflect {
    const NAME: &'static str = "load/reflect";
    type Reply = Reflect;
}

impl Agent for Mirror {
    const KIND: &'static str = "mirror";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Reflect>();
    }
}

impl Answers<Reflect> for Mirror {
    fn answer(&mut self, _: &mut Cx<'_, Self>, reflect: Reflect) -> Answer<Reflect> {
        Answer::now(reflect)
    }
}

/// A [`Mirror`] that outlives its daemon: it counts what it has answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Vault {
    count: u64,
}

impl Agent for Vault {
    const KIND: &'static str = "vault";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Reflect>();
    }
}

impl Answers<Reflect> for Vault {
    fn answer(&mut self, _: &mut Cx<'_, Self>, reflect: Reflect) -> Answer<Reflect> {
        self.count += 1;
        Answer::now(reflect)
    }
}

/// Keeps a number of requests open to a [`Mirror`], and counts.
#[derive(Default, Serialize, Deserialize)]
pub struct Load {
    plan: Option<Run>,
    reply_to: Option<ReplyTo<Run>>,
    begun: Option<Time>,
    sent: u64,
    done: u64,
    failed: u64,
    micros: Vec<u32>,
}

/// Asks a [`Load`] to make load; the reply is what it measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Whom to ask.
    pub to: Address,
    /// How many requests to keep open.
    pub outstanding: u64,
    /// How many requests to make.
    pub count: u64,
    /// How many bytes each carries.
    pub bytes: usize,
}

impl Request for Run {
    const NAME: &'static str = "load/run";
    const BUDGET: Duration = Duration::from_secs(60);
    type Reply = Measured;
}

/// What came of a [`Run`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Requests answered.
    pub done: u64,
    /// Requests not answered.
    pub failed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Half of the requests took less, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 requests took less, in microseconds.
    pub p99_us: u64,
}

/// A request is open.
#[derive(Serialize, Deserialize)]
pub enum Then {
    /// Since when.
    Reflected(Await<Reflect>, Time),
}

impl Agent for Load {
    const KIND: &'static str = "load";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Run>();
    }
}

impl Answers<Run> for Load {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, run: Run) -> Answer<Run> {
        let (answer, reply_to) = Answer::later(cx);
        let outstanding = run.outstanding;
        *self = Self {
            plan: Some(run),
            reply_to: Some(reply_to),
            begun: Some(cx.now()),
            ..Self::default()
        };
        (0..outstanding).for_each(|_| self.send(cx));
        answer
    }
}

impl Load {
    fn send(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(plan) = self.plan.as_ref().filter(|plan| self.sent < plan.count) else { return };
        self.sent += 1;
        let (now, body) = (cx.now(), Reflect(vec![7; plan.bytes]));
        cx.request(plan.to, &body, |slot| Then::Reflected(slot, now));
    }

    fn finish(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(reply_to) = self.reply_to.take() else { return };
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        self.micros
            .iter()
            .for_each(|micros| histogram.record(u64::from(*micros)).expect("it grows"));
        let seconds = cx.now().since(self.begun.unwrap_or_default()).as_secs_f64();
        let measured = Measured {
            done: self.done,
            failed: self.failed,
            seconds,
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
        };
        cx.reply(reply_to, &measured);
    }
}

impl Continuation<Load> for Then {
    fn resume(self, load: &mut Load, cx: &mut Cx<'_, Load>) {
        let Self::Reflected(slot, since) = self;
        match cx.take(slot) {
            Ok(_) => load.done += 1,
            Err(_) => load.failed += 1,
        }
        let micros = cx.now().since(since).as_micros();
        load.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        load.send(cx);
        if load.plan.as_ref().is_some_and(|plan| load.done + load.failed == plan.count) {
            load.finish(cx);
        }
    }
}

/// A small agent, to be started by the hundred thousand.
#[derive(Default, Serialize, Deserialize)]
pub struct Idle {
    /// Its whole state.
    pub value: u64,
}

impl Agent for Idle {
    const KIND: &'static str = "idle";
    type Then = Never;
    fn interests(_: &mut Interests<Self>) {}
}

/// Tells another, and counts what it is told.
#[derive(Default, Serialize, Deserialize)]
pub struct Herald {
    /// Messages heard.
    pub heard: u64,
}

/// A message.
#[derive(Serialize, Deserialize)]
pub struct News(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Notification for News {
    const NAME: &'static str = "load/news";
}

/// Asks a [`Herald`] to tell somebody.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proclaim {
    /// Whom.
    pub to: Address,
    /// How many messages.
    pub count: u64,
    /// How many bytes each carries.
    pub bytes: usize,
}

impl Request for Proclaim {
    const NAME: &'static str = "load/proclaim";
    type Reply = ();
}

/// Asks a [`Herald`] how many messages it has heard.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {}

impl Request for Heard {
    const NAME: &'static str = "load/heard";
    type Reply = u64;
}

impl Agent for Herald {
    const KIND: &'static str = "herald";
    const MAILBOX: u32 = 1 << 20;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Proclaim>();
        interests.answers::<Heard>();
        interests.collects::<News>();
    }
}

impl Answers<Proclaim> for Herald {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, run: Proclaim) -> Answer<Proclaim> {
        for _ in 0..run.count {
            cx.notify(run.to, &News(vec![7; run.bytes]));
        }
        Answer::now(())
    }
}

impl Answers<Heard> for Herald {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Heard) -> Answer<Heard> {
        Answer::now(self.heard)
    }
}

impl Collects<News> for Herald {
    fn collect(&mut self, _: &mut Cx<'_, Self>, _: News) {
        self.heard += 1;
    }
}

/// Starts and stops [`Idle`] agents, or others.
#[derive(Default, Serialize, Deserialize)]
pub struct Nursery {
    kind: Option<String>,
    children: Vec<AgentId>,
    todo: u64,
    open: u64,
    reply_to: Option<ReplyTo<Spawn>>,
    emptied: Option<ReplyTo<Empty>>,
}

/// Asks a [`Nursery`] for this many more children.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spawn {
    /// How many.
    pub count: u64,
    /// Of which kind; [`Idle`] when absent.
    #[serde(default)]
    pub kind: Option<String>,
}

impl Request for Spawn {
    const NAME: &'static str = "load/spawn";
    const BUDGET: Duration = Duration::from_secs(60);
    type Reply = u64;
}

/// Asks a [`Nursery`] to stop all its children.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl Request for Empty {
    const NAME: &'static str = "load/empty";
    const BUDGET: Duration = Duration::from_secs(60);
    type Reply = u64;
}

/// A child is being started or stopped.
#[derive(Serialize, Deserialize)]
pub enum Birth {
    /// It is being started.
    Started(Await<StartAgent>),
    /// It is being stopped.
    Stopped(Await<StopAgent>),
}

impl Agent for Nursery {
    const KIND: &'static str = "nursery";
    type Then = Birth;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Spawn>();
        interests.answers::<Empty>();
    }
}

/// Births under way at once.
const BIRTHS_MAX: u64 = 512;

impl Nursery {
    fn engine(cx: &Cx<'_, Self>) -> Address {
        Address { host: cx.host(), agent: AgentId::ENGINE }
    }

    fn next(&mut self, cx: &mut Cx<'_, Self>) {
        while self.todo > 0 && self.open < BIRTHS_MAX {
            self.todo -= 1;
            self.open += 1;
            let engine = Self::engine(cx);
            if self.emptied.is_some() {
                let Some(child) = self.children.pop() else { return };
                cx.request(engine, &StopAgent(child), Birth::Stopped);
            } else {
                let kind = self.kind.clone().unwrap_or_else(|| Idle::KIND.into());
                let start = Start { kind, ..Start::default() };
                cx.request(engine, &StartAgent(start), Birth::Started);
            }
        }
        if self.todo + self.open == 0 {
            let children = self.children.len() as u64;
            if let Some(to) = self.reply_to.take() {
                cx.reply(to, &children);
            }
            if let Some(to) = self.emptied.take() {
                cx.reply(to, &children);
            }
        }
    }
}

impl Answers<Spawn> for Nursery {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, spawn: Spawn) -> Answer<Spawn> {
        let (answer, reply_to) = Answer::later(cx);
        (self.reply_to, self.todo, self.kind) = (Some(reply_to), spawn.count, spawn.kind);
        self.next(cx);
        answer
    }
}

impl Answers<Empty> for Nursery {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Empty {}: Empty) -> Answer<Empty> {
        let (answer, reply_to) = Answer::later(cx);
        (self.emptied, self.todo) = (Some(reply_to), self.children.len() as u64);
        self.next(cx);
        answer
    }
}

impl Continuation<Nursery> for Birth {
    fn resume(self, nursery: &mut Nursery, cx: &mut Cx<'_, Nursery>) {
        nursery.open -= 1;
        match self {
            Self::Started(slot) => nursery.children.extend(cx.take(slot).ok().and_then(Result::ok)),
            Self::Stopped(slot) => {
                let _ = cx.take(slot);
            }
        }
        nursery.next(cx);
    }
}

/// Publishes to [`Listener`]s and waits until all have confirmed: one message at a time, or all in
/// a burst.
#[derive(Default, Serialize, Deserialize)]
pub struct Crier {
    plan: Option<Cry>,
    reply_to: Option<ReplyTo<Cry>>,
    begun: Option<Time>,
    since: Option<Time>,
    sent: u64,
    confirmed: u64,
    missing: u64,
    micros: Vec<u32>,
}

/// Asks a [`Crier`] to publish; the reply is what it measured.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cry {
    /// How many listeners there are.
    pub listeners: u64,
    /// How many messages.
    pub count: u64,
    /// Whether all at once. Then a listener confirms the last only.
    #[serde(default)]
    pub burst: bool,
}

impl Request for Cry {
    const NAME: &'static str = "load/cry";
    const BUDGET: Duration = Duration::from_secs(60);
    type Reply = Measured;
}

/// A message to be confirmed.
#[derive(Serialize, Deserialize)]
pub struct Called {
    /// Its number.
    pub number: u64,
    /// Whether to confirm it.
    pub confirm: bool,
    /// What makes it as long as others' messages.
    #[serde(with = "serde_bytes")]
    pub filler: Vec<u8>,
}

impl Notification for Called {
    const NAME: &'static str = "load/called";
}

/// A listener has heard a message.
#[derive(Serialize, Deserialize)]
pub struct Confirmed {
    /// The message's number.
    pub number: u64,
    /// Messages before it that it has not heard.
    pub missing: u64,
}

impl Notification for Confirmed {
    const NAME: &'static str = "load/confirmed";
}

/// Confirms what a [`Crier`] publishes.
#[derive(Default, Serialize, Deserialize)]
pub struct Listener {
    heard: u64,
    last: u64,
}

impl Agent for Crier {
    const KIND: &'static str = "crier";
    const MAILBOX: u32 = 1 << 20;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Cry>();
        interests.collects::<Confirmed>();
    }
}

impl Answers<Cry> for Crier {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, cry: Cry) -> Answer<Cry> {
        let (answer, reply_to) = Answer::later(cx);
        let burst = if cry.burst { cry.count } else { 1 };
        *self = Self { plan: Some(cry), reply_to: Some(reply_to), ..Self::default() };
        self.begun = Some(cx.now());
        (1..=burst).for_each(|place| self.call(cx, place == burst));
        answer
    }
}

impl Crier {
    fn call(&mut self, cx: &mut Cx<'_, Self>, confirm: bool) {
        self.since = Some(cx.now());
        self.sent += 1;
        self.confirmed = 0;
        let called = Called { number: self.sent, confirm, filler: vec![7; 112] };
        cx.publish(&Topic::all(), &called);
    }

    fn finish(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(reply_to) = self.reply_to.take() else { return };
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        self.micros
            .iter()
            .for_each(|micros| histogram.record(u64::from(*micros)).expect("it grows"));
        let measured = Measured {
            done: self.sent,
            failed: self.missing,
            seconds: cx.now().since(self.begun.unwrap_or_default()).as_secs_f64(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
        };
        cx.reply(reply_to, &measured);
    }
}

impl Collects<Confirmed> for Crier {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Confirmed { number, missing }: Confirmed) {
        let Some(plan) = self.plan.as_ref().filter(|_| number == self.sent) else { return };
        self.confirmed += 1;
        self.missing += missing;
        if self.confirmed < plan.listeners {
            return;
        }
        let micros = cx.now().since(self.since.unwrap_or_default()).as_micros();
        self.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        if self.sent == plan.count { self.finish(cx) } else { self.call(cx, true) }
    }
}

impl Agent for Listener {
    const KIND: &'static str = "listener";
    const MAILBOX: u32 = 1 << 20;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.listens::<Called>(Scope::Mesh);
    }
}

impl Collects<Called> for Listener {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, called: Called) {
        // Number zero only shows that the interest has arrived.
        if called.number == 0 {
            return;
        }
        if called.number <= self.last {
            (self.heard, self.last) = (0, 0);
        }
        self.heard += 1;
        self.last = called.number;
        if called.confirm {
            let missing = self.last - self.heard;
            cx.notify(cx.sender(), &Confirmed { number: called.number, missing });
        }
    }
}

/// All kinds of this module.
#[must_use]
pub fn kinds() -> starling_node::Kinds {
    crate::company::kinds(crate::deals::kinds(crate::kept::kinds()))
        .kind::<crate::auction::Seller>()
        .kind::<crate::auction::Bidder>()
        .kind::<Mirror>()
        .kind::<Vault>()
        .kind::<Load>()
        .kind::<Idle>()
        .kind::<Herald>()
        .kind::<Nursery>()
        .kind::<Crier>()
        .kind::<Listener>()
        .kind::<negotiation::Announcer>()
        .kind::<negotiation::Worker>()
        .kind::<described::Sign>()
        .kind::<described::Describer>()
}
