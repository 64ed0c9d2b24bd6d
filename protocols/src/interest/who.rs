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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Listen(u8, u8),
        Ignore(u8, u8),
        Forget(u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0..4u8, 0..4u8).prop_map(|(topic, who)| Op::Listen(topic, who)),
            2 => (0..4u8, 0..4u8).prop_map(|(topic, who)| Op::Ignore(topic, who)),
            1 => (0..4u8).prop_map(Op::Forget),
        ]
    }

    fn topic(number: u8) -> TopicName {
        format!("t#{number}").parse().expect("a topic")
    }

    type Model = BTreeSet<(u8, u8)>;

    fn count(model: &Model, topic: u8) -> usize {
        model.iter().filter(|(of, _)| *of == topic).count()
    }

    fn step(listeners: &mut Listeners<u8>, model: &mut Model, op: Op) {
        match op {
            Op::Listen(of, who) => {
                let first = count(model, of) == 0;
                model.insert((of, who));
                assert_eq!(listeners.listen(&topic(of), who), first);
            }
            Op::Ignore(of, who) => {
                let last = model.remove(&(of, who)) && count(model, of) == 0;
                assert_eq!(listeners.ignore(&topic(of), who), last);
            }
            Op::Forget(who) => {
                let had: Vec<u8> = (0..4).filter(|of| model.remove(&(*of, who))).collect();
                let gone = had.into_iter().filter(|of| count(model, *of) == 0).map(topic);
                assert_eq!(listeners.forget(who), gone.collect::<Vec<_>>());
            }
        }
    }

    fn compare(listeners: &Listeners<u8>, model: &Model) {
        for number in 0..4 {
            let name = topic(number);
            let who = model.iter().filter(|(of, _)| *of == number).map(|(_, who)| *who);
            assert!(listeners.of(name.as_str()).eq(who));
            assert_eq!(listeners.any(name.as_str()), count(model, number) > 0);
            let of = model.iter().filter(|(_, who)| *who == number).map(|(of, _)| topic(*of));
            let of: Vec<_> = of.collect();
            assert_eq!(listeners.count_of(number), of.len());
            assert!(listeners.topics_of(number).eq(&of));
        }
        let all: BTreeSet<_> = model.iter().map(|(of, _)| topic(*of)).collect();
        assert!(listeners.topics().eq(&all));
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_pairs(ops in prop::collection::vec(op(), 0..60)) {
            let (mut listeners, mut model) = (Listeners::default(), Model::new());
            for op in ops {
                step(&mut listeners, &mut model, op);
                compare(&listeners, &model);
            }
        }
    }

    #[test]
    fn to_listen_twice_is_to_be_first_once() {
        let mut listeners = Listeners::default();
        assert!(listeners.listen(&topic(1), 1));
        assert!(!listeners.listen(&topic(1), 1));
        assert!(listeners.ignore(&topic(1), 1));
        assert!(!listeners.ignore(&topic(1), 1));
    }
}
