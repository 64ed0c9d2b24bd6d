//! What a run is about: who is there, what they do, what goes wrong, and what must hold.

use std::time::Duration;

use starling_protocols::{entropy::Entropy, ident::AgentId};

use crate::{
    faults::FaultKind, invariants::Invariant, run::Options, scenarios, schedule::Schedule,
    sim::Sim, swarm,
};

/// Hosts of a simulation, unless the scenario is made for more.
pub(crate) const HOSTS_MAX: u32 = 1000;

/// A kind of run. A run sets it up, imposes faults for some minutes while it steps, heals
/// everything, waits until its invariants come true, lets it rest, and looks at what is left.
pub trait Scenario {
    /// Its name, as people type it.
    fn name(&self) -> &'static str;

    /// What it is about, in one line.
    fn about(&self) -> &'static str;

    /// How many hosts it is made for, without journals. With them, a thousand at most.
    fn hosts_max(&self) -> u32 {
        HOSTS_MAX
    }

    /// The kinds of fault that may happen in it.
    fn faults(&self) -> &'static [FaultKind];

    /// What goes wrong in the run with this seed: by default, what the swarm draws.
    fn schedule(&self, entropy: &Entropy, options: &Options) -> Schedule {
        swarm::schedule(entropy, self.faults(), options.hosts, options.minutes())
    }

    /// How many seeds, from one on, there are in all, where that is known: then all of them are run
    /// unless somebody says otherwise.
    fn points(&self, options: &Options) -> Option<u64> {
        let _ = options;
        None
    }

    /// The seed of everything else than the schedule.
    fn world(&self, seed: u64) -> u64 {
        seed
    }

    /// How long things go wrong, go on after everything is healed, and rest.
    fn times(&self, options: &Options) -> Times {
        Times { faults: options.minutes(), ..Times::default() }
    }

    /// Adds the hosts and their agents, and starts who is there from the beginning.
    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy);

    /// What people do, every virtual second, until it rests.
    fn step(&mut self, sim: &mut Sim) {
        let _ = sim;
    }

    /// Whether all that it set out to do has happened. Looked at after everything is healed.
    ///
    /// # Errors
    /// What has not happened yet.
    fn is_settled(&self, sim: &Sim) -> Result<(), String> {
        let _ = sim;
        Ok(())
    }

    /// Everything is healed: what keeps things from settling ends here.
    fn healed(&mut self, sim: &mut Sim) {
        let _ = sim;
    }

    /// Tells the agents to begin nothing new.
    fn rest(&mut self, sim: &mut Sim) {
        let _ = sim;
    }

    /// The agents whose states are looked at.
    fn watched(&self) -> &'static [AgentId] {
        &[]
    }

    /// Agents whose states are looked at besides, at the end, on the hosts they were born on.
    fn also_watched(&self, sim: &Sim) -> Vec<AgentId> {
        let _ = sim;
        Vec::new()
    }

    /// What must hold.
    fn invariants(&self) -> Vec<Box<dyn Invariant>>;
}

/// How long the parts of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Things go wrong.
    pub faults: Duration,
    /// Everything is healed, and goes on.
    pub afterglow: Duration,
    /// Nobody begins anything new.
    pub rest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            faults: Duration::from_secs(600),
            afterglow: Duration::from_secs(10),
            // Longer than the longest question, and than the longest repair.
            rest: Duration::from_secs(40),
        }
    }
}

/// Makes a scenario anew, for each run.
pub type Make = fn() -> Box<dyn Scenario>;

/// All scenarios that come with the simulator.
pub const ALL: [Make; 12] = [
    || Box::new(scenarios::Mixed::default()),
    || Box::new(scenarios::Durable::default()),
    || Box::new(scenarios::Documents::default()),
    || Box::new(scenarios::Moves::default()),
    || Box::new(scenarios::Membership::default()),
    || Box::new(scenarios::Dialogs),
    || Box::new(scenarios::Topics),
    || Box::new(scenarios::Market::default()),
    || Box::new(scenarios::Partners::default()),
    || Box::new(scenarios::Problems::default()),
    || Box::new(scenarios::Crashes::default()),
    || Box::new(scenarios::Quiet),
];

/// The scenario with this name.
#[must_use]
pub fn named(name: &str) -> Option<Make> {
    ALL.into_iter().find(|make| make().name() == name)
}
