use std::{
    collections::BTreeMap,
    ops::{Index, IndexMut},
    time::Duration,
};

use starling_protocols::{
    exchange::{Class, Failure, Frame, Greeting, Inbox, Item, PushError, Session, Violation},
    ident::{HostId, Incarnation},
    journal::Letter,
    limits::LANE_WRITE_BYTES_MAX,
    time::{Time, WallTime},
};

use super::{Counter, Due, Engine, Event, Now, Output};
use crate::agent::Dialog;

/// How long a host may be out of reach before what is queued for it is dropped.
const ABANDON_AFTER: Duration = Duration::from_secs(60);

/// A peer's place in the table; places are never taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerNo(u32);

/// The hosts that this host has to do with.
pub(super) struct Peers {
    peers: Vec<Peer>,
    by_host: BTreeMap<HostId, PeerNo>,
    incarnation: Incarnation,
}

pub(super) struct Peer {
    pub(super) host: HostId,
    pub(super) session: Session,
    inbox: Inbox,
    lane: bool,
    /// Whether this session has told the peer what is listened to.
    introduced: bool,
    abandon_at: Option<Time>,
    ack_at: Option<Time>,
    pub(super) member_until: WallTime,
    pub(super) member_watch: Option<Time>,
    /// Why the host could not be reached the last time.
    pub(super) trouble: Option<String>,
}

impl Peers {
    pub(super) const fn new(incarnation: Incarnation) -> Self {
        Self { peers: Vec::new(), by_host: BTreeMap::new(), incarnation }
    }

    pub(super) fn find(&self, host: HostId) -> Option<PeerNo> {
        self.by_host.get(&host).copied()
    }

    pub(super) fn find_or_add(&mut self, host: HostId) -> PeerNo {
        if let Some(peer) = self.find(host) {
            return peer;
        }
        let peer =
            PeerNo(u32::try_from(self.peers.len()).expect("a mesh has fewer than 2³² hosts"));
        self.by_host.insert(host, peer);
        self.peers.push(Peer {
            host,
            session: Session::new(self.incarnation),
            inbox: Inbox::default(),
            lane: false,
            introduced: false,
            abandon_at: None,
            ack_at: None,
            member_until: WallTime::from_millis(0),
            member_watch: None,
            trouble: None,
        });
        peer
    }

    /// All peers, in the order in which they were met.
    pub(super) fn numbers(&self) -> impl Iterator<Item = PeerNo> + use<> {
        (0..u32::try_from(self.peers.len()).unwrap_or(u32::MAX)).map(PeerNo)
    }
}

impl Peer {
    pub(super) const fn is_introduced(&self) -> bool {
        self.introduced
    }

    /// Whether a session is under way: it has a lane, or had one lately.
    pub(super) const fn is_met(&self) -> bool {
        self.lane || self.abandon_at.is_some()
    }
}

impl Index<PeerNo> for Peers {
    type Output = Peer;
    fn index(&self, peer: PeerNo) -> &Peer {
        &self.peers[peer.0 as usize]
    }
}

impl IndexMut<PeerNo> for Peers {
    fn index_mut(&mut self, peer: PeerNo) -> &mut Peer {
        &mut self.peers[peer.0 as usize]
    }
}

impl Engine {
    /// What is to be written to `host` now, appended to `out`: nothing when there is nothing.
    pub fn transmit(&mut self, host: HostId, out: &mut Vec<u8>, now: Now) {
        self.begin(now);
        let Some(peer) = self.peers.find(host) else { return };
        self.send_tails(peer);
        let session = &mut self.peers[peer].session;
        session.transmit(out, LANE_WRITE_BYTES_MAX, now.time);
        self.mark(peer);
    }

    pub(super) fn push(
        &mut self,
        peer: PeerNo,
        item: Item<'_>,
        class: Class,
    ) -> Result<u64, PushError> {
        let now = self.now;
        let comes_again = matches!(item, Item::Documents(_));
        let pushed = self.peers[peer].session.push(item, class, now);
        match pushed {
            Ok(_) => self.mark(peer),
            Err(PushError::Full) => {
                let refused =
                    if comes_again { Counter::DocumentsUnsent } else { Counter::QueueFull };
                self.counters.add(refused, 1);
                if class == Class::Vital {
                    self.overflowed.insert(peer);
                }
            }
            Err(PushError::TooLarge) => self.counters.add(Counter::TooLarge, 1),
        }
        pushed
    }

    /// Notes that a peer has something to write, and when it must acknowledge.
    fn mark(&mut self, number: PeerNo) {
        let peer = &mut self.peers[number];
        if peer.session.has_output() {
            self.writable.insert(number);
        }
        let ack_at = peer.session.next_deadline();
        if peer.ack_at != ack_at {
            if let Some(at) = peer.ack_at {
                self.due.clear(at, Due::Ack(number));
            }
            if let Some(at) = ack_at {
                self.due.set(at, Due::Ack(number));
            }
            peer.ack_at = ack_at;
        }
    }

    pub(super) fn ack_is_due(&mut self, peer: PeerNo) {
        self.peers[peer].ack_at = None;
        self.writable.insert(peer);
    }

    /// Gives up peers that do not read what they must know: they are met anew.
    pub(super) fn give_up_overflowed(&mut self) {
        while let Some(peer) = self.overflowed.pop_first() {
            self.counters.add(Counter::LaneOverflows, 1);
            let (host, why) = (self.peers[peer].host, "it does not read what is sent to it");
            self.emit(Output::CloseLane { host, why: why.to_owned() });
            self.lane_down(host, why);
            self.abandon(peer);
        }
    }

    pub(super) fn lane_up(&mut self, host: HostId) {
        let number = self.peers.find_or_add(host);
        let peer = &mut self.peers[number];
        peer.inbox = Inbox::default();
        peer.lane = true;
        peer.session.opened();
        // Given up all the same when it does not greet.
        self.watch_unlinked(number);
        self.mark(number);
    }

    pub(super) fn lane_down(&mut self, host: HostId, why: &str) {
        let Some(number) = self.peers.find(host) else { return };
        let at = self.now + ABANDON_AFTER;
        let peer = &mut self.peers[number];
        if !std::mem::take(&mut peer.lane) {
            return;
        }
        let was_open = peer.session.is_open();
        peer.session.closed();
        if let Some(before) = peer.abandon_at.replace(at) {
            self.due.clear(before, Due::Abandon(number));
        }
        self.due.set(at, Due::Abandon(number));
        self.mark(number);
        self.stop_reconciling(host);
        if let Some(documents) = &mut self.documents {
            documents.at.lane_down(host, self.now);
        }
        self.forget_refused_of_the_gone();
        if was_open {
            let name = self.name_of(host);
            self.tell(Event::LaneDown { host, name, why: why.to_owned() });
        }
    }

    /// Whether there is a lane on which both sides have greeted each other.
    pub(super) fn is_linked(&self, host: HostId) -> bool {
        self.peers.find(host).is_some_and(|peer| self.peers[peer].session.is_open())
    }

    pub(super) fn lane_bytes(&mut self, host: HostId, bytes: &[u8]) {
        let Some(peer) = self.peers.find(host) else { return };
        if !self.peers[peer].lane {
            return;
        }
        // The inbox is taken out while its frames are handled, because they change the peer.
        let mut inbox = std::mem::take(&mut self.peers[peer].inbox);
        let fed = inbox.feed(bytes, |frame| self.frame(peer, frame));
        self.peers[peer].inbox = inbox;
        match fed {
            Ok(()) => self.mark(peer),
            Err(violation) => self.violated(peer, &violation),
        }
    }

    fn violated(&mut self, peer: PeerNo, violation: &Violation) {
        self.counters.add(Counter::LaneViolations, 1);
        let host = self.peers[peer].host;
        self.note_double(host, violation);
        let (name, why) = (self.name_of(host), violation.to_string());
        self.tell(Event::Violation { host, name, why: why.clone() });
        self.emit(Output::CloseLane { host, why: why.clone() });
        self.lane_down(host, &why);
    }

    fn frame(&mut self, peer: PeerNo, frame: Frame<'_>) -> Result<(), Violation> {
        if let Frame::Hello(hello) = &frame {
            self.heard_of_this_host(self.peers[peer].host, hello);
        }
        let session = &mut self.peers[peer].session;
        match frame {
            Frame::Hello(hello) => {
                let greeting = session.hello(&hello)?;
                self.greeted(peer, greeting);
            }
            Frame::Ack(items) => {
                session.acked(items)?;
                self.send_tails(peer);
            }
            Frame::Aged(millis) => session.aged(millis)?,
            Frame::Item(item) => {
                let age = session.receive(self.now)?;
                self.item(peer, item, age);
            }
        }
        Ok(())
    }

    fn greeted(&mut self, peer: PeerNo, greeting: Greeting) {
        let host = self.peers[peer].host;
        if let Some(at) = self.peers[peer].abandon_at.take() {
            self.due.clear(at, Due::Abandon(peer));
        }
        if let Greeting::Anew { sent } = greeting {
            self.peers[peer].introduced = false;
            self.remote.forget(peer);
            self.letters_begin_anew(host);
            for caller in self.calls.begin_anew(peer, sent) {
                self.settle(caller, Err(Failure::Gone));
            }
        }
        if !std::mem::replace(&mut self.peers[peer].introduced, true) {
            self.introduce(peer);
        }
        self.compare_rosters(peer);
        if let Some(documents) = &mut self.documents {
            documents.at.lane_up(host);
        }
        self.peers[peer].trouble = None;
        self.pump_letters(host);
        let anew = matches!(greeting, Greeting::Anew { .. });
        let name = self.name_of(host);
        self.tell(Event::LaneUp { host, name, anew });
    }

    /// A host has been out of reach for long: what waits for it ends.
    pub(super) fn abandon(&mut self, number: PeerNo) {
        self.counters.add(Counter::Abandoned, 1);
        if self.peers[number].lane {
            let (host, why) = (self.peers[number].host, "it does not greet");
            self.emit(Output::CloseLane { host, why: why.to_owned() });
            self.lane_down(host, why);
        }
        let peer = &mut self.peers[number];
        if let Some(at) = peer.abandon_at.take() {
            self.due.clear(at, Due::Abandon(number));
        }
        peer.introduced = false;
        let sent = peer.session.abandon();
        let host = peer.host;
        self.letters_begin_anew(host);
        self.remote.forget(number);
        self.tails.remove(&number);
        for (caller, sent) in self.calls.abandon(number, sent) {
            let why = if sent { Failure::Gone } else { Failure::Unreachable };
            self.settle(caller, Err(why));
        }
    }

    fn item(&mut self, peer: PeerNo, item: Item<'_>, age_ms: u32) {
        let host = self.peers[peer].host;
        match item {
            Item::Call { from, to, dialog, budget_ms, name, codec, body } => {
                let asker = starling_protocols::ident::Address { host, agent: from };
                let json = codec == starling_protocols::exchange::Codec::Json;
                let dialog = Dialog { asker, number: dialog, json };
                if age_ms < budget_ms {
                    self.called(dialog, to, name, body);
                } else {
                    self.counters.add(Counter::ExpiredCalls, 1);
                }
            }
            Item::Reply { to, dialog, body } => self.answered(peer, to, dialog, Ok(body.to_vec())),
            Item::Failed { to, dialog, why } => self.answered(peer, to, dialog, Err(why)),
            Item::Notify { from, to, name, codec, body } => {
                let from = starling_protocols::ident::Address { host, agent: from };
                let to = starling_protocols::ident::Address { host: self.me, agent: to };
                self.notify(from, to, name, codec, body.to_vec());
            }
            Item::Publish(rumour) => self.rumour(peer, &rumour),
            Item::Interests { listen, ignore } => self.peer_interests(peer, &listen, &ignore),
            Item::Tail { topic, next } => self.tail(peer, topic, next),
            Item::Repair { topic, from, until } => self.repair(peer, topic, from, until),
            Item::Lost { topic, until } => self.lost(peer, topic, until),
            Item::Hosts(records) => self.learn_from(peer, &records),
            Item::Letter { epoch, number, first, from, to, name, codec, body } => {
                let (name, body) = (name.into(), body.into());
                let letter = Letter { host: self.me, epoch, number, from, to, name, codec, body };
                self.letter_in(host, letter, first);
            }
            Item::LettersTaken { epoch, upto } => self.letters_taken(host, epoch, upto),
            Item::LetterRefused { epoch, number, why } => {
                self.letter_refused(host, epoch, number, why);
            }
            Item::Roster(digest) => self.digest(peer, &digest),
            Item::Documents(bytes) => self.documents_heard(host, bytes),
        }
    }

    /// A call from another host: never for the engine itself, which serves its own host only.
    fn called(
        &mut self,
        dialog: Dialog,
        to: starling_protocols::ident::AgentId,
        name: &str,
        body: &[u8],
    ) {
        if let Err(why) = self.deliver_request(to, name, dialog, body.to_vec()) {
            self.answer(dialog, Err(why));
        }
    }

    /// The peer to reach a host by, with a link asked for if there is none.
    pub(super) fn reach(&mut self, host: HostId) -> Result<PeerNo, Failure> {
        let peer = self.peers.find(host);
        if let Some(peer) = peer.filter(|peer| self.peers[*peer].lane) {
            return Ok(peer);
        }
        if self.roster.get(host).is_none_or(|record| record.left) {
            self.counters.add(Counter::Unreachable, 1);
            return Err(Failure::Unreachable);
        }
        let peer = self.peers.find_or_add(host);
        if self.links.want(host, false) {
            self.dial(host);
        }
        self.watch_unlinked(peer);
        Ok(peer)
    }

    /// Sees to it that nothing is queued for ever for a host that never comes.
    fn watch_unlinked(&mut self, number: PeerNo) {
        let at = self.now + ABANDON_AFTER;
        let peer = &mut self.peers[number];
        if peer.abandon_at.is_none() {
            peer.abandon_at = Some(at);
            self.due.set(at, Due::Abandon(number));
        }
    }
}
