//! `netsim`: runs simulations from the command line.

use std::{process::ExitCode, thread};

use clap::{Parser, ValueEnum};
use starling_netsim::{
    Options, Outcome, Report, run_seed, scenario::Make, scenarios::Crashes, shrink,
};

/// Runs whole meshes of real engines under virtual time; one seed decides everything
#[derive(Parser)]
#[command(name = "netsim", version)]
struct Cli {
    /// How many hosts
    #[arg(long, default_value_t = 5)]
    hosts: u32,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// mixed, durable, membership, dialogs, topics, crashes or quiet
    #[arg(long, default_value = "mixed")]
    scenario: String,
    /// How many virtual minutes with faults
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// Only these steps of the seed's schedule, by their numbers; "none" for none
    #[arg(long, value_name = "NUMBERS")]
    only: Option<String>,
    /// How many seeds at once
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Keep no journals: nothing outlives a daemon, and nothing is played again in the end
    #[arg(long)]
    no_journals: bool,
    /// Tell what happens, in sentences
    #[arg(long)]
    trace: bool,
    /// Do not look for the few faults that matter when a seed fails
    #[arg(long)]
    no_shrink: bool,
    /// Text for people, JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match simulate(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say_error(&why);
            ExitCode::from(2)
        }
    }
}

impl Cli {
    /// Whether no single crash was named.
    const fn all_points(&self) -> bool {
        self.seed == 1 && self.only.is_none()
    }
}

fn simulate(cli: &Cli) -> Result<bool, String> {
    let mut options = Options {
        scenario: cli.scenario.clone(),
        hosts: cli.hosts,
        seed: cli.seed,
        seeds: cli.seeds,
        minutes: cli.minutes,
        only: cli.only.as_deref().map(numbers).transpose()?,
        journals: !cli.no_journals,
    };
    let make = options.check().map_err(|why| why.to_string())?;
    if options.scenario == "crashes" && options.seeds == 1 && cli.all_points() {
        options.seeds = Crashes::points(&options);
    }
    let outcomes = run_all(make, &options, cli.threads.max(1), cli.trace);
    let report = Report::of(make, outcomes);
    let failed = report.failures.first().filter(|_| !cli.no_shrink);
    let shrunk = failed.and_then(|failed| shrink(make, &options, failed));
    match cli.format {
        Format::Json => say(&report.json(shrunk.as_ref()).to_string()),
        Format::Table => {
            say(report.to_string().trim_end());
            if let Some(shrunk) = shrunk {
                say(shrunk.to_string().trim_end());
            }
        }
    }
    Ok(report.is_good())
}

/// Several seeds at once: each is a world of its own, so that the order does not matter.
fn run_all(make: Make, options: &Options, threads: usize, trace: bool) -> Vec<Outcome> {
    let seeds: Vec<u64> = options.all_seeds().collect();
    let share = seeds.len().div_ceil(threads);
    thread::scope(|scope| {
        let parts = seeds.chunks(share.max(1)).map(|part| {
            scope.spawn(move || {
                let sink = || trace.then(|| Box::new(say) as starling_netsim::Sink);
                let one = |seed: &u64| run_seed(make, options, *seed, sink());
                part.iter().map(one).collect::<Vec<_>>()
            })
        });
        let running: Vec<_> = parts.collect();
        running.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

fn numbers(text: &str) -> Result<Vec<usize>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let number = |part: &str| part.trim().parse().map_err(|_| format!("{part:?} is no number"));
    text.split(',').map(number).collect()
}

#[allow(clippy::print_stdout, reason = "it is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "it is what this program is for")]
fn say_error(why: &str) {
    eprintln!("netsim: {why}");
}
