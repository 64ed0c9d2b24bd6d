use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    Durability, Entry, Era, Letter, LetterId, Life, LifeHead, Moment, Record, Sequence, Snapshot,
};
use crate::ident::{HostId, Incarnation, MeshId};

/// The era and the moment in which records happened: what stands before them in the journal.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    /// The latest era.
    pub era: Option<Arc<Era<'static>>>,
    /// The latest moment.
    pub moment: Moment,
}

impl Tracker {
    /// Looks at the next record.
    pub fn see(&mut self, record: &Record<'_>) {
        match record {
            Record::Era(era) => self.era = Some(Arc::new(era.clone().into_owned())),
            Record::At { time, wall } => self.moment = Moment { time: *time, wall: *wall },
            _ => {}
        }
    }
}

/// What a host finds in its journal when it begins another life.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The number of the next record.
    pub next: Sequence,
    /// When the last record was made.
    pub moment: Moment,
    /// The mesh in which it was made; `None` when nothing was recorded.
    pub mesh: Option<MeshId>,
    /// The agents that live on, in the order in which their lives began.
    pub lives: Vec<OldLife>,
    /// Agents that should live on and cannot, because something of their journal is damaged or
    /// missing; and what.
    pub lost: Vec<(LifeHead<'static>, String)>,
    /// Letters that have not been taken yet, by the host they go to.
    pub outbox: BTreeMap<HostId, Outbox>,
    /// The last letter taken, by the host it came from.
    pub taken: BTreeMap<HostId, LetterId>,
}

impl Recovered {
    /// What a host without a journal finds.
    #[must_use]
    pub fn nothing() -> Self {
        Self { next: Sequence::FIRST, ..Self::default() }
    }
}

/// An agent that lives on: handling `entries` from `snapshot` on makes its exact state.
#[derive(Clone, Debug)]
pub struct OldLife {
    /// Who it is.
    pub head: LifeHead<'static>,
    /// The last time it was recorded whole.
    pub snapshot: Snapshot<'static>,
    /// What it has handled since, in order.
    pub entries: Vec<OldEntry>,
}

/// An entry with what stood before it.
#[derive(Clone, Debug)]
pub struct OldEntry {
    /// The number of the record.
    pub sequence: Sequence,
    /// The era in which it was recorded.
    pub era: Arc<Era<'static>>,
    /// When.
    pub moment: Moment,
    /// The entry.
    pub entry: Entry<'static>,
}

/// Letters to one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// The incarnation of this host in which the numbering began.
    pub epoch: Incarnation,
    /// The number of the next letter, from one.
    pub next: u64,
    /// Those that have not been taken yet, in order.
    pub letters: VecDeque<Letter<'static>>,
}

/// Reads a journal back.
///
/// Fed with all records in order it needs nothing else. Who keeps an index may feed less: first the
/// open lives' [`Record::Life`], the open [`Record::Post`] and then the [`Record::Numbering`] of each
/// outbox, the last [`Record::Took`] of each origin and the [`Record::Era`] of what follows; then,
/// in order, all pages with entries of an open life since its last snapshot; and the last page.
#[derive(Debug, Default)]
pub struct Recovery {
    tracker: Tracker,
    next: Sequence,
    lives: BTreeMap<Life, Found>,
    recovered: Recovered,
}

#[derive(Debug)]
struct Found {
    head: LifeHead<'static>,
    snapshot: Option<Snapshot<'static>>,
    entries: Vec<OldEntry>,
    trouble: Option<String>,
}

impl Recovery {
    /// Begins.
    #[must_use]
    pub fn new() -> Self {
        Self { next: Sequence::FIRST, ..Self::default() }
    }

    /// Takes the next record.
    pub fn record(&mut self, sequence: Sequence, record: Record<'_>) {
        self.tracker.see(&record);
        self.next = self.next.max(sequence.next());
        match record {
            Record::Era(_) | Record::At { .. } => {}
            Record::Life(head) => self.life(head),
            Record::Snapshot(snapshot) => {
                if let Some(found) = self.lives.get_mut(&snapshot.life) {
                    found.entries.clear();
                    found.trouble = None;
                    found.snapshot = Some(snapshot.into_owned());
                }
            }
            Record::Entry(entry) => self.entry(sequence, entry),
            Record::End { life, .. } => drop(self.lives.remove(&life)),
            Record::Post(letter) => self.post(letter),
            Record::Delivered { to, upto } => {
                let outbox = self.recovered.outbox.entry(to).or_default();
                outbox.letters.retain(|letter| letter.number > upto);
            }
            Record::Took(letter) => self.took(letter),
            Record::Numbering { to, epoch, next } => {
                let outbox = self.recovered.outbox.entry(to).or_default();
                if next >= outbox.next {
                    (outbox.epoch, outbox.next) = (epoch, next);
                }
            }
            Record::Gap { life, from, .. } => {
                self.trouble(life, || format!("its inputs from {from} on were not recorded"));
            }
        }
    }

    /// Something of a life's journal cannot be read: unless a later snapshot comes, it cannot go
    /// on.
    pub fn damaged(&mut self, life: Life, why: &str) {
        self.trouble(life, || why.to_owned());
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Recovered {
        let mut recovered = self.recovered;
        recovered.next = self.next;
        recovered.moment = self.tracker.moment;
        recovered.mesh = self.tracker.era.map(|era| era.mesh);
        for found in self.lives.into_values() {
            let Found { head, snapshot, entries, trouble } = found;
            match (snapshot, trouble) {
                (Some(snapshot), None) => {
                    recovered.lives.push(OldLife { head, snapshot, entries });
                }
                (_, Some(why)) => recovered.lost.push((head, why)),
                (None, None) => recovered.lost.push((head, "it has no snapshot".to_owned())),
            }
        }
        recovered
    }

    fn life(&mut self, head: LifeHead<'_>) {
        if head.durability == Durability::WriteAhead {
            let found = || Found {
                head: head.clone().into_owned(),
                snapshot: None,
                entries: Vec::new(),
                trouble: None,
            };
            self.lives.entry(head.life).or_insert_with(found).head = head.clone().into_owned();
        }
    }

    fn entry(&mut self, sequence: Sequence, entry: Entry<'_>) {
        if let Some(letter) = entry.letter {
            self.took(letter);
        }
        let Some(found) = self.lives.get_mut(&entry.life) else { return };
        let Some(snapshot) = &found.snapshot else { return };
        let expected = snapshot.number + found.entries.len() as u64;
        if entry.number < expected {
            return;
        }
        let (number, moment) = (entry.number, self.tracker.moment);
        match &self.tracker.era {
            Some(era) if number == expected => {
                let (era, entry) = (Arc::clone(era), entry.into_owned());
                found.entries.push(OldEntry { sequence, era, moment, entry });
            }
            Some(_) => {
                found.trouble = Some(format!("its input {expected} is missing before {number}"));
            }
            None => found.trouble = Some("nothing says in which era it was recorded".to_owned()),
        }
    }

    fn post(&mut self, letter: Letter<'_>) {
        let outbox = self.recovered.outbox.entry(letter.host).or_default();
        if letter.number >= outbox.next {
            outbox.epoch = letter.epoch;
            outbox.next = letter.number + 1;
            outbox.letters.push_back(letter.into_owned());
        }
    }

    fn took(&mut self, letter: LetterId) {
        let last = self.recovered.taken.entry(letter.origin).or_insert(letter);
        if (last.epoch, last.number) < (letter.epoch, letter.number) {
            *last = letter;
        }
    }

    fn trouble(&mut self, life: Life, why: impl FnOnce() -> String) {
        if let Some(found) = self.lives.get_mut(&life) {
            found.trouble.get_or_insert_with(why);
        }
    }
}
