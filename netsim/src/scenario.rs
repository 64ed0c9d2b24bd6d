//! What a run is about: who is there, what they do, what goes wrong, and what must hold.

use starling_protocols::{entropy::Entropy, ident::AgentId};

use crate::{faults::FaultKind, invariants::Invariant, scenarios, sim::Sim};

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

    /// Tells the agents to begin nothing new.
    fn rest(&mut self, sim: &mut Sim) {
        let _ = sim;
    }

    /// The agents whose states are looked at.
    fn watched(&self) -> &'static [AgentId] {
        &[]
    }

    /// What must hold.
    fn invariants(&self) -> Vec<Box<dyn Invariant>>;
}

/// Makes a scenario anew, for each run.
pub type Make = fn() -> Box<dyn Scenario>;

/// All scenarios that come with the simulator.
pub const ALL: [Make; 6] = [
    || Box::new(scenarios::Mixed::default()),
    || Box::new(scenarios::Durable::default()),
    || Box::new(scenarios::Membership::default()),
    || Box::new(scenarios::Dialogs),
    || Box::new(scenarios::Topics),
    || Box::new(scenarios::Quiet),
];

/// The scenario with this name.
#[must_use]
pub fn named(name: &str) -> Option<Make> {
    ALL.into_iter().find(|make| make().name() == name)
}
