use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

use super::{Do, How};

/// Questions under way at once, beyond which it asks no further ones.
const OPEN_MAX: usize = 64;

/// Asks workers on other hosts, now and then, and remembers what came of each question.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Caller {
    /// Whom it asks.
    pub whom: Vec<Address>,
    /// How long it waits between two questions, at most, in milliseconds.
    pub pace_ms: u32,
    /// It asks nothing any more.
    pub resting: bool,
    /// What came of each question, by its number.
    pub came: BTreeMap<u64, Came>,
    /// Numbers of which something came a second time.
    pub twice: Vec<u64>,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// Nothing yet.
    Open,
    /// The reply.
    Done,
    /// A no of the worker.
    Refused,
    /// "It was not carried out."
    NotDone,
    /// "It may or may not have been carried out."
    Unknown,
    /// A reply to something else.
    Wrong,
}

/// Tells a caller or a crier to rest: the reply is how much it has asked or said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {}

impl Request for Rest {
    const NAME: &'static str = "sim/rest";
    type Reply = u64;
}

/// What a caller waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// It is time for the next question.
    Next,
    /// An answer.
    Answered(Await<Do>, u64),
}

impl Agent for Caller {
    const KIND: &'static str = "sim-caller";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.pause(cx);
    }
}

impl Answers<Rest> for Caller {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        Answer::now(self.came.len() as u64)
    }
}

impl Caller {
    fn pause(&self, cx: &mut Cx<'_, Self>) {
        let pace = Duration::from_millis(u64::from(self.pace_ms.max(1)));
        let pause = cx.entropy().jitter(pace);
        cx.after(pause, Then::Next);
    }

    fn ask(&mut self, cx: &mut Cx<'_, Self>) {
        let open = self.came.values().filter(|came| **came == Came::Open).count();
        if self.whom.is_empty() || open >= OPEN_MAX {
            return;
        }
        let entropy = cx.entropy();
        let number = entropy.u64();
        let place = entropy.below(self.whom.len() as u64);
        let whom = usize::try_from(place).map(|place| self.whom[place]);
        let how = match entropy.below(10) {
            0 => How::No,
            1..4 => How::Later(u32::try_from(entropy.below(3000)).unwrap_or_default()),
            _ => How::Now,
        };
        let budget = Duration::from_millis(500 + entropy.below(14_500));
        if let Ok(whom) = whom {
            self.came.insert(number, Came::Open);
            let answered = |slot| Then::Answered(slot, number);
            cx.request_within(budget, whom, &Do { number, how }, answered);
        }
    }
}

impl Continuation<Caller> for Then {
    fn resume(self, caller: &mut Caller, cx: &mut Cx<'_, Caller>) {
        match self {
            Self::Next if caller.resting => {}
            Self::Next => {
                caller.ask(cx);
                caller.pause(cx);
            }
            Self::Answered(slot, number) => {
                let came = match cx.take(slot) {
                    Ok(reply) if reply == number => Came::Done,
                    Ok(_) => Came::Wrong,
                    Err(Failure::Refused(_)) => Came::Refused,
                    Err(Failure::Gone | Failure::TimedOut) => Came::Unknown,
                    Err(_) => Came::NotDone,
                };
                if caller.came.insert(number, came) != Some(Came::Open) {
                    caller.twice.push(number);
                }
            }
        }
    }
}
