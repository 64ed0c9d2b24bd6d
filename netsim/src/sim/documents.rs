use std::time::Duration;

use serde_json::{Value, json};
use starling_core::{
    documents::{Path, set},
    engine::{DocumentError, Input, Ticket, Writing},
};
use starling_protocols::{
    replica::{Base, DocName, Head, KeptBatch},
    time::Time,
};

use super::{Event, RETRY, Sim};
use crate::{
    disk::Begun,
    faults::{DiskMoment, FaultKind, HostNo},
    host::{Inbox, Outside},
};

/// What somebody outside wants changed in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Which document.
    pub name: DocName,
    /// Paths, each with what is to stand there.
    pub set: Vec<(Path, Value)>,
    /// How many hosts are to have it durably before there is an answer.
    pub replicas: usize,
    /// How long that is waited for.
    pub patience: Duration,
}

/// A change as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// When.
    pub at: Time,
    /// In which history of the document.
    pub base: Base,
    /// The change; `None` when there was nothing to change.
    pub head: Option<Head>,
}

/// Documents are changed from outside, and written to disks.
impl Sim {
    /// Whether hosts that start from now on keep documents. At first they keep none.
    pub const fn set_documents(&mut self, keep: bool) {
        self.documents = keep;
    }

    /// Hosts that start from now on begin the histories of documents anew after so many changes, in
    /// place of thousands.
    pub const fn set_changes_max(&mut self, changes: usize) {
        self.changes_max = Some(changes);
    }

    /// Changes a document at `host`. The [`answer`](Self::answer) is how many hosts had it durably
    /// when as many had as were asked for, or time was up; or `{"refused": why}`.
    pub fn edit(&mut self, host: HostNo, edit: Edit) -> Ticket {
        let ticket = self.await_answer(host);
        self.put(host, Inbox::Outside(Outside::Edit { ticket, edit }));
        ticket
    }

    /// Deletes a document at `host`. The [`answer`](Self::answer) says whether there was one, or
    /// `{"refused": why}`.
    pub fn delete_document(&mut self, host: HostNo, name: &DocName) -> Ticket {
        let ticket = self.await_answer(host);
        let name = name.clone();
        self.put(host, Inbox::Outside(Outside::Delete { ticket, name }));
        ticket
    }

    /// The change that was made under this ticket, if one was.
    #[must_use]
    pub fn written(&self, host: HostNo, ticket: Ticket) -> Option<Written> {
        self.hosts[host.index()].written.get(&ticket).copied()
    }

    /// Whether nothing of documents waits for the disk of a host.
    #[must_use]
    pub fn documents_are_written(&self, host: HostNo) -> bool {
        self.hosts[host.index()].disk.documents.is_idle()
    }

    /// The disk of a host loses all documents. The host should be down.
    pub fn lose_documents(&mut self, host: HostNo) {
        self.hosts[host.index()].disk.documents.lose();
    }

    pub(super) fn on_edit(&mut self, host: HostNo, ticket: Ticket, edit: Edit) {
        let Edit { name, set: values, replicas, patience } = edit;
        self.trace.note(self.now, host, "edit", name.as_str().as_bytes());
        let (at, mut refused) = (self.now, None);
        let mut written = None;
        self.drive(host, |engine, now| {
            let writing = Writing { message: String::new(), ticket, replicas, patience };
            let change = engine.write_document(&name, writing, now, |doc| {
                values.iter().try_for_each(|(path, value)| set(doc, path, value).map(drop))
            });
            match change {
                Ok(head) => {
                    let base = engine.replicas().and_then(|all| all.base(&name));
                    written = Some(Written { at, base: base.unwrap_or_default(), head });
                }
                Err(why) => refused = Some(why),
            }
        });
        let host_at = &mut self.hosts[host.index()];
        host_at.written.extend(written.map(|written| (ticket, written)));
        if let Some(why) = refused {
            self.refused(host, ticket, &why);
        }
    }

    pub(super) fn on_delete(&mut self, host: HostNo, ticket: Ticket, name: &DocName) {
        self.trace.note(self.now, host, "delete", name.as_str().as_bytes());
        let mut deleted = Ok(false);
        self.drive(host, |engine, now| deleted = engine.delete_document(name, now));
        match deleted {
            Ok(there) => self.answered_document(host, ticket, json!(there)),
            Err(why) => self.refused(host, ticket, &why),
        }
    }

    fn refused(&mut self, host: HostNo, ticket: Ticket, why: &DocumentError) {
        self.answered_document(host, ticket, json!({ "refused": why.to_string() }));
    }

    pub(super) fn replicated(&mut self, host: HostNo, ticket: Ticket, replicas: usize) {
        self.answered_document(host, ticket, json!(replicas));
    }

    fn answered_document(&mut self, host: HostNo, ticket: Ticket, answer: Value) {
        self.trace.note(self.now, host, "answered-document", answer.to_string().as_bytes());
        let answered = crate::host::Asked::Answered(Ok(answer));
        self.hosts[host.index()].asked.insert(ticket, answered);
    }

    pub(super) fn store(&mut self, host: HostNo, batch: KeptBatch) {
        let mut hasher = blake3::Hasher::new();
        for kept in &batch.put {
            hasher.update(kept.name.as_bytes()).update(&kept.bytes);
        }
        for name in &batch.forget {
            hasher.update(name.as_bytes());
        }
        self.trace.note(self.now, host, "store", hasher.finalize().as_bytes());
        self.hosts[host.index()].disk.documents.store(batch);
        self.plan_documents(host, Duration::ZERO);
    }

    fn plan_documents(&mut self, host: HostNo, after: Duration) {
        let at = &mut self.hosts[host.index()];
        if !std::mem::replace(&mut at.disk.documents.planned, true) {
            let life = at.life;
            self.plan(self.now + after, Event::Documents(host, life));
        }
    }

    /// The disk ends a commit, and begins the next.
    pub(super) fn documents_turn(&mut self, host: HostNo, life: u64) {
        let at = &mut self.hosts[host.index()];
        if at.life != life || at.running.is_none() {
            return;
        }
        let documents = &mut at.disk.documents;
        documents.planned = false;
        if documents.is_busy() {
            if documents.ailments.stalled {
                documents.late = true;
                return self.fired.count(FaultKind::StalledDisk, 1);
            }
            if !self.commit_ends(host) {
                return;
            }
        }
        self.next_commit(host);
    }

    /// Gives whether the host goes on.
    fn commit_ends(&mut self, host: HostNo) -> bool {
        let doom = self.doom_of(host);
        if let Some(doom) = doom.filter(|doom| doom.moment == DiskMoment::During) {
            self.meet_doom(host, doom);
            return false;
        }
        let documents = &mut self.hosts[host.index()].disk.documents;
        let committed = documents.finish();
        let lied = documents.ailments.lies && committed.upto.is_some();
        self.fired.count(FaultKind::LyingDisk, u64::from(lied));
        if let Some(doom) = doom {
            self.meet_doom(host, doom);
            return false;
        }
        if committed.failed {
            self.sync_failed(host);
            return false;
        }
        if let Some(upto) = committed.upto {
            self.put(host, Inbox::Stored(upto));
        }
        true
    }

    fn next_commit(&mut self, host: HostNo) {
        let doomed = self.doom_for_next(host);
        let documents = &mut self.hosts[host.index()].disk.documents;
        let slow = documents.ailments.slow.is_some();
        match documents.begin() {
            Begun::Idle => {}
            Begun::Full => {
                self.fired.count(FaultKind::DiskFull, 1);
                self.plan_documents(host, RETRY);
            }
            Begun::Busy(takes) => {
                if let Some(doom) = doomed {
                    documents.finish_nothing();
                    return self.meet_doom(host, doom);
                }
                self.fired.count(FaultKind::SlowDisk, u64::from(slow));
                self.plan_documents(host, takes);
            }
        }
    }

    pub(super) fn on_stored(&mut self, host: HostNo, upto: u64) {
        self.trace.note(self.now, host, "stored", &upto.to_le_bytes());
        self.drive(host, |engine, now| engine.handle(Input::Stored { upto }, now));
    }

    /// A disk that was stalled goes on.
    pub(super) fn documents_go_on(&mut self, host: HostNo) {
        if std::mem::take(&mut self.hosts[host.index()].disk.documents.late) {
            self.plan_documents(host, Duration::ZERO);
        }
    }
}
