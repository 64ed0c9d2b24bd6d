use std::collections::{BTreeMap, BTreeSet};

use super::TopicName;

/// Who listens to which topic. `K` is an agent of this host, or another host.
#[derive(Clone, Debug)]
pub struct Listeners<K> {
    by_topic: BTreeMap<TopicName, BTreeSet<K>>,
    by_listener: BTreeMap<K, BTreeSet<TopicName>>,
}

impl<K> Default for Listeners<K> {
    fn default() -> Self {
        Self { by_topic: BTreeMap::new(), by_listener: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Listeners<K> {
    /// `who` listens to `topic` from now on. Gives whether it is the first to; not again when it does
    /// already.
    pub fn listen(&mut self, topic: &TopicName, who: K) -> bool {
        self.by_listener.entry(who).or_default().insert(topic.clone());
        let listeners = self.by_topic.entry(topic.clone()).or_default();
        listeners.insert(who) && listeners.len() == 1
    }

    /// `who` no longer listens to `topic`. Gives whether it was the last to.
    pub fn ignore(&mut self, topic: &TopicName, who: K) -> bool {
        if let Some(topics) = self.by_listener.get_mut(&who) {
            topics.remove(topic);
            if topics.is_empty() {
                self.by_listener.remove(&who);
            }
        }
        let Some(listeners) = self.by_topic.get_mut(topic) else { return false };
        let was = listeners.remove(&who);
        let last = listeners.is_empty();
        if last {
            self.by_topic.remove(topic);
        }
        was && last
    }

    /// `who` listens to nothing any more. Gives the topics to which nobody listens now.
    pub fn forget(&mut self, who: K) -> Vec<TopicName> {
        let topics = self.by_listener.get(&who).cloned().unwrap_or_default();
        topics.into_iter().filter(|topic| self.ignore(topic, who)).collect()
    }

    /// Who listens to `topic`, in order.
    pub fn of(&self, topic: &str) -> impl Iterator<Item = K> {
        self.by_topic.get(topic).into_iter().flatten().copied()
    }

    /// Whether anybody listens to `topic`.
    #[must_use]
    pub fn any(&self, topic: &str) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// The topics `who` listens to, in order.
    pub fn topics_of(&self, who: K) -> impl Iterator<Item = &TopicName> {
        self.by_listener.get(&who).into_iter().flatten()
    }

    /// How many topics `who` listens to.
    #[must_use]
    pub fn count_of(&self, who: K) -> usize {
        self.by_listener.get(&who).map_or(0, BTreeSet::len)
    }

    /// All topics to which somebody listens, in order.
    pub fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.by_topic.keys()
    }
}
