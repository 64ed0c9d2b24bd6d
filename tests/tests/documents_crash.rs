//! Documents whose writer is killed at every write and every fsync, and whose disk loses power at
//! every fsync: what was said to be stored is there, and every batch whole or not at all.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real processes live by the real clock"
)]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "seeds and skipped checks are told")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use starling_node::documents::{Documents, Progress};
use starling_protocols::{entropy::Entropy, replica::Kept};
use starling_tests::{
    copies::{self, Copies},
    power::{Disk, Luck},
    strace::{self, SYNCS, Traced, WRITES},
};
use tempfile::TempDir;

const WRITER: &str = env!("CARGO_BIN_EXE_documents-writer");

const BATCHES: u64 = 20;

/// Of more writes than these only some are tried.
const TRIES_MAX: usize = 150;

/// A directory of its own for what the program makes, so that a trace is no part of it.
fn data(place: &TempDir) -> PathBuf {
    let dir = place.path().join("data");
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

fn file(place: &TempDir) -> PathBuf {
    data(place).join("documents.db")
}

fn traced<T>(place: &TempDir, batches: u64, act: impl FnOnce(Traced<'_>) -> T) -> T {
    let (file, batches) = (file(place), batches.to_string());
    act(Traced { program: WRITER, arguments: &[&file.to_string_lossy(), &batches] })
}

/// Opens what was left and compares it. Gives the number of the last batch that is there.
fn check(file: &Path, said: &str, case: &str) -> u64 {
    let promised = said.lines().filter_map(|line| line.strip_prefix("stored ")?.parse().ok());
    let promised: u64 = promised.max().unwrap_or_default();
    let mut found = Copies::new();
    let each = |kept: Kept| drop(found.insert(kept.name, kept.bytes));
    let (documents, opened) = Documents::open(file, each).expect(case);
    assert_eq!((opened.damage, opened.damaged.count), (None, 0), "{case}");
    let last = (0..=BATCHES).find(|number| copies::after(*number) == found);
    let Some(last) = last else { panic!("{case}: {:?} is no whole batch", found.keys()) };
    assert!(last >= promised, "{case}: {promised} was promised and {last} is there");
    // It goes on.
    documents.store(copies::batch(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let told = runtime.block_on(documents.progress());
    assert!(matches!(told, Some(Progress::Stored(1))), "{case}: {told:?}");
    documents.close().expect(case);
    last
}

/// Kills at each of the calls, or at so many of them. Says how far the writer came each time.
fn kill_at_each(calls: &str, max: usize, batches: u64, made: bool) -> Vec<u64> {
    let prepare = || {
        let place = strace::place();
        if made {
            let (documents, _) = Documents::open(&file(&place), drop).expect("a file");
            documents.close().expect("closed");
        }
        place
    };
    let counted = prepare();
    let log = counted.path().join("trace");
    let all = traced(&counted, batches, |writer| writer.count(calls, &log));
    println!("{all} times {calls}");
    assert!(all > 0);
    let tries = (1..=all).step_by(all.div_ceil(max));
    let killed = tries.map(|when| {
        let place = prepare();
        let (said, _) = traced(&place, batches, |writer| writer.harm(calls, "signal=KILL", when));
        check(&file(&place), &said, &format!("killed at {when} of {all} {calls}"))
    });
    killed.collect()
}

#[test]
fn a_writer_that_is_killed_at_any_write_leaves_whole_batches_and_loses_nothing_stored() {
    if strace::is_missing() {
        return;
    }
    let came = kill_at_each(WRITES, TRIES_MAX, BATCHES, true);
    assert_eq!(came.first(), Some(&0));
    assert!(came.iter().collect::<BTreeSet<_>>().len() > 10, "at many places: {came:?}");
}

#[test]
fn a_writer_that_is_killed_at_any_fsync_loses_nothing_stored() {
    if strace::is_missing() {
        return;
    }
    let came = kill_at_each(SYNCS, usize::MAX, BATCHES, true);
    assert!(came.iter().collect::<BTreeSet<_>>().len() > 10, "at many places: {came:?}");
}

#[test]
fn a_writer_that_is_killed_while_it_makes_the_file_leaves_one_that_opens() {
    if strace::is_missing() {
        return;
    }
    let came = kill_at_each(&format!("{WRITES},{SYNCS}"), usize::MAX, 0, false);
    assert!(came.iter().all(|last| *last == 0));
}

/// The writer must end, and what it said before must hold.
fn fail_at_each(calls: &str, max: usize) {
    let counted = strace::place();
    let log = counted.path().join("trace");
    let all = traced(&counted, BATCHES, |writer| writer.count(calls, &log));
    println!("{all} times {calls}");
    let mut ended = 0;
    for when in (1..=all).step_by(all.div_ceil(max)) {
        let place = strace::place();
        let (said, well) = traced(&place, BATCHES, |writer| writer.harm(calls, "error=EIO", when));
        let case = format!("EIO at {when} of {all} {calls}");
        let last = check(&file(&place), &said, &case);
        assert!(!well || last == BATCHES, "{case}: it went on to {last}");
        ended += usize::from(!well);
    }
    assert!(ended > 15, "it ended {ended} times");
}

#[test]
fn a_writer_whose_fsync_or_write_fails_ends_and_promises_nothing_more() {
    if strace::is_missing() {
        return;
    }
    fail_at_each(SYNCS, usize::MAX);
    fail_at_each("pwrite64", 60);
}

#[test]
fn a_power_cut_at_any_fsync_loses_nothing_stored() {
    if strace::is_missing() {
        return;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = u64::try_from(since.as_nanos()).unwrap_or_default();
    println!("seed {seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut entropy = Entropy::from_seed(bytes);
    let place = strace::place();
    let log = place.path().join("trace");
    let calls = traced(&place, BATCHES, |writer| writer.calls(&log));
    let mut disk = Disk::new(&data(&place));
    let (mut cuts, mut furthest) = (0, 0);
    for (number, call) in calls.iter().enumerate() {
        if !disk.follow(call) {
            continue;
        }
        for luck in 0..6 {
            let case = format!("power cut {luck} at call {number}, seed {seed}");
            furthest = check_cut(&disk, luck, &mut entropy, &case).max(furthest);
            cuts += 1;
        }
        disk.force(call);
        // What was forced is there, whatever becomes of the rest.
        check_cut(&disk, 0, &mut entropy, &format!("after call {number}, seed {seed}"));
    }
    println!("{cuts} power cuts");
    assert!(cuts > 100 && furthest > 0);
    // The model sees all that the program did: in the end it is all there.
    assert_eq!(check_cut(&disk, 0, &mut entropy, "at the end"), BATCHES);
}

fn check_cut(disk: &Disk, luck: u64, entropy: &mut Entropy, case: &str) -> u64 {
    let left = strace::place();
    disk.cut(if luck == 0 { Luck::None } else { Luck::Some(entropy) }, &data(&left));
    check(&file(&left), &disk.said, case)
}
