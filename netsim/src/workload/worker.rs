use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

/// Does what it is asked, and remembers what it has done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Worker {
    /// The numbers of what it was asked to do and did.
    pub done: BTreeSet<u64>,
    /// Numbers that came a second time.
    pub twice: Vec<u64>,
    /// Answers it has put off.
    #[serde(default)]
    owed: Vec<(u64, ReplyTo<Do>)>,
}

/// Asks a [`Worker`] to do something; the reply is the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Do {
    /// Differs from that of every other question.
    pub number: u64,
    /// How it is to answer.
    pub how: How,
}

/// How a [`Worker`] is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// At once.
    Now,
    /// After so many milliseconds.
    Later(u32),
    /// With a no. It counts as done all the same: the handler ran.
    No,
}

impl Request for Do {
    const NAME: &'static str = "sim/do";
    type Reply = u64;
}

/// What a worker waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// It is time to answer.
    Answer(u64),
}

impl Agent for Worker {
    const KIND: &'static str = "sim-worker";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Do>();
    }
}

impl Answers<Do> for Worker {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Do { number, how }: Do) -> Answer<Do> {
        if !self.done.insert(number) {
            self.twice.push(number);
        }
        match how {
            How::Now => Answer::now(number),
            How::No => Answer::refuse("as it was asked"),
            How::Later(millis) => {
                let (answer, reply_to) = Answer::later(cx);
                self.owed.push((number, reply_to));
                cx.after(Duration::from_millis(u64::from(millis)), Then::Answer(number));
                answer
            }
        }
    }
}

impl Continuation<Worker> for Then {
    fn resume(self, worker: &mut Worker, cx: &mut Cx<'_, Worker>) {
        let Self::Answer(number) = self;
        if let Some(place) = worker.owed.iter().position(|(owed, _)| *owed == number) {
            let (_, reply_to) = worker.owed.remove(place);
            cx.reply(reply_to, &number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_later_and_notes_what_comes_twice() {
        let mut cage = Cage::new(Worker::default());
        cage.ask(Do { number: 7, how: How::Later(5) });
        assert_eq!(cage.advance(Duration::from_millis(5)), [Effect::reply(&7u64)]);
        cage.ask(Do { number: 7, how: How::Now });
        assert_eq!(cage.state().twice, [7]);
        cage.replay();
    }
}
