//! Documents on a disk that gets full, and empties again.

#![allow(clippy::print_stderr, reason = "a skipped check says so")]

use std::path::{Path, PathBuf};

use starling_node::documents::{Documents, DocumentsError, Progress};
use starling_protocols::replica::{Kept, KeptBatch};
use starling_tests::{
    Small,
    copies::{Copies, after, batch},
};

fn small() -> Option<(Small, PathBuf)> {
    let Some(small) = Small::new() else {
        eprintln!("skipped: only root can make a small file system to fill");
        return None;
    };
    let file = small.path().join("documents.db");
    Some((small, file))
}

fn open(file: &Path) -> (Documents, Copies) {
    let mut copies = Copies::new();
    let each = |kept: Kept| drop(copies.insert(kept.name, kept.bytes));
    let (documents, opened) = Documents::open(file, each).expect("it opens");
    assert_eq!((opened.damage, opened.doubt, opened.damaged.count), (None, None, 0));
    (documents, copies)
}

fn next(documents: &Documents) -> Progress {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(documents.progress()).expect("it goes on")
}

fn see_stored(documents: &Documents, number: u64) {
    loop {
        match next(documents) {
            Progress::Stored(upto) if upto == number => return,
            Progress::Stored(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn see_full(documents: &Documents) -> String {
    loop {
        match next(documents) {
            Progress::Full { why } => return why,
            Progress::Stored(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// More than what is left in the pages that the log has.
fn large(number: u64) -> KeptBatch {
    let row = |row: u64| Kept { name: format!("large/{row}"), bytes: vec![7; 1000] };
    KeptBatch { number, put: (0..200).map(row).collect(), forget: vec!["conf/echo".into()] }
}

#[test]
fn a_full_disk_holds_everything_up_and_loses_nothing() {
    let Some((small, file)) = small() else { return };
    let (documents, _) = open(&file);
    documents.store(batch(1));
    see_stored(&documents, 1);
    small.fill();
    for number in 2..=40 {
        documents.store(batch(number));
    }
    let why = see_full(&documents);
    assert!(why.contains("free some space"), "{why}");
    assert_eq!(documents.why_full(), Some(why));
    documents.store(batch(41));
    small.empty();
    assert!(matches!(next(&documents), Progress::Works));
    see_stored(&documents, 41);
    assert_eq!(documents.why_full(), None);
    documents.close().expect("there is room");
    assert_eq!(open(&file).1, after(41));
}

#[test]
fn documents_that_are_closed_while_the_disk_is_full_say_so_and_nothing_is_half_applied() {
    let Some((small, file)) = small() else { return };
    let (documents, _) = open(&file);
    documents.store(batch(1));
    see_stored(&documents, 1);
    small.fill();
    documents.store(large(2));
    see_full(&documents);
    let closed = documents.close();
    assert!(matches!(closed, Err(DocumentsError::Blocked { .. })), "{closed:?}");
    // A start that finds no room either says so.
    if let Err(why) = Documents::open(&file, drop) {
        assert!(why.to_string().contains("free some space"), "{why}");
    }
    small.empty();
    assert_eq!(open(&file).1, after(1));
}
