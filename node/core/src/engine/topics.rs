use std::{collections::VecDeque, sync::Arc, time::Duration};

use starling_protocols::{
    exchange::{Class, Codec, Delivery, Gossip, Item, PushError, Rumour},
    ident::{Address, AgentId, HostId, Incarnation},
    interest::{Arrival, Kept, Repair, TopicName},
    limits::{
        GOSSIP_BYTES_MAX, REPAIR_MESSAGES_MAX, STREAMS_IN_MAX, TOPICS_PER_AGENT_MAX,
        TOPICS_PER_PEER_MAX,
    },
    wire,
};

use super::{
    Counter, Engine, GossipId, Output, Ticket, Verdict,
    agents::AgentNo,
    lanes::PeerNo,
    mail::{Mail, Parcel},
    run::{Told, fits},
};
use crate::{agent::BodyOf, guard::guarded};

/// When the number of the last message on a topic is told for the first time; then after four
/// times as long.
const TAIL_FIRST: Duration = Duration::from_millis(500);

/// How often it is told.
const TAIL_ROUNDS: u32 = 3;

/// Who on this host listens to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listener {
    Agent(AgentNo),
    Outside(Ticket),
}

/// The latest numbers seen of one origin on one topic.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The greatest.
    last: u64,
    /// Which of those before it were seen; the lowest bit is the one just before.
    before: u128,
}

impl Window {
    /// Takes a number up. Gives whether it is new: not seen, and not too old to tell.
    fn is_new(&mut self, number: u64) -> bool {
        if let Some(ahead) = number.checked_sub(self.last).filter(|ahead| *ahead > 0) {
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            let moved = self.before.checked_shl(shift).unwrap_or(0);
            let own = 1u128.checked_shl(shift - 1).unwrap_or(0);
            self.before = if self.last > 0 { moved | own } else { 0 };
            self.last = number;
            return true;
        }
        let Some(place) = (self.last - number).checked_sub(1).filter(|place| *place < 128) else {
            return false;
        };
        let bit = 1u128 << place;
        let new = self.before & bit == 0;
        self.before |= bit;
        new
    }
}

/// How far a message went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) local: usize,
    pub(super) hosts: usize,
}

impl Engine {
    pub(super) fn listen(&mut self, topic: &TopicName, who: Listener) {
        if self.listeners.count_of(who) >= TOPICS_PER_AGENT_MAX {
            return self.counters.add(Counter::AgentTopicsFull, 1);
        }
        if self.listeners.listen(topic, who) {
            let joined = self.buckets.entry(topic.bucket()).or_insert(0);
            *joined += 1;
            if *joined == 1 {
                self.emit(Output::JoinBucket { bucket: topic.bucket() });
            }
            self.tell_interests(&[topic.as_str()], &[]);
        }
    }

    pub(super) fn ignore(&mut self, topic: &TopicName, who: Listener) {
        if self.listeners.ignore(topic, who) {
            self.nobody_listens(topic);
        }
    }

    pub(super) fn forget_listener(&mut self, who: Listener) {
        for topic in self.listeners.forget(who) {
            self.nobody_listens(&topic);
        }
    }

    fn nobody_listens(&mut self, topic: &TopicName) {
        self.incoming.forget(topic);
        let bucket = topic.bucket();
        if let Some(joined) = self.buckets.get_mut(&bucket) {
            *joined -= 1;
            if *joined == 0 {
                self.buckets.remove(&bucket);
                self.emit(Output::LeaveBucket { bucket });
            }
        }
        self.tell_interests(&[], &[topic.as_str()]);
    }

    /// Peers that have been introduced to are told of every change.
    fn tell_interests(&mut self, listen: &[&str], ignore: &[&str]) {
        for peer in self.peers.numbers() {
            if self.peers[peer].is_introduced() {
                let item = Item::Interests { listen: listen.into(), ignore: ignore.into() };
                let _ = self.push(peer, item, Class::Vital);
            }
        }
    }

    pub(super) fn peer_interests(&mut self, peer: PeerNo, listen: &[&str], ignore: &[&str]) {
        for topic in listen {
            match topic.parse::<TopicName>() {
                Ok(topic) if self.remote.count_of(peer) < TOPICS_PER_PEER_MAX => {
                    self.remote.listen(&topic, peer);
                    // It may have followed this topic before, and missed something meanwhile.
                    if self.outgoing.next(topic.as_str()) > 1 {
                        self.tails.entry(peer).or_default().insert(topic);
                    }
                }
                _ => self.counters.add(Counter::BadInterests, 1),
            }
        }
        self.send_tails(peer);
        for topic in ignore.iter().filter_map(|topic| topic.parse::<TopicName>().ok()) {
            self.remote.ignore(&topic, peer);
            if let Some(tails) = self.tails.get_mut(&peer) {
                tails.remove(&topic);
            }
        }
    }

    /// Publishes for an agent of this host, or for somebody outside.
    pub(super) fn publish(
        &mut self,
        from: AgentId,
        topic: &TopicName,
        delivery: Delivery,
        codec: Codec,
        body: Vec<u8>,
    ) -> Reach {
        if !fits(&body) {
            self.counters.add(Counter::TooLarge, 1);
            return Reach::default();
        }
        let ordered = delivery != Delivery::Hint;
        let hosts = self.publish_abroad(from, topic, ordered, codec, &body);
        let from = Address { host: self.me, agent: from };
        let local = self.deliver(from, topic, codec, body);
        Reach { local, hosts }
    }

    fn publish_abroad(
        &mut self,
        from: AgentId,
        topic: &TopicName,
        ordered: bool,
        codec: Codec,
        body: &[u8],
    ) -> usize {
        let by_gossip = !ordered || self.is_large();
        // Once numbered, always numbered: who comes back must see what it has missed.
        let numbered = self.outgoing.next(topic.as_str()) > 1;
        if !by_gossip && !numbered && !self.remote.any(topic.as_str()) {
            return 0;
        }
        let keep = || ordered.then(|| Kept { from, codec, body: body.to_vec() });
        let sequence = self.outgoing.number(topic, keep);
        let rumour = Rumour { topic: topic.as_str(), sequence, ordered, from, codec, body };
        let mut hosts = 0;
        if ordered {
            let listening: Vec<PeerNo> = self.remote.of(topic.as_str()).collect();
            for peer in listening {
                match self.push(peer, Item::Publish(rumour), Class::Message) {
                    Ok(_) => hosts += 1,
                    // The peer learns of the gap as soon as its queue has room.
                    Err(PushError::Full | PushError::TooLarge) => {
                        self.tails.entry(peer).or_default().insert(topic.clone());
                    }
                }
            }
        }
        if by_gossip {
            let incarnation = self.record.incarnation;
            self.gossip(topic, &Gossip::Publish { incarnation, rumour });
            if ordered {
                self.tell_tail_later(topic);
            }
        }
        hosts
    }

    fn gossip(&mut self, topic: &TopicName, gossip: &Gossip<'_>) {
        let bytes = wire::encode(gossip);
        if bytes.len() <= GOSSIP_BYTES_MAX {
            self.emit(Output::Gossip { bucket: topic.bucket(), bytes });
        } else {
            self.counters.add(Counter::TooLarge, 1);
        }
    }

    /// When the last message on a topic is lost, no later one shows the gap: so its number is
    /// told again a few times, at growing distance.
    fn tell_tail_later(&mut self, topic: &TopicName) {
        if let Some((at, _)) = self.tail_rounds.insert(topic.clone(), (self.now + TAIL_FIRST, 0)) {
            self.tails_at.remove(&(at, topic.clone()));
        }
        self.tails_at.insert((self.now + TAIL_FIRST, topic.clone()));
    }

    /// Tells the tails that are due over gossip.
    pub(super) fn tell_tails(&mut self) {
        while let Some((at, topic)) =
            self.tails_at.first().cloned().filter(|(at, _)| *at <= self.now)
        {
            self.tails_at.remove(&(at, topic.clone()));
            let Some((_, round)) = self.tail_rounds.remove(&topic) else { continue };
            let incarnation = self.record.incarnation;
            let next = self.outgoing.next(topic.as_str());
            self.gossip(&topic, &Gossip::Tail { incarnation, topic: topic.as_str(), next });
            if round + 1 < TAIL_ROUNDS {
                let at = self.now + TAIL_FIRST * 4u32.pow(round + 1);
                self.tail_rounds.insert(topic.clone(), (at, round + 1));
                self.tails_at.insert((at, topic));
            }
        }
    }

    /// Hands a message to all who listen to it here.
    fn deliver(&mut self, from: Address, topic: &TopicName, codec: Codec, body: Vec<u8>) -> usize {
        let listening: Vec<Listener> = self.listeners.of(topic.as_str()).collect();
        let count = listening.len();
        let body: Arc<[u8]> = body.into();
        for who in listening {
            match who {
                Listener::Agent(agent) => {
                    let told = Told { from, topic: Some(topic), codec, body: Arc::clone(&body) };
                    self.deliver_notification(agent, topic.notification(), told);
                }
                Listener::Outside(ticket) => {
                    let topic = topic.clone();
                    let body = self.show(topic.notification(), codec, &body);
                    self.emit(Output::Heard { ticket, topic, from, body });
                }
            }
        }
        count
    }

    /// A topic message from a linked host.
    pub(super) fn rumour(&mut self, peer: PeerNo, rumour: &Rumour<'_>) {
        let Some(incarnation) = self.peers[peer].session.peer() else { return };
        let origin = self.peers[peer].host;
        self.heard((origin, incarnation), rumour);
    }

    fn heard(&mut self, origin: (HostId, Incarnation), rumour: &Rumour<'_>) {
        if !self.listeners.any(rumour.topic) {
            return;
        }
        let Ok(topic) = rumour.topic.parse::<TopicName>() else { return };
        if !rumour.ordered {
            return self.hinted(origin, &topic, rumour);
        }
        let held = || (rumour.from, rumour.codec, rumour.body.to_vec());
        let (arrivals, repair) =
            self.incoming.arrived(origin, &topic, rumour.sequence, held, self.now);
        self.deliver_arrivals(origin.0, &topic, arrivals, Some(rumour));
        if let Some(repair) = repair {
            self.ask_repair(origin.0, &topic, &repair);
        }
    }

    fn hinted(&mut self, origin: (HostId, Incarnation), topic: &TopicName, rumour: &Rumour<'_>) {
        let Some(missed) = self.incoming.hinted(origin, topic, rumour.sequence) else { return };
        if missed > 0 {
            self.counters.add(Counter::HintsMissed, missed);
            self.report_missed(topic, missed);
        }
        let from = Address { host: origin.0, agent: rumour.from };
        self.deliver(from, topic, rumour.codec, rumour.body.to_vec());
    }

    pub(super) fn deliver_arrivals(
        &mut self,
        origin: HostId,
        topic: &TopicName,
        arrivals: VecDeque<Arrival>,
        this: Option<&Rumour<'_>>,
    ) {
        for arrival in arrivals {
            let (from, codec, body) = match (arrival, this) {
                (Arrival::ThisOne, Some(this)) => (this.from, this.codec, this.body.to_vec()),
                (Arrival::Message { from, codec, body }, _) => (from, codec, body),
                (Arrival::Gap { missed }, _) => {
                    self.report_missed(topic, missed);
                    continue;
                }
                (Arrival::ThisOne, None) => continue,
            };
            self.deliver(Address { host: origin, agent: from }, topic, codec, body);
        }
    }

    fn report_missed(&mut self, topic: &TopicName, count: u64) {
        let listening: Vec<Listener> = self.listeners.of(topic.as_str()).collect();
        for who in listening {
            self.counters.add(Counter::Missed, count);
            match who {
                Listener::Outside(ticket) => {
                    self.emit(Output::Missed { ticket, topic: topic.clone(), count });
                }
                Listener::Agent(agent) => self.agent_missed(agent, topic, count),
            }
        }
    }

    /// Tells an agent of a gap: one message per topic, however many gaps there are before the
    /// agent comes to it.
    pub(super) fn agent_missed(&mut self, agent: AgentNo, topic: &TopicName, count: u64) {
        let Some(row) = self.agents.get_mut(agent) else { return };
        if let Some(before) = row.missed.get_mut(topic) {
            *before = before.saturating_add(count);
            return;
        }
        row.missed.insert(topic.clone(), count);
        let kind = row.kind;
        if self.check_storage(kind).is_err() {
            // It is told when something can be stored again.
            return;
        }
        let Some(row) = self.agents.get_mut(agent) else { return };
        row.waiting += 1;
        let mail = Mail::Missed { topic: topic.clone(), count: 0 };
        self.queue.push_back(Parcel { to: agent, mail });
    }

    fn ask_repair(&mut self, origin: HostId, topic: &TopicName, repair: &Repair) {
        if let Ok(peer) = self.reach(origin) {
            let (from, until) = (repair.from, repair.until);
            let item = Item::Repair { topic: topic.as_str(), from, until };
            let _ = self.push(peer, item, Class::Vital);
        }
    }

    /// A peer has missed messages of this host's.
    pub(super) fn repair(&mut self, peer: PeerNo, topic: &str, from: u64, until: u64) {
        let until = until.min(self.outgoing.next(topic));
        let kept = self.outgoing.kept(topic, from, until).take(REPAIR_MESSAGES_MAX);
        let kept: Vec<(u64, Kept)> = kept.map(|(number, kept)| (number, kept.clone())).collect();
        let first = kept.first().map_or(until, |(number, _)| *number);
        if first > from {
            let _ = self.push(peer, Item::Lost { topic, until: first }, Class::Vital);
        }
        for (sequence, Kept { from, codec, body }) in kept {
            let rumour = Rumour { topic, sequence, ordered: true, from, codec, body: &body };
            let _ = self.push(peer, Item::Publish(rumour), Class::Vital);
            self.counters.add(Counter::Repaired, 1);
        }
    }

    pub(super) fn lost(&mut self, peer: PeerNo, topic: &str, until: u64) {
        let Some((origin, topic)) = self.origin_and_topic(peer, topic) else { return };
        let (arrivals, repair) = self.incoming.lost(origin, &topic, until, self.now);
        self.deliver_arrivals(origin.0, &topic, arrivals, None);
        if let Some(repair) = repair {
            self.ask_repair(origin.0, &topic, &repair);
        }
    }

    pub(super) fn tail(&mut self, peer: PeerNo, topic: &str, next: u64) {
        let Some((origin, topic)) = self.origin_and_topic(peer, topic) else { return };
        if let Some(repair) = self.incoming.tail(origin, &topic, next, self.now) {
            self.ask_repair(origin.0, &topic, &repair);
        }
    }

    /// Tells a peer whose queue was full how far the topics have gone that it missed.
    pub(super) fn send_tails(&mut self, peer: PeerNo) {
        let session = &self.peers[peer].session;
        if self.tails.is_empty() || !session.is_open() || !session.has_room() {
            return;
        }
        let Some(topics) = self.tails.remove(&peer) else { return };
        for topic in topics {
            let next = self.outgoing.next(topic.as_str());
            let item = Item::Tail { topic: topic.as_str(), next };
            let _ = self.push(peer, item, Class::Vital);
        }
    }

    pub(super) fn gossiped(&mut self, id: GossipId, origin: HostId, bytes: &[u8]) {
        let verdict = self.judge(origin, bytes);
        match verdict {
            Verdict::Accept => {}
            Verdict::Ignore => self.counters.add(Counter::OldGossip, 1),
            Verdict::Reject => self.counters.add(Counter::BadGossip, 1),
        }
        self.emit(Output::Judge { id, verdict });
    }

    fn judge(&mut self, origin: HostId, bytes: &[u8]) -> Verdict {
        let Ok(gossip) = wire::decode_borrowed(bytes, GOSSIP_BYTES_MAX) else {
            return Verdict::Reject;
        };
        let (incarnation, topic) = match &gossip {
            Gossip::Publish { incarnation, rumour } => (*incarnation, rumour.topic),
            Gossip::Tail { incarnation, topic, .. } => (*incarnation, *topic),
        };
        let Ok(topic) = topic.parse::<TopicName>() else { return Verdict::Reject };
        // Whoever is not on the roster may be new: its record is on its way.
        let known = self.roster.get(origin).map(|record| record.incarnation);
        if origin == self.me || known.is_none_or(|known| known > incarnation) {
            return Verdict::Ignore;
        }
        match gossip {
            Gossip::Publish { rumour, .. } => {
                if !self.is_news(origin, incarnation, &topic, rumour.sequence) {
                    return Verdict::Ignore;
                }
                self.heard((origin, incarnation), &rumour);
            }
            Gossip::Tail { next, .. } => {
                let repair = self.incoming.tail((origin, incarnation), &topic, next, self.now);
                if let Some(repair) = repair {
                    self.ask_repair(origin, &topic, &repair);
                }
            }
        }
        Verdict::Accept
    }

    /// Whether a gossip message is newer than all that gossip brought of its origin on its topic.
    /// Gossipsub forgets what it has seen after a while; what is replayed later ends here.
    fn is_news(
        &mut self,
        origin: HostId,
        incarnation: Incarnation,
        topic: &TopicName,
        sequence: u64,
    ) -> bool {
        if self.gossip_seen.len() >= STREAMS_IN_MAX {
            self.gossip_seen.pop_first();
        }
        let seen = self.gossip_seen.entry((origin, topic.clone())).or_default();
        let window = &mut seen.1;
        if seen.0 != incarnation {
            if seen.0 > incarnation {
                return false;
            }
            (seen.0, *window) = (incarnation, Window::default());
        }
        window.is_new(sequence)
    }

    fn origin_and_topic(
        &self,
        peer: PeerNo,
        topic: &str,
    ) -> Option<((HostId, Incarnation), TopicName)> {
        let incarnation = self.peers[peer].session.peer()?;
        let topic = topic.parse().ok()?;
        Some(((self.peers[peer].host, incarnation), topic))
    }

    /// Shows a notification to people, where a kind of this host knows its type.
    fn show(&self, name: &str, codec: Codec, body: &[u8]) -> Result<serde_json::Value, Vec<u8>> {
        let shown = match codec {
            Codec::Json => serde_json::from_slice(body).ok(),
            Codec::Native => {
                let of = BodyOf::Notification;
                let mut kinds = self.kinds.iter();
                kinds.find_map(|kind| guarded(|| kind.show(of, name, body)).ok().flatten())
            }
        };
        shown.ok_or_else(|| body.to_vec())
    }
}
