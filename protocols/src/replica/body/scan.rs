//! Looks at packed bytes before automerge does, and refuses what would unpack past the caps.
//!
//! Automerge's format has four sorts of chunks. Only those that are not compressed are taken: a
//! whole document, and single changes. Their columns are read row by row (see `columns`), so the
//! cost is bounded by the rows that a document may have, whatever the bytes say.

use std::collections::BTreeMap;

use super::{
    columns::{Deltas, Reader, Result, Runs, Table, bounded, malformed},
    rows::{Action, IN_CHANGE, IN_DOCUMENT, Id, Key, NUMBERS, Row, Rows},
};
use crate::limits::{
    CHANGE_MESSAGE_BYTES_MAX, DOCUMENT_ACTORS_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_CHANGES_MAX,
    DOCUMENT_DEPS_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_OPS_MAX, DOCUMENT_TEXT_BYTES_MAX,
};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// Columns of the changes in a whole document.
pub(super) const OF_CHANGES: [u64; 9] = [0x01, 0x03, 0x13, 0x23, 0x35, 0x40, 0x43, 0x56, 0x57];

/// How much of its caps a document uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replica) struct Size {
    pub(super) bytes: usize,
    pub(super) changes: usize,
    pub(super) ops: usize,
    pub(super) actors: usize,
    pub(super) deps: usize,
    pub(super) text: usize,
    /// Changes that follow no other: these have no cap.
    pub(super) firsts: usize,
    /// Operations that mark a stretch of a text. No cap but that of operations.
    pub(super) marks: usize,
}

impl Size {
    /// Refuses what is above this many percent of its cap, and more than it was `before`.
    pub(super) fn within(&self, percent: usize, before: Self) -> Result<()> {
        let used = [
            (self.bytes, before.bytes, DOCUMENT_BYTES_MAX, "bytes"),
            (self.changes, before.changes, DOCUMENT_CHANGES_MAX, "changes"),
            (self.ops, before.ops, DOCUMENT_OPS_MAX, "operations"),
            (self.actors, before.actors, DOCUMENT_ACTORS_MAX, "actors"),
            (self.deps, before.deps, DOCUMENT_DEPS_MAX, "dependencies"),
            (self.text, before.text, DOCUMENT_TEXT_BYTES_MAX, "bytes of names"),
        ];
        let mut used = used.into_iter().filter(|(used, before, ..)| used > before);
        used.try_for_each(|(used, _, max, what)| {
            bounded(used as u64, max * percent / 100, what).map(drop)
        })
    }
}

/// What bytes are that somebody sent.
pub(super) enum Sent<'a> {
    Document(Size),
    /// Changes, each a chunk.
    Changes(Vec<&'a [u8]>),
}

/// Whether automerge may see these bytes, and what they are.
pub(super) fn scan(bytes: &[u8]) -> Result<Sent<'_>> {
    bounded(bytes.len() as u64, DOCUMENT_BYTES_MAX, "bytes")?;
    let mut from = Reader::new(bytes);
    let mut total = Size::default();
    let mut changes = Vec::new();
    while !from.is_empty() {
        let before = from.rest();
        let (sort, data) = chunk(&mut from)?;
        match sort {
            0 if from.is_empty() && changes.is_empty() => {
                return document(data, bytes.len()).map(Sent::Document);
            }
            1 => {
                change(data, &mut total)?;
                changes.push(&before[..before.len() - from.rest().len()]);
            }
            0 => return malformed("a whole document is among other things"),
            2 | 3 => return malformed("it is compressed"),
            _ => return malformed("it has a chunk of an unknown sort"),
        }
    }
    Ok(Sent::Changes(changes))
}

fn chunk<'a>(from: &mut Reader<'a>) -> Result<(u8, &'a [u8])> {
    if from.take(4)? != MAGIC {
        return malformed("it is not a document");
    }
    from.take(4)?;
    Ok((from.byte()?, from.prefixed()?))
}

fn actor<'a>(from: &mut Reader<'a>) -> Result<&'a [u8]> {
    let actor = from.prefixed()?;
    if actor.len() == 16 { Ok(actor) } else { malformed("an actor is not of 16 bytes") }
}

/// A list whose length stands before it, in ascending order.
fn ascending<'a>(
    from: &mut Reader<'a>,
    what: &'static str,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<&'a [u8]>,
) -> Result<Vec<&'a [u8]>> {
    let count = bounded(from.unsigned()?, DOCUMENT_ACTORS_MAX, what)?;
    let mut list: Vec<&[u8]> = Vec::new();
    for _ in 0..count {
        let next = item(from)?;
        if list.last().is_some_and(|last| *last >= next) {
            return malformed("a list is out of order");
        }
        list.push(next);
    }
    Ok(list)
}

fn change(data: &[u8], total: &mut Size) -> Result<()> {
    let mut from = Reader::new(data);
    let deps = ascending(&mut from, "dependencies", |from| from.take(32))?;
    let own = actor(&mut from)?;
    bounded(from.unsigned()?, DOCUMENT_CHANGES_MAX, "changes")?;
    let start = bounded(from.unsigned()?, DOCUMENT_OPS_MAX, NUMBERS)?;
    from.signed()?;
    bounded(from.text()?.len() as u64, CHANGE_MESSAGE_BYTES_MAX, "bytes of a message")?;
    let others = ascending(&mut from, "actors", actor)?;
    if others.contains(&own) {
        return malformed("an actor is twice in a list");
    }
    let lengths = Table::lengths(&mut from, &IN_CHANGE)?;
    let table = Table::take(&mut from, &lengths)?;
    if !from.is_empty() {
        return malformed("it is too long");
    }
    let mut rows = Rows::new(&table, 0x70, others.len() + 1);
    let mut ops = 0;
    while let Some(row) = rows.next()? {
        let id = (start + ops, 0);
        row.follows(id)?;
        if row.linked.iter().any(|link| link.0 >= id.0) {
            return malformed("an operation refers to a later one");
        }
        ops += 1;
        bounded((total.ops + ops) as u64, DOCUMENT_OPS_MAX, "operations")?;
    }
    bounded((start + ops) as u64, DOCUMENT_OPS_MAX, NUMBERS)?;
    total.ops += ops;
    total.changes += 1;
    total.deps += deps.len();
    total.text += rows.text();
    rows.finish()?;
    total.within(100, Size::default())
}

fn document(data: &[u8], bytes: usize) -> Result<Size> {
    let mut from = Reader::new(data);
    let actors = ascending(&mut from, "actors", actor)?.len();
    let heads = ascending(&mut from, "heads", |from| from.take(32))?.len();
    let of_changes = Table::lengths(&mut from, &OF_CHANGES)?;
    let of_ops = Table::lengths(&mut from, &IN_DOCUMENT)?;
    let changes = Changes::read(&Table::take(&mut from, &of_changes)?, actors)?;
    let table = Table::take(&mut from, &of_ops)?;
    for _ in 0..heads {
        let head = from.unsigned()?;
        if bounded(head, DOCUMENT_CHANGES_MAX, "changes")? >= changes.last.len() {
            return malformed("a head is not in the list");
        }
    }
    if !from.is_empty() {
        return malformed("it is too long");
    }
    let (deps, count, firsts) = (changes.deps, changes.last.len(), changes.firsts);
    let Operations { ops, text, marks } = operations(&table, &changes)?;
    Ok(Size { bytes, changes: count, ops, actors, deps, text, firsts, marks })
}

/// The changes of a document, as far as its operations must agree with them.
struct Changes {
    /// The highest number that each change leaves behind.
    last: Vec<usize>,
    /// The first and last number in each change of each actor that has operations.
    ranges: Vec<Vec<(usize, usize)>>,
    ops: usize,
    deps: usize,
    firsts: usize,
}

impl Changes {
    fn read(table: &Table<'_>, actors: usize) -> Result<Self> {
        let mut of_actor = Runs::<u64>::new(table.column(0x01));
        let (mut seq, mut max) = (Deltas::new(table.column(0x03)), Deltas::new(table.column(0x13)));
        let mut time = Deltas::new(table.column(0x23));
        let mut message = Runs::<&str>::new(table.column(0x35));
        let (mut counts, mut deps) =
            (Runs::<u64>::new(table.column(0x40)), Deltas::new(table.column(0x43)));
        let mut extra = Runs::<u64>::new(table.column(0x56));
        let ranges = vec![Vec::new(); actors];
        let mut all = Self { last: Vec::new(), ranges, ops: 0, deps: 0, firsts: 0 };
        let mut seqs = vec![0; actors];
        while !of_actor.is_done() {
            let actor = bounded(of_actor.expect()?, DOCUMENT_ACTORS_MAX, "actors")?;
            let (Some(own), Some(ranges)) = (seqs.get_mut(actor), all.ranges.get_mut(actor)) else {
                return malformed("an actor is not in the list");
            };
            *own += 1;
            if seq.expect(DOCUMENT_CHANGES_MAX, "changes")? != *own {
                return malformed("an actor's changes are out of order");
            }
            time.next()?;
            let message = message.next()?.unwrap_or_default();
            bounded(message.len() as u64, CHANGE_MESSAGE_BYTES_MAX, "bytes of a message")?;
            if extra.expect()? != 7 {
                return malformed("a change has something that no host here writes");
            }
            let count = counts.expect()?;
            all.firsts += usize::from(count == 0);
            let before = Self::before(&all.last, &mut all.deps, count, &mut deps)?;
            let max = max.expect(DOCUMENT_OPS_MAX, NUMBERS)?;
            let overlaps = ranges.last().is_some_and(|(_, last)| *last > before);
            if max < before || overlaps {
                return malformed("operations are counted wrongly");
            }
            if max > before {
                ranges.push((before + 1, max));
            }
            all.ops += max - before;
            bounded(all.ops as u64, DOCUMENT_OPS_MAX, "operations")?;
            all.last.push(max);
            bounded(all.last.len() as u64, DOCUMENT_CHANGES_MAX, "changes")?;
        }
        if seqs.contains(&0) || !table.column(0x57).is_empty() {
            return malformed("it has something that no host here writes");
        }
        seq.finish()?;
        max.finish()?;
        time.finish()?;
        message.finish()?;
        counts.finish()?;
        deps.finish()?;
        extra.finish()?;
        Ok(all)
    }

    /// The highest number among the changes that the next one follows.
    fn before(
        last: &[usize],
        total: &mut usize,
        count: u64,
        deps: &mut Deltas<'_>,
    ) -> Result<usize> {
        let count = bounded(count, DOCUMENT_ACTORS_MAX, "dependencies")?;
        *total += count;
        bounded(*total as u64, DOCUMENT_DEPS_MAX, "dependencies")?;
        let mut before = 0;
        for _ in 0..count {
            let dep = deps.expect(DOCUMENT_CHANGES_MAX, "changes")?;
            let Some(max) = last.get(dep) else {
                return malformed("a change follows a later one");
            };
            before = before.max(*max);
        }
        Ok(before)
    }

    fn has(&self, id: Id) -> bool {
        self.ranges.get(id.1).is_some_and(|ranges| {
            let at = ranges.partition_point(|(_, last)| *last < id.0);
            ranges.get(at).is_some_and(|(first, _)| *first <= id.0)
        })
    }
}

/// A map or a list of a document.
#[derive(Clone, Copy)]
struct Object {
    list: bool,
    depth: usize,
}

/// How many operations there are, how long their names are, and how many of them mark a text.
struct Operations {
    ops: usize,
    text: usize,
    marks: usize,
}

/// Reads the operations of a document.
fn operations(table: &Table<'_>, changes: &Changes) -> Result<Operations> {
    let mut actor = Runs::<u64>::new(table.column(0x21));
    let mut number = Deltas::new(table.column(0x23));
    let mut rows = Rows::new(table, 0x80, changes.ranges.len());
    let mut objects = BTreeMap::from([(None, Object { list: false, depth: 0 })]);
    let mut ids: Vec<Id> = Vec::new();
    let mut marks = 0;
    while let Some(row) = rows.next()? {
        marks += usize::from(row.action == Action::Mark);
        let its = rows.actor(actor.expect()?)?;
        let id = (number.expect(DOCUMENT_OPS_MAX, NUMBERS)?, its);
        row.follows(id)?;
        if row.linked.iter().any(|link| link.0 <= id.0) {
            return malformed("an operation is replaced by an earlier one");
        }
        place(&mut objects, id, &row)?;
        ids.push(id);
        ids.extend(&row.linked);
        bounded(ids.len() as u64, 2 * DOCUMENT_OPS_MAX, "operations")?;
    }
    let text = rows.text();
    actor.finish()?;
    number.finish()?;
    rows.finish()?;
    ids.sort_unstable();
    ids.dedup();
    // Numbers left out would use up those that are left, and automerge makes room for them.
    if ids.len() == changes.ops && ids.iter().all(|id| changes.has(*id)) {
        Ok(Operations { ops: ids.len(), text, marks })
    } else {
        malformed("its operations are not those of its changes")
    }
}

/// Checks the object that an operation is within, and remembers the one that it makes.
fn place(objects: &mut BTreeMap<Option<Id>, Object>, id: Id, row: &Row) -> Result<()> {
    let Some(within) = objects.get(&row.object).copied() else {
        return malformed("an operation is within nothing");
    };
    let fits = match row.key {
        Key::Entry => !within.list && !row.insert,
        Key::Front => within.list && row.insert,
        Key::Element(_) => within.list,
    };
    if !fits || row.action == Action::Delete {
        return malformed("an operation is in a place that is not for it");
    }
    if matches!(row.action, Action::MakeMap | Action::MakeList) {
        let depth = bounded(within.depth as u64 + 1, DOCUMENT_DEPTH_MAX, "levels")?;
        objects.insert(Some(id), Object { list: row.action == Action::MakeList, depth });
    }
    Ok(())
}
