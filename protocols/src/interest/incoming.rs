use std::collections::{BTreeMap, VecDeque};

use super::TopicName;
use crate::{
    exchange::Codec,
    ident::{AgentId, HostId, Incarnation},
    limits::{REORDER_MESSAGES_MAX, REPAIR_TIMEOUT, STREAMS_IN_MAX},
    time::{Deadlines, Time},
};

/// Follows the numbers of other hosts' topic messages: each is delivered once and in order.
///
/// A stream begins with the first message seen of it: there is no catching up for late listeners.
#[derive(Debug, Default)]
pub struct Incoming {
    keys: BTreeMap<(HostId, TopicName), u64>,
    streams: BTreeMap<u64, Stream>,
    made: u64,
    gaps: Deadlines<u64>,
}

#[derive(Debug)]
struct Stream {
    origin: HostId,
    topic: TopicName,
    incarnation: Incarnation,
    /// The number of the next message to deliver.
    next: u64,
    held: BTreeMap<u64, Held>,
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
        (origin, incarnation): (HostId, Incarnation),
        topic: &TopicName,
        sequence: u64,
        held: impl FnOnce() -> (AgentId, Codec, Vec<u8>),
        now: Time,
    ) -> (VecDeque<Arrival>, Option<Repair>) {
        let mut out = VecDeque::new();
        let Some((id, stream)) = self.stream(origin, incarnation, topic, sequence) else {
            return (out, None);
        };
        if sequence < stream.next || stream.held.contains_key(&sequence) {
            return (out, None);
        }
        if sequence == stream.next {
            stream.next = sequence.saturating_add(1);
            out.push_back(Arrival::ThisOne);
            stream.release(&mut out);
            let repair = self.settle(id, now);
            return (out, repair);
        }
        let (from, codec, body) = held();
        stream.held.insert(sequence, Held { from, codec, body });
        if stream.held.len() > REORDER_MESSAGES_MAX {
            stream.skip(&mut out);
        }
        let repair = self.settle(id, now);
        (out, repair)
    }

    /// A message of a topic that is not repaired arrived: it is delivered unless it is old.
    /// Gives whether to deliver it and how many before it were missed.
    pub fn hinted(
        &mut self,
        (origin, incarnation): (HostId, Incarnation),
        topic: &TopicName,
        sequence: u64,
    ) -> Option<u64> {
        let (_, stream) = self.stream(origin, incarnation, topic, sequence)?;
        let missed = sequence.checked_sub(stream.next)?;
        stream.next = sequence.saturating_add(1);
        Some(missed)
    }

    /// The origin says what number its next message will have.
    pub fn tail(
        &mut self,
        (origin, incarnation): (HostId, Incarnation),
        topic: &TopicName,
        next: u64,
        now: Time,
    ) -> Option<Repair> {
        let id = *self.keys.get(&(origin, topic.clone()))?;
        let stream = self.streams.get_mut(&id)?;
        let wanted = stream.next.max(stream.asked_until);
        if stream.incarnation != incarnation || wanted >= next || !stream.held.is_empty() {
            return None;
        }
        stream.asked_until = next;
        let repair = Repair { from: wanted, until: next };
        self.extend(id, now);
        Some(repair)
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
        let Some(id) = self.keys.get(&(origin, topic.clone())).copied() else {
            return (out, None);
        };
        let Some(stream) = self.streams.get_mut(&id) else { return (out, None) };
        // Only what was asked for can be lost: nobody else's word skips messages.
        if stream.incarnation != incarnation || until > stream.asked_until {
            return (out, None);
        }
        stream.skip_to(until, &mut out);
        stream.release(&mut out);
        let repair = self.settle(id, now);
        (out, repair)
    }

    /// Gives up the next gap that has been open too long: its stream's origin and topic, and what
    /// is to be delivered.
    pub fn give_up(&mut self, now: Time) -> Option<(HostId, TopicName, VecDeque<Arrival>)> {
        let id = self.gaps.pop(now)?;
        let stream = self.streams.get_mut(&id)?;
        stream.gap_until = None;
        let mut out = VecDeque::new();
        stream.skip(&mut out);
        stream.skip_to(stream.asked_until, &mut out);
        Some((stream.origin, stream.topic.clone(), out))
    }

    /// When the next gap is given up.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.gaps.next()
    }

    /// Nobody here listens to `topic` any more.
    pub fn forget(&mut self, topic: &TopicName) {
        let ids: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.topic == *topic)
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    fn stream(
        &mut self,
        origin: HostId,
        incarnation: Incarnation,
        topic: &TopicName,
        sequence: u64,
    ) -> Option<(u64, &mut Stream)> {
        let key = (origin, topic.clone());
        let known = self.keys.get(&key).copied();
        let age = known.and_then(|id| Some(self.streams.get(&id)?.incarnation));
        match (known, age) {
            (_, Some(age)) if age > incarnation => return None,
            (Some(id), Some(age)) if age == incarnation => {
                return self.streams.get_mut(&id).map(|stream| (id, stream));
            }
            (Some(id), _) => self.remove(id),
            (None, _) => {}
        }
        self.make_room();
        self.made += 1;
        let id = self.made;
        self.keys.insert(key, id);
        let stream = Stream {
            origin,
            topic: topic.clone(),
            incarnation,
            next: sequence,
            held: BTreeMap::new(),
            gap_until: None,
            asked_until: 0,
        };
        Some((id, self.streams.entry(id).or_insert(stream)))
    }

    /// The oldest stream goes when there are too many: its next message begins anew.
    fn make_room(&mut self) {
        if self.streams.len() >= STREAMS_IN_MAX
            && let Some(oldest) = self.streams.keys().next().copied()
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(stream) = self.streams.remove(&id) {
            self.keys.remove(&(stream.origin, stream.topic));
            if let Some(at) = stream.gap_until {
                self.gaps.clear(at, id);
            }
        }
    }

    /// Closes the gap when nothing is missing any more; asks for the next missing part when that
    /// has not been asked for.
    fn settle(&mut self, id: u64, now: Time) -> Option<Repair> {
        let stream = self.streams.get_mut(&id)?;
        let Some(first_held) = stream.held.keys().next().copied() else {
            if stream.next >= stream.asked_until
                && let Some(at) = stream.gap_until.take()
            {
                self.gaps.clear(at, id);
            }
            return None;
        };
        if first_held <= stream.asked_until {
            return None;
        }
        let from = stream.next.max(stream.asked_until);
        stream.asked_until = first_held;
        self.extend(id, now);
        Some(Repair { from, until: first_held })
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

impl Stream {
    /// Delivers what is held and now in order.
    fn release(&mut self, out: &mut VecDeque<Arrival>) {
        while let Some(Held { from, codec, body }) = self.held.remove(&self.next) {
            self.next = self.next.saturating_add(1);
            out.push_back(Arrival::Message { from, codec, body });
        }
    }

    /// Gives up all that is missing before what is held.
    fn skip(&mut self, out: &mut VecDeque<Arrival>) {
        while let Some(first) = self.held.keys().next().copied() {
            self.skip_to(first, out);
            self.release(out);
        }
    }

    fn skip_to(&mut self, until: u64, out: &mut VecDeque<Arrival>) {
        while self.next < until {
            let stop = self.held.keys().next().map_or(until, |first| until.min(*first));
            if stop > self.next {
                out.push_back(Arrival::Gap { missed: stop - self.next });
                self.next = stop;
            }
            self.release(out);
        }
    }
}
