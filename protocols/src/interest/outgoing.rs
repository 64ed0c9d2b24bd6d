use std::collections::{BTreeMap, VecDeque};

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
    uses: u64,
    kept_bytes: usize,
}

#[derive(Debug, Default)]
struct Stream {
    next: u64,
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

impl Outgoing {
    /// Numbers a message on `topic` and, with `keep`, keeps it for repair. A topic's numbers
    /// begin at one.
    pub fn number(&mut self, topic: &TopicName, keep: impl FnOnce() -> Option<Kept>) -> u64 {
        self.touch(topic);
        let stream = self.streams.entry(topic.clone()).or_default();
        stream.next += 1;
        if let Some(kept) = keep() {
            stream.bytes += kept.body.len();
            self.kept_bytes += kept.body.len();
            stream.kept.push_back(kept);
        } else {
            self.kept_bytes -= stream.forget_all();
        }
        let number = stream.next;
        self.shrink(topic);
        number
    }

    /// The number of the next message on `topic`.
    #[must_use]
    pub fn next(&self, topic: &str) -> u64 {
        self.streams.get(topic).map_or(1, |stream| stream.next + 1)
    }

    /// The kept messages of `topic` numbered `from` up to before `until`, each with its number.
    /// What is missing at the beginning is lost.
    pub fn kept(&self, topic: &str, from: u64, until: u64) -> impl Iterator<Item = (u64, &Kept)> {
        self.streams.get(topic).into_iter().flat_map(move |stream| {
            let first = stream.next + 1 - stream.kept.len() as u64;
            let numbered = (first..).zip(&stream.kept);
            numbered.filter(move |(number, _)| (from..until).contains(number))
        })
    }

    fn touch(&mut self, topic: &TopicName) {
        self.uses += 1;
        let stream = match self.streams.get_mut(topic) {
            Some(stream) => stream,
            None => self.streams.entry(topic.clone()).or_default(),
        };
        self.order.remove(&stream.used);
        stream.used = self.uses;
        self.order.insert(self.uses, topic.clone());
    }

    fn shrink(&mut self, topic: &TopicName) {
        if let Some(stream) = self.streams.get_mut(topic) {
            while stream.kept.len() > REPAIR_MESSAGES_MAX || stream.bytes > REPAIR_BYTES_MAX {
                self.kept_bytes -= stream.forget_first();
            }
        }
        while self.kept_bytes > REPAIR_TOTAL_BYTES_MAX || self.streams.len() > STREAMS_OUT_MAX {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            if let Some(mut stream) = self.streams.remove(&oldest) {
                self.kept_bytes -= stream.forget_all();
            }
        }
    }
}

impl Stream {
    fn forget_first(&mut self) -> usize {
        let bytes = self.kept.pop_front().map_or(0, |kept| kept.body.len());
        self.bytes -= bytes;
        bytes
    }

    fn forget_all(&mut self) -> usize {
        self.kept.clear();
        std::mem::take(&mut self.bytes)
    }
}
