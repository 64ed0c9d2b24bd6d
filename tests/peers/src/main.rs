//! Benchmark peers: what other systems reach, measured beside Starling.
//!
//! Every subcommand measures one peer on the loopback of this machine and
//! prints one line of JSON: a number, or the reason why it was skipped.
#![forbid(unsafe_code)]

mod cli;
mod frame;
mod meter;
mod peers;
mod pipeline;
mod procs;
mod report;
mod run;

use std::{process::ExitCode, thread, time::Duration};

use clap::Parser as _;

/// No subcommand outlives this, whatever its peer does.
const DEADLINE: Duration = Duration::from_secs(28);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    thread::spawn(give_up_late);
    let outcome = cli.command.run();
    procs::stop_all();
    match outcome {
        Ok(outcome) => {
            if let Some(line) = outcome {
                println!("{}", line.to_json());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("starling-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the process, and what it started, when the deadline has passed.
fn give_up_late() {
    thread::sleep(DEADLINE);
    eprintln!("starling-peers: gave up after {} s", DEADLINE.as_secs());
    procs::stop_all();
    std::process::exit(1);
}
