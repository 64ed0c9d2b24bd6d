#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "seeds are told when a test fails")]

mod damage;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

type Copies = BTreeMap<String, Vec<u8>>;

/// A directory in memory if there can be one.
fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn file_in(dir: &TempDir) -> PathBuf {
    dir.path().join("documents.db")
}

fn open_at(path: &Path) -> (Documents, OpenedDocuments, Copies) {
    let mut copies = Copies::new();
    let (documents, opened) = Documents::open(path, |kept| {
        assert_eq!(copies.insert(kept.name, kept.bytes), None);
    })
    .unwrap();
    assert_eq!(opened.copies, copies.len() as u64);
    (documents, opened, copies)
}

fn open(dir: &TempDir) -> (Documents, OpenedDocuments, Copies) {
    open_at(&file_in(dir))
}

/// What comes back after all was closed.
fn reopened(dir: &TempDir) -> Copies {
    let (documents, opened, copies) = open(dir);
    assert_eq!((opened.damaged, opened.damage, opened.doubt), Default::default());
    documents.close().unwrap();
    copies
}

fn kept(name: &str, bytes: &[u8]) -> Kept {
    Kept { name: name.into(), bytes: bytes.into() }
}

fn put(number: u64, put: &[(&str, &[u8])]) -> KeptBatch {
    let put = put.iter().map(|(name, bytes)| kept(name, bytes)).collect();
    KeptBatch { number, put, forget: Vec::new() }
}

fn copies(all: &[(&str, &[u8])]) -> Copies {
    all.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[track_caller]
fn wait_stored(documents: &Documents, number: u64) {
    loop {
        match block_on(documents.progress()) {
            Some(Progress::Stored(upto)) if upto == number => return,
            Some(Progress::Stored(upto)) if upto < number => {}
            other => panic!("{other:?} while waiting for {number}"),
        }
    }
}

/// Rows with bytes that tell them apart, about 500 each.
fn many(number: u64, count: u64) -> KeptBatch {
    let row = |row: u64| {
        let mut bytes = vec![0; 500];
        blake3::Hasher::new().update(&row.to_le_bytes()).finalize_xof().fill(&mut bytes);
        kept(&format!("descriptor/{row:06}"), &bytes)
    };
    KeptBatch { number, put: (0..count).map(row).collect(), forget: Vec::new() }
}

fn copies_of(batch: &KeptBatch) -> Copies {
    batch.put.iter().map(|kept| (kept.name.clone(), kept.bytes.clone())).collect()
}

#[test]
fn what_was_stored_comes_back_and_the_last_of_a_name_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, opened, found) = open(&dir);
    assert_eq!((opened.copies, found.len()), (0, 0));
    documents.store(put(1, &[("a", b"1"), ("b", b"1"), ("a", b"2")]));
    documents.store(put(2, &[("b", b"2"), ("c", b"")]));
    wait_stored(&documents, 2);
    // As after `kill -9`: nothing is closed, another process opens the files.
    let copy = quick_dir();
    for name in ["documents.db", "documents.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let expected = copies(&[("a", b"2"), ("b", b"2"), ("c", b"")]);
    assert_eq!(reopened(&copy), expected);
    documents.close().unwrap();
    assert!(!dir.path().join("documents.db-wal").exists());
    assert_eq!(fs::metadata(file_in(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(reopened(&dir), expected);
    // Numbers begin anew in each life.
    let (documents, ..) = open(&dir);
    documents.store(put(1, &[("a", b"3")]));
    wait_stored(&documents, 1);
    documents.close().unwrap();
    assert_eq!(reopened(&dir), copies(&[("a", b"3"), ("b", b"2"), ("c", b"")]));
}

#[test]
fn what_is_forgotten_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, ..) = open(&dir);
    documents.store(put(1, &[("a", b"1"), ("b", b"1")]));
    let forget = vec!["a".to_owned(), "nobody".to_owned(), "c".to_owned()];
    documents.store(KeptBatch { forget, ..put(2, &[("c", b"1"), ("d", b"1")]) });
    documents.store(KeptBatch { number: 3, ..KeptBatch::default() });
    wait_stored(&documents, 3);
    documents.close().unwrap();
    assert_eq!(reopened(&dir), copies(&[("b", b"1"), ("d", b"1")]));
}

#[test]
fn a_large_batch_is_stored_and_its_room_is_given_back() {
    let dir = quick_dir();
    let batch = many(1, 10_000);
    let (documents, ..) = open(&dir);
    documents.store(batch.clone());
    wait_stored(&documents, 1);
    documents.close().unwrap();
    let large = fs::metadata(file_in(&dir)).unwrap().len();
    assert!(large > 5_000_000, "{large}");
    let (documents, _, found) = open(&dir);
    assert_eq!(found, copies_of(&batch));
    let forget = batch.put.iter().skip(10).map(|kept| kept.name.clone()).collect();
    documents.store(KeptBatch { number: 1, put: Vec::new(), forget });
    wait_stored(&documents, 1);
    // Steps are made while nothing else is to be done: until no free pages are left to give.
    let look = Connection::open(file_in(&dir)).unwrap();
    let pages = || look.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap();
    let mut number = 1;
    while pages() > 300 {
        number += 1;
        assert!(number < 100_000, "{} pages are still there", pages());
        documents.store(KeptBatch { number, ..KeptBatch::default() });
        wait_stored(&documents, number);
    }
    drop(look);
    documents.close().unwrap();
    let small = fs::metadata(file_in(&dir)).unwrap().len();
    assert!(small < large / 4, "{small} of {large}");
    assert_eq!(reopened(&dir), copies_of(&many(1, 10)));
}

#[test]
fn a_batch_out_of_order_ends_the_writer_and_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, ..) = open(&dir);
    documents.store(put(2, &[("a", b"1")]));
    wait_stored(&documents, 2);
    documents.store(put(2, &[("a", b"2")]));
    let told = block_on(documents.progress());
    let Some(Progress::Failed(DocumentsError::OutOfOrder { last: 2, found: 2 })) = told else {
        panic!("{told:?}")
    };
    documents.store(put(3, &[("a", b"3")]));
    assert!(block_on(documents.progress()).is_none());
    documents.close().unwrap();
    assert_eq!(reopened(&dir), copies(&[("a", b"1")]));
}

#[test]
fn the_main_loop_waits_while_there_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, _) = Documents::open_with(&file_in(&dir), 1, drop).unwrap();
    assert!(documents.has_room());
    // Another program writes: nothing can be written.
    let other = Connection::open(file_in(&dir)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    documents.store(put(1, &[("a", b"1")]));
    assert!(!documents.has_room());
    let told = block_on(documents.progress());
    let Some(Progress::Full { why }) = told else { panic!("{told:?}") };
    assert!(why.contains("another program keeps it locked"), "{why}");
    assert_eq!(documents.why_full(), Some(why));
    assert_eq!(documents.waiting_bytes(), 64 + 2);
    other.execute_batch("COMMIT").unwrap();
    let told = block_on(documents.progress());
    assert!(matches!(told, Some(Progress::Works)), "{told:?}");
    wait_stored(&documents, 1);
    block_on(documents.wait_for_room());
    assert_eq!((documents.has_room(), documents.waiting_bytes()), (true, 0));
}

#[test]
fn people_can_read_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, ..) = open(&dir);
    documents.store(put(1, &[("conf/echo", b"1")]));
    documents.close().unwrap();
    let look = Connection::open(file_in(&dir)).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE name = 'documents'";
    let schema: String = look.query_row(sql, [], |row| row.get(0)).unwrap();
    assert!(schema.contains("-- This host's copies of documents."), "{schema}");
    let sql = "SELECT name, bytes, kept_ms FROM documents";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (name, bytes, kept_ms): (String, Vec<u8>, i64) = look.query_row(sql, [], row).unwrap();
    assert_eq!((&*name, &*bytes), ("conf/echo", &b"1"[..]));
    assert!(kept_ms <= database::file::int(crate::clock::wall().as_millis()));
}
