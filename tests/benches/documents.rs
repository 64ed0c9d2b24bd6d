//! The benchmarks of documents, each beside raw automerge doing the same in this process, in the
//! same run on the same machine. Every round runs everything in turn; the table shows the median
//! with the least and the most.
//!
//! ```text
//! cargo bench -p starling-tests --bench documents -- [--rounds N] [--only WORD] [--counts N,N]
//! ```
//!
//! | section | what |
//! |---|---|
//! | `changes` | a change of a descriptor of 15 fields until ten daemons have it on their disks, and what it costs all of them |
//! | `births` | agents started on one of two daemons, until their descriptors are on its disk, and on the other's |
//! | `many` | memory, time and disk with so many descriptors as `--counts` says; once, not in every round |
//! | `rejoin` | bytes on the wire until a host that was away has what it missed, in the simulator; once |
//!
//! All results go to `target/bench/documents.json` as well.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "real processes live by the real clock, and a benchmark prints"
)]

#[path = "documents/daemons.rs"]
mod daemons;
#[path = "mesh/meter.rs"]
mod meter;
#[path = "documents/raw.rs"]
mod raw;
#[path = "documents/rejoin.rs"]
mod rejoin;
#[path = "mesh/report.rs"]
mod report;

use report::Report;

struct Options {
    rounds: u32,
    only: String,
    counts: Vec<u64>,
}

fn options() -> Options {
    let counts = vec![1_000, 10_000, 100_000];
    let mut options = Options { rounds: 5, only: String::new(), counts };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("--rounds takes a number"),
            "--only" => options.only = value(),
            "--counts" => {
                let counts = value();
                let counts = counts.split(',').map(|count| count.parse().expect("a number"));
                options.counts = counts.collect();
            }
            _ => {}
        }
    }
    options
}

fn main() {
    let options = options();
    let wanted = |section: &str| section.contains(&options.only);
    let mut report = Report::default();
    for round in 0..options.rounds {
        if wanted("changes") {
            for found in daemons::changes(500) {
                report.add("change on 10 hosts", "15 fields", found);
            }
            report.add("change on 10 hosts", "15 fields", raw::changes(500, 9));
        }
        if wanted("births") {
            for (kind, how) in [("idle", "5 fields"), ("sign", "15 fields, 2 changes")] {
                for found in daemons::births(kind, 5_000) {
                    report.add("new descriptors", how, found);
                }
                report.add("new descriptors", how, raw::births(5_000, kind == "sign"));
            }
        }
        if wanted("rejoin") && round == 0 {
            rejoin::all(&mut report);
        }
    }
    for count in options.counts.iter().filter(|_| wanted("many")) {
        for found in daemons::many(*count) {
            report.add("many descriptors", &count.to_string(), found);
        }
    }
    report.print();
    report.save("documents");
}
