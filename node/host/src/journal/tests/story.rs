//! A small life of a host, told in batches, with what should come back of it.

#![allow(unreachable_pub, reason = "this file is a part of two crates")]

use std::collections::BTreeMap;

use starling_protocols::{
    exchange::Codec,
    ident::{AgentId, HostId, Incarnation, MeshId},
    journal::{
        self, Batch, Durability, Effects, Ended, Entry, Era, Handled, Letter, LetterId, Life,
        LifeHead, Record, Recorder, Recovered, Recovery, Sequence, Snapshot,
    },
    time::{Time, WallTime},
    wire,
};
const ME: HostId = HostId([1; 32]);

/// The host that letters go to and come from.
pub const OTHER: HostId = HostId([2; 32]);

/// Entries between two snapshots.
const SNAPSHOT_ENTRIES: u64 = 6;

/// Two agents that are written ahead and one that is not. Each step is an entry of one of them,
/// and now and then a letter.
#[derive(Debug)]
pub struct Story {
    recorder: Recorder,
    /// The lives of the agents.
    pub lives: Vec<Life>,
    heads: BTreeMap<Life, LifeHead<'static>>,
    numbers: BTreeMap<Life, u64>,
    incarnation: Incarnation,
    clock: u64,
    posted: u64,
    delivered: u64,
    taken: u64,
    /// All that was ever recorded, and is the standard.
    pub told: Vec<(Sequence, Record<'static>)>,
}

impl Story {
    /// The first life of a host.
    #[must_use]
    pub fn begin(recovered: &Recovered) -> Self {
        let mut story = Self {
            recorder: Recorder::new(recovered.next),
            lives: Vec::new(),
            heads: BTreeMap::new(),
            numbers: BTreeMap::new(),
            incarnation: Incarnation(7),
            clock: 1_000_000,
            posted: 0,
            delivered: 0,
            taken: 0,
            told: Vec::new(),
        };
        story.tick();
        story.recorder.note(&Record::Era(story.era()));
        for (agent, durability) in
            [(1, Durability::WriteAhead), (2, Durability::WriteAhead), (3, Durability::History)]
        {
            let life = Life(story.recorder.next().0);
            let head = LifeHead {
                life,
                agent: AgentId(2000 + agent),
                kind: "counter".into(),
                version: 1,
                name: Some(format!("number {agent}").into()),
                durability,
            };
            story.recorder.note(&Record::Life(head.clone()));
            story.recorder.note(&Record::Snapshot(snapshot(life, 0)));
            story.lives.push(life);
            story.heads.insert(life, head);
            story.numbers.insert(life, 0);
        }
        story
    }

    /// The host comes back.
    ///
    /// # Panics
    /// When not all comes back that was told.
    #[must_use]
    pub fn next_life(mut self, recovered: &Recovered, incarnation: Incarnation) -> Self {
        assert_eq!(self.next(), recovered.next);
        self.incarnation = incarnation;
        self.recorder.note(&Record::Era(self.era()));
        self
    }

    /// The number of the next record.
    #[must_use]
    pub fn next(&self) -> Sequence {
        self.recorder.next()
    }

    /// Something happens.
    ///
    /// # Panics
    /// Never.
    pub fn step(&mut self, step: u64) -> Batch {
        self.tick();
        let life = self.lives[usize::try_from(step).expect("a small number") % self.lives.len()];
        let number = self.numbers[&life];
        let letter = (step % 5 == 3).then(|| {
            self.taken += 1;
            LetterId { origin: OTHER, epoch: Incarnation(1), number: self.taken }
        });
        let entry = Entry {
            life,
            number,
            input: format!("input {number} of {life}, step {step}").into_bytes().into(),
            letter,
            handled: Handled::Done,
            effects: Effects::None,
            state: None,
        };
        self.recorder.entry(entry);
        self.numbers.insert(life, number + 1);
        if (number + 1).is_multiple_of(SNAPSHOT_ENTRIES) {
            self.recorder.note(&Record::Snapshot(snapshot(life, number + 1)));
        }
        if step % 3 == 1 {
            self.posted += 1;
            self.recorder.note(&Record::Post(self.letter(self.posted)));
        }
        if step % 9 == 8 {
            self.delivered += 1;
            self.recorder.note(&Record::Delivered { to: OTHER, upto: self.delivered });
        }
        self.recorder.urge();
        self.take()
    }

    /// One of the agents ends.
    pub fn end(&mut self, which: usize) -> Batch {
        self.recorder.note(&Record::End { life: self.lives[which], how: Ended::Stopped });
        self.recorder.urge();
        self.take()
    }

    /// A new file begins.
    pub fn rotate(&mut self) -> Batch {
        self.tick();
        self.recorder.note(&Record::Era(self.era()));
        for life in self.lives.clone() {
            self.recorder.note(&Record::Life(self.heads[&life].clone()));
            self.recorder.note(&Record::Snapshot(snapshot(life, self.numbers[&life])));
        }
        let (epoch, next) = (Incarnation(7), self.posted + 1);
        for number in self.delivered + 1..next {
            self.recorder.note(&Record::Post(self.letter(number)));
        }
        self.recorder.note(&Record::Numbering { to: OTHER, epoch, next });
        if self.taken > 0 {
            let number = self.taken;
            let letter = LetterId { origin: OTHER, epoch: Incarnation(1), number };
            self.recorder.note(&Record::Took(letter));
        }
        self.recorder.urge();
        let mut batch = self.take();
        batch.begins_file = true;
        batch
    }

    /// What should come back of everything told so far.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        self.recovered_of(self.next())
    }

    /// What should come back of all records before this one.
    #[must_use]
    pub fn recovered_of(&self, next: Sequence) -> Recovered {
        let mut recovery = Recovery::new();
        for (sequence, record) in self.told.iter().filter(|(sequence, _)| *sequence < next) {
            recovery.record(*sequence, record.clone());
        }
        recovery.finish()
    }

    fn tick(&mut self) {
        self.clock += 1_000_000;
        let wall = WallTime::from_millis(1_700_000_000_000 + self.clock / 1_000_000);
        self.recorder.at(Time::from_nanos(self.clock), wall);
    }

    fn take(&mut self) -> Batch {
        let batch = self.recorder.take().expect("something was recorded");
        let records = batch.records().map(|record| record.expect("own records decode"));
        self.told.extend(records.map(|(sequence, record)| (sequence, record.into_owned())));
        batch
    }

    fn era(&self) -> Era<'static> {
        Era {
            host: ME,
            name: "a".into(),
            mesh: MeshId([9; 32]),
            incarnation: self.incarnation,
            software: "0.1.0".into(),
            seed: [5; 32],
        }
    }

    fn letter(&self, number: u64) -> Letter<'static> {
        Letter {
            host: OTHER,
            epoch: Incarnation(7),
            number,
            from: AgentId(2001),
            to: AgentId(3000),
            name: "a/b".into(),
            codec: Codec::Native,
            body: format!("letter {number}").into_bytes().into(),
        }
    }
}

fn snapshot(life: Life, number: u64) -> Snapshot<'static> {
    let ball = format!("{life} after {number}").into_bytes();
    Snapshot { life, number, ball: ball.into(), topics: vec!["news".into()] }
}

/// Everything that lives on, in a form that can be compared. An agent may come back from an older
/// snapshot or a newer one with fewer entries: what counts is where it ends, so the standard and
/// what was found are both told from the last snapshot.
#[must_use]
pub fn digest_of(recovered: &Recovered) -> Vec<String> {
    let mut told = vec![format!("next {}", recovered.next)];
    for life in &recovered.lives {
        told.push(format!("{:?} {:?}", life.head, life.snapshot));
        for old in &life.entries {
            let digest = journal::digest(&wire::encode(&Record::Entry(old.entry.clone())));
            let (era, moment) = (old.era.incarnation, old.moment);
            told.push(format!("  {} {era:?} {moment:?} {digest:x}", old.sequence));
        }
    }
    told.extend(recovered.lost.iter().map(|(head, why)| format!("lost {head:?} {why}")));
    told.extend(recovered.outbox.iter().map(|(to, outbox)| format!("{to} {outbox:?}")));
    told.extend(recovered.taken.iter().map(|(from, letter)| format!("{from} {letter:?}")));
    told
}
