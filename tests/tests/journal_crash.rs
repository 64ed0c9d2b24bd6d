//! A journal whose writer is killed at every write and every fsync, and whose disk loses power at
//! every fsync: what was said to be durable is there, and nothing that was never written.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real processes live by the real clock"
)]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "seeds and skipped checks are told")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use starling_node::journal::{Journal, Options, Reader};
use starling_protocols::{
    entropy::Entropy,
    journal::{Recovered, Sequence},
};
use starling_tests::{
    Script,
    power::{Disk, Luck},
    story::{Story, digest_of},
    strace::{self, SYNCS, Traced, WRITES},
};
use tempfile::TempDir;

const WRITER: &str = env!("CARGO_BIN_EXE_journal-writer");

const STEPS: u64 = 22;

/// Of more writes than these only some are tried.
const TRIES_MAX: usize = 150;

/// Everything that may come back, by the number of the next record.
struct Standard(BTreeMap<Sequence, Vec<String>>);

impl Standard {
    fn new() -> Self {
        let mut script = Script::new(Story::begin(&Recovered::nothing()), STEPS);
        let nothing = (Sequence::FIRST, digest_of(&Recovered::nothing()));
        let mut all = BTreeMap::from([nothing]);
        while let Some(batch) = script.next() {
            all.insert(batch.next(), digest_of(&script.story.recovered()));
        }
        Self(all)
    }

    /// Opens what was left and compares it. Gives the number of the next record.
    fn check(&self, dir: &Path, said: &str, case: &str) -> Sequence {
        let promised = said.lines().filter_map(|line| line.strip_prefix("durable ")?.parse().ok());
        let promised = promised.max().map_or(Sequence::FIRST, Sequence);
        let (journal, opened) = Journal::open(dir, Options::default()).expect(case);
        let next = opened.recovered.next;
        assert_eq!(opened.damage, [], "{case}");
        assert!(next >= promised, "{case}: {promised} was promised and {next} is next");
        assert_eq!(Some(&digest_of(&opened.recovered)), self.0.get(&next), "{case}");
        journal.close().expect(case);
        let report = Reader::open(dir).expect(case).verify().expect(case);
        assert_eq!(report.problems, [], "{case}");
        next
    }
}

fn writer<T>(journal: &Path, steps: u64, act: impl FnOnce(Traced<'_>) -> T) -> T {
    let steps = steps.to_string();
    act(Traced { program: WRITER, arguments: &[&journal.to_string_lossy(), &steps] })
}

fn count(calls: &str, dir: &Path, steps: u64) -> usize {
    writer(&dir.join("journal"), steps, |writer| writer.count(calls, &dir.join("trace")))
}

fn harm(calls: &str, fault: &str, when: usize, journal: &Path, steps: u64) -> (String, bool) {
    writer(journal, steps, |writer| writer.harm(calls, fault, when))
}

/// Kills at each of the calls, or at so many of them, and looks at what is left. Says what was
/// found: how far the journal came each time.
fn kill_at_each(calls: &str, max: usize, steps: u64, made: bool) -> Vec<Sequence> {
    let standard = Standard::new();
    let prepare = || {
        let place = strace::place();
        if made {
            let journal = place.path().join("journal");
            Journal::open(&journal, Options::default())
                .expect("a journal")
                .0
                .close()
                .expect("closed");
        }
        place
    };
    let all = count(calls, prepare().path(), steps);
    println!("{all} times {calls}");
    assert!(all > 0);
    let step = all.div_ceil(max);
    (1..=all)
        .step_by(step)
        .map(|when| {
            let place = prepare();
            let journal = place.path().join("journal");
            let (said, _) = harm(calls, "signal=KILL", when, &journal, steps);
            standard.check(&journal, &said, &format!("killed at {when} of {all} {calls}"))
        })
        .collect()
}

#[test]
fn a_writer_that_is_killed_at_any_write_loses_nothing_durable() {
    if strace::is_missing() {
        return;
    }
    let came = kill_at_each(WRITES, TRIES_MAX, STEPS, true);
    assert_eq!(came.first(), Some(&Sequence::FIRST));
    assert!(came.iter().collect::<BTreeSet<_>>().len() > 10, "at many places: {came:?}");
}

#[test]
fn a_writer_that_is_killed_at_any_fsync_loses_nothing_durable() {
    if strace::is_missing() {
        return;
    }
    let came = kill_at_each(SYNCS, usize::MAX, STEPS, true);
    assert!(came.iter().collect::<BTreeSet<_>>().len() > 10, "at many places: {came:?}");
}

#[test]
fn a_writer_that_is_killed_while_it_makes_a_journal_leaves_one_that_opens() {
    if strace::is_missing() {
        return;
    }
    let calls = format!("{WRITES},{SYNCS}");
    let came = kill_at_each(&calls, usize::MAX, 0, false);
    assert!(came.iter().all(|next| *next == Sequence::FIRST));
}

/// The writer must end, and what it said before must hold. At the very end there is nothing left to
/// say: all is durable then.
fn fail_at_each(calls: &str, max: usize) {
    let standard = Standard::new();
    let all = count(calls, strace::place().path(), STEPS);
    println!("{all} times {calls}");
    let mut ended = 0;
    for when in (1..=all).step_by(all.div_ceil(max)) {
        let place = strace::place();
        let journal = place.path().join("journal");
        let (said, well) = harm(calls, "error=EIO", when, &journal, STEPS);
        let case = format!("EIO at {when} of {all} {calls}");
        let next = standard.check(&journal, &said, &case);
        assert!(!well || Some(&next) == standard.0.keys().last(), "{case}: it went on to {next}");
        ended += usize::from(!well);
    }
    assert!(ended > 20, "it ended {ended} times");
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
fn a_power_cut_at_any_fsync_loses_nothing_durable() {
    if strace::is_missing() {
        return;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = u64::try_from(since.as_nanos()).unwrap_or_default();
    println!("seed {seed}");
    let mut entropy = Entropy::from_seed(seed_of(seed));
    let standard = Standard::new();
    let place = strace::place();
    let log = place.path().join("trace");
    let calls = writer(&place.path().join("journal"), STEPS, |writer| writer.calls(&log));
    let mut disk = Disk::new(&place.path().join("journal"));
    let mut cuts = 0;
    let mut furthest = Sequence::FIRST;
    for (number, call) in calls.iter().enumerate() {
        let forces = disk.follow(call);
        if !forces {
            continue;
        }
        for luck in 0..6 {
            let left = left_over(&disk, luck, &mut entropy);
            let case = format!("power cut {luck} at call {number}, seed {seed}");
            furthest = standard.check(&left.1, &disk.said, &case).max(furthest);
            cuts += 1;
        }
        disk.force(call);
        // What was forced is there, whatever becomes of the rest.
        let left = left_over(&disk, 0, &mut entropy);
        standard.check(&left.1, &disk.said, &format!("after call {number}, seed {seed}"));
    }
    println!("{cuts} power cuts");
    assert!(cuts > 100 && furthest > Sequence::FIRST);
    // The model sees all that the program did: in the end it is all there.
    let last = Standard::new().0.into_keys().max();
    let left = left_over(&disk, 0, &mut entropy);
    assert_eq!(Some(standard.check(&left.1, &disk.said, "at the end")), last);
}

fn left_over(disk: &Disk, luck: u64, entropy: &mut Entropy) -> (TempDir, PathBuf) {
    let left = strace::place();
    let journal = left.path().join("journal");
    fs::create_dir(&journal).expect("a directory");
    disk.cut(if luck == 0 { Luck::None } else { Luck::Some(entropy) }, &journal);
    (left, journal)
}

fn seed_of(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}
