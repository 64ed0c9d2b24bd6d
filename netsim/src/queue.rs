use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

use starling_protocols::time::Time;

/// What is planned for later is only put into an order when it comes near: within the same four
/// milliseconds or so.
const NEAR_BITS: u32 = 22;

/// What is going to happen, in the order of its time; of what happens at the same time, what was
/// planned first comes first.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// All that is planned up to the end of `span`.
    near: BinaryHeap<Reverse<Planned<E>>>,
    span: u64,
    /// What comes after it, by the span of its time, in no order within it. Never empty ones.
    far: BTreeMap<u64, Vec<Reverse<Planned<E>>>>,
    planned: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Time,
    number: u64,
    event: E,
}

const fn span(at: Time) -> u64 {
    at.as_nanos() >> NEAR_BITS
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { near: BinaryHeap::new(), span: 0, far: BTreeMap::new(), planned: 0 }
    }

    pub(crate) fn plan(&mut self, at: Time, event: E) {
        self.planned += 1;
        let planned = Reverse(Planned { at, number: self.planned, event });
        let span = span(at);
        if span <= self.span {
            self.near.push(planned);
        } else {
            self.far.entry(span).or_default().push(planned);
        }
    }

    /// The next time at which something happens. Looking changes nothing that can be seen.
    pub(crate) fn next_at(&mut self) -> Option<Time> {
        if self.near.is_empty()
            && let Some((span, planned)) = self.far.pop_first()
        {
            self.span = span;
            self.near = planned.into();
        }
        self.near.peek().map(|Reverse(planned)| planned.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        self.next_at()?;
        self.near.pop().map(|Reverse(planned)| (planned.at, planned.event))
    }
}

impl<E> Planned<E> {
    const fn key(&self) -> (Time, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::entropy::Entropy;

    use super::*;

    #[test]
    fn what_was_planned_first_comes_first() {
        let mut queue = Queue::new();
        for (nanos, name) in [(5, "b"), (1, "a"), (5, "c")] {
            queue.plan(Time::from_nanos(nanos), name);
        }
        assert_eq!(queue.next_at(), Some(Time::from_nanos(1)));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn near_and_far_are_one_order() {
        let mut entropy = Entropy::from_seed([3; 32]);
        let (mut queue, mut expected) = (Queue::new(), BTreeMap::new());
        let (mut now, mut number) = (0, 0);
        for _ in 0..5000 {
            for _ in 0..entropy.below(3) {
                let ahead = [0, 1000, 5_000_000, 20_000_000_000][number % 4];
                let at = now + entropy.below(ahead + 1);
                queue.plan(Time::from_nanos(at), number);
                expected.insert((at, number), number);
                number += 1;
            }
            let next = expected.pop_first();
            assert_eq!(queue.next_at(), next.map(|((at, _), _)| Time::from_nanos(at)));
            assert_eq!(queue.pop().map(|(_, event)| event), next.map(|(_, event)| event));
            now = next.map_or(now, |((at, _), _)| at);
        }
        assert!(number > 4000);
    }
}
