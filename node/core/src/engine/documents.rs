mod between;
mod content;
mod initial;
mod moves;
mod refused;
mod updates;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    time::Duration,
};

use automerge::{AutoCommit, Automerge};
use serde_json::{Value, json};
use starling_protocols::{
    exchange::Codec,
    ident::{Address, AgentId, HostId},
    limits::{DOCUMENT_WATCHES_PER_AGENT_MAX, DOCUMENTS_PER_PAGE_MAX, DOCUMENTS_SCANNED_MAX},
    replica::{self, Author, DocName, Head, Pen, Replicas, Replicated, Replication},
    time::Time,
    wire,
};

pub(super) use initial::Initial;
pub(super) use moves::LEAVE;
pub use moves::{CanGive, GiveAgent, MOVING, MoveError, TakeUpAgent, TookUp};
pub use refused::Remedy;
pub use words::{
    Describe, DescribeOn, DocumentChanged, DocumentError, DocumentPage, DocumentView,
    FindDocuments, WatchDocuments, Writing,
};

use super::{Counter, Engine, Event, Now, Ticket, agents::AgentNo, run::Told};
use crate::{
    agent::{Dialog, Notification, Request},
    documents::{Path, Step, get, set, to_json},
};

/// How often old deletions are looked for, whenever there is something to do.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// The documents of a host.
pub(super) struct Documents {
    pub(super) at: Replication,
    tickets: u64,
    waiting: BTreeMap<replica::Ticket, Waiting>,
    /// When old deletions are looked for again.
    tidy_at: Time,
    /// Agents that are told of changes, with the beginnings of the names.
    watches: BTreeMap<AgentNo, Vec<String>>,
    looks: content::Looks,
    stranded: moves::Stranded,
    /// Agents that could not be brought back when this host began to live: they may come yet, and
    /// keep their descriptors. No more than the journal has lives.
    pub(super) lost: BTreeSet<AgentId>,
    initial: initial::Waiting,
    updates: updates::Updates,
}

/// Who waits for replicas.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Agent(Dialog),
    Outside(Ticket),
    /// An agent that is taken up by this host.
    TakeUp {
        agent: AgentId,
        asked: Option<Dialog>,
    },
    /// An agent that leaves this host.
    Move {
        agent: AgentNo,
        id: AgentId,
        asked: Dialog,
    },
    Update(u64),
}

/// What of a descriptor the host says.
fn key(text: &str) -> Path {
    Path::new([Step::Key(text.to_owned())])
}

fn hex(head: &Head) -> String {
    data_encoding::HEXLOWER.encode(&head.0)
}

impl Documents {
    pub(super) fn new(me: HostId, replicas: Replicas) -> Self {
        let at = Replication::new(me, replicas);
        Self {
            at,
            tickets: 0,
            waiting: BTreeMap::new(),
            tidy_at: Time::ZERO,
            watches: BTreeMap::new(),
            looks: content::Looks::default(),
            stranded: moves::Stranded::default(),
            lost: BTreeSet::new(),
            initial: initial::Waiting::default(),
            updates: updates::Updates::default(),
        }
    }

    /// Reads a document, if there is one, and it is not damaged.
    pub(super) fn read<T>(
        &mut self,
        name: &DocName,
        read: impl FnOnce(&Automerge) -> T,
    ) -> Option<Result<T, String>> {
        match self.at.read(name, read) {
            Err(replica::ReadError::Unknown) => None,
            read => Some(read.map_err(|why| why.to_string())),
        }
    }

    /// When something is to be done.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let of_agents = [self.looks.next_deadline(), self.stranded.at];
        let of_documents =
            [self.at.next_deadline(), self.initial_at(), self.updates.next_deadline()];
        let all = of_agents.into_iter().chain(of_documents);
        all.flatten().min()
    }

    fn wait(&mut self, waiting: Waiting) -> replica::Ticket {
        self.tickets += 1;
        let ticket = replica::Ticket(self.tickets);
        self.waiting.insert(ticket, waiting);
        ticket
    }
}

/// What programs outside ask.
impl Engine {
    /// The documents of this host, if it keeps any.
    #[must_use]
    pub fn replicas(&self) -> Option<&Replicas> {
        self.documents.as_ref().map(|documents| documents.at.replicas())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn read_document<T>(
        &mut self,
        name: &DocName,
        now: Now,
        read: impl FnOnce(&Automerge) -> T,
    ) -> Result<T, DocumentError> {
        self.begin(now);
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept);
        let value = documents.and_then(|documents| Ok(documents.at.read(name, read)?));
        self.finish();
        value
    }

    /// Changes a document, or makes it when there is none: a configuration of a kind of this host
    /// from what holds without one. Refused is what makes a document unreadable for its type, if
    /// that is known here. Gives the change, if there was anything
    /// to change. When there is no document even then, there is no answer to the ticket.
    ///
    /// # Errors
    /// [`DocumentError`]; there is no answer to the ticket then.
    pub fn write_document<E: Display>(
        &mut self,
        name: &DocName,
        writing: Writing,
        now: Now,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, DocumentError> {
        if self.owns(name) {
            return Err(DocumentError::Described);
        }
        self.begin(now);
        let Writing { message, ticket, replicas, patience } = writing;
        let waiting = Some((Waiting::Outside(ticket), replicas, patience));
        let expected = self.expected(name);
        let written = self.write(name, message, waiting, |doc| {
            expected.change(doc, |doc| change(doc).map_err(|why| why.to_string()))
        });
        self.finish();
        written
    }

    /// Writes a document in this program's version of its type, if it is written in an older one.
    /// Hosts that do not know this version cannot read it any more.
    ///
    /// # Errors
    /// [`DocumentError`]; there is no answer to the ticket then.
    pub fn raise_document(
        &mut self,
        name: &DocName,
        writing: Writing,
        now: Now,
    ) -> Result<Option<Head>, DocumentError> {
        let whole = self.read_document(name, now, to_json)?;
        let whole = whole.map_err(|why| DocumentError::Refused(why.to_string()))?;
        let unknown = || DocumentError::Refused("this program does not know its type".into());
        let (_, schema) = self.type_of(name, &whole).ok_or_else(unknown)?;
        self.write_document(name, writing, now, |doc| schema.raise(doc).map(drop))
    }

    /// Deletes a document. Gives whether there was one.
    ///
    /// # Errors
    /// [`DocumentError`]; the descriptor of an agent goes with the agent.
    pub fn delete_document(&mut self, name: &DocName, now: Now) -> Result<bool, DocumentError> {
        let lives_here = name.agent().is_some_and(|agent| self.agents.find(agent).is_some());
        if self.owns(name) && (lives_here || self.given(name).is_some()) {
            return Err(DocumentError::Described);
        }
        self.begin(now);
        let deleted = self.delete(name);
        self.finish();
        deleted
    }

    /// Looks for documents.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn find_documents(
        &mut self,
        find: &FindDocuments,
        now: Now,
    ) -> Result<DocumentPage, DocumentError> {
        self.begin(now);
        let found = self.find(find);
        self.finish();
        found
    }
}

impl Engine {
    /// The heads of a document, in hex and in order; none when there is none of this name.
    #[must_use]
    pub fn document_heads(&self, name: &str) -> Vec<String> {
        let name = name.parse::<DocName>().ok();
        let heads = name.and_then(|name| Some(self.replicas()?.heads(&name)));
        heads.unwrap_or_default().iter().map(hex).collect()
    }

    fn author(&self, message: String) -> Author {
        let actor = Author::actor_of(self.me, self.record.incarnation);
        Author { actor, wall: self.wall, message }
    }

    fn write<E: Display>(
        &mut self,
        name: &DocName,
        message: String,
        waiting: Option<(Waiting, usize, Duration)>,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, DocumentError> {
        let (author, now) = (self.author(message), self.now);
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        let wait = waiting.map(|(waiting, replicas, patience)| Replicated {
            ticket: documents.wait(waiting),
            replicas,
            until: now + patience,
        });
        let pen = Pen { key: &self.key, author };
        let written = documents.at.write(name, &pen, wait, change);
        // Nobody ever has what is not there.
        let nothing = written.is_err() || documents.at.replicas().heads(name).is_empty();
        if let Some(wait) = wait.filter(|_| nothing) {
            documents.waiting.remove(&wait.ticket);
        }
        Ok(written?)
    }

    fn delete(&mut self, name: &DocName) -> Result<bool, DocumentError> {
        let pen = Pen { key: &self.key, author: self.author(String::new()) };
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        Ok(documents.at.delete(name, &pen)?)
    }

    /// The descriptor of an agent that has just begun to live here, or lives here again.
    pub(super) fn begin_descriptor(&mut self, agent: AgentId) {
        let Some(row) = self.agents.find(agent).and_then(|agent| self.agents.get(agent)) else {
            return;
        };
        let kind = &self.kinds[usize::from(row.kind)];
        if self.documents.is_none() || agent.0 < AgentId::RESERVED || !kind.is_described() {
            return;
        }
        let about = json!({
            "kind": kind.name(),
            "version": kind.version(),
            "name": row.name,
            "host": self.me.to_string(),
        });
        let name = DocName::of_agent(agent);
        let say = |instance: u64| {
            move |doc: &mut AutoCommit| {
                let Value::Object(about) = about else { return Ok(()) };
                for (field, value) in &about {
                    set(doc, &key(field), value)?;
                }
                set(doc, &key("instance"), &json!(instance)).map(drop)
            }
        };
        let is_new = self.replicas().is_some_and(|all| all.base(&name).is_none());
        if is_new && agent.is_born_on(self.me) {
            let written = self.bear(agent, say(0));
            return self.undescribed(agent, written);
        }
        if !self.owns(&name) {
            return;
        }
        let owner = self.replicas().and_then(|all| all.owner(&name));
        let instance = owner.map_or(0, |own| own.instance);
        let written = self.write(&name, String::new(), None, say(instance));
        self.undescribed(agent, written);
    }

    /// Agents that are back from an earlier life may have no descriptor, or not the present one.
    pub(super) fn begin_descriptors(&mut self) {
        let all: Vec<AgentId> = self.agents.iter().map(|(_, row)| row.id).collect();
        for agent in all {
            if self.lives_here(agent) {
                self.begin_descriptor(agent);
                self.resume_take_up(agent);
                self.agents.find(agent).into_iter().for_each(|number| self.look_later(number));
            }
        }
        let described = self.replicas().into_iter().flat_map(|all| all.names(None));
        let minds = |name: &&DocName| self.owns(name) || self.may_be_given(name);
        let described = described.filter(|name| name.agent().is_some()).filter(minds);
        let described: Vec<AgentId> = described.filter_map(DocName::agent).collect();
        described.into_iter().for_each(|agent| self.mind_descriptor(agent));
    }

    fn owns(&self, name: &DocName) -> bool {
        let owner = self.replicas().and_then(|all| all.owner(name));
        owner.is_some_and(|owner| owner.host == self.me)
    }

    /// Begins the descriptor of an agent that has just been born here.
    fn bear<E: Display>(
        &mut self,
        agent: AgentId,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, DocumentError> {
        let pen = Pen { key: &self.key, author: self.author(String::new()) };
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        Ok(documents.at.bear(agent, &pen, change)?)
    }

    /// An agent says what others are to know of it.
    pub(super) fn describe(&mut self, agent: AgentId, fields: &str) {
        // What it said last may have waited for the disk while it ended.
        if self.agents.find(agent).is_none() {
            return;
        }
        let written = self.write_fields(agent, fields, None);
        self.undescribed(agent, written);
    }

    fn write_fields(
        &mut self,
        agent: AgentId,
        fields: &str,
        waiting: Option<(Waiting, usize, Duration)>,
    ) -> Result<Option<Head>, DocumentError> {
        let fields: Value =
            serde_json::from_str(fields).map_err(|why| DocumentError::Refused(why.to_string()))?;
        if self.agents.find(agent).is_none() {
            return Err(DocumentError::NotOwner);
        }
        let name = DocName::of_agent(agent);
        self.write(&name, String::new(), waiting, |doc| set(doc, &key("fields"), &fields).map(drop))
    }

    /// That an agent could not be described is for people to know: it goes on without.
    fn undescribed(&mut self, agent: AgentId, written: Result<Option<Head>, DocumentError>) {
        let Err(why) = written else { return };
        // One that was taken up elsewhere ends at the end of this turn.
        let owner = self.replicas().and_then(|all| all.owner(&DocName::of_agent(agent)));
        let taken = why == DocumentError::NotOwner && owner.is_some();
        if why == DocumentError::NotKept || taken {
            return;
        }
        self.counters.add(Counter::DocumentsNotWritten, 1);
        let why = why.to_string();
        self.tell(Event::NotDescribed { agent, why });
    }

    /// An agent has ended for good: nobody needs to know of it any more.
    pub(super) fn end_descriptor(&mut self, agent: AgentId) {
        let name = DocName::of_agent(agent);
        if self.owns(&name) {
            // The only error is that it is somebody else's.
            let _ = self.delete(&name);
        }
    }

    /// What an agent asks for, and waits for until some hosts have it.
    pub(super) fn describe_on(&mut self, dialog: Dialog, body: &[u8]) {
        let agent = dialog.asker.agent;
        let asked: Result<DescribeOn, _> = wire::decode(body, body.len());
        let Ok(DescribeOn { fields, replicas, patience }) = asked else {
            let why = starling_protocols::exchange::Failure::BadBody("no fields".into());
            return self.answer(dialog, Err(why));
        };
        let waiting = (Waiting::Agent(dialog), replicas as usize, patience);
        if let Err(why) = self.write_fields(agent, &fields, Some(waiting)) {
            let reply: <DescribeOn as Request>::Reply = Err(why);
            self.answer(dialog, Ok(wire::encode(&reply)));
        }
    }

    /// An agent wants to be told of changes.
    pub(super) fn watch_documents(
        &mut self,
        agent: AgentId,
        prefix: &str,
    ) -> Result<(), DocumentError> {
        let Some(number) = self.agents.find(agent) else { return Ok(()) };
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        let watches = documents.watches.entry(number).or_default();
        if watches.len() >= DOCUMENT_WATCHES_PER_AGENT_MAX {
            let most =
                format!("an agent watches at most {DOCUMENT_WATCHES_PER_AGENT_MAX} prefixes");
            return Err(DocumentError::Refused(most));
        }
        watches.push(prefix.to_owned());
        let names = documents.at.replicas().names(None);
        let names: Vec<DocName> =
            names.filter(|name| name.as_str().starts_with(prefix)).cloned().collect();
        for name in names {
            self.tell_watchers(&name, Some(number));
        }
        Ok(())
    }

    /// Tells those who watch a document what it says, or one of them.
    fn tell_watchers(&mut self, name: &DocName, only: Option<AgentNo>) {
        let Some(documents) = &mut self.documents else { return };
        let watches = |prefixes: &[String]| {
            prefixes.iter().any(|prefix| name.as_str().starts_with(prefix.as_str()))
        };
        let watchers: Vec<AgentNo> = match only {
            Some(agent) => vec![agent],
            None => {
                let all = documents.watches.iter().filter(|(_, prefixes)| watches(prefixes));
                all.map(|(agent, _)| *agent).collect()
            }
        };
        if watchers.is_empty() {
            return;
        }
        let value = documents.at.read(name, to_json).ok().and_then(Result::ok);
        let changed =
            DocumentChanged { name: name.to_string(), value: value.map(|value| value.to_string()) };
        let body: std::sync::Arc<[u8]> = wire::encode(&changed).into();
        let from = Address { host: self.me, agent: AgentId::ENGINE };
        for agent in watchers {
            let told = Told { from, topic: None, codec: Codec::Native, body: body.clone() };
            self.deliver_notification(agent, DocumentChanged::NAME, told);
        }
    }

    /// An agent is gone.
    pub(super) fn forget_watches(&mut self, agent: AgentNo) {
        if let Some(documents) = &mut self.documents {
            documents.watches.remove(&agent);
        }
    }

    pub(super) fn find(&mut self, find: &FindDocuments) -> Result<DocumentPage, DocumentError> {
        let refused = |why: String| DocumentError::Refused(why);
        let parse = |(path, value): &(String, String)| {
            let path: Path = path.parse().map_err(|why| refused(format!("{path:?}: {why}")))?;
            let value: Value = serde_json::from_str(value)
                .map_err(|why| refused(format!("{value:?} is no JSON: {why}")))?;
            Ok((path, value))
        };
        let fields = find.fields.iter().map(parse).collect::<Result<Vec<_>, DocumentError>>()?;
        let after = find.after.as_deref().map(str::parse::<DocName>).transpose();
        let after = after.map_err(|why| refused(why.to_string()))?;
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        let limit =
            usize::try_from(find.limit).unwrap_or(usize::MAX).clamp(1, DOCUMENTS_PER_PAGE_MAX);
        let names = documents.at.replicas().names(after.as_ref());
        let names = names.filter(|name| name.as_str().starts_with(&find.prefix));
        let names: Vec<DocName> = names.take(DOCUMENTS_SCANNED_MAX + 1).cloned().collect();
        let mut page = DocumentPage::default();
        for (number, name) in names.iter().enumerate() {
            if page.items.len() >= limit || number >= DOCUMENTS_SCANNED_MAX {
                page.next = number.checked_sub(1).map(|last| names[last].to_string());
                break;
            }
            let matches = documents.at.read(name, |doc| {
                let fits =
                    |(path, value): &(Path, Value)| get(doc, path) == Ok(Some(value.clone()));
                fields.iter().all(fits).then(|| to_json(doc))
            });
            if let Ok(Some(Ok(value))) = matches {
                page.items.push(view(documents.at.replicas(), name, &value));
            }
        }
        Ok(page)
    }
}

fn view(all: &Replicas, name: &DocName, value: &Value) -> DocumentView {
    DocumentView {
        name: name.to_string(),
        value: value.to_string(),
        heads: all.heads(name).iter().map(hex).collect(),
        owner: all.owner(name).map(|owner| (owner.host, owner.instance)),
    }
}
