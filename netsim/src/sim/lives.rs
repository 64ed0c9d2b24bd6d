use std::time::Duration;

use serde_json::Value;
use starling_core::{
    engine::{Config, Engine, Kinds, Save, Start},
    society,
};
use starling_protocols::{
    entropy::Entropy,
    ident::{AgentId, Credential, Genesis, HostId, Incarnation, SecretKey},
    roster::{HostRecord, Roster},
    time::Time,
};

use super::{Event, Sim};
use crate::{
    clock::{Clock, wall},
    disk::{Disk, Hosts},
    faults::{FaultKind, HostNo},
    host::{Asked, Down, Inbox, Outside, Running, SimHost},
};

/// How long records of hosts are gathered before they are written.
const SETTLE: Duration = Duration::from_millis(200);

/// How long a host that leaves takes to write out what is queued.
const LEAVE_WAIT: Duration = Duration::from_millis(500);

const SOFTWARE: &str = "starling netsim";

/// How long a disk takes to bring something to the medium, in microseconds: from flash with a
/// battery to a turning plate.
const SYNC_MICROS: [u64; 4] = [100, 500, 2_000, 12_000];

/// The last state of an agent whose host ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Obituary {
    /// When.
    pub at: Time,
    /// Its host.
    pub host: HostNo,
    /// The life of the host that ended.
    pub incarnation: Incarnation,
    /// The agent.
    pub agent: AgentId,
    /// Its state.
    pub state: Value,
}

/// How hosts come into being, begin lives and end them.
impl Sim {
    /// Adds a machine with nothing on it but the software: it can run these kinds of agents
    /// besides those of every host, and starts `residents` in every life.
    pub fn add_host(
        &mut self,
        name: &str,
        kinds: Kinds,
        residents: Vec<(AgentId, Start)>,
    ) -> HostNo {
        let number = HostNo(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        let own = self.root.fork("host").fork_at(u128::from(number.0), 0);
        let sync_takes = sync_takes(&mut own.fork("disk"));
        let disk = Disk::new(self.future_key(number), name.to_owned(), sync_takes);
        let mut host = SimHost::new(disk, Clock::new(self.now, 0), own.fork("network"));
        host.kinds = society::with_residents(kinds);
        host.residents = [society::residents(), residents].concat();
        self.numbers.insert(host.id, number);
        self.hosts.push(host);
        number
    }

    fn future_key(&self, host: HostNo) -> SecretKey {
        let mut own = self.root.fork("key").fork_at(u128::from(host.0), 0);
        SecretKey::from_bytes(&own.bytes())
    }

    /// The id that a host has, or will have when it is added: the seed decides it.
    #[must_use]
    pub fn future_id(&self, host: HostNo) -> HostId {
        self.future_key(host).host()
    }

    /// Makes a mesh whose founder is this host.
    pub fn found(&mut self, host: HostNo) {
        let now = wall(self.now, 0);
        let key = &self.hosts[host.index()].disk.key;
        let genesis = Genesis {
            version: 1,
            name: "sim".into(),
            founder: key.host(),
            created: now,
            nonce: self.root.fork("mesh").bytes(),
        };
        let credential = Credential::of_founder(key, genesis.clone(), now);
        self.hosts[host.index()].disk.credential = Some(credential);
        self.genesis = Some(genesis);
    }

    /// Makes all hosts members of the founder's mesh, as if they had met in an earlier life: each
    /// knows the records of all. A host that starts at this very time is as its record says, so
    /// that nobody has to be told of it.
    ///
    /// # Panics
    /// When no mesh was [`found`](Self::found)ed.
    pub fn admit_all(&mut self) {
        let genesis = self.genesis.clone().expect("a mesh has been founded");
        let founder = self.with_id(genesis.founder).expect("the founder is one of the hosts");
        let key = self.hosts[founder.index()].disk.key.clone();
        let now = wall(self.now, 0);
        let root = Credential::of_founder(&key, genesis.clone(), now);
        let mut roster = Roster::new(genesis.mesh());
        for number in self.hosts() {
            let host = &mut self.hosts[number.index()];
            let admitted = if number == founder {
                root.clone()
            } else {
                root.admit(&key, host.id, false, now).expect("a chain of one")
            };
            host.disk.credential = Some(admitted.clone());
            host.disk.incarnation = Incarnation(1);
            let incarnation = host.disk.coming_incarnation(now);
            let record = HostRecord {
                host: host.id,
                name: host.disk.name.clone(),
                incarnation,
                sequence: 1,
                addresses: SimHost::addresses(number),
                software: SOFTWARE.into(),
                credential: admitted,
                left: false,
            };
            roster.publish(&host.disk.key, record);
        }
        for host in &mut self.hosts {
            host.disk.hosts = Hosts::Roster(roster.clone());
        }
    }

    /// Whether a daemon runs at `host`.
    #[must_use]
    pub fn is_running(&self, host: HostNo) -> bool {
        self.hosts[host.index()].running.is_some()
    }

    /// Whether `host` belongs to the mesh.
    #[must_use]
    pub fn is_member(&self, host: HostNo) -> bool {
        self.hosts[host.index()].disk.credential.is_some()
    }

    /// The present life of a host, or its last.
    #[must_use]
    pub fn incarnation(&self, host: HostNo) -> Incarnation {
        self.hosts[host.index()].disk.incarnation
    }

    /// Keeps the last states of the agents with these ids when their host ends.
    pub fn watch_agents(&mut self, agents: &[AgentId]) {
        self.watched = agents.to_vec();
    }

    /// The last states of watched agents whose host has ended.
    #[must_use]
    pub fn obituaries(&self) -> &[Obituary] {
        &self.obituaries
    }

    /// Starts the daemon of a member. Nothing happens while one runs.
    pub fn start(&mut self, host: HostNo) {
        let now = self.now;
        let at = &mut self.hosts[host.index()];
        if at.running.is_some() {
            return;
        }
        let was_off = at.down == Down::Off;
        let Some(credential) = at.disk.membership(at.clock.read(now).wall) else { return };
        let mut replicas = self.documents.then(|| at.disk.documents.open(credential.mesh()));
        if let Some((replicas, changes)) = replicas.as_mut().zip(self.changes_max) {
            replicas.set_changes_max(changes);
        }
        let recording = self.journals.map(|journals| journals.recording(&mut at.disk.journal));
        let last = recording.as_ref().map(|recording| recording.found.moment);
        at.clock = at.clock.after(now, last.unwrap_or_default());
        let clock = at.clock.read(now);
        at.life += 1;
        at.down = Down::No;
        let seed = self.root.fork("lives").fork_at(u128::from(host.0), at.life).bytes();
        let config = Config {
            key: at.disk.key.clone(),
            credential,
            name: at.disk.name.clone(),
            incarnation: at.disk.next_incarnation(clock.wall),
            software: SOFTWARE.into(),
            seed,
            kinds: at.kinds.clone(),
            residents: at.residents.clone(),
            known: at.disk.known(at.life == 1),
            ledger: at.disk.ledger.clone(),
            recording,
            replicas,
        };
        at.running = Some(Running::new(Engine::new(config, clock), now));
        self.trace.note(now, host, "start", &self.hosts[host.index()].life.to_le_bytes());
        self.say_of(host, "starts");
        if was_off {
            self.machine_is_back(host);
        }
        self.drive(host, |_, _| {});
        self.put(host, Inbox::Listening);
        self.set_alarm(host);
    }

    /// Kills a daemon, and nobody starts it again before [`start`](Self::start) or the end of all
    /// faults.
    pub fn stop_at_once(&mut self, host: HostNo) {
        self.end(host, Down::Killed);
    }

    /// Ends a daemon: all that it had not saved is gone.
    pub(super) fn end(&mut self, host: HostNo, down: Down) {
        if self.hosts[host.index()].running.is_none() {
            return;
        }
        self.write_obituaries(host);
        self.trace.note(self.now, host, "end", &[down as u8]);
        let (kind, words) = match down {
            Down::Off => (FaultKind::PowerCut, "loses power"),
            Down::Left => (FaultKind::Leave, "has left"),
            Down::Killed | Down::No => (FaultKind::Crash, "is killed"),
        };
        self.say_of(host, words);
        self.fired.count(kind, 1);
        let at = &mut self.hosts[host.index()];
        at.running = None;
        at.down = down;
        // Each end draws on its own, so that a shrunk schedule loses what the whole one lost.
        let mut own = self.root.fork("ends").fork_at(u128::from(host.0), at.life);
        let mut of_documents = own.fork("documents");
        let (lost, lost_batches) = match down {
            Down::Off => {
                let lost = at.disk.journal.power_cut(&mut own);
                (lost, at.disk.documents.power_cut(&mut of_documents))
            }
            _ => (at.disk.journal.kill(&mut own), at.disk.documents.kill(&mut of_documents)),
        };
        self.fired.count(FaultKind::LostPages, lost.pages + lost_batches);
        self.fired.count(FaultKind::TornPages, lost.torn);
        let at = &mut self.hosts[host.index()];
        for asked in at.asked.values_mut().filter(|asked| **asked == Asked::Waiting) {
            *asked = Asked::Lost;
        }
        self.host_ended(host, down);
    }

    fn write_obituaries(&mut self, host: HostNo) {
        let incarnation = self.incarnation(host);
        for agent in self.watched.clone() {
            if let Some(state) = self.examine(host, agent) {
                let at = self.now;
                self.obituaries.push(Obituary { at, host, incarnation, agent, state });
            }
        }
    }

    /// A host goes down on purpose, when it comes to it.
    pub(super) fn leave(&mut self, host: HostNo) {
        self.put(host, Inbox::Outside(Outside::Leave));
    }

    pub(super) fn on_leave(&mut self, host: HostNo) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = &mut at.running else { return };
        if std::mem::replace(&mut running.leaving, true) {
            return;
        }
        let life = at.life;
        // Its agents are stopped in good order, and their states are dropped.
        self.write_obituaries(host);
        self.drive(host, Engine::leave);
        self.plan(self.now + LEAVE_WAIT, Event::Left(host, life));
    }

    pub(super) fn has_left(&mut self, host: HostNo, life: u64) {
        let at = &self.hosts[host.index()];
        if at.life != life || at.running.is_none() {
            return;
        }
        // It does not wait for room on its disk.
        let (journal, documents) = (&at.disk.journal, &at.disk.documents);
        let written = journal.is_idle() || journal.is_stuck();
        if written && (documents.is_idle() || documents.is_stuck()) {
            self.end(host, Down::Left);
            self.settle_lives();
        } else {
            self.plan(self.now + LEAVE_WAIT, Event::Left(host, life));
        }
    }

    pub(super) fn save(&mut self, host: HostNo, save: Save) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = &mut at.running else { return };
        match save {
            Save::Ledger(_) => {
                self.trace.note(self.now, host, "save-ledger", &[]);
                at.disk.write(save);
            }
            // Nobody is told of a host: the records are written in the background, the latest
            // only.
            Save::Hosts(_) => {
                let life = at.life;
                if running.unsaved.replace(save).is_none() {
                    self.plan(self.now + SETTLE, Event::Saved(host, life));
                }
            }
        }
    }

    pub(super) fn saved(&mut self, host: HostNo, life: u64) {
        let at = &mut self.hosts[host.index()];
        let Some(running) = at.running.as_mut().filter(|_| at.life == life) else { return };
        if let Some(save) = running.unsaved.take() {
            at.disk.write(save);
        }
    }

    pub(super) fn say_of(&mut self, host: HostNo, words: &str) {
        if self.trace.is_told() {
            let sentence = format!("{} {words}", self.name(host));
            self.trace.say(self.now, &sentence);
        }
    }
}

fn sync_takes(own: &mut Entropy) -> Duration {
    let place = usize::try_from(own.below(SYNC_MICROS.len() as u64)).unwrap_or_default();
    Duration::from_micros(SYNC_MICROS[place])
}
