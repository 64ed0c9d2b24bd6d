//! Named updates that agents make, tried until they can be applied.

use std::{collections::BTreeMap, time::Duration};

use automerge::AutoCommit;
use starling_protocols::{
    exchange::Failure,
    ident::AgentId,
    limits::{DOCUMENT_UPDATE_RETRY, DOCUMENT_UPDATE_RETRY_MAX, DOCUMENT_UPDATES_WAITING_MAX},
    replica::DocName,
    time::Time,
    wire,
};

use super::{DocumentError, Waiting};
use crate::{
    agent::{Dialog, NotApplied, Request, UpdateDocument, UpdateFailed, Updated, Updating},
    engine::Engine,
};

/// Updates that are not answered yet.
#[derive(Default)]
pub(super) struct Updates {
    all: BTreeMap<u64, Pending>,
    last: u64,
}

struct Pending {
    dialog: Dialog,
    name: DocName,
    asked: UpdateDocument,
    until: Time,
    /// When it is tried again, as long as it is not applied.
    at: Option<Time>,
    tries: u32,
    changed: bool,
}

/// What came of one try.
enum Tried {
    Applied {
        changed: bool,
    },
    /// It may be possible later.
    NotNow(DocumentError),
    Never(UpdateFailed),
}

impl Updates {
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.all.values().filter_map(|pending| pending.at).min()
    }

    /// What waits for this document is tried at once.
    fn hurry(&mut self, name: &DocName, now: Time) {
        for pending in self.all.values_mut().filter(|pending| pending.name == *name) {
            if pending.at.is_some() {
                pending.at = Some(now);
            }
        }
    }
}

impl Engine {
    /// An agent asks for an update.
    pub(in crate::engine) fn update_document(&mut self, dialog: Dialog, body: &[u8]) {
        let asked: Result<UpdateDocument, _> = wire::decode(body, body.len());
        let Ok(asked) = asked else {
            return self.answer(dialog, Err(Failure::BadBody("no update".into())));
        };
        let name = match asked.document.parse::<DocName>() {
            Ok(name) => name,
            Err(why) => return self.updated(dialog, Err(UpdateFailed::BadName(why.to_string()))),
        };
        let until = self.now + asked.patience;
        let (at, tries, changed) = (Some(self.now), 0, false);
        let pending = Pending { dialog, name, asked, until, at, tries, changed };
        let Some(documents) = &mut self.documents else {
            return self.updated(dialog, Err(UpdateFailed::NotChanged(DocumentError::NotKept)));
        };
        let updates = &mut documents.updates;
        if updates.all.len() >= DOCUMENT_UPDATES_WAITING_MAX {
            return self.updated(dialog, Err(UpdateFailed::Busy));
        }
        updates.last += 1;
        let number = updates.last;
        updates.all.insert(number, pending);
        self.try_update(number);
    }

    fn updated(&mut self, dialog: Dialog, reply: <UpdateDocument as Request>::Reply) {
        self.answer(dialog, Ok(wire::encode(&reply)));
    }

    /// A document is another one than before: what could not be done with it may be possible now.
    pub(super) fn hurry_updates(&mut self, name: &DocName) {
        let now = self.now;
        if let Some(documents) = &mut self.documents {
            documents.updates.hurry(name, now);
        }
    }

    /// Tries again what is due.
    pub(super) fn retry_updates(&mut self) {
        let now = self.now;
        let Some(documents) = &self.documents else { return };
        let due = |pending: &Pending| pending.at.is_some_and(|at| at <= now);
        let due = documents.updates.all.iter().filter(|(_, pending)| due(pending));
        let due: Vec<u64> = due.map(|(number, _)| *number).collect();
        due.into_iter().for_each(|number| self.try_update(number));
    }

    fn pending(&mut self, number: u64) -> Option<&mut Pending> {
        self.documents.as_mut()?.updates.all.get_mut(&number)
    }

    fn end_update(&mut self, number: u64, reply: <UpdateDocument as Request>::Reply) {
        let pending = self.documents.as_mut().and_then(|all| all.updates.all.remove(&number));
        if let Some(Pending { dialog, .. }) = pending {
            self.updated(dialog, reply);
        }
    }

    fn try_update(&mut self, number: u64) {
        let now = self.now;
        match self.tried(number) {
            Tried::Never(why) => self.end_update(number, Err(why)),
            Tried::Applied { changed } => {
                if let Some(pending) = self.pending(number) {
                    (pending.at, pending.changed) = (None, changed);
                }
            }
            Tried::NotNow(why) => {
                let Some(pending) = self.pending(number) else { return };
                if now >= pending.until {
                    return self.end_update(number, Err(UpdateFailed::NotChanged(why)));
                }
                let (tries, until) = (pending.tries, pending.until);
                let base = DOCUMENT_UPDATE_RETRY.saturating_mul(1 << tries.min(16));
                let mut entropy = self.entropy.fork_at(u128::from(number), u64::from(tries));
                let wait: Duration = entropy.jitter(base.min(DOCUMENT_UPDATE_RETRY_MAX));
                if let Some(pending) = self.pending(number) {
                    pending.tries += 1;
                    pending.at = Some((now + wait).min(until));
                }
            }
        }
    }

    fn tried(&mut self, number: u64) -> Tried {
        let now = self.now;
        let Some(pending) = self.pending(number) else {
            return Tried::Never(UpdateFailed::Busy);
        };
        let (name, asked) = (pending.name.clone(), pending.asked.clone());
        let (asker, left) = (pending.dialog.asker.agent, pending.until.since(now));
        let Some(update) = self.declared(asker, &asked.update) else {
            return Tried::Never(UpdateFailed::Undeclared(asked.update));
        };
        let of_agent = name.agent();
        if of_agent.is_some_and(|agent| agent != asker) {
            return Tried::Never(UpdateFailed::NotChanged(DocumentError::NotOwner));
        }
        let mut said = None;
        let change = |doc: &mut AutoCommit| {
            (update.apply)(doc, &asked.body, of_agent.is_some()).map(drop).map_err(|why| {
                said = Some(why);
                "it was not applied"
            })
        };
        let waiting = (Waiting::Update(number), asked.replicas as usize, left);
        let written = self.write(&name, update.name.to_owned(), Some(waiting), change);
        match (written, said) {
            (Ok(head), _) => Tried::Applied { changed: head.is_some() },
            (_, Some(NotApplied::Refused(why))) => Tried::Never(UpdateFailed::Refused(why)),
            (_, Some(NotApplied::NotThere)) => Tried::NotNow(DocumentError::Unknown),
            (Err(why), None) if why.is_for_now() => Tried::NotNow(why),
            (Err(why), None) => Tried::Never(UpdateFailed::NotChanged(why)),
        }
    }

    /// The update of this name that the kind of an agent declares.
    fn declared(&self, agent: AgentId, name: &str) -> Option<Updating> {
        let row = self.agents.get(self.agents.find(agent)?)?;
        let kind = &self.kinds[usize::from(row.kind)];
        kind.updates().iter().find(|update| update.name == name).copied()
    }

    /// As many hosts have what an update made as were waited for, or time is up.
    pub(super) fn update_is_replicated(&mut self, number: u64, replicas: usize) {
        let changed = self.pending(number).is_some_and(|pending| pending.changed);
        let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
        let reply = match replicas {
            0 => Err(UpdateFailed::NotDurable),
            _ => Ok(Updated { changed, replicas }),
        };
        self.end_update(number, reply);
    }
}
