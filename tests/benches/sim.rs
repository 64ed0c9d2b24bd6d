//! How fast virtual time passes in the simulator, beside a comparable mesh on turmoil, in the same
//! run on the same machine. Every round runs everything in turn; the table shows the median with
//! the least and the most.
//!
//! ```text
//! cargo bench -p starling-tests --bench sim -- [--rounds N] [--only WORD] [--peer PROGRAM]
//! ```
//!
//! The peer is `tests/peers/sim`, built apart; without it only Starling is measured. All results
//! go to `target/bench/sim.json` as well.
//!
//! What is compared: a mesh of 100 hosts, each connected to its 64 nearest. Idle, both keep their
//! connections alive with a ping every 15 seconds. Turmoil carries each ping; our simulator works
//! out when one would fail, and has nothing to do until then. Busy, every host asks another about
//! every 450 ms. Turmoil runs sockets and tasks and little else; ours runs whole engines, with
//! encoding, sessions, signatures at the gate, and a digest over all that happens. Turmoil looks at
//! every host and link in every tick, a millisecond by default; with ticks of 10 ms it is faster
//! and cannot tell latencies below that apart. Ours has no ticks.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark reads the real clock, and prints"
)]

#[path = "mesh/report.rs"]
mod report;

use std::{path::PathBuf, process::Command, time::Instant};

use report::Report;
use serde_json::{Value, json};
use starling_netsim::{Options, run_seed};

const HOSTS: u32 = 100;

struct Arguments {
    rounds: u32,
    only: String,
    peer: PathBuf,
}

fn arguments() -> Arguments {
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/sim/target/release/starling-peer-sim");
    let mut arguments = Arguments { rounds: 5, only: String::new(), peer: peer.into() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--rounds" => arguments.rounds = value().parse().expect("--rounds takes a number"),
            "--only" => arguments.only = value(),
            "--peer" => arguments.peer = value().into(),
            _ => {}
        }
    }
    arguments
}

fn main() {
    let arguments = arguments();
    let mut report = Report::default();
    for _ in 0..arguments.rounds {
        round(&arguments, &mut report);
    }
    report.print();
    report.save("sim");
}

fn round(arguments: &Arguments, report: &mut Report) {
    let how = format!("{HOSTS} hosts");
    if "quiet".contains(&arguments.only) {
        report.add("quiet", &how, simulated("quiet", 60));
        report.add("quiet", &how, peer(arguments, &["--seconds", "5"]));
        report.add("quiet", &how, peer(arguments, &["--seconds", "30", "--tick", "10"]));
    }
    if "busy".contains(&arguments.only) {
        report.add("busy", &how, simulated("dialogs", 2));
        report.add("busy", &how, peer(arguments, &["--seconds", "5", "--busy"]));
        let ticks = ["--seconds", "30", "--busy", "--tick", "10"];
        report.add("busy", &how, peer(arguments, &ticks));
    }
}

/// One run on this thread, without faults and journals.
fn simulated(scenario: &str, minutes: u32) -> Value {
    let options = Options {
        scenario: scenario.into(),
        hosts: HOSTS,
        minutes,
        only: Some(Vec::new()),
        journals: false,
        ..Options::default()
    };
    let make = options.check().expect("a scenario");
    let began = Instant::now();
    let outcome = run_seed(make, &options, 1, None);
    let wall = began.elapsed().as_secs_f64();
    assert_eq!(outcome.broken, None);
    let seconds = outcome.virtual_ms as f64 / 1000.0;
    json!({
        "name": "starling netsim", "unit": "virtual s/s", "value": seconds / wall,
        "hosts": HOSTS, "virtual_seconds": seconds, "wall_seconds": wall,
        "count": outcome.events,
    })
}

/// One run of the peer; gives its line, or why there is none.
fn peer(arguments: &Arguments, words: &[&str]) -> Value {
    let skipped = |why: String| json!({ "name": "turmoil", "skipped": why });
    let hosts = HOSTS.to_string();
    match Command::new(&arguments.peer).args(["--hosts", &hosts]).args(words).output() {
        Err(why) => skipped(format!("{}: {why}", arguments.peer.display())),
        Ok(output) => serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| skipped(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}
