//! The story of one negotiation, from the journals of those who took part.
//!
//! A [`Scan`] goes through the records of one journal and keeps what belongs to a search: the
//! announcements name it, and bids, grants and reports are followed by the numbers that the agents
//! gave them. [`tell`] puts what several scans have found into one order, in which nothing is heard
//! before it was said, whatever the calendars of the hosts say.
//!
//! No kinds are needed: what contracts say to each other is understood without the types of their
//! bids and reports. What an agent asked for is known only where it was recorded whole; of the rest
//! the others' side is told, and [`Found::unread`] counts it.

mod acts;
mod tell;
#[cfg(test)]
mod tests;
mod text;

use std::{collections::BTreeMap, sync::Arc};

pub use acts::{Act, Deed, Said, Which};
use serde::{Deserialize, Serialize};
use starling_protocols::{
    contract::Traversal,
    ident::Address,
    journal::{Effects, Era, Handled, Life, LifeHead, Record, Sequence, Tracker},
    limits::{BODY_BYTES_MAX, EFFECTS_RECORDED_BYTES_MAX, TRACE_DEEDS_MAX},
    wire,
};
pub use tell::{Line, tell};

use crate::agent::{Effect, Input};
use acts::Part;

/// The letters that name a search at least.
pub const PREFIX_CHARS_MIN: usize = 4;

/// What one journal knows of one search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Which search, as 32 hexadecimal digits.
    pub search: String,
    /// What its host's agents said and heard, in the order of the journal; at most
    /// [`TRACE_DEEDS_MAX`].
    pub deeds: Vec<Deed>,
    /// Whether there was more.
    pub cut: bool,
    /// Entries of agents that took part whose effects were too large to be recorded.
    pub unread: u64,
}

/// Looks for a search in the records of one journal, fed in order.
#[derive(Debug)]
pub struct Scan {
    prefix: String,
    tracker: Tracker,
    heads: BTreeMap<Life, (LifeHead<'static>, Part)>,
    found: BTreeMap<Traversal, Found>,
}

/// A text that is not the beginning of the name of a search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no search: at least {PREFIX_CHARS_MIN} and at most 32 hexadecimal digits do, as \
     `p2p inspect` shows them"
)]
pub struct BadPrefix(pub String);

impl Scan {
    /// Looks for searches whose name begins so.
    ///
    /// # Errors
    /// [`BadPrefix`] when no name does.
    pub fn new(prefix: &str) -> Result<Self, BadPrefix> {
        let hexadecimal = prefix.chars().all(|digit| digit.is_ascii_hexdigit());
        if !hexadecimal || !(PREFIX_CHARS_MIN..=32).contains(&prefix.len()) {
            return Err(BadPrefix(prefix.to_owned()));
        }
        Ok(Self {
            prefix: prefix.to_ascii_lowercase(),
            tracker: Tracker::default(),
            heads: BTreeMap::new(),
            found: BTreeMap::new(),
        })
    }

    /// Takes the next record. `era` is what it was recorded in, for records that come without what
    /// stands before them in the journal.
    pub fn feed(
        &mut self,
        era: Option<&Arc<Era<'static>>>,
        sequence: Sequence,
        record: &Record<'_>,
    ) {
        if let Some(era) = era {
            self.tracker.era = Some(Arc::clone(era));
        }
        self.tracker.see(record);
        match record {
            Record::Life(head) if !self.heads.contains_key(&head.life) => {
                self.heads.insert(head.life, (head.clone().into_owned(), Part::default()));
            }
            Record::End { life, .. } => drop(self.heads.remove(life)),
            Record::Entry(entry) => {
                let effects: Option<Vec<Effect>> = match &entry.effects {
                    // What the dead had asked for did not happen.
                    _ if matches!(entry.handled, Handled::Died(_)) => Some(Vec::new()),
                    Effects::None => Some(Vec::new()),
                    Effects::Whole(bytes) => wire::decode(bytes, EFFECTS_RECORDED_BYTES_MAX).ok(),
                    Effects::Digest { .. } => None,
                };
                let input = wire::decode_own::<Input<'static>>(&entry.input, 2 * BODY_BYTES_MAX);
                if let Ok(input) = input {
                    self.entry(sequence, entry.life, entry.number, &input, effects.as_deref());
                }
            }
            _ => {}
        }
    }

    fn entry(
        &mut self,
        sequence: Sequence,
        life: Life,
        number: u64,
        input: &Input<'_>,
        effects: Option<&[Effect]>,
    ) {
        let Some(era) = &self.tracker.era else { return };
        let Some((head, part)) = self.heads.get_mut(&life) else { return };
        let me = Address { host: era.host, agent: head.agent };
        let prefix = &self.prefix;
        let wanted = |of: Traversal| of.to_string().starts_with(prefix.as_str());
        let acts = part.entry(me, input, effects, wanted);
        if effects.is_none() {
            for search in part.searches() {
                self.found.entry(search).or_default().unread += 1;
            }
        }
        for (search, name, act) in acts {
            let found = self.found.entry(search).or_default();
            if found.deeds.len() >= TRACE_DEEDS_MAX {
                found.cut = true;
                continue;
            }
            found.deeds.push(Deed {
                at_ms: self.tracker.moment.wall.as_millis(),
                host_name: era.name.to_string(),
                who: me,
                name: head.name.as_deref().map(str::to_owned),
                kind: head.kind.to_string(),
                life: life.0,
                sequence: sequence.0,
                entry: number,
                contract: name,
                act,
            });
        }
    }

    /// What was found, by search.
    #[must_use]
    pub fn finish(self) -> Vec<Found> {
        let named =
            |(search, found): (Traversal, Found)| Found { search: search.to_string(), ..found };
        self.found.into_iter().filter(|(_, found)| !found.deeds.is_empty()).map(named).collect()
    }
}
