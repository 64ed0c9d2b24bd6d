use std::collections::{BTreeMap, BTreeSet};

use super::{Share, Shares, Sort, Total};

/// How much of everything is given. It follows from the allocations and modifications, and is kept
/// so that nobody must add them up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger(BTreeMap<String, Used>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Used {
    Scalar { allocated: u64, pending: u64 },
    Range(BTreeMap<u64, Phase>),
}

/// Whether what is given is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Allocated,
}

impl Used {
    /// What is confirmed, and what is not yet.
    pub(super) fn both(&self) -> (u64, u64) {
        match self {
            Self::Scalar { allocated, pending } => (*allocated, *pending),
            Self::Range(taken) => {
                let pending = taken.values().filter(|phase| **phase == Phase::Pending).count();
                ((taken.len() - pending) as u64, pending as u64)
            }
        }
    }

    pub(super) const fn sort(&self) -> Sort {
        match self {
            Self::Scalar { .. } => Sort::Scalar,
            Self::Range(_) => Sort::Range,
        }
    }

    fn none(sort: Sort) -> Self {
        match sort {
            Sort::Scalar => Self::Scalar { allocated: 0, pending: 0 },
            Sort::Range => Self::Range(BTreeMap::new()),
        }
    }

    fn is_none(&self) -> bool {
        match self {
            Self::Scalar { allocated, pending } => *allocated == 0 && *pending == 0,
            Self::Range(taken) => taken.is_empty(),
        }
    }

    /// Gives `None`, in a state that is of no use any more, when it is given already.
    fn take(&mut self, share: &Share, phase: Phase) -> Option<()> {
        match (self, share) {
            (Self::Scalar { allocated, pending }, Share::Amount(amount)) => {
                allocated.checked_add(*pending)?.checked_add(*amount)?;
                *(if phase == Phase::Pending { pending } else { allocated }) += amount;
                Some(())
            }
            (Self::Range(taken), Share::Values(values)) => {
                values.iter().all(|value| taken.insert(*value, phase).is_none()).then_some(())
            }
            _ => None,
        }
    }

    fn give_back(&mut self, share: &Share, phase: Phase) {
        match (self, share) {
            (Self::Scalar { allocated, pending }, Share::Amount(amount)) => {
                *(if phase == Phase::Pending { pending } else { allocated }) -= amount;
            }
            (Self::Range(taken), Share::Values(values)) => {
                for value in values {
                    taken.remove(value);
                }
            }
            _ => {}
        }
    }
}

impl Ledger {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Used)> {
        self.0.iter().map(|(name, used)| (name.as_str(), used))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Used> {
        self.0.get(name)
    }

    /// Gives whether none of it was given before.
    #[must_use]
    pub(super) fn try_take(&mut self, shares: &Shares, phase: Phase) -> bool {
        shares.iter().all(|(name, share)| {
            let none = || Used::none(share.sort());
            self.0.entry(name.to_owned()).or_insert_with(none).take(share, phase).is_some()
        })
    }

    pub(super) fn take(&mut self, shares: &Shares, phase: Phase) {
        assert!(self.try_take(shares, phase), "what is given was found free");
    }

    pub(super) fn give_back(&mut self, shares: &Shares, phase: Phase) {
        for (name, share) in shares.iter() {
            let Some(used) = self.0.get_mut(name) else { continue };
            used.give_back(share, phase);
            if used.is_none() {
                self.0.remove(name);
            }
        }
    }

    /// How much of `total` is free.
    pub(super) fn free(&self, name: &str, total: Total) -> u64 {
        let used = match (total, self.0.get(name)) {
            (_, None) => 0,
            (Total::Range { first, last }, Some(Used::Range(taken))) => {
                taken.range(first..=last).count() as u64
            }
            (_, Some(used)) => {
                let (allocated, pending) = used.both();
                allocated + pending
            }
        };
        total.size().saturating_sub(used)
    }

    pub(super) fn is_taken(&self, name: &str, value: u64) -> bool {
        matches!(self.0.get(name), Some(Used::Range(taken)) if taken.contains_key(&value))
    }

    /// The lowest `count` values that are free and not among `besides`.
    pub(super) fn lowest(
        &self,
        name: &str,
        (first, last): (u64, u64),
        count: u64,
        besides: &BTreeSet<u64>,
    ) -> BTreeSet<u64> {
        let none = BTreeMap::new();
        let taken = match self.0.get(name) {
            Some(Used::Range(taken)) => taken,
            _ => &none,
        };
        let mut taken = taken.range(first..=last).map(|(value, _)| *value).peekable();
        let is_free = |value: &u64| taken.next_if_eq(value).is_none() && !besides.contains(value);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        (first..=last).filter(is_free).take(count).collect()
    }
}
