use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, btree_map::Entry},
};

use serde::{Deserialize, Serialize};

use super::Traversal;
use crate::{
    ident::Address,
    limits::{TRAVERSALS_PER_AGENT_MAX, VISITORS_PER_TRAVERSAL_MAX},
    time::Time,
};

/// The searches that have come to an agent, each until its time for bids has passed.
///
/// This is what makes a search end on every graph: an agent takes part in it once. Two neighbours
/// that ask each other take the other's question for its answer, so that at most two messages
/// cross each edge (the echo algorithm, Chang 1982).
///
/// A search that goes on with work of another sort is another search there: each is remembered
/// together with the name of the contracts it is for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Visited {
    seen: BTreeMap<Search, Seen>,
    /// All of them, the first to end on top.
    ends: BinaryHeap<Reverse<(Time, Search)>>,
}

/// A traversal and a name (by FNV-1a) in one number. Whoever makes two of them equal has one search
/// of its own taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Search(u128);

impl Search {
    fn of(name: &str, Traversal(traversal): Traversal) -> Self {
        let add = |sum: u128, byte: u8| {
            (sum ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013B)
        };
        Self(name.bytes().fold(0x6C62_272E_07BB_0142_62B8_2175_6295_C58D, add) ^ traversal)
    }
}

/// Who has brought a search here, and so needs not be asked.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen(Vec<Address>);

/// How a search came to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// For the first time.
    First,
    /// By another way, or again.
    Again,
    /// More searches are under way here than an agent remembers: it takes no part.
    TooMany,
}

impl Visited {
    /// A search for contracts of that `name`, which lasts until then, has come `from` an agent.
    pub fn arrive(
        &mut self,
        name: &str,
        traversal: Traversal,
        from: Address,
        until: Time,
        now: Time,
    ) -> Arrival {
        self.sweep(now);
        let search = Search::of(name, traversal);
        let full = self.len() >= TRAVERSALS_PER_AGENT_MAX;
        match self.seen.entry(search) {
            Entry::Occupied(seen) => {
                let Seen(visitors) = seen.into_mut();
                if visitors.len() < VISITORS_PER_TRAVERSAL_MAX && !visitors.contains(&from) {
                    visitors.push(from);
                }
                return Arrival::Again;
            }
            Entry::Vacant(_) if full => return Arrival::TooMany,
            Entry::Vacant(place) => place.insert(Seen(vec![from])),
        };
        self.ends.push(Reverse((until, search)));
        Arrival::First
    }

    /// This agent asks others in a search itself. When it remembers too many already it does not
    /// remember this one, and takes no part should it come back while that lasts.
    pub fn begin(&mut self, name: &str, traversal: Traversal, until: Time, now: Time) {
        self.sweep(now);
        let search = Search::of(name, traversal);
        let full = self.len() >= TRAVERSALS_PER_AGENT_MAX;
        if let Entry::Vacant(place) = self.seen.entry(search)
            && !full
        {
            place.insert(Seen::default());
            self.ends.push(Reverse((until, search)));
        }
    }

    /// Whether the agent at that address has brought the search here.
    #[must_use]
    pub fn came_from(&self, name: &str, traversal: Traversal, address: Address) -> bool {
        let seen = self.seen.get(&Search::of(name, traversal));
        seen.is_some_and(|Seen(visitors)| visitors.contains(&address))
    }

    /// How many searches are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Forgets the searches that are over.
    pub fn sweep(&mut self, now: Time) {
        while let Some(Reverse((until, search))) = self.ends.peek()
            && *until <= now
        {
            self.seen.remove(search);
            self.ends.pop();
        }
    }
}
