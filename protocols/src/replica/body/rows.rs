//! Reads the operations of a packed document or change one at a time.

use super::columns::{Deltas, Flags, Reader, Result, Runs, Table, bounded, malformed};
use crate::limits::{DOCUMENT_KEYS_BYTES_MAX, DOCUMENT_OPS_MAX};

/// Names an operation: its number, and the position of its actor in a list.
pub(super) type Id = (usize, usize);

pub(super) const NUMBERS: &str = "numbers of operations";

/// Columns of operations in a whole document.
pub(super) const IN_DOCUMENT: [u64; 16] = [
    0x01, 0x02, 0x11, 0x13, 0x15, 0x21, 0x23, 0x34, 0x42, 0x56, 0x57, 0x80, 0x81, 0x83, 0x94, 0xa5,
];

/// Columns of operations in one change.
pub(super) const IN_CHANGE: [u64; 14] =
    [0x01, 0x02, 0x11, 0x13, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73, 0x94, 0xa5];

/// What an operation acts upon within its object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// An entry of a map.
    Entry,
    /// The beginning of a list.
    Front,
    /// An element of a list.
    Element(Id),
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    MakeMap,
    MakeList,
    Delete,
    /// Marks a stretch of a text, or ends that.
    Mark,
    Other,
}

/// One operation.
pub(super) struct Row {
    /// The object it is within; `None` is the root.
    pub(super) object: Option<Id>,
    pub(super) key: Key,
    pub(super) insert: bool,
    pub(super) action: Action,
    /// Those that it replaces, or that replace it.
    pub(super) linked: Vec<Id>,
}

impl Row {
    /// That the operation `id` is made after all that it refers to.
    pub(super) fn follows(&self, id: Id) -> Result<()> {
        let object = self.object.map_or(0, |object| object.0);
        let element = match self.key {
            Key::Element(element) => element.0,
            _ => 0,
        };
        if id.0 > object && id.0 > element {
            Ok(())
        } else {
            malformed("an operation refers to a later one")
        }
    }
}

/// The operations of one chunk.
pub(super) struct Rows<'a> {
    actors: usize,
    text: usize,
    links: usize,
    object: (Runs<'a, u64>, Runs<'a, u64>),
    element: (Runs<'a, u64>, Deltas<'a>),
    entry: Runs<'a, &'a str>,
    insert: Flags<'a>,
    action: Runs<'a, u64>,
    kind: Runs<'a, u64>,
    value: Reader<'a>,
    linked: (Runs<'a, u64>, Runs<'a, u64>, Deltas<'a>),
    expand: Flags<'a>,
    mark: Runs<'a, &'a str>,
}

impl<'a> Rows<'a> {
    /// `linked` is the first of the three columns with links; `actors`, how many there are.
    pub(super) fn new(table: &Table<'a>, linked: u64, actors: usize) -> Self {
        let of = |number| table.column(number);
        Self {
            actors,
            text: 0,
            links: 0,
            object: (Runs::new(of(0x01)), Runs::new(of(0x02))),
            element: (Runs::new(of(0x11)), Deltas::new(of(0x13))),
            entry: Runs::new(of(0x15)),
            insert: Flags::new(of(0x34)),
            action: Runs::new(of(0x42)),
            kind: Runs::new(of(0x56)),
            value: Reader::new(of(0x57)),
            linked: (Runs::new(of(linked)), Runs::new(of(linked + 1)), Deltas::new(of(linked + 3))),
            expand: Flags::new(of(0x94)),
            mark: Runs::new(of(0xa5)),
        }
    }

    /// Bytes of the names of entries and marks that have been read, each counted in each row.
    pub(super) fn text(&self) -> usize {
        self.text
    }

    /// The next one; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        if self.action.is_done() {
            return Ok(None);
        }
        let action = self.action.expect()?;
        let object = match (self.object.0.next()?, self.object.1.next()?) {
            (None, None) => None,
            (Some(actor), Some(number)) => Some(self.id(actor, number)?),
            _ => return malformed("half of an object's name is missing"),
        };
        let key = self.key()?;
        let insert = self.insert.next()?;
        self.value(action)?;
        self.expand.next()?;
        let mark = self.mark.next()?;
        self.count_text(mark)?;
        let action = match action {
            0 | 6 => Action::MakeMap,
            2 | 4 => Action::MakeList,
            3 => Action::Delete,
            7 => Action::Mark,
            1 | 5 => Action::Other,
            _ => return malformed("an operation is of an unknown sort"),
        };
        let linked = self.links()?;
        Ok(Some(Row { object, key, insert, action, linked }))
    }

    fn id(&self, actor: u64, number: u64) -> Result<Id> {
        let number = bounded(number, DOCUMENT_OPS_MAX, NUMBERS)?;
        Ok((number, self.actor(actor)?))
    }

    pub(super) fn actor(&self, actor: u64) -> Result<usize> {
        match usize::try_from(actor) {
            Ok(actor) if actor < self.actors => Ok(actor),
            _ => malformed("an actor is not in the list"),
        }
    }

    fn key(&mut self) -> Result<Key> {
        let actor = self.element.0.next()?;
        let number = self.element.1.next_counter(DOCUMENT_OPS_MAX, NUMBERS)?;
        let entry = self.entry.next()?;
        self.count_text(entry)?;
        match (entry, actor, number) {
            (Some(_), None, None) => Ok(Key::Entry),
            (None, None, Some(0)) => Ok(Key::Front),
            (None, Some(actor), Some(number)) => Ok(Key::Element((number, self.actor(actor)?))),
            _ => malformed("an operation acts upon nothing"),
        }
    }

    fn count_text(&mut self, text: Option<&str>) -> Result<()> {
        self.text += text.map_or(0, str::len);
        bounded(self.text as u64, DOCUMENT_KEYS_BYTES_MAX, "bytes of names").map(|_| ())
    }

    fn value(&mut self, action: u64) -> Result<()> {
        let kind = self.kind.expect()?;
        let length = usize::try_from(kind >> 4).unwrap_or(usize::MAX);
        let bytes = self.value.take(length)?;
        let mut number = Reader::new(bytes);
        let good = match kind & 15 {
            0..=2 => bytes.is_empty(),
            3 => number.unsigned().is_ok() && number.is_empty(),
            4 | 8 | 9 => number.signed().is_ok() && number.is_empty(),
            5 => bytes.len() == 8,
            6 => std::str::from_utf8(bytes).is_ok(),
            7 => true,
            _ => false,
        };
        let counts = action != 5 || matches!(kind & 15, 3 | 4);
        if good && counts { Ok(()) } else { malformed("a value is not of its type") }
    }

    fn links(&mut self) -> Result<Vec<Id>> {
        let room = DOCUMENT_OPS_MAX - self.links;
        let count = bounded(self.linked.0.expect()?, room, "replaced operations")?;
        self.links += count;
        let mut links = Vec::with_capacity(count);
        for _ in 0..count {
            let actor = self.linked.1.expect()?;
            links.push((self.linked.2.expect(DOCUMENT_OPS_MAX, NUMBERS)?, self.actor(actor)?));
        }
        Ok(links)
    }

    /// That no column has more rows than there are operations.
    pub(super) fn finish(self) -> Result<()> {
        self.object.0.finish()?;
        self.object.1.finish()?;
        self.element.0.finish()?;
        self.element.1.finish()?;
        self.entry.finish()?;
        self.insert.finish()?;
        self.kind.finish()?;
        self.linked.0.finish()?;
        self.linked.1.finish()?;
        self.linked.2.finish()?;
        self.expand.finish()?;
        self.mark.finish()?;
        if self.value.is_empty() { Ok(()) } else { malformed("a column is too long") }
    }
}
