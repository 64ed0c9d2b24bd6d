use std::collections::VecDeque;

use super::{Frame, Hello, Item, SessionId, inbox};
use crate::{
    ident::Incarnation,
    limits::{
        LANE_ACK_DELAY, LANE_ACK_ITEMS, LANE_FRAME_BYTES_MAX, LANE_QUEUE_BYTES_HARD_MAX,
        LANE_QUEUE_BYTES_MAX,
    },
    time::Time,
    wire,
};

/// What a session with nothing queued holds on to for the next items. A host has many sessions,
/// most of them idle.
const IDLE_BYTES_MAX: usize = 4 * 1024;

/// One side's view of what two hosts say to each other, over however many lanes.
///
/// Order of calls: [`opened`](Self::opened) when a lane is there, [`hello`](Self::hello) when the
/// other side's first frame arrives, then [`receive`](Self::receive) for each item and
/// [`acked`](Self::acked) for each acknowledgement; [`push`](Self::push) at any time;
/// [`transmit`](Self::transmit) when the lane can take bytes; [`closed`](Self::closed) when it is
/// gone.
#[derive(Debug)]
pub struct Session {
    own: SessionId,
    peer: Option<SessionId>,
    lane: Lane,
    /// Encoded frames from the oldest unacknowledged item on; the first `start` bytes are stale.
    buffer: Vec<u8>,
    start: usize,
    /// Those items, oldest first.
    queue: VecDeque<Queued>,
    /// The number of the first item in `queue`, counted from the beginning of the session.
    first: u64,
    /// How many of `queue` went onto the present lane, and how many bytes they are.
    sent: usize,
    sent_bytes: usize,
    /// How many items ever went onto any lane of this session.
    ever_sent: u64,
    /// How many of the other side's items have arrived, and how many we have acknowledged.
    received: u64,
    acknowledged: u64,
    ack_due: Option<Time>,
    /// The age of the next item, as the other side announced it.
    age_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// There is none.
    Closed,
    /// There is one; our hello has yet to be written.
    Fresh,
    /// Our hello is written; the other side's is awaited before anything else is sent.
    Greeted,
    /// Both hellos are through, ours perhaps yet to be written.
    Open { hello_due: bool },
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    bytes: usize,
    since: Time,
}

/// How much an item matters when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// May be refused: calls, notifications, topic messages.
    Message,
    /// Must go, or the lane is useless: replies, interests, repairs.
    Vital,
}

/// Why an item was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The queue to that host is full. Nothing was queued.
    #[error("the queue to that host is full")]
    Full,
    /// The item is larger than a frame may be. Nothing was queued.
    #[error("the message is too large for a frame")]
    TooLarge,
}

/// What the other side's hello meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The session goes on; nothing was lost.
    Resumed,
    /// The first words between these two lives.
    First,
    /// The other side began anew. Of our items, those numbered below this went out and were not
    /// settled: their outcome is unknown. The rest is sent now; numbers start anew at zero.
    Anew {
        /// How many items had been sent.
        sent: u64,
    },
}

/// The other side broke the rules of the lane. Close it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame does not decode or is too long.
    #[error("bad frame: {0}")]
    Frame(#[from] wire::Error),
    /// It speaks a version that this host does not.
    #[error("it speaks version {0} of the lane, this host another")]
    Version(u16),
    /// Something came before hello, or a second hello.
    #[error("a frame came out of order")]
    OutOfOrder,
    /// It acknowledges what was never sent.
    #[error("it acknowledges item {0}, which was never sent")]
    FalseAck(u64),
    /// It is an earlier life of that host than one already met.
    #[error("it is an earlier life of that host than the one already met")]
    Stale,
}

impl Session {
    /// A session of this life of the host, which has met nobody.
    #[must_use]
    pub const fn new(incarnation: Incarnation) -> Self {
        Self {
            own: SessionId { incarnation, epoch: 0 },
            peer: None,
            lane: Lane::Closed,
            buffer: Vec::new(),
            start: 0,
            queue: VecDeque::new(),
            first: 0,
            sent: 0,
            sent_bytes: 0,
            ever_sent: 0,
            received: 0,
            acknowledged: 0,
            ack_due: None,
            age_ms: 0,
        }
    }

    /// A lane is there.
    pub fn opened(&mut self) {
        self.rewind();
        self.lane = Lane::Fresh;
    }

    /// The lane is gone. What is unacknowledged is kept for the next.
    pub fn closed(&mut self) {
        self.rewind();
        self.lane = Lane::Closed;
    }

    /// Whether both sides have greeted each other on a lane.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.lane, Lane::Open { .. })
    }

    /// The life of the other host, once it has been met.
    #[must_use]
    pub fn peer(&self) -> Option<Incarnation> {
        self.peer.map(|peer| peer.incarnation)
    }

    /// The number that the next item pushed will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    /// Whether the queue takes another [`Class::Message`].
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.queued_bytes() < LANE_QUEUE_BYTES_MAX
    }

    /// Queues `item`; gives its number.
    ///
    /// # Errors
    /// [`PushError`]; nothing was queued.
    pub fn push(&mut self, item: Item<'_>, class: Class, now: Time) -> Result<u64, PushError> {
        let cap = match class {
            Class::Message => LANE_QUEUE_BYTES_MAX,
            Class::Vital => LANE_QUEUE_BYTES_HARD_MAX,
        };
        if self.queued_bytes() >= cap {
            return Err(PushError::Full);
        }
        let bytes = inbox::put(&Frame::Item(item), &mut self.buffer);
        if bytes > LANE_FRAME_BYTES_MAX {
            self.buffer.truncate(self.buffer.len() - bytes);
            return Err(PushError::TooLarge);
        }
        let number = self.next_number();
        self.queue.push_back(Queued { bytes, since: now });
        Ok(number)
    }

    /// Whether [`transmit`](Self::transmit) has something to write now.
    #[must_use]
    pub fn has_output(&self) -> bool {
        match self.lane {
            Lane::Closed | Lane::Greeted => false,
            Lane::Fresh | Lane::Open { hello_due: true } => true,
            Lane::Open { hello_due: false } => {
                self.sent < self.queue.len() || self.received - self.acknowledged >= LANE_ACK_ITEMS
            }
        }
    }

    /// When an acknowledgement is due, if nothing else takes it along before.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Time> {
        if self.is_open() { self.ack_due } else { None }
    }

    /// Writes what is to be sent to `out`, up to about `max` bytes: at least one item, if there
    /// is one, and always whole frames.
    pub fn transmit(&mut self, out: &mut Vec<u8>, max: usize, now: Time) {
        match self.lane {
            Lane::Closed | Lane::Greeted => return,
            Lane::Fresh => {
                self.put_hello(out);
                self.lane = Lane::Greeted;
                return;
            }
            Lane::Open { hello_due: true } => {
                self.put_hello(out);
                self.lane = Lane::Open { hello_due: false };
            }
            Lane::Open { hello_due: false } => {}
        }
        if self.received > self.acknowledged {
            inbox::put(&Frame::Ack(self.received), out);
            self.acknowledged = self.received;
        }
        self.ack_due = None;
        self.put_items(out, max, now);
    }

    /// The other side's first frame on this lane.
    ///
    /// # Errors
    /// [`Violation`]: close the lane; the session is unchanged.
    pub fn hello(&mut self, hello: &Hello) -> Result<Greeting, Violation> {
        let hello_due = match self.lane {
            Lane::Fresh => true,
            Lane::Greeted => false,
            Lane::Closed | Lane::Open { .. } => return Err(Violation::OutOfOrder),
        };
        if hello.version != wire::VERSION {
            return Err(Violation::Version(hello.version));
        }
        if self.peer.is_some_and(|peer| peer > hello.session) {
            return Err(Violation::Stale);
        }
        let heard = hello.heard.filter(|(session, _)| *session == self.own);
        let heard = heard.map_or(0, |(_, items)| items);
        let greeting = if self.peer == Some(hello.session) {
            self.settle(heard)?;
            Greeting::Resumed
        } else if self.peer.replace(hello.session).is_some() {
            Greeting::Anew { sent: self.begin_anew() }
        } else {
            Greeting::First
        };
        self.lane = Lane::Open { hello_due };
        Ok(greeting)
    }

    /// The other side has `items` of ours.
    ///
    /// # Errors
    /// [`Violation::OutOfOrder`] before hello; [`Violation::FalseAck`] when it claims what was
    /// never sent.
    pub fn acked(&mut self, items: u64) -> Result<(), Violation> {
        self.check_open()?;
        self.settle(items)
    }

    /// The next item waited this long on the other side.
    ///
    /// # Errors
    /// [`Violation::OutOfOrder`] before hello.
    pub fn aged(&mut self, millis: u32) -> Result<(), Violation> {
        self.check_open()?;
        self.age_ms = millis;
        Ok(())
    }

    /// An item arrived. Gives its age in milliseconds, by which its budget has shrunk.
    ///
    /// # Errors
    /// [`Violation::OutOfOrder`] before hello.
    pub fn receive(&mut self, now: Time) -> Result<u32, Violation> {
        self.check_open()?;
        self.received += 1;
        self.ack_due.get_or_insert(now + LANE_ACK_DELAY);
        Ok(std::mem::take(&mut self.age_ms))
    }

    /// Gives up on a host that has been out of reach for too long: drops all that is queued. Both
    /// sides begin anew when they meet again. Gives how many items had ever been sent.
    pub fn abandon(&mut self) -> u64 {
        let sent = self.ever_sent;
        *self = Self {
            own: SessionId { epoch: self.own.epoch.wrapping_add(1), ..self.own },
            peer: self.peer,
            ..Self::new(self.own.incarnation)
        };
        sent
    }

    fn settle(&mut self, items: u64) -> Result<(), Violation> {
        if items > self.ever_sent {
            return Err(Violation::FalseAck(items));
        }
        while self.first < items {
            self.drop_first();
        }
        self.compact();
        Ok(())
    }

    const fn queued_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn check_open(&self) -> Result<(), Violation> {
        if self.is_open() { Ok(()) } else { Err(Violation::OutOfOrder) }
    }

    fn put_hello(&self, out: &mut Vec<u8>) {
        let heard = self.peer.map(|peer| (peer, self.received));
        let hello = Hello { version: wire::VERSION, session: self.own, heard };
        inbox::put(&Frame::Hello(hello), out);
    }

    fn put_items(&mut self, out: &mut Vec<u8>, max: usize, now: Time) {
        let begun = out.len();
        while let Some(queued) = self.queue.get(self.sent) {
            if out.len() > begun && out.len() - begun + queued.bytes > max {
                break;
            }
            let age = u32::try_from(now.since(queued.since).as_millis()).unwrap_or(u32::MAX);
            if age > 0 {
                inbox::put(&Frame::Aged(age), out);
            }
            let from = self.start + self.sent_bytes;
            out.extend_from_slice(&self.buffer[from..from + queued.bytes]);
            self.sent_bytes += queued.bytes;
            self.sent += 1;
        }
        self.ever_sent = self.ever_sent.max(self.first + self.sent as u64);
    }

    /// Forgets what went onto the lane that is gone: it goes out again if it was not
    /// acknowledged.
    fn rewind(&mut self) {
        self.sent = 0;
        self.sent_bytes = 0;
        self.ack_due = None;
        self.age_ms = 0;
    }

    /// The other side has no memory of this session: what was sent is settled as unknown, the
    /// rest is numbered from zero.
    fn begin_anew(&mut self) -> u64 {
        let sent = self.ever_sent;
        while self.first < sent && !self.queue.is_empty() {
            self.drop_first();
        }
        self.compact();
        self.rewind();
        (self.first, self.ever_sent) = (0, 0);
        (self.received, self.acknowledged) = (0, 0);
        sent
    }

    fn drop_first(&mut self) {
        if let Some(queued) = self.queue.pop_front() {
            self.start += queued.bytes;
            if self.sent > 0 {
                self.sent -= 1;
                self.sent_bytes -= queued.bytes;
            }
        }
        self.first += 1;
    }

    /// Moves what is live to the front once more than half is stale, so that the cost per byte
    /// stays constant.
    fn compact(&mut self) {
        if self.start * 2 > self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BYTES_MAX {
                self.buffer = Vec::new();
                self.queue = VecDeque::new();
            }
        }
    }
}

#[cfg(test)]
mod tests;
