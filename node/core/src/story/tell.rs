use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use serde::{Deserialize, Serialize};
use starling_protocols::{contract::BidId, ident::Address};

use super::{
    Deed,
    acts::{Said, Which},
};

/// One line of a story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// How far from the first manager: what serves another's job stands below it.
    pub level: u8,
    /// Whether it is heard and was said in a line before: it says nothing new.
    pub echo: bool,
    /// What was said or heard.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What one agent says and another hears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Announce(Which, Option<Address>),
    /// The contract, and who answers.
    Answer(Which, Address),
    Grant(BidId),
    Report(BidId),
    /// The last words to a bidder.
    Order(BidId),
}

/// Puts what was found in several journals into one order: that of each journal, and nothing heard
/// before it was said; where these do not decide, by the calendars. So a host whose calendar is
/// wrong does not confuse the story.
#[must_use]
pub fn tell(found: Vec<Vec<Deed>>) -> Vec<Line> {
    let deeds = distinct(found);
    let order = order(&deeds);
    let levels = levels(&deeds);
    let mut said = BTreeSet::new();
    let mut of_bid: BTreeMap<BidId, u8> = BTreeMap::new();
    let mut lines = Vec::new();
    for deed in order.into_iter().map(|at| &deeds[at]) {
        let message = message(deed);
        let echo = deed.act.heard
            && message
                .as_ref()
                .is_some_and(|message| heard_of(message).any(|of| said.contains(&of)));
        if let Some(message) = message.filter(|_| !deed.act.heard) {
            said.insert(message);
        }
        let bid = bid_of(&deed.act.said);
        let level = deed.act.of.and_then(|of| levels.get(&of).copied());
        let level = level.or_else(|| bid.and_then(|bid| of_bid.get(&bid).copied())).unwrap_or(0);
        if let Some(bid) = bid {
            of_bid.insert(bid, level);
        }
        lines.push(Line { level, echo, deed: deed.clone() });
    }
    lines
}

/// Journals may overlap, as a copy does with what it was copied from.
fn distinct(found: Vec<Vec<Deed>>) -> Vec<Deed> {
    let mut seen = BTreeSet::new();
    let mut deeds = Vec::new();
    for of_journal in found {
        let known: BTreeSet<_> = of_journal.iter().map(key).collect();
        deeds.extend(of_journal.into_iter().filter(|deed| !seen.contains(&key(deed))));
        seen.extend(known);
    }
    deeds
}

fn key(deed: &Deed) -> (Address, u64, u64) {
    (deed.who, deed.life, deed.entry)
}

fn order(deeds: &[Deed]) -> Vec<usize> {
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); deeds.len()];
    let mut before = vec![0usize; deeds.len()];
    let mut edge = |from: usize, to: usize| {
        if from != to {
            after[from].push(to);
            before[to] += 1;
        }
    };
    let (mut said, mut last) = (BTreeMap::new(), BTreeMap::new());
    let mut by_journal: Vec<usize> = (0..deeds.len()).collect();
    by_journal.sort_by_key(|at| (deeds[*at].who.host, deeds[*at].sequence, *at));
    for at in by_journal {
        let deed = &deeds[at];
        if let Some(before) = last.insert(deed.who.host, at) {
            edge(before, at);
        }
        if let Some(message) = message(deed).filter(|_| !deed.act.heard) {
            said.entry(message).or_insert(at);
        }
    }
    for (at, deed) in deeds.iter().enumerate().filter(|(_, deed)| deed.act.heard) {
        let Some(message) = message(deed) else { continue };
        if let Some(from) = heard_of(&message).find_map(|of| said.get(&of)) {
            edge(*from, at);
        }
    }
    let rank = |at: usize| Reverse((deeds[at].at_ms, deeds[at].who.host, deeds[at].sequence, at));
    let mut ready: BinaryHeap<_> =
        (0..deeds.len()).filter(|at| before[*at] == 0).map(rank).collect();
    let (mut told, mut order) = (vec![false; deeds.len()], Vec::new());
    while order.len() < deeds.len() {
        // Journals that contradict each other are told by the calendars.
        let next = ready.pop().or_else(|| (0..deeds.len()).filter(|at| !told[*at]).map(rank).max());
        let Some(Reverse((.., at))) = next else { break };
        if std::mem::replace(&mut told[at], true) {
            continue;
        }
        order.push(at);
        for to in &after[at] {
            before[*to] = before[*to].saturating_sub(1);
            if before[*to] == 0 {
                ready.push(rank(*to));
            }
        }
    }
    order
}

fn levels(deeds: &[Deed]) -> BTreeMap<Which, u8> {
    let announced = deeds.iter().filter_map(|deed| match (&deed.act.said, deed.act.of) {
        (Said::Announce { level }, Some(of)) => Some((of, *level)),
        _ => None,
    });
    announced.collect()
}

/// What was said may have been said to all.
fn heard_of(message: &Message) -> impl Iterator<Item = Message> {
    let to_all = match message {
        Message::Announce(of, Some(_)) => Some(Message::Announce(*of, None)),
        _ => None,
    };
    [message.clone()].into_iter().chain(to_all)
}

fn message(deed: &Deed) -> Option<Message> {
    let act = &deed.act;
    let hearer = if act.heard { Some(deed.who) } else { act.other };
    let sayer = if act.heard { act.other? } else { deed.who };
    Some(match act.said {
        Said::Announce { .. } => Message::Announce(act.of?, hearer),
        Said::Bid { .. } | Said::Refuse { .. } | Said::Duplicate => Message::Answer(act.of?, sayer),
        Said::Grant { bid } => Message::Grant(bid),
        Said::Report { bid } | Said::Defect { bid, .. } => Message::Report(bid),
        Said::Reject { bid } | Said::Cancel { bid, .. } | Said::Acknowledge { bid } => {
            Message::Order(bid)
        }
        Said::Fail { .. } => return None,
    })
}

const fn bid_of(said: &Said) -> Option<BidId> {
    match said {
        Said::Bid { bid, .. }
        | Said::Grant { bid }
        | Said::Reject { bid }
        | Said::Cancel { bid, .. }
        | Said::Report { bid }
        | Said::Defect { bid, .. }
        | Said::Acknowledge { bid } => Some(*bid),
        Said::Announce { .. } | Said::Refuse { .. } | Said::Duplicate | Said::Fail { .. } => None,
    }
}
