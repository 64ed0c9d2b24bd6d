//! How one list becomes another with few edits.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields by which the maps of a list are known again; the first that a map has counts.
const IDENTITY_KEYS: [&str; 3] = ["id", "key", "name"];

/// Pairs of items that are compared one by one. Of longer lists only the items that stand once in
/// both are.
const PAIRS_MAX: usize = 1 << 20;

/// One step from the old list to the new, in the order of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// The old item stays as it is.
    Keep(usize, usize),
    /// The old item becomes the new one, in its place.
    Change(usize, usize),
    /// The old item goes.
    Delete(usize),
    /// The new item comes.
    Insert(usize),
}

/// The edits that make `new` of `old`.
///
/// Equal items are kept; then maps with the same identity are changed in place; what is left
/// between them is paired by its position, except maps whose identities differ: they are others.
pub(super) fn align(old: &[Value], new: &[Value]) -> Vec<Edit> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev());
    let tail = tail.take_while(|(old, new)| old == new).count();
    let mut edits: Vec<_> = (0..head).map(|at| Edit::Keep(at, at)).collect();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);

    let mut names = Names::default();
    let old_names: Vec<_> = old[head..old_end].iter().map(|item| names.of_value(item)).collect();
    let new_names: Vec<_> = new[head..new_end].iter().map(|item| names.of_value(item)).collect();
    let mut at = (head, head);
    for (i, j) in common(&old_names, &new_names) {
        let (i, j) = (head + i, head + j);
        between(old, new, at..(i, j), &mut edits);
        edits.push(Edit::Keep(i, j));
        at = (i + 1, j + 1);
    }
    between(old, new, at..(old_end, new_end), &mut edits);
    edits.extend((0..tail).map(|n| Edit::Keep(old_end + n, new_end + n)));
    edits
}

type Span = std::ops::Range<(usize, usize)>;

/// Edits of a stretch in which no item is kept.
fn between(old: &[Value], new: &[Value], span: Span, edits: &mut Vec<Edit>) {
    let mut names = Names::default();
    let mut identities =
        |items: &[Value]| -> Vec<_> { items.iter().map(|item| names.of_identity(item)).collect() };
    let old_names = identities(&old[span.start.0..span.end.0]);
    let new_names = identities(&new[span.start.1..span.end.1]);
    let mut at = span.start;
    for (i, j) in common(&old_names, &new_names) {
        let (i, j) = (span.start.0 + i, span.start.1 + j);
        by_position(old, new, at..(i, j), edits);
        edits.push(Edit::Change(i, j));
        at = (i + 1, j + 1);
    }
    by_position(old, new, at..span.end, edits);
}

fn by_position(old: &[Value], new: &[Value], span: Span, edits: &mut Vec<Edit>) {
    let Span { start: (mut i, mut j), end } = span;
    while i < end.0 && j < end.1 {
        match (identity(&old[i]), identity(&new[j])) {
            (Some(_), _) | (_, Some(_)) => edits.extend([Edit::Delete(i), Edit::Insert(j)]),
            (None, None) => edits.push(Edit::Change(i, j)),
        }
        (i, j) = (i + 1, j + 1);
    }
    edits.extend((i..end.0).map(Edit::Delete));
    edits.extend((j..end.1).map(Edit::Insert));
}

fn identity(item: &Value) -> Option<(&'static str, &Value)> {
    let fields = item.as_object()?;
    let known = IDENTITY_KEYS.iter().find_map(|key| Some((*key, fields.get(*key)?)))?;
    matches!(known.1, Value::String(_) | Value::Number(_)).then_some(known)
}

/// A number for each thing, the same for equal things.
#[derive(Default)]
struct Names {
    known: BTreeMap<String, u32>,
    last: u32,
}

impl Names {
    fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    fn of_value(&mut self, item: &Value) -> u32 {
        let next = self.next();
        *self.known.entry(item.to_string()).or_insert(next)
    }

    /// An item without identity is like no other.
    fn of_identity(&mut self, item: &Value) -> u32 {
        let next = self.next();
        match identity(item) {
            Some((key, value)) => *self.known.entry(format!("{key} {value}")).or_insert(next),
            None => next,
        }
    }
}

/// Pairs of places of equal items, growing on both sides; as many as there can be, unless the
/// lists are long.
fn common(old: &[u32], new: &[u32]) -> Vec<(usize, usize)> {
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return longest_rise(&once_in_both(old, new));
    }
    let width = new.len() + 1;
    // Of the rest of both lists from (i, j) on: how many items they have in common.
    let mut shared = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            shared[i * width + j] = if old[i] == new[j] {
                shared[(i + 1) * width + j + 1] + 1
            } else {
                shared[(i + 1) * width + j].max(shared[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if shared[(i + 1) * width + j] >= shared[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// The places of items that stand exactly once in either list, in the order of the first.
fn once_in_both(old: &[u32], new: &[u32]) -> Vec<(usize, usize)> {
    let places = |items: &[u32]| {
        let mut places = BTreeMap::<u32, Option<usize>>::new();
        for (at, item) in items.iter().enumerate() {
            places.entry(*item).and_modify(|place| *place = None).or_insert(Some(at));
        }
        places
    };
    let (in_old, in_new) = (places(old), places(new));
    let mut pairs: Vec<_> = in_old
        .into_iter()
        .filter_map(|(item, at)| Some((at?, in_new.get(&item).copied().flatten()?)))
        .collect();
    pairs.sort_unstable();
    pairs
}

/// The longest subsequence that grows on the second side, too.
fn longest_rise(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The last pair of the best rise of each length, and what came before each pair.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; pairs.len()];
    for (n, pair) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < pair.1);
        before[n] = length.checked_sub(1).map(|last| ends[last]);
        if length < ends.len() {
            ends[length] = n;
        } else {
            ends.push(n);
        }
    }
    let mut rise = Vec::new();
    let mut at = ends.last().copied();
    while let Some(n) = at {
        rise.push(pairs[n]);
        at = before[n];
    }
    rise.reverse();
    rise
}
