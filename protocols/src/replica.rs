//! What all hosts have a copy of, and who may write it.
//!
//! A document is what automerge merges: several hosts may change it at once, and all come to hold
//! the same. A descriptor is a document that says of one agent what others need to know when its
//! host is gone. It has one owner at a time: the host that the agent lives on, which proves that by
//! a [`Title`].

mod body;
mod kept;
mod lineage;
mod message;
mod name;
mod replicas;
mod replication;
mod revision;
mod stamp;
mod title;
mod waits;

pub use body::{Author, Body, BodyError, ChangeError, Head, Short};
pub use kept::{Kept, KeptBatch};
pub use lineage::{Covered, Lineage, carried_over};
pub use message::{Message, Offer, Parcel, Receipt, Want};
pub use name::{DocName, DocNameError};
pub use replicas::{Carried, Dropped, Pen, ReadError, Refused, Replicas, Taken, WriteError};
pub use replication::{Output, Replicated, Replication};
pub use revision::{Content, Revision};
pub use stamp::{Base, Stamp};
pub use title::{Obituary, Owner, Release, Right, Tenure, TenureId, Title, TitleError};
pub use waits::Ticket;
