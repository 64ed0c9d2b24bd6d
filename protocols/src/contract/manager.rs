use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Bid, BidId, Reply, Windows};
use crate::{
    exchange::Failure,
    ident::Address,
    limits::{BIDS_PER_CONTRACT_BYTES_MAX, BIDS_PER_CONTRACT_MAX, REASON_BYTES_MAX},
    time::Time,
};

/// Who announces work; see the [table](super#the-manager).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    windows: Windows,
    phase: Phase,
    /// When the phase ends by itself.
    until: Time,
    /// Those asked by address whose answers have not come.
    asked: BTreeSet<Address>,
    /// Whether others may bid too, because the work was announced to an interest.
    open: bool,
    offers: Vec<Offer>,
    /// The bids that were granted and did not stand.
    in_vain: Vec<BidId>,
    further: bool,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Announced,
    Closed,
    Granted,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Offer {
    bid: Bid,
    /// Who sent it: the bidder, or one who handed it over.
    from: Address,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// It stands.
    Open,
    /// It was not taken.
    Rejected,
    /// It was taken back, or did not stand any more when it was granted.
    Gone,
    /// It was handed over to this manager's own manager.
    Elected,
    /// It was taken.
    Granted,
    /// The work is done; what was reported.
    Reported(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The work is not done.
    Failed,
}

/// What a manager wants done, or tells its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Grant a bid.
    Grant {
        /// Which.
        bid: BidId,
        /// What is granted, encoded.
        body: Vec<u8>,
        /// What is left of the time for the report.
        left: Duration,
    },
    /// Reject a bid.
    Reject(BidId),
    /// Take a grant back.
    Cancel {
        /// Which.
        bid: BidId,
        /// Why, in words.
        why: String,
    },
    /// Tell who has reported that the contract is completed.
    Acknowledge(BidId),
    /// Something happened.
    Event(Event),
}

/// What happened to a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A bid has come.
    Bid(BidId),
    /// A bid does not stand any more: its bidder took it back, or knew nothing of it when it was
    /// granted.
    Gone(BidId),
    /// No more bids come: it is time to grant.
    Closed,
    /// The contract has ended.
    Ended(End),
}

/// How a contract ended for its manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// All who were granted the work have done it.
    Completed,
    /// Some of the bids that were granted did not stand any more. All others who were granted the
    /// work, at least one, have done it, and that counts.
    Partial {
        /// The bids that did not stand.
        gone: Vec<BidId>,
    },
    /// Nobody bid whose bid was taken. `further` says whether the search stopped for its reach, so
    /// that asking farther may find somebody.
    Expired {
        /// Whether there are others that were not asked.
        further: bool,
    },
    /// Reports were missing when their window ended; whether that work was done is not known.
    Aborted,
    /// One of those who were granted the work did not do it.
    Cancelled {
        /// Which bid.
        bid: BidId,
        /// Why, in words.
        why: String,
    },
    /// The manager gave it up.
    GivenUp,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("it is done"),
            Self::Partial { .. } => f.write_str("it is done in part"),
            Self::Expired { further: false } => f.write_str("nobody's bid was taken"),
            Self::Expired { further: true } => {
                f.write_str("nobody's bid was taken, and others were out of reach")
            }
            Self::Aborted => f.write_str("a report did not come in time"),
            Self::Cancelled { why, .. } => write!(f, "it was not done: {why}"),
            Self::GivenUp => f.write_str("it was given up"),
        }
    }
}

/// Why bids were not granted. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The contract has been granted already, or has ended.
    #[error("the contract has been granted already, or has ended; announce another")]
    TooLate,
    /// No bid was named.
    #[error("no bid was named; give the contract up if none is good")]
    Nothing,
    /// There is no such bid that stands, or it was named twice.
    #[error("no bid {0:?} stands")]
    NoSuchBid(BidId),
    /// The agent cannot wait for so many reports.
    #[error("the agent waits for too much already; grant fewer, or later")]
    TooMany,
}

impl Manager {
    /// Announces work to those `asked` by address and, if `open`, to an interest. `further` says
    /// that there are others that are not asked, because they are out of the search's reach.
    #[must_use]
    pub fn announce(
        asked: impl IntoIterator<Item = Address>,
        open: bool,
        further: bool,
        windows: Windows,
        now: Time,
    ) -> Self {
        let windows = windows.capped();
        let mut manager = Self {
            windows,
            phase: Phase::Announced,
            until: now + windows.bids,
            asked: asked.into_iter().collect(),
            open,
            offers: Vec::new(),
            in_vain: Vec::new(),
            further,
            outputs: VecDeque::new(),
        };
        manager.close_when_answered(now);
        manager
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`expire`](Self::expire) is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        (self.phase != Phase::Ended).then_some(self.until)
    }

    /// Whether the contract has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether bids may be granted now.
    #[must_use]
    pub fn may_grant(&self) -> bool {
        matches!(self.phase, Phase::Announced | Phase::Closed)
    }

    /// The bids that stand, in the order in which they came.
    pub fn bids(&self) -> impl DoubleEndedIterator<Item = &Bid> {
        self.offers.iter().filter(|offer| offer.state == State::Open).map(|offer| &offer.bid)
    }

    /// How long each side waits.
    #[must_use]
    pub const fn windows(&self) -> Windows {
        self.windows
    }

    /// Whether the work was granted to a bid, and the contract is not over.
    #[must_use]
    pub fn is_granted(&self, bid: BidId) -> bool {
        let granted = |state: &State| matches!(state, State::Granted | State::Reported(_));
        self.phase == Phase::Granted
            && self.offers.iter().any(|offer| offer.bid.id == bid && granted(&offer.state))
    }

    /// Whether work was granted to anybody who may have taken it up.
    #[must_use]
    pub fn was_granted(&self) -> bool {
        let granted =
            |state: &State| matches!(state, State::Granted | State::Reported(_) | State::Failed);
        self.offers.iter().any(|offer| granted(&offer.state))
    }

    /// What is left of the present window.
    #[must_use]
    pub fn left(&self, now: Time) -> Duration {
        self.until.since(now)
    }

    /// The `count` cheapest of the bids that stand; of those that cost the same, the earliest
    /// (FEAT's `pick_best`).
    #[must_use]
    pub fn cheapest(&self, count: usize) -> Vec<BidId> {
        let mut bids: Vec<_> = self.bids().collect();
        bids.sort_by_key(|bid| bid.cost);
        bids.into_iter().take(count).map(|bid| bid.id).collect()
    }

    /// The bids that were granted and reported, with what was reported.
    pub fn reports(&self) -> impl Iterator<Item = (&Bid, &[u8])> {
        self.offers.iter().filter_map(|offer| match &offer.state {
            State::Reported(report) => Some((&offer.bid, report.as_slice())),
            _ => None,
        })
    }

    /// All bids that came, each with what became of it in a word.
    pub fn story(&self) -> impl Iterator<Item = (&Bid, &'static str)> {
        self.offers.iter().map(|offer| (&offer.bid, offer.state.word()))
    }

    /// The word for where the contract stands.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Announced => "announced",
            Phase::Closed => "closed",
            Phase::Granted => "granted",
            Phase::Ended => "ended",
        }
    }

    /// One who was asked has answered, or there is no answer to be had.
    pub fn answered(&mut self, from: Address, reply: Result<Reply<'_>, Failure>, now: Time) {
        let was_asked = self.asked.remove(&from);
        match reply {
            Ok(Reply::Bid(bid)) => self.take_bid(bid, from, was_asked),
            Ok(Reply::Refused { further }) => self.further |= further && was_asked,
            _ => {}
        }
        if was_asked {
            self.close_when_answered(now);
        }
    }

    /// A bid has come `from` somebody that is no answer to a question.
    pub fn bid(&mut self, bid: Bid, from: Address) {
        self.take_bid(bid, from, self.open);
    }

    fn take_bid(&mut self, bid: Bid, from: Address, welcome: bool) {
        let id = bid.id;
        let (mut second, mut bytes) = (false, bid.body.len());
        for offer in &self.offers {
            // The same bid may come twice.
            if offer.bid.id == id {
                return;
            }
            // Who hands over the bid of another cannot keep that other from bidding itself.
            second |= offer.from == from || from != id.bidder && offer.bid.id.bidder == id.bidder;
            bytes += offer.bid.body.len();
        }
        let full =
            self.offers.len() >= BIDS_PER_CONTRACT_MAX || bytes > BIDS_PER_CONTRACT_BYTES_MAX;
        if self.phase != Phase::Announced || !welcome || full || second {
            return self.outputs.push_back(Output::Reject(id));
        }
        self.offers.push(Offer { bid, from, state: State::Open });
        self.outputs.push_back(Output::Event(Event::Bid(id)));
    }

    /// A bidder takes its bid back, or the work that it has done for it, and why.
    pub fn withdrawn(&mut self, bid: BidId, why: &str) {
        if self.may_grant() && self.settle(bid, State::Gone) {
            self.outputs.push_back(Output::Event(Event::Gone(bid)));
            return self.end_when_none_is_left();
        }
        let reported =
            |offer: &&mut Offer| offer.bid.id == bid && matches!(offer.state, State::Reported(_));
        if self.phase == Phase::Granted
            && let Some(offer) = self.offers.iter_mut().find(reported)
        {
            offer.state = State::Failed;
            self.cancel(bid, &cut(why));
        }
    }

    /// Rejects a bid that stands. Gives whether it did.
    pub fn reject(&mut self, bid: BidId) -> bool {
        let stood = self.may_grant() && self.settle(bid, State::Rejected);
        if stood {
            self.outputs.push_back(Output::Reject(bid));
            self.end_when_none_is_left();
        }
        stood
    }

    fn end_when_none_is_left(&mut self) {
        if self.phase == Phase::Closed && self.bids().next().is_none() {
            self.end(End::Expired { further: self.further });
        }
    }

    /// Grants the work to these bids, each with what is granted, to be reported on within `window`
    /// at most; all others are rejected.
    ///
    /// # Errors
    /// [`GrantError`]; nothing has changed.
    pub fn grant(
        &mut self,
        grants: Vec<(BidId, Vec<u8>)>,
        window: Duration,
        now: Time,
    ) -> Result<(), GrantError> {
        if !self.may_grant() {
            return Err(GrantError::TooLate);
        }
        if grants.is_empty() {
            return Err(GrantError::Nothing);
        }
        let mut named = BTreeSet::new();
        for (bid, _) in &grants {
            if !named.insert(*bid) || !self.bids().any(|open| open.id == *bid) {
                return Err(GrantError::NoSuchBid(*bid));
            }
        }
        let left = self.windows.reports.min(window);
        (self.phase, self.until) = (Phase::Granted, now + left);
        for (bid, body) in grants {
            self.settle(bid, State::Granted);
            self.outputs.push_back(Output::Grant { bid, body, left });
        }
        self.reject_open();
        Ok(())
    }

    /// Takes a bid that stands out of this contract, to hand it over to another manager: it is not
    /// rejected when this contract ends. Gives the bid.
    pub fn elect(&mut self, bid: BidId) -> Option<Bid> {
        if !self.may_grant() || !self.settle(bid, State::Elected) {
            return None;
        }
        self.offers.iter().find(|offer| offer.bid.id == bid).map(|offer| offer.bid.clone())
    }

    /// One who was granted the work has answered, or there is no answer to be had.
    pub fn reported(&mut self, bid: BidId, reply: Result<Reply<'_>, Failure>) {
        let granted = |offer: &&mut Offer| offer.bid.id == bid && offer.state == State::Granted;
        let Some(offer) = self.offers.iter_mut().find(granted) else { return };
        if self.phase != Phase::Granted {
            return;
        }
        let (why, unsure) = match reply {
            Ok(Reply::Report(report)) => {
                offer.state = State::Reported(report.into_owned());
                return self.complete_when_reported();
            }
            Ok(Reply::NoBid) | Err(Failure::NoAgent | Failure::Unknown(_)) => {
                offer.state = State::Gone;
                self.in_vain.push(bid);
                self.outputs.push_back(Output::Event(Event::Gone(bid)));
                return self.go_on_without(bid);
            }
            Ok(Reply::Defect(why)) => (why, false),
            Ok(_) => (Cow::Borrowed("it answered a grant with something else than a report"), true),
            Err(Failure::BadBody(why)) => (Cow::Owned(why), true),
            Err(why) => (Cow::Owned(why.to_string()), true),
        };
        offer.state = State::Failed;
        let why = cut(&why);
        if unsure {
            // It may be at work.
            self.outputs.push_back(Output::Cancel { bid, why: why.clone() });
        }
        self.cancel(bid, &why);
    }

    /// A bid that was granted did not stand: nobody was granted anything by it.
    fn go_on_without(&mut self, bid: BidId) {
        let counts = |offer: &Offer| matches!(offer.state, State::Granted | State::Reported(_));
        if self.offers.iter().any(counts) {
            return self.complete_when_reported();
        }
        self.end(End::Cancelled { bid, why: "no such bid stands".to_owned() });
    }

    fn cancel(&mut self, bid: BidId, why: &str) {
        self.cancel_granted(why);
        self.end(End::Cancelled { bid, why: why.to_owned() });
    }

    /// Ends the contract, whatever stage it is at.
    pub fn give_up(&mut self, why: &str) {
        if self.phase != Phase::Ended {
            self.reject_open();
            self.cancel_granted(why);
            self.end(End::GivenUp);
        }
    }

    /// Lets a window end that has ended by `now`.
    pub fn expire(&mut self, now: Time) {
        if self.until > now {
            return;
        }
        match self.phase {
            Phase::Announced => self.close(now),
            Phase::Closed => {
                self.reject_open();
                self.end(End::Expired { further: self.further });
            }
            Phase::Granted => {
                self.cancel_granted("the report did not come in time");
                self.end(End::Aborted);
            }
            Phase::Ended => {}
        }
    }

    fn close_when_answered(&mut self, now: Time) {
        if self.phase == Phase::Announced && self.asked.is_empty() && !self.open {
            self.close(now);
        }
    }

    fn close(&mut self, now: Time) {
        if self.bids().next().is_none() {
            return self.end(End::Expired { further: self.further });
        }
        (self.phase, self.until) = (Phase::Closed, now + self.windows.decision);
        self.outputs.push_back(Output::Event(Event::Closed));
    }

    fn complete_when_reported(&mut self) {
        if self.offers.iter().any(|offer| offer.state == State::Granted) {
            return;
        }
        let reported: Vec<_> = self.reports().map(|(bid, _)| bid.id).collect();
        self.outputs.extend(reported.into_iter().map(Output::Acknowledge));
        let gone = std::mem::take(&mut self.in_vain);
        self.end(if gone.is_empty() { End::Completed } else { End::Partial { gone } });
    }

    fn reject_open(&mut self) {
        for offer in self.offers.iter_mut().filter(|offer| offer.state == State::Open) {
            offer.state = State::Rejected;
            self.outputs.push_back(Output::Reject(offer.bid.id));
        }
    }

    fn cancel_granted(&mut self, why: &str) {
        for offer in &mut self.offers {
            if matches!(offer.state, State::Granted | State::Reported(_)) {
                offer.state = State::Failed;
                let (bid, why) = (offer.bid.id, why.to_owned());
                self.outputs.push_back(Output::Cancel { bid, why });
            }
        }
    }

    /// Changes a bid that stands. Gives whether it did.
    fn settle(&mut self, bid: BidId, state: State) -> bool {
        let stands = |offer: &&mut Offer| offer.bid.id == bid && offer.state == State::Open;
        let Some(offer) = self.offers.iter_mut().find(stands) else { return false };
        offer.state = state;
        true
    }

    fn end(&mut self, end: End) {
        self.phase = Phase::Ended;
        self.outputs.push_back(Output::Event(Event::Ended(end)));
    }
}

/// At most so much of a reason as goes into a message.
fn cut(why: &str) -> String {
    why.chars().take(REASON_BYTES_MAX / 4).collect()
}

impl State {
    const fn word(&self) -> &'static str {
        match self {
            Self::Open => "bid",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
            Self::Elected => "handed over",
            Self::Granted => "granted",
            Self::Reported(_) => "reported",
            Self::Failed => "failed",
        }
    }
}
