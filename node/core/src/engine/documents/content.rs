//! What a descriptor says of an agent beside its own words: resources, allocations, partners.

use std::{collections::VecDeque, fmt::Display};

use automerge::AutoCommit;
use serde_json::Value;
use starling_protocols::{
    limits::{DESCRIBED_AFTER, DESCRIBED_PAUSE},
    replica::DocName,
    time::Time,
};

use super::key;
use crate::{
    agent::Shown,
    documents::{SetError, remove, set},
    engine::{Engine, agents::AgentNo},
    guard::guarded,
};

/// The agents whose resources or partners may have changed since their descriptors said so, with
/// when each is looked at, in order.
#[derive(Debug, Default)]
pub(in crate::engine) struct Looks {
    due: VecDeque<(Time, AgentNo)>,
    /// When the next may be looked at, however many are due.
    next: Time,
}

impl Looks {
    pub(in crate::engine) fn next_deadline(&self) -> Option<Time> {
        self.due.front().map(|(at, _)| (*at).max(self.next))
    }

    fn pop(&mut self, now: Time) -> Option<AgentNo> {
        if self.next_deadline().is_none_or(|at| at > now) {
            return None;
        }
        self.next = now + DESCRIBED_PAUSE;
        self.due.pop_front().map(|(_, agent)| agent)
    }
}

impl Engine {
    /// An agent has handled something: in a while its descriptor says what has changed.
    pub(in crate::engine) fn look_later(&mut self, agent: AgentNo) {
        let at = self.now + DESCRIBED_AFTER;
        if let Some(documents) = &mut self.documents
            && let Some(row) = self.agents.get_mut(agent).filter(|row| !row.looked_for)
        {
            row.looked_for = true;
            documents.looks.due.push_back((at, agent));
        }
    }

    /// Writes down what has changed of those whose time has come.
    pub(super) fn look_at_agents(&mut self) {
        let now = self.now;
        while let Some(agent) = self.documents.as_mut().and_then(|all| all.looks.pop(now)) {
            if let Some(row) = self.agents.get_mut(agent) {
                row.looked_for = false;
                let (id, leaving) = (row.id, row.leaving);
                // One that leaves has been written down whole.
                if !leaving && let Some(shown) = self.news_of(agent) {
                    let name = DocName::of_agent(id);
                    let written =
                        self.write(&name, String::new(), None, |doc| show_in(doc, &shown));
                    self.undescribed(id, written);
                }
            }
        }
    }

    /// What there is to show of an agent, if it is something else than the last time.
    fn news_of(&mut self, agent: AgentNo) -> Option<Shown> {
        let shown = self.shown(agent)?;
        let row = self.agents.get_mut(agent)?;
        let print = print(&shown);
        (std::mem::replace(&mut row.shown, print) != print).then_some(shown)
    }

    /// What there is to show of an agent.
    pub(super) fn shown(&self, agent: AgentNo) -> Option<Shown> {
        let row = self.agents.get(agent)?;
        let kind = &self.kinds[usize::from(row.kind)];
        // Its author's code runs, and may panic.
        guarded(|| kind.shown(&row.ball)).ok()
    }
}

/// Writes into a descriptor what there is to show of its agent.
pub(super) fn show_in(doc: &mut AutoCommit, shown: &Shown) -> Result<(), SetError> {
    let Shown { resources, allocations, partners } = shown;
    for (field, value) in
        [("resources", resources), ("allocations", allocations), ("partners", partners)]
    {
        put(doc, field, value)?;
    }
    Ok(())
}

/// Writes one field of a descriptor; nothing is nothing.
pub(super) fn put(doc: &mut AutoCommit, field: &str, value: &Value) -> Result<(), SetError> {
    if value.is_null() {
        remove(doc, &key(field)).map(drop)
    } else {
        set(doc, &key(field), value).map(drop)
    }
}

/// Zero for nothing.
fn print(shown: &Shown) -> u64 {
    if *shown == Shown::default() {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &dyn Display| {
        hasher.update(part.to_string().as_bytes()).update(&[0]);
    };
    add(&shown.resources);
    add(&shown.allocations);
    add(&shown.partners);
    let mut print = [0; 8];
    hasher.finalize_xof().fill(&mut print);
    u64::from_le_bytes(print).max(1)
}
