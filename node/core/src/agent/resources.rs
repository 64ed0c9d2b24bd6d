//! What an agent has to share out: amounts, and values of ranges (FEAT: `agents/base/resource.py`).
//!
//! Something is allocated in two steps, so that whoever negotiates can hold it meanwhile:
//! [`preallocate`](Resources::preallocate) holds it for ten seconds,
//! [`confirm`](Resources::confirm) makes it stay until it is
//! [released](Resources::release). A confirmed allocation changes in two steps as well. What it is
//! to get is held at once; what it is to give back is free when the modification is confirmed.
//!
//! ```
//! use starling_core::agent::{prelude::*, resources::*};
//!
//! let now = Time::ZERO;
//! let totals = Totals::new().scalar("epu", 500).range("ports", 8000..=9000);
//! let mut resources = Resources::new(totals)?;
//!
//! let id = resources.preallocate(&Want::of("epu", 100).and("ports", 2), now)?;
//! resources.confirm(id, now)?;
//! let held = resources.allocation(id).unwrap().shares();
//! assert_eq!((held.amount("epu"), held.values("ports").collect()), (100, vec![8000, 8001]));
//!
//! // Another agent wants more than is free.
//! let refused = resources.allocate(&Want::of("epu", 401), now).unwrap_err();
//! let why = ResourceError::NotEnough { name: "epu".into(), wanted: 401, free: 400 };
//! assert_eq!(refused, why);
//!
//! // The first one wants something else: its port 8001 goes back when that is confirmed.
//! let delta = resources.delta(id, &Want::of("epu", 150).and("ports", 1))?;
//! assert_eq!(delta, Delta::new().more("epu", 50).without_values("ports", [8001]));
//! let change = resources.premodify(id, &delta, now)?;
//! assert_eq!(resources.usage()["ports"].free, 999);
//! resources.confirm(change, now)?;
//! assert_eq!(resources.usage()["ports"].free, 1000);
//!
//! // It belongs to a partner, and goes when that does.
//! # let partner = Bond(9);
//! resources.bind(id, partner)?;
//! assert_eq!(resources.released_by(partner), [id]);
//! assert_eq!(resources.usage()["epu"].free, 500);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whatever takes `now` first releases what has expired by then. An agent that wants to hear of it
//! sets a timer for [`next_deadline`](Resources::next_deadline) and [sweeps](Resources::sweep) when
//! it rings.

mod categories;
mod error;
mod ledger;
mod modify;
mod saved;
mod shown;
mod what;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use ledger::{Ledger, Phase, Used};
use serde::{Deserialize, Serialize};
use starling_protocols::{
    limits::{
        ALLOCATION_WINDOW, ALLOCATIONS_PER_AGENT_MAX, NAME_BYTES_MAX, RESOURCE_NAMES_MAX,
        RESOURCE_RANGE_VALUES_MAX,
    },
    partner::Bond,
    time::Time,
};

pub(in crate::agent) use self::shown::map as shown_map;
pub use self::{
    categories::{Access, Addressing, Categories, Storage},
    error::{DefineError, ResourceError},
    what::{Change, Delta, Share, Shares, Sort, Total, Totals, Want},
};

/// Names one allocation. No other of the same agent ever has the same, whatever restarts or is
/// defined anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AllocationId(u64);

/// Names one modification of an allocation, as [`AllocationId`] does an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModificationId(u64);

/// Something that holds resources: an allocation, or a modification that is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reserved {
    /// An allocation.
    Allocation(AllocationId),
    /// A modification.
    Modification(ModificationId),
}

impl From<AllocationId> for Reserved {
    fn from(id: AllocationId) -> Self {
        Self::Allocation(id)
    }
}

impl From<ModificationId> for Reserved {
    fn from(id: ModificationId) -> Self {
        Self::Modification(id)
    }
}

impl fmt::Display for AllocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "allocation {}", self.0)
    }
}

impl fmt::Display for ModificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "modification {}", self.0)
    }
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocation(id) => id.fmt(f),
            Self::Modification(id) => id.fmt(f),
        }
    }
}

/// What was allocated to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    shares: Shares,
    /// Until when it must be confirmed; none when it is.
    until: Option<Time>,
    bound: Option<Bond>,
    changes: BTreeSet<ModificationId>,
}

impl Allocation {
    /// What it holds, without what modifications that are not confirmed hold for it.
    #[must_use]
    pub const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Until when it must be confirmed; none when it is.
    #[must_use]
    pub const fn until(&self) -> Option<Time> {
        self.until
    }

    /// The partner it is released with.
    #[must_use]
    pub const fn bound_to(&self) -> Option<Bond> {
        self.bound
    }

    const fn phase(&self) -> Phase {
        match self.until {
            Some(_) => Phase::Pending,
            None => Phase::Allocated,
        }
    }
}

/// What an allocation is going to get and to give back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Modification {
    of: AllocationId,
    until: Time,
    add: Shares,
    cut: Shares,
}

/// How much of one resource is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// What sort it is of.
    pub sort: Sort,
    /// How much there is: the amount, or how many values. Zero when the name is not defined any
    /// more and some of it is still held.
    pub total: u64,
    /// How much is held by confirmed allocations.
    pub allocated: u64,
    /// How much is held by allocations and modifications that are not confirmed.
    pub pending: u64,
    /// How much can be allocated now: `total - allocated - pending`, or zero when more is held than
    /// there is. Values outside of a range that has become shorter do not count against it.
    pub free: u64,
}

/// More of a resource is held than there is, because it was defined anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    /// The resource.
    pub name: String,
    /// How much of it is held beyond the total, or which values outside of the range.
    pub held: Share,
}

/// What an agent has to share out, and who holds what of it. Part of an agent's state.
///
/// See [the module](self) for an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "saved::Saved")]
pub struct Resources {
    totals: Totals,
    window: Duration,
    /// The last id that was given, to an allocation or a modification.
    last: u64,
    allocations: BTreeMap<AllocationId, Allocation>,
    modifications: BTreeMap<ModificationId, Modification>,
    #[serde(skip_serializing)]
    ledger: Ledger,
    #[serde(skip_serializing)]
    deadlines: BTreeSet<(Time, Reserved)>,
}

impl Default for Resources {
    /// Nothing to share out.
    fn default() -> Self {
        Self {
            totals: Totals::new(),
            window: ALLOCATION_WINDOW,
            last: 0,
            allocations: BTreeMap::new(),
            modifications: BTreeMap::new(),
            ledger: Ledger::default(),
            deadlines: BTreeSet::new(),
        }
    }
}

/// What there is.
impl Resources {
    /// So much to share out, all of it free.
    ///
    /// # Errors
    /// [`DefineError`] when a name or a range is not allowed.
    pub fn new(totals: Totals) -> Result<Self, DefineError> {
        let mut new = Self::default();
        new.define(totals, Time::ZERO)?;
        Ok(new)
    }

    /// Defines anew what there is. No allocation or modification is touched: where more is held
    /// than there is now, that is told, and nothing is free until enough was released.
    ///
    /// # Errors
    /// [`DefineError`] when a name or a range is not allowed, or something that is held becomes
    /// another sort; then the definition stays.
    pub fn define(&mut self, totals: Totals, now: Time) -> Result<Vec<Excess>, DefineError> {
        check(&totals)?;
        self.sweep(now);
        for (name, used) in self.ledger.iter() {
            let (is, becomes) = (used.sort(), totals.get(name).map(Total::sort));
            if becomes.is_some_and(|becomes| becomes != is) {
                return Err(DefineError::OtherSort { name: name.into(), sort: is });
            }
        }
        self.totals = totals;
        Ok(self.excess())
    }

    /// What there is.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Sets how long allocations and modifications from now on stand without being confirmed.
    pub const fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// What is held beyond what there is.
    #[must_use]
    pub fn excess(&self) -> Vec<Excess> {
        let over = |(name, used): (&str, &Used)| {
            let held = match (used, self.totals.get(name)) {
                (Used::Range(taken), Some(Total::Range { first, last })) => {
                    let outside = taken.keys().filter(|value| !(first..=last).contains(value));
                    Share::Values(outside.copied().collect())
                }
                (Used::Range(taken), _) => Share::Values(taken.keys().copied().collect()),
                (Used::Scalar { allocated, pending }, total) => {
                    let total = total.map(Total::size).unwrap_or_default();
                    Share::Amount((allocated + pending).saturating_sub(total))
                }
            };
            (held.size() > 0).then(|| Excess { name: name.to_owned(), held })
        };
        self.ledger.iter().filter_map(over).collect()
    }

    /// How much of each resource is used, also of those that are not defined any more and still
    /// held. What has expired counts until it is swept.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let defined = self.totals.iter().map(|(name, total)| (name, Some(total)));
        let gone = self.ledger.iter().filter(|(name, _)| self.totals.get(name).is_none());
        let all = defined.chain(gone.map(|(name, _)| (name, None)));
        all.map(|(name, total)| (name.to_owned(), self.usage_of(name, total))).collect()
    }

    fn usage_of(&self, name: &str, total: Option<Total>) -> Usage {
        let used = self.ledger.get(name);
        let (allocated, pending) = used.map(Used::both).unwrap_or_default();
        let sort = total.map(Total::sort).or(used.map(Used::sort)).unwrap_or(Sort::Scalar);
        let free = total.map(|total| self.ledger.free(name, total)).unwrap_or_default();
        let total = total.map(Total::size).unwrap_or_default();
        Usage { sort, total, allocated, pending, free }
    }
}

/// Allocations.
impl Resources {
    /// Holds what is wanted until it is confirmed, for [`ALLOCATION_WINDOW`] unless
    /// [`set_window`](Self::set_window) said otherwise. Of a range, the lowest free values.
    ///
    /// # Errors
    /// [`ResourceError`] when not all of it is free; then none of it is held.
    pub fn preallocate(&mut self, want: &Want, now: Time) -> Result<AllocationId, ResourceError> {
        self.sweep(now);
        self.add(want, Some(now + self.window))
    }

    /// Holds what is wanted until it is released.
    ///
    /// # Errors
    /// As [`preallocate`](Self::preallocate).
    pub fn allocate(&mut self, want: &Want, now: Time) -> Result<AllocationId, ResourceError> {
        self.sweep(now);
        self.add(want, None)
    }

    /// Makes an allocation stay, or a modification come true. To confirm an allocation again
    /// changes nothing; a modification is forgotten when it is confirmed.
    ///
    /// # Errors
    /// [`ResourceError::Unknown`] when there is none, or it has expired.
    pub fn confirm(&mut self, id: impl Into<Reserved>, now: Time) -> Result<(), ResourceError> {
        self.sweep(now);
        match id.into() {
            Reserved::Allocation(id) => self.confirm_allocation(id),
            Reserved::Modification(id) => self.confirm_modification(id),
        }
    }

    /// Gives back what an allocation holds, confirmed or not, with all its modifications; or what a
    /// modification holds, whose allocation stays as it is.
    ///
    /// # Errors
    /// [`ResourceError::Unknown`] when there is none.
    pub fn release(&mut self, id: impl Into<Reserved>) -> Result<(), ResourceError> {
        let id = id.into();
        let was_there = match id {
            Reserved::Allocation(id) => self.drop_allocation(id),
            Reserved::Modification(id) => self.drop_modification(id),
        };
        if was_there { Ok(()) } else { Err(ResourceError::Unknown(id)) }
    }

    /// The allocation `id`, if it stands. One that has expired does until it is swept.
    #[must_use]
    pub fn allocation(&self, id: AllocationId) -> Option<&Allocation> {
        self.allocations.get(&id)
    }

    /// All allocations, the oldest first.
    pub fn allocations(&self) -> impl ExactSizeIterator<Item = (AllocationId, &Allocation)> {
        self.allocations.iter().map(|(id, allocation)| (*id, allocation))
    }

    /// Ties an allocation to a partnership, with which it is released (see
    /// [`Partners::resources`](super::Partners::resources)); to another than before, if it was tied
    /// already.
    ///
    /// # Errors
    /// [`ResourceError::Unknown`] when there is none.
    pub fn bind(&mut self, id: AllocationId, to: Bond) -> Result<(), ResourceError> {
        let allocation = self.allocations.get_mut(&id).ok_or(ResourceError::Unknown(id.into()))?;
        allocation.bound = Some(to);
        Ok(())
    }

    /// Releases what is tied to a partnership, and tells what that was, the oldest first.
    pub fn released_by(&mut self, partner: Bond) -> Vec<AllocationId> {
        let bound = self.allocations().filter(|(_, of)| of.bound == Some(partner));
        let bound: Vec<_> = bound.map(|(id, _)| id).collect();
        for id in &bound {
            self.drop_allocation(*id);
        }
        bound
    }

    /// When something expires next; in the past when it has and was not swept.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Releases what has expired, and tells what that was, in the order of the deadlines. What an
    /// operation before this one has released is not among it.
    pub fn sweep(&mut self, now: Time) -> Vec<Reserved> {
        let mut expired = Vec::new();
        while self.next_deadline().is_some_and(|until| until <= now) {
            let Some((_, id)) = self.deadlines.pop_first() else { break };
            match id {
                Reserved::Allocation(id) => self.drop_allocation(id),
                Reserved::Modification(id) => self.drop_modification(id),
            };
            expired.push(id);
        }
        expired
    }

    fn add(&mut self, want: &Want, until: Option<Time>) -> Result<AllocationId, ResourceError> {
        if self.allocations.len() >= ALLOCATIONS_PER_AGENT_MAX {
            return Err(ResourceError::TooManyAllocations);
        }
        let share = |(name, amount): (&str, u64)| {
            let total = self.total(name)?;
            Ok((name.to_owned(), self.share(name, total, amount, &BTreeSet::new())?))
        };
        let shares = Shares(want.iter().map(share).collect::<Result<_, ResourceError>>()?);
        let id = AllocationId(self.next_id()?);
        let allocation = Allocation { shares, until, bound: None, changes: BTreeSet::new() };
        self.ledger.take(&allocation.shares, allocation.phase());
        self.deadlines.extend(until.map(|until| (until, id.into())));
        self.allocations.insert(id, allocation);
        Ok(id)
    }

    fn confirm_allocation(&mut self, id: AllocationId) -> Result<(), ResourceError> {
        let allocation = self.allocations.get_mut(&id).ok_or(ResourceError::Unknown(id.into()))?;
        if let Some(until) = allocation.until.take() {
            self.deadlines.remove(&(until, id.into()));
            self.ledger.give_back(&allocation.shares, Phase::Pending);
            self.ledger.take(&allocation.shares, Phase::Allocated);
        }
        Ok(())
    }

    fn drop_allocation(&mut self, id: AllocationId) -> bool {
        let Some(allocation) = self.allocations.remove(&id) else { return false };
        if let Some(until) = allocation.until {
            self.deadlines.remove(&(until, id.into()));
        }
        self.ledger.give_back(&allocation.shares, allocation.phase());
        for change in allocation.changes {
            self.drop_modification(change);
        }
        true
    }

    fn next_id(&mut self) -> Result<u64, ResourceError> {
        self.last = self.last.checked_add(1).ok_or(ResourceError::IdsExhausted)?;
        Ok(self.last)
    }

    fn total(&self, name: &str) -> Result<Total, ResourceError> {
        self.totals.get(name).ok_or_else(|| {
            let known = self.totals.iter().map(|(name, _)| name.to_owned()).collect();
            ResourceError::UnknownResource { name: name.into(), known }
        })
    }

    /// Finds `amount` that is free, and not among `besides`, which are free values.
    fn share(
        &self,
        name: &str,
        total: Total,
        amount: u64,
        besides: &BTreeSet<u64>,
    ) -> Result<Share, ResourceError> {
        if amount == 0 {
            return Err(ResourceError::Zero { name: name.into() });
        }
        let (all, wanted) = (total.size(), amount);
        if wanted > all {
            return Err(ResourceError::MoreThanTotal { name: name.into(), wanted, total: all });
        }
        let free = self.ledger.free(name, total) - besides.len() as u64;
        if wanted > free {
            return Err(ResourceError::NotEnough { name: name.into(), wanted, free });
        }
        Ok(match total {
            Total::Scalar(_) => Share::Amount(amount),
            Total::Range { first, last } => {
                Share::Values(self.ledger.lowest(name, (first, last), amount, besides))
            }
        })
    }
}

fn check(totals: &Totals) -> Result<(), DefineError> {
    let names = totals.iter().len();
    if names > RESOURCE_NAMES_MAX {
        return Err(DefineError::TooManyNames(names));
    }
    for (name, total) in totals.iter() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(DefineError::BadName);
        }
        let Total::Range { first, last } = total else { continue };
        if first > last {
            return Err(DefineError::EmptyRange { name: name.into(), first, last });
        }
        if total.size() > RESOURCE_RANGE_VALUES_MAX {
            return Err(DefineError::LargeRange { name: name.into() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
