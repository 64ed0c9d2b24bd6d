use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

/// What is there to be shared out: a total for each name.
///
/// It is checked by [`Resources::new`](super::Resources::new) and
/// [`Resources::define`](super::Resources::define). What is said last of a name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Totals(BTreeMap<String, Total>);

/// How much there is of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Total {
    /// An amount, of which parts are given; zero is allowed.
    Scalar(u64),
    /// Values, of which each is given to one only.
    Range {
        /// The lowest value.
        first: u64,
        /// The highest value.
        last: u64,
    },
}

/// What sort of resource something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// An amount.
    Scalar,
    /// Values of a range.
    Range,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Range => "range",
        })
    }
}

impl Total {
    /// How much it is: the amount, or how many values there are (of all 2⁶⁴, one is not counted).
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::Scalar(total) => total,
            Self::Range { first, last } if first <= last => (last - first).saturating_add(1),
            Self::Range { .. } => 0,
        }
    }

    /// What sort of resource it is.
    #[must_use]
    pub const fn sort(self) -> Sort {
        match self {
            Self::Scalar(_) => Sort::Scalar,
            Self::Range { .. } => Sort::Range,
        }
    }
}

impl Totals {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// And `total` of the scalar `name`.
    #[must_use]
    pub fn scalar(mut self, name: impl Into<String>, total: u64) -> Self {
        self.0.insert(name.into(), Total::Scalar(total));
        self
    }

    /// And the `values` of the range `name`.
    #[must_use]
    pub fn range(mut self, name: impl Into<String>, values: RangeInclusive<u64>) -> Self {
        let (first, last) = values.into_inner();
        self.0.insert(name.into(), Total::Range { first, last });
        self
    }

    /// The total of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Total> {
        self.0.get(name).copied()
    }

    /// All names with their totals, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Total)> {
        self.0.iter().map(|(name, total)| (name.as_str(), *total))
    }
}

/// What somebody wants: an amount of a scalar, or how many values of a range, for each name. What
/// sort a name is of, the definition says.
///
/// To want nothing at all is allowed, and so is an allocation of nothing; zero of a name is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Want(BTreeMap<String, u64>);

impl Want {
    /// Nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(BTreeMap::new())
    }

    /// `amount` of `name`.
    #[must_use]
    pub fn of(name: impl Into<String>, amount: u64) -> Self {
        Self::nothing().and(name, amount)
    }

    /// And `amount` of `name`; what is said last of a name counts.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, amount: u64) -> Self {
        self.0.insert(name.into(), amount);
        self
    }

    /// How much of `name` is wanted; zero of what is not named.
    #[must_use]
    pub fn amount(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// All names with their amounts, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }
}

/// What an allocation holds of each name. Never zero of anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shares(pub(super) BTreeMap<String, Share>);

/// What an allocation holds of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// So much of a scalar.
    Amount(u64),
    /// These values of a range.
    Values(BTreeSet<u64>),
}

impl Share {
    /// How much it is: the amount, or how many values.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Amount(amount) => *amount,
            Self::Values(values) => values.len() as u64,
        }
    }

    pub(super) const fn sort(&self) -> Sort {
        match self {
            Self::Amount(_) => Sort::Scalar,
            Self::Values(_) => Sort::Range,
        }
    }
}

impl Shares {
    /// How much is held of `name`, or how many values.
    #[must_use]
    pub fn amount(&self, name: &str) -> u64 {
        self.0.get(name).map(Share::size).unwrap_or_default()
    }

    /// The values that are held of the range `name`, lowest first.
    pub fn values(&self, name: &str) -> impl Iterator<Item = u64> {
        let values = match self.0.get(name) {
            Some(Share::Values(values)) => Some(values),
            _ => None,
        };
        values.into_iter().flatten().copied()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names with what is held of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Share)> {
        self.0.iter().map(|(name, share)| (name.as_str(), share))
    }

    pub(super) fn add(&mut self, more: &Self) {
        for (name, share) in &more.0 {
            match (self.0.get_mut(name), share) {
                (Some(Share::Amount(held)), Share::Amount(more)) => *held += more,
                (Some(Share::Values(held)), Share::Values(more)) => held.extend(more),
                _ => drop(self.0.insert(name.clone(), share.clone())),
            }
        }
    }

    /// Whether at least `share` is held of `name`.
    pub(super) fn covers(&self, name: &str, share: &Share) -> bool {
        match (self.0.get(name), share) {
            (Some(Share::Amount(held)), Share::Amount(amount)) => held >= amount,
            (Some(Share::Values(held)), Share::Values(values)) => held.is_superset(values),
            _ => false,
        }
    }

    pub(super) fn cut(&mut self, less: &Self) {
        for (name, share) in &less.0 {
            match (self.0.get_mut(name), share) {
                (Some(Share::Amount(held)), Share::Amount(less)) => *held -= less,
                (Some(Share::Values(held)), Share::Values(less)) => {
                    held.retain(|value| !less.contains(value));
                }
                _ => {}
            }
        }
        self.0.retain(|_, share| share.size() > 0);
    }
}

/// How an allocation is to change.
///
/// ```
/// # use starling_core::agent::resources::Delta;
/// let delta = Delta::new()
///     .more("epu", 5)
///     .less("memory", 100)
///     .values("ports", 2) // any two
///     .these_values("ports", [8080])
///     .without_values("ports", [8000, 8001]);
/// # assert_eq!(delta.iter().len(), 3);
/// ```
///
/// Of a name it says either how much more or less of a scalar, or which values of a range; where
/// both are said, the last of them counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delta(BTreeMap<String, Change>);

/// How what is held of one resource is to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// So much more of a scalar.
    More(u64),
    /// So much less of a scalar.
    Less(u64),
    /// Other values of a range.
    Values {
        /// How many values more, whichever are free.
        count: u64,
        /// Further values, these and no others.
        add: BTreeSet<u64>,
        /// Values that are given back.
        release: BTreeSet<u64>,
    },
}

impl Change {
    pub(super) const fn sort(&self) -> Sort {
        match self {
            Self::More(_) | Self::Less(_) => Sort::Scalar,
            Self::Values { .. } => Sort::Range,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::More(amount) | Self::Less(amount) => *amount == 0,
            Self::Values { count, add, release } => {
                *count == 0 && add.is_empty() && release.is_empty()
            }
        }
    }
}

impl Delta {
    /// No change.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// `amount` more of the scalar `name`.
    #[must_use]
    pub fn more(self, name: impl Into<String>, amount: u64) -> Self {
        self.with(name.into(), Change::More(amount))
    }

    /// `amount` less of the scalar `name`.
    #[must_use]
    pub fn less(self, name: impl Into<String>, amount: u64) -> Self {
        self.with(name.into(), Change::Less(amount))
    }

    /// `count` more values of the range `name`, whichever are free.
    #[must_use]
    pub fn values(mut self, name: impl Into<String>, count: u64) -> Self {
        *self.of_range(name.into()).0 = count;
        self
    }

    /// And these values of the range `name`.
    #[must_use]
    pub fn these_values(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = u64>,
    ) -> Self {
        self.of_range(name.into()).1.extend(values);
        self
    }

    /// And these values of the range `name` no longer.
    #[must_use]
    pub fn without_values(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = u64>,
    ) -> Self {
        self.of_range(name.into()).2.extend(values);
        self
    }

    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names with their changes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Change)> {
        self.0.iter().map(|(name, change)| (name.as_str(), change))
    }

    fn with(mut self, name: String, change: Change) -> Self {
        self.0.insert(name, change);
        self
    }

    fn of_range(&mut self, name: String) -> (&mut u64, &mut BTreeSet<u64>, &mut BTreeSet<u64>) {
        let none = || Change::Values { count: 0, add: BTreeSet::new(), release: BTreeSet::new() };
        let change = self.0.entry(name).or_insert_with(none);
        if change.sort() == Sort::Scalar {
            *change = none();
        }
        match change {
            Change::Values { count, add, release } => (count, add, release),
            Change::More(_) | Change::Less(_) => unreachable!("it was made a change of values"),
        }
    }
}
