#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "seeds are told when a test fails")]

mod damage;
mod place;
mod reading;
mod story;

use std::{fs, os::unix::fs::PermissionsExt};

use place::wait_durable;
use starling_protocols::{
    ident::Incarnation,
    journal::{Life, Record, Recovered, Sequence},
};
use story::{OTHER, Story};
use tempfile::TempDir;

use super::{files, *};

fn open(dir: &TempDir) -> (Journal, Opened) {
    Journal::open(&dir.path().join("journal"), Options::default()).unwrap()
}

/// Compares everything that lives on.
#[track_caller]
fn assert_same(found: &Recovered, expected: &Recovered) {
    assert_eq!(story::digest_of(found), story::digest_of(expected));
}

#[test]
fn what_was_durable_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(&dir);
    assert_eq!((opened.recovered.next, opened.damage.len()), (Sequence::FIRST, 0));
    let mut story = Story::begin(&opened.recovered);
    for step in 0..20 {
        journal.append(story.step(step));
    }
    wait_durable(&journal, story.next());
    let expected = story.recovered();
    assert_eq!((expected.lives.len(), expected.outbox[&OTHER].letters.len()), (2, 5));
    // As after `kill -9`: nothing is closed, another process opens the files.
    let copy = place::copy(&dir.path().join("journal"));
    let (_, copied) = open(&copy);
    assert_same(&copied.recovered, &expected);
    journal.close().unwrap();
    let (journal, opened) = open(&dir);
    assert_same(&opened.recovered, &expected);
    assert_eq!(opened.damage, []);
    assert_eq!(opened.recovered.moment, expected.moment);
    // It goes on where it stood.
    let mut story = story.next_life(&opened.recovered, Incarnation(8));
    journal.append(story.step(20));
    wait_durable(&journal, story.next());
    journal.close().unwrap();
    assert_same(&open(&dir).1.recovered, &story.recovered());
}

#[test]
fn a_new_file_holds_all_that_is_needed_and_the_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    for step in 0..7 {
        journal.append(story.step(step));
    }
    journal.append(story.rotate());
    for step in 7..12 {
        journal.append(story.step(step));
    }
    wait_durable(&journal, story.next());
    journal.close().unwrap();
    let numbered = files::numbered(&dir.path().join("journal")).unwrap();
    assert_eq!(numbered.len(), 2);
    let link = fs::read_link(dir.path().join("journal/current.db")).unwrap();
    assert_eq!(Some(link.as_os_str()), numbered[1].file_name());
    assert_same(&open(&dir).1.recovered, &story.recovered());
    for path in &numbered {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let mode = fs::metadata(dir.path().join("journal")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn what_nobody_waits_for_is_written_and_becomes_durable_with_the_next_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    let mut batch = story.step(0);
    batch.urgent = false;
    let first = batch.next();
    journal.append(batch);
    let told = place::block_on(journal.progress());
    assert!(matches!(told, Some(Progress::Written(upto)) if upto == first), "{told:?}");
    let batch = story.step(1);
    let second = batch.next();
    journal.append(batch);
    let told = place::block_on(journal.progress());
    assert!(matches!(told, Some(Progress::Durable(upto)) if upto == second), "{told:?}");
}

#[test]
fn an_ended_life_and_a_history_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    journal.append(story.step(0));
    journal.append(story.end(0));
    wait_durable(&journal, story.next());
    journal.close().unwrap();
    let (_, opened) = open(&dir);
    let lives: Vec<Life> = opened.recovered.lives.iter().map(|life| life.head.life).collect();
    assert_eq!(lives, [story.lives[1]]);
}

#[test]
fn a_batch_out_of_order_ends_the_journal_and_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(&dir);
    let mut story = Story::begin(&opened.recovered);
    drop(story.step(0));
    journal.append(story.step(1));
    let told = place::block_on(journal.progress());
    let failed = matches!(told, Some(Progress::Failed(JournalError::OutOfOrder { .. })));
    assert!(failed, "{told:?}");
    assert!(place::block_on(journal.progress()).is_none());
    journal.close().unwrap();
    assert_eq!(open(&dir).1.recovered.next, Sequence::FIRST);
}

#[test]
fn a_writer_that_panics_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(&dir);
    let mut batch = Story::begin(&opened.recovered).step(0);
    batch.bytes.clear();
    journal.append(batch);
    let told = place::block_on(journal.progress());
    assert!(matches!(told, Some(Progress::Failed(JournalError::Panicked))), "{told:?}");
    assert!(place::block_on(journal.progress()).is_none());
    drop(journal);
    assert_eq!(open(&dir).1.recovered.next, Sequence::FIRST);
}

#[test]
fn old_files_go_by_size_and_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { retain_bytes: 1, ..Options::default() };
    let (journal, opened) = Journal::open(&dir.path().join("journal"), options).unwrap();
    let mut story = Story::begin(&opened.recovered);
    for step in 0..3 {
        journal.append(story.step(step));
        journal.append(story.rotate());
    }
    wait_durable(&journal, story.next());
    journal.close().unwrap();
    let files = Files::open(&dir.path().join("journal")).unwrap();
    assert_eq!(files.numbered().unwrap().len(), 1);
    let (journal, opened) = open(&dir);
    let mut story = story.next_life(&opened.recovered, Incarnation(8));
    journal.append(story.rotate());
    wait_durable(&journal, story.next());
    journal.close().unwrap();
    assert_eq!(files.numbered().unwrap().len(), 2);
    let day = Duration::from_secs(24 * 3600);
    let now = crate::clock::wall().as_millis();
    assert_eq!(files.retain(u64::MAX, day, now).unwrap().len(), 0);
    assert_eq!(files.retain(u64::MAX, day, now + 2 * 24 * 3_600_000).unwrap().len(), 1);
    assert_same(&open(&dir).1.recovered, &story.recovered());
}

#[test]
fn the_main_loop_waits_while_there_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { queue_bytes_max: 1, ..Options::default() };
    let (journal, opened) = Journal::open(&dir.path().join("journal"), options).unwrap();
    assert!(journal.has_room());
    let mut story = Story::begin(&opened.recovered);
    journal.append(story.step(0));
    place::block_on(journal.wait_for_room());
    assert!(journal.has_room());
    wait_durable(&journal, story.next());
}

#[test]
fn a_new_file_that_has_begun_is_not_begun_again_when_messages_beside_it_found_no_room() {
    use crate::database::Keeper as _;
    let dir = tempfile::tempdir().unwrap();
    let files = Files::open(&dir.path().join("journal")).unwrap();
    let (store, opened) = recover::open(&files).unwrap();
    let mut story = Story::begin(&opened.recovered);
    let mut keeper = Keeper { files, options: Options::default(), store };
    let queue = queue::Queue::default();
    queue.put(story.rotate());
    let work = queue.take(tokio::time::Instant::now());
    // What found no room is written again, all of it.
    keeper.write(&work).unwrap();
    keeper.write(&work).unwrap();
    assert_eq!(keeper.store.tail.next, story.next());
}
