//! Named updates of documents that agents make.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::{
//!     agent::{Updated, UpdateDocument, prelude::*},
//!     documents::{Document, Refused, Update},
//! };
//!
//! /// What a market has sold.
//! #[derive(Default, Serialize, Deserialize)]
//! struct Sales { sold: u64 }
//! impl Document for Sales { const TYPE: &'static str = "market/sales"; }
//!
//! /// Counts what was sold.
//! #[derive(Serialize, Deserialize)]
//! struct Sell(u64);
//! impl Update<Sales> for Sell {
//!     const NAME: &'static str = "market/sell";
//!     fn apply(&self, to: &mut Sales) -> Result<(), Refused> {
//!         to.sold += self.0;
//!         Ok(())
//!     }
//!     // Without it the document has to be there.
//!     fn begin(&self) -> Option<Sales> { Some(Sales::default()) }
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Stall { told: u32 }
//! #[derive(Serialize, Deserialize)]
//! enum Then { Sold(Await<UpdateDocument>) }
//! impl Agent for Stall {
//!     const KIND: &'static str = "stall";
//!     type Then = Then;
//!     fn interests(interests: &mut Interests<Self>) {
//!         interests.updates::<Sales, Sell>();
//!     }
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         cx.update("market/sales", &Sell(2), Then::Sold);
//!     }
//! }
//! impl Continuation<Stall> for Then {
//!     fn resume(self, stall: &mut Stall, cx: &mut Cx<'_, Stall>) {
//!         let Self::Sold(sold) = self;
//!         match cx.take(sold) {
//!             Ok(Ok(updated)) => stall.told = updated.replicas,
//!             Ok(Err(why)) => cx.log(Level::Warn, why.to_string()),
//!             Err(why) => cx.log(Level::Warn, format!("it may have been sold: {why}")),
//!         }
//!     }
//! }
//!
//! let mut cage = Cage::new(Stall::default());
//! cage.start();
//! let updated = Updated { changed: true, replicas: 1 };
//! cage.answer::<UpdateDocument>(cage.waits()[0], &Ok(updated));
//! assert_eq!(cage.state().told, 1);
//! cage.replay();
//! ```

use std::time::Duration;

use automerge::AutoCommit;
use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::{Address, AgentId},
    limits::{BODY_BYTES_MAX, BUDGET_DEFAULT, BUDGET_MAX},
    replica::DocName,
    wire,
};

use super::{Agent, Await, Cx, Request, WaitId};
use crate::{
    documents::{Document, ReadError, Schema, Update, UpdateError, update, update_fields},
    engine::DocumentError,
};

/// How much later than the engine its asker gives up.
const GRACE: Duration = Duration::from_secs(2);

/// Asks the engine of one's own host to apply a named update; [`Cx::update`] asks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateDocument {
    /// The document.
    pub document: String,
    /// The update's name.
    pub update: String,
    /// The update.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// How many hosts are to have the change durably, this one included.
    pub replicas: u32,
    /// How long it is tried, and the hosts are waited for.
    pub patience: Duration,
}

impl Request for UpdateDocument {
    const NAME: &'static str = "engine/update-document";
    type Reply = Result<Updated, UpdateFailed>;
}

/// An update was applied, and is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// Whether it has changed anything.
    pub changed: bool,
    /// How many hosts are known to have the document durably as it is now, this one included. It
    /// may be fewer than were to have it: then time was up.
    pub replicas: u32,
}

/// Why an update was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum UpdateFailed {
    /// The agent's kind declares no such update. The document is as it was.
    #[error("the kind does not declare the update {0:?}")]
    Undeclared(String),
    /// The text is no name of a document. Nothing has changed.
    #[error("{0}")]
    BadName(String),
    /// The update itself refused, or what stands in the document does not fit its type. The
    /// document is as it was.
    #[error("{0}")]
    Refused(String),
    /// It could not be changed. Where that may be for a while only (there is no such document, the
    /// copy of this host is damaged or doubtful), it was tried until time was up. The document is
    /// as it was.
    #[error(transparent)]
    NotChanged(DocumentError),
    /// It is applied, but was not durable when time was up: it is lost if the host goes down now.
    #[error("it is applied, and not yet on the disk")]
    NotDurable,
    /// Too many updates wait on this host already. The document is as it was.
    #[error("too many updates wait on this host already")]
    Busy,
}

/// An update that a kind declares, whose types have been forgotten.
#[derive(Clone, Copy)]
pub(crate) struct Updating {
    pub(crate) name: &'static str,
    pub(crate) schema: Schema,
    pub(crate) apply: Apply,
}

/// Applies an encoded update to a document, or to the fields of a descriptor.
pub(crate) type Apply = fn(&mut AutoCommit, &[u8], bool) -> Result<bool, NotApplied>;

/// Why it is not applied.
pub(crate) enum NotApplied {
    /// There is no document; there may be one soon.
    NotThere,
    Refused(String),
}

impl Updating {
    pub(super) fn of<D: Document, U: Update<D>>() -> Self {
        Self { name: U::NAME, schema: Schema::of::<D>(), apply: apply::<D, U> }
    }
}

fn apply<D: Document, U: Update<D>>(
    doc: &mut AutoCommit,
    body: &[u8],
    of_agent: bool,
) -> Result<bool, NotApplied> {
    let change: U =
        wire::decode(body, BODY_BYTES_MAX).map_err(|why| NotApplied::Refused(why.to_string()))?;
    // In the version in which the document stands: to raise that is for people to decide. One that
    // is made here is of this program's version.
    let there = !matches!(crate::documents::read::<D>(doc), Err(ReadError::Empty));
    let version = if there { 0 } else { D::VERSION };
    let updated =
        if of_agent { update_fields(doc, &change) } else { update(doc, &change, version) };
    updated.map_err(|why| match why {
        UpdateError::Read(ReadError::Empty) => NotApplied::NotThere,
        why => NotApplied::Refused(why.to_string()),
    })
}

/// Changing documents.
impl<A: Agent> Cx<'_, A> {
    /// Applies an [`Update`] to the document of this name, which the kind
    /// [declares](super::Interests::updates). When the copy of this host cannot be changed for now,
    /// or there is no such document yet, it is tried again for some seconds. The answer comes when
    /// the change is durable. The change bears the update's name in the document's
    /// history.
    ///
    /// An agent that outlives its daemon may hear [`Failure::Gone`]: then the update may have been
    /// applied or not.
    ///
    /// # Panics
    /// When the agent already waits for too many things.
    ///
    /// [`Failure::Gone`]: starling_protocols::exchange::Failure::Gone
    pub fn update<D: Document, U: Update<D>>(
        &mut self,
        document: &str,
        update: &U,
        then: impl FnOnce(Await<UpdateDocument>) -> A::Then,
    ) -> WaitId {
        self.update_on(1, BUDGET_DEFAULT, document, update, then)
    }

    /// As [`update`](Self::update); the answer comes when so many hosts have the change durably,
    /// this one included, or when `patience` is over, which is at most
    /// [`BUDGET_MAX`].
    ///
    /// # Panics
    /// When the agent already waits for too many things.
    pub fn update_on<D: Document, U: Update<D>>(
        &mut self,
        replicas: u32,
        patience: Duration,
        document: &str,
        update: &U,
        then: impl FnOnce(Await<UpdateDocument>) -> A::Then,
    ) -> WaitId {
        let patience = patience.min(BUDGET_MAX - GRACE);
        let (document, update, body) =
            (document.to_owned(), U::NAME.to_owned(), super::cx::encode(update));
        let asked = UpdateDocument { document, update, body, replicas, patience };
        let to = Address { host: self.host(), agent: AgentId::ENGINE };
        self.request_within(patience + GRACE, to, &asked, then)
    }

    /// The name of this agent's descriptor. An update of it is applied to what the agent has told
    /// by [`describe`](Self::describe), which then has to fit the update's type.
    #[must_use]
    pub fn descriptor(&self) -> String {
        DocName::of_agent(self.id()).to_string()
    }
}
