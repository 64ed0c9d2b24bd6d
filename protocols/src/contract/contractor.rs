use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use super::Windows;
use crate::{limits::BUDGET_MAX, time::Time};

/// Who is asked to do work; see the [table](super#the-contractor).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contractor {
    phase: Phase,
    /// When the phase ends by itself.
    until: Time,
    /// How long a bid of its stands, and how long it waits to be acknowledged.
    windows: Windows,
    outputs: VecDeque<Work>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Announced,
    Bid,
    Granted,
    Completed,
    Ended,
}

/// What its manager tells a contractor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The bid is not taken.
    Reject,
    /// The work is to be done within so long.
    Grant {
        /// What is left of the time for the report.
        left: Duration,
    },
    /// What was granted is taken back, and why.
    Cancel(String),
    /// All reports have come.
    Acknowledge,
    /// The manager is not there any more.
    Gone,
}

/// What a contractor's agent is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// It is to do the work.
    Granted,
    /// The contract has ended.
    Ended(Ended),
}

/// How a contract ended for one of its contractors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// It did not bid.
    Refused,
    /// It handed a nested bid over.
    Delegated,
    /// It bid, and its bid was not taken.
    Rejected,
    /// It had not bid when the window for bids ended, or it was told nothing of its bid for as
    /// long as that stood.
    Expired,
    /// What it had been granted was taken back before it was done, and why.
    Cancelled(String),
    /// It could not do what it had been granted.
    Defected,
    /// It has done the work, and was told later that it is not wanted, and why; or was told
    /// nothing more.
    Aborted(String),
    /// It has done the work, and so have all others.
    Acknowledged,
}

impl Ended {
    /// Whether what was done for the contract is to be undone.
    #[must_use]
    pub const fn undoes(&self) -> bool {
        !matches!(self, Self::Acknowledged | Self::Delegated | Self::Defected | Self::Refused)
    }
}

impl Contractor {
    /// Work was announced, with so much time left for bids.
    #[must_use]
    pub fn announced(left: Duration, windows: Windows, now: Time) -> Self {
        let windows = windows.capped();
        Self {
            phase: Phase::Announced,
            until: now + left.min(BUDGET_MAX),
            windows,
            outputs: VecDeque::new(),
        }
    }

    /// What its agent is to be told next.
    pub fn poll(&mut self) -> Option<Work> {
        self.outputs.pop_front()
    }

    /// When [`expire`](Self::expire) is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        (self.phase != Phase::Ended).then_some(self.until)
    }

    /// What is left of the present window.
    #[must_use]
    pub fn left(&self, now: Time) -> Duration {
        self.until.since(now)
    }

    /// Whether the contract has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The word for where the contract stands.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Announced => "announced",
            Phase::Bid => "bid",
            Phase::Granted => "granted",
            Phase::Completed => "completed",
            Phase::Ended => "ended",
        }
    }

    /// It bids. Gives whether that was possible; if not, nothing has changed. The bid stands until
    /// the last others may have bid and the manager has decided.
    pub fn bid(&mut self) -> bool {
        let may = self.phase == Phase::Announced;
        if may {
            (self.phase, self.until) = (Phase::Bid, self.until + self.windows.decision);
        }
        may
    }

    /// It does not bid. Gives whether that was possible.
    pub fn refuse(&mut self) -> bool {
        self.leave(Phase::Announced, Ended::Refused)
    }

    /// It hands a nested bid over to its manager. Gives whether that was possible.
    pub fn hand_over(&mut self) -> bool {
        self.leave(Phase::Announced, Ended::Delegated)
    }

    /// It has done the work. Gives whether it was to.
    pub fn complete(&mut self, now: Time) -> bool {
        let may = self.phase == Phase::Granted;
        if may {
            // The others may need all the time there is, and then it is the manager's turn.
            self.until = self.until.max(now) + self.windows.decision;
            self.phase = Phase::Completed;
        }
        may
    }

    /// It cannot do the work. Gives whether it was to.
    pub fn defect(&mut self) -> bool {
        self.leave(Phase::Granted, Ended::Defected)
    }

    /// Its manager has told it something. Gives whether that had a meaning where it stands.
    pub fn order(&mut self, order: Order, now: Time) -> bool {
        let gone = || "the manager is gone".to_owned();
        match (self.phase, order) {
            (Phase::Bid, Order::Grant { left }) => {
                (self.phase, self.until) = (Phase::Granted, now + left.min(BUDGET_MAX));
                self.outputs.push_back(Work::Granted);
            }
            // A grant that did not arrive is taken back.
            (Phase::Bid, Order::Reject | Order::Cancel(_)) => self.end(Ended::Rejected),
            (Phase::Announced | Phase::Bid, Order::Gone) => self.end(Ended::Expired),
            (Phase::Granted, Order::Cancel(why)) => self.end(Ended::Cancelled(why)),
            (Phase::Granted, Order::Gone) => self.end(Ended::Cancelled(gone())),
            (Phase::Completed, Order::Cancel(why)) => self.end(Ended::Aborted(why)),
            (Phase::Completed, Order::Gone) => self.end(Ended::Aborted(gone())),
            (Phase::Completed, Order::Acknowledge) => self.end(Ended::Acknowledged),
            _ => return false,
        }
        true
    }

    /// Lets a window end that has ended by `now`.
    pub fn expire(&mut self, now: Time) {
        if self.until > now {
            return;
        }
        let late = |what: &str| format!("the {what} did not come in time");
        match self.phase {
            Phase::Announced | Phase::Bid => self.end(Ended::Expired),
            Phase::Granted => self.end(Ended::Cancelled(late("report"))),
            Phase::Completed => self.end(Ended::Aborted(late("acknowledgement"))),
            Phase::Ended => {}
        }
    }

    fn leave(&mut self, from: Phase, how: Ended) -> bool {
        let may = self.phase == from;
        if may {
            self.end(how);
        }
        may
    }

    fn end(&mut self, how: Ended) {
        self.phase = Phase::Ended;
        self.outputs.push_back(Work::Ended(how));
    }
}
