//! Documents between this host and others, and its disk.

use automerge::{Automerge, ChangeHash};
use starling_protocols::{
    exchange::{Class, Item},
    ident::{AgentId, HostId},
    limits::TOMBSTONE_KEPT,
    reconcile,
    replica::{self, DocName, Dropped, Message, Parcel, Pen},
    time::WallTime,
    wire,
};

use super::{DescribeOn, TIDY_EVERY, Waiting, key};
use crate::{
    agent::Request,
    documents::{at, diff_values, get, to_json},
    engine::{Counter, Engine, Event, Output},
};

/// What goes on between hosts.
impl Engine {
    pub(in crate::engine) fn documents_heard(&mut self, from: HostId, bytes: &[u8]) {
        let Some(documents) = &mut self.documents else { return };
        let Ok(message) = Parcel::decode(bytes) else {
            return self.counters.add(Counter::DocumentsRefused, 1);
        };
        let (me, roster, wall) = (self.me, &self.roster, self.wall);
        let is_member = |host| host == me || roster.is_member(host, wall);
        let counter = match documents.at.heard(from, message, is_member, self.now) {
            Ok(()) => return,
            // A session outlives its lanes, and so does an answer on its way; who waited does not.
            Err(reconcile::Refused::OutOfTurn) => Counter::DocumentsLate,
            Err(_) => Counter::DocumentsRefused,
        };
        self.counters.add(counter, 1);
    }

    pub(in crate::engine) fn documents_stored(&mut self, upto: u64) {
        if let Some(documents) = &mut self.documents {
            documents.at.stored(upto);
        }
    }

    /// This host may have been away for so long that others have forgotten what was deleted.
    pub(in crate::engine) fn was_away(&mut self, since: WallTime) {
        if let Some(documents) = &mut self.documents
            && since + TOMBSTONE_KEPT / 2 < self.wall
        {
            documents.at.was_away(since);
        }
    }

    /// Forgets old deletions, and vouches for what nobody else vouches for any more, now and then.
    fn tidy_documents(&mut self) {
        let now = self.now;
        if self.documents.as_ref().is_none_or(|documents| documents.tidy_at > now) {
            return;
        }
        let (me, roster, wall) = (self.me, &self.roster, self.wall);
        let pen = Pen { key: &self.key, author: self.author(String::new()) };
        let Some(documents) = &mut self.documents else { return };
        documents.tidy_at = now + TIDY_EVERY;
        documents.at.collect(wall);
        documents.at.vouch(&pen, |host| host == me || roster.is_member(host, wall));
    }

    /// Carries out what documents want. The last of each turn.
    pub(in crate::engine) fn settle_documents(&mut self) {
        let now = self.now;
        if let Some(documents) = &mut self.documents
            && documents.at.next_deadline().is_some_and(|at| at <= now)
        {
            documents.at.due(now);
        }
        self.tidy_documents();
        self.look_at_agents();
        self.mind_the_stranded();
        self.load_initial();
        self.retry_updates();
        while let Some(documents) = &mut self.documents {
            let output = documents.at.poll().or_else(|| {
                documents.at.flush();
                documents.at.poll()
            });
            let Some(output) = output else { break };
            self.document_output(output);
        }
    }

    fn document_output(&mut self, output: replica::Output) {
        match output {
            replica::Output::Send { to, message } => self.send_documents(&to, &message),
            replica::Output::Store(batch) => self.emit(Output::Store(batch)),
            replica::Output::Changed { name, from } => {
                self.counters.add(Counter::DocumentsChanged, 1);
                self.mind_refused(&name);
                if let Some(agent) = name.agent().filter(|_| from.is_some()) {
                    self.mind_descriptor(agent);
                }
                self.tell_watchers(&name, None);
                self.reconfigure(&name);
                self.hurry_updates(&name);
            }
            replica::Output::Dropped { name, dropped } => self.dropped(&name, &dropped),
            replica::Output::Carry { name } => {
                let pen = Pen { key: &self.key, author: self.author(String::new()) };
                if let Some(documents) = &mut self.documents {
                    documents.at.carry(&name, &pen);
                }
            }
            replica::Output::Waiting { name } => {
                self.tell(Event::DocumentWaits { name: name.to_string() });
            }
            replica::Output::Replicated { ticket, replicas } => self.replicated(ticket, replicas),
            replica::Output::Refused { from, name, why } => {
                self.counters.add(Counter::DocumentsRefused, 1);
                self.mind_refused(&name);
                let (host, name) = (from, name.to_string());
                self.tell(Event::DocumentRefused { host, name, why: why.to_string() });
            }
        }
    }

    fn send_documents(&mut self, to: &[HostId], message: &Message) {
        let bytes = Parcel::encode(message);
        let mut unsent = false;
        for host in to {
            let Some(peer) = self.peers.find(*host) else { continue };
            unsent |= self.push(peer, Item::Documents(&bytes), Class::Message).is_err();
        }
        if let Some(documents) = self.documents.as_mut().filter(|_| unsent) {
            documents.at.compare_later(self.now);
        }
    }

    fn replicated(&mut self, ticket: replica::Ticket, replicas: usize) {
        let waiting = self.documents.as_mut().and_then(|all| all.waiting.remove(&ticket));
        match waiting {
            Some(Waiting::Agent(dialog)) => {
                let reply: <DescribeOn as Request>::Reply =
                    Ok(u32::try_from(replicas).unwrap_or(u32::MAX));
                self.answer(dialog, Ok(wire::encode(&reply)));
            }
            Some(Waiting::TakeUp { agent, asked }) => self.titled(agent, asked, replicas),
            Some(Waiting::Move { agent, id, asked }) => {
                self.written_down((agent, id), asked, replicas);
            }
            Some(Waiting::Update(number)) => self.update_is_replicated(number, replicas),
            Some(Waiting::Outside(ticket)) => self.emit(Output::Replicated { ticket, replicas }),
            None => {}
        }
    }

    /// What was written here does not count any more.
    fn dropped(&mut self, name: &DocName, dropped: &Dropped) {
        let lost = self.lost_by(name, dropped);
        let Some(owner) = dropped.owner.as_ref().filter(|owner| owner.host == self.me) else {
            if self.replicas().is_some_and(|all| all.knew_of(name, dropped)) {
                return;
            }
            return self.tell(Event::DocumentDropped { name: name.to_string(), lost });
        };
        if self.owns(name) {
            return self.say_again(owner.agent, dropped);
        }
        let Some(agent) = self.agents.find(owner.agent) else { return };
        let lost = if lost.is_empty() { String::new() } else { format!(": {}", lost.join("; ")) };
        let lost = format!(", which does not have its last changes{lost}");
        let partners = replica::Body::load(&dropped.body).ok().and_then(|mut body| {
            body.read(|doc| get(doc, &key("partners")).ok().flatten()).ok().flatten()
        });
        self.lives_elsewhere(agent, &lost, partners);
    }

    /// Something that this host had said in an earlier life has taken the place of the descriptor of
    /// one of its agents: a deletion, or a later history, that others had heard of and that was
    /// lost here in a crash. The agent that lives is right.
    fn say_again(&mut self, agent: AgentId, dropped: &Dropped) {
        if self.agents.find(agent).is_none() {
            return;
        }
        self.begin_descriptor(agent);
        let said = replica::Body::load(&dropped.body);
        let said = said.ok().and_then(|mut body| body.read(|doc| get(doc, &key("fields"))).ok());
        if let Some(fields) = said.and_then(Result::ok).flatten() {
            self.describe(agent, &fields.to_string());
        }
    }

    /// What a version had changed, since it was one with the present one: a line for each place.
    fn lost_by(&mut self, name: &DocName, dropped: &Dropped) -> Vec<String> {
        let Ok(mut before) = replica::Body::load(&dropped.body) else { return Vec::new() };
        let Some(documents) = &mut self.documents else { return Vec::new() };
        let known = |hash: &ChangeHash| {
            let known = documents.at.read(name, |doc| doc.get_change_meta_by_hash(hash).is_some());
            known.unwrap_or(false)
        };
        let lines = before.read(|doc| {
            let common = common(doc, known);
            let (then, last) = (at(doc, &common).ok()?, to_json(doc).ok()?);
            Some(diff_values(&then, &last).lines)
        });
        let lines = lines.ok().flatten().unwrap_or_default();
        lines.iter().map(ToString::to_string).collect()
    }
}

/// The heads of that part of a document that is `known`.
fn common(doc: &Automerge, mut known: impl FnMut(&ChangeHash) -> bool) -> Vec<ChangeHash> {
    let mut heads: Vec<ChangeHash> = Vec::new();
    for change in doc.get_changes(&[]) {
        if known(&change.hash()) {
            heads.retain(|head| !change.deps().contains(head));
            heads.push(change.hash());
        }
    }
    heads
}
