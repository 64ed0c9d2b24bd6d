use starling_protocols::limits::NAME_BYTES_MAX;

use super::{AllocationId, Reserved, Sort};

/// Why nothing was allocated, modified, confirmed or released. Whatever it is, all allocations and
/// modifications are as they were, but for those that had expired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// No such resource is defined.
    #[error("there is no resource {name:?}; there {}", listed(.known))]
    UnknownResource {
        /// What was named.
        name: String,
        /// The names that are defined.
        known: Vec<String>,
    },
    /// Not so much is free now, or not so many values of a range: ask for less, or again when
    /// something was released or has expired.
    #[error("of {name:?} {wanted} are wanted and {free} are free: ask for less, or later")]
    NotEnough {
        /// The resource.
        name: String,
        /// How much of it was wanted.
        wanted: u64,
        /// How much of it is free.
        free: u64,
    },
    /// There will never be so much, as long as the definition stays: ask for less.
    #[error("of {name:?} {wanted} are wanted and there are only {total}: ask for less")]
    MoreThanTotal {
        /// The resource.
        name: String,
        /// How much of it was wanted.
        wanted: u64,
        /// How much of it there is.
        total: u64,
    },
    /// Zero was asked for: leave the name out.
    #[error("nothing is wanted of {name:?}: leave it out")]
    Zero {
        /// The resource.
        name: String,
    },
    /// A range was to be changed as a scalar, or the other way round.
    #[error("{name:?} is a {sort}: change it as one")]
    OtherSort {
        /// The resource.
        name: String,
        /// What it is.
        sort: Sort,
    },
    /// More was to be given back than the allocation holds and no other modification gives back.
    #[error("of {name:?} {less} are to be given back and {held} are held: give back less")]
    NotHeld {
        /// The resource.
        name: String,
        /// How much less was wanted.
        less: u64,
        /// How much can be given back.
        held: u64,
    },
    /// A value was to be given back that the allocation does not hold, or that another modification
    /// gives back: ask for the delta anew.
    #[error("value {value} of {name:?} is not the allocation's to give back")]
    ValueNotHeld {
        /// The range.
        name: String,
        /// The value.
        value: u64,
    },
    /// A value was wanted that is not in the range.
    #[error("value {value} is not in {name:?}, which goes from {first} to {last}")]
    OutOfRange {
        /// The range.
        name: String,
        /// The value.
        value: u64,
        /// The lowest value.
        first: u64,
        /// The highest value.
        last: u64,
    },
    /// A value was wanted that is given already: take another.
    #[error("value {value} of {name:?} is given already: take another")]
    Taken {
        /// The range.
        name: String,
        /// The value.
        value: u64,
    },
    /// There is none of that id: it has expired, was released, or never was; of a modification, it
    /// may have been confirmed. Allocate or modify anew.
    #[error("there is no {0}: it has expired, was released or never was; begin anew")]
    Unknown(Reserved),
    /// Only a confirmed allocation is modified: confirm it first.
    #[error("{0} is not confirmed: confirm it before it is modified")]
    Unconfirmed(AllocationId),
    /// There are as many allocations as there may be: release some.
    #[error("there are as many allocations as there may be: release some")]
    TooManyAllocations,
    /// There are as many modifications as there may be: confirm or release some.
    #[error("there are as many modifications as there may be: confirm or release some")]
    TooManyModifications,
    /// All ids were given: nothing can be allocated or modified here any more.
    #[error("all ids have been given: begin with another state")]
    IdsExhausted,
}

/// Why a definition was not taken. The one before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefineError {
    /// There are more names than [`RESOURCE_NAMES_MAX`].
    ///
    /// [`RESOURCE_NAMES_MAX`]: starling_protocols::limits::RESOURCE_NAMES_MAX
    #[error("{0} resources are too many: name fewer")]
    TooManyNames(usize),
    /// A name is empty or longer than [`NAME_BYTES_MAX`].
    #[error("a resource's name has between one and {NAME_BYTES_MAX} bytes: call it otherwise")]
    BadName,
    /// A range ends before it begins.
    #[error("range {name:?} ends at {last}, before it begins at {first}")]
    EmptyRange {
        /// The range.
        name: String,
        /// Its lowest value.
        first: u64,
        /// Its highest value.
        last: u64,
    },
    /// A range has more values than [`RESOURCE_RANGE_VALUES_MAX`].
    ///
    /// [`RESOURCE_RANGE_VALUES_MAX`]: starling_protocols::limits::RESOURCE_RANGE_VALUES_MAX
    #[error("range {name:?} has too many values: make it shorter")]
    LargeRange {
        /// The range.
        name: String,
    },
    /// A scalar was to become a range or the other way round, while some of it is given: release
    /// that first.
    #[error("{name:?} is a {sort} of which some is given: release that before it is another sort")]
    OtherSort {
        /// The resource.
        name: String,
        /// What it is.
        sort: Sort,
    },
}

/// Names for people: a few, and how many more.
fn listed(known: &[String]) -> String {
    const SHOWN: usize = 10;
    match known {
        [] => "are none".to_owned(),
        _ if known.len() <= SHOWN => format!("are {}", known.join(", ")),
        _ => format!("are {} and {} more", known[..SHOWN].join(", "), known.len() - SHOWN),
    }
}
