//! Agents that say something of themselves, and one that measures how long that takes to arrive.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use starling_core::{
    agent::prelude::*,
    engine::{DescribeOn, DocumentError},
};

use super::Measured;

/// What a [`Sign`] says of itself: ten fields, so that its descriptor has fifteen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// Changes; all others stay as they are.
    pub count: u64,
    /// Some texts, numbers and switches.
    pub room: String,
    /// A text.
    pub zone: String,
    /// A text.
    pub model: String,
    /// A text.
    pub contact: String,
    /// A number.
    pub floor: i64,
    /// A number.
    pub seats: u64,
    /// A number.
    pub price: u64,
    /// A switch.
    pub is_open: bool,
    /// A switch.
    pub is_paid: bool,
}

impl Fields {
    /// All that a [`Sign`] says when it has counted so far.
    #[must_use]
    pub fn of(count: u64) -> Self {
        Self {
            count,
            room: "north hall".into(),
            zone: "building-7".into(),
            model: "sensor mk2".into(),
            contact: "desk@example".into(),
            floor: 3,
            seats: 120,
            price: 4500,
            is_open: true,
            is_paid: false,
        }
    }
}

/// Says ten fields of itself when it starts, and another count whenever it is asked to.
#[derive(Default, Serialize, Deserialize)]
pub struct Sign {
    count: u64,
}

/// Asks a [`Sign`] to say something new.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {}

impl Request for Turn {
    const NAME: &'static str = "load/turn";
    type Reply = u64;
}

impl Agent for Sign {
    const KIND: &'static str = "sign";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Turn>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        cx.describe(&Fields::of(0));
    }
}

impl Answers<Turn> for Sign {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, _: Turn) -> Answer<Turn> {
        self.count += 1;
        cx.describe(&Fields::of(self.count));
        Answer::now(self.count)
    }
}

/// Changes its descriptor again and again, each time when the last change has arrived.
#[derive(Default, Serialize, Deserialize)]
pub struct Describer {
    plan: Option<Declare>,
    reply_to: Option<ReplyTo<Declare>>,
    begun: Option<Time>,
    count: u64,
    failed: u64,
    micros: Vec<u32>,
}

/// Asks a [`Describer`] to describe itself; the reply is what it measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// How often.
    pub count: u64,
    /// How many hosts are to have each change on their disks before the next.
    pub replicas: u32,
}

impl Request for Declare {
    const NAME: &'static str = "load/declare";
    const BUDGET: Duration = Duration::from_secs(60);
    type Reply = Measured;
}

/// A change is on its way.
#[derive(Serialize, Deserialize)]
pub enum Declared {
    /// Since when.
    Arrived(Await<DescribeOn>, Time),
}

impl Agent for Describer {
    const KIND: &'static str = "describer";
    type Then = Declared;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Declare>();
    }
}

impl Answers<Declare> for Describer {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, plan: Declare) -> Answer<Declare> {
        let (answer, reply_to) = Answer::later(cx);
        let (plan, reply_to, begun) = (Some(plan), Some(reply_to), Some(cx.now()));
        *self = Self { plan, reply_to, begun, count: self.count, ..Self::default() };
        self.declare(cx);
        answer
    }
}

impl Describer {
    fn declare(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(plan) = &self.plan else { return };
        self.count += 1;
        let fields = serde_json::to_string(&Fields::of(self.count)).expect("JSON");
        let (replicas, patience) = (plan.replicas, Duration::from_secs(10));
        let (now, engine) = (cx.now(), Address { host: cx.host(), agent: AgentId::ENGINE });
        let describe = DescribeOn { fields, replicas, patience };
        cx.request(engine, &describe, |slot| Declared::Arrived(slot, now));
    }

    fn finish(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(reply_to) = self.reply_to.take() else { return };
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        self.micros
            .iter()
            .for_each(|micros| histogram.record(u64::from(*micros)).expect("it grows"));
        let measured = Measured {
            done: self.micros.len() as u64 - self.failed,
            failed: self.failed,
            seconds: cx.now().since(self.begun.unwrap_or_default()).as_secs_f64(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
        };
        cx.reply(reply_to, &measured);
    }
}

impl Continuation<Describer> for Declared {
    fn resume(self, describer: &mut Describer, cx: &mut Cx<'_, Describer>) {
        let Self::Arrived(slot, since) = self;
        let replicas: Option<Result<u32, DocumentError>> = cx.take(slot).ok();
        let wanted = describer.plan.as_ref().map(|plan| plan.replicas);
        if replicas.and_then(Result::ok) < wanted {
            describer.failed += 1;
        }
        let micros = cx.now().since(since).as_micros();
        describer.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        let done = describer.micros.len() as u64;
        if describer.plan.as_ref().is_some_and(|plan| done < plan.count) {
            describer.declare(cx);
        } else {
            describer.finish(cx);
        }
    }
}
