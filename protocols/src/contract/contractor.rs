use std::{collections::VecDeque, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::Windows;
use crate::{
    limits::{BID_STANDS_MAX, BUDGET_MAX},
    time::Time,
};

/// Who is asked to do work; see the [table](super#the-contractor).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contractor {
    phase: Phase,
    /// When the phase ends by itself.
    until: Time,
    /// Until when a bid of its stands.
    stands: Time,
    /// How long it waits to be acknowledged, and to be told what has become of the contract.
    decision: Duration,
    outputs: VecDeque<Work>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Announced,
    Bid,
    Granted,
    Completed,
    Asking,
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
    /// Asked what has become of the contract: it is not over.
    Pending {
        /// What is left of the time for the reports of others.
        left: Duration,
    },
    /// Asked what has become of the contract: it is not known there.
    Unknown,
    /// The manager is not there any more, or does not answer.
    Gone,
}

/// What a contractor's agent is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// It is to do the work.
    Granted,
    /// The manager is to be asked what has become of the contract; the answer is an [`Order`].
    Ask,
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
    /// It bid, and took its bid back.
    Withdrawn,
    /// It had not bid when the window for bids ended, or it was told nothing of its bid for as
    /// long as that stood.
    Expired,
    /// What it had been granted was taken back, before or after it was done, and why.
    Cancelled(String),
    /// It could not do what it had been granted.
    Defected,
    /// It has done the work, and cannot learn whether that counts: the manager is gone, or does not
    /// answer, or remembers the contract no more; or it was stopped itself before it learned. What
    /// is known, in words.
    Aborted(String),
    /// It has done the work, and so have all others.
    Acknowledged,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("there was no bid"),
            Self::Delegated => f.write_str("the bid of another was handed over"),
            Self::Rejected => f.write_str("the bid was not taken"),
            Self::Withdrawn => f.write_str("the bid was taken back"),
            Self::Expired => f.write_str("nothing was heard in time"),
            Self::Cancelled(why) => write!(f, "it was taken back: {why}"),
            Self::Defected => f.write_str("it could not be done"),
            Self::Aborted(why) => write!(f, "it is done, and may not count: {why}"),
            Self::Acknowledged => f.write_str("it is done and counts"),
        }
    }
}

impl Ended {
    /// Whether what was done for the contract is to be undone.
    #[must_use]
    pub const fn undoes(&self) -> bool {
        !matches!(self, Self::Acknowledged | Self::Delegated | Self::Defected | Self::Refused)
    }
}

impl Contractor {
    /// Work was announced, with so much time `left` for bids, each of which `stands` for so long
    /// from now on. `windows` are those that this side knows for such work.
    #[must_use]
    pub fn announced(left: Duration, stands: Duration, windows: Windows, now: Time) -> Self {
        let windows = windows.capped();
        let left = left.min(windows.bids);
        let stands = stands.min(windows.stands().max(BID_STANDS_MAX)).max(left);
        Self {
            phase: Phase::Announced,
            until: now + left,
            stands: now + stands,
            decision: windows.decision,
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

    /// For how long a bid of its stands.
    #[must_use]
    pub fn stands(&self, now: Time) -> Duration {
        self.stands.since(now)
    }

    /// Whether work may still be bid for.
    #[must_use]
    pub fn may_bid(&self) -> bool {
        self.phase == Phase::Announced
    }

    /// Whether a bid of its stands.
    #[must_use]
    pub fn has_bid(&self) -> bool {
        self.phase == Phase::Bid
    }

    /// Whether the end of its manager means something to it: the work was granted, done or not.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        matches!(self.phase, Phase::Granted | Phase::Completed | Phase::Asking)
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
            Phase::Asking => "asking",
            Phase::Ended => "ended",
        }
    }

    /// It bids. Gives whether that was possible; if not, nothing has changed. The bid stands until
    /// the first manager of the search has decided.
    pub fn bid(&mut self) -> bool {
        let may = self.phase == Phase::Announced;
        if may {
            (self.phase, self.until) = (Phase::Bid, self.stands);
        }
        may
    }

    /// It takes back its bid, or the work that it has done but not heard of since. Gives whether
    /// that was possible; then its manager is to be told.
    pub fn withdraw(&mut self, why: &str) -> bool {
        match self.phase {
            Phase::Bid => self.end(Ended::Withdrawn),
            Phase::Completed | Phase::Asking => self.end(Ended::Aborted(why.to_owned())),
            _ => return false,
        }
        true
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
            self.until = self.until.max(now) + self.decision;
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
        let unknown = || "the manager knows the contract no more".to_owned();
        match (self.phase, order) {
            (Phase::Bid, Order::Grant { left }) => {
                (self.phase, self.until) = (Phase::Granted, now + left.min(BUDGET_MAX));
                self.outputs.push_back(Work::Granted);
            }
            // A grant that did not arrive is taken back.
            (Phase::Bid, Order::Reject | Order::Cancel(_)) => self.end(Ended::Rejected),
            (Phase::Announced | Phase::Bid, Order::Gone) => self.end(Ended::Expired),
            (Phase::Granted, Order::Gone) => self.end(Ended::Cancelled(gone())),
            (Phase::Granted | Phase::Completed | Phase::Asking, Order::Cancel(why)) => {
                self.end(Ended::Cancelled(why));
            }
            // It may be there again: who is recovered from its journal knows what it has counted.
            (Phase::Completed, Order::Gone) => self.ask(now),
            (Phase::Asking, Order::Gone) => self.end(Ended::Aborted(gone())),
            (Phase::Completed | Phase::Asking, Order::Acknowledge) => self.end(Ended::Acknowledged),
            (Phase::Asking, Order::Pending { left }) => {
                let until = now + left.min(BUDGET_MAX) + self.decision;
                (self.phase, self.until) = (Phase::Completed, until);
            }
            (Phase::Asking, Order::Unknown) => self.end(Ended::Aborted(unknown())),
            _ => return false,
        }
        true
    }

    /// Lets a window end that has ended by `now`.
    pub fn expire(&mut self, now: Time) {
        if self.until > now {
            return;
        }
        match self.phase {
            Phase::Announced | Phase::Bid => self.end(Ended::Expired),
            Phase::Granted => {
                self.end(Ended::Cancelled("the report did not come in time".to_owned()));
            }
            Phase::Completed => self.ask(now),
            Phase::Asking => self.end(Ended::Aborted("the manager does not answer".to_owned())),
            Phase::Ended => {}
        }
    }

    fn ask(&mut self, now: Time) {
        (self.phase, self.until) = (Phase::Asking, now + self.decision);
        self.outputs.push_back(Work::Ask);
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
