//! Descriptors of agents and other documents, on several hosts.

mod lives;
mod refused;
mod typed;

use starling_protocols::{
    ident::MeshId,
    replica::{
        self, Author, DocName, KeptBatch, Message, Obituary, Parcel, Pen, Replicas, Replication,
        Right, Title,
    },
};

use super::*;
use crate::{
    documents::{Path, get, set, to_json},
    engine::{
        DescribeOn, DocumentChanged, DocumentError, DocumentPage, FindDocuments, WatchDocuments,
        Writing,
    },
};

/// Where a host keeps its documents.
#[derive(Default)]
pub(super) struct Shelf {
    kept: BTreeMap<String, Vec<u8>>,
    waiting: Vec<KeptBatch>,
    /// Nothing is kept until the test says so.
    pub(super) stalled: bool,
}

impl Shelf {
    pub(super) fn replicas(&self, genesis: &Genesis) -> Replicas {
        let mut replicas = Replicas::new(genesis.mesh());
        for bytes in self.kept.values() {
            let _ = replicas.restore(bytes).expect("it was kept so");
        }
        replicas
    }
}

/// An agent that says of itself what it is told to, and notes what it is told of others.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Sitter {
    log: Vec<String>,
}

/// Tells a sitter to say this of itself, as JSON text.
#[derive(Serialize, Deserialize)]
pub(super) struct Say(String);
impl Request for Say {
    const NAME: &'static str = "sitter/say";
    type Reply = String;
}

/// Tells it to say so on some hosts.
#[derive(Serialize, Deserialize)]
pub(super) struct SayOn(String, u32);
impl Notification for SayOn {
    const NAME: &'static str = "sitter/say-on";
}

/// Tells it what to watch.
#[derive(Serialize, Deserialize)]
pub(super) struct Look(String);
impl Notification for Look {
    const NAME: &'static str = "sitter/look";
}

#[derive(Serialize, Deserialize)]
pub(super) enum Wait {
    Said(Await<DescribeOn>),
    Watching(Await<WatchDocuments>),
}

impl Agent for Sitter {
    const KIND: &'static str = "sitter";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Wait;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Say>();
        interests.collects::<SayOn>();
        interests.collects::<Look>();
        interests.collects::<DocumentChanged>();
    }
    fn moving(&mut self, cx: &mut Cx<'_, Self>, to: HostId) {
        cx.describe(&serde_json::json!({ "last": to.short() }));
    }
    fn taken_up(&mut self, _: &mut Cx<'_, Self>, past: &TakenUp) {
        let fields = past.fields::<serde_json::Value>();
        self.log.push(format!("{} {} {fields:?}", past.instance, past.given));
    }
}

impl Answers<Say> for Sitter {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Say(fields): Say) -> Answer<Say> {
        let fields: serde_json::Value = serde_json::from_str(&fields).expect("the test's JSON");
        cx.describe(&fields);
        Answer::now("said".into())
    }
}

fn engine(cx: &Cx<'_, Sitter>) -> Address {
    Address { host: cx.host(), agent: AgentId::ENGINE }
}

impl Collects<SayOn> for Sitter {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, SayOn(fields, replicas): SayOn) {
        let patience = Duration::from_secs(5);
        let say = DescribeOn { fields, replicas, patience };
        cx.request(engine(cx), &say, Wait::Said);
    }
}

impl Collects<Look> for Sitter {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Look(prefix): Look) {
        cx.request(engine(cx), &WatchDocuments(prefix), Wait::Watching);
    }
}

impl Collects<DocumentChanged> for Sitter {
    fn collect(&mut self, _: &mut Cx<'_, Self>, changed: DocumentChanged) {
        let value = changed.value.unwrap_or_else(|| "gone".into());
        self.log.push(format!("{} {value}", changed.name));
    }
}

impl Continuation<Sitter> for Wait {
    fn resume(self, sitter: &mut Sitter, cx: &mut Cx<'_, Sitter>) {
        let line = match self {
            Self::Said(slot) => format!("{:?}", cx.take(slot)),
            Self::Watching(slot) => format!("{:?}", cx.take(slot)),
        };
        sitter.log.push(line);
    }
}

/// An agent of which nobody needs to know.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Nobody {}

impl Agent for Nobody {
    const KIND: &'static str = "nobody";
    const DESCRIBED: bool = false;
    type Then = Never;
    fn interests(_: &mut Interests<Self>) {}
}

fn name(text: &str) -> DocName {
    text.parse().expect("a name")
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

impl Mesh {
    /// A mesh whose hosts record, and keep documents.
    pub(super) fn with_documents(hosts: usize) -> Self {
        let mut mesh = Self::apart(vec![0..0; hosts], true);
        mesh.shelves = (0..hosts).map(|_| Some(Shelf::default())).collect();
        mesh.disks = (0..hosts).map(|_| Some(Disk::default())).collect();
        mesh.engines = (0..hosts).map(|host| mesh.engine(host, 1)).collect();
        mesh.joined()
    }

    pub(super) fn keep(&mut self, here: usize, batch: KeptBatch) {
        let shelf = self.shelves[here].as_mut().expect("only hosts with a shelf keep documents");
        shelf.waiting.push(batch);
        if !shelf.stalled {
            self.shelve(here);
        }
    }

    /// Makes durable what waits to be.
    pub(super) fn shelve(&mut self, here: usize) {
        let shelf = self.shelves[here].as_mut().expect("the host has a shelf");
        shelf.stalled = false;
        let batches = std::mem::take(&mut shelf.waiting);
        for KeptBatch { number, put, forget } in batches {
            let shelf = self.shelves[here].as_mut().expect("the host has a shelf");
            shelf.kept.extend(put.into_iter().map(|kept| (kept.name, kept.bytes)));
            forget.iter().for_each(|name| drop(shelf.kept.remove(name)));
            let now = self.now();
            self.engines[here].handle(Input::Stored { upto: number }, now);
        }
    }

    /// A host is killed: what it had not kept is lost.
    pub(super) fn kill(&mut self, host: usize, life: u64) {
        if let Some(shelf) = &mut self.shelves[host] {
            shelf.waiting.clear();
            shelf.stalled = false;
        }
        self.crash(host, life);
    }

    /// The same, and nobody is linked with it afterwards.
    pub(super) fn kill_alone(&mut self, host: usize, life: u64) {
        let others = (0..self.engines.len()).filter(|other| *other != host);
        others.for_each(|other| self.cut(host, other));
        if let (Some(shelf), Some(disk)) = (&mut self.shelves[host], &mut self.disks[host]) {
            shelf.waiting.clear();
            disk.waiting.clear();
            (shelf.stalled, disk.stalled) = (false, false);
        }
        self.engines[host] = self.engine(host, life);
        self.settle();
    }

    pub(super) fn settle_in(&mut self, host: usize, kind: &str, name: &str) -> Address {
        let start = Start { kind: kind.into(), name: Some(name.into()), init: Init::Default };
        let agent = self.engines[host].start(start).expect("it can be started");
        let now = self.now();
        self.engines[host].handle(Input::Tick, now);
        self.settle();
        Address { host: self.host(host), agent }
    }

    pub(super) fn send_away(&mut self, agent: Address) {
        let (host, now) = (self.of(agent), self.now());
        let number = self.engines[host].agents.find(agent.agent).expect("it lives");
        self.engines[host].stop(number, None);
        self.engines[host].handle(Input::Tick, now);
        self.settle();
    }

    /// The host that an agent lives on.
    fn of(&self, agent: Address) -> usize {
        let host = self.engines.iter().position(|engine| engine.host() == agent.host);
        host.expect("a host of the mesh")
    }

    pub(super) fn describe_as(&mut self, agent: Address, fields: &str) {
        let body = serde_json::to_string(fields).expect("a text");
        let ticket = self.ask(self.of(agent), agent, "sitter/say", &body);
        assert_eq!(self.answers[&ticket], Ok("\"said\"".into()));
    }

    fn make(&mut self, agent: Address, name: &str, body: &str) {
        let here = self.of(agent);
        let mail: Vec<u8> = body.into();
        let now = self.now();
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.engines[here].post(ticket, agent, name, mail, now);
        self.settle();
        assert!(self.answers[&ticket].is_ok(), "{:?}", self.answers[&ticket]);
    }

    /// What a document says on a host, without what stands in every descriptor.
    pub(super) fn doc(&mut self, host: usize, doc: &DocName) -> Result<String, DocumentError> {
        let now = self.now();
        let value = self.engines[host].read_document(doc, now, to_json)?;
        self.settle();
        Ok(value.expect("it can be shown").to_string())
    }

    pub(super) fn fields(&mut self, host: usize, agent: Address) -> String {
        let now = self.now();
        let doc = DocName::of_agent(agent.agent);
        let fields = self.engines[host].read_document(&doc, now, |doc| get(doc, &path("fields")));
        let fields = fields.expect("it is there").expect("it can be shown");
        fields.map(|fields| fields.to_string()).unwrap_or_default()
    }

    fn set_on(
        &mut self,
        host: usize,
        doc: &DocName,
        at: &str,
        value: i64,
        replicas: usize,
    ) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let patience = Duration::from_secs(5);
        let writing = Writing { message: "as told".into(), ticket, replicas, patience };
        let now = self.now();
        let written = self.engines[host]
            .write_document(doc, writing, now, |doc| set(doc, &path(at), &value.into()).map(drop));
        written.expect("it may");
        self.settle();
        ticket
    }

    pub(super) fn sitter_log(&mut self, agent: Address) -> Vec<String> {
        let here = self.of(agent);
        let to = Address { host: agent.host, agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, agent.agent);
        let ticket = self.ask(here, to, "host/inspect", &body);
        let reply = self.answers[&ticket].as_ref().expect("the host agent answers");
        let detail: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let state = detail["state"].as_str().expect("a state");
        let state: serde_json::Value = serde_json::from_str(state).expect("JSON");
        serde_json::from_value(state["log"].clone()).expect("a log")
    }

    pub(super) fn counted(&self, host: usize, counter: Counter) -> u64 {
        self.engines[host].counters().get(counter)
    }

    fn mesh_id(&self) -> MeshId {
        self.genesis.mesh()
    }
}

#[test]
fn every_host_knows_of_an_agent_and_what_it_says_of_itself() {
    let mut mesh = Mesh::with_documents(3);
    let agent = mesh.settle_in(0, "sitter", "ada");
    let doc = DocName::of_agent(agent.agent);
    let (id, instance) = (agent.host.to_string(), 0);
    let born = serde_json::json!({
        "kind": "sitter", "version": 1, "name": "ada", "host": id, "instance": instance,
    });
    for host in 0..3 {
        assert_eq!(mesh.doc(host, &doc), Ok(born.to_string()), "host {host}");
    }
    mesh.describe_as(agent, r#"{"room":"attic","chairs":3}"#);
    mesh.describe_as(agent, r#"{"room":"cellar"}"#);
    for host in 0..3 {
        assert_eq!(mesh.fields(host, agent), r#"{"room":"cellar"}"#, "host {host}");
    }
    mesh.send_away(agent);
    for host in 0..3 {
        assert_eq!(mesh.doc(host, &doc), Err(DocumentError::Unknown), "host {host}");
    }
}

#[test]
fn an_agent_of_a_kind_that_is_not_described_has_no_descriptor() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "nobody", "nemo");
    assert_eq!(mesh.doc(0, &DocName::of_agent(agent.agent)), Err(DocumentError::Unknown));
    assert_eq!(mesh.engines[1].replicas().map(Replicas::len), Some(0));
    let mut without = Mesh::new(1);
    let agent = without.settle_in(0, "sitter", "ada");
    let doc = DocName::of_agent(agent.agent);
    assert_eq!(without.doc(0, &doc), Err(DocumentError::NotKept));
    assert_eq!(without.counted(0, Counter::DocumentsNotWritten), 0);
}

#[test]
fn descriptors_outlive_their_host_and_its_daemon() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada");
    mesh.describe_as(agent, r#"{"room":"attic"}"#);
    mesh.cut(0, 1);
    assert_eq!(mesh.fields(1, agent), r#"{"room":"attic"}"#);
    mesh.kill(1, 2);
    assert_eq!(mesh.fields(1, agent), r#"{"room":"attic"}"#);
    mesh.kill(0, 2);
    // It is one of those that live on, and goes on describing itself.
    mesh.describe_as(agent, r#"{"room":"garden"}"#);
    for host in 0..2 {
        assert_eq!(mesh.fields(host, agent), r#"{"room":"garden"}"#, "host {host}");
    }
}

#[test]
fn an_agent_whose_descriptor_was_lost_in_a_crash_gets_it_again() {
    let mut mesh = Mesh::with_documents(1);
    mesh.shelves[0].as_mut().expect("a shelf").stalled = true;
    let agent = mesh.settle_in(0, "sitter", "ada");
    mesh.kill(0, 2);
    let doc = DocName::of_agent(agent.agent);
    assert!(mesh.doc(0, &doc).is_ok_and(|value| value.contains("ada")));
}

#[test]
fn who_waits_for_replicas_is_told_how_many_have_it() {
    let mut mesh = Mesh::with_documents(3);
    let agent = mesh.settle_in(0, "sitter", "ada");
    let body = |replicas: u32| serde_json::json!([r#"{"x":1}"#, replicas]).to_string();
    mesh.make(agent, "sitter/say-on", &body(3));
    assert_eq!(mesh.sitter_log(agent), ["Ok(Ok(3))"]);
    mesh.cut(0, 2);
    mesh.make(agent, "sitter/say-on", &serde_json::json!([r#"{"x":2}"#, 3]).to_string());
    assert_eq!(mesh.sitter_log(agent).len(), 1);
    mesh.advance(Duration::from_secs(6));
    assert_eq!(mesh.sitter_log(agent)[1], "Ok(Ok(2))");
    // The same for those outside.
    let doc = name("conf/echo");
    let ticket = mesh.set_on(0, &doc, "limit", 5, 2);
    assert_eq!(mesh.answers[&ticket], Ok("2".into()));
    mesh.shelves[0].as_mut().expect("a shelf").stalled = true;
    let ticket = mesh.set_on(0, &doc, "limit", 6, 1);
    assert!(!mesh.answers.contains_key(&ticket), "it is not durable");
    mesh.shelve(0);
    mesh.settle();
    assert_eq!(mesh.answers[&ticket], Ok("1".into()));
    assert_eq!(mesh.doc(1, &doc), Ok(r#"{"limit":6}"#.into()));
}

#[test]
fn an_agent_that_watches_is_told_of_each_change() {
    let mut mesh = Mesh::with_documents(2);
    let watcher = mesh.settle_in(1, "sitter", "bob");
    mesh.set_on(0, &name("conf/echo"), "limit", 5, 1);
    mesh.make(watcher, "sitter/look", r#""conf/""#);
    mesh.set_on(0, &name("conf/echo"), "limit", 6, 1);
    mesh.set_on(0, &name("other"), "limit", 7, 1);
    let now = mesh.now();
    assert_eq!(mesh.engines[0].delete_document(&name("conf/echo"), now), Ok(true));
    mesh.settle();
    let mut log = mesh.sitter_log(watcher);
    log.retain(|line| line != "Ok(Ok(()))");
    let expected = [r#"conf/echo {"limit":5}"#, r#"conf/echo {"limit":6}"#, "conf/echo gone"];
    assert_eq!(log, expected);
    // Who has ended is told nothing, and whoever has its place is not either.
    mesh.send_away(watcher);
    let other = mesh.settle_in(1, "sitter", "carl");
    mesh.set_on(0, &name("conf/echo"), "limit", 8, 1);
    assert_eq!(mesh.sitter_log(other), [""; 0]);
}

#[test]
fn documents_are_found_by_their_names_and_by_what_they_say() {
    let mut mesh = Mesh::with_documents(2);
    let agents = ["ada", "bob", "carl"].map(|name| mesh.settle_in(0, "sitter", name));
    for (agent, room) in agents.iter().zip(["attic", "cellar", "attic"]) {
        mesh.describe_as(*agent, &format!(r#"{{"room":"{room}"}}"#));
    }
    mesh.set_on(1, &name("conf/echo"), "limit", 5, 1);
    let mut find = FindDocuments { prefix: "agent/".into(), limit: 10, ..Default::default() };
    let found = |mesh: &mut Mesh, find: &FindDocuments| {
        let now = mesh.now();
        let page = mesh.engines[1].find_documents(find, now)?;
        let mut names: Vec<_> = page.items.iter().map(|view| view.name.clone()).collect();
        names.sort();
        Ok::<_, DocumentError>((names, page.next))
    };
    let all: BTreeSet<_> =
        agents.iter().map(|agent| DocName::of_agent(agent.agent).to_string()).collect();
    assert_eq!(found(&mut mesh, &find), Ok((all.iter().cloned().collect(), None)));
    find.fields = vec![("fields.room".into(), r#""attic""#.into())];
    let attic = [agents[0], agents[2]].map(|agent| DocName::of_agent(agent.agent).to_string());
    let attic: BTreeSet<_> = attic.into_iter().collect();
    assert_eq!(found(&mut mesh, &find), Ok((attic.iter().cloned().collect(), None)));
    // Page by page.
    find = FindDocuments { limit: 2, ..FindDocuments::default() };
    let mut seen = Vec::new();
    loop {
        let (names, next) = found(&mut mesh, &find).expect("it is well formed");
        assert!(names.len() <= 2);
        seen.extend(names);
        find.after = next;
        if find.after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>().len(), 4);
    for (path, value) in [("a..b", "1"), ("a", "{")] {
        let fields = vec![(path.to_owned(), value.to_owned())];
        let find = FindDocuments { fields, ..FindDocuments::default() };
        let found = found(&mut mesh, &find);
        assert!(matches!(found, Err(DocumentError::Refused(_))), "{path} {value}: {found:?}");
    }
}

#[test]
fn only_its_agent_and_its_host_change_a_descriptor() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada");
    let doc = DocName::of_agent(agent.agent);
    let writing = || Writing {
        message: String::new(),
        ticket: Ticket(900),
        replicas: 1,
        patience: Duration::from_secs(5),
    };
    let now = mesh.now();
    let change = |doc: &mut automerge::AutoCommit| set(doc, &path("name"), &"eve".into()).map(drop);
    let written = mesh.engines[1].write_document(&doc, writing(), now, change);
    assert_eq!(written, Err(DocumentError::NotOwner));
    assert_eq!(mesh.engines[1].delete_document(&doc, now), Err(DocumentError::NotOwner));
    // Nor does anybody else there: what an agent is given away with must be its own.
    let written = mesh.engines[0].write_document(&doc, writing(), now, change);
    assert_eq!(written, Err(DocumentError::Described));
    assert_eq!(mesh.engines[0].delete_document(&doc, now), Err(DocumentError::Described));
    let refused = mesh.engines[1].write_document(&name("conf"), writing(), now, |_| Err("no"));
    assert_eq!(refused, Err(DocumentError::Refused("no".into())));
    mesh.advance(Duration::from_secs(6));
    assert!(!mesh.answers.contains_key(&Ticket(900)));
}

/// What one host would say that took the agent up for dead, with a change of its own.
fn usurped(mesh: &mut Mesh, agent: Address, heir: usize) -> Vec<u8> {
    let id = mesh.mesh_id();
    let doc = DocName::of_agent(agent.agent);
    let replicas = mesh.engines[heir].replicas().expect("it keeps documents");
    let whole = replicas.whole(&doc).expect("it has the descriptor");
    let kept = replicas.kept(&doc).expect("it has the descriptor");
    let title = whole.title.clone().expect("descriptors have titles");
    let owner = title.unchecked().expect("it is one");
    let obituary = Obituary { host: agent.host, incarnation: Incarnation(1) };
    let right = Right::Inheritance {
        before: owner.tenures[0],
        witnesses: vec![Signed::new(&key(2), id, &obituary)],
    };
    let title: Title = title.taken_up(&owner, &key(heir), id, right, |_| true).expect("it is good");
    let mut own = Replicas::new(id);
    let _ = own.restore(&kept).expect("it is a revision");
    let mut heirs = Replication::new(key(heir).host(), own);
    let author = Author { actor: [77; 16], wall: WALL, message: String::new() };
    let heirs_key = key(heir);
    let pen = Pen { key: &heirs_key, author };
    let _ = heirs.entitle(&title, |_| true, &pen).expect("it is good");
    let change = |doc: &mut automerge::AutoCommit| set(doc, &path("instance"), &1.into()).map(drop);
    let _ = heirs.write(&doc, &pen, None, change).expect("it may").expect("it is another value");
    let whole = heirs.replicas().whole(&doc).expect("it is there");
    Parcel::encode(&Message::Revisions(vec![whole]))
}

#[test]
fn an_agent_that_lives_on_elsewhere_dies_here_and_says_what_is_lost() {
    let mut mesh = Mesh::with_documents(3);
    let agent = mesh.settle_in(0, "sitter", "ada");
    mesh.describe_as(agent, r#"{"room":"attic"}"#);
    mesh.cut(0, 1);
    mesh.cut(0, 2);
    let bytes = usurped(&mut mesh, agent, 1);
    mesh.describe_as(agent, r#"{"room":"cellar"}"#);
    mesh.connect(0, 1);
    mesh.settle();
    mesh.events.clear();
    let heir = mesh.host(1);
    mesh.engines[0].documents_heard(heir, &bytes);
    let now = mesh.now();
    mesh.engines[0].handle(Input::Tick, now);
    mesh.settle();
    let died = mesh.events.iter().find_map(|(host, event)| match event {
        Event::AgentDied { agent, why, .. } => Some((*host, *agent, why.clone())),
        _ => None,
    });
    let why = "it lives on host-1 now, which does not have its last changes: \
               fields.room: \"attic\" -> \"cellar\"; its last state here: {\"log\":[]}";
    assert_eq!(died, Some((0, agent.agent, why.to_owned())));
    assert_eq!(mesh.fields(0, agent), r#"{"room":"attic"}"#);
    // Its descriptor goes on without it.
    let owner =
        mesh.engines[0].replicas().and_then(|all| all.owner(&DocName::of_agent(agent.agent)));
    assert_eq!(owner.map(|owner| (owner.host, owner.instance)), Some((heir, 1)));
}

#[test]
fn nothing_is_said_to_be_lost_of_what_was_deleted_knowingly() {
    let mut mesh = Mesh::with_documents(2);
    let doc = name("conf");
    let writing = Writing {
        message: String::new(),
        ticket: Ticket(900),
        replicas: 1,
        patience: Duration::from_secs(5),
    };
    let now = mesh.now();
    let change = |doc: &mut automerge::AutoCommit| set(doc, &path("a"), &1.into()).map(drop);
    assert!(mesh.engines[0].write_document(&doc, writing, now, change).is_ok());
    mesh.settle();
    assert!(mesh.engines[1].replicas().is_some_and(|all| !all.heads(&doc).is_empty()));
    assert_eq!(mesh.engines[0].delete_document(&doc, now), Ok(true));
    mesh.settle();
    assert!(mesh.engines[1].replicas().is_some_and(|all| all.heads(&doc).is_empty()));
    let dropped = |event: &Event| matches!(event, Event::DocumentDropped { .. });
    assert!(!mesh.events.iter().any(|(_, event)| dropped(event)), "{:?}", mesh.events);
}

#[test]
fn what_a_stranger_vouches_for_is_refused_and_told_of() {
    let mut mesh = Mesh::with_documents(2);
    let mut own = Replication::new(key(9).host(), Replicas::new(mesh.mesh_id()));
    let author = Author { actor: [77; 16], wall: WALL, message: String::new() };
    let strangers = key(9);
    let pen = Pen { key: &strangers, author };
    let change = |doc: &mut automerge::AutoCommit| set(doc, &path("x"), &1.into()).map(drop);
    let _ = own.write(&name("conf"), &pen, None, change).expect("it may");
    let whole = own.replicas().whole(&name("conf")).expect("it is there");
    let peer = mesh.host(1);
    mesh.engines[0].documents_heard(peer, &Parcel::encode(&Message::Revisions(vec![whole])));
    mesh.engines[0].documents_heard(peer, b"rubbish");
    let now = mesh.now();
    mesh.engines[0].handle(Input::Tick, now);
    mesh.settle();
    let why = replica::Refused::Unvouched.to_string();
    let refused = Event::DocumentRefused { host: peer, name: "conf".into(), why };
    assert!(mesh.events.contains(&(0, refused)), "{:?}", mesh.events);
    assert_eq!(mesh.counted(0, Counter::DocumentsRefused), 2);
    assert_eq!(mesh.doc(0, &name("conf")), Err(DocumentError::Unknown));
}

#[test]
fn a_page_is_empty_where_there_is_nothing() {
    let mut mesh = Mesh::with_documents(1);
    let now = mesh.now();
    let page = mesh.engines[0].find_documents(&FindDocuments::default(), now);
    assert_eq!(page, Ok(DocumentPage::default()));
}
