//! What `netsim` and `p2p sim` share: their flags, and many seeds at once on several threads.
//!
//! The only part of the simulator that knows threads; without the feature `program` it is not
//! there.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, RangedU64ValueParser},
};
use serde_json::{Value, json};
use starling_protocols::time::Time;

use crate::{
    run::{self, Options, OptionsError, Outcome, Report, run_seed_watched},
    scenario::Make,
    shrink::{Shrunk, shrink_watched},
    trace::Sink,
};

/// What is to be simulated, as it is typed.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub hosts: u32,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// What the mesh does
    #[arg(long, value_name = "NAME", default_value = "mixed",
          value_parser = PossibleValuesParser::new(run::names()))]
    pub scenario: String,
    /// How many virtual minutes with faults
    #[arg(long, value_name = "MINUTES", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: u32,
    /// Only these steps of the seed's schedule, by their numbers; "none" for none
    #[arg(long, value_name = "NUMBERS", value_parser = only)]
    pub only: Option<Only>,
    /// How many seeds at once
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub threads: usize,
    /// Keep no journals: nothing outlives a daemon, and nothing is played again in the end
    #[arg(long)]
    pub no_journals: bool,
    /// Tell what happens, in sentences
    #[arg(long)]
    pub trace: bool,
    /// Do not look for the few faults that matter when a seed fails
    #[arg(long)]
    pub no_shrink: bool,
}

/// Numbers of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only(pub Vec<usize>);

/// Takes the sentences of a story, each with the seed that it belongs to.
pub type Teller = Arc<dyn Fn(u64, &str) + Send + Sync>;

/// How far a simulation is; shared with whoever watches it, who may stop it.
#[derive(Debug, Default)]
pub struct Progress {
    virtual_ms: AtomicU64,
    planned: AtomicU64,
    seeds: AtomicU64,
    shrinking: AtomicBool,
    stopped: AtomicBool,
}

/// What came of it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// What all seeds together say; of a simulation that was stopped, those that had ended.
    pub report: Report,
    /// The first failure, shrunk where that was wanted.
    pub shrunk: Option<Shrunk>,
    /// Seeds that were stopped, or not begun.
    pub missing: u64,
}

impl Flags {
    /// What is to be run.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            scenario: self.scenario.clone(),
            hosts: self.hosts,
            seed: self.seed,
            seeds: self.seeds,
            minutes: self.minutes,
            only: self.only.clone().map(|only| only.0),
            journals: !self.no_journals,
        }
    }

    /// Runs all seeds; of the first that fails, looks for the few faults that matter.
    ///
    /// # Errors
    /// [`OptionsError`]; nothing was run.
    pub fn simulate(
        &self,
        progress: &Progress,
        teller: Option<&Teller>,
    ) -> Result<Simulated, OptionsError> {
        let mut options = self.options();
        let make = options.check()?;
        if (options.seed, options.seeds, &options.only) == (1, 1, &None) {
            options.seeds = make().points(&options).unwrap_or(1);
        }
        progress.planned.store(options.seeds.max(1), Ordering::Relaxed);
        let many = Many { make, options: &options, progress, teller };
        let report = Report::of(make, many.run(self.threads));
        let missing = options.seeds.max(1) - report.seeds;
        let shrunk = report.failures.first().and_then(|failed| {
            if self.no_shrink || progress.is_stopped() {
                return Some(Shrunk::not(&options, failed));
            }
            progress.shrinking.store(true, Ordering::Relaxed);
            let mut watch = |_| !progress.is_stopped();
            shrink_watched(make, &options, failed, &mut watch)
        });
        Ok(Simulated { report, shrunk, missing })
    }
}

/// Many seeds of one scenario.
struct Many<'a> {
    make: Make,
    options: &'a Options,
    progress: &'a Progress,
    teller: Option<&'a Teller>,
}

impl Many<'_> {
    /// Several at once: each is a world of its own, so that the order does not matter.
    fn run(&self, threads: usize) -> Vec<Outcome> {
        let next = Mutex::new(self.options.all_seeds());
        let outcomes = Mutex::new(Vec::new());
        let seeds = usize::try_from(self.options.seeds).unwrap_or(usize::MAX);
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, seeds.max(1)) {
                scope.spawn(|| {
                    while let Some(outcome) = self.next(&next) {
                        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                    }
                });
            }
        });
        outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, seeds: &Mutex<impl Iterator<Item = u64>>) -> Option<Outcome> {
        if self.progress.is_stopped() {
            return None;
        }
        let seed = seeds.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        let whole = millis(self.options.minutes());
        let mut told = 0;
        let mut watch = |now: Time| {
            let now = millis(now.since(Time::ZERO)).min(whole);
            self.progress.virtual_ms.fetch_add(now - told, Ordering::Relaxed);
            told = now;
            !self.progress.is_stopped()
        };
        let sink = self
            .teller
            .cloned()
            .map(|teller| -> Sink { Box::new(move |sentence| teller(seed, sentence)) });
        let outcome = run_seed_watched(self.make, self.options, seed, sink, &mut watch)?;
        // A run that failed early counts as a whole one.
        self.progress.virtual_ms.fetch_add(whole - told, Ordering::Relaxed);
        self.progress.seeds.fetch_add(1, Ordering::Relaxed);
        Some(outcome)
    }
}

impl Progress {
    /// Virtual milliseconds with faults that have passed, over all seeds.
    #[must_use]
    pub fn virtual_ms(&self) -> u64 {
        self.virtual_ms.load(Ordering::Relaxed)
    }

    /// How many seeds are run in all; zero before they are known.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.planned.load(Ordering::Relaxed)
    }

    /// Seeds that have ended.
    #[must_use]
    pub fn seeds(&self) -> u64 {
        self.seeds.load(Ordering::Relaxed)
    }

    /// Whether all seeds have ended, and a failed one is being shrunk.
    #[must_use]
    pub fn is_shrinking(&self) -> bool {
        self.shrinking.load(Ordering::Relaxed)
    }

    /// Stops it: each run after the virtual second at which it is.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Simulated {
    /// Whether all seeds have ended, all promises were kept, and all faults had an effect.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.missing == 0 && self.report.is_good()
    }

    /// For programs: the report, what was left of the first failure, and the seeds missing.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut report = self.report.json(self.shrunk.as_ref());
        report["good"] = json!(self.is_good());
        report["missing"] = json!(self.missing);
        report
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.report)?;
        if let Some(shrunk) = &self.shrunk {
            write!(f, "{shrunk}")?;
        }
        Ok(())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn only(text: &str) -> Result<Only, String> {
    if text == "none" {
        return Ok(Only(Vec::new()));
    }
    let number = |part: &str| part.trim().parse().map_err(|_| format!("{part:?} is no number"));
    text.split(',').map(number).collect::<Result<_, _>>().map(Only)
}
