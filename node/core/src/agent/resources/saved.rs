use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::{
    Allocation, AllocationId, DefineError, Ledger, Modification, ModificationId, Phase, Resources,
    Totals, check,
};

/// What is saved of [`Resources`]: the rest follows from it.
///
/// People who write a state by hand may leave out all but the totals.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Saved {
    totals: Totals,
    window: Duration,
    last: u64,
    allocations: BTreeMap<AllocationId, Allocation>,
    modifications: BTreeMap<ModificationId, Modification>,
}

/// Why a saved state is not taken: it contradicts itself, so nobody of ours has written it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SavedError {
    #[error("the totals are not allowed: {0}")]
    Totals(#[from] DefineError),
    #[error("an id is larger than the last one, or stands twice")]
    Id,
    #[error("an allocation does not know its modifications, or they know another")]
    Modifications,
    #[error("something is held twice, or as another sort than it is of")]
    Shares,
}

impl TryFrom<Saved> for Resources {
    type Error = SavedError;
    fn try_from(saved: Saved) -> Result<Self, SavedError> {
        check(&saved.totals)?;
        saved.ids()?;
        saved.changes()?;
        let (ledger, deadlines) = (saved.ledger()?, saved.deadlines());
        let Saved { totals, window, last, allocations, modifications } = saved;
        Ok(Self { totals, window, last, allocations, modifications, ledger, deadlines })
    }
}

impl Saved {
    fn ids(&self) -> Result<(), SavedError> {
        let of_changes: BTreeSet<_> = self.modifications.keys().map(|id| id.0).collect();
        let are_ids = self.allocations.keys().all(|id| !of_changes.contains(&id.0))
            && self.allocations.keys().all(|id| id.0 <= self.last)
            && of_changes.iter().all(|id| *id <= self.last);
        are_ids.then_some(()).ok_or(SavedError::Id)
    }

    fn changes(&self) -> Result<(), SavedError> {
        let mut known = BTreeSet::new();
        for (id, allocation) in &self.allocations {
            if allocation.until.is_some() && !allocation.changes.is_empty() {
                return Err(SavedError::Modifications);
            }
            let mut left = allocation.shares.clone();
            for change in &allocation.changes {
                let of = self.modifications.get(change).filter(|change| change.of == *id);
                let cut = &of.ok_or(SavedError::Modifications)?.cut;
                if !cut.iter().all(|(name, share)| left.covers(name, share)) {
                    return Err(SavedError::Modifications);
                }
                left.cut(cut);
                known.insert(*change);
            }
        }
        let all = known.len() == self.modifications.len();
        all.then_some(()).ok_or(SavedError::Modifications)
    }

    fn ledger(&self) -> Result<Ledger, SavedError> {
        let mut ledger = Ledger::default();
        let allocated = self.allocations.values().map(|of| (&of.shares, of.phase()));
        let pending = self.modifications.values().map(|of| (&of.add, Phase::Pending));
        for (shares, phase) in allocated.chain(pending) {
            if shares.iter().any(|(_, share)| share.size() == 0) || !ledger.try_take(shares, phase)
            {
                return Err(SavedError::Shares);
            }
        }
        let fits = ledger.iter().all(|(name, used)| {
            self.totals.get(name).is_none_or(|total| total.sort() == used.sort())
        });
        fits.then_some(ledger).ok_or(SavedError::Shares)
    }

    fn deadlines(&self) -> BTreeSet<(super::Time, super::Reserved)> {
        let allocations = self.allocations.iter().filter_map(|(id, of)| Some((of.until?, *id)));
        let changes = self.modifications.iter().map(|(id, of)| (of.until, (*id).into()));
        allocations.map(|(until, id)| (until, id.into())).chain(changes).collect()
    }
}
