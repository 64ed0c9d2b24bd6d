use std::{collections::BTreeMap, time::Duration};

use starling_protocols::{
    exchange::{Class, Codec, Failure, Item, PushError},
    ident::{Address, AgentId},
};

use super::{
    Counter, Engine, Output, Ticket,
    agents::Waiter,
    lanes::PeerNo,
    run::{Told, fits, wait_id},
};
use crate::agent::Dialog;

/// Who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    Agent(Waiter),
    Outside(Ticket),
}

/// Calls to other hosts that are not settled: to whom, and as which item of the session.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<Caller, (PeerNo, u64)>);

impl Calls {
    pub(super) fn remove(&mut self, caller: Caller) -> bool {
        self.0.remove(&caller).is_some()
    }

    /// Settles a call, if it was made to this peer.
    fn settle(&mut self, caller: Caller, peer: PeerNo) -> bool {
        let ours = self.0.get(&caller).is_some_and(|(to, _)| *to == peer);
        ours && self.remove(caller)
    }

    /// A peer has forgotten the session, of which `sent` items went out: gives the calls that
    /// may have been carried out, and numbers the others anew.
    pub(super) fn begin_anew(&mut self, peer: PeerNo, sent: u64) -> Vec<Caller> {
        let mut gone = Vec::new();
        self.0.retain(|caller, (to, number)| {
            if *to != peer {
                return true;
            }
            let unsent = number.checked_sub(sent);
            match unsent {
                Some(anew) => *number = anew,
                None => gone.push(*caller),
            }
            unsent.is_some()
        });
        gone
    }

    /// All calls to a peer, each with whether its item was among the first `sent`.
    pub(super) fn abandon(&mut self, peer: PeerNo, sent: u64) -> Vec<(Caller, bool)> {
        let of_peer = self.0.iter().filter(|(_, (to, _))| *to == peer);
        let all: Vec<_> = of_peer.map(|(caller, (_, number))| (*caller, *number < sent)).collect();
        self.0.retain(|_, (to, _)| *to != peer);
        all
    }
}

impl Engine {
    /// Asks an agent, here or elsewhere. Whatever becomes of it, the caller learns.
    pub(super) fn call(
        &mut self,
        caller: Caller,
        to: Address,
        name: &str,
        dialog: Dialog,
        body: Vec<u8>,
        budget: Duration,
    ) {
        let outcome = if !fits(&body) {
            self.counters.add(Counter::TooLarge, 1);
            Err(Failure::BadBody(format!("{} bytes are more than a message may have", body.len())))
        } else if to.host != self.me {
            self.call_remote(caller, to, name, dialog, &body, budget)
        } else if to.agent == AgentId::ENGINE {
            return self.serve(name, dialog, &body);
        } else {
            self.deliver_request(to.agent, name, dialog, body)
        };
        if let Err(why) = outcome {
            self.settle(caller, Err(why));
        }
    }

    fn call_remote(
        &mut self,
        caller: Caller,
        to: Address,
        name: &str,
        dialog: Dialog,
        body: &[u8],
        budget: Duration,
    ) -> Result<(), Failure> {
        let peer = self.reach(to.host)?;
        let item = Item::Call {
            from: dialog.asker.agent,
            to: to.agent,
            dialog: dialog.number ^ self.dialog_mask,
            budget_ms: u32::try_from(budget.as_millis()).unwrap_or(u32::MAX),
            name,
            codec: dialog.codec(),
            body,
        };
        let number = self.push(peer, item, Class::Message).map_err(|why| match why {
            PushError::Full => Failure::Busy,
            PushError::TooLarge => Failure::BadBody(why.to_string()),
        })?;
        self.calls.0.insert(caller, (peer, number));
        Ok(())
    }

    /// Tells an agent, here or elsewhere.
    pub(super) fn notify(
        &mut self,
        from: Address,
        to: Address,
        name: &str,
        codec: Codec,
        body: Vec<u8>,
    ) {
        if !fits(&body) {
            return self.counters.add(Counter::TooLarge, 1);
        }
        if to.host == self.me && to.agent == AgentId::ENGINE {
            if from.host == self.me {
                self.told(from.agent, name, &body);
            }
        } else if to.host == self.me {
            match self.agents.find(to.agent) {
                Some(agent) => {
                    let told = Told { from, topic: None, codec, body: body.into() };
                    self.deliver_notification(agent, name, told);
                }
                None => self.counters.add(Counter::NoSuchAgent, 1),
            }
        } else if let Ok(peer) = self.reach(to.host) {
            let (from, to) = (from.agent, to.agent);
            let item = Item::Notify { from, to, name, codec, body: &body };
            // A full queue is counted where it is found.
            let _ = self.push(peer, item, Class::Message);
        }
    }

    /// Answers a question, asked here or elsewhere.
    pub(super) fn answer(&mut self, to: Dialog, outcome: Result<Vec<u8>, Failure>) {
        let outcome = outcome.and_then(|body| {
            let length = body.len();
            let too_long = || Failure::BadBody(format!("a reply of {length} bytes is too long"));
            if fits(&body) { Ok(body) } else { Err(too_long()) }
        });
        let Dialog { asker, number, .. } = to;
        if asker.host == self.me {
            if let Some(caller) = self.caller(asker.agent, number) {
                self.settle(caller, outcome);
            }
            return;
        }
        let peer = self.peers.find(asker.host).filter(|peer| self.peers[*peer].is_met());
        // Who asked has been given up, and has been told so by its own engine.
        let Some(peer) = peer else { return self.counters.add(Counter::StrayReplies, 1) };
        let (to, dialog) = (asker.agent, number);
        let item = match &outcome {
            Ok(body) => Item::Reply { to, dialog, body },
            Err(why) => Item::Failed { to, dialog, why: why.clone() },
        };
        // Past the hard cap the asker does not read: it learns by its own deadline.
        let _ = self.push(peer, item, Class::Vital);
    }

    /// A peer answers a call of this host's.
    pub(super) fn answered(
        &mut self,
        peer: PeerNo,
        to: AgentId,
        dialog: u64,
        outcome: Result<Vec<u8>, Failure>,
    ) {
        match self.caller(to, dialog ^ self.dialog_mask) {
            Some(caller) if self.calls.settle(caller, peer) => self.settle(caller, outcome),
            _ => self.counters.add(Counter::StrayReplies, 1),
        }
    }

    /// Brings a caller of this host the outcome.
    pub(super) fn settle(&mut self, caller: Caller, outcome: Result<Vec<u8>, Failure>) {
        if outcome == Err(Failure::Gone) {
            self.counters.add(Counter::Gone, 1);
        }
        match caller {
            Caller::Agent(waiter) => self.resume(waiter, Some(outcome)),
            Caller::Outside(ticket) => self.settle_ask(ticket, outcome),
        }
    }

    fn caller(&self, agent: AgentId, number: u64) -> Option<Caller> {
        if agent == AgentId::OUTSIDE {
            return Some(Caller::Outside(Ticket(number ^ self.outside_mask)));
        }
        let agent = self.agents.find(agent)?;
        Some(Caller::Agent(Waiter { agent, wait: wait_id(number) }))
    }

    pub(super) fn settle_ask(&mut self, ticket: Ticket, outcome: Result<Vec<u8>, Failure>) {
        if let Some(ask) = self.asks.remove(&ticket) {
            self.due.clear(ask.until, super::Due::Ask(ticket));
            self.emit(Output::Answered { ticket, outcome });
        }
    }
}
