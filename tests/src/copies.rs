//! Batches of copies to be kept, the same in every process, and what is kept after each.

use std::collections::BTreeMap;

use starling_protocols::replica::{Kept, KeptBatch};

/// What is kept, by name.
pub type Copies = BTreeMap<String, Vec<u8>>;

/// The batch of this number: it changes one copy, makes a few and forgets some.
#[must_use]
pub fn batch(number: u64) -> KeptBatch {
    let kept = |name: String, bytes: usize| Kept { name, bytes: vec![number as u8; bytes] };
    let mut put = vec![kept("conf/echo".into(), 8)];
    put.extend((0..number % 4).map(|row| kept(format!("descriptor/{number}-{row}"), 700)));
    let before = number.saturating_sub(2);
    let forget = (0..number % 2).map(|row| format!("descriptor/{before}-{row}"));
    KeptBatch { number, put, forget: forget.collect() }
}

/// What is kept after the batch of this number.
#[must_use]
pub fn after(number: u64) -> Copies {
    let mut copies = Copies::new();
    for number in 1..=number {
        let batch = batch(number);
        copies.extend(batch.put.into_iter().map(|kept| (kept.name, kept.bytes)));
        for name in batch.forget {
            copies.remove(&name);
        }
    }
    copies
}
