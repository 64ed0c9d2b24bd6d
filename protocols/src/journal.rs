//! The journal: what is recorded of the agents of one host, how it is framed, and what it gives
//! back after a crash.
//!
//! A [`Record`] is one thing that happened: an input with its effects, a snapshot, a durable
//! letter. Records are numbered through all lives of the host ([`Sequence`]). The engine collects
//! them in a [`Recorder`]; a [`Batch`] of them is sealed into a [`Page`], which carries a checksum
//! and the hash of the page before it. Pages are what a disk holds. [`Recovery`] reads them back,
//! in order, and says which agents live on and which letters are still under way.
//!
//! ```
//! use starling_protocols::journal::{ChainHash, Page, Record, Recorder, Sequence};
//! use starling_protocols::time::{Time, WallTime};
//!
//! let mut recorder = Recorder::new(Sequence::FIRST);
//! recorder.at(Time::ZERO, WallTime::from_millis(1));
//! let batch = recorder.take().expect("something was recorded");
//! let page = Page::seal(ChainHash::START, &batch);
//! let open = Page::open(&page.bytes).expect("it is whole");
//! let records: Vec<_> = open.records().collect::<Result<_, _>>().expect("they decode");
//! assert_eq!(records[0].1, Record::At { time: Time::ZERO, wall: WallTime::from_millis(1) });
//! ```

mod page;
mod record;
mod recorder;
mod recovery;
#[cfg(test)]
mod tests;

pub use page::{ChainHash, OpenPage, Page, PageError, Records};
pub use record::{
    Durability, Effects, Ended, Entry, Era, Handled, Letter, LetterId, Life, LifeHead, Moment,
    Record, Sequence, Snapshot,
};
pub use recorder::{Batch, Recorder};
pub use recovery::{OldEntry, OldLife, Outbox, Recovered, Recovery, Tracker};

/// A digest that tells contents apart (XXH3, 64 bits). It finds differences, not forgery: that is
/// what the chain of page hashes is for.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(bytes)
}
