use std::borrow::Cow;

use super::*;
use crate::{
    exchange::Codec,
    ident::{AgentId, HostId, Incarnation, MeshId},
    time::{Time, WallTime},
};

const ME: HostId = HostId([1; 32]);
const OTHER: HostId = HostId([2; 32]);
const LIFE: Life = Life(3);

fn era() -> Era<'static> {
    Era {
        host: ME,
        name: "a".into(),
        mesh: MeshId([9; 32]),
        incarnation: Incarnation(7),
        software: "0.1.0".into(),
        seed: [5; 32],
    }
}

fn head(durability: Durability) -> LifeHead<'static> {
    LifeHead {
        life: LIFE,
        agent: AgentId(2000),
        kind: "counter".into(),
        version: 1,
        name: Some("till".into()),
        durability,
    }
}

fn snapshot(number: u64) -> Snapshot<'static> {
    Snapshot { life: LIFE, number, ball: vec![number.to_le_bytes()[0]].into(), topics: Vec::new() }
}

fn entry(number: u64, letter: Option<u64>) -> Entry<'static> {
    let id = |number| LetterId { origin: OTHER, epoch: Incarnation(1), number };
    Entry {
        life: LIFE,
        number,
        input: Cow::Borrowed(b"input"),
        letter: letter.map(id),
        handled: Handled::Done,
        effects: Effects::None,
        state: None,
    }
}

fn letter(number: u64) -> Letter<'static> {
    Letter {
        host: OTHER,
        epoch: Incarnation(7),
        number,
        from: AgentId(2000),
        to: AgentId(3000),
        name: "a/b".into(),
        codec: Codec::Native,
        body: vec![1, 2].into(),
    }
}

/// A small journal in three pages.
fn pages() -> Vec<Page> {
    let mut recorder = Recorder::new(Sequence::FIRST);
    let mut pages = Vec::new();
    let mut seal = |recorder: &mut Recorder| {
        let before = pages.last().map_or(ChainHash::START, |page: &Page| page.hash);
        pages.push(Page::seal(before, &recorder.take().expect("something was recorded")));
    };
    recorder.note(&Record::Era(era()));
    recorder.at(Time::from_nanos(5), WallTime::from_millis(6));
    recorder.note(&Record::Life(head(Durability::WriteAhead)));
    recorder.note(&Record::Snapshot(snapshot(0)));
    recorder.entry(entry(0, None));
    seal(&mut recorder);
    recorder.at(Time::from_nanos(8), WallTime::from_millis(9));
    recorder.note(&Record::Post(letter(1)));
    recorder.entry(entry(1, Some(4)));
    recorder.note(&Record::Snapshot(snapshot(2)));
    recorder.entry(entry(2, None));
    recorder.note(&Record::Post(letter(2)));
    seal(&mut recorder);
    recorder.at(Time::from_nanos(11), WallTime::from_millis(12));
    recorder.note(&Record::Delivered { to: OTHER, upto: 1 });
    recorder.entry(entry(3, Some(5)));
    seal(&mut recorder);
    pages
}

fn recover(pages: &[Page]) -> Recovered {
    let mut recovery = Recovery::new();
    for page in pages {
        for record in Page::open(&page.bytes).expect("a whole page").records() {
            let (sequence, record) = record.expect("a whole record");
            recovery.record(sequence, record);
        }
    }
    recovery.finish()
}

#[test]
fn pages_follow_each_other() {
    let (mut hash, mut next) = (ChainHash::START, Sequence::FIRST);
    for page in pages() {
        let open = Page::open(&page.bytes).expect("a whole page");
        open.follows(hash, next).expect("it follows");
        (hash, next) = (open.hash, open.next());
    }
    assert_eq!(next, Sequence(15));
    let pages = pages();
    let third = Page::open(&pages[2].bytes).expect("a whole page");
    assert_eq!(third.follows(pages[0].hash, third.first), Err(PageError::Unlinked));
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let page = &pages()[1].bytes;
    for bit in 0..page.len() * 8 {
        let mut bytes = page.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Page::open(&bytes).is_err(), "bit {bit}");
    }
    for length in 0..page.len() {
        assert!(Page::open(&page[..length]).is_err(), "cut at {length}");
    }
    assert_eq!(Page::open(b"not a page at all").err(), Some(PageError::Foreign));
}

/// A page of many entries that are like each other.
fn long_page() -> (Batch, Page) {
    let mut recorder = Recorder::new(Sequence::FIRST);
    recorder.note(&Record::Life(head(Durability::WriteAhead)));
    recorder.note(&Record::Snapshot(snapshot(0)));
    for number in 0..200 {
        recorder.entry(entry(number, None));
    }
    let batch = recorder.take().expect("something was recorded");
    let page = Page::seal(ChainHash::START, &batch);
    (batch, page)
}

#[test]
fn a_long_page_is_compressed_and_comes_back() {
    let (batch, page) = long_page();
    assert!(page.bytes.len() * 2 < batch.bytes.len(), "{} bytes", page.bytes.len());
    let open = Page::open(&page.bytes).expect("a whole page");
    assert!(open.records().eq(batch.records()));
    for place in 0..page.bytes.len() {
        let mut bytes = page.bytes.clone();
        bytes[place] ^= 0x10;
        assert!(Page::open(&bytes).is_err(), "byte {place}");
    }
}

#[test]
fn a_page_that_lies_about_its_length_is_damaged() {
    let (_, page) = long_page();
    let place = 4 + 2 + 8 + 4 + 32;
    for length in [1, u32::MAX, 1 << 20] {
        let mut bytes = page.bytes[..page.bytes.len() - 32].to_vec();
        bytes[place..place + 4].copy_from_slice(&length.to_le_bytes());
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        assert_eq!(Page::open(&bytes).err(), Some(PageError::Damaged), "{length}");
    }
}

#[test]
fn a_page_of_the_first_version_is_read() {
    let now = &pages()[0];
    let place = 4 + 2 + 8 + 4 + 32;
    let mut bytes = now.bytes[..now.bytes.len() - 32].to_vec();
    bytes[4] = 1;
    bytes.drain(place..place + 4);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    let (then, now) = (Page::open(&bytes), Page::open(&now.bytes));
    let records = |page: &Result<OpenPage<'_>, PageError>| {
        let page = page.as_ref().expect("a whole page");
        page.records().map(|record| record.map(|(n, record)| (n, record.into_owned()))).collect()
    };
    let [then, now]: [Vec<_>; 2] = [records(&then), records(&now)];
    assert_eq!(then, now);
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = pages()[0].bytes.clone();
    bytes[4] = 9;
    assert_eq!(Page::open(&bytes).err(), Some(PageError::Newer(9)));
}

#[test]
fn recovery_gives_back_what_lives_on() {
    let recovered = recover(&pages());
    assert_eq!(recovered.next, Sequence(15));
    assert_eq!(recovered.moment.wall, WallTime::from_millis(12));
    let [life] = &recovered.lives[..] else { panic!("one life") };
    assert_eq!((&life.head, life.snapshot.number), (&head(Durability::WriteAhead), 2));
    let numbers: Vec<u64> = life.entries.iter().map(|old| old.entry.number).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(life.entries[1].era.seed, [5; 32]);
    assert_eq!(life.entries[1].moment.time, Time::from_nanos(11));
    let outbox = &recovered.outbox[&OTHER];
    assert_eq!((outbox.epoch, outbox.next), (Incarnation(7), 3));
    assert_eq!(outbox.letters, [letter(2)]);
    assert_eq!(recovered.taken[&OTHER].number, 5);
}

#[test]
fn what_is_fed_twice_counts_once() {
    let pages = pages();
    let (once, twice) = (recover(&pages), recover(&[&pages[..], &pages[1..]].concat()));
    assert_eq!(twice.outbox, once.outbox);
    assert_eq!(twice.taken, once.taken);
    assert_eq!(twice.lives[0].entries.len(), once.lives[0].entries.len());
}

#[test]
fn a_missing_page_loses_the_life_and_says_why() {
    let pages = pages();
    let mut recovery = Recovery::new();
    for page in [&pages[0], &pages[2]] {
        for record in Page::open(&page.bytes).expect("a whole page").records() {
            let (sequence, record) = record.expect("a whole record");
            recovery.record(sequence, record);
        }
    }
    let recovered = recovery.finish();
    assert!(recovered.lives.is_empty());
    assert_eq!(recovered.lost[0].1, "its input 1 is missing before 3");
}

#[test]
fn history_ends_with_its_host_and_what_has_ended_stays_ended() {
    let mut recovery = Recovery::new();
    recovery.record(Sequence(1), Record::Life(head(Durability::History)));
    recovery.record(Sequence(2), Record::Snapshot(snapshot(0)));
    assert!(recovery.finish().lives.is_empty());
    let mut recovery = Recovery::new();
    recovery.record(Sequence(1), Record::Life(head(Durability::WriteAhead)));
    recovery.record(Sequence(2), Record::Snapshot(snapshot(0)));
    recovery.record(Sequence(3), Record::End { life: LIFE, how: Ended::Stopped });
    let recovered = recovery.finish();
    assert!(recovered.lives.is_empty() && recovered.lost.is_empty());
}

#[test]
fn the_index_of_a_batch_names_all_but_moments_and_ordinary_entries() {
    let mut recorder = Recorder::new(Sequence(40));
    recorder.at(Time::ZERO, WallTime::from_millis(1));
    recorder.entry(entry(0, None));
    recorder.note(&Record::Snapshot(snapshot(1)));
    recorder.entry(entry(1, Some(4)));
    recorder.note(&Record::End { life: LIFE, how: Ended::Died });
    let batch = recorder.take().expect("something was recorded");
    let notable: Vec<_> = batch.notable().collect();
    assert_eq!(
        notable,
        [
            (Sequence(42), Record::Snapshot(snapshot(1))),
            (Sequence(43), Record::Entry(entry(1, Some(4)))),
            (Sequence(44), Record::End { life: LIFE, how: Ended::Died })
        ]
    );
    assert_eq!(batch.lives, [LIFE]);
    assert_eq!(batch.next(), Sequence(45));
}
