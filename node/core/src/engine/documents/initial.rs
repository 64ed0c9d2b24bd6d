//! Documents that an application begins with.

use std::collections::BTreeMap;

use automerge::AutoCommit;
use serde_json::Value;
use starling_protocols::{
    limits::{INITIAL_DOCUMENTS_ALONE, INITIAL_DOCUMENTS_SETTLE},
    replica::{Author, DocName, Pen},
    time::Time,
};

use super::{Documents, hex};
use crate::{
    documents::{Document, Schema, WriteError, whole_of},
    engine::{Counter, Engine, Event},
};

/// What the history says of the change that makes such a document.
const MESSAGE: &str = "begun by the application";

/// A document that an application begins with.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Initial {
    pub(in crate::engine) schema: Schema,
    whole: Value,
    make: fn(&mut AutoCommit, &Value) -> Result<(), String>,
}

/// Those that are not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    all: BTreeMap<DocName, Initial>,
    begun: Time,
    /// Since when somebody else is there.
    since: Option<Time>,
}

impl Initial {
    /// # Panics
    /// When the value cannot be written.
    pub(in crate::engine) fn new<D: Document>(value: &D) -> Self {
        let whole = whole_of(value).expect("an initial document is written");
        Self { schema: Schema::of::<D>(), whole, make: make::<D> }
    }

    /// Who makes it: the same on all hosts whose application begins with the same, and another one
    /// for anything else.
    fn author(&self, name: &DocName, mesh: &starling_protocols::ident::Genesis) -> Author {
        let mut hasher = blake3::Hasher::new_derive_key("starling initial 1");
        hasher.update(name.as_str().as_bytes()).update(&[0]);
        hasher.update(self.whole.to_string().as_bytes());
        let mut actor = [0; 16];
        hasher.finalize_xof().fill(&mut actor);
        Author { actor, wall: mesh.created, message: MESSAGE.into() }
    }
}

fn make<D: Document>(doc: &mut AutoCommit, whole: &Value) -> Result<(), String> {
    let said = |why: &dyn std::fmt::Display| why.to_string();
    let value: D = crate::documents::read_value(whole.clone()).map_err(|why| said(&why))?;
    let written: Result<bool, WriteError> = crate::documents::write(doc, &value, D::VERSION);
    written.map(drop).map_err(|why| said(&why))
}

impl Documents {
    pub(in crate::engine) fn begin_with(&mut self, all: BTreeMap<DocName, Initial>, now: Time) {
        self.at.keep_deletions_of(all.keys().cloned());
        self.initial = Waiting { all, begun: now, since: None };
    }

    /// When the documents that the application begins with are looked at.
    pub(super) fn initial_at(&self) -> Option<Time> {
        let Waiting { all, begun, since } = &self.initial;
        let settled = since.map(|since| since + INITIAL_DOCUMENTS_SETTLE);
        (!all.is_empty()).then(|| settled.unwrap_or(*begun + INITIAL_DOCUMENTS_ALONE))
    }
}

impl Engine {
    /// Makes the documents that the application begins with and that were never there: at once,
    /// when this host is alone in its mesh; otherwise when others have had time to tell what they
    /// have, or nobody is there for long. If somebody has made them all the same, it is the same
    /// change.
    pub(super) fn load_initial(&mut self) {
        let now = self.now;
        let Some(documents) = &mut self.documents else { return };
        if documents.initial.all.is_empty() {
            return;
        }
        if documents.at.has_peers() {
            documents.initial.since.get_or_insert(now);
        } else {
            documents.initial.since = None;
        }
        let others = self.roster.iter().any(|record| record.host != self.me && !record.left);
        if others && documents.initial_at().is_some_and(|at| at > now) {
            return;
        }
        let all = std::mem::take(&mut documents.initial.all);
        for (name, initial) in all {
            self.load_one(&name, &initial);
        }
    }

    fn load_one(&mut self, name: &DocName, initial: &Initial) {
        let pen = Pen { key: &self.key, author: initial.author(name, &self.credential.genesis) };
        let Some(documents) = &mut self.documents else { return };
        // What was deleted is not made again.
        if documents.at.replicas().base(name).is_some() {
            return;
        }
        let made = documents.at.write(name, &pen, None, |doc| (initial.make)(doc, &initial.whole));
        let document = name.to_string();
        match made {
            Ok(head) => {
                let head = head.as_ref().map(hex).unwrap_or_default();
                self.tell(Event::DocumentBegun { document, head });
            }
            Err(why) => {
                self.counters.add(Counter::DocumentsNotWritten, 1);
                let why = crate::engine::DocumentError::from(why).to_string();
                self.tell(Event::DocumentNotBegun { document, why });
            }
        }
    }
}
