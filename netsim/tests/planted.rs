//! A bug planted in a protocol is found by seeds and shrunk to the faults that matter.
//!
//! The protocol: tellers move money from the account of their host to that of another. Both tell
//! the bank of every transfer; the careful one names each transfer by a key, the careless one
//! repeats a request that timed out as if nothing had happened.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use starling_core::{agent::prelude::*, engine::Kinds};
use starling_netsim::{
    Broken, FaultKind, HostNo, Options, Outcome, Sim,
    invariants::{Findings, Invariant},
    run_seed,
    scenario::{Make, Scenario},
    shrink,
    workload::{self, Rest},
};
use starling_protocols::entropy::Entropy;

const BANK: AgentId = AgentId(910);
const TELLER: AgentId = AgentId(911);
const SEEDS: u64 = 40;

/// Holds what was paid in.
#[derive(Default, Serialize, Deserialize)]
struct Bank {
    total: u64,
    /// Payments that have a key, so that none is taken twice.
    keys: BTreeMap<u64, u64>,
}

/// Pays one coin in.
#[derive(Serialize, Deserialize)]
struct Pay {
    key: Option<u64>,
}

impl Request for Pay {
    const NAME: &'static str = "test/pay";
    const BUDGET: Duration = Duration::from_secs(3);
    type Reply = ();
}

impl Agent for Bank {
    const KIND: &'static str = "test-bank";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Pay>();
    }
}

impl Answers<Pay> for Bank {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Pay { key }: Pay) -> Answer<Pay> {
        let known = key.is_some_and(|key| self.keys.insert(key, 1).is_some());
        self.total += u64::from(!known);
        Answer::now(())
    }
}

/// Pays a coin in every second, and tries again until it knows that it has been taken.
#[derive(Default, Serialize, Deserialize)]
struct Teller {
    bank: Option<Address>,
    careful: bool,
    resting: bool,
    begun: u64,
    paid: u64,
}

#[derive(Serialize, Deserialize)]
enum Then {
    Next,
    Paid(Await<Pay>, u64),
}

impl Agent for Teller {
    const KIND: &'static str = "test-teller";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        cx.after(Duration::from_secs(1), Then::Next);
    }
}

impl Answers<Rest> for Teller {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        Answer::now(self.paid)
    }
}

impl Teller {
    fn pay(&mut self, cx: &mut Cx<'_, Self>, number: u64) {
        let Some(bank) = self.bank else { return };
        let key = self.careful.then_some(number);
        cx.request(bank, &Pay { key }, |slot| Then::Paid(slot, number));
    }
}

impl Continuation<Teller> for Then {
    fn resume(self, teller: &mut Teller, cx: &mut Cx<'_, Teller>) {
        match self {
            Self::Next if teller.resting => {}
            Self::Next => {
                teller.begun += 1;
                let number = cx.entropy().u64();
                teller.pay(cx, number);
                cx.after(Duration::from_secs(1), Self::Next);
            }
            // The bug is here: what timed out may have been done.
            Self::Paid(slot, number) => match cx.take(slot) {
                Ok(()) => teller.paid += 1,
                Err(_) => teller.pay(cx, number),
            },
        }
    }
}

/// All coins that were paid are in the bank, once.
struct MoneyIsKept;

impl Invariant for MoneyIsKept {
    fn name(&self) -> &'static str {
        "money-is-kept"
    }
    fn source(&self) -> &'static str {
        "this test"
    }
    fn at_end(&mut self, _: &Sim, findings: &Findings) -> Result<(), String> {
        let banks = findings.states::<Bank>(BANK)?;
        let tellers = findings.states::<Teller>(TELLER)?;
        let total: u64 = banks.iter().map(|(_, bank)| bank.total).sum();
        let begun: u64 = tellers.iter().map(|(_, teller)| teller.begun).sum();
        if total == begun { Ok(()) } else { Err(format!("{begun} were paid, {total} are there")) }
    }
}

/// One bank, and a teller on every other host.
struct Payments {
    careful: bool,
}

impl Scenario for Payments {
    fn name(&self) -> &'static str {
        "payments"
    }
    fn about(&self) -> &'static str {
        "money is paid in over links that break"
    }
    fn faults(&self) -> &'static [FaultKind] {
        // No host ends, so that nothing is lost with it.
        &[FaultKind::Loss, FaultKind::Partition, FaultKind::Reset, FaultKind::Pause]
    }
    fn set_up(&mut self, sim: &mut Sim, hosts: u32, _: &Entropy) {
        let kinds = Kinds::new().kind::<Bank>().kind::<Teller>();
        let bank = Some(Address { host: sim.future_id(HostNo(0)), agent: BANK });
        for number in 0..hosts {
            let teller = Teller { bank, careful: self.careful, ..Teller::default() };
            let resident = match number {
                0 => (BANK, workload::start(&Bank::default())),
                _ => (TELLER, workload::start(&teller)),
            };
            sim.add_host(&format!("host-{number}"), kinds.clone(), vec![resident]);
        }
        sim.found(HostNo(0));
        sim.admit_all();
        sim.hosts().for_each(|host| sim.start(host));
    }
    fn rest(&mut self, sim: &mut Sim) {
        for host in sim.hosts().skip(1).collect::<Vec<_>>() {
            let teller = sim.address(host, TELLER);
            sim.ask(host, teller, "sim/rest", &json!({}), Duration::from_secs(10));
        }
    }
    fn watched(&self) -> &'static [AgentId] {
        &[BANK, TELLER]
    }
    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![Box::new(MoneyIsKept)]
    }
}

const CAREFUL: Make = || Box::new(Payments { careful: true });
const CARELESS: Make = || Box::new(Payments { careful: false });

fn options() -> Options {
    Options { scenario: "payments".into(), hosts: 3, minutes: 2, ..Options::default() }
}

fn failures(make: Make) -> Vec<Outcome> {
    let all = (1..=SEEDS).map(|seed| run_seed(make, &options(), seed, None));
    all.filter(|outcome| outcome.broken.is_some()).collect()
}

#[test]
fn a_payment_that_is_repeated_without_a_key_is_found_and_shrunk() {
    let failed = failures(CARELESS);
    let first = failed.first().expect("one of forty seeds finds it");
    let shrunk = shrink(CARELESS, &options(), first).expect("it failed");
    let steps = shrunk.outcome.schedule.len();
    assert!((1..=3).contains(&steps), "seed {}: {steps} steps\n{shrunk}", first.seed);
    let Broken { invariant, .. } = shrunk.outcome.broken.clone().expect("it fails still");
    assert_eq!(invariant, "money-is-kept");
    let again = run_seed(CARELESS, &shrunk.options, shrunk.options.seed, None);
    assert_eq!(again, shrunk.outcome, "what is printed repeats it exactly");
}

#[cfg(feature = "program")]
#[test]
fn a_failed_simulation_says_what_broke_where_and_how_to_repeat_it() {
    use starling_netsim::{Report, program::Simulated};

    let failed = failures(CARELESS).into_iter().next().expect("one of forty seeds finds it");
    let seed = failed.seed;
    let shrunk = shrink(CARELESS, &options(), &failed);
    let report = Report::of(CARELESS, vec![failed]);
    let simulated = Simulated { report, shrunk, missing: 0 };
    let text = simulated.to_string();
    assert!(!simulated.is_good());
    let broken = format!("FAILED: seed {seed}: money-is-kept (this test) at ");
    assert!(text.contains(&broken), "{text}");
    assert!(text.contains(&format!("\nseed {seed} still fails with ")), "{text}");
    let json = simulated.json();
    let steps: Vec<String> = json["shrunk"]["schedule"]
        .as_array()
        .map_or_else(Vec::new, |steps| steps.iter().map(|step| step[0].to_string()).collect());
    let command = format!(
        "p2p sim --scenario payments --hosts 3 --seed {seed} --minutes 2 --only {}",
        steps.join(",")
    );
    assert!(text.ends_with(&format!("repeat it: {command}\n")), "{text}");
    assert_eq!(json["shrunk"]["command"], command);
}

#[test]
fn a_payment_with_a_key_is_taken_once_over_the_same_seeds() {
    let failed = failures(CAREFUL);
    assert!(failed.is_empty(), "{:?}", failed.first().map(|failed| &failed.broken));
}
