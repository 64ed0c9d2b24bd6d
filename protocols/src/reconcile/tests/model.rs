use std::collections::BTreeMap;

use super::world::Learns;
use crate::reconcile::{Prints, Sums};

/// Each item as long as a small document.
const ITEM_BYTES: usize = 500;

/// Items with a name and a version, of which the newer replaces the older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// By bucket and name: the print, the name and the version.
    items: BTreeMap<(u8, u32), (u64, (u32, u32))>,
    sums: Sums,
}

impl Model {
    pub(super) fn new(items: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut model = Self { items: BTreeMap::new(), sums: Sums::new() };
        items.into_iter().for_each(|item| assert!(model.learn(&item)));
        model
    }

    /// Whether it has these and no others.
    pub(super) fn is(&self, items: &BTreeMap<u32, u32>) -> bool {
        *self == Self::new(items.iter().map(|(name, version)| (*name, *version)))
    }
}

fn bucket(name: u32) -> u8 {
    blake3::hash(&name.to_le_bytes()).as_bytes()[0]
}

pub(super) fn print(name: u32, version: u32) -> u64 {
    let mut hash = blake3::Hasher::new_derive_key("print of a model");
    hash.update(&name.to_le_bytes()).update(&version.to_le_bytes());
    let mut print = [0; 8];
    hash.finalize_xof().fill(&mut print);
    u64::from_le_bytes(print).max(1)
}

impl Prints for Model {
    type Item = (u32, u32);

    fn sums(&self) -> &Sums {
        &self.sums
    }

    fn bucket(&self, bucket: u8) -> impl Iterator<Item = (u64, &(u32, u32))> {
        let items = self.items.range((bucket, 0)..=(bucket, u32::MAX));
        items.map(|(_, (print, item))| (*print, item))
    }

    fn bytes(&self, _: &(u32, u32)) -> usize {
        ITEM_BYTES
    }
}

impl Learns for Model {
    fn learn(&mut self, &(name, version): &(u32, u32)) -> bool {
        let place = (bucket(name), name);
        let old = self.items.get(&place).copied();
        if old.is_some_and(|(_, (_, old))| old >= version) {
            return false;
        }
        if let Some((print, _)) = old {
            self.sums.remove(place.0, print);
        }
        let print = print(name, version);
        self.sums.add(place.0, print);
        self.items.insert(place, (print, (name, version)));
        true
    }

    fn encoded(items: &[(u32, u32)]) -> usize {
        items.len() * ITEM_BYTES
    }
}
