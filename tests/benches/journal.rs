//! How fast a journal is written and read back, beside SQLite alone in the same run on the same disk.
//! Every round runs everything in turn; the table shows the median with the least and the most.
//!
//! ```text
//! cargo bench -p starling-tests --bench journal -- [--rounds N] [--dir DIR]
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a benchmark lives by the real clock, and prints"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use starling_node::journal::{Journal, Options, Progress};
use starling_protocols::{
    ident::{AgentId, HostId, Incarnation, MeshId},
    journal::{
        Durability, Effects, Entry, Era, Handled, Life, LifeHead, Record, Recorder, Sequence,
        Snapshot,
    },
    limits::{JOURNAL_BATCH_BYTES_MAX, SNAPSHOT_ENTRIES},
    time::{Time, WallTime},
};
use tokio::runtime::Runtime;

/// Entries that are under way at once.
const OUTSTANDING: usize = 256;

/// Bytes of an input.
const INPUT: [u8; 100] = [7; 100];

const AGENTS: u64 = 100;

const SPAN: Duration = Duration::from_secs(3);

type Results = BTreeMap<&'static str, Vec<f64>>;

fn main() {
    let mut rounds = 3;
    let mut dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--rounds" => rounds = value().parse().expect("--rounds takes a number"),
            "--dir" => dir = value().into(),
            _ => {}
        }
    }
    let mut results = Results::new();
    for _ in 0..rounds {
        round(&dir, &mut results);
    }
    for (what, mut values) in results {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        println!("{what:55} {:>12.1}  [{least:.1} … {most:.1}]", values[values.len() / 2]);
    }
}

fn round(dir: &Path, results: &mut Results) {
    let mut put = |what, value| results.entry(what).or_default().push(value);
    let place = || tempfile::tempdir_in(dir).expect("a directory");
    let (rate, worst) = write_ahead(place().path(), 1);
    put("write-ahead, 256 outstanding, entries/s", rate);
    put("write-ahead, 256 outstanding, slowest commit, ms", worst);
    put("SQLite alone, 256 rows a commit, rows/s", bare(place().path(), OUTSTANDING));
    put("write-ahead, 2 × 128 outstanding, entries/s", write_ahead(place().path(), 2).0);
    put("SQLite alone, 128 rows a commit, rows/s", bare(place().path(), OUTSTANDING / 2));
    put("history, MB/s", history(place().path()));
    put("restart with 1,050,000 entries, ms", restart(place().path(), true));
    put("restart with 1,000,000 entries since the snapshots, ms", restart(place().path(), false));
}

/// The agents of a host.
struct Host {
    recorder: Recorder,
    lives: Vec<Life>,
    numbers: Vec<u64>,
    at: usize,
    clock: u64,
}

impl Host {
    fn new(next: Sequence) -> Self {
        let recorder = Recorder::new(next);
        let numbers = vec![0; usize::try_from(AGENTS).expect("a small number")];
        let mut host = Self { recorder, lives: Vec::new(), numbers, at: 0, clock: 0 };
        host.tick();
        host.recorder.note(&Record::Era(Era {
            host: HostId([1; 32]),
            name: "a".into(),
            mesh: MeshId([9; 32]),
            incarnation: Incarnation(7),
            software: "0.1.0".into(),
            seed: [5; 32],
        }));
        for agent in 0..AGENTS {
            let life = Life(host.recorder.next().0);
            host.recorder.note(&Record::Life(LifeHead {
                life,
                agent: AgentId(2000 + u128::from(agent)),
                kind: "counter".into(),
                version: 1,
                name: None,
                durability: Durability::WriteAhead,
            }));
            host.lives.push(life);
            host.snapshot(life, 0);
        }
        host
    }

    fn tick(&mut self) {
        self.clock += 1000;
        let wall = WallTime::from_millis(1_700_000_000_000 + self.clock / 1_000_000);
        self.recorder.at(Time::from_nanos(self.clock), wall);
    }

    fn snapshot(&mut self, life: Life, number: u64) {
        let ball = vec![1; 200];
        let snapshot = Snapshot { life, number, ball: ball.into(), topics: Vec::new() };
        self.recorder.note(&Record::Snapshot(snapshot));
    }

    fn entry(&mut self, snapshots: bool) {
        self.tick();
        self.at = (self.at + 1) % self.lives.len();
        let (life, number) = (self.lives[self.at], self.numbers[self.at]);
        self.recorder.entry(Entry {
            life,
            number,
            input: INPUT.as_slice().into(),
            letter: None,
            handled: Handled::Done,
            effects: Effects::Whole(INPUT[..20].into()),
            state: None,
        });
        self.numbers[self.at] += 1;
        if snapshots && (number + 1).is_multiple_of(u64::from(SNAPSHOT_ENTRIES)) {
            self.snapshot(life, number + 1);
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn open(dir: &Path) -> (Journal, Host) {
    let (journal, opened) =
        Journal::open(&dir.join("journal"), Options::default()).expect("it opens");
    (journal, Host::new(opened.recovered.next))
}

/// Keeps so many entries under way, in so many groups. Gives entries a second and the slowest
/// commit in milliseconds.
fn write_ahead(dir: &Path, groups: usize) -> (f64, f64) {
    let (journal, mut host) = open(dir);
    let mut under_way = std::collections::VecDeque::new();
    let send = |host: &mut Host| {
        (0..OUTSTANDING / groups).for_each(|_| host.entry(true));
        host.recorder.urge();
        let batch = host.recorder.take().expect("entries");
        let sent = (batch.next(), Instant::now());
        journal.append(batch);
        sent
    };
    let begin = Instant::now();
    let (mut done, mut worst) = (0, Duration::ZERO);
    (0..groups).for_each(|_| under_way.push_back(send(&mut host)));
    runtime().block_on(async {
        while begin.elapsed() < SPAN {
            let Some(Progress::Durable(upto)) = journal.progress().await else { continue };
            while under_way.front().is_some_and(|(next, _)| *next <= upto) {
                let (_, sent) = under_way.pop_front().expect("it is there");
                worst = worst.max(sent.elapsed());
                done += OUTSTANDING / groups;
                under_way.push_back(send(&mut host));
            }
        }
    });
    (done as f64 / begin.elapsed().as_secs_f64(), worst.as_secs_f64() * 1000.0)
}

/// The same amount of data as plain rows.
fn bare(dir: &Path, rows: usize) -> f64 {
    let conn = Connection::open(dir.join("bare.db")).expect("it opens");
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE entries \
         (sequence INTEGER PRIMARY KEY, life INTEGER, number INTEGER, input BLOB, effects BLOB)",
    )
    .expect("it works");
    let begin = Instant::now();
    let mut done: i64 = 0;
    while begin.elapsed() < SPAN {
        let all = conn.unchecked_transaction().expect("it works");
        let sql = "INSERT INTO entries (life, number, input, effects) VALUES (?, ?, ?, ?)";
        let mut insert = all.prepare_cached(sql).expect("it works");
        for _ in 0..rows {
            let row = rusqlite::params![done % 100, done / 100, INPUT, &INPUT[..20]];
            insert.execute(row).expect("it works");
            done += 1;
        }
        drop(insert);
        all.commit().expect("it works");
    }
    done as f64 / begin.elapsed().as_secs_f64()
}

fn history(dir: &Path) -> f64 {
    let (journal, mut host) = open(dir);
    let runtime = runtime();
    let begin = Instant::now();
    let (mut bytes, mut recording) = (0, Duration::ZERO);
    while begin.elapsed() < SPAN {
        let before = Instant::now();
        while host.recorder.len() < JOURNAL_BATCH_BYTES_MAX {
            host.entry(true);
        }
        recording += before.elapsed();
        let batch = host.recorder.take().expect("entries");
        bytes += batch.bytes.len();
        journal.append(batch);
        runtime.block_on(journal.wait_for_room());
    }
    journal.close().expect("it closes");
    bytes as f64 / 1e6 / begin.elapsed().as_secs_f64()
}

/// Milliseconds until a large journal is open, after a kill. With snapshots the agents are half-way
/// between two of them.
fn restart(dir: &Path, snapshots: bool) -> f64 {
    let (journal, mut host) = open(dir);
    let runtime = runtime();
    let all: u64 = if snapshots { 1_050_000 } else { 1_000_000 };
    for _ in 0..all / 500 {
        (0..500).for_each(|_| host.entry(snapshots));
        journal.append(host.recorder.take().expect("entries"));
        runtime.block_on(journal.wait_for_room());
    }
    host.tick();
    host.recorder.urge();
    let last = host.recorder.take().expect("a moment");
    let next = last.next();
    journal.append(last);
    runtime.block_on(async {
        while !matches!(journal.progress().await, Some(Progress::Durable(upto)) if upto == next) {}
    });
    let killed = dir.join("killed");
    fs::create_dir_all(&killed).expect("a directory");
    for file in fs::read_dir(dir.join("journal")).expect("it is there") {
        let path = file.expect("it is there").path();
        let name = path.file_name().expect("it has one");
        if path.is_file() && path.extension() != Some("db-shm".as_ref()) {
            fs::copy(&path, killed.join(name)).expect("there is room");
        }
    }
    let begin = Instant::now();
    let opened = Journal::open(&killed, Options::default()).expect("it opens").1;
    let took = begin.elapsed();
    let entries: u64 = opened.recovered.lives.iter().map(|life| life.entries.len() as u64).sum();
    assert_eq!(opened.recovered.lives.len() as u64, AGENTS);
    assert_eq!(entries, if snapshots { 50_000 } else { all });
    took.as_secs_f64() * 1000.0
}
