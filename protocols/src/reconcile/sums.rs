/// The items of a collection are divided into so many parts, the same on all hosts.
pub const BUCKETS: usize = 256;

/// The sums of the prints of a collection's items, by bucket and over all, kept while items come
/// and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    buckets: [u64; BUCKETS],
    total: u64,
    items: usize,
}

impl Default for Sums {
    fn default() -> Self {
        Self::new()
    }
}

impl Sums {
    /// Those of an empty collection.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: [0; BUCKETS], total: 0, items: 0 }
    }

    /// An item has come.
    pub fn add(&mut self, bucket: u8, print: u64) {
        let sum = &mut self.buckets[usize::from(bucket)];
        *sum = sum.wrapping_add(print);
        self.total = self.total.wrapping_add(print);
        self.items += 1;
    }

    /// An item that had been [added](Self::add) is gone, or another version takes its place.
    pub fn remove(&mut self, bucket: u8, print: u64) {
        let sum = &mut self.buckets[usize::from(bucket)];
        *sum = sum.wrapping_sub(print);
        self.total = self.total.wrapping_sub(print);
        self.items -= 1;
    }

    /// The sum of each bucket.
    #[must_use]
    pub const fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// The sum of all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many items there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items
    }

    /// Whether there is no item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_items_that_are_there_and_go_round() {
        let mut sums = Sums::new();
        for (bucket, print) in [(0, u64::MAX), (0, 3), (255, 5), (7, 9)] {
            sums.add(bucket, print);
        }
        sums.remove(7, 9);
        assert_eq!((sums.total(), sums.len()), (7, 3));
        let full = [(0, 2), (255, 5)];
        for (bucket, sum) in sums.buckets().iter().enumerate() {
            let expected = full.iter().find(|(of, _)| *of == bucket).map_or(0, |(_, sum)| *sum);
            assert_eq!(*sum, expected, "bucket {bucket}");
        }
        for (bucket, print) in [(0, 3), (255, 5), (0, u64::MAX)] {
            sums.remove(bucket, print);
        }
        assert!(sums.is_empty());
        assert_eq!(sums, Sums::new());
    }
}
