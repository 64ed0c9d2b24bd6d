//! Stories: simulations of a few named hosts, told step by step.
//!
//! ```
//! use serde_json::json;
//! use starling_netsim::story::{Story, secs};
//!
//! let mut story = Story::new(7).hosts(3);
//! let counter = story.start("a", "counter");
//! story.ask("b", counter, "counter/add", json!({"by": 2})).replies(json!(2));
//! story.cut("a", "b");
//! story.run(secs(5));
//! let waiting = story.put("b", counter, "counter/add", json!({"by": 2}));
//! story.heal();
//! story.wait_until_idle(secs(60));
//! assert_eq!(story.outcome("b", waiting), Ok(json!(4)));
//! story.crash("a");
//! story.restart("a");
//! story.wait_until_idle(secs(60));
//! ```

use std::time::Duration;

use serde_json::{Value, json};
use starling_core::{
    engine::{HostState, Kinds, Ticket},
    society,
};
use starling_protocols::{
    exchange::Failure,
    ident::{Address, AgentId},
    interest::TopicName,
};

use crate::{
    faults::{Fault, HostNo},
    host::{Asked, Heard},
    sim::Sim,
};

/// So many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long a question of a story may take, unless it says otherwise.
const BUDGET: Duration = Duration::from_secs(30);

/// How long hosts may take to find each other at the beginning.
const MEET_WITHIN: Duration = Duration::from_secs(60);

/// A story under way. Hosts are named "a", "b", "c" and so on.
pub struct Story {
    sim: Sim,
    seed: u64,
    kinds: Kinds,
}

/// What came of a question.
#[must_use = "look at the outcome"]
pub struct Reply {
    outcome: Result<Value, Failure>,
    what: String,
}

impl Story {
    /// A story whose chances `seed` decides, with the stock kinds of agents and no hosts yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { sim: Sim::new(seed), seed, kinds: society::stock() }
    }

    /// The kinds of agents that hosts added from now on can run.
    #[must_use]
    pub fn kinds(mut self, kinds: Kinds) -> Self {
        self.kinds = kinds;
        self
    }

    /// Begins with so many hosts, all members of one mesh, and waits until they are linked.
    ///
    /// # Panics
    /// When they do not find each other.
    #[must_use]
    pub fn hosts(mut self, count: u32) -> Self {
        for number in 0..count {
            self.sim.add_host(&name(number), self.kinds.clone(), Vec::new());
        }
        let founder = HostNo(0);
        self.sim.found(founder);
        self.sim.admit_all();
        self.sim.hosts().for_each(|host| self.sim.start(host));
        self.wait_until_idle(MEET_WITHIN);
        self
    }

    /// The simulation itself, for what a story has no word for.
    pub const fn sim(&mut self) -> &mut Sim {
        &mut self.sim
    }

    /// Starts an agent with the first state of its kind; gives its address.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&mut self, host: &str, kind: &str) -> Address {
        let started = self.start_as(host, kind, None);
        started.unwrap_or_else(|why| panic!("seed {}: {kind} at {host}: {why}", self.seed))
    }

    /// Starts an agent under a name; gives its address.
    ///
    /// # Errors
    /// The failure of the question to the host agent, which refuses a name that is taken.
    pub fn start_as(
        &mut self,
        host: &str,
        kind: &str,
        name: Option<&str>,
    ) -> Result<Address, Failure> {
        let number = self.host(host);
        let to = self.sim.address(number, AgentId::HOST);
        let start = json!({ "kind": kind, "name": name, "state": null });
        let id = self.ask(host, to, "host/start", start).outcome?;
        let agent: AgentId = serde_json::from_value(id).expect("an agent's id");
        Ok(self.sim.address(number, agent))
    }

    /// Stops an agent, asked at its own host. Gives whether there was one.
    ///
    /// # Errors
    /// The failure of the question to the host agent.
    pub fn stop(&mut self, host: &str, agent: Address) -> Result<bool, Failure> {
        let to = self.sim.address(self.host(host), AgentId::HOST);
        let stop = json!({ "agent": agent.agent.to_string() });
        let stopped = self.ask(host, to, "host/stop", stop).outcome?;
        Ok(stopped == json!(true))
    }

    /// Asks an agent, from outside at `host`, and waits for what comes of it.
    ///
    /// # Panics
    /// When nothing ever comes of it.
    pub fn ask(&mut self, host: &str, to: Address, name: &str, body: Value) -> Reply {
        self.ask_within(BUDGET, host, to, name, body)
    }

    /// The same, with another budget.
    ///
    /// # Panics
    /// When nothing ever comes of it.
    pub fn ask_within(
        &mut self,
        budget: Duration,
        host: &str,
        to: Address,
        name: &str,
        body: Value,
    ) -> Reply {
        let number = self.host(host);
        let ticket = self.sim.ask(number, to, name, &body, budget);
        let settled = |sim: &Sim| *sim.answer(number, ticket) != Asked::Waiting;
        let came = self.sim.run_until(budget + secs(1), settled);
        assert!(came, "seed {}: nothing came of {name}, asked at {host}", self.seed);
        let what = format!("{name}, asked at {host} (seed {})", self.seed);
        Reply { outcome: self.outcome(host, ticket), what }
    }

    /// Asks an agent without waiting; see [`outcome`](Self::outcome).
    pub fn put(&mut self, host: &str, to: Address, name: &str, body: Value) -> Ticket {
        let host = self.host(host);
        self.sim.ask(host, to, name, &body, BUDGET)
    }

    /// What came of a question that was put.
    ///
    /// # Errors
    /// The failure of the question; [`Failure::Gone`] when the asking daemon itself has ended.
    ///
    /// # Panics
    /// When nothing has come of it yet.
    pub fn outcome(&mut self, host: &str, ticket: Ticket) -> Result<Value, Failure> {
        let number = self.host(host);
        match self.sim.answer(number, ticket) {
            Asked::Waiting => panic!("seed {}: no answer yet at {host}", self.seed),
            Asked::Answered(outcome) => outcome.clone(),
            Asked::Lost => Err(Failure::Gone),
        }
    }

    /// Listens to a topic, from outside at `host`, until [`unlisten`](Self::unlisten).
    pub fn listen(&mut self, host: &str, topic: &str) -> Ticket {
        let host = self.host(host);
        self.sim.subscribe(host, &topic_name(topic))
    }

    /// Listens no more.
    pub fn unlisten(&mut self, host: &str, ticket: Ticket) {
        let host = self.host(host);
        self.sim.unsubscribe(host, ticket);
    }

    /// Publishes a notification, from outside at `host`. Its [`outcome`](Self::outcome) says how
    /// many listeners there it went to, and how many other hosts: `{"local": 1, "hosts": 2}`.
    pub fn publish(&mut self, host: &str, topic: &str, body: Value) -> Ticket {
        let host = self.host(host);
        self.sim.publish(host, &topic_name(topic), &body)
    }

    /// How `host` sees another, as `p2p members` shows it.
    #[must_use]
    pub fn view(&self, host: &str, other: &str) -> Option<HostState> {
        let other = self.sim.id(self.host(other));
        let view = self.sim.engine(self.host(host))?.host_view(other)?;
        Some(view.state)
    }

    /// What subscriptions at `host` were told so far.
    #[must_use]
    pub fn heard(&self, host: &str) -> &[Heard] {
        self.sim.heard(self.host(host))
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.sim.run_for(time);
    }

    /// Cuts the way between two hosts, both ways.
    pub fn cut(&mut self, a: &str, b: &str) {
        self.cut_ways(a, b, true);
    }

    /// Cuts the way from one host to another; what comes back still arrives.
    pub fn cut_one_way(&mut self, from: &str, to: &str) {
        self.cut_ways(from, to, false);
    }

    fn cut_ways(&mut self, a: &str, b: &str, both_ways: bool) {
        let (from, to) = (vec![self.host(a)], vec![self.host(b)]);
        self.sim.impose(Fault::Cut { from, to, both_ways });
    }

    /// Resets all connections between two hosts.
    pub fn reset(&mut self, a: &str, b: &str) {
        let (a, b) = (self.host(a), self.host(b));
        self.sim.impose(Fault::Reset { a, b });
    }

    /// Imposes any fault until the next [`heal`](Self::heal).
    pub fn impose(&mut self, fault: Fault) {
        self.sim.impose(fault);
    }

    /// Suspends a daemon.
    pub fn pause(&mut self, host: &str) {
        let host = self.host(host);
        self.sim.impose(Fault::Pause { host });
    }

    /// Lets a suspended daemon go on.
    pub fn resume(&mut self, host: &str) {
        let at = self.host(host);
        self.sim.lift_where(|fault| *fault == Fault::Pause { host: at });
    }

    /// Sets the calendar of a host forward, or back.
    pub fn set_clock(&mut self, host: &str, by_millis: i64) {
        let host = self.host(host);
        self.sim.impose(Fault::ClockJump { host, millis: by_millis });
    }

    /// Kills a daemon.
    pub fn crash(&mut self, host: &str) {
        let host = self.host(host);
        self.sim.impose(Fault::Crash { host });
    }

    /// Takes the power from a machine.
    pub fn power_cut(&mut self, host: &str) {
        let host = self.host(host);
        self.sim.impose(Fault::PowerCut { host });
    }

    /// Lets a daemon leave the mesh in good order.
    pub fn leave(&mut self, host: &str) {
        let host = self.host(host);
        self.sim.impose(Fault::Leave { host });
    }

    /// Starts a daemon that was killed, lost power or left.
    pub fn restart(&mut self, host: &str) {
        let at = self.host(host);
        self.sim.lift_where(|fault| match fault {
            Fault::Crash { host } | Fault::PowerCut { host } | Fault::Leave { host } => *host == at,
            _ => false,
        });
    }

    /// Ends all faults: ways are whole again, and whoever was down starts.
    pub fn heal(&mut self) {
        self.sim.lift_all();
    }

    /// Waits until all daemons that run are linked to each other and nothing that was asked
    /// waits for an answer.
    ///
    /// # Panics
    /// When that is not so within `limit`; says who is busy with what.
    pub fn wait_until_idle(&mut self, limit: Duration) {
        let idle = self.sim.run_until(limit, |sim| busy(sim).is_none());
        if !idle {
            let why = busy(&self.sim).unwrap_or_default();
            panic!("seed {}: not idle after {limit:?}: {why}", self.seed);
        }
        // What is on its way arrives, and acknowledgements go out.
        self.sim.run_for(secs(1));
    }

    fn host(&self, name: &str) -> HostNo {
        let found = self.sim.named(name);
        found.unwrap_or_else(|| panic!("there is no host {name:?} in this story"))
    }
}

impl Reply {
    /// The question must have had this reply.
    ///
    /// # Panics
    /// When it had another, or none.
    #[track_caller]
    pub fn replies(self, expected: Value) {
        assert_eq!(self.outcome, Ok(expected), "{}", self.what);
    }

    /// The question must have failed in this way.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(self, expected: Failure) {
        assert_eq!(self.outcome, Err(expected), "{}", self.what);
    }

    /// What came of it.
    ///
    /// # Errors
    /// The failure of the question.
    pub fn outcome(self) -> Result<Value, Failure> {
        self.outcome
    }
}

/// "a" to "z", then "host-26" and so on.
fn name(number: u32) -> String {
    match u8::try_from(number) {
        Ok(number @ 0..26) => char::from(b'a' + number).to_string(),
        _ => format!("host-{number}"),
    }
}

fn topic_name(topic: &str) -> TopicName {
    topic.parse().unwrap_or_else(|why| panic!("{topic:?}: {why}"))
}

/// Who is busy with what, if anybody is.
fn busy(sim: &Sim) -> Option<String> {
    let running: Vec<HostNo> = sim.hosts().filter(|host| sim.is_running(*host)).collect();
    for host in &running {
        let engine = sim.engine(*host)?;
        if engine.backlog() > 0 {
            return Some(format!("agents of {} have messages to handle", sim.name(*host)));
        }
        let waiting = sim.asked(*host).find(|(_, asked)| **asked == Asked::Waiting);
        if waiting.is_some() {
            return Some(format!("a question put at {} has no answer", sim.name(*host)));
        }
        for peer in running.iter().filter(|peer| *peer != host) {
            let state = engine.host_view(sim.id(*peer)).map(|view| view.state);
            if state != Some(HostState::Linked) {
                let (here, there) = (sim.name(*host), sim.name(*peer));
                return Some(format!("{here} is not linked to {there}: {state:?}"));
            }
        }
    }
    None
}
