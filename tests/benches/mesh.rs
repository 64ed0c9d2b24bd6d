//! The benchmarks of the mesh, each beside what it compares to, in the same run on the same
//! machine. Every round runs everything in turn; the table shows the median with the least and
//! the most.
//!
//! ```text
//! cargo bench -p starling-tests -- [--rounds N] [--only WORD] [--how WORDS] [--peers PROGRAM]
//! ```
//!
//! `--only` names a section, `--how` the rows of the contracts among them (`100 bidders, 16`).
//!
//! The peers are `tests/peers`, built apart; without them only Starling is measured. All results
//! go to `target/bench/mesh.json` as well.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "real processes live by the real clock, and a benchmark prints"
)]

#[path = "mesh/contracts.rs"]
mod contracts;
#[path = "mesh/daemons.rs"]
mod daemons;
#[path = "mesh/local.rs"]
mod local;
#[path = "mesh/meter.rs"]
mod meter;
#[path = "mesh/report.rs"]
mod report;

use std::{path::PathBuf, process::Command};

use serde_json::Value;

use contracts::Market;
use daemons::Mesh;
use meter::{cpu_seconds, rss_kib};
use report::Report;

/// Bidders, contracts under way at once, contracts.
const CONTRACTS: [(usize, u64, u64); 6] = [
    (10, 1, 2_000),
    (10, 16, 8_000),
    (30, 1, 1_200),
    (30, 16, 4_000),
    (100, 1, 500),
    (100, 16, 15_000),
];

struct Options {
    rounds: u32,
    only: String,
    how: String,
    peers: PathBuf,
}

fn options() -> Options {
    let mut options = Options {
        rounds: 5,
        only: String::new(),
        how: String::new(),
        peers: concat!(env!("CARGO_MANIFEST_DIR"), "/peers/target/release/starling-peers").into(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("--rounds takes a number"),
            "--only" => options.only = value(),
            "--how" => options.how = value(),
            "--peers" => options.peers = value().into(),
            _ => {}
        }
    }
    options
}

fn main() {
    let options = options();
    let mut report = Report::default();
    for _ in 0..options.rounds {
        local(&options, &mut report);
        requests(&options, &mut report);
        topics(&options, &mut report);
        contracts(&options, &mut report);
        joining(&options, &mut report);
        idle(&options, &mut report);
    }
    report.print();
    report.save("mesh");
}

fn wanted(options: &Options, section: &str) -> bool {
    section.contains(&options.only)
}

fn local(options: &Options, report: &mut Report) {
    if !wanted(options, "local") {
        return;
    }
    for outstanding in [1, 64] {
        let how = format!("{outstanding} outstanding");
        report.add("ask, one host", &how, local::ask(outstanding, false));
        report.add("ask, one host", &how, local::ask(outstanding, true));
        for peer in ["actix-ask", "ractor-ask", "kameo-ask"] {
            let load = outstanding.to_string();
            let found = peer_run(options, &[peer, "--outstanding", &load]);
            report.add("ask, one host", &how, found);
        }
    }
    report.add("tell, one host", "", local::tell());
    for peer in ["actix-tell", "ractor-tell", "kameo-tell", "tokio-mpsc"] {
        report.add("tell, one host", "", peer_run(options, &[peer]));
    }
    report.add("start and stop", "100,000 agents", local::spawn(100_000));
    for peer in ["actix-spawn", "ractor-spawn", "kameo-spawn"] {
        report.add("start and stop", "100,000 agents", peer_run(options, &[peer]));
    }
}

fn requests(options: &Options, report: &mut Report) {
    if !wanted(options, "requests") {
        return;
    }
    let mesh = Mesh::new(2);
    for (outstanding, count) in [(1, 20_000), (16, 200_000), (64, 400_000), (256, 400_000)] {
        let how = format!("{outstanding} outstanding, 128 B");
        report.add("requests", &how, daemons::requests(&mesh, outstanding, count));
        for peer in ["tcp-echo", "libp2p-stream", "libp2p-request-response", "kameo-remote", "nats"]
        {
            let load = outstanding.to_string();
            report.add("requests", &how, peer_run(options, &[peer, "--outstanding", &load]));
        }
    }
}

fn topics(options: &Options, report: &mut Report) {
    if !wanted(options, "topics") {
        return;
    }
    for listeners in [1, 8, 29] {
        let mesh = Mesh::new(listeners + 1);
        let how = format!("{listeners} listeners");
        report.add("publish", &how, daemons::publish(&mesh, listeners, 200));
        let hosts = listeners.to_string();
        if listeners > 1 {
            let nats = ["nats-publish", "--subscribers", &hosts];
            report.add("publish", &how, peer_run(options, &nats));
            let all = (listeners + 1).to_string();
            report.add("publish", &how, peer_run(options, &["gossipsub-publish", "--hosts", &all]));
        }
        if listeners == 29 {
            report.add("burst of 2,000", &how, daemons::burst(&mesh, listeners, 2000));
            report.add("burst of 2,000", &how, peer_run(options, &["nats-burst"]));
        }
    }
}

fn contracts(options: &Options, report: &mut Report) {
    if !wanted(options, "contracts") {
        return;
    }
    let market = Market::new(10, 100);
    for (bidders, outstanding, count) in CONTRACTS {
        let how = format!("{bidders} bidders, {outstanding} outstanding");
        if !how.contains(&options.how) {
            continue;
        }
        report.add("contracts", &how, market.negotiate(bidders, outstanding, count));
        let (bidders, outstanding) = (bidders.to_string(), outstanding.to_string());
        let nats = ["nats-contracts", "--bidders", &bidders, "--outstanding", &outstanding];
        report.add("contracts", &how, peer_run(options, &nats));
        report.add("contracts", &how, peer_run(options, &[&nats[..], &["--reject"]].concat()));
    }
}

fn joining(options: &Options, report: &mut Report) {
    if wanted(options, "join") {
        report.add("join", "token typed → first answer", daemons::join(&mut Mesh::new(2)));
    }
}

fn idle(options: &Options, report: &mut Report) {
    if wanted(options, "idle") {
        report.add("idle", "10 hosts", daemons::idle(&Mesh::new(10), 10));
    }
}

/// Runs a peer; gives its line, or why there is none.
fn peer_run(options: &Options, arguments: &[&str]) -> Value {
    let skipped = |why: String| serde_json::json!({ "name": arguments[0], "skipped": why });
    // Starting and stopping takes as long as it takes.
    let briefly: &[&str] = if arguments[0].ends_with("-spawn") { &[] } else { &["--seconds", "1"] };
    match Command::new(&options.peers).args(arguments).args(briefly).output() {
        Err(why) => skipped(format!("{}: {why}", options.peers.display())),
        Ok(output) => serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| skipped(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

/// Bytes that have gone over the loopback.
fn loopback_bytes() -> u64 {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = table.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
