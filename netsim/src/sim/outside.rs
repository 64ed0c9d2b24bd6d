use std::time::Duration;

use serde_json::{Value, json};
use starling_core::engine::Ticket;
use starling_protocols::{
    exchange::Failure,
    ident::{Address, AgentId},
    interest::TopicName,
    limits::BODY_BYTES_MAX,
};

use super::Sim;
use crate::{
    faults::HostNo,
    host::{Asked, Heard, Inbox, Outside},
};

/// What people and programs on a host do with its daemon.
impl Sim {
    /// Asks an agent, at `host`. The answer comes while time passes; see
    /// [`answer`](Self::answer).
    pub fn ask(
        &mut self,
        host: HostNo,
        to: Address,
        name: &str,
        body: &Value,
        budget: Duration,
    ) -> Ticket {
        let ticket = self.await_answer(host);
        let (name, body) = (name.to_owned(), body.to_string().into_bytes());
        let ask = Outside::Ask { ticket, to, name, body, budget };
        self.put(host, Inbox::Outside(ask));
        ticket
    }

    pub(super) fn await_answer(&mut self, host: HostNo) -> Ticket {
        let at = &mut self.hosts[host.index()];
        let ticket = at.ticket();
        let running = at.running.is_some();
        at.asked.insert(ticket, if running { Asked::Waiting } else { Asked::Lost });
        ticket
    }

    /// What has become of a question put at `host`.
    ///
    /// # Panics
    /// When nothing was asked there under this ticket.
    #[must_use]
    pub fn answer(&self, host: HostNo, ticket: Ticket) -> &Asked {
        &self.hosts[host.index()].asked[&ticket]
    }

    /// All that was asked at `host`, each with what has become of it.
    pub fn asked(&self, host: HostNo) -> impl Iterator<Item = (Ticket, &Asked)> {
        self.hosts[host.index()].asked.iter().map(|(ticket, asked)| (*ticket, asked))
    }

    /// Listens to a topic at `host`, until its daemon ends or [`unsubscribe`](Self::unsubscribe).
    /// See [`heard`](Self::heard).
    pub fn subscribe(&mut self, host: HostNo, topic: &TopicName) -> Ticket {
        let ticket = self.hosts[host.index()].ticket();
        let subscribe = Outside::Subscribe { ticket, topic: topic.clone() };
        self.put(host, Inbox::Outside(subscribe));
        ticket
    }

    /// Ends a subscription at `host`.
    pub fn unsubscribe(&mut self, host: HostNo, ticket: Ticket) {
        self.put(host, Inbox::Outside(Outside::Unsubscribe { ticket }));
    }

    /// What all subscriptions at `host` were told so far, in order.
    #[must_use]
    pub fn heard(&self, host: HostNo) -> &[Heard] {
        &self.hosts[host.index()].heard
    }

    /// Publishes a notification at `host`. Its [`answer`](Self::answer) says how many listeners
    /// there it went to, and how many other hosts: `{"local": 1, "hosts": 2}`.
    pub fn publish(&mut self, host: HostNo, topic: &TopicName, body: &Value) -> Ticket {
        let ticket = self.await_answer(host);
        let body = body.to_string().into_bytes();
        let publish = Outside::Publish { ticket, topic: topic.clone(), body };
        self.put(host, Inbox::Outside(publish));
        ticket
    }

    /// The state of an agent, as its host agent shows it; `None` when it does not live there, its
    /// host is down, or its state is too large to be shown.
    ///
    /// The question is put past the network, at the time by the host's clock at which it last did
    /// anything: so nothing else happens, and it can be put to a host that is about to end. It
    /// counts among the inputs of the run.
    pub fn examine(&mut self, host: HostNo, agent: AgentId) -> Option<Value> {
        self.examine_all(host, agent).map(|(state, _)| state)
    }

    /// The same, and what the agent waits for, as people are shown it.
    pub(crate) fn examine_all(
        &mut self,
        host: HostNo,
        agent: AgentId,
    ) -> Option<(Value, Vec<Value>)> {
        const STEPS_MAX: usize = 100_000;
        let now = self.hosts[host.index()].running.as_ref()?.last?;
        let to = self.address(host, AgentId::HOST);
        let body = json!({ "agent": agent.to_string() }).to_string().into_bytes();
        let ticket = self.hosts[host.index()].ticket();
        let waiting = Asked::Waiting;
        self.hosts[host.index()].asked.insert(ticket, waiting);
        self.trace.note(self.now, host, "examine", &agent.0.to_le_bytes());
        let budget = Duration::from_secs(60);
        self.drive_at(host, now, |engine, now| {
            engine.ask(ticket, to, "host/inspect", body, budget, now);
        });
        for _ in 0..STEPS_MAX {
            if self.hosts[host.index()].asked[&ticket] != Asked::Waiting {
                break;
            }
            let tick = starling_core::engine::Input::Tick;
            self.drive_at(host, now, |engine, now| engine.handle(tick, now));
        }
        let asked = self.hosts[host.index()].asked.remove(&ticket)?;
        let Asked::Answered(Ok(detail)) = asked else { return None };
        let state: Value = serde_json::from_str(detail["state"].as_str()?).ok()?;
        let waits = detail["waits"].as_array().cloned().unwrap_or_default();
        (!state.is_string()).then_some((state, waits))
    }

    pub(super) fn on_outside(&mut self, host: HostNo, what: Outside) {
        match what {
            Outside::Ask { ticket, to, name, body, budget } => {
                self.trace.note(self.now, host, "ask", &body);
                self.drive(host, |engine, now| engine.ask(ticket, to, &name, body, budget, now));
            }
            Outside::Subscribe { ticket, topic } => {
                self.trace.note(self.now, host, "subscribe", topic.as_str().as_bytes());
                self.drive(host, |engine, now| engine.subscribe(ticket, &topic, now));
            }
            Outside::Unsubscribe { ticket } => {
                self.trace.note(self.now, host, "unsubscribe", &ticket.0.to_le_bytes());
                self.drive(host, |engine, now| engine.unsubscribe(ticket, now));
            }
            Outside::Publish { ticket, topic, body } => {
                self.trace.note(self.now, host, "publish-outside", &body);
                let mut reach = Value::Null;
                self.drive(host, |engine, now| {
                    let published = engine.publish_json(&topic, body, now);
                    reach = json!({ "local": published.local, "hosts": published.hosts });
                });
                let answered = Asked::Answered(Ok(reach));
                self.hosts[host.index()].asked.insert(ticket, answered);
            }
            Outside::Edit { ticket, edit } => self.on_edit(host, ticket, edit),
            Outside::Delete { ticket, name } => self.on_delete(host, ticket, &name),
            Outside::Leave => self.on_leave(host),
        }
    }

    pub(super) fn answered_outside(
        &mut self,
        host: HostNo,
        ticket: Ticket,
        outcome: Result<Vec<u8>, Failure>,
    ) {
        let read = |body: Vec<u8>| serde_json::from_slice(&body).unwrap_or(Value::Null);
        let bytes = outcome.as_deref().unwrap_or_default();
        debug_assert!(bytes.len() <= 2 * BODY_BYTES_MAX, "no reply is that long");
        self.trace.note(self.now, host, "answered", bytes);
        let asked = &mut self.hosts[host.index()].asked;
        asked.insert(ticket, Asked::Answered(outcome.map(read)));
    }

    pub(super) fn heard_outside(
        &mut self,
        host: HostNo,
        topic: &TopicName,
        from: Address,
        body: Option<Value>,
    ) {
        let topic = topic.to_string();
        self.trace.note(self.now, host, "heard", topic.as_bytes());
        self.hosts[host.index()].heard.push(Heard::Message { topic, from, body });
    }

    pub(super) fn missed_outside(&mut self, host: HostNo, topic: &TopicName, count: u64) {
        self.trace.note(self.now, host, "missed", &count.to_le_bytes());
        let topic = topic.to_string();
        self.hosts[host.index()].heard.push(Heard::Missed { topic, count });
    }
}
