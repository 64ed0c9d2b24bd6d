//! Contracts: one agent announces work, others bid, some are granted it and report (the contract
//! net protocol, Smith 1980; FEAT's `agencies/contracts.py`).
//!
//! Both roles are machines that know nothing of carriers: [`Manager`] of who announces,
//! [`Contractor`] of who is asked. Windows are remaining budgets, counted by each side from when
//! it learned of them, so that no two clocks are compared. A machine is driven by verbs; after
//! each, [`poll`](Manager::poll) gives what is to be done until there is nothing left, and
//! [`next_deadline`](Manager::next_deadline) says when [`expire`](Manager::expire) is due.
//!
//! # The manager
//!
//! | phase | what comes | next phase | what is done |
//! |---|---|---|---|
//! | announced | a bid, from one asked, or from anybody when it was announced to an interest | announced; *closed* with the last answer | the bid is told |
//! | announced | a second bid from one sender, or one handed over whose bidder has bid | announced | it is rejected; the first stands |
//! | announced | a bid from one never asked | announced | it is rejected |
//! | announced | a refusal, a duplicate, a failure | announced; *closed* or *expired* with the last answer | |
//! | announced | the window ends | *closed* with bids, *expired* without | |
//! | announced, closed | a bid is rejected | the same; *expired* when closed and none is left | it is rejected |
//! | announced, closed | a bid is taken back | the same; *expired* when closed and none is left | that it is gone is told |
//! | announced, closed | a grant | granted | the grants go out, all other bids are rejected |
//! | closed | no decision in time | *expired* | all bids are rejected |
//! | closed, granted, ended | a bid | the same | it is rejected |
//! | granted | a report | granted; *completed* with the last, or *partial* when a bid was gone | acknowledged with the last, all of them |
//! | granted | no such bid stands, no such agent is there | granted; as above with the last, *cancelled* when no grant is left | that it is gone is told |
//! | granted | a defect, a contractor that is gone or answers something else | *cancelled* | the other grants are cancelled |
//! | granted | who has reported takes its work back | *cancelled* | the other grants are cancelled |
//! | granted | the window of reports ends | *aborted* | all grants are cancelled |
//! | any but ended | it is given up | *given up* | bids are rejected, grants cancelled |
//!
//! The phases in italics but for *closed* are ends; each is told once. What comes that has no row
//! is stray and changes nothing. A bid names its bidder, and that need not be who sent it: then it
//! was handed over by one who heard of the work. Whether the bidder has really made it shows when
//! it is granted; a bid that nobody made is gone then. Where it was the only one granted, nothing
//! comes of the contract: members of a mesh are trusted not to invent bids.
//!
//! # The contractor
//!
//! | phase | what comes | next phase | what is done |
//! |---|---|---|---|
//! | announced | it bids | bid | the bid goes out |
//! | announced | it refuses | *refused* | the refusal goes out |
//! | announced | it hands a nested bid over | *delegated* | that bid goes out, in its bidder's name |
//! | announced | the window ends, the manager is gone | *expired* | |
//! | bid | a rejection, a cancellation | *rejected* | |
//! | bid | it takes its bid back | *withdrawn* | the manager is told |
//! | bid | a grant | granted | the work is told |
//! | bid | no grant as long as the bid stands, the manager is gone | *expired* | |
//! | granted | it completes | completed | the report goes out |
//! | granted | it defects | *defected* | the defect goes out |
//! | granted | a cancellation, the manager is gone, the window ends | *cancelled* | |
//! | completed, asking | an acknowledgement | *acknowledged* | |
//! | completed, asking | a cancellation | *cancelled* | |
//! | completed, asking | it is stopped | *aborted* | the manager is told that the work is taken back |
//! | completed | nothing in time, the manager is gone | asking | the manager is asked what has become of the contract |
//! | asking | it is not over | completed | |
//! | asking | it is not known, the manager is gone, no answer in time | *aborted* | |
//!
//! A bid stands as long as the announcement says: until the first manager of the search has
//! decided, however many managers there are between the two.
//!
//! A contractor that hears of its end undoes what it had done for it, except at *acknowledged*,
//! *delegated*, *defected* and *refused*. *Aborted* is the one end at which it cannot know whether
//! its work counts: a manager that it could have asked is gone. Who carries the machine tells it
//! that the manager is gone where it can know; where it cannot, the windows end instead.

mod contractor;
mod manager;
mod message;
mod visited;

pub use contractor::{Contractor, Ended, Order, Work};
pub use manager::{End, Event, GrantError, Manager, Output};
pub use message::{Announcement, Ask, Bid, BidId, Reply, Tell, Traversal};
pub use visited::{Arrival, Visited};

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::limits::BUDGET_MAX;

/// How long each side waits for the other, counted from when it learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Windows {
    /// From the announcement until the last bid.
    pub bids: Duration,
    /// From the last bid until the manager has decided; so long a bid stands after the last, with
    /// a tenth more for the way back. A contractor waits as long to be acknowledged, and then for
    /// an answer to the question what has become of the contract.
    pub decision: Duration,
    /// From the grant until the last report.
    pub reports: Duration,
}

impl Windows {
    /// As in FEAT: ten seconds each.
    pub const DEFAULT: Self = {
        let ten = Duration::from_secs(10);
        Self { bids: ten, decision: ten, reports: ten }
    };

    /// How long a bid has to stand, from the announcement on.
    #[must_use]
    pub fn stands(self) -> Duration {
        self.bids + self.decision + self.decision / 10
    }

    /// What a manager that is itself a contractor has of them: for bids the time that is `left` for
    /// its own bid, less a tenth for the way back, and for its decision as long as its own bid
    /// `stands`, so that it may bid on the strength of the bids that it has.
    #[must_use]
    pub fn nested(self, left: Duration, stands: Duration) -> Self {
        Self { bids: self.bids.min(left * 9 / 10), decision: self.decision.max(stands), ..self }
    }

    /// Within what any wait may last.
    #[must_use]
    pub fn capped(self) -> Self {
        let cap = |window: Duration| window.min(BUDGET_MAX);
        Self { bids: cap(self.bids), decision: cap(self.decision), reports: cap(self.reports) }
    }
}
