//! Topics as gossipsub carries them with the settings of the daemon: over links, a hop at a time,
//! seen messages filtered, and only what the engine accepts goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use starling_core::engine::{GossipId, Input, Verdict};
use starling_protocols::time::Time;

use crate::{
    faults::{FaultKind, HostNo},
    host::{GOSSIP_WAITING_MAX, Inbox},
    network::chance,
    sim::{Event, Sim},
};

/// Up to this many neighbours, everybody is in everybody's mesh.
const MESH_ALL: usize = 12;

/// The degree of a larger mesh, and the least of it.
const MESH_N: usize = 8;
const MESH_LOW: usize = 6;

/// What was dropped on its way is offered again at a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// What was seen is remembered for this long; copies that come later pass for new.
const DUPLICATES: Duration = Duration::from_secs(120);

/// Messages older than this are on no way any more.
const FORGET_AFTER: Duration = Duration::from_secs(300);

/// All gossip that is on its way.
#[derive(Default)]
pub(crate) struct Gossip {
    pub(crate) loss: u32,
    pub(crate) duplicates: u32,
    messages: BTreeMap<u64, Message>,
    made: u64,
}

struct Message {
    origin: HostNo,
    bucket: u8,
    bytes: Arc<[u8]>,
    at: Time,
    seen: BTreeSet<HostNo>,
}

/// A message on its way from one host to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    message: u64,
    from: HostNo,
    to: HostNo,
    life: u64,
    /// It was seen before, and that was forgotten.
    again: bool,
}

impl Sim {
    pub(crate) fn publish_gossip(&mut self, host: HostNo, bucket: u8, bytes: Vec<u8>) {
        self.forget_old_gossip();
        self.gossip.made += 1;
        let number = self.gossip.made;
        let (at, seen) = (self.now, BTreeSet::from([host]));
        let message = Message { origin: host, bucket, bytes: bytes.into(), at, seen };
        self.gossip.messages.insert(number, message);
        // The origin gives it to everybody who listens.
        for peer in self.gossip_neighbours(host, bucket) {
            self.hop(number, host, peer);
        }
    }

    fn forget_old_gossip(&mut self) {
        while let Some(oldest) = self.gossip.messages.first_entry() {
            if self.now.since(oldest.get().at) < FORGET_AFTER {
                break;
            }
            oldest.remove();
        }
    }

    /// Linked hosts that listen to a bucket.
    fn gossip_neighbours(&self, host: HostNo, bucket: u8) -> Vec<HostNo> {
        let Some(running) = &self.hosts[host.index()].running else { return Vec::new() };
        let listens = |peer: &HostNo| {
            let peer = self.hosts[peer.index()].running.as_ref();
            peer.is_some_and(|peer| peer.joined_buckets.contains(&bucket))
        };
        running.net.linked().filter(listens).collect()
    }

    /// Those of them to which a message is passed on: a few, the same for a while, and mostly the
    /// same from both sides.
    fn gossip_mesh(&self, host: HostNo, bucket: u8) -> Vec<HostNo> {
        let mut near = self.gossip_neighbours(host, bucket);
        let count = near.len();
        if count <= MESH_ALL {
            return near;
        }
        near.sort_by_key(|peer| edge(host, *peer, bucket));
        let share = u64::MAX / count as u64 * MESH_N as u64;
        let within = near.partition_point(|peer| edge(host, *peer, bucket) < share);
        near.truncate(within.max(MESH_LOW));
        near
    }

    fn hop(&mut self, message: u64, from: HostNo, to: HostNo) {
        if self.net.paths.is_cut(from, to) {
            return self.fired.count(self.net.paths.kind_of_cut(from, to), 1);
        }
        let entropy = &mut self.hosts[from.index()].entropy;
        let mut delay = self.net.paths.delay((from, to), 0, entropy, &mut self.fired);
        if chance(entropy, self.gossip.loss) {
            self.fired.count(FaultKind::GossipLoss, 1);
            if chance(entropy, 500) {
                return;
            }
            delay += HEARTBEAT + entropy.jitter(3 * HEARTBEAT);
        }
        let life = self.hosts[to.index()].life;
        let hop = Hop { message, from, to, life, again: false };
        self.plan(self.now + delay, Event::Gossip(hop));
    }

    pub(crate) fn on_hop(&mut self, hop: Hop) {
        let Hop { message, from, to, life, again } = hop;
        let cut = self.net.paths.is_cut(from, to);
        let Some(known) = self.gossip.messages.get_mut(&message) else { return };
        let host = &mut self.hosts[to.index()];
        let Some(running) = host.running.as_mut().filter(|_| host.life == life && !cut) else {
            return;
        };
        let listens = running.joined_buckets.contains(&known.bucket);
        if !listens || (!known.seen.insert(to) && !again) {
            return;
        }
        // At the cap the message is dropped for this host; it learns of the gap by the numbers.
        if running.gossip_waiting >= GOSSIP_WAITING_MAX {
            return;
        }
        running.gossip_waiting += 1;
        if !again && chance(&mut host.entropy, self.gossip.duplicates) {
            self.fired.count(FaultKind::GossipDuplicates, 1);
            let later = host.entropy.jitter(DUPLICATES);
            self.plan(self.now + later, Event::Gossip(Hop { again: true, ..hop }));
        }
        self.put(to, Inbox::Gossip { message, from, again });
    }

    pub(crate) fn on_gossip(&mut self, host: HostNo, message: u64, from: HostNo, again: bool) {
        let id = GossipId(self.hosts[host.index()].ticket().0);
        let Some(running) = &mut self.hosts[host.index()].running else { return };
        running.gossip_waiting = running.gossip_waiting.saturating_sub(1);
        let Some(known) = self.gossip.messages.get(&message) else { return };
        if !again {
            running.judging.insert(id, (message, from));
        }
        let bytes = Arc::clone(&known.bytes);
        let origin = self.hosts[known.origin.index()].id;
        self.trace.note(self.now, host, "gossip", &bytes);
        self.drive(host, |engine, now| {
            engine.handle(Input::Gossip { id, origin, bytes: &bytes }, now);
        });
    }

    pub(crate) fn judged(&mut self, host: HostNo, id: GossipId, verdict: Verdict) {
        let Some(running) = &mut self.hosts[host.index()].running else { return };
        let Some((message, from)) = running.judging.remove(&id) else { return };
        if verdict != Verdict::Accept {
            return;
        }
        let Some(known) = self.gossip.messages.get(&message) else { return };
        let (origin, bucket) = (known.origin, known.bucket);
        for peer in self.gossip_mesh(host, bucket) {
            let seen = |known: &Message| known.seen.contains(&peer);
            let knows = self.gossip.messages.get(&message).is_none_or(seen);
            // Who has it would only filter the copy out.
            if peer != from && peer != origin && !knows {
                self.hop(message, host, peer);
            }
        }
    }
}

/// A number for two hosts and a bucket, the same from both sides.
fn edge(a: HostNo, b: HostNo, bucket: u8) -> u64 {
    let (low, high) = (a.min(b), a.max(b));
    let mut mixed = u64::from(low.0) << 40 | u64::from(high.0) << 8 | u64::from(bucket);
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    mixed ^ (mixed >> 32)
}
