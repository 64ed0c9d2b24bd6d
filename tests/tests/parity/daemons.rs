//! The script's hosts as daemons on the loopback.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use starling_tests::{Answer, Host, Lines, Place, until};

use super::super::{BRIEFLY, HOSTS, Heard, Mesh, Outcome};

/// Three daemons.
pub(crate) struct Daemons {
    hosts: BTreeMap<String, Host>,
    ids: Vec<(String, String)>,
    agents: BTreeMap<String, String>,
    ears: BTreeMap<(String, &'static str), (Lines, Vec<Heard>)>,
}

impl Daemons {
    pub(crate) fn new(place: &Place) -> Self {
        let hosts = place.mesh(HOSTS);
        let ids = hosts.iter().map(|host| (host.id(), host.name.clone())).collect();
        let hosts = hosts.into_iter().map(|host| (host.name.clone(), host)).collect();
        Self { hosts, ids, agents: BTreeMap::new(), ears: BTreeMap::new() }
    }

    fn host(&self, name: &str) -> &Host {
        &self.hosts[name]
    }

    fn host_mut(&mut self, name: &str) -> &mut Host {
        self.hosts.get_mut(name).expect("a host of the script")
    }

    /// Where an agent was started; nobody lives at the address of one that never was.
    fn address(&self, agent: &str) -> String {
        let (_, host) = agent.split_once('@').expect("NAME@HOST");
        let id = self.ids.iter().find(|(_, name)| name == host).expect("a host of the script");
        let nobody = || starling_protocols::ident::AgentId(123_456_789).to_string();
        let agent = self.agents.get(agent).cloned().unwrap_or_else(nobody);
        format!("{agent}@{}", id.0)
    }

    fn ask_in(&self, millis: u64, host: &str, agent: &str, request: &str, body: &Value) -> Outcome {
        let to = self.address(agent);
        let ask = json!({ "to": to, "request": request, "body": body, "timeout_ms": millis });
        let answer = self.host(host).call("POST", "/v1/request", &ask);
        let outcome = outcome(&answer).map(|mut answered| answered["reply"].take());
        let agents = self.agents.iter().map(|(name, id)| (id.clone(), name.clone()));
        super::super::plain(outcome, &agents.chain(self.ids.clone()).collect::<Vec<_>>())
    }
}

fn outcome(answer: &Answer) -> Outcome {
    let body = answer.json();
    match answer.status {
        200 => Ok(body),
        _ => Err(body["message"].as_str().expect("a message").to_owned()),
    }
}

impl Mesh for Daemons {
    fn start(&mut self, kind: &str, agent: &str) -> Result<(), String> {
        let (name, host) = agent.split_once('@').expect("NAME@HOST");
        let start = json!({ "kind": kind, "name": name, "host": null, "state": null });
        let started = outcome(&self.host(host).call("POST", "/v1/agents", &start))?;
        let id = started["agent"].as_str().expect("an id").to_owned();
        self.agents.insert(agent.to_owned(), id);
        Ok(())
    }

    fn stop(&mut self, agent: &str) -> Outcome {
        let (_, host) = agent.split_once('@').expect("NAME@HOST");
        let stop = json!({ "agent": self.address(agent) });
        let stopped = outcome(&self.host(host).call("POST", "/v1/agents/stop", &stop));
        stopped.map(|_| json!("stopped"))
    }

    fn ask(&mut self, host: &str, agent: &str, request: &str, body: Value) -> Outcome {
        self.ask_in(15_000, host, agent, request, &body)
    }

    fn ask_briefly(&mut self, host: &str, agent: &str, request: &str, body: Value) -> Outcome {
        let millis = u64::try_from(BRIEFLY.as_millis()).expect("a short time");
        self.ask_in(millis, host, agent, request, &body)
    }

    fn listen(&mut self, host: &str, topic: &'static str) {
        let ear = Lines::of(self.host(host).command(&["subscribe", topic]));
        self.ears.insert((host.to_owned(), topic), (ear, Vec::new()));
    }

    fn unlisten(&mut self, host: &str, topic: &'static str) {
        self.ears.remove(&(host.to_owned(), topic)).expect("somebody listens");
    }

    fn await_reach(&mut self, host: &str, topic: &str, reach: &Value) {
        until(&format!("{topic} from {host}: {reach}"), || {
            let reached = publish(self.host(host), topic, super::super::PROBE);
            (reached == *reach).then_some(())
        });
    }

    fn publish(&mut self, host: &str, topic: &str, text: &str) -> Value {
        publish(self.host(host), topic, text)
    }

    fn heard(&mut self, host: &str, topic: &'static str, text: &str, from: &[&str]) -> Vec<Heard> {
        let (ear, heard) = self.ears.get_mut(&(host.to_owned(), topic)).expect("somebody listens");
        while !super::super::ends(heard, text, from) {
            let line = ear.wait();
            assert_eq!(line["heard"], "message", "{host} has missed some of {topic}: {line}");
            heard.extend(super::super::said(&line["body"]));
        }
        heard.clone()
    }

    fn await_state(&mut self, host: &str, other: &str, state: &str) {
        let _ = self.host(host).sees(other, state);
    }

    fn kill(&mut self, host: &str) {
        self.host_mut(host).kill();
    }

    fn leave(&mut self, host: &str) {
        self.host_mut(host).down();
    }

    fn restart(&mut self, host: &str) {
        self.host_mut(host).up();
    }
}

fn publish(host: &Host, topic: &str, text: &str) -> Value {
    let body = json!({ "from": host.name, "to": "all", "text": text });
    let publish = json!({ "topic": topic, "body": body });
    host.call("POST", "/v1/publish", &publish).json()
}
