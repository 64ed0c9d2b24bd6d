//! The script's hosts in the simulator.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use starling_core::engine::{HostState, Ticket};
use starling_netsim::{
    Heard as Told,
    story::{Story, secs},
};
use starling_protocols::ident::{Address, AgentId};

use super::super::{BRIEFLY, HOSTS, Heard, Mesh, Outcome};

/// As long as anything may take: a lost host is dialled again within 30 seconds.
const PATIENCE: Duration = secs(60);

/// Three hosts of a story.
pub(crate) struct Simulated {
    story: Story,
    agents: BTreeMap<String, Address>,
    /// Each with what its host had been told before.
    ears: BTreeMap<(String, &'static str), (Ticket, usize)>,
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        let story = Story::new(seed).hosts(3);
        Self { story, agents: BTreeMap::new(), ears: BTreeMap::new() }
    }

    fn host_of(agent: &str) -> &str {
        agent.split_once('@').map_or("", |(_, host)| host)
    }

    fn address(&mut self, agent: &str) -> Address {
        let nobody = Self::host_of(agent);
        let host = self.story.sim().named(nobody).expect("a host of the script");
        let nobody = self.story.sim().address(host, AgentId(123_456_789));
        self.agents.get(agent).copied().unwrap_or(nobody)
    }

    fn plain(&mut self, outcome: Outcome) -> Outcome {
        let mut names: Vec<(String, String)> = self
            .agents
            .iter()
            .map(|(name, address)| (address.agent.to_string(), name.clone()))
            .collect();
        for host in HOSTS {
            let number = self.story.sim().named(host).expect("a host of the script");
            names.push((self.story.sim().id(number).to_string(), host.to_owned()));
        }
        super::super::plain(outcome, &names)
    }

    fn until(&mut self, what: &str, done: impl Fn(&mut Self) -> bool) {
        let mut waited = Duration::ZERO;
        while !done(self) {
            assert!(waited < PATIENCE, "in vain: {what}");
            self.story.run(Duration::from_millis(10));
            waited += Duration::from_millis(10);
        }
    }
}

impl Mesh for Simulated {
    fn start(&mut self, kind: &str, agent: &str) -> Result<(), String> {
        let (name, host) = agent.split_once('@').expect("NAME@HOST");
        let started = self.story.start_as(host, kind, Some(name));
        let address = started.map_err(|why| why.to_string())?;
        self.agents.insert(agent.to_owned(), address);
        Ok(())
    }

    fn stop(&mut self, agent: &str) -> Outcome {
        let address = self.address(agent);
        match self.story.stop(Self::host_of(agent), address) {
            Ok(true) => Ok(json!("stopped")),
            // In the words of the daemon, which asks its host agent as we do.
            Ok(false) => Err(starling_protocols::exchange::Failure::NoAgent.to_string()),
            Err(why) => Err(why.to_string()),
        }
    }

    fn ask(&mut self, host: &str, agent: &str, request: &str, body: Value) -> Outcome {
        let to = self.address(agent);
        let outcome = self.story.ask(host, to, request, body).outcome();
        self.plain(outcome.map_err(|why| why.to_string()))
    }

    fn ask_briefly(&mut self, host: &str, agent: &str, request: &str, body: Value) -> Outcome {
        let to = self.address(agent);
        let outcome = self.story.ask_within(BRIEFLY, host, to, request, body).outcome();
        self.plain(outcome.map_err(|why| why.to_string()))
    }

    fn listen(&mut self, host: &str, topic: &'static str) {
        let before = self.story.heard(host).len();
        let ticket = self.story.listen(host, topic);
        self.ears.insert((host.to_owned(), topic), (ticket, before));
    }

    fn unlisten(&mut self, host: &str, topic: &'static str) {
        let (ticket, _) = self.ears.remove(&(host.to_owned(), topic)).expect("somebody listens");
        self.story.unlisten(host, ticket);
    }

    fn await_reach(&mut self, host: &str, topic: &str, reach: &Value) {
        self.until(&format!("{topic} from {host}: {reach}"), |mesh| {
            mesh.publish(host, topic, super::super::PROBE) == *reach
        });
    }

    fn publish(&mut self, host: &str, topic: &str, text: &str) -> Value {
        let said = json!({ "from": host, "to": "all", "text": text });
        let ticket = self.story.publish(host, topic, said);
        self.story.run(Duration::from_millis(1));
        self.story.outcome(host, ticket).expect("it was published")
    }

    fn heard(&mut self, host: &str, topic: &'static str, text: &str, from: &[&str]) -> Vec<Heard> {
        let (_, before) = self.ears[&(host.to_owned(), topic)];
        let heard = |mesh: &Self| -> Vec<Heard> {
            let told = mesh.story.heard(host)[before..].iter();
            let of_topic = told.filter_map(|told| match told {
                Told::Message { topic: of, body, .. } if of == topic => body.clone(),
                Told::Message { .. } => None,
                Told::Missed { .. } => panic!("{host} has missed some of {topic}"),
            });
            of_topic.filter_map(|body| super::super::said(&body)).collect()
        };
        let all = |mesh: &mut Self| super::super::ends(&heard(mesh), text, from);
        self.until(&format!("{host} hears {text:?} in {topic}"), all);
        heard(self)
    }

    fn await_state(&mut self, host: &str, other: &str, state: &str) {
        self.until(&format!("{host} sees {other} as {state}"), |mesh| {
            let seen = mesh.story.view(host, other);
            let seen = seen.map(|seen: HostState| json!(seen));
            seen == Some(json!(state))
        });
    }

    fn kill(&mut self, host: &str) {
        self.story.crash(host);
    }

    fn leave(&mut self, host: &str) {
        self.story.leave(host);
    }

    fn restart(&mut self, host: &str) {
        // Its daemon may still be going down.
        self.story.run(secs(1));
        self.story.restart(host);
    }
}
