use std::collections::{BTreeMap, BTreeSet};

use super::{DocName, Replicated, Short};
use crate::{ident::HostId, time::Time};

/// Names somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Those who wait for changes to be on several hosts.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By document, in the order in which they began: whoever has a later change has the earlier
    /// ones.
    by_name: BTreeMap<DocName, Vec<Wait>>,
    due: BTreeSet<(Time, Ticket, DocName)>,
}

#[derive(Debug)]
struct Wait {
    head: Short,
    ticket: Ticket,
    replicas: usize,
    until: Time,
    have: BTreeSet<HostId>,
}

impl Waits {
    pub(super) fn begin(&mut self, name: DocName, head: Short, wait: Replicated) {
        let Replicated { ticket, replicas, until } = wait;
        self.due.insert((until, ticket, name.clone()));
        let have = BTreeSet::new();
        self.by_name.entry(name).or_default().push(Wait { head, ticket, replicas, until, have });
    }

    /// A host has a document durably, as far as these heads, or all that was waited for. Gives who
    /// waits no longer, and how many have it.
    pub(super) fn held(
        &mut self,
        name: &DocName,
        heads: &[Short],
        all: bool,
        by: HostId,
    ) -> Vec<(Ticket, usize)> {
        let Some(waits) = self.by_name.get_mut(name) else { return Vec::new() };
        let upto = waits.iter().rposition(|wait| all || heads.contains(&wait.head));
        let count = upto.map_or(0, |upto| upto + 1);
        let mut done = Vec::new();
        for wait in &mut waits[..count] {
            wait.have.insert(by);
            if wait.have.len() >= wait.replicas {
                done.push((wait.ticket, wait.have.len()));
                self.due.remove(&(wait.until, wait.ticket, name.clone()));
            }
        }
        waits.retain(|wait| wait.have.len() < wait.replicas);
        if waits.is_empty() {
            self.by_name.remove(name);
        }
        done
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// Those whose time is up.
    pub(super) fn due(&mut self, now: Time) -> Vec<(Ticket, usize)> {
        let mut done = Vec::new();
        while let Some((_, ticket, name)) = self.due.first().filter(|(at, ..)| *at <= now).cloned()
        {
            self.due.pop_first();
            let Some(waits) = self.by_name.get_mut(&name) else { continue };
            let place = waits.iter().position(|wait| wait.ticket == ticket);
            done.extend(place.map(|place| (ticket, waits.remove(place).have.len())));
            if waits.is_empty() {
                self.by_name.remove(&name);
            }
        }
        done
    }
}
