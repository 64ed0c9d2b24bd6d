use super::{Limits, Prints, Refused};
use crate::ident::HostId;

/// What two hosts compare of a collection: all but what each of them answers for itself.
pub(super) struct Common<'a, P> {
    items: &'a P,
    me: HostId,
    peer: HostId,
}

impl<'a, P: Prints> Common<'a, P> {
    pub(super) const fn new(items: &'a P, me: HostId, peer: HostId) -> Self {
        Self { items, me, peer }
    }

    /// The items that are left out, by bucket and print.
    fn own(&self) -> impl Iterator<Item = (u8, u64)> + use<'a, P> {
        let own = [self.me, self.peer].map(|host| self.items.own(host));
        own.into_iter().flatten().map(|(bucket, print, _)| (bucket, print))
    }

    /// The sum of all.
    pub(super) fn total(&self) -> u64 {
        let total = self.items.sums().total();
        self.own().fold(total, |sum, (_, print)| sum.wrapping_sub(print))
    }

    /// The sum of each bucket.
    pub(super) fn sums(&self) -> Vec<u64> {
        let mut sums = self.items.sums().buckets().to_vec();
        for (bucket, print) in self.own() {
            let sum = &mut sums[usize::from(bucket)];
            *sum = sum.wrapping_sub(print);
        }
        sums
    }

    /// The items of one bucket, with their prints.
    pub(super) fn bucket(
        &self,
        bucket: u8,
    ) -> impl Iterator<Item = (u64, &'a P::Item)> + use<'a, P> {
        let mut own = [None; 2];
        for (place, (_, print)) in own.iter_mut().zip(self.own()) {
            *place = Some(print);
        }
        self.items.bucket(bucket).filter(move |(print, _)| !own.contains(&Some(*print)))
    }

    /// All items, bucket after bucket, with their prints.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &'a P::Item)> {
        (0..=u8::MAX).flat_map(|bucket| self.bucket(bucket))
    }

    /// Those of `items` whose prints are not among `has`, which is sorted: up to the bytes of one
    /// answer but at least one. And whether there are more.
    pub(super) fn lacking(
        &self,
        items: impl Iterator<Item = (u64, &'a P::Item)>,
        has: &[u64],
        limits: &Limits,
    ) -> (Vec<P::Item>, bool) {
        let lacking = items.filter(|(print, _)| has.binary_search(print).is_err());
        let (mut answer, mut bytes) = (Vec::new(), 0_usize);
        for (_, item) in lacking {
            bytes = bytes.saturating_add(self.items.bytes(item));
            if !answer.is_empty() && bytes > limits.answer_bytes_max {
                return (answer, true);
            }
            answer.push(item.clone());
        }
        (answer, false)
    }
}

/// The prints in order, if there are no more than one digest may have.
pub(super) fn sorted(
    prints: impl Iterator<Item = u64>,
    limits: &Limits,
) -> Result<Vec<u64>, Refused> {
    let mut prints: Vec<u64> = prints.take(limits.prints_max + 1).collect();
    prints.sort_unstable();
    if prints.len() > limits.prints_max { Err(Refused::Malformed) } else { Ok(prints) }
}
