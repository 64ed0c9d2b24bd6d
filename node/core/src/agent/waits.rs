use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use starling_protocols::{limits::WAITS_PER_AGENT_MAX, time::Time};

use super::Dialog;

/// Names one thing that an agent waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WaitId(pub u64);

impl WaitId {
    const fn new(index: u32, generation: u32) -> Self {
        Self(((generation as u64) << 32) | index as u64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
    const fn parts(self) -> (usize, u32) {
        (self.0 as u32 as usize, (self.0 >> 32) as u32)
    }
}

/// An activity with a deadline. What is begun [`during`](super::Cx::during) it is given up when
/// it ends. Part of an agent's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task(pub(super) WaitId);

/// What kind of thing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    Reply,
    Timer,
    Task,
}

/// One thing an agent waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wait<T> {
    pub(crate) then: T,
    pub(crate) what: What,
    pub(crate) until: Time,
    pub(crate) task: Option<WaitId>,
}

/// All that an agent waits for, and the questions it has yet to answer.
///
/// A table with free places: setting and settling cost the same however many waits there are,
/// and a stale id never meets another's wait, because each place counts its generations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Book<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// Each with how often it stands: a cage asks everything in one dialog.
    pub(crate) deferred: BTreeMap<Dialog, u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Place<T> {
    generation: u32,
    wait: Option<Wait<T>>,
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), deferred: BTreeMap::new() }
    }
}

impl<T> Book<T> {
    /// How many waits there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there was never any.
    pub(crate) const fn is_new(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether no further wait may be added.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= WAITS_PER_AGENT_MAX
    }

    pub(crate) fn add(&mut self, wait: Wait<T>) -> WaitId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, wait: None });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.places[index as usize];
        place.wait = Some(wait);
        WaitId::new(index, place.generation)
    }

    pub(crate) fn get(&self, id: WaitId) -> Option<&Wait<T>> {
        let (index, generation) = id.parts();
        let place = self.places.get(index).filter(|place| place.generation == generation)?;
        place.wait.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: WaitId) -> Option<&mut Wait<T>> {
        let (index, generation) = id.parts();
        let place = self.places.get_mut(index).filter(|place| place.generation == generation)?;
        place.wait.as_mut()
    }

    pub(crate) fn take(&mut self, id: WaitId) -> Option<Wait<T>> {
        let (index, generation) = id.parts();
        let place = self.places.get_mut(index).filter(|place| place.generation == generation)?;
        let wait = place.wait.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(u32::try_from(index).unwrap_or(u32::MAX));
        Some(wait)
    }

    /// What was begun during `task` and during the tasks among that, however deep: the outer
    /// before the inner, each in order of place.
    pub(crate) fn of_task(&self, task: WaitId) -> Vec<WaitId> {
        let mut children: BTreeMap<WaitId, Vec<WaitId>> = BTreeMap::new();
        for (id, wait) in self.iter() {
            if let Some(parent) = wait.task {
                children.entry(parent).or_default().push(id);
            }
        }
        let mut all = children.remove(&task).unwrap_or_default();
        let mut next = 0;
        while let Some(id) = all.get(next) {
            let inner = children.remove(id).unwrap_or_default();
            all.extend(inner);
            next += 1;
        }
        all
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WaitId, &Wait<T>)> {
        self.places.iter().zip(0..).filter_map(|(place, index)| {
            Some((WaitId::new(index, place.generation), place.wait.as_ref()?))
        })
    }

    /// Strikes a question from those that have yet to be answered. Gives whether it was there.
    pub(crate) fn answered(&mut self, dialog: Dialog) -> bool {
        let Some(open) = self.deferred.get_mut(&dialog) else { return false };
        *open -= 1;
        if *open == 0 {
            self.deferred.remove(&dialog);
        }
        true
    }
}
