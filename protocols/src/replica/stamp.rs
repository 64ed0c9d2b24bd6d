use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{DocName, Head, TenureId};
use crate::{ident::Signable, wire};

/// Which history of a document is meant: each time that its history is cut, or that it is deleted,
/// another begins. The one with the higher number counts; of those with the same number, the one
/// that is a deletion, and then the one with the greater root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Base {
    /// Counts from zero.
    pub number: u64,
    /// The document is deleted: it has no content.
    pub gone: bool,
    /// The change that all others of this history follow. None in the first history of a document,
    /// in which several hosts may begin with a change of their own.
    pub root: Option<Head>,
}

impl Base {
    /// The deletion of what this base holds. Of the last number there is: with the same number.
    #[must_use]
    pub const fn deleted(self) -> Self {
        Self { number: self.number.saturating_add(1), gone: true, root: None }
    }

    /// A new history. Of the last number there is: with the same number, so that it does not
    /// count.
    #[must_use]
    pub const fn after(self, root: Option<Head>) -> Self {
        Self { number: self.number.saturating_add(1), gone: false, root }
    }

    /// 64 bits that stand for it.
    pub(super) fn short(&self) -> u64 {
        let mut hasher = blake3::Hasher::new_derive_key("starling base 1");
        hasher.update(&wire::encode(self));
        let mut short = [0; 8];
        hasher.finalize_xof().fill(&mut short);
        u64::from_be_bytes(short)
    }

    /// Which of two histories counts.
    #[must_use]
    pub fn outranks(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

/// A host vouches for these heads of a document, and with them for all that came before: each
/// change names those before it by their hashes.
///
/// For a descriptor only the word of its owner counts, for any other document that of any member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Of which document.
    pub name: DocName,
    /// Of which tenure of the agent, if it is a descriptor.
    pub tenure: Option<TenureId>,
    /// Of which history.
    pub base: Base,
    /// The heads, in rising order. None when it is deleted.
    pub heads: Vec<Head>,
}

impl Signable for Stamp {
    const CONTEXT: &'static str = "starling stamp 1";
    const BYTES_MAX: usize = 8 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_histories_all_choose_the_same() {
        let live = |number, root: Option<u8>| {
            let root = root.map(|byte| Head([byte; 32]));
            Base { number, gone: false, root }
        };
        let gone = |number| Base { number, gone: true, root: None };
        let rising = [
            live(0, None),
            gone(1),
            live(2, None),
            live(2, Some(1)),
            live(2, Some(2)),
            gone(2),
            live(3, Some(1)),
            gone(3),
        ];
        for (place, base) in rising.iter().enumerate() {
            for (other_place, other) in rising.iter().enumerate() {
                assert_eq!(base.outranks(other), place.cmp(&other_place), "{base:?} {other:?}");
            }
        }
    }
}
