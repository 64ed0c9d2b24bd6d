//! What all hosts have a copy of, and who may write it.
//!
//! A descriptor says of one agent what others need to know when its host is gone. It has one owner
//! at a time: the host that the agent lives on, which proves that by a [`Title`]. What is written
//! in it, with all its history, is a [`Body`].

mod body;
#[cfg(test)]
mod tests;
mod title;

pub use body::{Author, Body, BodyError, ChangeError, Head};
pub use title::{Obituary, Owner, Release, Right, Tenure, TenureId, Title, TitleError};
