use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Value, json};
use starling_core::engine::Ticket;
use starling_protocols::{exchange::Failure, ident::Address, interest::TopicName};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::api::Heard;

type Reply = Result<Vec<u8>, Failure>;

/// Local programs that wait for something: an answer, or messages on a topic.
#[derive(Default)]
pub(super) struct Waiting {
    asks: BTreeMap<Ticket, oneshot::Sender<Reply>>,
    waits: BTreeMap<Ticket, oneshot::Sender<usize>>,
    sinks: BTreeMap<Ticket, Sink>,
}

struct Sink {
    to: mpsc::Sender<Heard>,
    /// Messages that a slow reader has lost since it last took one.
    lost: u64,
}

impl Waiting {
    pub(super) fn ask(&mut self, ticket: Ticket, answer: oneshot::Sender<Reply>) {
        self.asks.insert(ticket, answer);
    }

    pub(super) fn answered(&mut self, ticket: Ticket, outcome: Reply) {
        if let Some(answer) = self.asks.remove(&ticket) {
            // Who asked may have gone.
            drop(answer.send(outcome));
        }
    }

    /// Waits for hosts to have a document.
    pub(super) fn wait(&mut self, ticket: Ticket, answer: oneshot::Sender<usize>) {
        self.waits.insert(ticket, answer);
    }

    pub(super) fn replicated(&mut self, ticket: Ticket, replicas: usize) {
        if let Some(answer) = self.waits.remove(&ticket) {
            // Who waited may have gone.
            let _ = answer.send(replicas);
        }
    }

    pub(super) fn subscribe(&mut self, ticket: Ticket, to: mpsc::Sender<Heard>) {
        self.sinks.insert(ticket, Sink { to, lost: 0 });
    }

    /// Passes a message on. Gives whether anybody still listens.
    pub(super) fn heard(
        &mut self,
        ticket: Ticket,
        topic: &TopicName,
        from: Address,
        from_host: &str,
        body: Result<Value, Vec<u8>>,
    ) -> bool {
        let heard = Heard::Message {
            topic: topic.to_string(),
            from: from.to_string(),
            from_host: from_host.to_owned(),
            body: body.unwrap_or_else(|bytes| json!({ "base64": BASE64.encode(&bytes) })),
        };
        self.put(ticket, topic, heard, 1)
    }

    pub(super) fn missed(&mut self, ticket: Ticket, topic: &TopicName, missed: u64) {
        let gap = Heard::Gap { topic: topic.to_string(), missed };
        self.put(ticket, topic, gap, missed);
    }

    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.sinks.remove(&ticket);
    }

    /// The daemon goes down: whoever waits is told by the end of its channel.
    pub(super) fn end(&mut self) {
        self.asks.clear();
        self.waits.clear();
        self.sinks.clear();
    }

    fn put(&mut self, ticket: Ticket, topic: &TopicName, heard: Heard, worth: u64) -> bool {
        let Some(sink) = self.sinks.get_mut(&ticket) else { return false };
        if sink.lost > 0 {
            let gap = Heard::Gap { topic: topic.to_string(), missed: sink.lost };
            if sink.to.try_send(gap).is_ok() {
                sink.lost = 0;
            }
        }
        let sent =
            if sink.lost > 0 { Err(TrySendError::Full(heard)) } else { sink.to.try_send(heard) };
        match sent {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                sink.lost += worth;
                true
            }
            Err(TrySendError::Closed(_)) => {
                self.sinks.remove(&ticket);
                false
            }
        }
    }
}
