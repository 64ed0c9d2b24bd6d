use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

use super::TopicName;
use crate::{
    exchange::Codec,
    ident::{AgentId, HostId, Incarnation},
    limits::{
        REORDER_BYTES_MAX, REORDER_MESSAGES_MAX, REORDER_TOTAL_BYTES_MAX, REPAIR_TIMEOUT,
        STREAMS_IN_MAX,
    },
    time::{Deadlines, Time},
};

/// The number of an origin's first message on a topic.
const FIRST: u64 = 1;

/// Follows the numbers of other hosts' topic messages: each is delivered once and in order.
///
/// A stream begins with the first message seen of it: there is no catching up for late listeners.
/// Who has followed an origin into its next life is not late: that stream begins at number one.
#[derive(Debug, Default)]
pub struct Incoming {
    /// By topic first, so that forgetting one does not look at all the others.
    keys: BTreeMap<(TopicName, HostId), u64>,
    streams: BTreeMap<u64, Stream>,
    made: u64,
    gaps: Deadlines<u64>,
    /// What all streams hold back.
    held_bytes: usize,
}

#[derive(Debug)]
struct Stream {
    origin: HostId,
    topic: TopicName,
    incarnation: Incarnation,
    /// The number of the next message to deliver.
    next: u64,
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    gap_until: Option<Time>,
    /// Everything missing below this number has been asked for.
    asked_until: u64,
}

/// A message that waits for those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    from: AgentId,
    codec: Codec,
    body: Vec<u8>,
}

impl Held {
    /// What it takes in memory, roughly: small messages count too.
    const fn bytes(&self) -> usize {
        size_of::<(u64, Self)>() + self.body.len()
    }
}

/// What is to be delivered to the listeners on this host, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The message that was just handed in: the caller still has it.
    ThisOne,
    /// A message that had been held back.
    Message {
        /// The agent that published it.
        from: AgentId,
        /// How the body is written.
        codec: Codec,
        /// The notification.
        body: Vec<u8>,
    },
    /// Messages that cannot be had any more.
    Gap {
        /// How many.
        missed: u64,
    },
}

/// What to ask the origin for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The first missing number.
    pub from: u64,
    /// The number after the last missing one.
    pub until: u64,
}

impl Incoming {
    /// A message arrived. `held` is called when it must wait for others.
    pub fn arrived(
        &mut self,
        origin: (HostId, Incarnation),
        topic: &TopicName,
        sequence: u64,
        held: impl FnOnce() -> (AgentId, Codec, Vec<u8>),
        now: Time,
    ) -> (VecDeque<Arrival>, Option<Repair>) {
        let mut out = VecDeque::new();
        let Some(id) = self.follow(origin, topic, sequence, &mut out) else { return (out, None) };
        let crowded = self.held_bytes >= REORDER_TOTAL_BYTES_MAX;
        self.change(id, |stream| stream.arrived(sequence, held, crowded, &mut out));
        let repair = self.settle(id, now);
        (out, repair)
    }

    /// A message of a topic that is not repaired arrived: it is delivered unless it is old.
    /// Gives whether to deliver it and how many before it were missed.
    ///
    /// Where an origin mixes both deliveries on one topic, a hint ends the wait for what is
    /// before it; what was held back until then counts as missed.
    pub fn hinted(
        &mut self,
        origin: (HostId, Incarnation),
        topic: &TopicName,
        sequence: u64,
    ) -> Option<u64> {
        let mut before = VecDeque::new();
        let id = self.follow(origin, topic, sequence, &mut before)?;
        let missed = self.change(id, |stream| stream.jump(sequence))??;
        self.close(id);
        Some(before.iter().map(Arrival::messages).fold(missed, u64::saturating_add))
    }

    /// The origin says what number its next message will have.
    pub fn tail(
        &mut self,
        (origin, incarnation): (HostId, Incarnation),
        topic: &TopicName,
        next: u64,
        now: Time,
    ) -> Option<Repair> {
        let id = *self.keys.get(&(topic.clone(), origin))?;
        let stream = self.streams.get_mut(&id)?;
        let from = stream.first_unasked();
        if stream.incarnation != incarnation || from >= next {
            return None;
        }
        stream.asked_until = next;
        self.extend(id, now);
        Some(Repair { from, until: next })
    }

    /// The origin cannot send what is before `until` again.
    pub fn lost(
        &mut self,
        (origin, incarnation): (HostId, Incarnation),
        topic: &TopicName,
        until: u64,
        now: Time,
    ) -> (VecDeque<Arrival>, Option<Repair>) {
        let mut out = VecDeque::new();
        let Some(id) = self.keys.get(&(topic.clone(), origin)).copied() else {
            return (out, None);
        };
        self.change(id, |stream| {
            // Only what was asked for can be lost: nobody else's word skips messages.
            if stream.incarnation == incarnation && until <= stream.asked_until {
                stream.skip_to(until, &mut out);
            }
        });
        let repair = self.settle(id, now);
        (out, repair)
    }

    /// Gives up the next gap that has been open too long: its stream's origin and topic, and what
    /// is to be delivered.
    pub fn give_up(&mut self, now: Time) -> Option<(HostId, TopicName, VecDeque<Arrival>)> {
        let id = self.gaps.pop(now)?;
        let mut out = VecDeque::new();
        self.change(id, |stream| {
            stream.gap_until = None;
            stream.skip(&mut out);
        })?;
        let stream = self.streams.get(&id)?;
        Some((stream.origin, stream.topic.clone(), out))
    }

    /// When the next gap is given up.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.gaps.next()
    }

    /// Nobody here listens to `topic` any more.
    pub fn forget(&mut self, topic: &TopicName) {
        let keys = self.keys.range((topic.clone(), HostId([0; 32]))..);
        let of_topic = keys.take_while(|((of, _), _)| of == topic);
        let ids: Vec<u64> = of_topic.map(|(_, id)| *id).collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    /// The stream of a message; `None` when the message is of no use. What an earlier life of
    /// the origin still owes goes to `out`.
    fn follow(
        &mut self,
        (origin, incarnation): (HostId, Incarnation),
        topic: &TopicName,
        sequence: u64,
        out: &mut VecDeque<Arrival>,
    ) -> Option<u64> {
        if sequence == u64::MAX {
            return None; // No number comes after it, so nothing could ever be in order again.
        }
        let key = (topic.clone(), origin);
        let mut next = sequence;
        if let Some(id) = self.keys.get(&key).copied() {
            match self.streams.get(&id)?.incarnation.cmp(&incarnation) {
                Ordering::Equal => return Some(id),
                Ordering::Greater => return None,
                Ordering::Less => next = sequence.min(FIRST),
            }
            self.change(id, |stream| stream.skip(out));
            self.remove(id);
        }
        self.make_room();
        self.made += 1;
        self.keys.insert(key, self.made);
        let stream = Stream::new(origin, topic.clone(), incarnation, next);
        self.streams.insert(self.made, stream);
        Some(self.made)
    }

    /// Changes a stream and keeps count of what is held back.
    fn change<T>(&mut self, id: u64, change: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let stream = self.streams.get_mut(&id)?;
        let before = stream.held_bytes;
        let result = change(stream);
        self.held_bytes = self.held_bytes + stream.held_bytes - before;
        Some(result)
    }

    /// The stream that was begun first goes when there are too many: its next message begins
    /// anew.
    fn make_room(&mut self) {
        if self.streams.len() >= STREAMS_IN_MAX
            && let Some(oldest) = self.streams.keys().next().copied()
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(stream) = self.streams.remove(&id) {
            self.held_bytes -= stream.held_bytes;
            self.keys.remove(&(stream.topic, stream.origin));
            if let Some(at) = stream.gap_until {
                self.gaps.clear(at, id);
            }
        }
    }

    /// Closes the gap when nothing is missing any more; asks for the next missing part when that
    /// has not been asked for.
    fn settle(&mut self, id: u64, now: Time) -> Option<Repair> {
        self.close(id);
        let stream = self.streams.get_mut(&id)?;
        let first_held = *stream.held.keys().next()?;
        let from = stream.next.max(stream.asked_until);
        if first_held <= from {
            return None;
        }
        stream.asked_until = first_held;
        self.extend(id, now);
        Some(Repair { from, until: first_held })
    }

    fn close(&mut self, id: u64) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.held.is_empty()
            && stream.next >= stream.asked_until
            && let Some(at) = stream.gap_until.take()
        {
            self.gaps.clear(at, id);
        }
    }

    /// Something was asked for: the gap may stay open for a while longer.
    fn extend(&mut self, id: u64, now: Time) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let at = now + REPAIR_TIMEOUT;
        if let Some(before) = stream.gap_until.replace(at) {
            self.gaps.clear(before, id);
        }
        self.gaps.set(at, id);
    }
}

impl Arrival {
    /// How many messages it stands for.
    const fn messages(&self) -> u64 {
        match self {
            Self::ThisOne | Self::Message { .. } => 1,
            Self::Gap { missed } => *missed,
        }
    }
}

impl Stream {
    const fn new(origin: HostId, topic: TopicName, incarnation: Incarnation, next: u64) -> Self {
        Self {
            origin,
            topic,
            incarnation,
            next,
            held: BTreeMap::new(),
            held_bytes: 0,
            gap_until: None,
            asked_until: 0,
        }
    }

    fn arrived(
        &mut self,
        sequence: u64,
        held: impl FnOnce() -> (AgentId, Codec, Vec<u8>),
        crowded: bool,
        out: &mut VecDeque<Arrival>,
    ) {
        self.release(out); // A hint may have made way for what is held.
        if sequence < self.next || self.held.contains_key(&sequence) {
            return;
        }
        if sequence == self.next {
            self.next = sequence.saturating_add(1);
            out.push_back(Arrival::ThisOne);
            return self.release(out);
        }
        let (from, codec, body) = held();
        let held = Held { from, codec, body };
        self.held_bytes += held.bytes();
        self.held.insert(sequence, held);
        if crowded || self.is_full() {
            self.skip_held(out);
        }
    }

    fn is_full(&self) -> bool {
        self.held.len() > REORDER_MESSAGES_MAX || self.held_bytes > REORDER_BYTES_MAX
    }

    /// Goes on after `sequence`; gives how many messages before it will not be delivered, or
    /// `None` when it is old.
    fn jump(&mut self, sequence: u64) -> Option<u64> {
        let missed = sequence.checked_sub(self.next)?;
        self.next = sequence.saturating_add(1);
        self.held = self.held.split_off(&self.next);
        self.held_bytes = self.held.values().map(Held::bytes).sum();
        Some(missed)
    }

    /// The first number that is neither here nor asked for.
    fn first_unasked(&self) -> u64 {
        let mut number = self.next.max(self.asked_until);
        while self.held.contains_key(&number) {
            number += 1;
        }
        number
    }

    /// Delivers what is held and now in order.
    fn release(&mut self, out: &mut VecDeque<Arrival>) {
        while let Some(held) = self.held.remove(&self.next) {
            self.held_bytes -= held.bytes();
            self.next = self.next.saturating_add(1);
            let Held { from, codec, body } = held;
            out.push_back(Arrival::Message { from, codec, body });
        }
    }

    /// Gives up all that is missing.
    fn skip(&mut self, out: &mut VecDeque<Arrival>) {
        self.skip_held(out);
        self.skip_to(self.asked_until, out);
    }

    /// Gives up all that is missing before what is held.
    fn skip_held(&mut self, out: &mut VecDeque<Arrival>) {
        if let Some(last) = self.held.keys().next_back().copied() {
            self.skip_to(last.saturating_add(1), out);
        }
    }

    /// Gives up what is missing before `until`, and delivers what is then in order.
    fn skip_to(&mut self, until: u64, out: &mut VecDeque<Arrival>) {
        self.release(out);
        while self.next < until {
            let stop = self.held.keys().next().map_or(until, |first| until.min(*first));
            out.push_back(Arrival::Gap { missed: stop - self.next });
            self.next = stop;
            self.release(out);
        }
    }
}

#[cfg(test)]
mod tests;
