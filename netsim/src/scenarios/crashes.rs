use std::{cell::RefCell, rc::Rc, time::Duration};

use serde_json::{Value, json};
use starling_core::{
    engine::{Kinds, Ticket},
    society::Counter,
};
use starling_protocols::{
    entropy::Entropy,
    exchange::Failure,
    ident::{Address, AgentId},
};

use super::{FIRST_BALANCE, start_members, tell_to_rest, till, tills};
use crate::{
    deposits::Deposits,
    faults::{DiskMoment, Fault, FaultKind, HostNo},
    host::Asked,
    invariants::{
        AcknowledgedIsDurable, Findings, Invariant, LettersOnceInOrder, MoneyIsKept, NobodyDies,
        RostersConverge, WaitsGoOn,
    },
    run::{Options, run_seed},
    scenario::{Make, Scenario, Times},
    schedule::{Schedule, Step},
    sim::{Journals, Sim},
    workload::{TILL, kinds},
};

/// The host that crashes.
const VICTIM: HostNo = HostNo(1);

/// Whoever asks it from outside.
const ASKER: HostNo = HostNo(0);

/// A host can end before, during and after each operation, by a kill or for want of power.
const WAYS: u64 = 6;

/// How long the story is.
const STORY: Duration = Duration::from_secs(5);

/// How long somebody outside waits for the answer.
const BUDGET: Duration = Duration::from_secs(10);

/// One story, in which one host ends at one operation of its disk: each seed stands for another
/// operation and another way.
///
/// The story: tills pay each other by letters and are paid from outside, a counter is started, used
/// and stopped, snapshots are made and files of the journal begun.
#[derive(Debug, Default)]
pub struct Crashes {
    deposits: Deposits,
    counter: Story,
    own: Option<Entropy>,
    second: u64,
}

impl Crashes {
    fn fault(seed: u64) -> Fault {
        let point = seed.saturating_sub(1);
        let after = u32::try_from(point / WAYS).unwrap_or(u32::MAX);
        let moment = match point % 3 {
            0 => DiskMoment::Before,
            1 => DiskMoment::During,
            _ => DiskMoment::After,
        };
        Fault::CrashAtDisk { host: VICTIM, after, moment, power: point % WAYS >= 3 }
    }
}

impl Scenario for Crashes {
    fn name(&self) -> &'static str {
        "crashes"
    }

    fn about(&self) -> &'static str {
        "one story, and a host that ends at every single operation of its disk: nothing is lost"
    }

    fn faults(&self) -> &'static [FaultKind] {
        &[FaultKind::CrashAtDisk]
    }

    fn schedule(&self, _: &Entropy, options: &Options) -> Schedule {
        let lasts_ms = u64::try_from(STORY.as_millis()).unwrap_or(u64::MAX);
        Schedule::new(vec![Step { at_ms: 0, lasts_ms, fault: Self::fault(options.seed) }])
    }

    /// All operations of the story, in all ways.
    fn points(&self, options: &Options) -> Option<u64> {
        let make: Make = || Box::new(Self::default());
        let unharmed = Options { only: Some(Vec::new()), ..options.clone() };
        let outcome = run_seed(make, &unharmed, 1, None);
        Some(WAYS * outcome.disk_operations.get(VICTIM.index())?)
    }

    fn world(&self, _: u64) -> u64 {
        1
    }

    fn times(&self, _: &Options) -> Times {
        let afterglow = Duration::from_secs(2);
        Times { faults: STORY, afterglow, rest: Duration::from_secs(31) }
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy) {
        let journals =
            Journals { snapshot_entries: 4, file_bytes_max: 1500, ..Journals::default() };
        if sim.keeps_journals() {
            sim.set_journals(Some(journals));
        }
        // The victim and whoever asks it are always there.
        let hosts = hosts.max(2);
        let whom = tills(sim, hosts);
        let kinds: Kinds = kinds().kind::<Counter>();
        start_members(sim, hosts, &kinds, |_| vec![till(&whom, 1200)]);
        // The story begins when the fault is imposed.
        sim.stop_at_once(VICTIM);
        self.own = Some(entropy.fork("deposits"));
    }

    fn step(&mut self, sim: &mut Sim) {
        self.second += 1;
        if self.second == 1 {
            sim.start(VICTIM);
        }
        if let Some(own) = &mut self.own {
            let from = if self.second.is_multiple_of(2) { ASKER } else { VICTIM };
            self.deposits.pay(sim, from, VICTIM, own);
        }
        self.counter.step(sim, self.second);
    }

    fn rest(&mut self, sim: &mut Sim) {
        tell_to_rest(sim, &[TILL]);
    }

    fn watched(&self) -> &'static [AgentId] {
        &[TILL]
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        let deposits = self.deposits.clone();
        vec![
            Box::new(NobodyDies),
            Box::new(RostersConverge),
            Box::new(AcknowledgedIsDurable { deposits }),
            Box::new(LettersOnceInOrder),
            Box::new(MoneyIsKept { first: FIRST_BALANCE }),
            Box::new(WaitsGoOn),
            Box::new(WhatWasSaidHolds(self.counter.clone())),
        ]
    }
}

/// What was asked of a counter, in order.
#[derive(Clone, Debug, Default)]
struct Story(Rc<RefCell<Vec<(What, Ticket)>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Start,
    Add,
    /// After it was said that the counter has been stopped.
    AddLate,
    Stop,
}

impl Story {
    fn step(&self, sim: &mut Sim, second: u64) {
        match second {
            2 => self.host(sim, What::Start),
            3 | 5.. => self.add(sim),
            4 => self.host(sim, What::Stop),
            _ => {}
        }
    }

    fn host(&self, sim: &mut Sim, what: What) {
        let (name, body) = match (what, self.counter(sim)) {
            (What::Start, _) => {
                ("host/start", json!({ "kind": "counter", "name": "c", "state": null }))
            }
            (_, Some(counter)) => ("host/stop", json!({ "agent": counter.agent })),
            _ => return,
        };
        let to = sim.address(VICTIM, AgentId::HOST);
        self.ask(sim, what, to, name, &body);
    }

    fn add(&self, sim: &mut Sim) {
        if let Some(counter) = self.counter(sim) {
            let mut answers = self.answers(sim).into_iter();
            let done = |answer: &Asked| matches!(answer, Asked::Answered(Ok(_)));
            let late = answers.any(|(what, answer)| what == What::Stop && done(answer));
            let what = if late { What::AddLate } else { What::Add };
            self.ask(sim, what, counter, "counter/add", &json!({ "by": 1 }));
        }
    }

    fn ask(&self, sim: &mut Sim, what: What, to: Address, name: &str, body: &Value) {
        let ticket = sim.ask(ASKER, to, name, body, BUDGET);
        self.0.borrow_mut().push((what, ticket));
    }

    fn answers<'a>(&self, sim: &'a Sim) -> Vec<(What, &'a Asked)> {
        let asked = self.0.borrow();
        asked.iter().map(|(what, ticket)| (*what, sim.answer(ASKER, *ticket))).collect()
    }

    /// The counter, when it is known that it was started.
    fn counter(&self, sim: &Sim) -> Option<Address> {
        self.answers(sim).into_iter().find_map(|(what, answer)| match (what, answer) {
            (What::Start, Asked::Answered(Ok(id))) => {
                let agent: AgentId = serde_json::from_value(id.clone()).ok()?;
                Some(sim.address(VICTIM, agent))
            }
            _ => None,
        })
    }
}

/// A counter that was said to have been started is there with all that was added, until it was said
/// to have been stopped: then it is not.
struct WhatWasSaidHolds(Story);

impl Invariant for WhatWasSaidHolds {
    fn name(&self) -> &'static str {
        "what-was-said-holds"
    }

    fn source(&self) -> &'static str {
        "what was answered outlives a crash; node/core, agent::Agent::DURABILITY"
    }

    fn at_end(&mut self, sim: &Sim, _: &Findings) -> Result<(), String> {
        let (mut least, mut stopping) = (0, false);
        for (what, answer) in self.0.answers(sim) {
            match (what, answer) {
                (What::Stop, _) => stopping = true,
                (What::AddLate, Asked::Answered(Ok(_))) => {
                    return Err("an agent that was stopped answers".into());
                }
                (What::Add, Asked::Answered(Ok(sum))) => {
                    least += 1;
                    let sum = sum.as_i64().unwrap_or_default();
                    if sum < least {
                        return Err(format!("{least} were added and it has {sum}"));
                    }
                }
                (What::Add, Asked::Answered(Err(Failure::NoAgent))) if !stopping => {
                    return Err("an agent that was started is not there".into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
