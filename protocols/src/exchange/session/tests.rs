//! Two sessions over a pipe that breaks, with restarts and abandons in between, against a model
//! that knows which item belongs to which pair of lives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::exchange::Inbox;

#[derive(Clone, Copy, Debug)]
enum Op {
    Push(usize),
    Transmit(usize, usize),
    Deliver(usize, usize),
    /// One side opens a new lane; the other may still believe in an old one.
    Connect(usize),
    Accept(usize),
    Lose(usize),
    Restart(usize),
    Abandon(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let side = 0..2usize;
    prop_oneof![
        6 => side.clone().prop_map(Op::Push),
        8 => (side.clone(), 0..80usize).prop_map(|(side, max)| Op::Transmit(side, max)),
        8 => (side.clone(), 1..60usize).prop_map(|(side, bytes)| Op::Deliver(side, bytes)),
        2 => side.clone().prop_map(Op::Connect),
        3 => side.clone().prop_map(Op::Accept),
        1 => side.clone().prop_map(Op::Lose),
        1 => side.clone().prop_map(Op::Restart),
        1 => side.prop_map(Op::Abandon),
    ]
}

struct Side {
    session: Session,
    inbox: Inbox,
    /// The lane it believes in.
    lane: Option<usize>,
    /// The items of the present numbering, and how many of them ever went out.
    numbering: Vec<u64>,
    sent: usize,
    /// Which items belong to a pair of lives, ours first.
    pairs: BTreeMap<(SessionId, SessionId), Vec<u64>>,
    /// How many items came in from the present life of the other side.
    got: usize,
}

impl Side {
    fn new(life: u64) -> Self {
        Self {
            session: Session::new(Incarnation(life)),
            inbox: Inbox::default(),
            lane: None,
            numbering: Vec::new(),
            sent: 0,
            pairs: BTreeMap::new(),
            got: 0,
        }
    }

    fn pair(&self) -> Option<(SessionId, SessionId)> {
        self.session.peer.map(|peer| (self.session.own, peer))
    }

    fn push(&mut self, id: u64) {
        let item = Item::Tail { topic: "t", next: id };
        let number = self.session.push(item, Class::Message, Time::ZERO).expect("there is room");
        assert_eq!(number, self.numbering.len() as u64, "numbers count up");
        self.numbering.push(id);
        if let Some(pair) = self.pair().and_then(|pair| self.pairs.get_mut(&pair)) {
            pair.push(id);
        }
    }

    fn transmit(&mut self, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.session.transmit(&mut out, max, Time::ZERO);
        for id in items(&out) {
            let place = self.numbering.iter().position(|of| *of == id).expect("its own item");
            assert!(place <= self.sent, "no item is left out");
            self.sent = self.sent.max(place + 1);
        }
        out
    }

    fn greeted(&mut self, greeting: Greeting) {
        if let Greeting::Anew { sent } = greeting {
            assert_eq!(sent, self.sent as u64, "what was sent is told");
            self.numbering.drain(..self.sent);
            (self.sent, self.got) = (0, 0);
        }
        let pair = self.pair().expect("it has met the other");
        self.pairs.entry(pair).or_insert_with(|| self.numbering.clone());
    }

    fn abandon(&mut self) {
        self.session.closed();
        assert_eq!(self.session.abandon(), self.sent as u64, "what was sent is told");
        self.lane = None;
        self.numbering.clear();
        (self.sent, self.got) = (0, 0);
    }

    fn check(&self) {
        let live: usize = self.session.queue.iter().map(|queued| queued.bytes).sum();
        assert_eq!(self.session.queued_bytes(), live, "bytes and items agree");
        assert!(self.session.start <= live, "stale bytes do not pile up");
        assert_eq!(self.session.next_number(), self.numbering.len() as u64);
        assert_eq!(self.session.ever_sent, self.sent as u64);
    }
}

fn items(bytes: &[u8]) -> Vec<u64> {
    let mut items = Vec::new();
    let each = |frame: Frame<'_>| {
        if let Frame::Item(Item::Tail { next, .. }) = frame {
            items.push(next);
        }
        Ok::<_, wire::Error>(())
    };
    Inbox::default().feed(bytes, each).expect("whole frames");
    items
}

struct World {
    sides: [Side; 2],
    /// All lanes there ever were, with what is under way to either side.
    lanes: Vec<[VecDeque<u8>; 2]>,
    /// Lanes up to here are no news to a side: none is opened twice.
    used: [usize; 2],
    pushed: u64,
    lives: u64,
    delivered: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let sides = [Side::new(1), Side::new(2)];
        let (lanes, delivered) = (Vec::new(), BTreeSet::new());
        Self { sides, lanes, used: [0; 2], pushed: 0, lives: 2, delivered }
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Push(side) => {
                self.pushed += 1;
                self.sides[side].push(self.pushed);
            }
            Op::Transmit(side, max) => {
                let bytes = self.sides[side].transmit(max);
                if let Some(lane) = self.sides[side].lane {
                    self.lanes[lane][1 - side].extend(bytes);
                }
            }
            Op::Deliver(side, bytes) => self.deliver(side, bytes),
            Op::Connect(side) => {
                self.lanes.push(Default::default());
                self.open(side);
            }
            Op::Accept(side) => {
                if self.used[side] < self.lanes.len() {
                    self.open(side);
                }
            }
            Op::Lose(side) => {
                self.sides[side].session.closed();
                self.sides[side].lane = None;
            }
            Op::Restart(side) => {
                self.lives += 1;
                self.sides[side] = Side::new(self.lives);
            }
            Op::Abandon(side) => self.sides[side].abandon(),
        }
        self.sides.iter().for_each(Side::check);
    }

    fn open(&mut self, side: usize) {
        self.used[side] = self.lanes.len();
        let side = &mut self.sides[side];
        side.lane = Some(self.lanes.len() - 1);
        side.inbox = Inbox::default();
        side.session.opened();
    }

    fn deliver(&mut self, to: usize, bytes: usize) {
        let Some(lane) = self.sides[to].lane else { return };
        let pipe = &mut self.lanes[lane][to];
        let bytes: Vec<u8> = pipe.drain(..bytes.min(pipe.len())).collect();
        let mut inbox = std::mem::take(&mut self.sides[to].inbox);
        inbox.feed(&bytes, |frame| self.frame(to, frame)).expect("both keep to the rules");
        self.sides[to].inbox = inbox;
    }

    fn frame(&mut self, to: usize, frame: Frame<'_>) -> Result<(), Violation> {
        let side = &mut self.sides[to];
        match frame {
            Frame::Hello(hello) => {
                let greeting = side.session.hello(&hello)?;
                side.greeted(greeting);
            }
            Frame::Ack(items) => side.session.acked(items)?,
            Frame::Aged(age) => side.session.aged(age)?,
            Frame::Item(Item::Tail { next, .. }) => {
                side.session.receive(Time::ZERO)?;
                let (own, peer) = side.pair().expect("items come after hello");
                let got = side.got;
                side.got += 1;
                // Of a sender that has restarted since, only order and uniqueness are known.
                if let Some(pair) = self.sides[1 - to].pairs.get(&(peer, own)) {
                    assert_eq!(pair.get(got), Some(&next), "item {got} of {peer:?} to {own:?}");
                }
                assert!(self.delivered.insert(next), "item {next} was delivered twice");
            }
            Frame::Item(other) => panic!("nobody sent {other:?}"),
        }
        Ok(())
    }

    /// Nothing breaks any more: all that is queued arrives, and nothing is kept.
    fn settle(&mut self) {
        self.act(Op::Connect(0));
        self.act(Op::Accept(1));
        for _ in 0..8 {
            for side in 0..2 {
                self.act(Op::Transmit(side, usize::MAX));
                self.act(Op::Deliver(1 - side, usize::MAX));
            }
        }
        for side in 0..2 {
            let Side { session, numbering, .. } = &self.sides[side];
            assert!(session.is_open() && !session.has_output());
            assert!(session.queue.is_empty() && session.buffer.is_empty(), "acks free the buffer");
            assert_eq!(self.sides[1 - side].got, numbering.len(), "all of this pair arrived");
            assert!(numbering.iter().all(|id| self.delivered.contains(id)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_pair_of_lives_gets_its_items_once_and_in_order(
        ops in prop::collection::vec(op(), 0..150),
    ) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.act(op));
        world.settle();
    }
}

fn play(ops: &[Op]) -> World {
    let mut world = World::new();
    ops.iter().for_each(|op| world.act(*op));
    world
}

const ALL: usize = usize::MAX;

/// Two sides that have greeted each other.
fn met() -> World {
    let mut world = play(&[Op::Connect(0), Op::Accept(1)]);
    for _ in 0..2 {
        for side in 0..2 {
            world.act(Op::Transmit(side, ALL));
            world.act(Op::Deliver(1 - side, ALL));
        }
    }
    assert!(world.sides.iter().all(|side| side.session.is_open()));
    world
}

#[test]
fn both_may_abandon_and_meet_again() {
    let mut world = met();
    for op in [Op::Push(0), Op::Push(1), Op::Transmit(0, ALL), Op::Abandon(0), Op::Abandon(1)] {
        world.act(op);
    }
    world.act(Op::Push(0));
    world.act(Op::Push(1));
    world.settle();
    assert_eq!(world.delivered, BTreeSet::from([3, 4]));
}

#[test]
fn what_was_not_sent_goes_to_the_next_life() {
    let mut world = met();
    for op in [Op::Push(0), Op::Push(0), Op::Transmit(0, 0), Op::Restart(1)] {
        world.act(op);
    }
    world.settle();
    assert_eq!(world.delivered, BTreeSet::from([2]), "the first went out, its outcome is unknown");
}

fn hello(session: SessionId, heard: Option<(SessionId, u64)>) -> Hello {
    Hello { version: wire::VERSION, session, heard }
}

fn id(life: u64, epoch: u32) -> SessionId {
    SessionId { incarnation: Incarnation(life), epoch }
}

#[test]
fn nothing_comes_before_hello_and_hello_comes_once() {
    let mut session = Session::new(Incarnation(1));
    assert_eq!(session.hello(&hello(id(2, 0), None)), Err(Violation::OutOfOrder));
    session.opened();
    assert_eq!(session.receive(Time::ZERO), Err(Violation::OutOfOrder));
    assert_eq!(session.aged(1), Err(Violation::OutOfOrder));
    assert_eq!(session.acked(0), Err(Violation::OutOfOrder));
    assert_eq!(session.hello(&hello(id(2, 0), None)), Ok(Greeting::First));
    assert_eq!(session.hello(&hello(id(2, 0), None)), Err(Violation::OutOfOrder));
}

#[test]
fn false_words_change_nothing() {
    let mut session = Session::new(Incarnation(1));
    session.opened();
    session.hello(&hello(id(2, 1), None)).expect("the first hello");
    assert_eq!(session.acked(1), Err(Violation::FalseAck(1)));
    assert_eq!(session.acked(u64::MAX), Err(Violation::FalseAck(u64::MAX)));
    session.opened();
    assert_eq!(session.hello(&hello(id(2, 0), None)), Err(Violation::Stale));
    assert_eq!(session.hello(&hello(id(1, 9), None)), Err(Violation::Stale));
    let false_hello = hello(id(2, 1), Some((id(1, 0), 7)));
    assert_eq!(session.hello(&false_hello), Err(Violation::FalseAck(7)));
    let other = Hello { version: wire::VERSION + 1, ..hello(id(2, 1), None) };
    assert_eq!(session.hello(&other), Err(Violation::Version(wire::VERSION + 1)));
    let of_another_life = hello(id(2, 1), Some((id(0, 0), 7)));
    assert_eq!(session.hello(&of_another_life), Ok(Greeting::Resumed));
}

#[test]
fn an_item_tells_how_long_it_waited() {
    let mut sides = [1, 2].map(|life| Session::new(Incarnation(life)));
    let item = Item::Tail { topic: "t", next: 1 };
    sides[0].push(item, Class::Message, Time::ZERO).expect("there is room");
    sides.iter_mut().for_each(Session::opened);
    sides[0].hello(&hello(id(2, 0), None)).expect("hello");
    let mut out = Vec::new();
    sides[0].transmit(&mut out, ALL, Time::ZERO + std::time::Duration::from_millis(70));
    let mut age = None;
    let each = |frame: Frame<'_>| {
        match frame {
            Frame::Hello(hello) => drop(sides[1].hello(&hello)?),
            Frame::Aged(millis) => sides[1].aged(millis)?,
            Frame::Ack(items) => sides[1].acked(items)?,
            Frame::Item(_) => age = Some(sides[1].receive(Time::ZERO)?),
        }
        Ok::<_, Violation>(())
    };
    Inbox::default().feed(&out, each).expect("good frames");
    assert_eq!(age, Some(70));
    assert_eq!(sides[1].next_deadline(), Some(Time::ZERO + LANE_ACK_DELAY));
    assert_eq!(sides[1].receive(Time::ZERO), Ok(0), "the age is told for one item");
}

#[test]
fn the_queue_refuses_at_its_caps() {
    let mut session = Session::new(Incarnation(1));
    let body = vec![0; crate::limits::BODY_BYTES_MAX];
    let reply = || Item::Reply { to: crate::ident::AgentId(1), dialog: 0, body: &body };
    while session.has_room() {
        session.push(reply(), Class::Message, Time::ZERO).expect("there is room");
    }
    assert_eq!(session.push(reply(), Class::Message, Time::ZERO), Err(PushError::Full));
    while session.queued_bytes() < LANE_QUEUE_BYTES_HARD_MAX {
        session.push(reply(), Class::Vital, Time::ZERO).expect("there is room for vital items");
    }
    assert_eq!(session.push(reply(), Class::Vital, Time::ZERO), Err(PushError::Full));
    let mut session = Session::new(Incarnation(1));
    let body = vec![0; LANE_FRAME_BYTES_MAX];
    let reply = Item::Reply { to: crate::ident::AgentId(1), dialog: 0, body: &body };
    assert_eq!(session.push(reply, Class::Vital, Time::ZERO), Err(PushError::TooLarge));
    assert_eq!((session.queued_bytes(), session.next_number()), (0, 0));
}
