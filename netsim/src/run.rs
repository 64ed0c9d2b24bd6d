//! Runs: one seed at a time, and what many of them together say.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde::Serialize;
use starling_protocols::{entropy::Entropy, time::Time, words::count};

use crate::{
    faults::{FaultKind, Fired},
    invariants::{Findings, Invariant},
    scenario::{self, Make, Scenario},
    schedule::Schedule,
    sim::Sim,
    swarm,
    trace::Sink,
};

/// How long after healing everything that is promised for then may take: a broken connection is
/// found dead within 45 seconds, and a lost host is dialled again within 30, at the slowest; one
/// that was abandoned is met anew.
const SETTLE_WITHIN: Duration = Duration::from_secs(180);

/// Over so many seeds, every kind of fault must have had an effect.
const COVERAGE_SEEDS_MIN: u64 = 20;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The scenario's name.
    pub scenario: String,
    /// How many hosts.
    pub hosts: u32,
    /// The first seed.
    pub seed: u64,
    /// How many seeds, one after the other.
    pub seeds: u64,
    /// How many virtual minutes with faults.
    pub minutes: u32,
    /// The steps of the schedule that are played; all when absent.
    pub only: Option<Vec<usize>>,
    /// Whether hosts keep journals, which are played again in the end. Without them nothing
    /// outlives a daemon: for large meshes, and scenarios in which nothing should.
    pub journals: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scenario: "mixed".into(),
            hosts: 5,
            seed: 1,
            seeds: 1,
            minutes: 10,
            only: None,
            journals: true,
        }
    }
}

/// Why nothing was run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// There is no such scenario.
    #[error("there is no scenario {0:?}; there are: {names}", names = names().join(", "))]
    Scenario(String),
    /// No host, or more than the scenario is made for.
    #[error("{} asked for; 1 to {most} are possible in {scenario}{without}", asked(*hosts))]
    Hosts {
        /// How many were asked for.
        hosts: u32,
        /// The scenario's name.
        scenario: String,
        /// How many it is made for.
        most: u32,
        /// What would allow more.
        without: &'static str,
    },
    /// A seed's schedule has no step of this number.
    #[error("the schedule of seed {seed} has no step {step}; {steps}", steps = numbered(*steps))]
    Step {
        /// The seed.
        seed: u64,
        /// The number that was given.
        step: usize,
        /// How many steps the schedule has, numbered from zero.
        steps: usize,
    },
}

fn asked(hosts: u32) -> String {
    format!("{} {}", count(hosts, "host"), if hosts == 1 { "was" } else { "were" })
}

fn numbered(steps: usize) -> String {
    match steps {
        0 => "it has no steps".into(),
        1 => "it has only step 0".into(),
        _ => format!("it has steps 0 to {}", steps - 1),
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Which invariant.
    pub invariant: String,
    /// Where it is promised.
    pub source: String,
    /// How.
    pub why: String,
    /// When, in virtual milliseconds since the beginning.
    pub at_ms: u64,
}

/// What came of one seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The digest of everything that happened.
    pub digest: String,
    /// How often faults had an effect.
    pub fired: Fired,
    /// Events of the simulation.
    pub events: u64,
    /// Virtual milliseconds that passed.
    pub virtual_ms: u64,
    /// How long after healing everything had settled, in virtual milliseconds.
    pub settled_after_ms: Option<u64>,
    /// Entries of journals that were played again and came out as they were recorded.
    pub replayed: u64,
    /// Operations that the disk of each host had begun when everything was healed.
    pub disk_operations: Vec<u64>,
    /// What went wrong when.
    pub schedule: Schedule,
    /// The promise that was broken, if one was.
    pub broken: Option<Broken>,
}

/// What came of many seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// How many seeds were run.
    pub seeds: u64,
    /// A digest over the digests of all seeds; that of the one seed, where there is one.
    pub digest: String,
    /// How often faults had an effect, over all seeds.
    pub fired: Fired,
    /// Kinds of fault that belong to the scenario and never had an effect, over enough seeds.
    pub never_fired: Vec<FaultKind>,
    /// Virtual milliseconds, over all seeds.
    pub virtual_ms: u64,
    /// Events, over all seeds.
    pub events: u64,
    /// Entries of journals that were played again, over all seeds.
    pub replayed: u64,
    /// The longest time that anything took to settle after healing, in virtual milliseconds.
    pub settled_after_ms: u64,
    /// The seeds in which a promise was broken.
    pub failures: Vec<Outcome>,
}

/// The names of all scenarios.
#[must_use]
pub fn names() -> Vec<&'static str> {
    scenario::ALL.into_iter().map(|make| make().name()).collect()
}

impl Options {
    /// The scenario.
    ///
    /// # Errors
    /// [`OptionsError`]; nothing can be run.
    pub fn check(&self) -> Result<Make, OptionsError> {
        let unknown = || OptionsError::Scenario(self.scenario.clone());
        let make = scenario::named(&self.scenario).ok_or_else(unknown)?;
        let made_for = make().hosts_max();
        let most = if self.journals { made_for.min(scenario::HOSTS_MAX) } else { made_for };
        if (1..=most).contains(&self.hosts) {
            self.check_only(make)?;
            return Ok(make);
        }
        let hosts = self.hosts;
        let more = (most..=made_for).contains(&hosts) && hosts > 0;
        let without = if more { ", and more with --no-journals" } else { "" };
        Err(OptionsError::Hosts { hosts, scenario: self.scenario.clone(), most, without })
    }

    fn check_only(&self, make: Make) -> Result<(), OptionsError> {
        let Some(step) = self.only.as_deref().unwrap_or_default().iter().max().copied() else {
            return Ok(());
        };
        for seed in self.all_seeds() {
            let steps = drawn(&mut *make(), self, seed).1.len();
            if step >= steps {
                return Err(OptionsError::Step { seed, step, steps });
            }
        }
        Ok(())
    }

    /// All seeds that are to be run.
    pub fn all_seeds(&self) -> impl Iterator<Item = u64> + use<> {
        (0..self.seeds.max(1)).scan(self.seed, |seed, number| Some(seed.wrapping_add(number)))
    }

    /// How long a run has faults.
    #[must_use]
    pub fn minutes(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.minutes))
    }
}

/// Runs all seeds, one after the other.
///
/// # Errors
/// [`OptionsError`]; nothing was run.
pub fn run(options: &Options) -> Result<Report, OptionsError> {
    let make = options.check()?;
    let outcomes = options.all_seeds().map(|seed| run_seed(make, options, seed, None));
    Ok(Report::of(make, outcomes.collect()))
}

/// Runs one seed. The story is told to `sink`, if there is one.
#[must_use]
pub fn run_seed(make: Make, options: &Options, seed: u64, sink: Option<Sink>) -> Outcome {
    play_seed(make, options, seed, sink, &mut |_| true).0
}

/// The same, with somebody who is told the time after every virtual second with faults, and says
/// whether to go on. `None` when the run was stopped.
#[must_use]
pub fn run_seed_watched(
    make: Make,
    options: &Options,
    seed: u64,
    sink: Option<Sink>,
    watch: &mut dyn FnMut(Time) -> bool,
) -> Option<Outcome> {
    let (outcome, stopped) = play_seed(make, options, seed, sink, watch);
    (!stopped).then_some(outcome)
}

fn play_seed(
    make: Make,
    options: &Options,
    seed: u64,
    sink: Option<Sink>,
    watch: &mut dyn FnMut(Time) -> bool,
) -> (Outcome, bool) {
    let mut scenario = make();
    let (entropy, mut schedule) = drawn(&mut *scenario, options, seed);
    let world = scenario.world(seed);
    if let Some(only) = &options.only {
        schedule = schedule.only(only);
    }
    let mut sim = Sim::new(world);
    sim.set_weather(swarm::weather(&entropy));
    if !options.journals {
        sim.set_journals(None);
    }
    if let Some(sink) = sink {
        sim.tell_to(sink);
    }
    let (invariants, disk_operations) = (scenario.invariants(), Vec::new());
    let mut run = Run { invariants, settled_after: None, disk_operations, watch, stopped: false };
    let played = catch_unwind(AssertUnwindSafe(|| {
        run.play(&mut *scenario, &mut sim, options, &schedule, &entropy)
    }));
    let broken = match played {
        Ok(played) => played.err(),
        Err(panic) => Some(Broken {
            invariant: "no-panic".into(),
            source: "no host panics, whatever happens to it".into(),
            why: panic_text(&*panic),
            at_ms: millis(sim.now()),
        }),
    };
    let (replayed, broken) = if run.stopped { (0, broken) } else { replay(&sim, broken) };
    let settled = run.settled_after.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let stopped = run.stopped;
    let outcome = Outcome {
        seed,
        digest: sim.digest(),
        fired: sim.fired().clone(),
        events: sim.events(),
        virtual_ms: millis(sim.now()),
        settled_after_ms: settled,
        replayed,
        disk_operations: run.disk_operations,
        schedule,
        broken,
    };
    (outcome, stopped)
}

/// What a seed draws: where everything else comes from, and all that goes wrong.
fn drawn(scenario: &mut dyn Scenario, options: &Options, seed: u64) -> (Entropy, Schedule) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&scenario.world(seed).to_le_bytes());
    let entropy = Entropy::from_seed(bytes).fork("swarm");
    let seeded = Options { seed, ..options.clone() };
    let schedule = scenario.schedule(&entropy, &seeded);
    (entropy, schedule)
}

/// Plays all journals again, whatever has come of the run. Gives how many entries that were, and
/// what is broken now.
fn replay(sim: &Sim, broken: Option<Broken>) -> (u64, Option<Broken>) {
    match sim.replay() {
        Ok(replayed) => (replayed.entries, broken),
        Err(why) => {
            let of_replay = Broken {
                invariant: "replay".into(),
                source: "what agents do can be played again from their journals".into(),
                why,
                at_ms: millis(sim.now()),
            };
            (0, Some(broken.unwrap_or(of_replay)))
        }
    }
}

/// A run under way.
struct Run<'a> {
    invariants: Vec<Box<dyn Invariant>>,
    settled_after: Option<Duration>,
    disk_operations: Vec<u64>,
    watch: &'a mut dyn FnMut(Time) -> bool,
    stopped: bool,
}

impl Run<'_> {
    fn play(
        &mut self,
        scenario: &mut dyn Scenario,
        sim: &mut Sim,
        options: &Options,
        schedule: &Schedule,
        entropy: &Entropy,
    ) -> Result<(), Broken> {
        scenario.set_up(sim, options.hosts, entropy);
        sim.watch_agents(scenario.watched());
        schedule.impose(sim);
        let times = scenario.times(options);
        self.go_on(scenario, sim, times.faults)?;
        sim.lift_all();
        scenario.healed(sim);
        self.disk_operations = sim.hosts().map(|host| sim.disk_operations(host)).collect();
        self.settle(scenario, sim)?;
        self.go_on(scenario, sim, times.afterglow)?;
        scenario.rest(sim);
        sim.run_for(times.rest);
        self.all(sim, |invariant, sim| invariant.during(sim))?;
        let also = scenario.also_watched(sim);
        let findings = Findings::of(sim, scenario.watched(), &also);
        self.all(sim, |invariant, sim| invariant.at_end(sim, &findings))
    }

    /// Lets the workload go on, and looks at everything every second.
    fn go_on(
        &mut self,
        scenario: &mut dyn Scenario,
        sim: &mut Sim,
        time: Duration,
    ) -> Result<(), Broken> {
        let until = sim.now() + time;
        while sim.now() < until {
            scenario.step(sim);
            sim.run_for(Duration::from_secs(1).min(until.since(sim.now())));
            self.all(sim, |invariant, sim| invariant.during(sim))?;
            if !(self.watch)(sim.now()) {
                return Err(self.stop(sim));
            }
        }
        Ok(())
    }

    /// Ends the run as if something had been broken; nobody is told of what.
    fn stop(&mut self, sim: &Sim) -> Broken {
        self.stopped = true;
        Broken {
            invariant: "stopped".into(),
            source: "whoever watches".into(),
            why: "the run was stopped".into(),
            at_ms: millis(sim.now()),
        }
    }

    /// Waits until all that is promised for after healing has come true.
    fn settle(&mut self, scenario: &mut dyn Scenario, sim: &mut Sim) -> Result<(), Broken> {
        let healed = sim.now();
        loop {
            let settled = scenario.is_settled(sim).map_err(|why| Broken {
                invariant: "settled".into(),
                source: "the scenario".into(),
                why,
                at_ms: millis(sim.now()),
            });
            let settled =
                settled.and_then(|()| self.all(sim, |invariant, sim| invariant.eventually(sim)));
            match settled {
                Ok(()) => break,
                Err(broken) if self.stopped => return Err(broken),
                Err(broken) if sim.now().since(healed) >= SETTLE_WITHIN => return Err(broken),
                Err(_) => self.go_on(scenario, sim, Duration::from_secs(1))?,
            }
        }
        self.settled_after = Some(sim.now().since(healed));
        Ok(())
    }

    fn all(
        &mut self,
        sim: &Sim,
        mut look: impl FnMut(&mut dyn Invariant, &Sim) -> Result<(), String>,
    ) -> Result<(), Broken> {
        for invariant in &mut self.invariants {
            look(&mut **invariant, sim).map_err(|why| Broken {
                invariant: invariant.name().into(),
                source: invariant.source().into(),
                why,
                at_ms: millis(sim.now()),
            })?;
        }
        Ok(())
    }
}

impl Report {
    /// What many outcomes of one scenario together say.
    #[must_use]
    pub fn of(make: Make, mut outcomes: Vec<Outcome>) -> Self {
        outcomes.sort_by_key(|outcome| outcome.seed);
        let scenario = make();
        let mut fired = Fired::default();
        let mut digests = blake3::Hasher::new();
        for outcome in &outcomes {
            fired.add(&outcome.fired);
            digests.update(outcome.digest.as_bytes());
        }
        let digest = match outcomes.as_slice() {
            [one] => one.digest.clone(),
            _ => digests.finalize().to_hex().to_string(),
        };
        let seeds = outcomes.len() as u64;
        let never = |kind: &&FaultKind| seeds >= COVERAGE_SEEDS_MIN && fired.of(**kind) == 0;
        let settled = outcomes.iter().filter_map(|outcome| outcome.settled_after_ms);
        Self {
            scenario: scenario.name().into(),
            seeds,
            digest,
            never_fired: scenario.faults().iter().filter(never).copied().collect(),
            virtual_ms: outcomes.iter().map(|outcome| outcome.virtual_ms).sum(),
            events: outcomes.iter().map(|outcome| outcome.events).sum(),
            replayed: outcomes.iter().map(|outcome| outcome.replayed).sum(),
            settled_after_ms: settled.max().unwrap_or_default(),
            failures: outcomes.into_iter().filter(|outcome| outcome.broken.is_some()).collect(),
            fired,
        }
    }

    /// Whether all promises were kept and all faults had an effect.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failures.is_empty() && self.never_fired.is_empty()
    }
}

const fn millis(time: Time) -> u64 {
    time.as_nanos() / 1_000_000
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked without a message".to_owned())
}
