//! A numbered stream, shuffled, doubled and holed, with repair answered in all ways.

use proptest::prelude::*;

use super::*;

const LIFE: Incarnation = Incarnation(7);
const ORIGIN: HostId = HostId([9; 32]);

fn topic() -> TopicName {
    "chat/said".parse().expect("a topic")
}

fn body(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// How the origin answers a repair.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Sends,
    SendsHalf,
    SaysLost,
    LosesHalf,
    Silent,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Message(u64),
    Hint(u64),
    Lost(u64),
    Tail(u64),
}

/// A listener's host, and what its listeners heard.
#[derive(Default)]
struct Ear {
    incoming: Incoming,
    heard: Vec<u64>,
    missed: u64,
    now: Time,
}

impl Ear {
    fn take(&mut self, arrivals: VecDeque<Arrival>, this: Option<u64>) {
        for arrival in arrivals {
            match arrival {
                Arrival::ThisOne => self.heard.push(this.expect("a message is in hand")),
                Arrival::Message { body, .. } => {
                    let number = body.try_into().map(u64::from_le_bytes);
                    self.heard.push(number.expect("the body is the number"));
                }
                Arrival::Gap { missed } => {
                    assert!(missed > 0, "no empty gaps");
                    self.missed += missed;
                }
            }
        }
    }

    fn of_life(&mut self, life: Incarnation, event: Event) -> Option<Repair> {
        let (from, topic, now) = ((ORIGIN, life), topic(), self.now);
        match event {
            Event::Message(number) => {
                let held = || (AgentId(5), Codec::Native, body(number));
                let (out, repair) = self.incoming.arrived(from, &topic, number, held, now);
                self.take(out, Some(number));
                repair
            }
            Event::Hint(number) => {
                if let Some(missed) = self.incoming.hinted(from, &topic, number) {
                    self.missed += missed;
                    self.heard.push(number);
                }
                None
            }
            Event::Lost(until) => {
                let (out, repair) = self.incoming.lost(from, &topic, until, now);
                self.take(out, None);
                repair
            }
            Event::Tail(next) => self.incoming.tail(from, &topic, next, now),
        }
    }

    fn on(&mut self, event: Event) -> Option<Repair> {
        self.of_life(LIFE, event)
    }

    fn give_up(&mut self) {
        while let Some(at) = self.incoming.next_deadline() {
            self.now = at;
            let (host, of, out) = self.incoming.give_up(at).expect("it is due");
            assert_eq!((host, of), (ORIGIN, topic()));
            self.take(out, None);
        }
    }

    fn check(&self) {
        let held: Vec<_> = self.incoming.streams.values().collect();
        let bytes: usize = held.iter().map(|stream| stream.held_bytes).sum();
        assert_eq!(self.incoming.held_bytes, bytes);
        for stream in held {
            let exact: usize = stream.held.values().map(Held::bytes).sum();
            assert_eq!(stream.held_bytes, exact);
            let waits = !stream.held.is_empty() || stream.asked_until > stream.next;
            assert!(stream.gap_until.is_some() || !waits, "what waits has a deadline");
        }
        assert!(self.heard.is_sorted_by(|one, other| one < other), "{:?}", self.heard);
    }
}

fn answer(Repair { from, until }: Repair, mood: Mood) -> Vec<Event> {
    assert!(from < until, "no empty repairs");
    let half = from + (until - from) / 2;
    match mood {
        Mood::Sends => (from..until).map(Event::Message).collect(),
        Mood::SendsHalf => (from..half).map(Event::Message).collect(),
        Mood::SaysLost => vec![Event::Lost(until)],
        Mood::LosesHalf => {
            [Event::Lost(half)].into_iter().chain((half..until).map(Event::Message)).collect()
        }
        Mood::Silent => vec![],
    }
}

fn mood() -> impl Strategy<Value = Mood> {
    let all = [Mood::Sends, Mood::SendsHalf, Mood::SaysLost, Mood::LosesHalf, Mood::Silent];
    prop::sample::select(all.to_vec())
}

/// Numbers 1..=total, each none to three times, in an order that strays by up to ten places.
fn stream() -> impl Strategy<Value = (u64, Vec<(u64, bool)>)> {
    prop::collection::vec((0..3usize, 0..10u64, any::<bool>()), 1..60).prop_map(|copies| {
        let total = copies.len() as u64;
        let mut all: Vec<(u64, u64, bool)> = Vec::new();
        for (number, (count, stray, hint)) in (1..).zip(copies) {
            all.extend((0..count as u64).map(|copy| (number + stray * (copy + 1), number, hint)));
        }
        all.sort_unstable();
        (total, all.into_iter().map(|(_, number, hint)| (number, hint)).collect())
    })
}

fn play(
    (total, sent): (u64, Vec<(u64, bool)>),
    moods: Vec<Mood>,
    event: impl Fn(u64, bool) -> Event,
) {
    let mut moods = moods.into_iter().cycle();
    let mut ear = Ear::default();
    let first = sent.first().map_or(total + 1, |(number, _)| *number);
    let sent = sent.into_iter().map(|(number, hint)| event(number, hint));
    let mut events: VecDeque<Event> = sent.chain([Event::Tail(total + 1)]).collect();
    while let Some(event) = events.pop_front() {
        if let Some(repair) = ear.on(event) {
            let answers = answer(repair, moods.next().expect("moods go round"));
            // The answer comes after what is under way already, but before the end.
            let place = events.len().min(2);
            answers.into_iter().rev().for_each(|answer| events.insert(place, answer));
        }
        ear.check();
    }
    ear.give_up();
    ear.check();
    assert_eq!(ear.heard.len() as u64 + ear.missed, total + 1 - first, "all is accounted for");
    assert_eq!(ear.incoming.held_bytes, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_message_comes_once_in_order_or_is_missed(
        stream in stream(),
        moods in prop::collection::vec(mood(), 1..8),
    ) {
        play(stream, moods, |number, _| Event::Message(number));
    }

    #[test]
    fn hints_in_between_neither_hang_nor_double(
        stream in stream(),
        moods in prop::collection::vec(mood(), 1..8),
    ) {
        play(stream, moods, |n, hint| if hint { Event::Hint(n) } else { Event::Message(n) });
    }

    #[test]
    fn hostile_numbers_neither_panic_nor_loop(
        events in prop::collection::vec((0..4u8, any::<u64>(), 0..64u32), 0..60),
    ) {
        let mut ear = Ear::default();
        for (kind, number, shift) in events {
            // Small, large and close to the end.
            let number = if kind % 2 == 0 { number >> shift } else { !(number >> shift) };
            let event = [Event::Message, Event::Hint, Event::Lost, Event::Tail][kind as usize];
            ear.missed = 0;
            ear.on(event(number));
            ear.check();
        }
        ear.missed = 0;
        ear.give_up();
    }
}

#[test]
fn a_hint_over_a_held_message_ends_the_wait() {
    let mut ear = Ear::default();
    for event in [Event::Message(1), Event::Message(3), Event::Hint(10)] {
        ear.on(event);
    }
    ear.give_up();
    assert_eq!((ear.heard, ear.missed), (vec![1, 10], 8));
}

#[test]
fn a_tail_is_heeded_while_messages_are_held() {
    let mut ear = Ear::default();
    ear.on(Event::Message(2));
    assert_eq!(ear.on(Event::Message(5)), Some(Repair { from: 3, until: 5 }));
    assert_eq!(ear.on(Event::Tail(9)), Some(Repair { from: 6, until: 9 }));
    assert_eq!(ear.on(Event::Tail(9)), None, "nothing is asked for twice");
    ear.give_up();
    assert_eq!((ear.heard, ear.missed), (vec![2, 5], 5));
}

#[test]
fn a_new_life_pays_the_debts_of_the_old_one_and_begins_at_one() {
    let mut ear = Ear::default();
    ear.on(Event::Message(1));
    ear.on(Event::Message(4));
    let repair = ear.of_life(Incarnation(8), Event::Message(3));
    assert_eq!((&ear.heard[..], ear.missed), (&[1, 4][..], 2), "two and three, then four");
    assert_eq!(repair, Some(Repair { from: 1, until: 3 }));
    ear.of_life(LIFE, Event::Message(5));
    assert_eq!(ear.heard, [1, 4], "the old life is over");
    ear.give_up();
    assert_eq!((ear.heard, ear.missed), (vec![1, 4, 3], 4));
}

#[test]
fn nobody_skips_what_was_not_asked_for() {
    let mut ear = Ear::default();
    ear.on(Event::Message(1));
    ear.on(Event::Lost(u64::MAX));
    ear.on(Event::Message(2));
    assert_eq!((ear.heard, ear.missed), (vec![1, 2], 0));
}

#[test]
fn the_last_number_of_all_is_refused() {
    let mut ear = Ear::default();
    ear.on(Event::Message(u64::MAX - 1));
    for _ in 0..2 {
        ear.on(Event::Message(u64::MAX));
        ear.on(Event::Hint(u64::MAX));
    }
    assert_eq!(ear.heard, [u64::MAX - 1]);
}

#[test]
fn forgetting_a_topic_while_a_gap_is_open_leaves_nothing() {
    let mut ear = Ear::default();
    ear.on(Event::Message(1));
    ear.on(Event::Message(3));
    let other: TopicName = "chat/said#x".parse().expect("a topic");
    ear.incoming.forget(&other);
    assert!(ear.incoming.next_deadline().is_some());
    ear.incoming.forget(&topic());
    let Incoming { keys, streams, gaps, held_bytes, .. } = &ear.incoming;
    assert!(keys.is_empty() && streams.is_empty() && gaps.is_empty() && *held_bytes == 0);
    ear.on(Event::Message(9));
    assert_eq!((ear.heard, ear.missed), (vec![1, 9], 0), "it begins anew");
}

#[test]
fn what_is_held_is_bounded_by_number_and_by_weight() {
    let mut ear = Ear::default();
    ear.on(Event::Message(1));
    for number in 3..=REORDER_MESSAGES_MAX as u64 + 3 {
        ear.on(Event::Message(number));
    }
    assert_eq!((ear.missed, ear.incoming.held_bytes), (1, 0), "the gap is given up");
    let mut incoming = Incoming::default();
    let mut gaps = 0;
    for number in [1].into_iter().chain(3..60) {
        let large = || (AgentId(1), Codec::Native, vec![0; 1024 * 1024]);
        let from = (ORIGIN, LIFE);
        let (out, _) = incoming.arrived(from, &topic(), number, large, Time::ZERO);
        gaps += out.iter().filter(|arrival| matches!(arrival, Arrival::Gap { .. })).count();
        assert!(incoming.held_bytes <= REORDER_BYTES_MAX);
    }
    assert_eq!(gaps, 1);
}
