//! The simulation itself: a queue of what is going to happen, a clock, hosts, and what lies
//! between them.

mod documents;
mod imposed;
mod joining;
mod lives;
mod outside;
mod replays;
mod storage;

use std::time::Duration;

use starling_core::engine::{Engine, Event as Said, Input, Now, Output};
use starling_protocols::{
    entropy::Entropy,
    ident::{Address, AgentId, Credential, Genesis, HostId},
    limits::BACKLOG_MESSAGES_MAX,
    time::Time,
};

pub use self::{
    documents::{Edit, Written},
    imposed::FaultId,
    lives::Obituary,
    replays::Replayed,
    storage::Journals,
};
use self::{imposed::Imposed, joining::Joining, storage::RETRY};
use crate::{
    faults::{Fault, FaultKind, Fired, HostNo, Weather},
    gossip::{Gossip, Hop},
    host::{Inbox, Running, STEP, SimHost},
    network::{NetEvent, Network},
    trace::{Sink, Trace},
};

/// A mesh of hosts under virtual time. The same seed and the same calls give the same everything.
pub struct Sim {
    pub(crate) now: Time,
    queue: crate::queue::Queue<Event>,
    pub(crate) hosts: Vec<SimHost>,
    numbers: std::collections::BTreeMap<HostId, HostNo>,
    pub(crate) net: Network,
    pub(crate) gossip: Gossip,
    pub(crate) fired: Fired,
    pub(crate) trace: Trace,
    root: Entropy,
    genesis: Option<Genesis>,
    imposed: Imposed,
    events: u64,
    mishaps: Vec<Mishap>,
    obituaries: Vec<Obituary>,
    watched: Vec<AgentId>,
    journals: Option<Journals>,
    documents: bool,
    /// After how many changes histories are begun anew; `None`: after as many as outside.
    changes_max: Option<usize>,
}

/// Something that no host should ever say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mishap {
    /// When.
    pub at: Time,
    /// Where.
    pub host: HostNo,
    /// What it said.
    pub what: Said,
}

/// What is going to happen at a time.
#[derive(Debug)]
pub(crate) enum Event {
    Turn(HostNo, u64),
    Alarm(HostNo, u64),
    Net(NetEvent),
    Gossip(Hop),
    Saved(HostNo, u64),
    Left(HostNo, u64),
    Disk(HostNo, u64),
    Documents(HostNo, u64),
    Joining(Box<Joining>),
    Impose(Box<Fault>, Option<Duration>),
    Lift(FaultId),
}

impl Sim {
    /// A simulation without hosts, all of whose chances `seed` decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            now: Time::ZERO,
            queue: crate::queue::Queue::new(),
            hosts: Vec::new(),
            numbers: std::collections::BTreeMap::new(),
            net: Network::default(),
            gossip: Gossip::default(),
            fired: Fired::default(),
            trace: Trace::new(),
            root: Entropy::from_seed(bytes),
            genesis: None,
            imposed: Imposed::default(),
            events: 0,
            mishaps: Vec::new(),
            obituaries: Vec::new(),
            watched: Vec::new(),
            journals: Some(Journals::default()),
            documents: false,
            changes_max: None,
        }
    }

    /// Sets how the links are while nothing is wrong.
    pub const fn set_weather(&mut self, weather: Weather) {
        self.net.paths.weather = weather;
    }

    /// Tells what happens, in sentences, to `sink`.
    pub fn tell_to(&mut self, sink: Sink) {
        self.trace.tell_to(sink);
    }

    /// The virtual time since the beginning.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// How often each kind of fault had an effect so far.
    #[must_use]
    pub const fn fired(&self) -> &Fired {
        &self.fired
    }

    /// The digest of all that has happened so far.
    #[must_use]
    pub fn digest(&self) -> String {
        self.trace.digest()
    }

    /// How many inputs and outputs of engines there were so far.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.trace.entries()
    }

    /// How many events of the simulation there were so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// What no host should ever say, and some said.
    #[must_use]
    pub fn mishaps(&self) -> &[Mishap] {
        &self.mishaps
    }

    /// All hosts, in the order in which they were added.
    pub fn hosts(&self) -> impl Iterator<Item = HostNo> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostNo)
    }

    /// The id of a host.
    #[must_use]
    pub fn id(&self, host: HostNo) -> HostId {
        self.hosts[host.index()].id
    }

    /// The name of a host.
    #[must_use]
    pub fn name(&self, host: HostNo) -> String {
        self.hosts[host.index()].name().to_owned()
    }

    /// The host with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<HostNo> {
        self.hosts().find(|host| self.hosts[host.index()].name() == name)
    }

    /// The host with this id.
    #[must_use]
    pub fn with_id(&self, id: HostId) -> Option<HostNo> {
        self.numbers.get(&id).copied()
    }

    /// How many bytes the daemons of a host have written to lanes so far.
    #[must_use]
    pub fn sent_bytes(&self, host: HostNo) -> u64 {
        self.hosts[host.index()].sent_bytes
    }

    /// The engine of a host, while its daemon runs.
    #[must_use]
    pub fn engine(&self, host: HostNo) -> Option<&Engine> {
        self.hosts[host.index()].running.as_ref().map(|running| &running.engine)
    }

    /// The address of an agent of a host.
    #[must_use]
    pub fn address(&self, host: HostNo, agent: AgentId) -> Address {
        Address { host: self.id(host), agent }
    }

    /// Lets virtual time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Lets virtual time pass until `done`, which is looked at every ten milliseconds, but no
    /// longer than `limit`. Gives whether it came to that.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        const LOOK: Duration = Duration::from_millis(10);
        let until = self.now + limit;
        while !done(self) {
            if self.now >= until {
                return false;
            }
            self.run_for(LOOK.min(until.since(self.now)));
        }
        true
    }

    /// Does what happens next, unless it is after `until`: then it is `until`, and `false`.
    fn step(&mut self, until: Time) -> bool {
        if self.queue.next_at().is_none_or(|at| at > until) {
            self.now = until;
            return false;
        }
        if let Some((at, event)) = self.queue.pop() {
            self.now = self.now.max(at);
            self.events += 1;
            self.happen(event);
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(host, life) => self.planned_turn(host, life),
            Event::Alarm(host, life) => self.alarm(host, life),
            Event::Net(event) => self.on_net_event(event),
            Event::Gossip(hop) => self.on_hop(hop),
            Event::Saved(host, life) => self.saved(host, life),
            Event::Left(host, life) => self.has_left(host, life),
            Event::Disk(host, life) => self.disk_turn(host, life),
            Event::Documents(host, life) => self.documents_turn(host, life),
            Event::Joining(joining) => self.on_joining(*joining),
            Event::Impose(fault, lasts) => {
                let id = self.impose(*fault);
                if let Some(lasts) = lasts {
                    self.plan(self.now + lasts, Event::Lift(id));
                }
            }
            Event::Lift(id) => self.lift(id),
        }
    }

    pub(crate) fn plan(&mut self, at: Time, event: Event) {
        self.queue.plan(at, event);
    }

    pub(crate) fn clock_of(&self, host: HostNo) -> Now {
        self.hosts[host.index()].clock.read(self.now)
    }

    pub(crate) fn credential_of(&self, host: HostNo, life: u64) -> Option<Credential> {
        let host = &self.hosts[host.index()];
        let running = host.running.as_ref().filter(|_| host.life == life)?;
        Some(running.engine.credential().clone())
    }

    /// Gives a daemon something to do, when it comes to it.
    pub(crate) fn put(&mut self, host: HostNo, what: Inbox) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = &mut at.running else { return };
        running.inbox.push_back(what);
        if at.paused {
            self.fired.count(FaultKind::Pause, 1);
        }
        self.plan_turn(host);
    }

    /// Sees to it that a daemon goes on when it can.
    pub(crate) fn plan_turn(&mut self, host: HostNo) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = &mut at.running else { return };
        if at.paused || running.inbox.is_empty() || running.turn_planned {
            return;
        }
        running.turn_planned = true;
        let (when, life) = (running.busy_until.max(self.now), at.life);
        self.plan(when, Event::Turn(host, life));
    }

    fn planned_turn(&mut self, host: HostNo, life: u64) {
        let at = &mut self.hosts[host.index()];
        if at.life != life {
            return;
        }
        let Some(running) = &mut at.running else { return };
        running.turn_planned = false;
        if at.paused {
            return;
        }
        if let Some(what) = next_input(running) {
            let costs = at.slow.map_or(STEP, |slow| slow.max(STEP));
            running.busy_until = self.now + costs;
            self.fired.count(FaultKind::SlowHost, u64::from(at.slow.is_some()));
            self.take(host, what);
            self.set_alarm(host);
        }
        self.plan_turn(host);
    }

    /// One turn of a daemon's loop.
    fn take(&mut self, host: HostNo, what: Inbox) {
        match what {
            Inbox::Tick => {
                self.trace.note(self.now, host, "tick", &[]);
                self.drive(host, |engine, now| engine.handle(Input::Tick, now));
            }
            Inbox::Listening => {
                let addresses = SimHost::addresses(host);
                self.drive(host, |engine, now| engine.handle(Input::Listening { addresses }, now));
            }
            Inbox::Knock(dial) => self.on_knock(dial),
            Inbox::Welcome(dial) => self.on_welcome(dial),
            Inbox::Agree(conn) => self.on_agree(conn),
            Inbox::Refused(dial, why) => self.dial_failed(dial, &why),
            Inbox::Piece(lane, writer, piece) => self.on_piece(host, lane, writer, piece),
            Inbox::Closed(conn, why) => self.on_closed(conn, host, &why),
            Inbox::PingFails(conn, ping) => self.on_ping_fails(conn, host, ping),
            Inbox::RetryLane(peer) => self.open_lane(host, peer),
            Inbox::Writable(peer) => self.on_writable(host, peer),
            Inbox::LinkChange(peer, change) => self.tell_link(host, peer, change),
            Inbox::LaneDown(peer, why) => self.tell_lane_down(host, peer, &why),
            Inbox::Gossip { message, from, again } => self.on_gossip(host, message, from, again),
            Inbox::Redeem { joiner, token } => self.on_redeem(host, joiner, token),
            Inbox::Outside(what) => self.on_outside(host, what),
            Inbox::Durable(upto) => {
                self.trace.note(self.now, host, "durable", &upto.0.to_le_bytes());
                self.drive(host, |engine, now| engine.handle(Input::Durable { upto }, now));
            }
            Inbox::Stored(upto) => self.on_stored(host, upto),
            Inbox::Storage(storage) => {
                self.trace.note(self.now, host, "storage", &[]);
                self.drive(host, |engine, now| engine.handle(Input::Storage(storage), now));
            }
        }
    }

    /// Lets an engine do one thing, and carries out what it wants.
    pub(crate) fn drive(&mut self, host: HostNo, act: impl FnOnce(&mut Engine, Now)) {
        let now = self.clock_of(host);
        self.drive_at(host, now, act);
    }

    fn drive_at(&mut self, host: HostNo, now: Now, act: impl FnOnce(&mut Engine, Now)) {
        let Some(running) = &mut self.hosts[host.index()].running else { return };
        running.last = Some(now);
        act(&mut running.engine, now);
        while let Some(running) = &mut self.hosts[host.index()].running
            && let Some(output) = running.engine.poll()
        {
            self.carry_out(host, output);
        }
    }

    fn carry_out(&mut self, host: HostNo, output: Output) {
        let to = |sim: &Self, id: HostId| sim.with_id(id);
        match output {
            Output::Store(batch) => self.store(host, batch),
            Output::Replicated { ticket, replicas } => self.replicated(host, ticket, replicas),
            Output::Transmit { host: id } => {
                if let Some(peer) = to(self, id) {
                    self.transmit(host, peer);
                }
            }
            Output::Dial { host: id, addresses } => {
                self.trace.note(self.now, host, "dial", &id.0);
                if let Some(peer) = to(self, id) {
                    self.dial(host, peer, &addresses);
                }
            }
            Output::Disconnect { host: id, why } => {
                self.trace.note(self.now, host, "disconnect", why.as_bytes());
                if let Some(peer) = to(self, id) {
                    self.disconnect(host, peer);
                }
            }
            Output::CloseLane { host: id, why } => {
                self.trace.note(self.now, host, "close-lane", why.as_bytes());
                if let Some(peer) = to(self, id) {
                    self.close_lane(host, peer);
                }
            }
            Output::Gossip { bucket, bytes } => {
                self.trace.note(self.now, host, "publish", &bytes);
                self.publish_gossip(host, bucket, bytes);
            }
            Output::JoinBucket { bucket } => self.change_bucket(host, bucket, true),
            Output::LeaveBucket { bucket } => self.change_bucket(host, bucket, false),
            Output::Judge { id, verdict } => {
                self.trace.note(self.now, host, "judge", &[verdict as u8]);
                self.judged(host, id, verdict);
            }
            Output::Save(save) => self.save(host, save),
            Output::Answered { ticket, outcome } => self.answered_outside(host, ticket, outcome),
            Output::Heard { topic, from, body, .. } => {
                self.heard_outside(host, &topic, from, body.ok());
            }
            Output::Missed { topic, count, .. } => self.missed_outside(host, &topic, count),
            Output::Redeemed { ticket, outcome } => self.redeemed(host, ticket, outcome),
            Output::Event(event) => self.on_said(host, event),
            Output::Record(batch) => self.record(host, batch),
            Output::Log { text, .. } => self.on_log(host, &text),
        }
    }

    fn change_bucket(&mut self, host: HostNo, bucket: u8, listen: bool) {
        let what = if listen { "join-bucket" } else { "leave-bucket" };
        self.trace.note(self.now, host, what, &[bucket]);
        if let Some(running) = &mut self.hosts[host.index()].running {
            if listen {
                running.joined_buckets.insert(bucket);
            } else {
                running.joined_buckets.remove(&bucket);
            }
        }
    }

    fn on_said(&mut self, host: HostNo, event: Said) {
        let text = serde_json::to_string(&event).unwrap_or_default();
        self.trace.note(self.now, host, "event", text.as_bytes());
        if self.trace.is_told() {
            let sentence = format!("{} says {text}", self.name(host));
            self.trace.say(self.now, &sentence);
        }
        let of_agents = matches!(event, Said::AgentDied { .. } | Said::AgentLost { .. });
        let of_documents =
            matches!(event, Said::DocumentRefused { .. } | Said::NotDescribed { .. });
        if of_agents || of_documents || matches!(event, Said::Violation { .. }) {
            self.mishaps.push(Mishap { at: self.now, host, what: event });
        }
    }

    fn on_log(&mut self, host: HostNo, text: &str) {
        self.trace.note(self.now, host, "log", text.as_bytes());
        if self.trace.is_told() {
            let sentence = format!("an agent of {} says {text}", self.name(host));
            self.trace.say(self.now, &sentence);
        }
    }

    fn set_alarm(&mut self, host: HostNo) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = &mut at.running else { return };
        let Some((deadline, _)) = running.engine.next_deadline() else { return };
        let when = at.clock.when(deadline).max(running.busy_until);
        if running.alarm.is_none_or(|planned| planned > when) {
            running.alarm = Some(when);
            let life = at.life;
            self.plan(when, Event::Alarm(host, life));
        }
    }

    /// An alarm that is still the next one wakes the engine, unless its deadline has moved.
    fn alarm(&mut self, host: HostNo, life: u64) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = at.running.as_mut().filter(|_| at.life == life) else { return };
        if running.alarm != Some(self.now) {
            return;
        }
        running.alarm = None;
        let due = running.engine.next_deadline();
        if due.is_some_and(|(due, _)| due <= at.clock.read(self.now).time) {
            self.put(host, Inbox::Tick);
        } else {
            self.set_alarm(host);
        }
    }

    /// The clock of a host goes otherwise than before: its alarm is set anew.
    pub(crate) fn clock_changed(&mut self, host: HostNo) {
        if let Some(running) = &mut self.hosts[host.index()].running {
            running.alarm = None;
        }
        self.set_alarm(host);
    }
}

/// What a daemon takes up next. While too many messages wait for its agents, it reads nothing
/// from the network.
fn next_input(running: &mut Running) -> Option<Inbox> {
    if running.engine.backlog() < BACKLOG_MESSAGES_MAX {
        return running.inbox.pop_front();
    }
    let place = running.inbox.iter().position(|what| !what.is_from_network());
    Some(place.and_then(|place| running.inbox.remove(place)).unwrap_or(Inbox::Tick))
}
