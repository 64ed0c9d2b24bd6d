//! Randomness that a seed decides: a generator is forked by name or number, never shared, so that
//! one more draw in one place changes nothing elsewhere.

use std::{fmt, time::Duration};

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

/// A seeded generator.
///
/// ```
/// use starling_protocols::entropy::Entropy;
/// let mut a = Entropy::from_seed([7; 32]).fork("links");
/// let mut b = Entropy::from_seed([7; 32]).fork("links");
/// assert_eq!(a.u64(), b.u64());
/// ```
pub struct Entropy {
    seed: [u8; 32],
    rng: ChaCha8Rng,
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

impl Entropy {
    /// A generator that `seed` alone decides.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, rng: ChaCha8Rng::from_seed(seed) }
    }

    /// The seed that decides it.
    #[must_use]
    pub const fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// A generator of its own for what `name` says. It depends on the seed and the name only, not
    /// on what was drawn before.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        self.fork_bytes(name.as_bytes())
    }

    /// As [`fork`](Self::fork), named by numbers.
    #[must_use]
    pub fn fork_at(&self, major: u128, minor: u64) -> Self {
        let mut name = [0; 24];
        name[..16].copy_from_slice(&major.to_le_bytes());
        name[16..].copy_from_slice(&minor.to_le_bytes());
        self.fork_bytes(&name)
    }

    fn fork_bytes(&self, name: &[u8]) -> Self {
        Self::from_seed(*blake3::keyed_hash(&self.seed, name).as_bytes())
    }

    /// A number below 2⁶⁴.
    pub fn u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below 2¹²⁸.
    pub fn u128(&mut self) -> u128 {
        (u128::from(self.u64()) << 64) | u128::from(self.u64())
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.random_range(0..bound)
    }

    /// `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A duration between half of `base` and `base`: what every retry waits.
    pub fn jitter(&mut self, base: Duration) -> Duration {
        let nanos = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX);
        let half = nanos / 2;
        Duration::from_nanos(half + self.below((nanos - half).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Entropy {
        Entropy::from_seed([7; 32])
    }

    /// Seeds are written into bug reports and journals: they must mean the same in every release.
    #[test]
    fn numbers_never_change() {
        let mut root = root();
        let numbers = [
            root.u64(),
            root.below(1000),
            root.fork("links").u64(),
            root.fork_at(1, 2).u64(),
            root.fork("a").fork("b").u64(),
        ];
        assert_eq!(
            numbers,
            [
                4115934089738703076,
                831,
                15498667043206392450,
                7908338491173230283,
                8252605991106863111
            ]
        );
        let (wide, jitter) = (root.fork("wide").u128(), root.fork("wait").jitter(Duration::MAX));
        assert_eq!(
            (wide, root.fork("bytes").bytes(), jitter.as_nanos()),
            (
                54203341764781411089292244650272878938,
                [240, 171, 106, 166, 33, 98, 40],
                9586184361626422917
            )
        );
    }

    #[test]
    fn a_fork_depends_on_the_seed_and_its_name_only() {
        let mut drawn = root();
        let early = drawn.fork("x").u128();
        drawn.u64();
        drawn.fork("y").u64();
        assert_eq!(drawn.fork("x").u128(), early);
        let others = [
            root().u128(),
            root().fork("y").u128(),
            root().fork("").u128(),
            root().fork_at(0, 0).u128(),
            root().fork_at(0, 1).u128(),
            root().fork_at(1, 0).u128(),
            Entropy::from_seed([8; 32]).fork("x").u128(),
        ];
        let all: std::collections::BTreeSet<_> = others.into_iter().chain([early]).collect();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let mut entropy = root();
        for nanos in [0, 1, 2, 3, 1000, u64::MAX] {
            let base = Duration::from_nanos(nanos);
            for _ in 0..50 {
                let jitter = entropy.jitter(base);
                assert!(jitter <= base && 2 * jitter + Duration::from_nanos(1) >= base);
            }
        }
        assert!(entropy.jitter(Duration::MAX) > Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "empty range")]
    fn below_nothing_there_is_nothing() {
        root().below(0);
    }
}
