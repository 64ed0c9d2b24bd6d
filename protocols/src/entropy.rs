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
