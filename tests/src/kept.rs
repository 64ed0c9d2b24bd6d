//! Agents for the tests of the journal: a pair that keeps count of durable letters, one that panics,
//! one that waits, and one that is not deterministic.
//!
//! Journals of some of them are kept in `tests/journals` and replayed for ever after: what they do
//! must not change. An agent that should do something else gets a kind of its own.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

/// Posts [`Deposit`]s, numbered, and remembers how many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Depositor {
    posted: u64,
    undelivered: u64,
}

/// Asks a [`Depositor`] to post some; the reply is how many it has posted in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// To whom.
    pub to: Address,
    /// How many.
    pub count: u64,
}

/// A durable letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// Its number, from one.
    pub number: u64,
}

/// Counts [`Deposit`]s, and looks whether each comes once and in its turn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Teller {
    count: u64,
    last: u64,
    out_of_turn: u64,
}

/// Asks a [`Teller`] how it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {}

/// How a [`Teller`] stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Deposits.
    pub count: u64,
    /// The number of the last.
    pub last: u64,
    /// Deposits that did not have the number after the one before.
    pub out_of_turn: u64,
}

impl Request for Pay {
    const NAME: &'static str = "kept/pay";
    type Reply = u64;
}

impl Notification for Deposit {
    const NAME: &'static str = "kept/deposit";
    const DELIVERY: Delivery = Delivery::Durable;
}

impl Request for Balance {
    const NAME: &'static str = "kept/balance";
    type Reply = Standing;
}

impl Agent for Depositor {
    const KIND: &'static str = "depositor";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Pay>();
    }

    fn undelivered(&mut self, _: &mut Cx<'_, Self>, _: &Undelivered<'_>) {
        self.undelivered += 1;
    }
}

impl Answers<Pay> for Depositor {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Pay { to, count }: Pay) -> Answer<Pay> {
        for _ in 0..count {
            self.posted += 1;
            cx.notify(to, &Deposit { number: self.posted });
        }
        Answer::now(self.posted)
    }
}

impl Agent for Teller {
    const KIND: &'static str = "teller";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Balance>();
        interests.collects::<Deposit>();
    }
}

impl Collects<Deposit> for Teller {
    fn collect(&mut self, _: &mut Cx<'_, Self>, Deposit { number }: Deposit) {
        self.count += 1;
        self.out_of_turn += u64::from(number != self.last + 1);
        self.last = number;
    }
}

impl Answers<Balance> for Teller {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Balance {}: Balance) -> Answer<Balance> {
        let Self { count, last, out_of_turn } = *self;
        Answer::now(Standing { count, last, out_of_turn })
    }
}

/// Panics when its spark is lit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fuse {
    tried: u64,
}

/// Tries a [`Fuse`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Light {
    /// Whether it blows.
    pub spark: bool,
}

impl Request for Light {
    const NAME: &'static str = "kept/light";
    type Reply = u64;
}

impl Agent for Fuse {
    const KIND: &'static str = "fuse";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Light>();
    }
}

impl Answers<Light> for Fuse {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Light { spark }: Light) -> Answer<Light> {
        self.tried += 1;
        assert!(!spark, "the fuse blew at try {}", self.tried);
        Answer::now(self.tried)
    }
}

/// Ticks so many times, and rolls a die each time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Clockwork {
    ticks: u64,
    rolled: Vec<u64>,
}

/// Winds a [`Clockwork`] up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wind {
    /// How often it ticks.
    pub ticks: u64,
    /// How long it waits before each.
    pub every_ms: u64,
}

impl Request for Wind {
    const NAME: &'static str = "kept/wind";
    type Reply = ();
}

/// What a [`Clockwork`] waits for.
#[derive(Serialize, Deserialize)]
pub struct Tick {
    left: u64,
    every: Duration,
}

impl Agent for Clockwork {
    const KIND: &'static str = "clockwork";
    type Then = Tick;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Wind>();
    }
}

impl Answers<Wind> for Clockwork {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, wind: Wind) -> Answer<Wind> {
        let every = Duration::from_millis(wind.every_ms);
        cx.after(every, Tick { left: wind.ticks, every });
        Answer::now(())
    }
}

impl Continuation<Clockwork> for Tick {
    fn resume(self, clockwork: &mut Clockwork, cx: &mut Cx<'_, Clockwork>) {
        clockwork.ticks += 1;
        clockwork.rolled.push(cx.entropy().u64() % 6 + 1);
        if let Some(left) = self.left.checked_sub(1).filter(|left| *left > 0) {
            cx.after(self.every, Self { left, ..self });
        }
    }
}

/// Not deterministic: from its third draw on, it draws from what is outside its state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fickle {
    drawn: u64,
}

/// Asks a [`Fickle`] for a number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {}

impl Request for Draw {
    const NAME: &'static str = "kept/draw";
    type Reply = u64;
}

impl Agent for Fickle {
    const KIND: &'static str = "fickle";
    const VERSION: u32 = 3;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Draw>();
    }
}

static DRAWS: AtomicU64 = AtomicU64::new(1000);

impl Answers<Draw> for Fickle {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Draw {}: Draw) -> Answer<Draw> {
        self.drawn += 1;
        let outside = DRAWS.fetch_add(1, Ordering::Relaxed);
        Answer::now(if self.drawn > 2 { outside } else { self.drawn })
    }
}

/// The stock kinds and those of this module.
#[must_use]
pub fn kinds() -> starling_node::Kinds {
    starling_node::stock()
        .kind::<Depositor>()
        .kind::<Teller>()
        .kind::<Fuse>()
        .kind::<Clockwork>()
        .kind::<Fickle>()
}
