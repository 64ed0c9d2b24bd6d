use super::{Effects, Entry, Handled, Life, Moment, Record, Sequence, page::Records};
use crate::{
    time::{Time, WallTime},
    wire,
};

/// How far back it is looked whether a life was noted before.
const LIVES_IN_TURN: usize = 4;

/// Collects the records of one host and numbers them.
#[derive(Debug)]
pub struct Recorder {
    batch: Batch,
    moment: Option<Moment>,
}

/// Records that go to the disk together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The number of its first record.
    pub first: Sequence,
    /// How many records it has.
    pub count: u32,
    /// The records, encoded one after the other.
    pub bytes: Vec<u8>,
    /// Whether somebody waits for it to be durable. One that nobody waits for may be written
    /// without forcing it to the disk.
    pub urgent: bool,
    /// Whether it begins a new file: it holds all that the file needs to be read by itself, and the
    /// file takes the place of the old one only when all of it is durable.
    pub begins_file: bool,
    /// The lives with entries in it; the same may stand here several times.
    pub lives: Vec<Life>,
    /// Where records stand that an index of the journal needs to know: their number after the first,
    /// and the offset in the bytes.
    notable: Vec<(u32, u32)>,
}

impl Batch {
    /// All its records, in order, each with its number.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records { next: self.first, left: self.count, rest: &self.bytes }
    }

    /// What an index of the journal needs to know, in order, each with its number: all records
    /// other than [`Record::At`] and those [`Record::Entry`] whose input is no letter.
    ///
    /// # Panics
    /// Never for a batch that a [`Recorder`] made.
    pub fn notable(&self) -> impl Iterator<Item = (Sequence, Record<'_>)> {
        self.notable.iter().map(|(number, offset)| {
            let rest = &self.bytes[*offset as usize..];
            let next = Sequence(self.first.0 + u64::from(*number));
            let record = Records { next, left: 1, rest }.next();
            record.expect("one is there").expect("own records decode")
        })
    }

    /// The number of the record after its last.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        Sequence(self.first.0 + self.count as u64)
    }
}

impl Recorder {
    /// Begins with the record `next`.
    #[must_use]
    pub fn new(next: Sequence) -> Self {
        Self { batch: Batch { first: next, ..Batch::default() }, moment: None }
    }

    /// The number that the next record will have.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        self.batch.next()
    }

    /// The bytes collected so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.batch.bytes.len()
    }

    /// Whether nothing was collected.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batch.count == 0
    }

    /// Whether somebody waits for what was collected.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        self.batch.urgent
    }

    /// What follows happens at this moment. Recorded only when it differs from the last.
    pub fn at(&mut self, time: Time, wall: WallTime) {
        let moment = Some(Moment { time, wall });
        if self.moment != moment {
            self.moment = moment;
            self.put(&Record::At { time, wall });
        }
    }

    /// Records that an agent handled an input. Gives its number.
    pub fn entry(&mut self, entry: Entry<'_>) -> Sequence {
        // Agents that talk to each other take turns.
        let lives = &mut self.batch.lives;
        if !lives.iter().rev().take(LIVES_IN_TURN).any(|life| *life == entry.life) {
            lives.push(entry.life);
        }
        if entry.letter.is_some() {
            return self.note(&Record::Entry(entry));
        }
        if entry.handled != Handled::Done {
            return self.put(&Record::Entry(entry));
        }
        let number = self.next();
        put_plain(&entry, &mut self.batch.bytes);
        self.batch.count += 1;
        number
    }

    /// Records anything else. Gives its number.
    pub fn note(&mut self, record: &Record<'_>) -> Sequence {
        // A batch has far less than 4 GB: it is taken when it has grown to a page.
        let offset = u32::try_from(self.batch.bytes.len()).unwrap_or(u32::MAX);
        self.batch.notable.push((self.batch.count, offset));
        self.put(record)
    }

    /// Somebody waits for what was recorded last.
    pub const fn urge(&mut self) {
        self.batch.urgent = true;
    }

    /// Gives what was collected, if anything was. A page is read by itself, so the next batch says
    /// its moment again.
    pub fn take(&mut self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        self.moment = None;
        let next = Batch {
            first: self.next(),
            bytes: Vec::with_capacity(self.batch.bytes.len()),
            ..Batch::default()
        };
        Some(std::mem::replace(&mut self.batch, next))
    }

    fn put(&mut self, record: &Record<'_>) -> Sequence {
        let number = self.next();
        wire::encode_into(record, &mut self.batch.bytes).expect("own records encode");
        self.batch.count += 1;
        number
    }
}

/// Writes an entry as [`Record::Entry`] encodes, but in a third of the time. Nearly all records are
/// of this sort: no letter, and the agent took the input up.
fn put_plain(entry: &Entry<'_>, out: &mut Vec<u8>) {
    const ENTRY: u64 = 4;
    const NONE: u64 = 0;
    const SOME: u64 = 1;
    const DONE: u64 = 0;
    out.reserve(entry.input.len() + 64);
    for number in [ENTRY, entry.life.0, entry.number] {
        wire::put_number(number, out);
    }
    wire::put_bytes(&entry.input, out);
    wire::put_number(NONE, out);
    wire::put_number(DONE, out);
    match &entry.effects {
        Effects::None => wire::put_number(0, out),
        Effects::Whole(effects) => {
            wire::put_number(1, out);
            wire::put_bytes(effects, out);
        }
        Effects::Digest { bytes, digest } => {
            [2, *bytes, *digest].into_iter().for_each(|number| wire::put_number(number, out));
        }
    }
    match entry.state {
        None => wire::put_number(NONE, out),
        Some(state) => [SOME, state].into_iter().for_each(|number| wire::put_number(number, out)),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_entry_is_written_as_any_record(
            life: u64,
            number: u64,
            input: Vec<u8>,
            effects in prop_oneof![
                Just(Effects::None),
                any::<Vec<u8>>().prop_map(|bytes| Effects::Whole(Cow::Owned(bytes))),
                any::<(u64, u64)>().prop_map(|(bytes, digest)| Effects::Digest { bytes, digest }),
            ],
            state: Option<u64>,
        ) {
            let (input, handled) = (Cow::Owned(input), Handled::Done);
            let entry = Entry { life: Life(life), number, input, letter: None, handled, effects, state };
            let mut plain = Vec::new();
            put_plain(&entry, &mut plain);
            prop_assert_eq!(plain, wire::encode(&Record::Entry(entry)));
        }
    }
}
