use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

use super::Rest;

/// Mistakes that are kept, so that a broken mesh does not fill the memory.
const WRONG_MAX: usize = 16;

/// Says a word to all, now and then, each with the next number; and follows the numbers of all
/// others.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Crier {
    /// How long it waits between two words, at most, in milliseconds.
    pub pace_ms: u32,
    /// Every so many words, a whisper goes with it; never when zero.
    pub whisper_every: u64,
    /// It says nothing any more.
    pub resting: bool,
    /// Names its life.
    pub life: u64,
    /// The number of its last word.
    pub said: u64,
    /// What it heard of whom.
    pub heard: Vec<Stream>,
    /// Words that it was told are lost.
    pub missed: u64,
    /// The same of whispers.
    pub whispers_heard: Vec<Stream>,
    /// Whispers that it was told are lost.
    pub whispers_missed: u64,
    /// What should never come, in words.
    pub wrong: Vec<String>,
}

/// What was heard of one life of one crier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Whose words.
    pub of: HostId,
    /// Of which of its lives.
    pub life: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// Numbers between them that never came.
    pub skipped: u64,
}

/// What a crier says to all, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The crier's life.
    pub life: u64,
    /// Which word of that life.
    pub number: u64,
}

impl Notification for Word {
    const NAME: &'static str = "sim/word";
}

/// What a crier says by the way: it may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whisper {
    /// The crier's life.
    pub life: u64,
    /// Which whisper of that life.
    pub number: u64,
}

impl Notification for Whisper {
    const NAME: &'static str = "sim/whisper";
    const DELIVERY: Delivery = Delivery::Hint;
}

/// What a crier waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// It is time for the next word.
    Next,
}

impl Agent for Crier {
    const KIND: &'static str = "sim-crier";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
        interests.listens::<Word>(Scope::Mesh);
        interests.listens::<Whisper>(Scope::Mesh);
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.life = cx.entropy().u64();
        self.pause(cx);
    }
}

impl Crier {
    fn pause(&self, cx: &mut Cx<'_, Self>) {
        let pace = Duration::from_millis(u64::from(self.pace_ms.max(1)));
        let pause = cx.entropy().jitter(pace);
        cx.after(pause, Then::Next);
    }

    fn say(&mut self, cx: &mut Cx<'_, Self>) {
        self.said += 1;
        let (life, number) = (self.life, self.said);
        cx.publish(&Topic::all(), &Word { life, number });
        if self.whisper_every > 0 && number.is_multiple_of(self.whisper_every) {
            let number = number / self.whisper_every;
            cx.publish(&Topic::all(), &Whisper { life, number });
        }
    }

    fn complain(&mut self, what: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }
}

/// Notes a number. Gives what is wrong with it, if anything is.
fn follow(streams: &mut Vec<Stream>, of: HostId, life: u64, number: u64) -> Option<String> {
    let known = streams.iter_mut().find(|stream| stream.of == of && stream.life == life);
    let Some(stream) = known else {
        streams.push(Stream { of, life, first: number, last: number, skipped: 0 });
        return None;
    };
    if number <= stream.last {
        return Some(format!("number {number} of {} came after {}", of.short(), stream.last));
    }
    stream.skipped += number - stream.last - 1;
    stream.last = number;
    None
}

impl Answers<Rest> for Crier {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        Answer::now(self.said)
    }
}

impl Collects<Word> for Crier {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Word { life, number }: Word) {
        let of = cx.sender().host;
        if let Some(wrong) = follow(&mut self.heard, of, life, number) {
            self.complain(wrong);
        }
    }
    fn missed(&mut self, _: &mut Cx<'_, Self>, _: &Topic<Word>, count: u64) {
        self.missed += count;
    }
}

impl Collects<Whisper> for Crier {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Whisper { life, number }: Whisper) {
        let of = cx.sender().host;
        if let Some(wrong) = follow(&mut self.whispers_heard, of, life, number) {
            self.complain(format!("a whisper: {wrong}"));
        }
    }
    fn missed(&mut self, _: &mut Cx<'_, Self>, _: &Topic<Whisper>, count: u64) {
        self.whispers_missed += count;
    }
}

impl Continuation<Crier> for Then {
    fn resume(self, crier: &mut Crier, cx: &mut Cx<'_, Crier>) {
        let Self::Next = self;
        if !crier.resting {
            crier.say(cx);
            crier.pause(cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_go_back_are_wrong_and_gaps_are_counted() {
        let mut streams = Vec::new();
        let of = HostId([7; 32]);
        for number in [3, 4, 7] {
            assert_eq!(follow(&mut streams, of, 1, number), None);
        }
        assert!(follow(&mut streams, of, 1, 7).is_some());
        assert_eq!(follow(&mut streams, of, 2, 1), None, "another life begins anew");
        let first = Stream { of, life: 1, first: 3, last: 7, skipped: 2 };
        assert_eq!(streams[0], first);
    }
}
