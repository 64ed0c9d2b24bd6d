use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Traversal;
use crate::{
    ident::Address,
    limits::{TRAVERSALS_PER_AGENT_MAX, VISITORS_PER_TRAVERSAL_MAX},
    time::Time,
};

/// Fewer searches are not worth looking through.
const SWEPT_MIN: usize = 64;

/// The searches that have come to an agent, each until its time for bids has passed.
///
/// This is what makes a search end on every graph: an agent takes part in it once. Two neighbours
/// that ask each other take the other's question for its answer, so that at most two messages
/// cross each edge (the echo algorithm, Chang 1982).
///
/// A search that goes on with work of another sort is another search there: each is remembered
/// with the name of the contracts it is for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Visited {
    seen: BTreeMap<String, BTreeMap<Traversal, Seen>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    until: Time,
    /// Who has brought the search here, and so needs not be asked.
    from: Vec<Address>,
}

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
        let seen = self.seen.get_mut(name).and_then(|seen| seen.get_mut(&traversal));
        if let Some(seen) = seen {
            if seen.from.len() < VISITORS_PER_TRAVERSAL_MAX && !seen.from.contains(&from) {
                seen.from.push(from);
            }
            return Arrival::Again;
        }
        self.make_room(now);
        if self.len() >= TRAVERSALS_PER_AGENT_MAX {
            return Arrival::TooMany;
        }
        self.insert(name, traversal, Seen { until, from: vec![from] });
        Arrival::First
    }

    /// This agent asks others in a search itself.
    pub fn begin(&mut self, name: &str, traversal: Traversal, until: Time, now: Time) {
        if !self.seen.get(name).is_some_and(|seen| seen.contains_key(&traversal)) {
            self.make_room(now);
            self.insert(name, traversal, Seen { until, from: Vec::new() });
        }
    }

    fn insert(&mut self, name: &str, traversal: Traversal, seen: Seen) {
        match self.seen.get_mut(name) {
            Some(of_name) => drop(of_name.insert(traversal, seen)),
            None => drop(self.seen.insert(name.to_owned(), BTreeMap::from([(traversal, seen)]))),
        }
    }

    /// Forgets what is over, now and then: whenever the table has doubled.
    fn make_room(&mut self, now: Time) {
        let len = self.len();
        if len >= TRAVERSALS_PER_AGENT_MAX || len >= SWEPT_MIN && len.is_power_of_two() {
            self.sweep(now);
        }
    }

    /// Whether the agent at that address has brought the search here.
    #[must_use]
    pub fn came_from(&self, name: &str, traversal: Traversal, address: Address) -> bool {
        let seen = self.seen.get(name).and_then(|seen| seen.get(&traversal));
        seen.is_some_and(|seen| seen.from.contains(&address))
    }

    /// How many searches are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.values().map(BTreeMap::len).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Forgets the searches that are over.
    pub fn sweep(&mut self, now: Time) {
        self.seen.retain(|_, of_name| {
            of_name.retain(|_, seen| seen.until > now);
            !of_name.is_empty()
        });
    }
}
