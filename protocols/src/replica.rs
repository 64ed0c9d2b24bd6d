//! What all hosts have a copy of, and who may write it.
//!
//! A descriptor says of one agent what others need to know when its host is gone. It has one owner
//! at a time: the host that the agent lives on, which proves that by a [`Title`].

mod kept;
#[cfg(test)]
mod tests;
mod title;

pub use kept::{Kept, KeptBatch};
pub use title::{Obituary, Owner, Release, Right, Tenure, TenureId, Title, TitleError};
