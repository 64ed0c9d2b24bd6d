use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    contract::{Announcement, Ask, BidId, Reply, Tell, Traversal},
    exchange::{Codec, Failure},
    ident::Address,
    limits::BODY_BYTES_MAX,
    wire,
};

use crate::agent::{Dialog, Effect, Input, WaitId};

/// One thing that an agent said or heard in a negotiation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// When, by the calendar of its host: milliseconds since 1970.
    pub at_ms: u64,
    /// The name of its host.
    pub host_name: String,
    /// The agent.
    pub who: Address,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its life.
    pub life: u64,
    /// The number of the record in its host's journal.
    pub sequence: u64,
    /// The number of the entry in its life.
    pub entry: u64,
    /// The name of the contract.
    pub contract: String,
    /// What it said or heard.
    pub act: Act,
}

/// A contract: who announced it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Which {
    /// Who announced it.
    pub manager: Address,
    /// Its number there.
    pub number: u64,
}

/// What is said of a contract, from one agent to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Said {
    /// Work is announced.
    Announce {
        /// How far from the first manager.
        level: u8,
    },
    /// A bid; that of another is handed over.
    Bid {
        /// Whose, and its number there.
        bid: BidId,
        /// What it costs.
        cost: i64,
    },
    /// No bid. Says whether there are others behind that were not asked.
    Refuse {
        /// Whether there are.
        further: bool,
    },
    /// The search had come there already.
    Duplicate,
    /// The bid is taken.
    Grant {
        /// Which.
        bid: BidId,
    },
    /// The bid is not taken.
    Reject {
        /// Which.
        bid: BidId,
    },
    /// What was granted is taken back.
    Cancel {
        /// Which.
        bid: BidId,
        /// Why.
        why: String,
    },
    /// The work is done.
    Report {
        /// On which bid.
        bid: BidId,
    },
    /// The work cannot be done after all.
    Defect {
        /// On which bid.
        bid: BidId,
        /// Why.
        why: String,
    },
    /// The contract is completed.
    Acknowledge {
        /// Which bid was taken.
        bid: BidId,
    },
    /// There is no answer to be had.
    Fail {
        /// Why.
        why: String,
    },
}

/// One thing that an agent said or heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Whether it was heard; otherwise it was said.
    pub heard: bool,
    /// The other side. `None`: all who listen.
    pub other: Option<Address>,
    /// The contract, where it is known.
    pub of: Option<Which>,
    /// What.
    #[serde(flatten)]
    pub said: Said,
}

/// What an agent had to do with searches so far.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Contracts that it has announced.
    managed: BTreeMap<u64, (Traversal, String)>,
    /// What its questions were.
    asked: BTreeMap<WaitId, (Address, u64, Option<BidId>)>,
    /// Bids that it has heard of or granted, and for which contract.
    bids: BTreeMap<BidId, u64>,
    /// Announcements that it has heard.
    jobs: BTreeMap<Which, (Traversal, String)>,
    /// Those that are to be answered.
    dialogs: BTreeMap<Dialog, (Which, Option<BidId>)>,
    /// Its own bids.
    own: BTreeMap<u64, Which>,
}

type Acts = Vec<(Traversal, String, Act)>;

impl Part {
    pub(super) fn searches(&self) -> BTreeSet<Traversal> {
        self.managed.values().chain(self.jobs.values()).map(|(search, _)| *search).collect()
    }

    pub(super) fn entry(
        &mut self,
        me: Address,
        input: &Input<'_>,
        effects: Option<&[Effect]>,
        wanted: impl Fn(Traversal) -> bool,
    ) -> Acts {
        let mut acts = Vec::new();
        match input {
            Input::Request { name, dialog, body } if !dialog.json => {
                self.asked(me, name, *dialog, body, &wanted, &mut acts);
            }
            Input::Notification { name, from, codec: Codec::Native, body, .. } => {
                self.told(me, name, *from, body, &wanted, &mut acts);
            }
            Input::Resume { wait, outcome: Some(outcome) } => {
                let outcome = outcome.as_ref().map(AsRef::as_ref);
                self.answered(me, *wait, outcome, &mut acts);
            }
            _ => {}
        }
        for effect in effects.into_iter().flatten() {
            self.did(me, effect, &wanted, &mut acts);
        }
        acts
    }

    fn asked(
        &mut self,
        me: Address,
        name: &str,
        dialog: Dialog,
        body: &[u8],
        wanted: &impl Fn(Traversal) -> bool,
        acts: &mut Acts,
    ) {
        match read(body) {
            Some(Ask::Announce(announcement)) if wanted(announcement.traversal) => {
                let of = self.hears(name, dialog.asker, &announcement, acts);
                self.dialogs.insert(dialog, (of, None));
            }
            Some(Ask::Grant { bid, contract, .. }) => {
                let Some((search, name)) = self.job_of(bid, name) else { return };
                let of = Which { manager: dialog.asker, number: contract };
                self.jobs.entry(of).or_insert_with(|| (search, name.clone()));
                self.own.insert(bid, of);
                let bid = BidId { bidder: me, number: bid };
                self.dialogs.insert(dialog, (of, Some(bid)));
                acts.push((search, name, heard(dialog.asker, Some(of), Said::Grant { bid })));
            }
            _ => {}
        }
    }

    fn hears(
        &mut self,
        name: &str,
        from: Address,
        announcement: &Announcement<'_>,
        acts: &mut Acts,
    ) -> Which {
        let of = Which { manager: from, number: announcement.contract };
        self.jobs.insert(of, (announcement.traversal, name.to_owned()));
        let said = Said::Announce { level: announcement.level };
        acts.push((announcement.traversal, name.to_owned(), heard(from, Some(of), said)));
        of
    }

    fn told(
        &mut self,
        me: Address,
        name: &str,
        from: Address,
        body: &[u8],
        wanted: &impl Fn(Traversal) -> bool,
        acts: &mut Acts,
    ) {
        let own = |number| BidId { bidder: me, number };
        let (number, said) = match read(body) {
            Some(Tell::Announce(announcement)) if wanted(announcement.traversal) => {
                self.hears(name, from, &announcement, acts);
                return;
            }
            Some(Tell::Bid { contract, bid }) => {
                let Some((search, name)) = self.managed_as(contract, name) else { return };
                self.bids.insert(bid.id, contract);
                let of = Which { manager: me, number: contract };
                let said = Said::Bid { bid: bid.id, cost: bid.cost };
                return acts.push((search, name, heard(from, Some(of), said)));
            }
            Some(Tell::Reject { bid }) => (bid, Said::Reject { bid: own(bid) }),
            Some(Tell::Acknowledge { bid }) => (bid, Said::Acknowledge { bid: own(bid) }),
            Some(Tell::Cancel { bid, why }) => {
                (bid, Said::Cancel { bid: own(bid), why: why.into_owned() })
            }
            _ => return,
        };
        let Some((search, name)) = self.job_of(number, name) else { return };
        let of = self.own.get(&number).copied();
        acts.push((search, name, heard(from, of, said)));
    }

    fn answered(
        &mut self,
        me: Address,
        wait: WaitId,
        outcome: Result<&[u8], &Failure>,
        acts: &mut Acts,
    ) {
        let Some((from, contract, granted)) = self.asked.remove(&wait) else { return };
        let Some((search, name)) = self.managed.get(&contract).cloned() else { return };
        let said = match outcome.map(read) {
            Err(why) => Said::Fail { why: why.to_string() },
            Ok(Some(reply)) => {
                let Some(said) = said(reply, granted) else { return };
                said
            }
            Ok(None) => return,
        };
        if let Said::Bid { bid, .. } = said {
            self.bids.insert(bid, contract);
        }
        let of = Which { manager: me, number: contract };
        acts.push((search, name, heard(from, Some(of), said)));
    }

    fn did(
        &mut self,
        me: Address,
        effect: &Effect,
        wanted: &impl Fn(Traversal) -> bool,
        acts: &mut Acts,
    ) {
        match effect {
            Effect::Request { to, name, body, wait, .. } => match read(body) {
                Some(Ask::Announce(announcement)) if wanted(announcement.traversal) => {
                    self.asked.insert(*wait, (*to, announcement.contract, None));
                    self.announces(me, name, Some(*to), &announcement, acts);
                }
                Some(Ask::Grant { bid, contract, .. }) => {
                    let Some((search, name)) = self.managed_as(contract, name) else { return };
                    let bid = BidId { bidder: *to, number: bid };
                    self.asked.insert(*wait, (*to, contract, Some(bid)));
                    self.bids.insert(bid, contract);
                    let of = Which { manager: me, number: contract };
                    acts.push((search, name, said_to(Some(*to), Some(of), Said::Grant { bid })));
                }
                _ => {}
            },
            Effect::Publish { topic, body, .. } => {
                if let Some(Tell::Announce(announcement)) = read(body)
                    && wanted(announcement.traversal)
                {
                    self.announces(me, topic.notification(), None, &announcement, acts);
                }
            }
            Effect::Reply { to, outcome: Ok(body) } => self.replies(*to, body, acts),
            Effect::Notify { to, name, body } => self.tells(*to, name, body, acts),
            _ => {}
        }
    }

    fn announces(
        &mut self,
        me: Address,
        name: &str,
        to: Option<Address>,
        announcement: &Announcement<'_>,
        acts: &mut Acts,
    ) {
        let Announcement { traversal, contract, level, .. } = announcement;
        self.managed.insert(*contract, (*traversal, name.to_owned()));
        let of = Which { manager: me, number: *contract };
        let said = Said::Announce { level: *level };
        acts.push((*traversal, name.to_owned(), said_to(to, Some(of), said)));
    }

    fn replies(&mut self, to: Dialog, body: &[u8], acts: &mut Acts) {
        let Some((of, granted)) = self.dialogs.remove(&to) else { return };
        let Some((search, name)) = self.jobs.get(&of).cloned() else { return };
        let Some(said) = read(body).and_then(|reply| said(reply, granted)) else { return };
        if let Said::Bid { bid, .. } = said {
            self.own.insert(bid.number, of);
        }
        acts.push((search, name, said_to(Some(to.asker), Some(of), said)));
    }

    fn tells(&mut self, to: Address, name: &str, body: &[u8], acts: &mut Acts) {
        let bid_of = |number| BidId { bidder: to, number };
        let (bid, said) = match read(body) {
            Some(Tell::Bid { contract, bid }) => {
                let of = Which { manager: to, number: contract };
                let Some((search, name)) = self.jobs.get(&of).cloned() else { return };
                self.own.insert(bid.id.number, of);
                let said = Said::Bid { bid: bid.id, cost: bid.cost };
                return acts.push((search, name, said_to(Some(to), Some(of), said)));
            }
            Some(Tell::Reject { bid }) => (bid_of(bid), Said::Reject { bid: bid_of(bid) }),
            Some(Tell::Acknowledge { bid }) => {
                (bid_of(bid), Said::Acknowledge { bid: bid_of(bid) })
            }
            Some(Tell::Cancel { bid, why }) => {
                (bid_of(bid), Said::Cancel { bid: bid_of(bid), why: why.into_owned() })
            }
            _ => return,
        };
        let Some(contract) = self.bids.get(&bid).copied() else { return };
        let Some((search, name)) = self.managed_as(contract, name) else { return };
        acts.push((search, name, said_to(Some(to), None, said)));
    }

    fn managed_as(&self, contract: u64, name: &str) -> Option<(Traversal, String)> {
        self.managed.get(&contract).filter(|(_, of)| of == name).cloned()
    }

    fn job_of(&self, bid: u64, name: &str) -> Option<(Traversal, String)> {
        let job = self.own.get(&bid).and_then(|of| self.jobs.get(of));
        job.filter(|(_, of)| of == name).cloned()
    }
}

/// What an answer says to an announcement, or to a grant.
fn said(reply: Reply<'_>, granted: Option<BidId>) -> Option<Said> {
    Some(match (reply, granted) {
        (Reply::Bid(bid), None) => Said::Bid { bid: bid.id, cost: bid.cost },
        (Reply::Refused { further }, None) => Said::Refuse { further },
        (Reply::Duplicate, None) => Said::Duplicate,
        (Reply::Report(_), Some(bid)) => Said::Report { bid },
        (Reply::Defect(why), Some(bid)) => Said::Defect { bid, why: why.into_owned() },
        _ => return None,
    })
}

fn heard(other: Address, of: Option<Which>, said: Said) -> Act {
    Act { heard: true, other: Some(other), of, said }
}

const fn said_to(other: Option<Address>, of: Option<Which>, said: Said) -> Act {
    Act { heard: false, other, of, said }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    wire::decode_borrowed(body, BODY_BYTES_MAX).ok()
}
