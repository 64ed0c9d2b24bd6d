//! A journal on a disk that gets full, and empties again.

#![allow(clippy::print_stderr, reason = "a skipped check says so")]

use std::path::{Path, PathBuf};

use starling_node::journal::{Journal, JournalError, Opened, Options, Progress, Reader};
use starling_protocols::journal::Sequence;
use starling_tests::{
    Small,
    story::{Story, digest_of},
};

fn small() -> Option<(Small, PathBuf)> {
    let Some(small) = Small::new() else {
        eprintln!("skipped: only root can make a small file system to fill");
        return None;
    };
    let journal = small.path().join("journal");
    Some((small, journal))
}

fn open(dir: &Path) -> (Journal, Opened) {
    Journal::open(dir, Options::default()).expect("it opens")
}

fn next(journal: &Journal) -> Progress {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(journal.progress()).expect("it goes on")
}

fn see_durable(journal: &Journal, next_record: Sequence) {
    loop {
        match next(journal) {
            Progress::Durable(upto) if upto >= next_record => return,
            Progress::Durable(_) | Progress::Written(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn see_full(journal: &Journal) -> String {
    loop {
        match next(journal) {
            Progress::Full { why } => return why,
            Progress::Durable(_) | Progress::Written(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn check(dir: &Path, opened: &Opened, story: &Story) {
    assert_eq!(opened.damage, []);
    assert_eq!(digest_of(&opened.recovered), digest_of(&story.recovered()));
    let report = Reader::open(dir).expect("it opens").verify().expect("it can be read");
    assert_eq!(report.problems, []);
}

#[test]
fn a_full_disk_holds_everything_up_and_loses_nothing() {
    let Some((small, dir)) = small() else { return };
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    journal.append(story.step(0));
    see_durable(&journal, story.next());
    small.fill();
    for step in 1..40 {
        journal.append(story.step(step));
    }
    let why = see_full(&journal);
    assert!(why.contains("free some space"), "{why}");
    assert_eq!(journal.why_full(), Some(why));
    // What is there can be looked at meanwhile.
    let reader = Reader::open(&dir).expect("it opens");
    assert_eq!(reader.verify().expect("it can be read").problems, []);
    journal.append(story.step(40));
    small.empty();
    assert!(matches!(next(&journal), Progress::Works));
    see_durable(&journal, story.next());
    assert_eq!(journal.why_full(), None);
    journal.close().expect("there is room");
    check(&dir, &open(&dir).1, &story);
}

#[test]
fn a_new_file_waits_for_room_too() {
    let Some((small, dir)) = small() else { return };
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    for step in 0..4 {
        journal.append(story.step(step));
    }
    see_durable(&journal, story.next());
    small.fill();
    journal.append(story.rotate());
    journal.append(story.step(4));
    see_full(&journal);
    small.empty();
    assert!(matches!(next(&journal), Progress::Works));
    see_durable(&journal, story.next());
    journal.close().expect("there is room");
    check(&dir, &open(&dir).1, &story);
}

#[test]
fn a_journal_that_is_closed_while_the_disk_is_full_says_so_and_keeps_what_was_durable() {
    let Some((small, dir)) = small() else { return };
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    journal.append(story.step(0));
    see_durable(&journal, story.next());
    let durable = digest_of(&story.recovered());
    small.fill();
    // More than what is left in the pages that the log has.
    let mut batch = story.step(1);
    while batch.bytes.len() < 100_000 {
        let more = story.step(2);
        batch.count += more.count;
        batch.bytes.extend_from_slice(&more.bytes);
    }
    journal.append(batch);
    see_full(&journal);
    let closed = journal.close();
    assert!(matches!(closed, Err(JournalError::Blocked { .. })), "{closed:?}");
    // A start finds no room either, and says so.
    let why = Journal::open(&dir, Options::default()).map(drop);
    if let Err(why) = why {
        assert!(why.to_string().contains("free some space"), "{why}");
    }
    small.empty();
    assert_eq!(digest_of(&open(&dir).1.recovered), durable);
}
