use std::{collections::VecDeque, time::Duration};

use serde_json::{Value, json};
use starling_core::engine::Event;
use starling_protocols::{
    limits::EVENTS_BACKLOG_MAX,
    time::{Time, WallTime},
    words::{count, plain},
};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};

use crate::api::EventLine;

/// How many strangers are told of in a minute.
const STRANGERS_PER_MINUTE: u32 = 30;

/// A number of events in a minute.
#[derive(Default)]
pub(super) struct Ration {
    since: Time,
    taken: u32,
}

impl Ration {
    /// Whether another event may be told of.
    pub(super) fn take(&mut self, now: Time) -> bool {
        if now.since(self.since) > Duration::from_secs(60) {
            *self = Self { since: now, taken: 0 };
        }
        self.taken += 1;
        self.taken <= STRANGERS_PER_MINUTE
    }
}

/// What has happened lately, for people to look at and to follow.
pub(super) struct EventLog {
    latest: VecDeque<EventLine>,
    followers: broadcast::Sender<EventLine>,
}

impl EventLog {
    pub(super) fn new() -> Self {
        Self { latest: VecDeque::new(), followers: broadcast::Sender::new(EVENTS_BACKLOG_MAX) }
    }

    pub(super) fn put(&mut self, event: &Event, at: WallTime) {
        let mut details = serde_json::to_value(event).unwrap_or_default();
        let name = details.as_object_mut().and_then(|map| map.remove("event"));
        let name = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        let text = plain(&sentence(event));
        let of = |what: &str| details.get(what).and_then(Value::as_str);
        let (agent, kind, host) = (of("agent"), of("kind"), of("host"));
        if is_bad(event) {
            tracing::warn!(event = name, agent, kind, host, "{text}");
        } else {
            tracing::info!(event = name, agent, kind, host, "{text}");
        }
        self.add(at, name, text, details);
    }

    /// Somebody did not get through the gate.
    pub(super) fn stranger(&mut self, address: &str, why: &str, at: WallTime) {
        tracing::debug!(address, why, "a stranger was turned away");
        let text = plain(&format!("a stranger at {address} was turned away: {why}"));
        let details = json!({ "address": address, "why": why });
        self.add(at, "stranger".into(), text, details);
    }

    /// Gives the last `backlog` events to `sink`, and with `follow` those that come.
    pub(super) fn follow(&self, backlog: usize, follow: bool, sink: mpsc::Sender<EventLine>) {
        let skip = self.latest.len().saturating_sub(backlog);
        for line in self.latest.iter().skip(skip) {
            // The sink has room for the backlog; a reader that has gone needs nothing.
            if sink.try_send(line.clone()).is_err() {
                break;
            }
        }
        if follow {
            tokio::spawn(forward(self.followers.subscribe(), sink));
        }
    }

    fn add(&mut self, at: WallTime, event: String, text: String, details: Value) {
        let line = EventLine { at_ms: at.as_millis(), event, text, details };
        if self.latest.len() == EVENTS_BACKLOG_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(line.clone());
        // Nobody may be following.
        drop(self.followers.send(line));
    }
}

async fn forward(mut from: broadcast::Receiver<EventLine>, to: mpsc::Sender<EventLine>) {
    loop {
        let line = tokio::select! {
            () = to.closed() => return,
            line = from.recv() => line,
        };
        let line = match line {
            Ok(line) => line,
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(missed)) => EventLine {
                at_ms: crate::clock::wall().as_millis(),
                event: "missed".into(),
                text: format!("{missed} events were missed: this reader is too slow"),
                details: json!({ "missed": missed }),
            },
        };
        if to.send(line).await.is_err() {
            return;
        }
    }
}

/// Whether somebody should know.
const fn is_bad(event: &Event) -> bool {
    matches!(
        event,
        Event::AgentDied { .. }
            | Event::AgentLost { .. }
            | Event::NotTakenUp { .. }
            | Event::Undelivered { .. }
            | Event::NotDescribed { .. }
            | Event::NotConfigured { .. }
            | Event::DocumentNotBegun { .. }
            | Event::DocumentDropped { .. }
            | Event::DocumentRefused { .. }
            | Event::DocumentWaits { .. }
    )
}

fn of_document(event: &Event) -> Option<String> {
    Some(match event {
        Event::NotDescribed { agent, why } => {
            format!("the descriptor of agent {} could not be written: {why}", agent.short())
        }
        Event::Configured { kind, document } => {
            format!("agents of kind {kind} are configured anew by {document}")
        }
        Event::NotConfigured { kind, document, why } => {
            format!(
                "{document} does not configure agents of kind {kind}, which go on with what was \
                 there before: {why}"
            )
        }
        Event::DocumentBegun { document, head } => {
            format!("document {document} was begun, with change {}", &head[..head.len().min(8)])
        }
        Event::DocumentNotBegun { document, why } => {
            format!("document {document} could not be begun: {why}")
        }
        Event::DocumentDropped { name, lost } => {
            let lost = if lost.is_empty() { "nothing".into() } else { lost.join("; ") };
            format!(
                "document {name} was deleted, or begun anew, by others who had not heard of the \
                 last changes here; what is lost of it: {lost}"
            )
        }
        Event::DocumentRefused { host, name, why } => {
            format!("document {name} from host {} was refused: {why}", host.short())
        }
        Event::DocumentWaits { name } => format!(
            "what another part of the mesh has changed of document {name} has no room in it, and \
             waits here: make the document smaller"
        ),
        _ => return None,
    })
}

fn sentence(event: &Event) -> String {
    match event {
        Event::AgentStarted { agent, kind, name } => {
            let name = name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
            format!("agent {}{name} of kind {kind} started", agent.short())
        }
        Event::AgentStopped { agent, kind } => {
            format!("agent {} of kind {kind} stopped", agent.short())
        }
        Event::AgentDied { agent, kind, why } => {
            format!("agent {} of kind {kind} died: {why}", agent.short())
        }
        Event::AgentRecovered { agent, kind, entries } => {
            format!("agent {} of kind {kind} is back; it replayed {entries} inputs", agent.short())
        }
        Event::AgentLost { agent, kind, why } => {
            format!("agent {} of kind {kind} could not be brought back: {why}", agent.short())
        }
        Event::AgentMoved { agent, kind } => {
            format!("agent {} of kind {kind} was given to another host", agent.short())
        }
        Event::AgentTakenUp { agent, kind, before, instance } => {
            let (agent, before) = (agent.short(), before.short());
            let hosts = count(*instance, "host");
            format!(
                "agent {agent} of kind {kind} lives here, not on {before}; it had {hosts} before"
            )
        }
        Event::NotTakenUp { agent, why } => {
            format!("agent {} could not be taken up, and lives nowhere: {why}", agent.short())
        }
        Event::Undelivered { from, to, name, why } => {
            let (from, to) = (from.short(), format!("{to:?}"));
            format!("a letter {name} of agent {from} to {to} was not delivered: {why}")
        }
        Event::NotDescribed { .. }
        | Event::Configured { .. }
        | Event::NotConfigured { .. }
        | Event::DocumentBegun { .. }
        | Event::DocumentNotBegun { .. }
        | Event::DocumentDropped { .. }
        | Event::DocumentRefused { .. }
        | Event::DocumentWaits { .. } => of_document(event).unwrap_or_default(),
        Event::HostKnown { host, name } => format!("host {name} ({}) is known", host.short()),
        Event::HostLeft { host, name } => format!("host {name} ({}) has left", host.short()),
        Event::LaneUp { host, name, anew } => {
            let anew = if *anew { " in a new life" } else { "" };
            format!("host {name} ({}) is linked{anew}", host.short())
        }
        Event::LaneDown { host, name, why } => {
            format!("host {name} ({}) is not linked any more: {why}", host.short())
        }
        Event::DialFailed { host, name, why, again_in_ms } => {
            let again = again_in_ms.map(|ms| format!("; next try in {ms} ms")).unwrap_or_default();
            format!("host {name} ({}) cannot be reached: {why}{again}", host.short())
        }
        Event::Violation { host, name, why } => {
            format!("host {name} ({}) broke the rules of the lane: {why}", host.short())
        }
        Event::Joined { host } => format!("host {} was admitted", host.short()),
        Event::JoinRefused { host, why } => {
            format!("host {} was refused at the gate: {why}", host.short())
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::ident::{AgentId, SecretKey};

    use super::*;

    fn line(event: &Event) -> EventLine {
        let mut log = EventLog::new();
        log.put(event, WallTime::from_millis(1));
        log.latest.pop_back().expect("a line")
    }

    #[test]
    fn an_agent_that_is_taken_up_had_so_many_hosts_before() {
        let before = SecretKey::from_bytes(&[1; 32]).host();
        let taken = |instance| Event::AgentTakenUp {
            agent: AgentId(1 << 100),
            kind: "counter".into(),
            before,
            instance,
        };
        for (instance, end) in [(1, "; it had 1 host before"), (2, "; it had 2 hosts before")] {
            let text = line(&taken(instance)).text;
            assert!(text.contains(&before.short()) && text.ends_with(end), "{text}");
        }
    }

    #[test]
    fn what_others_say_is_one_line_that_steers_no_terminal() {
        let why = "no\u{1b}[2J\nerror: \u{202e}".to_owned();
        let agent = AgentId(1 << 100);
        let text = line(&Event::AgentDied { agent, kind: "counter".into(), why }).text;
        assert!(text.ends_with(r"died: no\u{1b}[2J\nerror: \u{202e}"), "{text}");
        let mut log = EventLog::new();
        log.stranger("/ip4/1.2.3.4/tcp/1", "\u{9b}2J", WallTime::from_millis(1));
        assert!(log.latest[0].text.ends_with(r"\u{9b}2J"), "{:?}", log.latest);
    }
}
