use std::{collections::BTreeMap, fmt::Display, time::Duration};

use automerge::{AutoCommit, Automerge, ChangeHash};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    exchange::{Class, Codec, Item},
    ident::{Address, AgentId, HostId},
    limits::{
        DOCUMENT_WATCHES_PER_AGENT_MAX, DOCUMENTS_PER_PAGE_MAX, DOCUMENTS_SCANNED_MAX,
        LANE_FRAME_BYTES_MAX, TOMBSTONE_KEPT,
    },
    reconcile,
    replica::{
        self, Author, ChangeError, DocName, Dropped, Head, Message, Pen, ReadError, Replicas,
        Replicated, Replication, Title, WriteError,
    },
    time::{Time, WallTime},
    wire,
};

use super::{Counter, Engine, Event, Now, Output, Ticket, agents::AgentNo, run::Told};
use crate::{
    agent::{Dialog, Notification, Request},
    documents::{Path, Step, at, diff_values, get, set, to_json},
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
}

/// Who waits for replicas.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Agent(Dialog),
    Outside(Ticket),
}

/// Why something was not done with a document. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DocumentError {
    /// The host was begun without documents.
    #[error("this host keeps no documents")]
    NotKept,
    /// There is none of this name, or it is deleted.
    #[error("there is no such document on this host")]
    Unknown,
    /// The copy of this host is damaged; it is replaced when another host has a good one.
    #[error("the copy of this host is damaged: {0}; it is replaced from another host")]
    Damaged(String),
    /// It is the descriptor of an agent that does not live on this host.
    #[error("only the host that an agent lives on changes its descriptor")]
    NotOwner,
    /// The change was not made, and why.
    #[error("{0}")]
    Refused(String),
}

impl From<ReadError> for DocumentError {
    fn from(why: ReadError) -> Self {
        match why {
            ReadError::Unknown => Self::Unknown,
            ReadError::Damaged(why) => Self::Damaged(why),
        }
    }
}

impl<E: Display> From<WriteError<E>> for DocumentError {
    fn from(why: WriteError<E>) -> Self {
        match why {
            WriteError::NotOwner => Self::NotOwner,
            WriteError::Damaged(why) => Self::Damaged(why),
            WriteError::Change(ChangeError::Given(why)) => Self::Refused(why.to_string()),
            WriteError::Change(ChangeError::Message) => {
                Self::Refused(ChangeError::<std::fmt::Error>::Message.to_string())
            }
            WriteError::Change(ChangeError::Meddled) => {
                Self::Refused(ChangeError::<std::fmt::Error>::Meddled.to_string())
            }
            WriteError::Change(ChangeError::Body(why)) => Self::Refused(why.to_string()),
            WriteError::Doubtful | WriteError::Bases => Self::Refused(why.to_string()),
            WriteError::Full => Self::Refused("this host has as many documents as it may".into()),
        }
    }
}

/// How a change is made, and who waits until how many hosts have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Why, for those who read the history. May be empty.
    pub message: String,
    /// Answered by [`Output::Replicated`].
    pub ticket: Ticket,
    /// How many hosts are to have it durably, this one included.
    pub replicas: usize,
    /// How long that is waited for.
    pub patience: Duration,
}

/// Says what others are to know of the agent that sends this to [`AgentId::ENGINE`]: its fields, as
/// JSON text. They stand in its descriptor, below `fields`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Describe(pub String);

impl Notification for Describe {
    const NAME: &'static str = "engine/describe";
}

/// The same, for who waits until some hosts have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeOn {
    /// The fields, as JSON text.
    pub fields: String,
    /// How many hosts are to have it durably, this one included.
    pub replicas: u32,
    /// How long that is waited for.
    pub patience: Duration,
}

impl Request for DescribeOn {
    const NAME: &'static str = "engine/describe-on";
    type Reply = Result<u32, DocumentError>;
}

/// Has an agent told of all changes of documents whose names begin so: as
/// [`DocumentChanged`], first of how they are now. An agent that outlives its daemon asks anew when
/// it is recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchDocuments(pub String);

impl Request for WatchDocuments {
    const NAME: &'static str = "engine/watch-documents";
    type Reply = Result<(), DocumentError>;
}

/// A document is another one than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentChanged {
    /// Which.
    pub name: String,
    /// What it says now, as JSON text; `None` when it is deleted.
    pub value: Option<String>,
}

impl Notification for DocumentChanged {
    const NAME: &'static str = "engine/document-changed";
}

/// Asks the engine for documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindDocuments {
    /// How their names begin: `agent/` for all descriptors.
    pub prefix: String,
    /// What they say, as paths with JSON text: `kind` and `"room"`.
    pub fields: Vec<(String, String)>,
    /// The name after which to go on.
    pub after: Option<String>,
    /// How many, at most.
    pub limit: u32,
}

impl Request for FindDocuments {
    const NAME: &'static str = "engine/find-documents";
    type Reply = Result<DocumentPage, DocumentError>;
}

/// Some documents, in the order of their names.
///
/// A document that is there from the first page to the last is on exactly one of them; one that
/// comes, goes or changes meanwhile may be missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPage {
    /// The documents.
    pub items: Vec<DocumentView>,
    /// Where to go on, if there may be more. A page may be empty and still not the last.
    pub next: Option<String>,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentView {
    /// Its name.
    pub name: String,
    /// What it says, as JSON text.
    pub value: String,
    /// Its heads, in hex: the same on two hosts that have the same.
    pub heads: Vec<String>,
    /// Whose descriptor it is: the host that the agent lives on, and the number of its hosts before.
    pub owner: Option<(HostId, u64)>,
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
        }
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

    /// Changes a document, or makes it when there is none. Gives the change, if there was anything
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
        self.begin(now);
        let Writing { message, ticket, replicas, patience } = writing;
        let waiting = Some((Waiting::Outside(ticket), replicas, patience));
        let written = self.write(name, message, waiting, change);
        self.finish();
        written
    }

    /// Deletes a document. Gives whether there was one.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn delete_document(&mut self, name: &DocName, now: Now) -> Result<bool, DocumentError> {
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
        let mut hasher = blake3::Hasher::new_derive_key("starling author 1");
        hasher.update(&self.me.0).update(&self.record.incarnation.0.to_be_bytes());
        let mut actor = [0; 16];
        hasher.finalize_xof().fill(&mut actor);
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
        if !self.owns(&name) && !self.entitle(agent) {
            return;
        }
        let instance = self.replicas().and_then(|all| all.owner(&name)).map(|own| own.instance);
        let written = self.write(&name, String::new(), None, |doc| {
            let Value::Object(about) = about else { return Ok(()) };
            for (field, value) in &about {
                set(doc, &key(field), value)?;
            }
            set(doc, &key("instance"), &json!(instance)).map(drop)
        });
        self.undescribed(agent, written);
    }

    /// Agents that are back from an earlier life may have no descriptor, or not the present one.
    pub(super) fn begin_descriptors(&mut self) {
        let all: Vec<AgentId> = self.agents.iter().map(|(_, row)| row.id).collect();
        all.into_iter().for_each(|agent| self.begin_descriptor(agent));
        let described = self.replicas().into_iter().flat_map(|all| all.names(None));
        let described: Vec<AgentId> = described.filter_map(DocName::agent).collect();
        described.into_iter().for_each(|agent| self.mind_descriptor(agent));
    }

    /// A descriptor of this host whose agent does not live: it had ended in an earlier life. Those
    /// that could not be brought back may come yet, with another program.
    fn mind_descriptor(&mut self, agent: AgentId) {
        let lost = self.counters.get(Counter::AgentsLost) > 0;
        if !lost && self.agents.find(agent).is_none() {
            self.end_descriptor(agent);
        }
    }

    fn owns(&self, name: &DocName) -> bool {
        let owner = self.replicas().and_then(|all| all.owner(name));
        owner.is_some_and(|owner| owner.host == self.me)
    }

    /// Begins the descriptor of an agent that was born here.
    fn entitle(&mut self, agent: AgentId) -> bool {
        if !agent.is_born_on(self.me) {
            return false;
        }
        let title = Title::of_birth(&self.key, self.credential.mesh(), agent);
        let pen = Pen { key: &self.key, author: self.author(String::new()) };
        let Some(documents) = &mut self.documents else { return false };
        let (me, roster, wall) = (self.me, &self.roster, self.wall);
        let is_member = |host| host == me || roster.is_member(host, wall);
        documents.at.entitle(&title, is_member, &pen).is_ok()
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
        if why == DocumentError::NotKept {
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
        let value = documents.at.read(name, |doc| to_json(doc)).ok().and_then(Result::ok);
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

/// What goes on between hosts.
impl Engine {
    pub(super) fn documents_heard(&mut self, from: HostId, bytes: &[u8]) {
        let Some(documents) = &mut self.documents else { return };
        let Ok(message) = wire::decode::<Message>(bytes, LANE_FRAME_BYTES_MAX) else {
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

    pub(super) fn documents_stored(&mut self, upto: u64) {
        if let Some(documents) = &mut self.documents {
            documents.at.stored(upto);
        }
    }

    /// This host may have been away for so long that others have forgotten what was deleted.
    pub(super) fn was_away(&mut self, since: WallTime) {
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
    pub(super) fn settle_documents(&mut self) {
        let now = self.now;
        if let Some(documents) = &mut self.documents
            && documents.at.next_deadline().is_some_and(|at| at <= now)
        {
            documents.at.due(now);
        }
        self.tidy_documents();
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
                if let Some(agent) = name.agent().filter(|_| from.is_some()) {
                    self.mind_descriptor(agent);
                }
                self.tell_watchers(&name, None);
            }
            replica::Output::Dropped { name, dropped } => self.dropped(&name, &dropped),
            replica::Output::Carry { name } => {
                let pen = Pen { key: &self.key, author: self.author(String::new()) };
                if let Some(documents) = &mut self.documents {
                    documents.at.carry(&name, &pen);
                }
            }
            replica::Output::Replicated { ticket, replicas } => self.replicated(ticket, replicas),
            replica::Output::Refused { from, name, why } => {
                self.counters.add(Counter::DocumentsRefused, 1);
                let (host, name) = (from, name.to_string());
                self.tell(Event::DocumentRefused { host, name, why: why.to_string() });
            }
        }
    }

    fn send_documents(&mut self, to: &[HostId], message: &Message) {
        let bytes = wire::encode(message);
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
            Some(Waiting::Outside(ticket)) => self.emit(Output::Replicated { ticket, replicas }),
            None => {}
        }
    }

    /// What was written here does not count any more.
    fn dropped(&mut self, name: &DocName, dropped: &Dropped) {
        let lost = self.lost_by(name, dropped);
        let Some(owner) = dropped.owner.as_ref().filter(|owner| owner.host == self.me) else {
            return self.tell(Event::DocumentDropped { name: name.to_string(), lost });
        };
        if self.owns(name) {
            return self.say_again(owner.agent, dropped);
        }
        let Some(agent) = self.agents.find(owner.agent) else { return };
        let lost = if lost.is_empty() { String::new() } else { format!(": {}", lost.join("; ")) };
        let why = format!("it lives on another host, which does not have its last changes{lost}");
        self.kill(agent, why);
    }

    /// The descriptor of an agent of this host was deleted. An agent that lives all the same had
    /// ended, and its end was lost in a crash.
    fn say_again(&mut self, agent: AgentId, dropped: &Dropped) {
        let base = self.replicas().and_then(|all| all.base(&DocName::of_agent(agent)));
        if self.agents.find(agent).is_none() || base.is_none_or(|base| !base.gone) {
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
