//! What the scenarios share: real daemons as child processes, each with a data directory of its
//! own, and ways to talk to them and to maltreat them.
//!
//! Nothing here sleeps for a fixed time: [`until`] looks again and again until a deadline that is
//! far away. Daemons never outlive their test, and tell their log when it fails.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real processes live by the real clock"
)]

mod host;
mod http;
mod lines;
mod place;
mod ran;
mod script;
mod small;
mod source;

pub mod auction;
pub mod company;
pub mod copies;
pub mod deals;
pub mod greeters;
pub mod kept;
pub mod load;
pub mod power;
#[path = "../../node/host/src/journal/tests/story.rs"]
pub mod story;
pub mod strace;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

pub use host::Host;
pub use http::{Answer, call, exchange};
pub use lines::Lines;
pub use place::Place;
pub use ran::Ran;
pub use script::Script;
pub use small::Small;
pub use source::{Source, repository, sources, tracked};

/// How long anything may take; what works takes a fraction of it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A place for daemons, with the `p2p` that was built together with the test.
#[macro_export]
macro_rules! place {
    () => {
        $crate::Place::new(env!("CARGO_BIN_EXE_p2p-under-test"))
    };
}

/// Looks until there is something to see.
///
/// # Panics
/// When there is nothing after [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}
