use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Base, Head};
use crate::{
    limits::{LINEAGE_ACTORS_MAX, LINEAGE_HISTORIES_MAX},
    wire,
};

/// Which changes of the earlier histories of a document its present one holds in its root.
///
/// A history that is begun anew has one change for all that was there before. Who has changes of
/// an earlier history finds here which of them count already; the root commits to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The number of the history that was the first of this document since it was last deleted.
    pub from: u64,
    /// Everything before the history of this number is taken to be covered.
    pub known_from: u64,
    /// By the number of the history, the lowest first.
    pub covered: Vec<Covered>,
}

/// What counts already of one history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// The number of the history.
    pub number: u64,
    /// Stands for the whole [`Base`].
    pub base: u64,
    /// The heads at which it ended, if the present history follows it directly or through others.
    pub heads: Vec<Head>,
    /// Of each actor, by its id, the last change.
    pub clock: Vec<([u8; 16], u64)>,
}

/// Where a change was made first. A change that is repeated in a later history says so in its
/// message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) number: u64,
    pub(super) base: u64,
    pub(super) actor: [u8; 16],
    pub(super) seq: u64,
}

impl Lineage {
    /// Of a document that begins with this history.
    pub(super) const fn new(base: Base) -> Self {
        Self { from: base.number, known_from: base.number, covered: Vec::new() }
    }

    /// What stands for it in the message of a root.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("starling lineage 1");
        hasher.update(&wire::encode(self));
        *hasher.finalize().as_bytes()
    }

    pub(super) fn covers(&self, origin: &Origin) -> bool {
        origin.number < self.known_from
            || self.of(origin.base).is_some_and(|covered| {
                let last = covered.clock.iter().find(|(actor, _)| *actor == origin.actor);
                last.is_some_and(|(_, last)| *last >= origin.seq)
            })
    }

    /// The last change that counts of each actor in each history.
    pub(super) fn origins(&self) -> impl Iterator<Item = Origin> {
        self.covered.iter().flat_map(|Covered { number, base, clock, .. }| {
            let (number, base) = (*number, *base);
            clock.iter().map(move |(actor, seq)| Origin { number, base, actor: *actor, seq: *seq })
        })
    }

    /// Whether all that the other covers is covered here, too.
    pub(super) fn covers_all(&self, other: &Self) -> bool {
        other.origins().all(|origin| self.covers(&origin))
    }

    pub(super) fn of(&self, base: u64) -> Option<&Covered> {
        self.covered.iter().find(|covered| covered.base == base)
    }

    /// The lineage of the history that follows `base` when it has these heads and holds changes
    /// that were first made there.
    pub(super) fn then(&self, base: Base, heads: &[Head], origins: Vec<Origin>) -> Self {
        let mut all: BTreeMap<(u64, u64), (Vec<Head>, Clock)> = BTreeMap::new();
        for covered in &self.covered {
            let clock = covered.clock.iter().copied().collect();
            all.insert((covered.number, covered.base), (covered.heads.clone(), clock));
        }
        for Origin { number, base, actor, seq } in origins {
            let (_, clock) = all.entry((number, base)).or_default();
            let last = clock.entry(actor).or_default();
            *last = seq.max(*last);
        }
        all.entry((base.number, base.short())).or_default().0 = heads.to_vec();
        let mut known_from = self.known_from;
        let actors = |all: &BTreeMap<_, (_, BTreeMap<_, _>)>| -> usize {
            all.values().map(|(_, clock): &(Vec<Head>, BTreeMap<_, _>)| clock.len()).sum()
        };
        while all.len() > LINEAGE_HISTORIES_MAX || actors(&all) > LINEAGE_ACTORS_MAX {
            let Some(((number, _), _)) = all.pop_first() else { break };
            known_from = known_from.max(number.saturating_add(1));
        }
        let covered = all.into_iter().filter(|((number, _), _)| *number >= known_from);
        let covered = covered.map(|((number, base), (heads, clock))| {
            let clock = clock.into_iter().collect();
            Covered { number, base, heads, clock }
        });
        Self { from: self.from, known_from, covered: covered.collect() }
    }
}

impl Origin {
    /// Of a change with this message that stands in a history.
    pub(super) fn of(base: Base, actor: [u8; 16], seq: u64, message: &str) -> Self {
        let own = Self { number: base.number, base: base.short(), actor, seq };
        Self::read(message).map_or(own, |(origin, ..)| origin)
    }

    /// The message of the repetition of a change in a later history.
    pub(super) fn message(&self, of: Head, message: &str) -> String {
        let own = Self::read(message).map_or(message, |(.., own)| own);
        let mut hex = String::new();
        data_encoding::HEXLOWER.encode_append(&self.actor, &mut hex);
        let of = u64::from_be_bytes(of.0[..8].try_into().expect("8 of 32"));
        let Self { number, base, seq, .. } = self;
        let mut text = format!("{MARK}{number:x} {base:x} {hex} {seq:x} {of:x}|{own}");
        let max = crate::limits::CHANGE_MESSAGE_BYTES_MAX;
        text.truncate(text.floor_char_boundary(max));
        text
    }

    /// The origin of a change that was repeated, of which change it is the repetition, and what
    /// was said of it. `None`: it was not repeated.
    pub(super) fn read(message: &str) -> Option<(Self, u64, &str)> {
        let (marks, own) = message.strip_prefix(MARK)?.split_once('|')?;
        let mut marks = marks.split(' ');
        let number = |mark: Option<&str>| u64::from_str_radix(mark?, 16).ok();
        let (of_number, base) = (number(marks.next())?, number(marks.next())?);
        let actor = data_encoding::HEXLOWER.decode(marks.next()?.as_bytes()).ok()?;
        let (seq, of) = (number(marks.next())?, number(marks.next())?);
        let actor = actor.try_into().ok()?;
        Some((Self { number: of_number, base, actor, seq }, of, own))
    }
}

/// Of a change that was carried over from an earlier history, by its message: the actor that made
/// it first, and what was said of it then.
#[must_use]
pub fn carried_over(message: &str) -> Option<([u8; 16], &str)> {
    Origin::read(message).map(|(origin, _, own)| (origin.actor, own))
}

/// Of each actor the last change.
type Clock = BTreeMap<[u8; 16], u64>;

/// How the message of a repeated change begins.
const MARK: &str = "carried over from ";

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(number: u64, actor: u8, seq: u64) -> Origin {
        Origin { number, base: number + 100, actor: [actor; 16], seq }
    }

    #[test]
    fn a_change_that_was_repeated_says_where_it_comes_from_however_often() {
        let first = origin(3, 7, 9);
        let once = first.message(Head([1; 32]), "raise the limit");
        assert_eq!(
            Origin::read(&once),
            Some((first.clone(), 0x0101_0101_0101_0101, "raise the limit"))
        );
        let twice = first.message(Head([2; 32]), &once);
        assert_eq!(
            Origin::read(&twice),
            Some((first.clone(), 0x0202_0202_0202_0202, "raise the limit"))
        );
        let long = first.message(Head([1; 32]), &"ä".repeat(128));
        assert!(long.len() <= 256 && Origin::read(&long).is_some());
        let base = Base { number: 5, ..Base::default() };
        assert_eq!(Origin::of(base, [1; 16], 2, &once), first);
        let own = Origin { number: 5, base: base.short(), actor: [1; 16], seq: 2 };
        assert_eq!(Origin::of(base, [1; 16], 2, "by hand"), own);
        for none in
            ["", "carried over from ", "carried over from x|", "carried over from 1 2 3 4 5|"]
        {
            assert_eq!(Origin::read(none), None, "{none:?}");
        }
    }

    #[test]
    fn it_says_what_counts_already_and_forgets_the_oldest_at_its_cap() {
        let base = |number| Base { number, ..Base::default() };
        let first = Lineage::new(base(2));
        let next =
            first.then(base(2), &[], vec![origin(2, 1, 5), origin(2, 2, 1), origin(2, 1, 4)]);
        assert!(next.covers(&origin(2, 1, 5)) && !next.covers(&origin(2, 1, 6)));
        assert!(!next.covers(&origin(2, 3, 1)) && next.covers(&origin(1, 3, 1)));
        assert!(next.covers_all(&first) && next.covers_all(&next) && !first.covers_all(&next));
        assert_ne!(next.hash(), first.hash());
        let mut long = next;
        for number in 3..100 {
            long = long.then(base(number), &[Head([1; 32])], vec![origin(number, 1, 1)]);
        }
        assert!(long.covered.len() <= LINEAGE_HISTORIES_MAX && long.from == 2);
        assert!(long.covers(&origin(2, 9, 9)) && !long.covers(&origin(99, 9, 9)));
        // Many actors of one history count as many.
        let actor = |number: u64| {
            let mut actor = [0; 16];
            actor[..8].copy_from_slice(&number.to_be_bytes());
            Origin { actor, ..origin(2, 1, 1) }
        };
        let crowd = |count: usize| first.then(base(2), &[], (0..count as u64).map(actor).collect());
        let (full, over) = (crowd(LINEAGE_ACTORS_MAX), crowd(LINEAGE_ACTORS_MAX + 1));
        assert_eq!((full.covered.len(), full.known_from), (2, 2));
        assert_eq!((over.covered.len(), over.known_from), (0, 3));
    }
}
