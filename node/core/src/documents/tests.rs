mod typed;
mod values;
mod views;

use automerge::{
    ActorId, AutoCommit, ChangeHash,
    transaction::{CommitOptions, Transactable},
};
use serde_json::Value;

use super::{Path, reconcile_json};

/// An empty document whose changes are made by `actor`.
fn empty(actor: u8) -> AutoCommit {
    AutoCommit::new().with_actor(ActorId::from(&[actor; 16][..]))
}

/// A document that says this, by one change.
fn saying(value: &Value) -> AutoCommit {
    let mut doc = empty(1);
    reconcile_json(&mut doc, value).unwrap();
    if doc.pending_ops() > 0 {
        commit(&mut doc, 1000, "first");
    }
    doc
}

fn commit(doc: &mut AutoCommit, millis: i64, message: &str) -> ChangeHash {
    let options = CommitOptions::default().with_time(millis).with_message(message);
    doc.commit_with(options).unwrap()
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}
