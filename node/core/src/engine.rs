//! The conductor of one host: routes inputs to protocol machines and agents.
//!
//! The engine never awaits, locks, reads a clock or names a built-in agent. It is driven like
//! every machine: one call of [`handle`](Engine::handle) or of another verb, then
//! [`poll`](Engine::poll) until there is nothing left, then the next mutation; `now` never goes
//! back, and [`next_deadline`](Engine::next_deadline) says when it wants to be called at the
//! latest. Lanes are pulled: after [`Output::Transmit`], and whenever a lane can take bytes,
//! [`transmit`](Engine::transmit) gives what is to be written.
//!
//! Local and remote messages take the same path with the same bytes; a local one skips the
//! network only. Messages to the agents of this host stand in one queue in the order of their
//! arrival; each agent counts its own and refuses beyond its limit.

mod admit;
mod agents;
mod calls;
mod configs;
mod counters;
mod documents;
mod double;
mod event;
mod io;
mod journal;
mod lanes;
mod leavers;
mod letters;
mod mail;
mod mesh;
mod outside;
mod reach;
mod recover;
mod run;
mod service;
mod services;
mod topics;

#[cfg(test)]
mod tests;

pub use agents::Start;
pub use counters::{Counter, Counters};
pub use documents::{
    CanGive, Describe, DescribeOn, DocumentChanged, DocumentError, DocumentPage, DocumentView,
    FindDocuments, GiveAgent, MOVING, MoveError, Remedy, TakeUpAgent, TookUp, WatchDocuments,
    Writing,
};
pub use double::Superseded;
pub use event::Event;
pub use io::{GossipId, Input, LinkChange, Now, Output, Save, Ticket, Verdict};
pub use journal::{Recording, Storage};
pub use mesh::{HostState, HostView};
pub use outside::Published;
pub use service::{
    AgentDetail, AgentSummary, DocumentHeads, DocumentMisfit, Inspect, ListAgents, ListKinds,
    ListTypes, Listed, StartAgent, StartError, StopAgent,
};
pub use services::{FindProviders, HostsAbout, ListHosts, Provider, Providers};

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use starling_protocols::{
    admission::Ledger,
    entropy::Entropy,
    ident::{AgentId, Credential, HostId, Incarnation, SecretKey, Signed},
    interest::{Incoming, Listeners, Outgoing, TopicName},
    link::Links,
    reconcile::{self, Reconciler},
    replica::{DocName, Replicas},
    roster::{HostRecord, Roster},
    time::{Deadlines, Time, WallTime},
};

use crate::{
    agent::{Agent, AnyKind, BodyOf, Effect, Kind},
    documents::Document,
    guard::guarded,
};

/// Outputs for which there is room when there are none. A process may run many engines, most of
/// them idle.
const OUTPUTS_KEPT_MAX: usize = 64;

/// The kinds of agents that a host can run.
#[derive(Clone, Default)]
pub struct Kinds {
    all: BTreeMap<&'static str, Arc<dyn AnyKind>>,
    initial: BTreeMap<DocName, documents::Initial>,
}

impl Kinds {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the kind of `A`.
    ///
    /// # Panics
    /// When there is another kind of that name, or `A` declares an interest twice.
    #[must_use]
    pub fn kind<A: Agent>(mut self) -> Self {
        let before = self.all.insert(A::KIND, Arc::new(Kind::<A>::new()));
        assert!(before.is_none(), "two kinds are named {:?}", A::KIND);
        self
    }

    /// Adds a document that the application begins with: it is made once in a mesh, when there is
    /// none and never was one. What people have made of it stays, also when the application begins
    /// with something else later; and one that was deleted is not made again. Hosts that make it
    /// at the same time make the same.
    ///
    /// # Panics
    /// When `name` is no name of a document, is given twice, or `value` cannot be written.
    #[must_use]
    pub fn document<D: Document>(mut self, name: &str, value: &D) -> Self {
        let name: DocName = name.parse().expect("the name of a document");
        assert!(name.agent().is_none(), "nobody begins with the descriptor of an agent");
        let before = self.initial.insert(name, documents::Initial::new(value));
        assert!(before.is_none(), "a document is given twice");
        self
    }

    /// Whether there is a kind of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Shows a body to people: as `kind` knows it, or else any other.
    #[must_use]
    pub fn show(
        &self,
        kind: &str,
        of: BodyOf,
        name: &str,
        body: &[u8],
    ) -> Option<serde_json::Value> {
        let show = |kind: &Arc<dyn AnyKind>| guarded(|| kind.show(of, name, body)).ok().flatten();
        self.find(kind).and_then(show).or_else(|| self.all.values().find_map(show))
    }

    /// Shows the state in a snapshot of an agent of this kind.
    #[must_use]
    pub fn show_snapshot(&self, kind: &str, ball: &[u8]) -> Option<serde_json::Value> {
        let kind = self.find(kind)?;
        guarded(|| Some(kind.state(&kind.load(ball).ok()?))).ok().flatten()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<dyn AnyKind>> {
        self.all.get(name)
    }
}

/// What an engine knows of the mesh from the beginning.
pub enum Known {
    /// Records from disk or from another host. Each is checked; bad ones are counted.
    Records(Vec<Signed<HostRecord>>),
    /// What has been checked already. The engine shares it with whoever else holds it, and tells
    /// no [`Event`] of each host. When it has the host's own record of this life, that stands as
    /// it is, and the name and software in [`Config`] are not used.
    Checked(Roster),
}

/// What an engine is made of.
pub struct Config {
    /// The host's key.
    pub key: SecretKey,
    /// The host's membership.
    pub credential: Credential,
    /// The host's name, for people.
    pub name: String,
    /// This life of the host.
    pub incarnation: Incarnation,
    /// The version of the software, for people.
    pub software: String,
    /// Decides all randomness of this life.
    pub seed: [u8; 32],
    /// The kinds of agents it can run.
    pub kinds: Kinds,
    /// Agents that run from the beginning, each with its reserved id.
    pub residents: Vec<(AgentId, Start)>,
    /// The hosts known from earlier lives.
    pub known: Known,
    /// Invites issued in earlier lives.
    pub ledger: Ledger,
    /// What is recorded, and what the journal holds; without it nothing is recorded, and durable
    /// letters last as long as the engine.
    pub recording: Option<Recording>,
    /// The documents from earlier lives. Without them the host keeps none, and its agents have no
    /// descriptors.
    pub replicas: Option<Replicas>,
}

/// The engine of one host.
pub struct Engine {
    key: SecretKey,
    me: HostId,
    credential: Credential,
    record: HostRecord,
    now: Time,
    wall: WallTime,
    entropy: Entropy,
    /// Makes the numbers of this life's dialogs differ from those of its earlier lives, so that a
    /// late reply to one of them is nobody's.
    dialog_mask: u64,
    /// The same for questions from outside, which agents of this host may answer in a later life.
    outside_mask: u64,
    agent_seed: Entropy,
    kinds: Vec<Arc<dyn AnyKind>>,
    kind_numbers: BTreeMap<&'static str, u16>,
    agents: agents::Agents,
    queue: VecDeque<mail::Parcel>,
    effects: Vec<Effect>,
    /// Waits begun since the last look at the deadlines: most are settled before it.
    fresh: Vec<(Time, agents::Waiter)>,
    due: Deadlines<Due>,
    calls: calls::Calls,
    asks: BTreeMap<Ticket, outside::Ask>,
    peers: lanes::Peers,
    listeners: Listeners<topics::Listener>,
    remote: Listeners<lanes::PeerNo>,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Topics whose latest messages did not fit into a peer's queue.
    tails: BTreeMap<lanes::PeerNo, BTreeSet<TopicName>>,
    /// Topics whose last number is to be told over gossip: when, and how often it has been.
    tail_rounds: BTreeMap<TopicName, (Time, u32)>,
    tails_at: BTreeSet<(Time, TopicName)>,
    /// What gossip brought lately, by origin and topic: a replay is nothing new.
    gossip_seen: BTreeMap<(HostId, TopicName), (Incarnation, topics::Window)>,
    buckets: BTreeMap<u8, usize>,
    services: services::Services,
    roster: Roster,
    reconciler: Reconciler,
    /// When the known hosts are saved, if they have changed.
    save_hosts_at: Option<Time>,
    links: Links,
    leavers: leavers::Leavers,
    absences: reach::Absences,
    doubles: double::Doubles,
    ledger: Ledger,
    counters: Counters,
    outputs: VecDeque<Output>,
    /// Peers that do not read what they must know.
    overflowed: BTreeSet<lanes::PeerNo>,
    journal: Option<journal::Journal>,
    documents: Option<documents::Documents>,
    configs: configs::Configs,
    letters: letters::Letters,
    /// Peers to which something is to be written.
    writable: BTreeSet<lanes::PeerNo>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// An agent's request, timer or task.
    Wait(agents::Waiter),
    /// A question from outside.
    Ask(Ticket),
    /// A peer has been out of reach for so long that what is queued for it is dropped.
    Abandon(lanes::PeerNo),
    /// A peer's items have been unacknowledged for a while.
    Ack(lanes::PeerNo),
    /// A linked host's membership may have ended.
    Membership(lanes::PeerNo),
    /// The known hosts have changed.
    SaveHosts,
    /// Letters to a host have waited for a while.
    Letters(lanes::PeerNo),
    /// Hosts that have left are dialled all the same.
    Leavers,
}

impl Engine {
    /// An engine whose clock stands at `now`.
    ///
    /// # Panics
    /// When a resident's kind is not among the kinds, or its state does not fit; when the known
    /// hosts are of another mesh.
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        let entropy = Entropy::from_seed(config.seed);
        let me = config.key.host();
        let record = first_record(&config, me);
        let Kinds { all, initial } = config.kinds;
        let kinds: Vec<_> = all.into_values().collect();
        let services = services::Services::new(&kinds);
        let mut engine = Self {
            me,
            record,
            now: now.time,
            wall: now.wall,
            dialog_mask: entropy.fork("dialogs").u64(),
            outside_mask: entropy.fork("outside").u64(),
            agent_seed: entropy.fork("agents"),
            links: Links::new(entropy.fork("links")),
            leavers: leavers::Leavers::new(me),
            absences: reach::Absences::new(now.time),
            doubles: double::Doubles::default(),
            entropy: entropy.fork("engine"),
            configs: configs::Configs::new(&kinds, &initial),
            kind_numbers: kinds.iter().map(|kind| kind.name()).zip(0..).collect(),
            kinds,
            agents: agents::Agents::default(),
            queue: VecDeque::new(),
            effects: Vec::new(),
            fresh: Vec::new(),
            due: Deadlines::default(),
            calls: calls::Calls::default(),
            asks: BTreeMap::new(),
            peers: lanes::Peers::new(config.incarnation),
            listeners: Listeners::default(),
            remote: Listeners::default(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            tails: BTreeMap::new(),
            tail_rounds: BTreeMap::new(),
            tails_at: BTreeSet::new(),
            gossip_seen: BTreeMap::new(),
            buckets: BTreeMap::new(),
            services,
            roster: Roster::new(config.credential.mesh()),
            reconciler: Reconciler::new(me, reconcile::Limits::ROSTER),
            save_hosts_at: None,
            ledger: config.ledger,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            overflowed: BTreeSet::new(),
            journal: None,
            documents: config.replicas.map(|replicas| documents::Documents::new(me, replicas)),
            letters: letters::Letters::default(),
            writable: BTreeSet::new(),
            key: config.key,
            credential: config.credential,
        };
        engine.begin_roster(config.known);
        engine.begin_configs(initial);
        if let Some(recording) = config.recording {
            engine.was_away(recording.found.moment.wall);
            engine.begin_recording(recording);
        }
        engine.start_residents(config.residents);
        engine.begin_descriptors();
        engine.finish();
        engine
    }

    /// Starts the agents that every host has, except those that are back already.
    fn start_residents(&mut self, residents: Vec<(AgentId, Start)>) {
        for (id, start) in residents {
            if self.agents.find(id).is_none() {
                self.start_as(id, start).expect("residents are of known kinds and states");
            }
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        self.begin(now);
        match input {
            Input::Tick => {}
            Input::Link { host, change } => self.link_changed(host, change),
            Input::LaneUp { host } => self.lane_up(host),
            Input::LaneBytes { host, bytes } => self.lane_bytes(host, bytes),
            Input::LaneDown { host, why } => self.lane_down(host, &why),
            Input::Gossip { id, origin, bytes } => self.gossiped(id, origin, bytes),
            Input::Listening { addresses } => self.listening(addresses),
            Input::Discovered { host, addresses } => self.discovered(host, addresses),
            Input::Redeem { ticket, joiner, token } => self.redeem(ticket, joiner, &token),
            Input::Durable { upto } => self.durable(upto),
            Input::Storage(storage) => self.storage(storage),
            Input::Stored { upto } => self.documents_stored(upto),
        }
        self.finish();
    }

    /// What the engine wants done, in order.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.outputs.capacity() > OUTPUTS_KEPT_MAX {
            self.outputs = VecDeque::new();
        }
        let peer = self.writable.pop_first()?;
        Some(Output::Transmit { host: self.peers[peer].host })
    }

    /// When [`handle`](Self::handle) must be called at the latest, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Time, &'static str)> {
        let backlog = (!self.queue.is_empty()).then_some((self.now, "messages wait"));
        let deadlines = [
            backlog,
            self.due.next().map(|at| (at, "a wait ends")),
            self.tails_at.first().map(|(at, _)| (*at, "a tail is told")),
            self.links.next_deadline().map(|at| (at, "a dial is due")),
            self.reconciler.next_deadline().map(|at| (at, "a roster is not answered")),
            self.incoming.next_deadline().map(|at| (at, "a gap is given up")),
            self.journal.as_ref().and_then(|journal| journal.flush_at).map(|at| (at, "records")),
            self.documents
                .as_ref()
                .and_then(documents::Documents::next_deadline)
                .map(|at| (at, "documents")),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Messages that wait for agents of this host. Above [`BACKLOG_MESSAGES_MAX`] the host takes
    /// nothing more from the network until they have been handled.
    ///
    /// [`BACKLOG_MESSAGES_MAX`]: starling_protocols::limits::BACKLOG_MESSAGES_MAX
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.queue.len()
    }

    /// Takes a renewed membership in the same mesh, with what its issuer knows of the hosts, and
    /// tells the others.
    pub fn renew(&mut self, credential: Credential, hosts: &[Signed<HostRecord>], now: Now) {
        self.begin(now);
        self.record.credential = credential.clone();
        self.credential = credential;
        self.announce_record();
        self.learn(hosts);
        self.finish();
    }

    /// What has been counted since the engine was made.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// This host.
    #[must_use]
    pub const fn host(&self) -> HostId {
        self.me
    }

    /// This host's key.
    #[must_use]
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// This host's membership.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Ends the agents in good order, and tells the mesh that this host leaves. Those that outlive
    /// their daemon are recorded whole and wait for its next life. The host then drains the
    /// outputs, makes durable what is to be durable, transmits what is queued, and drops the
    /// engine.
    pub fn leave(&mut self, now: Now) {
        self.go(false, now);
    }

    /// As [`leave`](Self::leave), but no agent waits for another life: the host goes to another
    /// mesh.
    pub fn leave_for_good(&mut self, now: Now) {
        self.go(true, now);
    }

    fn go(&mut self, for_good: bool, now: Now) {
        self.begin(now);
        self.stop_all(for_good);
        self.record_all();
        self.record.left = true;
        self.announce_record();
        self.save_hosts();
        self.finish();
    }

    fn begin(&mut self, now: Now) {
        self.now = self.now.max(now.time);
        self.wall = now.wall;
    }

    /// What every mutation ends with: deadlines that have passed, then a turn for the agents.
    fn finish(&mut self) {
        self.pass_deadlines();
        self.run();
        self.settle_fresh();
        self.settle_documents();
        self.give_up_overflowed();
        self.flush_journal();
    }

    fn pass_deadlines(&mut self) {
        while let Some(due) = self.due.pop(self.now) {
            match due {
                Due::Wait(waiter) => self.wait_is_due(waiter),
                Due::Ask(ticket) => self.ask_is_due(ticket),
                Due::Abandon(peer) => self.abandon(peer),
                Due::Ack(peer) => self.ack_is_due(peer),
                Due::Membership(peer) => self.watch_membership(peer),
                Due::SaveHosts => self.save_hosts(),
                Due::Letters(peer) => self.letters_are_due(peer),
                Due::Leavers => self.leavers_are_due(),
            }
        }
        self.reconcile_what_is_due();
        self.tell_tails();
        while let Some(host) = self.links.due(self.now) {
            self.dial(host);
        }
        while let Some((origin, topic, arrivals)) = self.incoming.give_up(self.now) {
            self.counters.add(Counter::GapsGivenUp, 1);
            self.deliver_arrivals(origin, &topic, arrivals, None);
        }
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn tell(&mut self, event: Event) {
        self.emit(Output::Event(event));
    }
}

fn first_record(config: &Config, host: HostId) -> HostRecord {
    HostRecord {
        host,
        name: config.name.clone(),
        incarnation: config.incarnation,
        sequence: 0,
        addresses: Vec::new(),
        software: config.software.clone(),
        credential: config.credential.clone(),
        left: false,
    }
}
