use std::collections::{BTreeMap, BTreeSet};

use starling_protocols::{limits::MODIFICATIONS_PER_AGENT_MAX, time::Time};

use super::{
    Allocation, AllocationId, Change, Delta, Modification, ModificationId, ResourceError,
    Resources, Share, Shares, Sort, Total, Want, ledger::Phase,
};

/// Modifications.
impl Resources {
    /// Holds what a confirmed allocation is going to get, and marks what it is going to give back,
    /// until that is confirmed or expires, as with [`preallocate`](Self::preallocate). What it
    /// gives back stays its own, and is not free, until then. Several modifications of one
    /// allocation may stand at once; they never give back the same.
    ///
    /// # Errors
    /// [`ResourceError`] when what is to come is not free, or what is to go is not held; then
    /// nothing is held or marked.
    pub fn premodify(
        &mut self,
        id: AllocationId,
        delta: &Delta,
        now: Time,
    ) -> Result<ModificationId, ResourceError> {
        self.sweep(now);
        if self.modifications.len() >= MODIFICATIONS_PER_AGENT_MAX {
            return Err(ResourceError::TooManyModifications);
        }
        let allocation = self.find(id)?;
        if allocation.until.is_some() {
            return Err(ResourceError::Unconfirmed(id));
        }
        let (add, cut) = self.plan(allocation, delta)?;
        let number = ModificationId(self.next_id()?);
        let until = now + self.window;
        self.ledger.take(&add, Phase::Pending);
        self.deadlines.insert((until, number.into()));
        self.modifications.insert(number, Modification { of: id, until, add, cut });
        if let Some(allocation) = self.allocations.get_mut(&id) {
            allocation.changes.insert(number);
        }
        Ok(number)
    }

    /// What an allocation would have to change by to hold exactly what is wanted. It gives back all
    /// of what is not named, and of ranges the highest values. Modifications that are not confirmed
    /// do not count; whether it is free is not looked at.
    ///
    /// # Errors
    /// [`ResourceError`] when there is no such allocation, or what is wanted is unknown or zero.
    /// Nothing changes in any case.
    pub fn delta(&self, id: AllocationId, wanted: &Want) -> Result<Delta, ResourceError> {
        let allocation = self.find(id)?;
        let mut delta = Delta::new();
        for (name, amount) in wanted.iter() {
            if amount == 0 {
                return Err(ResourceError::Zero { name: name.into() });
            }
            let sort = self.sort(allocation, name)?;
            let held = allocation.shares.amount(name);
            delta = match sort {
                _ if amount == held => delta,
                Sort::Scalar if amount > held => delta.more(name, amount - held),
                Sort::Scalar => delta.less(name, held - amount),
                Sort::Range if amount > held => delta.values(name, amount - held),
                Sort::Range => without_highest(delta, name, &allocation.shares, amount),
            };
        }
        for (name, share) in allocation.shares.iter().filter(|(name, _)| wanted.amount(name) == 0) {
            delta = match share {
                Share::Amount(held) => delta.less(name, *held),
                Share::Values(_) => without_highest(delta, name, &allocation.shares, 0),
            };
        }
        Ok(delta)
    }

    pub(super) fn confirm_modification(&mut self, id: ModificationId) -> Result<(), ResourceError> {
        let change = self.take_modification(id).ok_or(ResourceError::Unknown(id.into()))?;
        let Some(allocation) = self.allocations.get_mut(&change.of) else { return Ok(()) };
        self.ledger.give_back(&change.add, Phase::Pending);
        self.ledger.take(&change.add, Phase::Allocated);
        self.ledger.give_back(&change.cut, Phase::Allocated);
        allocation.shares.add(&change.add);
        allocation.shares.cut(&change.cut);
        Ok(())
    }

    pub(super) fn drop_modification(&mut self, id: ModificationId) -> bool {
        let Some(change) = self.take_modification(id) else { return false };
        self.ledger.give_back(&change.add, Phase::Pending);
        true
    }

    fn take_modification(&mut self, id: ModificationId) -> Option<Modification> {
        let change = self.modifications.remove(&id)?;
        self.deadlines.remove(&(change.until, id.into()));
        if let Some(allocation) = self.allocations.get_mut(&change.of) {
            allocation.changes.remove(&id);
        }
        Some(change)
    }

    fn find(&self, id: AllocationId) -> Result<&Allocation, ResourceError> {
        self.allocations.get(&id).ok_or(ResourceError::Unknown(id.into()))
    }

    /// What sort `name` is of: by the definition, or, when there is none any more, by what is held.
    fn sort(&self, allocation: &Allocation, name: &str) -> Result<Sort, ResourceError> {
        let held = allocation.shares.0.get(name).map(Share::sort);
        held.map_or_else(|| self.total(name).map(Total::sort), Ok)
    }

    /// What `delta` adds to an allocation, and what it takes away.
    fn plan(
        &self,
        allocation: &Allocation,
        delta: &Delta,
    ) -> Result<(Shares, Shares), ResourceError> {
        let (mut add, mut cut) = (BTreeMap::new(), BTreeMap::new());
        for (name, change) in delta.iter() {
            let sort = self.sort(allocation, name)?;
            if change.is_nothing() {
                return Err(ResourceError::Zero { name: name.into() });
            }
            if change.sort() != sort {
                return Err(ResourceError::OtherSort { name: name.into(), sort });
            }
            let (more, less) = match change {
                Change::More(amount) => {
                    let share = self.share(name, self.total(name)?, *amount, &BTreeSet::new())?;
                    (Some(share), None)
                }
                Change::Less(amount) => (None, Some(self.less(allocation, name, *amount)?)),
                Change::Values { count, add, release } => {
                    let more = self.more_values(name, *count, add)?;
                    (more, self.less_values(allocation, name, release)?)
                }
            };
            add.extend(more.map(|more| (name.to_owned(), more)));
            cut.extend(less.map(|less| (name.to_owned(), less)));
        }
        Ok((Shares(add), Shares(cut)))
    }

    fn more_values(
        &self,
        name: &str,
        count: u64,
        these: &BTreeSet<u64>,
    ) -> Result<Option<Share>, ResourceError> {
        if count == 0 && these.is_empty() {
            return Ok(None);
        }
        let total = self.total(name)?;
        let Total::Range { first, last } = total else {
            return Err(ResourceError::OtherSort { name: name.into(), sort: total.sort() });
        };
        for &value in these {
            if !(first..=last).contains(&value) {
                return Err(ResourceError::OutOfRange { name: name.into(), value, first, last });
            }
            if self.ledger.is_taken(name, value) {
                return Err(ResourceError::Taken { name: name.into(), value });
            }
        }
        let mut values = these.clone();
        if count > 0
            && let Share::Values(more) = self.share(name, total, count, these)?
        {
            values.extend(more);
        }
        Ok(Some(Share::Values(values)))
    }

    fn less(&self, allocation: &Allocation, name: &str, less: u64) -> Result<Share, ResourceError> {
        let going: u64 = self.going(allocation, name).map(Share::size).sum();
        let held = allocation.shares.amount(name) - going;
        if less > held {
            return Err(ResourceError::NotHeld { name: name.into(), less, held });
        }
        Ok(Share::Amount(less))
    }

    fn less_values(
        &self,
        allocation: &Allocation,
        name: &str,
        values: &BTreeSet<u64>,
    ) -> Result<Option<Share>, ResourceError> {
        let held = allocation.shares.0.get(name);
        for &value in values {
            let is_going = self.going(allocation, name).any(|share| has(share, value));
            if is_going || !held.is_some_and(|held| has(held, value)) {
                return Err(ResourceError::ValueNotHeld { name: name.into(), value });
            }
        }
        Ok((!values.is_empty()).then(|| Share::Values(values.clone())))
    }

    /// What other modifications of an allocation are going to give back of `name`.
    fn going<'a>(
        &'a self,
        allocation: &'a Allocation,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Share> {
        let changes = allocation.changes.iter().filter_map(|id| self.modifications.get(id));
        changes.filter_map(move |change| change.cut.0.get(name))
    }
}

fn has(share: &Share, value: u64) -> bool {
    matches!(share, Share::Values(values) if values.contains(&value))
}

/// Gives back all but the lowest `keep` values.
fn without_highest(delta: Delta, name: &str, held: &Shares, keep: u64) -> Delta {
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    delta.without_values(name, held.values(name).skip(keep))
}
