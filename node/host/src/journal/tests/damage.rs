//! Cut, flipped, foreign and later files: never a panic, never a wrong record, and a clear word.

use std::{
    fs::{self, OpenOptions},
    path::PathBuf,
};

use rusqlite::Connection;
use starling_protocols::entropy::Entropy;
use tempfile::TempDir;

use super::{
    place::{copy, quick_dir, wait_durable},
    story::{Story, digest_of},
    *,
};
use crate::journal::{index::column, schema, store::PageRow};

/// A journal whose files are there as after `kill -9`.
struct Killed {
    dir: TempDir,
    story: Story,
    /// After each batch: how long the log beside the file is, and what must come back.
    log: Vec<(u64, Vec<String>)>,
    journal: Option<Journal>,
}

fn journal_dir(dir: &TempDir) -> PathBuf {
    dir.path().join("journal")
}

fn newest(dir: &TempDir) -> PathBuf {
    files::numbered(&journal_dir(dir)).unwrap().pop().unwrap()
}

impl Killed {
    fn after(steps: u64) -> Self {
        let dir = quick_dir();
        let (journal, opened) = Journal::open(&journal_dir(&dir), Options::default()).unwrap();
        let mut story = Story::begin(&opened.recovered);
        let mut log = Vec::new();
        for step in 0..steps {
            let batch = if step == steps / 2 { story.rotate() } else { story.step(step) };
            journal.append(batch);
            wait_durable(&journal, story.next());
            let wal = schema::beside(&newest(&dir), "-wal");
            let length = fs::metadata(wal).map_or(0, |about| about.len());
            if step > steps / 2 {
                log.push((length, digest_of(&story.recovered())));
            }
        }
        Self { dir, story, log, journal: Some(journal) }
    }

    fn closed(mut self) -> Self {
        self.journal.take().unwrap().close().unwrap();
        self
    }

    fn copy(&self) -> TempDir {
        copy(&journal_dir(&self.dir))
    }
}

fn reopen(dir: &TempDir) -> Result<Opened, JournalError> {
    let files = Files::open(&journal_dir(dir))?;
    Ok(recover::open(&files)?.1)
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

/// What comes back is what was recorded; what is missing is named.
fn assert_no_lie(opened: &Opened, expected: &Recovered, case: &str) {
    let (found, whole) = (&opened.recovered, digest_of(expected));
    if opened.damage.is_empty() {
        assert_eq!(digest_of(found), whole, "{case}");
        return;
    }
    assert!(found.next >= expected.next, "{case}: {:?}", found.next);
    let expected_lines =
        |of: &Recovered| digest_of(&Recovered { next: expected.next, ..of.clone() });
    let said = expected_lines(&Recovered { lost: Vec::new(), ..found.clone() });
    for line in &said {
        assert!(whole.contains(line), "{case}: {line} is wrong");
    }
    let aside = opened.damage.iter().any(|damage| damage.set_aside.is_some());
    if !aside {
        let known = found.lives.iter().map(|life| &life.head);
        let known: Vec<_> = known.chain(found.lost.iter().map(|(head, _)| head)).collect();
        assert!(expected.lives.iter().all(|life| known.contains(&&life.head)), "{case}");
        assert_eq!((&found.outbox, &found.taken), (&expected.outbox, &expected.taken), "{case}");
    }
}

#[test]
fn a_log_that_is_cut_anywhere_gives_all_that_was_complete() {
    let killed = Killed::after(16);
    let [.., (from, _), _, (end, _)] = killed.log[..] else { panic!("it has a log") };
    let wal = schema::beside(&newest(&killed.dir), "-wal");
    assert_eq!(fs::metadata(&wal).unwrap().len(), end);
    for length in (from..=end).rev().step_by(7) {
        let copy = killed.copy();
        cut(&schema::beside(&newest(&copy), "-wal"), length);
        let opened = reopen(&copy).unwrap();
        let complete = killed.log.iter().rev().find(|(upto, _)| *upto <= length);
        assert_eq!(digest_of(&opened.recovered), complete.unwrap().1, "cut at {length}");
        assert_eq!(opened.damage, [], "cut at {length}");
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_found_out() {
    let killed = Killed::after(16).closed();
    let expected = killed.story.recovered();
    let length = fs::metadata(newest(&killed.dir)).unwrap().len();
    // All that SQLite looks at first, then enough to meet every part of its structure.
    for length in (0..150).chain((150..length).step_by(331)) {
        let copy = killed.copy();
        let path = newest(&copy);
        cut(&path, length);
        let opened = reopen(&copy).unwrap();
        assert!(!opened.damage.is_empty(), "cut at {length}");
        assert_no_lie(&opened, &expected, &format!("cut at {length}"));
        let aside = opened.damage.iter().find_map(|damage| damage.set_aside.clone());
        assert_eq!(fs::metadata(aside.unwrap_or(path)).unwrap().len(), length);
    }
}

#[test]
fn a_bit_that_flips_anywhere_in_a_file_is_found_out_or_does_not_matter() {
    let killed = Killed::after(30).closed();
    let expected = killed.story.recovered();
    let bits = fs::metadata(newest(&killed.dir)).unwrap().len() * 8;
    let seed = crate::clock::wall().as_millis();
    println!("seed {seed}");
    let mut entropy = Entropy::from_seed(*blake3::hash(&seed.to_le_bytes()).as_bytes());
    for number in 0..400 {
        // The first page and those of the small tables are met often.
        let bit = if number % 4 == 0 { entropy.below(8 * 4096) } else { entropy.below(bits) };
        let copy = killed.copy();
        flip(&newest(&copy), bit);
        check_reader(&copy, &killed.story, &format!("bit {bit}, seed {seed}"));
        match reopen(&copy) {
            Ok(opened) => assert_no_lie(&opened, &expected, &format!("bit {bit}, seed {seed}")),
            Err(why) => panic!("bit {bit}, seed {seed}: {why}"),
        }
    }
}

/// Whoever reads a damaged journal is told so, or reads what was recorded.
fn check_reader(dir: &TempDir, story: &Story, case: &str) {
    let Ok(reader) = Reader::open(&journal_dir(dir)) else { return };
    let Ok(report) = reader.verify() else { return };
    if !report.is_sound() {
        return;
    }
    let read = reader.records().map(|told| told.map(|told| (told.sequence, told.record)));
    let read: Result<Vec<_>, _> = read.collect();
    assert_eq!(read.unwrap(), story.told, "{case}");
}

#[test]
fn a_bit_that_flips_anywhere_in_the_log_gives_what_was_complete_before_it() {
    let killed = Killed::after(30);
    let wal = schema::beside(&newest(&killed.dir), "-wal");
    let bits = fs::metadata(wal).unwrap().len() * 8;
    let seed = crate::clock::wall().as_millis();
    println!("seed {seed}");
    let mut entropy = Entropy::from_seed(*blake3::hash(&seed.to_le_bytes()).as_bytes());
    let begun: Vec<String> = digest_of(&killed.story.recovered_of(rotated(&killed.story)));
    for _ in 0..200 {
        let bit = entropy.below(bits);
        let copy = killed.copy();
        flip(&schema::beside(&newest(&copy), "-wal"), bit);
        let opened = reopen(&copy).unwrap();
        let found = digest_of(&opened.recovered);
        let was = killed.log.iter().any(|(_, state)| *state == found) || found == begun;
        assert!(was, "bit {bit}, seed {seed}: {found:#?}");
    }
}

/// The record after the batch that began the newest file.
fn rotated(story: &Story) -> Sequence {
    let told = story.told.iter().rev();
    let took = told.clone().find(|(_, record)| matches!(record, Record::Numbering { .. }));
    let (numbering, _) = took.unwrap();
    let after = story
        .told
        .iter()
        .find(|(sequence, record)| sequence > numbering && !matches!(record, Record::Took(_)));
    after.unwrap().0
}

#[test]
fn what_is_no_journal_is_set_aside_and_not_deleted() {
    for content in [&b""[..], b"hello", &[0; 8192], b"SQLite format 3\0"] {
        let killed = Killed::after(8).closed();
        let path = newest(&killed.dir);
        fs::write(&path, content).unwrap();
        let opened = reopen(&killed.dir).unwrap();
        let [damage] = &opened.damage[..] else { panic!("{:?}", opened.damage) };
        assert_eq!(fs::read(damage.set_aside.as_ref().unwrap()).unwrap(), content);
        assert!(opened.recovered.lives.is_empty());
        // The next start goes on with the new file.
        let again = reopen(&killed.dir).unwrap();
        assert_eq!((again.damage, again.recovered.next), (Vec::new(), opened.recovered.next));
    }
}

fn sql(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_later_format_is_named_and_left_as_it_is() {
    let killed = Killed::after(8).closed();
    let path = newest(&killed.dir);
    sql(&path, "PRAGMA user_version=2; UPDATE meta SET value = '2' WHERE key = 'format'");
    let before = fs::read(&path).unwrap();
    let why = reopen(&killed.dir).unwrap_err();
    assert!(matches!(why, JournalError::Newer { format: 2, .. }), "{why}");
    assert!(why.to_string().contains("use that version"), "{why}");
    assert!(matches!(Reader::open(&path), Err(JournalError::Newer { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_page_of_a_later_version_is_named() {
    let killed = Killed::after(8).closed();
    let path = newest(&killed.dir);
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT bytes FROM pages ORDER BY first DESC LIMIT 1";
    let mut bytes: Vec<u8> = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    bytes[4] = 9;
    let change = "UPDATE pages SET bytes = ? WHERE first = (SELECT max(first) FROM pages)";
    conn.execute(change, [&bytes]).unwrap();
    // A flipped bit is not taken for a later version…
    assert!(!reopen(&killed.copy()).unwrap().damage.is_empty());
    // …whose checksum is right.
    let covered = bytes.len() - 32;
    let hash = *blake3::hash(&bytes[..covered]).as_bytes();
    bytes[covered..].copy_from_slice(&hash);
    conn.execute(change, [&bytes]).unwrap();
    drop(conn);
    let why = reopen(&killed.dir).unwrap_err();
    assert!(matches!(why, JournalError::Newer { format: 9, .. }), "{why}");
}

#[test]
fn an_index_that_lost_something_is_made_anew() {
    for change in [
        "DELETE FROM outbox WHERE number = (SELECT max(number) FROM outbox)",
        "DELETE FROM lives WHERE life = (SELECT min(life) FROM lives)",
        "UPDATE lives SET ended = 'stopped'",
        "UPDATE lives SET snapshot_page = snapshot_page + 1",
        "DELETE FROM taken",
        "UPDATE numberings SET record = zeroblob(4)",
        "DELETE FROM eras",
    ] {
        let killed = Killed::after(16).closed();
        sql(&newest(&killed.dir), change);
        let opened = reopen(&killed.dir).unwrap();
        let [damage] = &opened.damage[..] else { panic!("{change}: {:?}", opened.damage) };
        assert!(damage.why.contains("made anew"), "{change}: {}", damage.why);
        assert_same(&opened.recovered, &killed.story.recovered());
        assert_eq!(reopen(&killed.dir).unwrap().damage, [], "{change}");
    }
}

#[test]
fn a_damaged_page_loses_the_lives_in_it_and_no_others() {
    let killed = Killed::after(10).closed();
    let path = newest(&killed.dir);
    // The last batch was of the first life.
    let change = "UPDATE pages SET bytes = zeroblob(length(bytes)) \
                  WHERE first = (SELECT max(first) FROM pages)";
    sql(&path, change);
    let opened = reopen(&killed.dir).unwrap();
    assert_eq!(opened.damage.len(), 1);
    let lives: Vec<Life> = opened.recovered.lives.iter().map(|life| life.head.life).collect();
    assert_eq!(lives, [killed.story.lives[1]]);
    let [(head, why)] = &opened.recovered.lost[..] else { panic!("one is lost") };
    assert_eq!(head.life, killed.story.lives[0]);
    assert!(why.contains("are not the bytes of a page"), "{why}");
    assert_eq!(opened.recovered.next, killed.story.next());
    let report = Reader::open(&path).unwrap().verify().unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
}

#[test]
fn a_page_that_is_missing_is_found_out() {
    for which in ["max(first)", "min(first)"] {
        let killed = Killed::after(10).closed();
        let change = format!("DELETE FROM pages WHERE first = (SELECT {which} FROM pages)");
        sql(&newest(&killed.dir), &change);
        let report = Reader::open(&newest(&killed.dir)).unwrap().verify().unwrap();
        assert!(!report.is_sound());
        let opened = reopen(&killed.dir).unwrap();
        assert!(opened.damage.iter().any(|damage| damage.set_aside.is_some()));
        assert_no_lie(&opened, &killed.story.recovered(), which);
        assert_eq!(opened.recovered.lost.len(), 2);
    }
}

#[test]
fn an_index_of_pages_that_lies_is_found_out() {
    let killed = Killed::after(10).closed();
    let path = newest(&killed.dir);
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT first, count, wall_ms, lives, hash, digest FROM pages ORDER BY first DESC";
    let (row, said) = conn.query_row(sql, [], PageRow::read).unwrap();
    assert_eq!(column(index::digest(&row)), said);
    conn.execute("UPDATE pages SET lives = '[]' WHERE first = ?", [row.first]).unwrap();
    drop(conn);
    let opened = reopen(&killed.dir).unwrap();
    assert!(!opened.damage.is_empty());
    assert_no_lie(&opened, &killed.story.recovered(), "no lives");
}

#[test]
fn a_flipped_bit_within_the_log_is_told_and_the_log_is_kept() {
    let killed = Killed::after(8);
    let wal = schema::beside(&newest(&killed.dir), "-wal");
    let length = fs::metadata(&wal).unwrap().len();
    assert_eq!(crate::database::wal::damage(&newest(&killed.dir)), None);
    // In its last frame it cannot be told from a torn end.
    for bit in [5, 32 * 8 + 3, (32 + 24 + 100) * 8, (length - 4096 - 24) * 4] {
        let copy = killed.copy();
        let (path, wal) = (newest(&copy), schema::beside(&newest(&copy), "-wal"));
        flip(&wal, bit);
        let before = fs::read(&wal).unwrap();
        let report = Reader::open(&journal_dir(&copy)).unwrap().verify().unwrap();
        assert!(report.problems.iter().any(|problem| problem.what.contains("its log")), "{bit}");
        let opened = reopen(&copy).unwrap();
        let [doubt] = &opened.doubts[..] else { panic!("one doubt: {:?}", opened.doubts) };
        assert_eq!(doubt.path, path);
        let aside = doubt.set_aside.as_ref().expect("a copy of the log");
        assert_eq!(fs::read(aside).unwrap(), before);
        assert_eq!(crate::journal::set_aside(&journal_dir(&copy)), std::slice::from_ref(aside));
    }
}

#[test]
fn a_log_without_its_file_is_set_aside() {
    let killed = Killed::after(8);
    let copy = killed.copy();
    let (path, wal) = (newest(&copy), schema::beside(&newest(&copy), "-wal"));
    let before = fs::read(&wal).unwrap();
    files::numbered(&journal_dir(&copy)).unwrap().iter().for_each(|file| {
        fs::remove_file(file).unwrap();
    });
    let opened = reopen(&copy).unwrap();
    let [damage] = &opened.damage[..] else { panic!("one damage: {:?}", opened.damage) };
    assert_eq!(damage.path, path);
    assert!(damage.why.contains("only its log"), "{}", damage.why);
    let aside = damage.set_aside.as_ref().expect("it is kept");
    assert_eq!(fs::read(schema::beside(aside, "-wal")).unwrap(), before);
    assert!(newest(&copy) > path, "its number is not given again");
}

#[test]
fn through_the_link_the_log_beside_the_file_is_read_too() {
    let killed = Killed::after(8);
    let all = |path: &Path| Reader::open(path).unwrap().records().count();
    let link = journal_dir(&killed.dir).join("current.db");
    assert_eq!(all(&link), all(&newest(&killed.dir)));
}

#[test]
fn a_file_that_is_removed_while_it_is_written_takes_nothing_more() {
    let mut killed = Killed::after(2);
    let path = newest(&killed.dir);
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).unwrap();
    let journal = killed.journal.take().unwrap();
    journal.append(killed.story.step(3));
    let Some(Progress::Full { why }) = futures::executor::block_on(async {
        loop {
            match journal.progress().await {
                Some(Progress::Durable(_) | Progress::Written(_)) => {}
                other => break other,
            }
        }
    }) else {
        panic!("it says so")
    };
    assert!(why.contains("removed or replaced"), "{why}");
    fs::rename(&moved, &path).unwrap();
    let works = futures::executor::block_on(journal.progress());
    assert!(matches!(works, Some(Progress::Works)), "{works:?}");
    wait_durable(&journal, killed.story.next());
}
