use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use starling_protocols::{
    exchange::{Class, Codec, Failure, Item},
    ident::{Address, AgentId, HostId, Incarnation},
    journal::{Letter, LetterId, Outbox, Record},
    limits::{LETTERS_IN_FLIGHT_MAX, OUTBOX_BYTES_MAX, OUTBOX_LETTERS_MAX},
    time::Time,
};

use super::{
    Counter, Due, Engine, Event, Now, Output, Ticket,
    agents::AgentNo,
    journal::Held,
    lanes::PeerNo,
    mail::{Mail, Notification},
    run::fits,
};

/// How often a host with letters waiting for it is looked for.
const RETRY: Duration = Duration::from_secs(30);

/// Durable letters: those to other agents that have not been taken, and how far those of other
/// hosts have been.
///
/// Letters to one host are numbered. A letter is sent when its record is durable, again on every
/// new session, and dropped when the host has taken it, durably. The receiver hands letters out in
/// the order of their numbers and passes over what it has had: so each is handled exactly once.
#[derive(Default)]
pub(super) struct Letters {
    out: BTreeMap<HostId, Out>,
    taken: BTreeMap<HostId, In>,
}

#[derive(Default)]
struct Out {
    epoch: Incarnation,
    /// The number of the next letter, from one.
    next: u64,
    letters: VecDeque<Letter<'static>>,
    bytes: usize,
    /// The number of the last that is durable.
    durable: u64,
    /// The number of the last that was sent in the present session.
    sent: u64,
    retry_at: Option<Time>,
    /// Since when the first of them waits, or since when it is the first.
    since: Time,
}

#[derive(Clone, Copy)]
struct In {
    epoch: Incarnation,
    /// The number of the last that was handed to its agent.
    seen: u64,
    /// The number of the last that was handled: what is recorded from here on knows of it.
    handled: u64,
    /// The number of the last that was handled, durably.
    taken: u64,
}

impl Out {
    /// The number of the first letter that has not been taken.
    fn first(&self) -> u64 {
        self.next - self.letters.len() as u64
    }

    fn letter(&self, number: u64) -> Option<&Letter<'static>> {
        let place = usize::try_from(number.checked_sub(self.first())?).ok()?;
        self.letters.get(place)
    }

    /// The number of the letter to send next, if one may be.
    fn to_send(&self) -> Option<u64> {
        let number = self.sent.max(self.first() - 1) + 1;
        let in_flight = number - self.first();
        (number <= self.durable && in_flight < LETTERS_IN_FLIGHT_MAX as u64).then_some(number)
    }

    fn is_full(&self) -> bool {
        self.letters.len() >= OUTBOX_LETTERS_MAX || self.bytes >= OUTBOX_BYTES_MAX
    }
}

impl In {
    /// All up to this one were taken.
    const fn after(epoch: Incarnation, number: u64) -> Self {
        Self { epoch, seen: number, handled: number, taken: number }
    }
}

impl Letters {
    pub(super) fn recover(
        &mut self,
        outbox: BTreeMap<HostId, Outbox>,
        taken: BTreeMap<HostId, LetterId>,
        now: Time,
    ) {
        for (host, Outbox { epoch, next, letters }) in outbox {
            if next == 0 {
                continue;
            }
            let bytes = letters.iter().map(|letter| letter.body.len()).sum();
            let (durable, sent, retry_at, since) = (next - 1, 0, None, now);
            let out = Out { epoch, next, letters, bytes, durable, sent, retry_at, since };
            self.out.insert(host, out);
        }
        for (host, LetterId { epoch, number, .. }) in taken {
            self.taken.insert(host, In::after(epoch, number));
        }
    }

    /// All that another file of the journal needs to know.
    pub(super) fn records(&self) -> Vec<Record<'static>> {
        let mut records = Vec::new();
        for (to, out) in &self.out {
            records.extend(out.letters.iter().cloned().map(Record::Post));
            records.push(Record::Numbering { to: *to, epoch: out.epoch, next: out.next });
        }
        for (origin, of) in &self.taken {
            // Not only those that are durable: the agents are recorded as they are now.
            let (origin, epoch, number) = (*origin, of.epoch, of.handled);
            records.push(Record::Took(LetterId { origin, epoch, number }));
        }
        records
    }

    /// A letter was handled, or refused.
    pub(super) fn handled(&mut self, letter: LetterId) {
        let LetterId { origin, epoch, number } = letter;
        if let Some(last) = self.taken.get_mut(&origin).filter(|last| last.epoch == epoch) {
            last.handled = last.handled.max(number);
        }
    }

    /// Letters that wait to be taken.
    pub(super) fn waiting(&self) -> usize {
        self.out.values().map(|out| out.letters.len()).sum()
    }
}

impl Engine {
    /// Posts a letter for somebody outside. [`Answered`](Output::Answered) follows under the same
    /// ticket when the letter is durable here; that it arrives is then only a matter of time.
    pub fn post(&mut self, ticket: Ticket, to: Address, name: &str, body: Vec<u8>, now: Now) {
        self.begin(now);
        let posted = self.post_letter(AgentId::OUTSIDE, to, name, Codec::Json, body, Some(ticket));
        if let Err(why) = posted {
            self.emit(Output::Answered { ticket, outcome: Err(why) });
        }
        self.finish();
    }

    /// Durable letters of this host that have not been taken yet.
    #[must_use]
    pub fn letters_waiting(&self) -> usize {
        self.letters.waiting()
    }

    /// The hosts that letters wait for: how many for each, and since when the first of them waits
    /// for being taken.
    #[must_use]
    pub fn letters_by_host(&self) -> Vec<(HostId, usize, Time)> {
        let waiting = self.letters.out.iter().filter(|(_, out)| !out.letters.is_empty());
        waiting.map(|(host, out)| (*host, out.letters.len(), out.since)).collect()
    }

    /// An agent of this host posts a letter.
    pub(super) fn post_from(&mut self, from: AgentId, to: Address, name: &str, body: Vec<u8>) {
        if let Err(why) = self.post_letter(from, to, name, Codec::Native, body, None) {
            self.undelivered(from, to, name.to_owned(), why);
        }
    }

    fn post_letter(
        &mut self,
        from: AgentId,
        to: Address,
        name: &str,
        codec: Codec,
        body: Vec<u8>,
        ticket: Option<Ticket>,
    ) -> Result<(), Failure> {
        if !fits(&body) {
            self.counters.add(Counter::TooLarge, 1);
            let why = format!("{} bytes are more than a message may have", body.len());
            return Err(Failure::BadBody(why));
        }
        if let Some(why) = self.storage_trouble().filter(|_| ticket.is_some()) {
            return Err(Failure::Storage(why.to_owned()));
        }
        // A host that letters went to before is a host of the mesh: in a new life, agents come back
        // before the others are known again.
        let written_to = self.letters.out.contains_key(&to.host);
        if to.host != self.me && !written_to && self.roster.get(to.host).is_none() {
            self.counters.add(Counter::Unreachable, 1);
            return Err(Failure::Unreachable);
        }
        let incarnation = self.record.incarnation;
        let fresh = || Out { epoch: incarnation, next: 1, ..Out::default() };
        let out = self.letters.out.entry(to.host).or_insert_with(fresh);
        if out.is_full() {
            self.counters.add(Counter::OutboxFull, 1);
            return Err(Failure::Busy);
        }
        if out.letters.is_empty() {
            out.since = self.now;
        }
        let number = out.next;
        out.next += 1;
        out.bytes += body.len();
        let letter = Letter {
            host: to.host,
            epoch: out.epoch,
            number,
            from,
            to: to.agent,
            name: Cow::Owned(name.to_owned()),
            codec,
            body: Cow::Owned(body),
        };
        out.letters.push_back(letter.clone());
        self.counters.add(Counter::LettersPosted, 1);
        self.note_and_hold(&Record::Post(letter), Held::Posted { to: to.host, number, ticket });
        Ok(())
    }

    /// A letter is durable here: it may be sent.
    pub(super) fn posted(&mut self, to: HostId, number: u64, ticket: Option<Ticket>) {
        if let Some(out) = self.letters.out.get_mut(&to) {
            out.durable = out.durable.max(number);
        }
        if let Some(ticket) = ticket {
            let outcome = Ok(number.to_string().into_bytes());
            self.emit(Output::Answered { ticket, outcome });
        }
        self.pump_letters(to);
    }

    pub(super) fn pump_all_letters(&mut self) {
        let hosts: Vec<HostId> = self.letters.out.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.pump_letters(host));
    }

    /// Sends what may be sent to a host.
    pub(super) fn pump_letters(&mut self, to: HostId) {
        let next = |letters: &Letters| letters.out.get(&to).and_then(Out::to_send);
        while let Some(number) = next(&self.letters) {
            let sent = if to == self.me {
                self.letter_to_myself(number)
            } else {
                self.is_linked(to) && self.send_letter(to, number)
            };
            if !sent {
                break;
            }
            if let Some(out) = self.letters.out.get_mut(&to) {
                out.sent = number;
            }
        }
        self.look_again(to);
    }

    fn send_letter(&mut self, host: HostId, number: u64) -> bool {
        let Some(peer) = self.peers.find(host) else { return false };
        if !self.peers[peer].session.has_room() {
            return false;
        }
        let out = self.letters.out.get(&host);
        let first = out.map_or(number, Out::first);
        let Some(letter) = out.and_then(|out| out.letter(number)).cloned() else { return false };
        let Letter { epoch, number, from, to, name, codec, body, .. } = &letter;
        let (epoch, number, from, to, codec) = (*epoch, *number, *from, *to, *codec);
        let item = Item::Letter { epoch, number, first, from, to, name, codec, body };
        self.push(peer, item, Class::Message).is_ok()
    }

    fn letter_to_myself(&mut self, number: u64) -> bool {
        let out = self.letters.out.get(&self.me);
        let first = out.map_or(number, Out::first);
        let Some(letter) = out.and_then(|out| out.letter(number)).cloned() else { return false };
        self.letter_in(self.me, letter, first);
        true
    }

    /// Letters that wait are tried again now and then, because their host may be in no hurry to
    /// link itself.
    fn look_again(&mut self, to: HostId) {
        let at = self.now + RETRY;
        let Some(out) = self.letters.out.get_mut(&to) else { return };
        if to != self.me && !out.letters.is_empty() && out.retry_at.is_none() {
            out.retry_at = Some(at);
            let peer = self.peers.find_or_add(to);
            self.due.set(at, Due::Letters(peer));
            if !self.is_linked(to) {
                // Whether it is known or not, the letters wait.
                let _ = self.reach(to);
            }
        }
    }

    pub(super) fn letters_are_due(&mut self, peer: PeerNo) {
        let host = self.peers[peer].host;
        if let Some(out) = self.letters.out.get_mut(&host) {
            out.retry_at = None;
        }
        self.pump_letters(host);
    }

    /// What was sent in the last session is sent again in the next.
    pub(super) fn letters_begin_anew(&mut self, host: HostId) {
        if let Some(out) = self.letters.out.get_mut(&host) {
            out.sent = 0;
        }
    }

    /// A letter of another host's has come. Letters before the `first` never come.
    pub(super) fn letter_in(&mut self, origin: HostId, letter: Letter<'_>, first: u64) {
        let Letter { epoch, number, from, to, name, codec, body, .. } = letter;
        let fresh = In::after(epoch, first.min(number).saturating_sub(1));
        let last = self.letters.taken.entry(origin).or_insert(fresh);
        if epoch > last.epoch {
            *last = fresh;
        }
        if epoch == last.epoch && fresh.seen > last.seen {
            // This host has forgotten what it took: its disk is older than the letters.
            let missing = fresh.seen - last.seen;
            *last = fresh;
            self.counters.add(Counter::LettersMissing, missing);
        }
        let Some(last) = self.letters.taken.get_mut(&origin) else { return };
        if epoch < last.epoch || number > last.seen.saturating_add(1) {
            return self.counters.add(Counter::LettersOutOfOrder, 1);
        }
        if number <= last.seen {
            self.counters.add(Counter::LettersSeen, 1);
            return self.tell_taken(origin);
        }
        last.seen = number;
        let letter = LetterId { origin, epoch, number };
        let from = Address { host: origin, agent: from };
        // Through the queue even if nobody is there, so that letters are settled in their order.
        let agent = self.agents.find(to);
        let known = agent.and_then(|agent| self.understood(agent, &name, false));
        let (agent, mail) = match (agent, known) {
            (Some(agent), Some(name)) => {
                let body = body.into_owned().into();
                let told = Notification { name, from, topic: None, codec, body };
                (agent, Mail::Letter(letter, Box::new(told)))
            }
            (None, _) => (AgentNo::NOBODY, Mail::Unwelcome(letter, self.absent(to))),
            (Some(_), None) => {
                let why = Failure::Unknown(name.into_owned());
                (AgentNo::NOBODY, Mail::Unwelcome(letter, why))
            }
        };
        if let Some(row) = self.agents.get_mut(agent) {
            row.waiting += 1;
        }
        self.queue.push_back(super::mail::Parcel { to: agent, mail });
    }

    /// Nobody here can handle a letter.
    pub(super) fn refuse_letter(&mut self, letter: LetterId, why: Failure) {
        self.counters.add(Counter::LettersRefused, 1);
        self.letters.handled(letter);
        let held = Held::Took { letter, refused: Some(why) };
        self.note_and_hold(&Record::Took(letter), held);
    }

    /// It is durable here that a letter was handled, or refused.
    pub(super) fn took(&mut self, letter: LetterId, refused: Option<Failure>) {
        let LetterId { origin, epoch, number } = letter;
        if let Some(last) = self.letters.taken.get_mut(&origin)
            && last.epoch == epoch
        {
            last.taken = last.taken.max(number);
        }
        if let Some(why) = refused {
            if origin == self.me {
                self.letter_refused(origin, epoch, number, why);
            } else if let Some(peer) = self.peers.find(origin) {
                let item = Item::LetterRefused { epoch, number, why };
                let _ = self.push(peer, item, Class::Vital);
            }
        }
        self.tell_taken(origin);
    }

    fn tell_taken(&mut self, origin: HostId) {
        let Some(In { epoch, taken, .. }) = self.letters.taken.get(&origin).copied() else {
            return;
        };
        if origin == self.me {
            return self.letters_taken(origin, epoch, taken);
        }
        // Where it does not arrive, the letter comes again, and so does this.
        if let Some(peer) = self.peers.find(origin).filter(|peer| self.peers[*peer].is_met()) {
            let item = Item::LettersTaken { epoch, upto: taken };
            let _ = self.push(peer, item, Class::Vital);
        }
    }

    /// A host has taken letters of this one.
    pub(super) fn letters_taken(&mut self, by: HostId, epoch: Incarnation, upto: u64) {
        let Some(out) = self.letters.out.get_mut(&by).filter(|out| out.epoch == epoch) else {
            return;
        };
        let (before, upto) = (out.letters.len(), upto.min(out.next - 1));
        while out.first() <= upto
            && let Some(letter) = out.letters.pop_front()
        {
            out.bytes -= letter.body.len();
        }
        if out.letters.len() < before {
            out.since = self.now;
            self.note(&Record::Delivered { to: by, upto });
            self.pump_letters(by);
        }
    }

    /// A host could not hand a letter of this one to anybody.
    pub(super) fn letter_refused(
        &mut self,
        by: HostId,
        epoch: Incarnation,
        number: u64,
        why: Failure,
    ) {
        let out = self.letters.out.get(&by).filter(|out| out.epoch == epoch);
        let Some(letter) = out.and_then(|out| out.letter(number)).cloned() else { return };
        let to = Address { host: by, agent: letter.to };
        self.undelivered(letter.from, to, letter.name.into_owned(), why);
    }

    fn undelivered(&mut self, from: AgentId, to: Address, name: String, why: Failure) {
        self.tell(Event::Undelivered { from, to, name: name.clone(), why: why.to_string() });
        if let Some(agent) = self.agents.find(from) {
            self.put_mail(agent, Mail::Undelivered(Box::new((to, name, why))));
        }
    }
}
