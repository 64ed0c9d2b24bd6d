use std::time::Duration;

use starling_protocols::{
    exchange::{Codec, Delivery, Failure},
    ident::{Address, AgentId},
    interest::TopicName,
    limits::BUDGET_MAX,
    time::Time,
};

use super::{Counter, Due, Engine, Now, Ticket, calls::Caller, topics::Listener};
use crate::agent::Dialog;

/// A question from outside that has no answer yet.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) until: Time,
}

/// How far a message published from outside went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Listeners on this host.
    pub local: usize,
    /// Hosts it was sent to directly.
    pub hosts: usize,
}

/// People and programs outside the mesh: they ask, publish and listen in JSON.
impl Engine {
    /// Asks an agent for somebody outside. [`Answered`](super::Output::Answered) follows, under
    /// the same ticket.
    pub fn ask(
        &mut self,
        ticket: Ticket,
        to: Address,
        name: &str,
        body: Vec<u8>,
        budget: Duration,
        now: Now,
    ) {
        self.begin(now);
        let budget = budget.min(BUDGET_MAX);
        let until = self.now + budget;
        self.asks.insert(ticket, Ask { until });
        self.due.set(until, Due::Ask(ticket));
        let asker = Address { host: self.me, agent: AgentId::OUTSIDE };
        let dialog = Dialog { asker, number: ticket.0 ^ self.outside_mask, json: true };
        self.call(Caller::Outside(ticket), to, name, dialog, body, budget);
        self.finish();
    }

    /// Publishes a notification, written as JSON, for somebody outside.
    pub fn publish_json(&mut self, topic: &TopicName, body: Vec<u8>, now: Now) -> Published {
        self.begin(now);
        let delivery = Delivery::Ordered;
        let reach = self.publish(AgentId::OUTSIDE, topic, delivery, Codec::Json, body);
        self.finish();
        Published { local: reach.local, hosts: reach.hosts }
    }

    /// Listens to a topic for somebody outside, until [`unsubscribe`](Self::unsubscribe).
    pub fn subscribe(&mut self, ticket: Ticket, topic: &TopicName, now: Now) {
        self.begin(now);
        self.listen(topic, Listener::Outside(ticket));
        self.finish();
    }

    /// Ends a subscription from outside.
    pub fn unsubscribe(&mut self, ticket: Ticket, now: Now) {
        self.begin(now);
        self.forget_listener(Listener::Outside(ticket));
        self.finish();
    }

    pub(super) fn ask_is_due(&mut self, ticket: Ticket) {
        self.calls.remove(Caller::Outside(ticket));
        self.counters.add(Counter::TimedOut, 1);
        self.settle_ask(ticket, Err(Failure::TimedOut));
    }
}
