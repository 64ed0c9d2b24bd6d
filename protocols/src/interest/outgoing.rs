use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::TopicName;
use crate::{
    exchange::Codec,
    ident::AgentId,
    limits::{REPAIR_BYTES_MAX, REPAIR_MESSAGES_MAX, REPAIR_TOTAL_BYTES_MAX, STREAMS_OUT_MAX},
};

/// The numbering of one host's own messages, per topic, and the latest of them for repair.
#[derive(Debug, Default)]
pub struct Outgoing {
    streams: BTreeMap<TopicName, Stream>,
    /// Topics in the order of their last use, to forget the longest unused.
    order: BTreeMap<u64, TopicName>,
    /// Those uses whose topic keeps messages.
    keeping: BTreeSet<u64>,
    uses: u64,
    kept_bytes: usize,
    /// The highest number of any topic that was forgotten.
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Stream {
    /// The number of the last message.
    last: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
    used: u64,
}

/// A message kept for repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The agent that published it.
    pub from: AgentId,
    /// How the body is written.
    pub codec: Codec,
    /// The notification.
    pub body: Vec<u8>,
}

impl Kept {
    /// What it takes in memory, roughly: small messages count too.
    const fn bytes(&self) -> usize {
        size_of::<Self>() + self.body.len()
    }
}

impl Outgoing {
    /// Numbers a message on `topic` and, with `keep`, keeps it for repair. A topic's numbers
    /// begin at one, or after all numbers of topics that were forgotten.
    pub fn number(&mut self, topic: &TopicName, keep: impl FnOnce() -> Option<Kept>) -> u64 {
        self.uses += 1;
        let fresh = || Stream { last: self.forgotten, ..Stream::default() };
        let stream = self.streams.entry(topic.clone()).or_insert_with(fresh);
        self.order.remove(&stream.used);
        self.keeping.remove(&stream.used);
        stream.used = self.uses;
        stream.last += 1;
        let number = stream.last;
        let before = stream.bytes;
        stream.keep(keep());
        self.kept_bytes = self.kept_bytes + stream.bytes - before;
        if !stream.kept.is_empty() {
            self.keeping.insert(self.uses);
        }
        self.order.insert(self.uses, topic.clone());
        self.shrink();
        number
    }

    /// The number of the next message on `topic`.
    #[must_use]
    pub fn next(&self, topic: &str) -> u64 {
        self.streams.get(topic).map_or(self.forgotten, |stream| stream.last) + 1
    }

    /// The kept messages of `topic` numbered `from` up to before `until`, each with its number.
    /// What is missing at the beginning is lost.
    pub fn kept(&self, topic: &str, from: u64, until: u64) -> impl Iterator<Item = (u64, &Kept)> {
        self.streams.get(topic).into_iter().flat_map(move |stream| {
            let first = stream.last + 1 - stream.kept.len() as u64;
            let numbered = (first..).zip(&stream.kept);
            numbered.filter(move |(number, _)| (from..until).contains(number))
        })
    }

    fn shrink(&mut self) {
        while self.kept_bytes > REPAIR_TOTAL_BYTES_MAX {
            let oldest = self.keeping.pop_first().and_then(|used| self.order.get(&used));
            let Some(stream) = oldest.and_then(|topic| self.streams.get_mut(topic)) else { break };
            self.kept_bytes -= stream.forget_all();
        }
        while self.streams.len() > STREAMS_OUT_MAX {
            let Some((used, oldest)) = self.order.pop_first() else { break };
            self.keeping.remove(&used);
            if let Some(mut stream) = self.streams.remove(&oldest) {
                self.kept_bytes -= stream.forget_all();
                self.forgotten = self.forgotten.max(stream.last);
            }
        }
    }
}

impl Stream {
    /// Keeps a message and what is allowed of those before it. A message that is not kept makes
    /// all before it useless, because what is kept has consecutive numbers.
    fn keep(&mut self, kept: Option<Kept>) {
        let Some(kept) = kept else {
            self.forget_all();
            return;
        };
        self.bytes += kept.bytes();
        self.kept.push_back(kept);
        while self.kept.len() > REPAIR_MESSAGES_MAX || self.bytes > REPAIR_BYTES_MAX {
            self.bytes -= self.kept.pop_front().map_or(0, |kept| kept.bytes());
        }
    }

    fn forget_all(&mut self) -> usize {
        self.kept = VecDeque::new();
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(number: usize) -> TopicName {
        format!("t#{number}").parse().expect("a topic")
    }

    fn message(bytes: usize) -> Option<Kept> {
        Some(Kept { from: AgentId(1), codec: Codec::Native, body: vec![0; bytes] })
    }

    fn numbers(out: &Outgoing, topic: usize, from: u64, until: u64) -> Vec<u64> {
        out.kept(&format!("t#{topic}"), from, until).map(|(number, _)| number).collect()
    }

    fn check(out: &Outgoing) {
        let bytes: usize = out.streams.values().map(|stream| stream.bytes).sum();
        assert_eq!(out.kept_bytes, bytes);
        assert!(bytes <= REPAIR_TOTAL_BYTES_MAX);
        assert_eq!(out.order.len(), out.streams.len());
        let keeping = out.streams.values().filter(|stream| !stream.kept.is_empty()).count();
        assert_eq!(out.keeping.len(), keeping);
        for stream in out.streams.values() {
            let exact: usize = stream.kept.iter().map(Kept::bytes).sum();
            assert_eq!(stream.bytes, exact);
            assert!(exact <= REPAIR_BYTES_MAX && stream.kept.len() <= REPAIR_MESSAGES_MAX);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn numbers_count_up_and_caps_hold(
            ops in prop::collection::vec((0..24usize, 0..900_000usize, 0..8u8), 0..120),
        ) {
            let (mut out, mut last) = (Outgoing::default(), [0; 24]);
            for (to, bytes, kind) in ops {
                let number = out.number(&topic(to), || if kind == 0 { None } else { message(bytes) });
                last[to] += 1;
                prop_assert_eq!(number, last[to]);
                prop_assert_eq!(out.next(&format!("t#{to}")), number + 1);
                let kept = numbers(&out, to, 0, u64::MAX);
                prop_assert!(kept.is_empty() == (kind == 0));
                prop_assert!(kept.iter().rev().zip((1..=number).rev()).all(|(a, b)| *a == b));
            }
            check(&out);
        }
    }

    #[test]
    fn too_much_kept_takes_messages_but_no_numbering() {
        let mut out = Outgoing::default();
        for number in 0..40 {
            out.number(&topic(number), || message(900_000));
        }
        check(&out);
        assert_eq!(numbers(&out, 0, 0, 9), []);
        assert_eq!(out.number(&topic(0), || message(1)), 2, "it goes on");
        assert_eq!(numbers(&out, 39, 0, 9), [1]);
    }

    #[test]
    fn a_topic_that_was_forgotten_goes_on_above_what_it_had() {
        let mut out = Outgoing::default();
        for _ in 0..3 {
            out.number(&topic(0), || message(0));
        }
        for number in 1..=STREAMS_OUT_MAX {
            out.number(&topic(number), || message(0));
        }
        check(&out);
        assert_eq!(out.streams.len(), STREAMS_OUT_MAX);
        assert_eq!(out.next("t#0"), 4);
        assert_eq!(out.number(&topic(0), || message(0)), 4);
    }

    #[test]
    fn only_what_is_asked_for_and_kept_is_given() {
        let mut out = Outgoing::default();
        for _ in 0..REPAIR_MESSAGES_MAX + 10 {
            out.number(&topic(0), || message(1));
        }
        assert_eq!(numbers(&out, 0, 0, 13), [11, 12]);
        assert_eq!(numbers(&out, 0, u64::MAX, 0), []);
        assert_eq!(numbers(&out, 0, 266, u64::MAX), [266]);
        assert_eq!(numbers(&out, 1, 0, u64::MAX), []);
        assert_eq!(out.next("t#1"), 1);
    }
}
