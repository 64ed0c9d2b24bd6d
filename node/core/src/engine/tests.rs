//! Whole engines, joined by pipes in memory under a clock of the test's own.

mod bad_bids;
mod bad_claims;
mod bad_orders;
mod contracts;
mod dialogs;
mod discovery;
mod disk;
mod documents;
mod journal;
mod kept;
mod lanes;
mod leavers;
mod local;
mod moves;
mod negotiations;
mod partners;
mod reach;
mod replays;
mod rosters;
mod searches;
mod solver;
mod till;
mod topics;
mod trader;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    admission::Ledger,
    exchange::Failure,
    ident::{Address, AgentId, Credential, Genesis, HostId, Incarnation, SecretKey, Signed},
    journal::{Batch, Page},
    roster::HostRecord,
    time::{Time, WallTime},
};

use disk::Disk;

use super::{
    Config, Counter, Engine, Event, GossipId, Input, Kinds, Known, LinkChange, Now, Output, Start,
    Storage, Ticket,
};
use crate::agent::{Init, prelude::*};

const WALL: WallTime = WallTime::from_millis(1_700_000_000_000);
/// All memberships end two hours after the tests begin.
const MEMBER_UNTIL: WallTime = WallTime::from_millis(1_700_000_000_000 + 7_200_000);

/// An agent that remembers what happened to it, and does as it is told.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Probe {
    pub(super) log: Vec<String>,
    open: Vec<ReplyTo<Put>>,
}

/// Asks a probe: `wait` puts the answer off, `die` kills it, `no` is refused.
#[derive(Serialize, Deserialize)]
pub(super) struct Put(pub(super) String);
impl Request for Put {
    const NAME: &'static str = "probe/put";
    type Reply = String;
}

/// Tells a probe to ask another.
#[derive(Serialize, Deserialize)]
pub(super) struct AskFor(pub(super) Address, pub(super) String);
impl Notification for AskFor {
    const NAME: &'static str = "probe/ask-for";
}

/// Tells a probe to publish.
#[derive(Serialize, Deserialize)]
pub(super) struct Shout(pub(super) u64, pub(super) u64);
impl Notification for Shout {
    const NAME: &'static str = "probe/shout";
}

/// What probes listen to.
#[derive(Serialize, Deserialize)]
pub(super) struct Word(pub(super) u64);
impl Notification for Word {
    const NAME: &'static str = "probe/word";
}

/// A word that may be lost.
#[derive(Serialize, Deserialize)]
pub(super) struct Whisper(pub(super) u64);
impl Notification for Whisper {
    const NAME: &'static str = "probe/whisper";
    const DELIVERY: Delivery = Delivery::Hint;
}

/// Tells a probe to whisper.
#[derive(Serialize, Deserialize)]
pub(super) struct Hush(pub(super) u64, pub(super) u64);
impl Notification for Hush {
    const NAME: &'static str = "probe/hush";
}

#[derive(Serialize, Deserialize)]
pub(super) enum Then {
    Answered(Await<Put>),
    Soon,
}

impl Agent for Probe {
    const KIND: &'static str = "probe";
    const MAILBOX: u32 = 2048;
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Put>();
        interests.collects::<AskFor>();
        interests.collects::<Shout>();
        interests.listens::<Word>(Scope::Mesh);
        interests.collects::<Hush>();
        interests.listens::<Whisper>(Scope::Mesh);
    }
    fn stopping(&mut self, _: &mut Cx<'_, Self>) {
        self.log.push("stopping".into());
    }
}

impl Answers<Put> for Probe {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Put(text): Put) -> Answer<Put> {
        self.log.push(format!("put {text}"));
        match text.as_str() {
            "die" => panic!("as it was told"),
            "no" => Answer::refuse("not today"),
            "release and die" => {
                for open in std::mem::take(&mut self.open) {
                    cx.reply(open, &"not any more".to_owned());
                }
                panic!("as it was told");
            }
            "wait" => {
                let (answer, reply_to) = Answer::later(cx);
                self.open.push(reply_to);
                answer
            }
            "draw" => Answer::now(cx.entropy().u64().to_string()),
            "soon" => {
                cx.after(Duration::ZERO, Then::Soon);
                Answer::now("soon".into())
            }
            "release" => {
                for open in std::mem::take(&mut self.open) {
                    cx.reply(open, &"at last".to_owned());
                }
                Answer::now("released".into())
            }
            _ => Answer::now(format!("got {text}")),
        }
    }
}

impl Collects<AskFor> for Probe {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, AskFor(whom, text): AskFor) {
        cx.request(whom, &Put(text), Then::Answered);
    }
}

impl Collects<Shout> for Probe {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Shout(from, until): Shout) {
        (from..until).for_each(|word| cx.publish(&Topic::all(), &Word(word)));
    }
}

impl Collects<Word> for Probe {
    fn collect(&mut self, _: &mut Cx<'_, Self>, Word(word): Word) {
        self.log.push(format!("word {word}"));
    }
    fn missed(&mut self, _: &mut Cx<'_, Self>, _: &Topic<Word>, count: u64) {
        self.log.push(format!("missed {count}"));
    }
}

impl Collects<Hush> for Probe {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Hush(from, until): Hush) {
        (from..until).for_each(|word| cx.publish(&Topic::all(), &Whisper(word)));
    }
}

impl Collects<Whisper> for Probe {
    fn collect(&mut self, _: &mut Cx<'_, Self>, Whisper(word): Whisper) {
        self.log.push(format!("whisper {word}"));
    }
    fn missed(&mut self, _: &mut Cx<'_, Self>, _: &Topic<Whisper>, count: u64) {
        self.log.push(format!("missed {count}"));
    }
}

impl Continuation<Probe> for Then {
    fn resume(self, probe: &mut Probe, cx: &mut Cx<'_, Probe>) {
        let line = match self {
            Self::Answered(slot) => cx.take(slot).unwrap_or_else(|why| format!("{why:?}")),
            Self::Soon => "soon".to_owned(),
        };
        probe.log.push(line);
    }
}

pub(super) fn kinds() -> Kinds {
    let kinds = Kinds::new()
        .kind::<Probe>()
        .kind::<till::Till>()
        .kind::<journal::Purse>()
        .kind::<kept::Slippery>()
        .kind::<trader::Trader>()
        .kind::<trader::Mumbler>()
        .kind::<discovery::Porter>()
        .kind::<solver::Fixer<false>>()
        .kind::<solver::Fixer<true>>()
        .kind::<documents::Sitter>()
        .kind::<documents::Nobody>();
    crate::society::with_residents(partners::kinds(kinds))
}

/// Some engines of one mesh, and the pipes between them.
pub(super) struct Mesh {
    pub(super) engines: Vec<Engine>,
    genesis: Genesis,
    now: Time,
    lanes: BTreeSet<(usize, usize)>,
    /// Bytes under way are held back where the test says so.
    pub(super) held: BTreeSet<(usize, usize)>,
    pub(super) answers: BTreeMap<Ticket, Result<String, Failure>>,
    pub(super) heard: Vec<String>,
    pub(super) events: Vec<(usize, Event)>,
    tickets: u64,
    /// Every so many gossip messages is lost; none when zero.
    pub(super) gossip_loss: u64,
    gossiped: u64,
    pub(super) disconnected: Vec<(usize, HostId)>,
    /// Who was dialled by whom.
    pub(super) dialled: Vec<(usize, HostId)>,
    /// What each host has stored; `None` where nothing is recorded.
    disks: Vec<Option<Disk>>,
    /// Where each host keeps its documents; `None` where there are none.
    shelves: Vec<Option<documents::Shelf>>,
    /// Hosts that each host knows and that are never there.
    phantoms: Vec<Range<u8>>,
    /// Hosts with other kinds than [`kinds`].
    kinds: BTreeMap<usize, Kinds>,
    /// Bytes that went over lanes.
    pub(super) carried: usize,
}

pub(super) fn key(host: usize) -> SecretKey {
    SecretKey::from_bytes(&[u8::try_from(host).expect("few hosts") + 1; 32])
}

impl Mesh {
    pub(super) fn new(hosts: usize) -> Self {
        Self::with_phantoms(hosts, 0)
    }

    /// A mesh whose hosts record.
    pub(super) fn recorded(hosts: usize) -> Self {
        Self::apart(vec![0..0; hosts], true).joined()
    }

    /// A mesh that knows of many more hosts than are there.
    pub(super) fn with_phantoms(hosts: usize, phantoms: u8) -> Self {
        Self::apart(vec![0..phantoms; hosts], false).joined()
    }

    fn joined(mut self) -> Self {
        for a in 0..self.engines.len() {
            (0..a).for_each(|b| self.connect(a, b));
        }
        self.settle();
        self
    }

    /// Hosts without lanes, each of which knows some that are not there.
    pub(super) fn apart(phantoms: Vec<Range<u8>>, recorded: bool) -> Self {
        let genesis = Genesis {
            version: 1,
            name: "test".into(),
            founder: key(0).host(),
            created: WALL,
            nonce: [0; 16],
        };
        let mut mesh = Self {
            engines: Vec::new(),
            genesis,
            now: Time::ZERO,
            lanes: BTreeSet::new(),
            held: BTreeSet::new(),
            answers: BTreeMap::new(),
            heard: Vec::new(),
            events: Vec::new(),
            tickets: 0,
            gossip_loss: 0,
            gossiped: 0,
            disconnected: Vec::new(),
            dialled: Vec::new(),
            disks: phantoms.iter().map(|_| recorded.then(Disk::default)).collect(),
            shelves: phantoms.iter().map(|_| None).collect(),
            phantoms,
            kinds: BTreeMap::new(),
            carried: 0,
        };
        for host in 0..mesh.phantoms.len() {
            let engine = mesh.engine(host, 1);
            mesh.engines.push(engine);
        }
        mesh
    }

    pub(super) fn now(&self) -> Now {
        let since = Duration::from_nanos(self.now.as_nanos());
        Now { time: self.now, wall: WALL + since }
    }

    fn engine(&self, host: usize, life: u64) -> Engine {
        Engine::new(self.config(host, life), self.now())
    }

    pub(super) fn config(&self, host: usize, life: u64) -> Config {
        let phantoms = self.phantoms[host].clone().map(|number| self.phantom(number));
        let known = Known::Records(phantoms.collect());
        let probe = Start { kind: "probe".into(), name: Some("probe".into()), init: Init::Default };
        Config {
            key: key(host),
            credential: self.credential(&key(host)),
            name: format!("host-{host}"),
            incarnation: Incarnation(life),
            software: "test".into(),
            seed: [u8::try_from(host).expect("few hosts"); 32],
            kinds: self.kinds.get(&host).cloned().unwrap_or_else(kinds),
            residents: [crate::society::residents(), vec![(AgentId(1031), probe)]].concat(),
            known,
            ledger: Ledger::default(),
            recording: self.disks[host].as_ref().map(Disk::recording),
            replicas: self.shelves[host].as_ref().map(|shelf| shelf.replicas(&self.genesis)),
        }
    }

    fn credential(&self, of: &SecretKey) -> Credential {
        let founder = Credential::of_founder(&key(0), self.genesis.clone(), WALL);
        if of.host() == key(0).host() {
            return founder;
        }
        founder.admit(&key(0), of.host(), false, WALL).expect("a short chain")
    }

    fn phantom(&self, number: u8) -> Signed<HostRecord> {
        let own = SecretKey::from_bytes(&[100 + number; 32]);
        self.first_record(&own, format!("phantom-{number}"), Vec::new())
    }

    /// The record that a host publishes first in its first life.
    pub(super) fn first_record(
        &self,
        own: &SecretKey,
        name: String,
        addresses: Vec<String>,
    ) -> Signed<HostRecord> {
        let record = HostRecord {
            host: own.host(),
            name,
            incarnation: Incarnation(1),
            sequence: 1,
            addresses,
            software: "test".into(),
            credential: self.credential(own),
            left: false,
        };
        Signed::new(own, self.genesis.mesh(), &record)
    }

    fn gossip(&mut self, here: usize, bytes: &[u8]) {
        self.gossiped += 1;
        if self.gossip_loss > 0 && self.gossiped.is_multiple_of(self.gossip_loss) {
            return;
        }
        let (origin, now) = (self.host(here), self.now());
        for there in (0..self.engines.len()).filter(|there| *there != here) {
            let id = GossipId(self.gossiped);
            self.engines[there].handle(Input::Gossip { id, origin, bytes }, now);
        }
    }

    pub(super) fn probe(&self, host: usize) -> Address {
        Address { host: self.engines[host].host(), agent: AgentId(1031) }
    }

    pub(super) fn host(&self, host: usize) -> HostId {
        self.engines[host].host()
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            let (host, now) = (self.host(there), self.now());
            let change = LinkChange::Up { until: MEMBER_UNTIL };
            self.engines[here].handle(Input::Link { host, change }, now);
            self.engines[here].handle(Input::LaneUp { host }, now);
            self.lanes.insert((here, there));
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            self.lanes.remove(&(here, there));
            let (host, now) = (self.host(there), self.now());
            self.engines[here].handle(Input::LaneDown { host, why: "cut".into() }, now);
            let change = LinkChange::Down { why: "cut".into() };
            self.engines[here].handle(Input::Link { host, change }, now);
        }
    }

    pub(super) fn restart(&mut self, host: usize, life: u64) {
        for other in (0..self.engines.len()).filter(|other| *other != host) {
            self.cut(host, other);
        }
        self.engines[host] = self.engine(host, life);
        for other in (0..self.engines.len()).filter(|other| *other != host) {
            self.connect(host, other);
        }
    }

    /// Lets everything happen that happens without time passing.
    pub(super) fn settle(&mut self) {
        while (0..self.engines.len()).any(|host| self.turn(host)) {}
    }

    fn turn(&mut self, host: usize) -> bool {
        let mut busy = false;
        while let Some(output) = self.engines[host].poll() {
            busy = true;
            self.output(host, output);
        }
        busy
    }

    fn output(&mut self, here: usize, output: Output) {
        match output {
            Output::Transmit { host } => self.transmit(here, host),
            Output::Answered { ticket, outcome, .. } => {
                let outcome = outcome.map(|body| String::from_utf8(body).expect("JSON is text"));
                self.answers.insert(ticket, outcome);
            }
            Output::Heard { body, .. } => self.heard.push(body.expect("known here").to_string()),
            Output::Missed { count, .. } => self.heard.push(format!("missed {count}")),
            Output::Event(event) => self.events.push((here, event)),
            Output::Gossip { bytes, .. } => self.gossip(here, &bytes),
            Output::Dial { host, .. } => self.dialled.push((here, host)),
            Output::Disconnect { host, .. } => self.disconnected.push((here, host)),
            Output::Record(batch) => self.record(here, batch),
            Output::Store(batch) => self.keep(here, batch),
            Output::Replicated { ticket, replicas } => {
                self.answers.insert(ticket, Ok(replicas.to_string()));
            }
            _ => {}
        }
    }

    fn transmit(&mut self, here: usize, host: HostId) {
        let there = self.engines.iter().position(|engine| engine.host() == host);
        let there = there.expect("lanes lead to engines of the test");
        if !self.lanes.contains(&(here, there)) || self.held.contains(&(here, there)) {
            return;
        }
        loop {
            let mut bytes = Vec::new();
            let now = self.now();
            self.engines[here].transmit(host, &mut bytes, now);
            if bytes.is_empty() {
                break;
            }
            self.carried += bytes.len();
            let from = self.host(here);
            // In two parts, so that frames are cut anywhere.
            let (one, two) = bytes.split_at(bytes.len() / 2);
            self.engines[there].handle(Input::LaneBytes { host: from, bytes: one }, now);
            self.engines[there].handle(Input::LaneBytes { host: from, bytes: two }, now);
        }
    }

    fn record(&mut self, here: usize, batch: Batch) {
        let disk = self.disks[here].as_mut().expect("only hosts with a disk record");
        disk.waiting.push(batch);
        if !disk.stalled {
            self.write(here);
        }
    }

    /// Makes durable what waits to be.
    pub(super) fn write(&mut self, here: usize) {
        let disk = self.disks[here].as_mut().expect("the host has a disk");
        disk.stalled = false;
        let Some(upto) = disk.write() else { return };
        let now = self.now();
        self.engines[here].handle(Input::Durable { upto }, now);
    }

    /// A crash: what was not durable is lost.
    pub(super) fn crash(&mut self, host: usize, life: u64) {
        if let Some(disk) = &mut self.disks[host] {
            disk.waiting.clear();
            disk.stalled = false;
        }
        self.restart(host, life);
        self.settle();
    }

    /// Lets what was held back go.
    pub(super) fn release(&mut self) {
        for (here, there) in std::mem::take(&mut self.held) {
            let host = self.host(there);
            self.transmit(here, host);
        }
        self.settle();
    }

    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        loop {
            let next = self.engines.iter().filter_map(Engine::next_deadline).map(|(at, _)| at);
            let Some(next) = next.min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            let now = self.now();
            self.engines.iter_mut().for_each(|engine| engine.handle(Input::Tick, now));
            self.settle();
        }
        self.now = until;
    }

    /// Asks from outside, at host `here`.
    pub(super) fn ask(&mut self, here: usize, to: Address, name: &str, body: &str) -> Ticket {
        self.tickets += 1;
        let (ticket, now) = (Ticket(self.tickets), self.now());
        let budget = Duration::from_secs(10);
        self.engines[here].ask(ticket, to, name, body.as_bytes().to_vec(), budget, now);
        self.settle();
        ticket
    }

    pub(super) fn put(&mut self, here: usize, to: Address, text: &str) -> Ticket {
        self.ask(here, to, "probe/put", &format!("{text:?}"))
    }

    /// What a probe has seen.
    pub(super) fn log(&mut self, host: usize) -> Vec<String> {
        let to = Address { host: self.host(host), agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, AgentId(1031));
        let ticket = self.ask(host, to, "host/inspect", &body);
        let reply = self.answers[&ticket].as_ref().expect("the host agent answers");
        let detail: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let state = detail["state"].as_str().expect("a state");
        let state: serde_json::Value = serde_json::from_str(state).expect("JSON");
        serde_json::from_value(state["log"].clone()).expect("a log")
    }
}
