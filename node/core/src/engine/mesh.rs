use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::{Class, Item},
    ident::{HostId, Signed},
    interest::TopicName,
    limits::LINKS_KEPT_MAX,
    link,
    reconcile::{self, Act, Digest},
    roster::{Change, HostRecord, KnownHost, Roster},
};

use super::{Counter, Due, Engine, Event, Known, LinkChange, Output, Save, lanes::PeerNo};

/// Records in one item.
const RECORDS_PER_ITEM: usize = 64;

/// Bytes of records in one item, so that it fits into a frame.
const RECORDS_BYTES_PER_ITEM: usize = 256 * 1024;

/// How long after a change the known hosts are saved, with what else has changed meanwhile.
const SAVE_AFTER: Duration = Duration::from_millis(250);

/// Topics in one item when a lane opens.
const TOPICS_PER_ITEM: usize = 1024;

/// How often the end of a linked host's membership is looked at.
const MEMBERSHIP_WATCH: Duration = Duration::from_secs(3600);

/// How a host is reached from this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// This host.
    Myself,
    /// There is a lane to it.
    Linked,
    /// It is being dialled.
    Dialling,
    /// It could not be reached and is dialled again later.
    Unreachable,
    /// It is known; nobody had to talk to it yet.
    Known,
    /// It went down on purpose.
    Left,
}

/// What is known of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// What it says of itself.
    pub record: HostRecord,
    /// How it is reached.
    pub state: HostState,
    /// Why it could not be reached the last time.
    pub trouble: Option<String>,
}

impl Engine {
    /// All hosts of the mesh, in the order of their ids.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostView> {
        self.roster.iter().map(|record| self.view(record)).collect()
    }

    /// All that is known of the hosts. Engines that were begun with one roster and have learned
    /// nothing since compare as equal at once.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What is known of `host`.
    #[must_use]
    pub fn host_view(&self, host: HostId) -> Option<HostView> {
        self.roster.get(host).map(|record| self.view(record))
    }

    fn view(&self, record: &HostRecord) -> HostView {
        let peer = self.peers.find(record.host);
        let trouble = peer.and_then(|peer| self.peers[peer].trouble.clone());
        HostView { record: record.clone(), state: self.state_of(record), trouble }
    }

    pub(super) fn state_of(&self, record: &HostRecord) -> HostState {
        let host = record.host;
        match self.links.state(host) {
            _ if host == self.me => HostState::Myself,
            _ if self.is_linked(host) => HostState::Linked,
            _ if record.left => HostState::Left,
            link::State::Up | link::State::Dialling => HostState::Dialling,
            link::State::Waiting { .. } => HostState::Unreachable,
            link::State::Down => HostState::Known,
        }
    }

    /// What people call a host, or the beginning of its id if nothing is known of it.
    #[must_use]
    pub fn name_of(&self, host: HostId) -> String {
        self.roster.get(host).map_or_else(|| host.short(), |record| record.name.clone())
    }

    /// Takes up what is known from the beginning.
    pub(super) fn begin_roster(&mut self, known: Known) {
        match known {
            Known::Records(records) => {
                self.publish_record();
                self.learn(&records);
            }
            Known::Checked(roster) => {
                assert_eq!(roster.mesh(), self.credential.mesh(), "the hosts of another mesh");
                self.roster = roster;
                match self.roster.get(self.me).filter(|own| self.is_of_this_life(own)) {
                    Some(own) => self.record = own.clone(),
                    None => drop(self.publish_record()),
                }
                self.keep_links();
            }
        }
        self.begin_leavers();
    }

    fn is_of_this_life(&self, own: &HostRecord) -> bool {
        own.incarnation == self.record.incarnation && !own.left
    }

    /// The host listens on other addresses than before.
    pub(super) fn listening(&mut self, addresses: Vec<String>) {
        if self.record.addresses != addresses {
            self.record.addresses = addresses;
            self.announce_record();
        }
    }

    pub(super) fn publish_record(&mut self) -> Signed<HostRecord> {
        self.record.sequence += 1;
        self.roster.publish(&self.key, self.record.clone())
    }

    /// Tells the mesh what has changed about this host.
    pub(super) fn announce_record(&mut self) {
        let record = self.publish_record();
        self.spread(&[record], None);
    }

    /// Takes up records from disk or from the gate.
    pub(super) fn learn(&mut self, records: &[Signed<HostRecord>]) {
        self.take_up(records);
        self.keep_links();
    }

    /// Takes up records from a peer, and passes on what was news.
    pub(super) fn learn_from(&mut self, peer: PeerNo, records: &[Signed<HostRecord>]) {
        self.look_for_itself(self.peers[peer].host, records);
        let news = self.take_up(records);
        let (pass_on, acts) = self.reconciler.learned(self.peers[peer].host, news.len(), self.now);
        if !news.is_empty() {
            if pass_on {
                self.spread(&news, Some(peer));
            }
            self.keep_links();
            self.save_hosts_later();
        }
        self.reconcile(acts);
    }

    fn save_hosts_later(&mut self) {
        if self.save_hosts_at.is_none() {
            let at = self.now + SAVE_AFTER;
            self.save_hosts_at = Some(at);
            self.due.set(at, Due::SaveHosts);
        }
    }

    /// Saves the known hosts if they have changed since the last time.
    pub(super) fn save_hosts(&mut self) {
        if let Some(at) = self.save_hosts_at.take() {
            self.due.clear(at, Due::SaveHosts);
            self.emit(Output::Save(Save::Hosts(self.roster.clone())));
        }
    }

    fn take_up(&mut self, records: &[Signed<HostRecord>]) -> Vec<Signed<HostRecord>> {
        let mut news = Vec::new();
        let me = self.me;
        if self.roster.forget_expired(me, self.wall) {
            self.save_hosts_later();
            self.forget_refused_of_the_gone();
        }
        for record in records.iter().filter(|record| record.signer() != me) {
            match self.roster.merge(record, self.wall) {
                Ok(Change::None) => {}
                Ok(change) => {
                    self.learned(record.signer(), change);
                    news.push(record.clone());
                }
                Err(_) => self.counters.add(Counter::BadRecords, 1),
            }
        }
        news
    }

    /// A peer said what it knows of the hosts, or asks about them.
    pub(super) fn digest(&mut self, peer: PeerNo, digest: &Digest) {
        let host = self.peers[peer].host;
        match self.reconciler.heard(host, digest, &self.roster, self.now) {
            Ok(acts) => self.reconcile(acts),
            Err(_) => self.counters.add(Counter::RosterRefused, 1),
        }
    }

    /// There is no lane to a host any more.
    pub(super) fn stop_reconciling(&mut self, host: HostId) {
        let acts = self.reconciler.lost(host, &self.roster, self.now);
        self.reconcile(acts);
    }

    /// Gives up questions about the roster that are not answered.
    pub(super) fn reconcile_what_is_due(&mut self) {
        let acts = self.reconciler.due(&self.roster, self.now);
        self.reconcile(acts);
    }

    fn reconcile(&mut self, acts: Vec<Act<Arc<KnownHost>>>) {
        for act in acts {
            match act {
                Act::Tell(host, digest) => self.tell_digest(host, digest),
                Act::Send(host, records) => self.send_records(host, &records),
                Act::TellState { but } => {
                    for peer in self.peers.numbers() {
                        let host = self.peers[peer].host;
                        if host != but && self.peers[peer].session.is_open() {
                            self.tell_digest(host, reconcile::state(&self.roster, self.me, host));
                        }
                    }
                }
            }
        }
    }

    fn tell_digest(&mut self, host: HostId, digest: Digest) {
        if let Some(peer) = self.peers.find(host) {
            let _ = self.push(peer, Item::Roster(digest), Class::Vital);
        }
    }

    fn send_records(&mut self, host: HostId, records: &[Arc<KnownHost>]) {
        let Some(peer) = self.peers.find(host) else { return };
        let mut rest = records;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(RECORDS_PER_ITEM).take_while(|known| {
                let first = bytes == 0;
                bytes += known.signed().size();
                first || bytes <= RECORDS_BYTES_PER_ITEM
            });
            let part: Vec<_> = fits.map(|known| known.signed().clone()).collect();
            rest = &rest[part.len()..];
            let _ = self.push(peer, Item::Hosts(part), Class::Vital);
        }
    }

    fn learned(&mut self, host: HostId, change: Change) {
        let Some(record) = self.roster.get(host) else { return };
        let (name, left) = (record.name.clone(), record.left);
        if left {
            self.links.release(host);
            self.has_said_goodbye(host);
            self.forget_refused_of_the_gone();
            self.await_leavers();
            return self.tell(Event::HostLeft { host, name });
        }
        self.is_heard_of(host);
        if change == Change::Updated {
            // Perhaps it is elsewhere now: what is waited for is tried at once.
            self.links.release(host);
        } else if change == Change::New {
            self.tell(Event::HostKnown { host, name });
        }
    }

    /// Sends records to all linked peers but the one they came from.
    fn spread(&mut self, records: &[Signed<HostRecord>], but: Option<PeerNo>) {
        for peer in self.peers.numbers() {
            if Some(peer) != but && self.peers[peer].session.is_open() {
                let item = Item::Hosts(records.to_vec());
                let _ = self.push(peer, item, Class::Vital);
            }
        }
    }

    /// Tells a peer what this host knows of the mesh, in a few bytes: each asks for what it lacks.
    pub(super) fn compare_rosters(&mut self, peer: PeerNo) {
        if self.roster.forget_expired(self.me, self.wall) {
            self.save_hosts_later();
            self.forget_refused_of_the_gone();
        }
        let host = self.peers[peer].host;
        self.tell_digest(host, reconcile::state(&self.roster, self.me, host));
    }

    /// Tells a peer what is listened to here.
    pub(super) fn introduce(&mut self, peer: PeerNo) {
        let topics: Vec<_> = self.listeners.topics().cloned().collect();
        for part in topics.chunks(TOPICS_PER_ITEM) {
            let listen = part.iter().map(TopicName::as_str).collect();
            let item = Item::Interests { listen, ignore: Vec::new() };
            let _ = self.push(peer, item, Class::Vital);
        }
    }

    /// Whether some hosts are reached by gossip only, because the mesh is too large for a link
    /// between every two.
    pub(super) fn is_large(&self) -> bool {
        self.roster.present() > LINKS_KEPT_MAX + 1
    }

    /// Asks for the links that the mesh wants: to everybody, or in a large mesh to the nearest
    /// on the ring of ids on both sides, so that every host wants those that want it and the
    /// graph of links hangs together.
    pub(super) fn keep_links(&mut self) {
        let wanted = self.roster.nearest(self.me, LINKS_KEPT_MAX);
        self.links.keep_only(&wanted);
        for host in wanted {
            if self.links.want(host, true) {
                self.dial(host);
            }
        }
    }

    pub(super) fn dial(&mut self, host: HostId) {
        if self.has_left(host) || self.roster.get(host).is_none() {
            self.links.release(host);
            self.links.down(host, self.now);
            return;
        }
        self.dial_at_its_addresses(host);
    }

    fn has_left(&self, host: HostId) -> bool {
        self.roster.get(host).is_some_and(|record| record.left)
    }

    pub(super) fn dial_at_its_addresses(&mut self, host: HostId) {
        let Some(record) = self.roster.get(host) else { return };
        let addresses = record.addresses.clone();
        self.counters.add(Counter::Dials, 1);
        self.emit(Output::Dial { host, addresses });
    }

    pub(super) fn discovered(&mut self, host: HostId, addresses: Vec<String>) {
        // Only members are dialled: whoever else is on the network is none of our business.
        if host != self.me && self.roster.get(host).is_some() && self.links.want(host, true) {
            self.counters.add(Counter::Dials, 1);
            self.emit(Output::Dial { host, addresses });
        }
    }

    /// A link lasts as long as the membership that opened it. Looked at now and then, because
    /// the calendar may be set.
    pub(super) fn watch_membership(&mut self, number: PeerNo) {
        let peer = &mut self.peers[number];
        if let Some(at) = peer.member_watch.take() {
            self.due.clear(at, Due::Membership(number));
        }
        let left = peer.member_until.remaining(self.wall);
        if left.is_zero() {
            let (host, why) = (peer.host, "its certificate has expired".to_owned());
            return self.emit(Output::Disconnect { host, why });
        }
        let at = self.now + left.min(MEMBERSHIP_WATCH);
        peer.member_watch = Some(at);
        self.due.set(at, Due::Membership(number));
    }

    pub(super) fn link_changed(&mut self, host: HostId, change: LinkChange) {
        match change {
            LinkChange::Up { until } => {
                let peer = self.peers.find_or_add(host);
                self.links.up(host);
                self.is_heard_of(host);
                self.peers[peer].member_until = until;
                self.watch_membership(peer);
            }
            LinkChange::Down { why } => {
                let peer = self.peers.find_or_add(host);
                if let Some(at) = self.peers[peer].member_watch.take() {
                    self.due.clear(at, Due::Membership(peer));
                }
                self.lane_down(host, &why);
                self.peers[peer].trouble = Some(why);
                self.links.down(host, self.now);
                self.is_missed(host);
            }
            LinkChange::DialFailed { why } => self.dial_failed(host, why),
        }
    }

    fn dial_failed(&mut self, host: HostId, why: String) {
        self.counters.add(Counter::DialsFailed, 1);
        let again = self.links.dial_failed(host, self.now);
        if self.has_left(host) {
            // As it said. Nobody wants to read so every minute.
            return;
        }
        self.is_missed(host);
        let again_in_ms = again.map(|at| at.since(self.now).as_millis());
        let again_in_ms = again_in_ms.and_then(|ms| u64::try_from(ms).ok());
        let peer = self.peers.find_or_add(host);
        self.peers[peer].trouble = Some(why.clone());
        let name = self.name_of(host);
        self.tell(Event::DialFailed { host, name, why, again_in_ms });
    }
}
