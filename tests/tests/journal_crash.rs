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
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use starling_node::journal::{Journal, Options, Reader};
use starling_protocols::{
    entropy::Entropy,
    journal::{Recovered, Sequence},
};
use starling_tests::{
    Script,
    power::{self, Call, Disk, Luck},
    story::{Story, digest_of},
};
use tempfile::TempDir;

const WRITER: &str = env!("CARGO_BIN_EXE_journal-writer");

const STEPS: u64 = 22;

/// Calls that change something on the disk (but for the making of an empty file)…
const WRITES: &str = "pwrite64,ftruncate,rename,unlink,symlink,mkdir";

/// …and those that force it there.
const SYNCS: &str = "fsync,fdatasync";

/// Of more writes than these only some are tried.
const TRIES_MAX: usize = 150;

fn strace() -> Option<Command> {
    let mut strace = Command::new("strace");
    let works = Command::new("strace").args(["-qq", "true"]).output();
    if !works.is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: strace is not there or may not trace (install strace)");
        return None;
    }
    strace.args(["-f", "-qq"]).stdin(Stdio::null()).stderr(Stdio::null());
    Some(strace)
}

/// In memory if there can be one: what a kill leaves behind does not depend on the disk.
fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

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

/// How often the thread that makes the most of these calls makes them, in a run without faults.
fn count(calls: &str, dir: &Path, steps: u64) -> usize {
    let log = dir.join("trace");
    let ran = strace()
        .expect("it was there")
        .args(["-o", &log.to_string_lossy(), "-e", &format!("trace={calls}"), WRITER])
        .args([&dir.join("journal").to_string_lossy(), &*steps.to_string()])
        .output()
        .expect("strace starts");
    assert!(ran.status.success(), "{ran:?}");
    let trace = fs::read_to_string(log).expect("a trace");
    let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
    for line in trace.lines().filter(|line| !line.contains("resumed>")) {
        *threads.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    threads.into_values().max().unwrap_or_default()
}

/// Has a fault happen when the writer makes one of these calls for the `when`th time. Gives what it
/// said, and whether it came to its end all the same.
fn harm(calls: &str, fault: &str, when: usize, journal: &Path, steps: u64) -> (String, bool) {
    let ran = strace()
        .expect("it was there")
        .args(["-o", "/dev/null", "-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:{fault}:when={when}"), WRITER])
        .args([&*journal.to_string_lossy(), &*steps.to_string()])
        .output()
        .expect("strace starts");
    (String::from_utf8(ran.stdout).expect("its own words"), ran.status.success())
}

/// Kills at each of the calls, or at so many of them, and looks at what is left. Says what was
/// found: how far the journal came each time.
fn kill_at_each(calls: &str, max: usize, steps: u64, made: bool) -> Vec<Sequence> {
    let standard = Standard::new();
    let prepare = || {
        let place = place();
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
    if strace().is_none() {
        return;
    }
    let came = kill_at_each(WRITES, TRIES_MAX, STEPS, true);
    assert_eq!(came.first(), Some(&Sequence::FIRST));
    assert!(came.iter().collect::<BTreeSet<_>>().len() > 10, "at many places: {came:?}");
}

#[test]
fn a_writer_that_is_killed_at_any_fsync_loses_nothing_durable() {
    if strace().is_none() {
        return;
    }
    let came = kill_at_each(SYNCS, usize::MAX, STEPS, true);
    assert!(came.iter().collect::<BTreeSet<_>>().len() > 10, "at many places: {came:?}");
}

#[test]
fn a_writer_that_is_killed_while_it_makes_a_journal_leaves_one_that_opens() {
    if strace().is_none() {
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
    let all = count(calls, place().path(), STEPS);
    println!("{all} times {calls}");
    let mut ended = 0;
    for when in (1..=all).step_by(all.div_ceil(max)) {
        let place = place();
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
    if strace().is_none() {
        return;
    }
    fail_at_each(SYNCS, usize::MAX);
    fail_at_each("pwrite64", 60);
}

/// A whole run, call by call.
fn traced(place: &TempDir) -> Vec<Call> {
    let log = place.path().join("trace");
    // On a disk in memory SQLite makes the same calls.
    let ran = strace()
        .expect("it was there")
        .args(["-xx", "-s", "10000000", "-o", &log.to_string_lossy()])
        .args(["-e", &format!("trace={}", power::CALLS), WRITER])
        .args([&place.path().join("journal").to_string_lossy(), &*STEPS.to_string()])
        .output()
        .expect("strace starts");
    assert!(ran.status.success(), "{ran:?}");
    power::calls(&fs::read_to_string(log).expect("a trace"))
}

#[test]
fn a_power_cut_at_any_fsync_loses_nothing_durable() {
    if strace().is_none() {
        return;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = u64::try_from(since.as_nanos()).unwrap_or_default();
    println!("seed {seed}");
    let mut entropy = Entropy::from_seed(seed_of(seed));
    let standard = Standard::new();
    let place = place();
    let calls = traced(&place);
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
    let left = place();
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
