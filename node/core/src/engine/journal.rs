use std::{borrow::Cow, collections::VecDeque};

use starling_protocols::{
    exchange::Failure,
    ident::{AgentId, HostId},
    journal::{
        Durability, Ended, Entry, Era, Handled as Recorded, LetterId, Life, LifeHead, Record,
        Recorder, Recovered, Sequence, Snapshot, digest,
    },
    limits::{
        DIGEST_ENTRIES, JOURNAL_BATCH_BYTES_MAX, JOURNAL_BATCH_DELAY, JOURNAL_FILE_AGE_MAX,
        JOURNAL_FILE_BYTES_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_ENTRIES,
    },
    time::{Time, WallTime},
    wire,
};

use super::{
    Counter, Engine, Now, Output, Ticket,
    agents::{AgentNo, Row},
    mail::{Mail, Parcel},
};
use crate::{
    agent::{AnyKind, Dialog, Effect, Handled, Input, record_effects},
    guard::guarded,
};

/// Bytes of one batch after which another is begun.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of agents' states with which another file may begin.
const FILE_HEAD_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How many bytes are recorded of an agent for each that a digest or a snapshot encodes.
const WORTH: u64 = 16;

/// How an engine records, and what it goes on from.
pub struct Recording {
    /// What the host found in its journal.
    pub found: Recovered,
    /// Entries of one agent between two snapshots.
    pub snapshot_entries: u32,
    /// Entries of one agent between two digests of its state. One: after every entry, whatever it
    /// costs; otherwise neither digests nor snapshots of an agent are made before some times as
    /// much of it has been recorded as they encode.
    pub digest_entries: u32,
    /// Bytes of the present file.
    pub file_bytes: u64,
    /// The age of the present file when its last record was made.
    pub file_age: std::time::Duration,
    /// Bytes after which another file is begun.
    pub file_bytes_max: u64,
    /// The age at which another file is begun.
    pub file_age_max: std::time::Duration,
    /// Whether another file is begun at once, because something of the present one is damaged.
    pub begin_file: bool,
}

impl Recording {
    /// With the usual limits.
    #[must_use]
    pub const fn new(found: Recovered) -> Self {
        Self {
            found,
            snapshot_entries: SNAPSHOT_ENTRIES,
            digest_entries: DIGEST_ENTRIES,
            file_bytes: 0,
            file_age: std::time::Duration::ZERO,
            file_bytes_max: JOURNAL_FILE_BYTES_MAX,
            file_age_max: JOURNAL_FILE_AGE_MAX,
            begin_file: false,
        }
    }

    /// When the present file was begun, by the monotonic clock, which goes on through the lives of
    /// the host.
    fn file_since(&self, now: Time) -> Time {
        let last = self.found.moment.time.min(now).as_nanos();
        let age = u64::try_from(self.file_age.as_nanos()).unwrap_or(u64::MAX);
        Time::from_nanos(last.saturating_sub(age))
    }
}

/// How the storage of the journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It takes what it is given.
    Works,
    /// It takes nothing now, and why. What it was given waits.
    Stuck(String),
}

/// What the engine keeps of its journal.
pub(super) struct Journal {
    recorder: Recorder,
    /// The last record that somebody waits for, among those given out.
    urged: Sequence,
    /// The last record that is known to be durable.
    durable: Sequence,
    /// What waits until the record of that number is durable, in order.
    held: VecDeque<(Sequence, Held)>,
    /// When what was collected is written at the latest.
    pub(super) flush_at: Option<Time>,
    /// Why the storage takes nothing, if it does not.
    pub(super) stuck: Option<String>,
    /// Lives that could not be recovered stand in the present file: it is not closed.
    pub(super) keeps_file: bool,
    pub(super) file_bytes: u64,
    file_since: Time,
    snapshot_entries: u32,
    digest_entries: u32,
    file_bytes_max: u64,
    file_age_max: std::time::Duration,
    input: Vec<u8>,
    effects: Vec<u8>,
    ball: Vec<u8>,
}

/// What waits for a record to be durable.
pub(super) enum Held {
    /// The effects of an input.
    Turn { id: AgentId, agent: AgentNo, effects: Vec<Effect> },
    /// The engine's answer to what it was asked.
    Answer { dialog: Dialog, outcome: Result<Vec<u8>, Failure> },
    /// A letter that was handled, or that nobody could handle.
    Took { letter: LetterId, refused: Option<Failure> },
    /// A letter that was posted.
    Posted { to: HostId, number: u64, ticket: Option<Ticket> },
    /// An agent that was taken up has handled that.
    SettledIn { id: AgentId },
}

/// What an agent's row keeps of its journal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recordings {
    /// Its life; zero while nothing of it is recorded.
    pub(super) life: Life,
    /// How many of its inputs are recorded.
    pub(super) upto: u64,
    /// How many it had handled at its last snapshot.
    pub(super) snapshot: u64,
    /// Bytes recorded since it was last encoded whole, and how many bytes that took.
    pub(super) since: u64,
    pub(super) size: u64,
}

impl Recordings {
    /// Whether so much has been recorded since it was last encoded whole that doing it again is a
    /// small part of the cost.
    const fn is_worth_it(&self) -> bool {
        self.since >= self.size.saturating_mul(WORTH)
    }

    const fn encoded(&mut self, bytes: usize) {
        (self.since, self.size) = (0, bytes as u64);
    }
}

impl Journal {
    pub(super) fn new(recording: &Recording, now: Time) -> Self {
        Self {
            recorder: Recorder::new(recording.found.next),
            urged: Sequence::default(),
            durable: Sequence::default(),
            held: VecDeque::new(),
            flush_at: None,
            stuck: None,
            keeps_file: false,
            file_bytes: recording.file_bytes,
            file_since: recording.file_since(now),
            snapshot_entries: recording.snapshot_entries.max(1),
            digest_entries: recording.digest_entries.max(1),
            file_bytes_max: recording.file_bytes_max,
            file_age_max: recording.file_age_max,
            input: Vec::new(),
            effects: Vec::new(),
            ball: Vec::new(),
        }
    }

    /// Records that an agent handled an input. Gives the number, unless the storage is stuck and
    /// nobody waits for it.
    #[expect(clippy::too_many_arguments, reason = "these are the parts of an entry")]
    pub(super) fn entry(
        &mut self,
        row: &mut Row,
        kind: &dyn AnyKind,
        now: (Time, WallTime),
        input: &Input<'_>,
        letter: Option<LetterId>,
        handled: &Result<Handled, String>,
        effects: &[Effect],
    ) -> Option<Sequence> {
        let must = kind.durability() == Durability::WriteAhead || letter.is_some();
        let number = row.inputs - 1;
        if self.stuck.is_some() && !must || row.recordings.life == Life(0) {
            return None;
        }
        self.input.clear();
        wire::encode_into(input, &mut self.input).expect("inputs encode");
        let state = match handled {
            Ok(Ok(())) if self.wants_digest(row) => self.digest(row, kind),
            _ => None,
        };
        let before = self.recorder.len();
        let handled = match handled {
            Ok(Ok(())) => Recorded::Done,
            Ok(Err(why)) => Recorded::Rejected(why.to_string().into()),
            Err(why) => Recorded::Died(Cow::Borrowed(why)),
        };
        let effects = record_effects(effects, &mut self.effects);
        self.recorder.at(now.0, now.1);
        let sequence = self.recorder.entry(Entry {
            life: row.recordings.life,
            number,
            input: Cow::Borrowed(&self.input),
            letter,
            handled,
            effects,
            state,
        });
        if must {
            self.recorder.urge();
        }
        // A letter that was recorded while others were not does not close the gap.
        if row.recordings.upto == number {
            row.recordings.upto = row.inputs;
        }
        row.recordings.since += (self.recorder.len() - before) as u64;
        Some(sequence)
    }

    pub(super) fn wants_snapshot(&self, row: &Row) -> bool {
        row.inputs - row.recordings.snapshot >= u64::from(self.snapshot_entries)
            && (row.recordings.is_worth_it() || self.digest_entries == 1)
            && self.stuck.is_none()
            && !row.stops
    }

    const fn wants_digest(&self, row: &Row) -> bool {
        let turn = row.inputs.is_multiple_of(self.digest_entries as u64);
        turn && (row.recordings.is_worth_it() || self.digest_entries == 1)
    }

    fn digest(&mut self, row: &mut Row, kind: &dyn AnyKind) -> Option<u64> {
        let saved = save(kind, row, &mut self.ball);
        row.recordings.encoded(self.ball.len());
        saved.then(|| digest(&self.ball))
    }

    /// Records an agent whole. Gives whether it could be.
    fn snapshot(&mut self, row: &mut Row, kind: &dyn AnyKind) -> bool {
        let (life, number) = (row.recordings.life, row.inputs);
        row.recordings.snapshot = number;
        let saved = save(kind, row, &mut self.ball);
        row.recordings.encoded(self.ball.len());
        if !saved || self.ball.len() > SNAPSHOT_BYTES_MAX {
            return false;
        }
        let ball = Cow::Borrowed(self.ball.as_slice());
        let topics = row.standing.names().map(Cow::Owned).collect();
        self.recorder.note(&Record::Snapshot(Snapshot { life, number, ball, topics }));
        row.recordings.upto = number;
        true
    }

    pub(super) fn hold(&mut self, until: Sequence, held: Held) {
        self.held.push_back((until, held));
    }

    pub(super) fn next(&self) -> Sequence {
        self.recorder.next()
    }

    /// Records that a letter was handled, apart from its agent.
    pub(super) fn took(&mut self, now: (Time, WallTime), letter: LetterId) -> Sequence {
        self.recorder.at(now.0, now.1);
        let sequence = self.recorder.note(&Record::Took(letter));
        self.recorder.urge();
        sequence
    }

    /// Whether as much is collected as is written at once.
    pub(super) const fn is_large(&self) -> bool {
        self.recorder.len() >= BATCH_BYTES_MAX
    }

    /// The last record that somebody waits for, if it is not durable yet.
    pub(super) fn awaited(&self) -> Option<Sequence> {
        let last = Sequence(self.next().0 - 1);
        let urged = if self.recorder.is_urgent() { last } else { self.urged };
        (urged > self.durable).then_some(urged)
    }

    fn is_file_full(&self, now: Time) -> bool {
        let old = now.since(self.file_since) > self.file_age_max;
        (old || self.file_bytes > self.file_bytes_max) && !self.keeps_file && self.stuck.is_none()
    }
}

/// Encodes an agent whole. What cannot be encoded, or panics at it, has no snapshot.
fn save(kind: &dyn AnyKind, row: &Row, out: &mut Vec<u8>) -> bool {
    out.clear();
    matches!(guarded(|| kind.save(&row.ball, out)), Ok(Ok(())))
}

impl Engine {
    pub(super) fn note_era(&mut self) {
        let seed = self.agent_seed.seed();
        let Some(journal) = &mut self.journal else { return };
        let record = &self.record;
        journal.recorder.note(&Record::Era(Era {
            host: self.me,
            name: Cow::Borrowed(&record.name),
            mesh: self.credential.mesh(),
            incarnation: record.incarnation,
            software: Cow::Borrowed(&record.software),
            seed,
        }));
        journal.recorder.at(self.now, self.wall);
        journal.recorder.urge();
    }

    pub(super) fn put_mail(&mut self, agent: AgentNo, mail: Mail) {
        if let Some(row) = self.agents.get_mut(agent) {
            row.waiting += 1;
            self.queue.push_back(Parcel { to: agent, mail });
        }
    }

    /// Records who an agent is, and the whole of it.
    pub(super) fn note_life(&mut self, agent: AgentNo) {
        let Some(journal) = &mut self.journal else { return };
        let Some(row) = self.agents.get_mut(agent) else { return };
        let kind = &*self.kinds[usize::from(row.kind)];
        let durability = kind.durability();
        if journal.stuck.is_some() && durability == Durability::History {
            return;
        }
        journal.recorder.at(self.now, self.wall);
        if row.recordings.life == Life(0) {
            row.recordings.life = Life(journal.next().0);
        }
        journal.recorder.note(&Record::Life(LifeHead {
            life: row.recordings.life,
            agent: row.id,
            kind: Cow::Borrowed(kind.name()),
            version: kind.version(),
            name: row.name.as_deref().map(Cow::Borrowed),
            durability,
        }));
        let whole = journal.snapshot(row, kind);
        if durability == Durability::WriteAhead {
            journal.recorder.urge();
            // The snapshot that it is replayed from stands in the present file.
            journal.keeps_file |= !whole;
        }
    }

    pub(super) fn note_snapshot(&mut self, agent: AgentNo) {
        let Some(journal) = &mut self.journal else { return };
        let Some(row) = self.agents.get_mut(agent) else { return };
        let kind = &*self.kinds[usize::from(row.kind)];
        journal.snapshot(row, kind);
    }

    pub(super) fn note_end(&mut self, life: Life, how: Ended, urgent: bool) {
        let Some(journal) = &mut self.journal else { return };
        if life == Life(0) || journal.stuck.is_some() && !urgent {
            return;
        }
        journal.recorder.at(self.now, self.wall);
        journal.recorder.note(&Record::End { life, how });
        if urgent {
            journal.recorder.urge();
        }
    }

    /// Records something that somebody waits for; it is done when `held` comes back. Without a
    /// journal, that is at once.
    pub(super) fn note_and_hold(&mut self, record: &Record<'_>, held: Held) {
        let Some(journal) = &mut self.journal else { return self.carry_on(held) };
        journal.recorder.at(self.now, self.wall);
        let sequence = journal.recorder.note(record);
        journal.recorder.urge();
        journal.hold(sequence, held);
    }

    pub(super) fn note(&mut self, record: &Record<'_>) {
        if let Some(journal) = &mut self.journal {
            journal.recorder.note(record);
        }
    }

    /// Whether agents that must not lose anything may take up something new.
    pub(super) fn check_storage(&self, kind: u16) -> Result<(), Failure> {
        let stuck = self.journal.as_ref().and_then(|journal| journal.stuck.as_ref());
        match stuck {
            Some(why) if self.kinds[usize::from(kind)].durability() == Durability::WriteAhead => {
                Err(Failure::Storage(why.clone()))
            }
            _ => Ok(()),
        }
    }

    /// All records up to `upto` are durable: what waited for them goes on.
    pub(super) fn durable(&mut self, upto: Sequence) {
        if let Some(journal) = &mut self.journal {
            journal.durable = journal.durable.max(upto);
        }
        while let Some(journal) = &mut self.journal
            && journal.held.front().is_some_and(|(until, _)| *until <= upto)
        {
            let Some((_, held)) = journal.held.pop_front() else { break };
            self.carry_on(held);
        }
    }

    pub(super) fn carry_on(&mut self, held: Held) {
        match held {
            Held::Turn { id, agent, effects } => {
                for effect in effects {
                    self.apply_late(id, agent, effect);
                }
            }
            Held::Answer { dialog, outcome } => self.answer(dialog, outcome),
            Held::Took { letter, refused } => self.took(letter, refused),
            Held::Posted { to, number, ticket } => self.posted(to, number, ticket),
            Held::SettledIn { id } => self.has_settled_in(id),
        }
    }

    /// Carries out an effect of an agent that may have ended since.
    fn apply_late(&mut self, id: AgentId, agent: AgentNo, effect: Effect) {
        let lives = self.agents.get(agent).is_some();
        let of_the_living = matches!(
            effect,
            Effect::Request { .. }
                | Effect::Listen { .. }
                | Effect::Ignore { .. }
                | Effect::Offer { .. }
                | Effect::Withdraw { .. }
                | Effect::Wake { .. }
                | Effect::StopSelf
        );
        if lives || !of_the_living {
            self.apply_one(id, agent, effect);
        }
    }

    /// The storage has changed.
    pub(super) fn storage(&mut self, storage: Storage) {
        let Some(journal) = &mut self.journal else { return };
        match storage {
            Storage::Stuck(why) => journal.stuck = Some(why),
            Storage::Works => {
                journal.stuck = None;
                self.close_gaps();
                self.tell_missed();
            }
        }
    }

    /// Agents that could take nothing up learn what they have missed.
    fn tell_missed(&mut self) {
        let all = self
            .agents
            .iter()
            .map(|(agent, row)| (agent, row.missed.keys().cloned().collect::<Vec<_>>()));
        let all: Vec<_> = all.collect();
        for (agent, topics) in all {
            for topic in topics {
                self.put_mail(agent, Mail::Missed { topic, count: 0 });
            }
        }
    }

    /// Records what stands in place of the inputs that were not recorded.
    fn close_gaps(&mut self) {
        let all: Vec<AgentNo> = self.agents.iter().map(|(agent, _)| agent).collect();
        for agent in all {
            let Some(row) = self.agents.get(agent) else { continue };
            let (life, from, until) = (row.recordings.life, row.recordings.upto, row.inputs);
            if life == Life(0) {
                self.note_life(agent);
            } else if from < until {
                self.counters.add(Counter::Unrecorded, until - from);
                self.note(&Record::Gap { life, from, until });
                self.note_snapshot(agent);
            }
        }
    }

    /// Gives out what was collected, when it is time.
    pub(super) fn flush_journal(&mut self) {
        let now = self.now;
        let Some(journal) = &mut self.journal else { return };
        if journal.recorder.is_empty() {
            return;
        }
        let at = *journal.flush_at.get_or_insert(now + JOURNAL_BATCH_DELAY);
        let urgent = journal.recorder.is_urgent();
        if urgent || at <= now || journal.recorder.len() >= JOURNAL_BATCH_BYTES_MAX {
            self.give_out(false);
        }
        if self.journal.as_ref().is_some_and(|journal| journal.is_file_full(now)) {
            self.begin_file();
        }
    }

    /// Gives out what was collected, for somebody who is to read it. Gives the number after the
    /// last record; without a journal, the first of all.
    pub fn give_out_records(&mut self, now: Now) -> Sequence {
        self.begin(now);
        self.give_out(false);
        let next = self.journal.as_ref().map_or(Sequence::default(), Journal::next);
        self.finish();
        next
    }

    fn give_out(&mut self, begins_file: bool) {
        let Some(journal) = &mut self.journal else { return };
        journal.flush_at = None;
        let Some(mut batch) = journal.recorder.take() else { return };
        if batch.urgent || begins_file {
            journal.urged = Sequence(batch.next().0 - 1);
        }
        batch.begins_file = begins_file;
        batch.urgent |= begins_file;
        journal.file_bytes = if begins_file { 0 } else { journal.file_bytes };
        journal.file_bytes = journal.file_bytes.saturating_add(batch.bytes.len() as u64);
        self.emit(Output::Record(batch));
    }

    /// A batch is not to grow beyond what is written at once.
    pub(super) fn give_out_if_large(&mut self) {
        if self.journal.as_ref().is_some_and(Journal::is_large) {
            self.give_out(false);
        }
    }

    /// Records all that another file needs to be read by itself: in one batch, so that the file is
    /// there whole or not at all. Where that would be too much, or would forget that an agent has
    /// asked to be stopped, the present file goes on.
    fn begin_file(&mut self) {
        if self.agents.iter().any(|(_, row)| row.stops) {
            return;
        }
        let size: u64 = self.agents.iter().map(|(_, row)| row.recordings.size).sum();
        if size > FILE_HEAD_BYTES_MAX {
            if let Some(journal) = &mut self.journal {
                (journal.file_bytes, journal.file_since) = (0, self.now);
            }
            return;
        }
        self.give_out(false);
        self.note_era();
        let all: Vec<AgentNo> = self.agents.iter().map(|(agent, _)| agent).collect();
        for agent in all {
            self.note_life(agent);
        }
        let letters = self.letters.records();
        for record in &letters {
            self.note(record);
        }
        if let Some(journal) = &mut self.journal {
            journal.file_since = self.now;
        }
        self.give_out(true);
    }

    /// The host goes down: agents that live on are recorded whole, so that the next life begins
    /// where this one ended even if their code has changed.
    pub(super) fn record_all(&mut self) {
        let all: Vec<AgentNo> = self.agents.iter().map(|(agent, _)| agent).collect();
        for agent in all {
            if !self.agents.get(agent).is_some_and(|row| row.stops) {
                self.note_snapshot(agent);
            }
            self.give_out_if_large();
        }
        if let Some(journal) = &mut self.journal {
            journal.recorder.urge();
        }
        self.give_out(false);
    }

    /// How much waits for something to be durable: turns of agents, answers, letters, documents.
    #[must_use]
    pub fn held(&self) -> usize {
        let documents = self.documents.as_ref().map_or(0, |documents| documents.at.storing());
        self.journal.as_ref().map_or(0, |journal| journal.held.len()) + documents
    }

    /// Why the storage of the journal takes nothing, if it does not.
    #[must_use]
    pub fn storage_trouble(&self) -> Option<&str> {
        self.journal.as_ref()?.stuck.as_deref()
    }
}
