//! The benchmarks of the journal, each beside its floor or a peer, in the same run on the same
//! machine and disk. Every round runs everything in turn; the table shows the median with the least
//! and the most.
//!
//! ```text
//! cargo bench -p starling-tests --bench journal -- [--rounds N] [--only WORD] [--dir DIR]
//! ```
//!
//! NATS JetStream is measured where `nats-server` is on the search path. All results go to
//! `target/bench/journal.json` as well.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark lives by the real clock, and prints"
)]

#[path = "journal/host.rs"]
mod host;
#[path = "journal/jetstream.rs"]
mod jetstream;
#[path = "mesh/report.rs"]
mod report;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use starling_core::replay::Replay;
use starling_node::journal::{Journal, Options as JournalOptions, Reader, Which};

use host::{Host, Recorded};
use report::Report;

/// What one request carries in the runs that wait for the disk.
const BYTES: usize = 128;

/// How many requests are open in the runs that wait for the disk.
const OUTSTANDING: u64 = 256;

struct Options {
    rounds: u32,
    only: String,
    dir: PathBuf,
}

fn options() -> Options {
    let mut options = Options {
        rounds: 5,
        only: String::new(),
        dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench").into(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("--rounds takes a number"),
            "--only" => options.only = value(),
            "--dir" => options.dir = value().into(),
            _ => {}
        }
    }
    std::fs::create_dir_all(&options.dir).expect("a directory to write to");
    options
}

fn main() {
    let options = options();
    let wanted = |section: &str| section.contains(&options.only);
    let mut report = Report::default();
    for _ in 0..options.rounds {
        if wanted("recording") {
            recording(&options.dir, &mut report);
        }
        if wanted("write-ahead") {
            write_ahead(&options.dir, &mut report);
        }
        if wanted("replay") {
            replay(&options.dir, &mut report);
        }
        if wanted("restart") {
            restart(&options.dir, &mut report);
        }
    }
    report.print();
    report.save("journal");
}

fn folder(dir: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in(dir).expect("a directory to write to")
}

/// What recording costs requests between two agents of one host.
fn recording(dir: &Path, report: &mut Report) {
    for outstanding in [1, 64] {
        let how = format!("{outstanding} outstanding");
        for recorded in [Recorded::Not, Recorded::InMemory, Recorded::OnDisk] {
            let place = folder(dir);
            let mut host = Host::new(recorded, place.path());
            let (rate, _) = host.requests("mirror", outstanding, 1_000_000, 8);
            let name = recorded.name();
            let line = json!({ "name": name, "unit": "req/s", "value": rate });
            report.add("recording", &how, line);
        }
    }
}

/// Requests to an agent that loses nothing: each is durable before it is answered.
fn write_ahead(dir: &Path, report: &mut Report) {
    let how = format!("{OUTSTANDING} outstanding, {BYTES} B");
    let place = folder(dir);
    let mut host = Host::new(Recorded::OnDisk, place.path());
    let (rate, micros) = host.requests("vault", OUTSTANDING, 200_000, BYTES);
    let line = json!({ "name": "starling-write-ahead", "unit": "req/s", "value": rate,
                       "p50_us": micros.0, "p99_us": micros.1 });
    report.add("write-ahead", &how, line);
    drop(host);
    report.add("write-ahead", &how, bare_sqlite(folder(dir).path(), 200_000));
    report.add("write-ahead", &how, jetstream::publish(folder(dir).path(), OUTSTANDING, BYTES));
}

/// The floor: rows of the same size, committed in the same groups, and nothing else.
fn bare_sqlite(dir: &Path, count: u64) -> Value {
    let conn = Connection::open(dir.join("bare.db")).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
         CREATE TABLE entries (sequence INTEGER PRIMARY KEY, agent INTEGER, input BLOB)",
    )
    .expect("a table");
    let body = vec![7u8; BYTES];
    let begun = Instant::now();
    for group in 0..count / OUTSTANDING {
        conn.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        let mut insert = conn.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3)");
        let insert = insert.as_mut().expect("a statement");
        for row in 0..OUTSTANDING {
            let sequence = i64::try_from(group * OUTSTANDING + row).expect("few rows");
            insert.execute(rusqlite::params![sequence, 1, body]).expect("a row");
        }
        conn.execute_batch("COMMIT").expect("a commit");
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    json!({ "name": "bare-sqlite", "unit": "req/s", "value": rate })
}

/// How fast a life is played again, beside the runs that recorded it.
fn replay(dir: &Path, report: &mut Report) {
    let line =
        |name: &str, value: f64| json!({ "name": name, "unit": "entries/s", "value": value });
    for (outstanding, count) in [(1, 20_000), (OUTSTANDING, 200_000)] {
        let how = format!("write-ahead, {outstanding} outstanding");
        let place = folder(dir);
        let mut host = Host::new(Recorded::OnDisk, place.path());
        let (live, _) = host.requests("vault", outstanding, count, BYTES);
        drop(host);
        report.add("replay", &how, line("starling-live", live));
        report.add("replay", &how, line("starling-replay", play_again(place.path(), count)));
    }
}

/// Plays the vault's life again, which has so many entries; gives how many in a second.
fn play_again(dir: &Path, count: u64) -> f64 {
    let reader = Reader::open(&dir.join("journal")).expect("a journal");
    let lives = reader.lives(Which::All).expect("lives");
    let vault = lives.iter().find(|life| life.head.kind == "vault").expect("the vault's life");
    let begun = Instant::now();
    let mut replay = Replay::new(host::kinds(), vault.head.life);
    for told in reader.records_of(vault.head.life, 0).expect("records") {
        let told = told.expect("whole records");
        replay.place(told.era, told.moment);
        replay.feed(told.sequence, told.record).expect("it replays");
    }
    let played = replay.counts().played;
    assert!(played >= count, "all was played: {:?} of {count}", replay.counts());
    played as f64 / begun.elapsed().as_secs_f64()
}

/// How long a host takes to go on from a journal of a million entries.
fn restart(dir: &Path, report: &mut Report) {
    let place = folder(dir);
    let mut host = Host::new(Recorded::OnDisk, place.path());
    let _ = host.requests("vault", OUTSTANDING, 1_000_000, 8);
    host.crash();
    let begun = Instant::now();
    let host = Host::new(Recorded::OnDisk, place.path());
    let seconds = begun.elapsed().as_secs_f64();
    assert!(host.recovered() > 0, "the vault is back");
    let line = json!({ "name": "starling-restart", "unit": "s", "value": seconds });
    report.add("restart", "1,000,000 entries", line);
    drop(host);
    let opened = Instant::now();
    let dir = place.path().join("journal");
    let (journal, _) = Journal::open(&dir, JournalOptions::default()).expect("a journal");
    drop(journal);
    let seconds = opened.elapsed().max(Duration::from_nanos(1)).as_secs_f64();
    let line = json!({ "name": "after a good end", "unit": "s", "value": seconds });
    report.add("restart", "1,000,000 entries", line);
}
