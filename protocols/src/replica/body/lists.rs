//! Where the items of one version of a list stand in another.

use std::ops::Range;

use automerge::{AutoCommit, ChangeHash, ObjId, ObjType, ReadDoc as _, Value};

use super::copying::fresh;

/// Pairs of items that are compared. Of longer lists only equal beginnings and ends are found.
const PAIRS_MAX: usize = 1 << 18;

/// Where the items of a list that is changed stand in another version of it, which is changed alike.
///
/// Equal items are the same, in their order; and what stands between those, if it is as many in both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    /// Where it was in the one list before that was changed.
    was: Option<usize>,
    /// Where it is in the other.
    at: Option<usize>,
}

impl Places {
    /// Of the items of two versions, by what stands for them.
    pub(super) fn between(one: &[u64], other: &[u64]) -> Self {
        let mut all: Vec<_> = (0..one.len()).map(|was| Item { was: Some(was), at: None }).collect();
        let mut begin = (0, 0);
        for (was, at) in common(one, other).into_iter().chain([(one.len(), other.len())]) {
            let gap: Range<usize> = begin.0..was;
            if gap.len() == at - begin.1 {
                gap.for_each(|was| all[was].at = Some(begin.1 + was - begin.0));
            }
            if let Some(item) = all.get_mut(was) {
                item.at = Some(at);
            }
            begin = (was + 1, at + 1);
        }
        Self(all)
    }

    /// Where an item stands in the other version, if it does.
    pub(super) fn of(&self, index: usize) -> Option<usize> {
        self.0.get(index)?.at
    }

    /// Where it stood before the list was changed, if it did.
    pub(super) fn was(&self, index: usize) -> Option<usize> {
        self.0.get(index)?.was
    }

    /// So many items are inserted, one after the other. Gives where: behind the one that they stand
    /// behind.
    pub(super) fn insert(&mut self, index: usize, count: usize) -> usize {
        let index = index.min(self.0.len());
        let at = self.behind(index, count);
        let new = (at..at + count).map(|at| Item { was: None, at: Some(at) });
        drop(self.0.splice(index..index, new));
        at
    }

    /// An item that the other version does not have is inserted there.
    pub(super) fn put_back(&mut self, index: usize) -> usize {
        let at = self.behind(index.min(self.0.len()), 1);
        if let Some(item) = self.0.get_mut(index) {
            item.at = Some(at);
        }
        at
    }

    /// Makes room for so many behind the item before this one.
    fn behind(&mut self, index: usize, count: usize) -> usize {
        let before = self.0[..index].iter().rev().find_map(|item| item.at);
        let later = self.0[index..].iter_mut().filter_map(|item| item.at.as_mut());
        later.for_each(|its| *its += count);
        before.map_or(0, |before| before + 1)
    }

    /// An item goes, in the other version as well or only in the one.
    pub(super) fn take_out(&mut self, index: usize, both: bool) -> Option<()> {
        if index >= self.0.len() {
            return None;
        }
        let at = self.0.remove(index).at.filter(|_| both);
        if let Some(at) = at {
            debug_assert!(self.0[..index].iter().all(|item| item.at < Some(at)));
            let later = self.0[index..].iter_mut().filter_map(|item| item.at.as_mut());
            later.for_each(|its| *its -= 1);
        }
        Some(())
    }
}

/// Positions of a longest common row of items.
fn common(one: &[u64], other: &[u64]) -> Vec<(usize, usize)> {
    let head = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let (one_rest, other_rest) = (&one[head..], &other[head..]);
    let tail = one_rest.iter().rev().zip(other_rest.iter().rev());
    let tail = tail.take_while(|(one, other)| one == other).count();
    let (ends, length) = ((one.len() - tail, other.len() - tail), head);
    let mut all: Vec<_> = (0..length).map(|at| (at, at)).collect();
    let middle = longest(&one[head..ends.0], &other[head..ends.1]);
    all.extend(middle.into_iter().map(|(was, at)| (head + was, head + at)));
    all.extend((0..tail).map(|at| (ends.0 + at, ends.1 + at)));
    all
}

/// The longest common row, by the table of how long it is from each pair of positions on.
fn longest(one: &[u64], other: &[u64]) -> Vec<(usize, usize)> {
    if one.len() * other.len() > PAIRS_MAX {
        return Vec::new();
    }
    let width = other.len() + 1;
    let mut table = vec![0_u32; (one.len() + 1) * width];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            table[i * width + j] = if one[i] == other[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut row) = (0, 0, Vec::new());
    while i < one.len() && j < other.len() {
        if one[i] == other[j] {
            row.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if table[(i + 1) * width + j] >= table[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    row
}

/// What stands for each item of a list, at these heads or now: the same for what says the same.
pub(super) fn prints(doc: &AutoCommit, list: &ObjId, at: Option<&[ChangeHash]>) -> Vec<u64> {
    let items = match at {
        Some(heads) => doc.list_range_at(list, .., heads),
        None => doc.list_range(list, ..),
    };
    let print = |value: &Value<'_>, id: &ObjId| {
        let mut hasher = blake3::Hasher::new();
        add(doc, value, id, at, &mut hasher);
        let [first, ..] = *hasher.finalize().as_bytes().as_chunks().0 else { return 0 };
        u64::from_be_bytes(first)
    };
    items.map(|item| print(&item.value.clone().into_value(), &item.id())).collect()
}

fn add(
    doc: &AutoCommit,
    value: &Value<'_>,
    id: &ObjId,
    at: Option<&[ChangeHash]>,
    into: &mut blake3::Hasher,
) {
    let Value::Object(sort) = value else {
        let Value::Scalar(value) = value else { return };
        into.update(format!("{:?},", fresh(value)).as_bytes());
        return;
    };
    into.update(format!("{sort}(").as_bytes());
    match sort {
        ObjType::Map | ObjType::Table => {
            let keys = at.map_or_else(|| doc.keys(id), |heads| doc.keys_at(id, heads));
            for key in keys {
                into.update(format!("{key:?}:").as_bytes());
                let value = at.map_or_else(
                    || doc.get(id, key.as_str()),
                    |heads| doc.get_at(id, key.as_str(), heads),
                );
                if let Ok(Some((value, id))) = value {
                    add(doc, &value, &id, at, into);
                }
            }
        }
        ObjType::List => {
            for print in prints(doc, id, at) {
                into.update(&print.to_be_bytes());
            }
        }
        ObjType::Text => {
            let text = at.map_or_else(|| doc.text(id), |heads| doc.text_at(id, heads));
            into.update(text.unwrap_or_default().as_bytes());
        }
    }
    into.update(b")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(one: &[u64], other: &[u64]) -> Vec<Option<usize>> {
        let places = Places::between(one, other);
        (0..one.len()).map(|index| places.of(index)).collect()
    }

    #[test]
    fn equal_items_are_the_same_and_as_many_between_them_are_replaced() {
        assert_eq!(at(&[1, 2, 3], &[1, 2, 3]), [Some(0), Some(1), Some(2)]);
        assert_eq!(at(&[1, 2, 3], &[9, 1, 8, 3]), [Some(1), Some(2), Some(3)]);
        assert_eq!(at(&[1, 2, 3], &[1, 3]), [Some(0), None, Some(1)]);
        assert_eq!(at(&[1, 2, 3], &[1, 7, 8, 3]), [Some(0), None, Some(3)]);
        assert_eq!(at(&[1, 2], &[]), [None, None]);
        assert_eq!(at(&[], &[1]), []);
        assert_eq!(at(&[5, 5, 6], &[5, 6, 5]), [Some(0), None, Some(1)]);
        // Too long to be compared: what is equal at both ends counts.
        let one: Vec<u64> = (0..2000).collect();
        let other: Vec<u64> = (0..2000).map(|n| if n < 5 { n } else { n + 9 }).collect();
        assert_eq!(at(&one, &other)[..5], [0, 1, 2, 3, 4].map(Some));
    }

    #[test]
    fn places_move_as_both_lists_are_changed() {
        let mut places = Places::between(&[1, 2, 3], &[9, 1, 3]);
        assert_eq!(places.insert(0, 1), 0);
        // By now 0 _ 1 3 and 0 9 1 3.
        assert_eq!([0, 1, 2, 3].map(|index| places.of(index)), [Some(0), Some(2), None, Some(3)]);
        assert_eq!(places.put_back(2), 3);
        assert_eq!([2, 3].map(|index| places.of(index)), [Some(3), Some(4)]);
        assert_eq!(places.take_out(1, true), Some(()));
        assert_eq!([0, 1, 2].map(|index| places.of(index)), [Some(0), Some(2), Some(3)]);
        assert_eq!(places.take_out(1, false), Some(()));
        assert_eq!([0, 1].map(|index| places.of(index)), [Some(0), Some(3)]);
        assert_eq!([places.was(0), places.was(1)], [None, Some(2)]);
        assert_eq!((places.of(2), places.take_out(2, true)), (None, None));
        assert_eq!(places.insert(1, 3), 1);
        assert_eq!([1, 2, 3, 4].map(|index| places.of(index)), [1, 2, 3, 6].map(Some));
    }
}
