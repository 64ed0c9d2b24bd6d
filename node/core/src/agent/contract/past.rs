use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    contract::BidId, ident::Address, limits::PAST_CONTRACTS_PER_AGENT_MAX, time::Time,
};

use crate::agent::WaitId;

/// What a manager remembers of contracts that have ended, for bids that come too late and for
/// contractors that have not heard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::agent) struct PastContracts {
    rows: BTreeMap<u64, Past>,
    by_end: BTreeSet<(Time, u64)>,
}

/// A contract that has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) name: Cow<'static, str>,
    /// Those who have not answered, each with what waits for that.
    pub(super) asked: BTreeMap<Address, WaitId>,
    pub(super) outcome: Outcome,
    /// Until when it is remembered.
    pub(super) until: Time,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// It counts what these have done.
    Acknowledged(BTreeSet<BidId>),
    /// It counts nothing, and why.
    Over(String),
}

impl PastContracts {
    pub(in crate::agent) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn get(&self, contract: u64) -> Option<&Past> {
        self.rows.get(&contract)
    }

    /// Takes what waits for the answer of one who was asked. Gives the contract's name.
    pub(super) fn answered(&mut self, contract: u64, from: Address) -> Option<Cow<'static, str>> {
        let past = self.rows.get_mut(&contract)?;
        past.asked.remove(&from)?;
        Some(past.name.clone())
    }

    /// Gives what nobody waits for any more.
    pub(super) fn insert(&mut self, contract: u64, past: Past, now: Time) -> Vec<WaitId> {
        let mut waits = Vec::new();
        while let Some((until, oldest)) = self.by_end.first().copied()
            && (until <= now || self.rows.len() >= PAST_CONTRACTS_PER_AGENT_MAX)
        {
            self.by_end.remove(&(until, oldest));
            if let Some(past) = self.rows.remove(&oldest) {
                waits.extend(past.asked.into_values());
            }
        }
        self.by_end.insert((past.until, contract));
        self.rows.insert(contract, past);
        waits
    }

    /// Gives all waits for answers that come too late: they are not rejected then.
    pub(super) fn take_asked(&mut self) -> Vec<WaitId> {
        let asked = self.rows.values_mut().map(|past| std::mem::take(&mut past.asked));
        asked.flat_map(BTreeMap::into_values).collect()
    }
}
