//! A small mesh: hosts that hand each other's messages over in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use automerge::{ROOT, ReadDoc, transaction::Transactable};

use super::super::*;
use crate::reconcile::Prints;
use crate::{
    ident::{AgentId, MeshId, SecretKey},
    replica::{Author, Parcel, ReadError},
    time::WallTime,
};

pub(super) const MESH: MeshId = MeshId([9; 32]);

pub(super) fn key(number: usize) -> SecretKey {
    SecretKey::from_bytes(&[u8::try_from(number).expect("few hosts") + 1; 32])
}

pub(super) fn is_member(of: HostId) -> bool {
    (0..50).any(|number| key(number).host() == of)
}

pub(super) fn name(text: &str) -> DocName {
    text.parse().expect("a name")
}

/// A host. Its batches lie in `storing` until they are on the disk.
pub(super) struct Host {
    key: SecretKey,
    life: u8,
    pub(super) at: Replication,
    pub(super) disk: BTreeMap<String, Vec<u8>>,
    storing: VecDeque<KeptBatch>,
    told: Vec<Output>,
    /// Batches go to the disk at once.
    pub(super) quick: bool,
}

pub(super) struct Mesh {
    pub(super) hosts: Vec<Host>,
    ids: BTreeMap<HostId, usize>,
    lanes: BTreeSet<(usize, usize)>,
    /// What is under way, by sender and receiver.
    pub(super) under_way: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    pub(super) now: Time,
    /// Bytes that were sent.
    pub(super) bytes: usize,
    /// How often changes of other histories were repeated.
    pub(super) carried: usize,
    /// The length of histories at which they are begun anew.
    changes_max: Option<usize>,
}

impl Host {
    fn new(key: SecretKey) -> Self {
        let at = Replication::new(key.host(), Replicas::new(MESH));
        let (disk, storing) = (BTreeMap::new(), VecDeque::new());
        Self { key, life: 0, at, disk, storing, told: Vec::new(), quick: true }
    }

    fn pen(key: &SecretKey, life: u8) -> Pen<'_> {
        let mut actor = [life; 16];
        actor[..15].copy_from_slice(&key.host().0[..15]);
        let author = Author { actor, wall: WallTime::from_millis(7), message: String::new() };
        Pen { key, author }
    }

    pub(super) fn try_set(
        &mut self,
        name: &DocName,
        field: &str,
        value: i64,
        wait: Option<Replicated>,
    ) -> Result<Option<Head>, WriteError<String>> {
        let Self { key, life, at, .. } = self;
        at.write(name, &Self::pen(key, *life), wait, |doc| {
            doc.put(ROOT, field, value).map_err(|why| why.to_string())
        })
    }

    pub(super) fn change_nothing(&mut self, name: &DocName, wait: Replicated) {
        let Self { key, life, at, .. } = self;
        let pen = Self::pen(key, *life);
        let written = at.write(name, &pen, Some(wait), |_| Ok::<(), String>(()));
        assert_eq!(written, Ok(None));
    }

    /// Many fields in one change.
    pub(super) fn fill(&mut self, name: &DocName, fields: i64) {
        let Self { key, life, at, .. } = self;
        let written = at.write(name, &Self::pen(key, *life), None, |doc| {
            (0..fields).try_for_each(|number| {
                doc.put(ROOT, format!("field-{:x}", number * 7_919_000_017), number)
            })
        });
        written.expect("it may");
    }

    pub(super) fn set_text(&mut self, name: &DocName, field: &str, text: &str) {
        let Self { key, life, at, .. } = self;
        let written =
            at.write(name, &Self::pen(key, *life), None, |doc| doc.put(ROOT, field, text));
        written.expect("it may");
    }

    pub(super) fn text(&mut self, name: &DocName, field: &str) -> Option<String> {
        let read = |doc: &automerge::Automerge| doc.get(ROOT, field).unwrap()?.0.into_string().ok();
        self.at.read(name, read).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    pub(super) fn get(&mut self, name: &DocName, field: &str) -> Option<i64> {
        let read = self.at.read(name, |doc| doc.get(ROOT, field).unwrap()?.0.as_i64());
        read.unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    pub(super) fn has(&mut self, name: &DocName) -> bool {
        self.at.read(name, |_| ()) != Err(ReadError::Unknown)
    }

    fn offers(&self) -> Vec<Offer> {
        let all = self.at.replicas();
        let names = (0..=u8::MAX).flat_map(|bucket| all.bucket(bucket).map(|(_, name)| name));
        names.filter_map(|name| all.offer(name)).collect()
    }

    /// What it was told since it was last asked.
    pub(super) fn told(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.told)
    }
}

impl Mesh {
    pub(super) fn new(hosts: usize) -> Self {
        let hosts: Vec<Host> = (0..hosts).map(|number| Host::new(key(number))).collect();
        let ids = hosts.iter().enumerate().map(|(number, host)| (host.key.host(), number));
        Self {
            ids: ids.collect(),
            hosts,
            lanes: BTreeSet::new(),
            under_way: BTreeMap::new(),
            now: Time::from_nanos(0),
            bytes: 0,
            carried: 0,
            changes_max: None,
        }
    }

    /// Histories are begun anew that have more than so many changes.
    pub(super) fn set_changes_max(&mut self, changes: usize) {
        self.changes_max = Some(changes);
        for host in &mut self.hosts {
            let mut replicas = Replicas::new(MESH);
            replicas.set_changes_max(changes);
            host.at = Replication::new(host.key.host(), replicas);
        }
    }

    /// One in which everybody has a lane to everybody.
    pub(super) fn linked(hosts: usize) -> Self {
        let mut mesh = Self::new(hosts);
        mesh.link_all();
        mesh.settle();
        mesh
    }

    pub(super) fn link_all(&mut self) {
        for one in 0..self.hosts.len() {
            for other in one + 1..self.hosts.len() {
                self.link(one, other);
            }
        }
    }

    pub(super) fn link(&mut self, one: usize, other: usize) {
        if self.lanes.insert((one.min(other), one.max(other))) {
            for (at, of) in [(one, other), (other, one)] {
                let host = self.hosts[of].key.host();
                self.hosts[at].at.lane_up(host);
                self.drain(at);
            }
        }
    }

    /// What is under way is lost.
    pub(super) fn unlink(&mut self, one: usize, other: usize) {
        if self.lanes.remove(&(one.min(other), one.max(other))) {
            for (at, of) in [(one, other), (other, one)] {
                let (host, now) = (self.hosts[of].key.host(), self.now);
                self.hosts[at].at.lane_down(host, now);
                self.drain(at);
                self.under_way.remove(&(at, of));
            }
        }
    }

    pub(super) fn isolate(&mut self, one: usize) {
        (0..self.hosts.len()).filter(|other| *other != one).for_each(|other| {
            self.unlink(one, other);
        });
    }

    pub(super) fn set(&mut self, at: usize, name: &DocName, field: &str, value: i64) {
        self.hosts[at].try_set(name, field, value, None).expect("it may");
        self.drain(at);
    }

    pub(super) fn set_text(&mut self, at: usize, name: &DocName, field: &str, text: &str) {
        self.hosts[at].set_text(name, field, text);
        self.drain(at);
    }

    /// Sets a field and waits for replicas.
    pub(super) fn set_on(&mut self, at: usize, name: &DocName, value: i64, wait: Replicated) {
        self.hosts[at].try_set(name, "x", value, Some(wait)).expect("it may");
        self.drain(at);
    }

    pub(super) fn born(&mut self, at: usize, salt: u64) -> DocName {
        let Host { key, life, at: replication, .. } = &mut self.hosts[at];
        let title = Title::of_birth(key, MESH, AgentId::born(key.host(), salt));
        let pen = Host::pen(key, *life);
        let name = replication.entitle(&title, is_member, &pen).expect("it is good");
        self.drain(at);
        name
    }

    /// The host was away since the beginning of time.
    pub(super) fn was_away(&mut self, at: usize) {
        self.hosts[at].at.was_away(WallTime::from_millis(1000));
    }

    pub(super) fn collect(&mut self, at: usize, day: u64) {
        self.hosts[at].at.collect(WallTime::from_millis(day * 24 * 3_600_000));
        self.drain(at);
    }

    pub(super) fn delete(&mut self, at: usize, name: &DocName) -> bool {
        let Host { key, life, at: replication, .. } = &mut self.hosts[at];
        let there = replication.delete(name, &Host::pen(key, *life)).expect("it may");
        self.drain(at);
        there
    }

    /// Carries out what a host wants.
    pub(super) fn drain(&mut self, at: usize) {
        let mut outputs = Vec::new();
        loop {
            while let Some(output) = self.hosts[at].at.poll() {
                match output {
                    Output::Carry { name } => {
                        let Host { key, life, at: replication, .. } = &mut self.hosts[at];
                        replication.carry(&name, &Host::pen(key, *life));
                        self.carried += 1;
                    }
                    other => outputs.push(other),
                }
            }
            self.hosts[at].at.flush();
            match self.hosts[at].at.poll() {
                Some(output) => outputs.push(output),
                None => break,
            }
        }
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    let bytes = Parcel::encode(&message);
                    for to in to {
                        let lane = (at, self.ids[&to]);
                        self.bytes += bytes.len();
                        self.under_way.entry(lane).or_default().push_back(bytes.clone());
                    }
                }
                Output::Store(batch) => self.hosts[at].storing.push_back(batch),
                told => self.hosts[at].told.push(told),
            }
        }
        if self.hosts[at].quick {
            while self.store(at) {}
        }
    }

    /// The next batch of a host gets to its disk.
    pub(super) fn store(&mut self, at: usize) -> bool {
        let host = &mut self.hosts[at];
        let Some(batch) = host.storing.pop_front() else { return false };
        host.disk.extend(batch.put.into_iter().map(|kept| (kept.name, kept.bytes)));
        batch.forget.iter().for_each(|name| drop(host.disk.remove(name)));
        host.at.stored(batch.number);
        self.drain(at);
        true
    }

    /// The next message from one to another arrives.
    pub(super) fn deliver(&mut self, from: usize, to: usize) -> bool {
        let next = self.under_way.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let Some(bytes) = next else { return false };
        let message = Parcel::decode(&bytes).expect("it was encoded here");
        let (sender, now) = (self.hosts[from].key.host(), self.now);
        let heard = self.hosts[to].at.heard(sender, message, is_member, now);
        // An answer may come when its question has been given up.
        assert!(matches!(heard, Ok(()) | Err(reconcile::Refused::OutOfTurn)), "{heard:?}");
        self.drain(to);
        true
    }

    /// The daemon of a host is killed and begins anew from its disk.
    pub(super) fn crash(&mut self, at: usize) {
        self.hosts[at].life += 1;
        self.begin_from_disk(at);
    }

    /// Instead of a host comes one that has a copy of its disk, and takes itself for the same.
    pub(super) fn copy_comes(&mut self, at: usize, disk: BTreeMap<String, Vec<u8>>) {
        self.hosts[at].disk = disk;
        self.begin_from_disk(at);
    }

    fn begin_from_disk(&mut self, at: usize) {
        self.isolate(at);
        let host = &mut self.hosts[at];
        host.storing.clear();
        let mut replicas = Replicas::new(MESH);
        for bytes in host.disk.values() {
            let _ = replicas.restore(bytes).expect("it was kept so");
        }
        self.changes_max.into_iter().for_each(|changes| replicas.set_changes_max(changes));
        host.at = Replication::new(host.key.host(), replicas);
        self.drain(at);
    }

    /// Everything under way arrives, without time going by.
    pub(super) fn settle(&mut self) {
        loop {
            let lanes: Vec<_> = self.under_way.keys().copied().collect();
            let mut moved = false;
            for (from, to) in lanes {
                moved |= self.deliver(from, to);
            }
            for at in 0..self.hosts.len() {
                moved |= self.store(at);
            }
            if !moved {
                return;
            }
        }
    }

    /// The next deadline of any host passes. Gives whether there was one.
    pub(super) fn pass_time(&mut self) -> bool {
        let deadlines = self.hosts.iter().filter_map(|host| host.at.next_deadline());
        let Some(at) = deadlines.min() else { return false };
        self.now = self.now.max(at);
        for number in 0..self.hosts.len() {
            self.hosts[number].at.due(self.now);
            self.drain(number);
        }
        true
    }

    /// Runs until nothing is to be done any more.
    pub(super) fn run(&mut self) {
        for _ in 0..1000 {
            self.settle();
            if !self.pass_time() {
                return;
            }
        }
        panic!("it goes on without end");
    }

    pub(super) fn same_everywhere(&self) {
        self.differ_at_most_in(&[]);
    }

    pub(super) fn differ_at_most_in(&self, names: &[DocName]) {
        for host in &self.hosts[1..] {
            let [one, other] = [&self.hosts[0], host].map(Host::offers);
            let differs = |offer: &&Offer| !other.contains(offer) && !names.contains(&offer.name);
            let differ: Vec<_> = one.iter().filter(differs).collect();
            assert!(differ.is_empty() && one.len() == other.len(), "not everywhere: {differ:?}");
        }
    }
}
