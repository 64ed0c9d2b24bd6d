//! A map whose entries live until a time (FEAT: `ExpDict`).
//!
//! An entry lives as long as `now` is before its deadline. An expired one is not found any more,
//! but it is held until [`sweep`](Expiring::sweep) gives it back, so that whoever keeps something
//! that must be released learns of each expiry, and once.
//!
//! ```
//! use std::time::Duration;
//! use starling_core::agent::{Expiring, prelude::*};
//!
//! let (now, second) = (Time::ZERO, Duration::from_secs(1));
//! let mut seen = Expiring::<&str, u32, 2>::new(); // two entries at most
//! seen.insert_for("tea", 1, second, now)?;
//! seen.insert("rum", 2, now + second * 5)?;
//! let full = seen.insert("gin", 3, now + second).unwrap_err();
//! assert_eq!((full.key, full.value), ("gin", 3));
//!
//! let later = now + second;
//! assert_eq!(seen.get(&"tea", later), None);
//! assert_eq!(seen.sweep(later), [("tea", 1)]);
//! assert_eq!(seen.iter(later).collect::<Vec<_>>(), [(&"rum", &2)]);
//! assert_eq!(seen.next_deadline(), Some(now + second * 5));
//! # Ok::<(), starling_core::agent::expiring::Full<&str, u32>>(())
//! ```
//!
//! An agent that must act on an expiry sets a timer for [`next_deadline`](Expiring::next_deadline)
//! and sweeps when it rings; one that only forgets may sweep before it inserts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use starling_protocols::{limits::EXPIRING_ENTRIES_MAX, time::Time};

/// A map whose entries live until a [`Time`], with at most `CAP` entries. Part of an agent's state.
///
/// At the cap a new key is refused and given back; nothing that lives is dropped. What has expired
/// counts until it is swept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved<K, V>")]
#[serde(bound(
    serialize = "K: Serialize, V: Serialize",
    deserialize = "K: Ord + Clone + Deserialize<'de>, V: Deserialize<'de>"
))]
pub struct Expiring<K, V, const CAP: usize = EXPIRING_ENTRIES_MAX> {
    entries: BTreeMap<K, Entry<V>>,
    /// The same keys by their deadlines.
    #[serde(skip_serializing)]
    deadlines: BTreeSet<(Time, K)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry<V> {
    until: Time,
    value: V,
}

/// What is saved: the deadlines follow from it.
#[derive(Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>, V: Deserialize<'de>"))]
struct Saved<K, V> {
    entries: BTreeMap<K, Entry<V>>,
}

impl<K: Ord + Clone, V, const CAP: usize> From<Saved<K, V>> for Expiring<K, V, CAP> {
    fn from(Saved { entries }: Saved<K, V>) -> Self {
        let deadlines = entries.iter().map(|(key, entry)| (entry.until, key.clone())).collect();
        Self { entries, deadlines }
    }
}

/// The map holds as many entries as it may. It is unchanged: sweep it and try again, or do without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for another key; what has expired makes room when it is swept")]
pub struct Full<K, V> {
    /// The key that was not inserted.
    pub key: K,
    /// Its value.
    pub value: V,
}

impl<K, V, const CAP: usize> Default for Expiring<K, V, CAP> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, const CAP: usize> Expiring<K, V, CAP> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, V, const CAP: usize> Expiring<K, V, CAP> {
    /// Sets what stands at `key`, to live until `until`. Gives back what stood there, whether it
    /// still lived or had expired and was not swept.
    ///
    /// # Errors
    /// [`Full`] when the key is new and there are `CAP` entries.
    pub fn insert(&mut self, key: K, value: V, until: Time) -> Result<Option<V>, Full<K, V>> {
        if self.entries.len() >= CAP && !self.entries.contains_key(&key) {
            return Err(Full { key, value });
        }
        let old = self.entries.insert(key.clone(), Entry { until, value });
        if let Some(old) = &old {
            self.deadlines.remove(&(old.until, key.clone()));
        }
        self.deadlines.insert((until, key));
        Ok(old.map(|old| old.value))
    }

    /// As [`insert`](Self::insert), to live for `life` from `now` on.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_for(
        &mut self,
        key: K,
        value: V,
        life: Duration,
        now: Time,
    ) -> Result<Option<V>, Full<K, V>> {
        self.insert(key, value, now + life)
    }

    /// What lives at `key`.
    #[must_use]
    pub fn get(&self, key: &K, now: Time) -> Option<&V> {
        self.entries.get(key).filter(|entry| entry.until > now).map(|entry| &entry.value)
    }

    /// What lives at `key`, to be changed. Its deadline stays.
    pub fn get_mut(&mut self, key: &K, now: Time) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|entry| entry.until > now).map(|entry| &mut entry.value)
    }

    /// Until when what lives at `key` does so.
    #[must_use]
    pub fn until(&self, key: &K, now: Time) -> Option<Time> {
        self.entries.get(key).map(|entry| entry.until).filter(|until| *until > now)
    }

    /// Gives what lives at `key` another deadline, earlier or later. Gives whether anything does.
    pub fn set_until(&mut self, key: &K, until: Time, now: Time) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.until > now) else {
            return false;
        };
        self.deadlines.remove(&(entry.until, key.clone()));
        self.deadlines.insert((until, key.clone()));
        entry.until = until;
        true
    }

    /// Takes what lives at `key`. What has expired there stays for [`sweep`](Self::sweep).
    pub fn remove(&mut self, key: &K, now: Time) -> Option<V> {
        let until = self.until(key, now)?;
        self.deadlines.remove(&(until, key.clone()));
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// What lives, in the order of the keys.
    pub fn iter(&self, now: Time) -> impl Iterator<Item = (&K, &V)> {
        let living = self.entries.iter().filter(move |(_, entry)| entry.until > now);
        living.map(|(key, entry)| (key, &entry.value))
    }

    /// How many entries live.
    #[must_use]
    pub fn len(&self, now: Time) -> usize {
        let expired = self.deadlines.iter().take_while(|(until, _)| *until <= now).count();
        self.entries.len() - expired
    }

    /// Whether nothing lives.
    #[must_use]
    pub fn is_empty(&self, now: Time) -> bool {
        self.deadlines.last().is_none_or(|(until, _)| *until <= now)
    }

    /// The earliest deadline of all that is held; in the past when something expired and was not
    /// swept.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Takes out all that has expired, in the order of the deadlines and then of the keys.
    pub fn sweep(&mut self, now: Time) -> Vec<(K, V)> {
        let mut expired = Vec::new();
        while self.next_deadline().is_some_and(|until| until <= now) {
            let Some((_, key)) = self.deadlines.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&key) {
                expired.push((key, entry.value));
            }
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use starling_protocols::wire;

    use super::*;

    type Map = Expiring<u8, u32, 6>;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u8, u64),
        SetUntil(u8, u64),
        Change(u8),
        Remove(u8),
        Sweep,
        Save,
    }

    /// A list that is searched from end to end.
    #[derive(Default)]
    struct Model(Vec<(u8, u32, Time)>);

    impl Model {
        fn insert(&mut self, key: u8, value: u32, until: Time) -> Result<Option<u32>, ()> {
            let old = self.0.iter().position(|(of, ..)| *of == key).map(|at| self.0.remove(at).1);
            if old.is_none() && self.0.len() == 6 {
                return Err(());
            }
            self.0.push((key, value, until));
            self.0.sort_unstable();
            Ok(old)
        }

        fn living(&mut self, key: u8, now: Time) -> Option<&mut (u8, u32, Time)> {
            self.0.iter_mut().find(|(of, _, until)| *of == key && *until > now)
        }

        fn remove(&mut self, key: u8, now: Time) -> Option<u32> {
            let value = self.living(key, now)?.1;
            self.0.retain(|(of, ..)| *of != key);
            Some(value)
        }

        fn sweep(&mut self, now: Time) -> Vec<(u8, u32)> {
            let mut out: Vec<_> = self.0.extract_if(.., |(_, _, until)| *until <= now).collect();
            out.sort_by_key(|(key, _, until)| (*until, *key));
            out.into_iter().map(|(key, value, _)| (key, value)).collect()
        }
    }

    fn apply(map: &mut Map, model: &mut Model, op: &Op, number: u32, now: Time) {
        match *op {
            Op::Insert(key, life) => {
                let got = map.insert_for(key, number, Duration::from_nanos(life), now);
                let got = got.map_err(|full| assert_eq!((full.key, full.value), (key, number)));
                assert_eq!(got, model.insert(key, number, at(now.as_nanos() + life)));
            }
            Op::SetUntil(key, until) => {
                let there = model.living(key, now).map(|entry| entry.2 = at(until)).is_some();
                assert_eq!(map.set_until(&key, at(until), now), there);
            }
            Op::Change(key) => {
                let there = model.living(key, now).map(|entry| entry.1 += 1000).is_some();
                assert_eq!(map.get_mut(&key, now).map(|value| *value += 1000).is_some(), there);
            }
            Op::Remove(key) => assert_eq!(map.remove(&key, now), model.remove(key, now)),
            Op::Sweep => assert_eq!(map.sweep(now), model.sweep(now)),
            Op::Save => {
                let bytes = wire::encode(map);
                let back: Map = wire::decode(&bytes, bytes.len()).expect("it reads back");
                assert_eq!(*map, back);
                *map = back;
            }
        }
    }

    fn agrees(map: &Map, model: &mut Model, now: Time) {
        for key in 0..9 {
            let entry = model.living(key, now).map(|entry| (entry.1, entry.2));
            assert_eq!((map.get(&key, now).copied(), map.until(&key, now)), entry.unzip());
        }
        let living = model.0.iter().filter(|(.., until)| *until > now);
        let living: Vec<_> = living.map(|(key, value, _)| (key, value)).collect();
        assert_eq!(map.iter(now).collect::<Vec<_>>(), living);
        assert_eq!((map.len(now), map.is_empty(now)), (living.len(), living.is_empty()));
        assert_eq!(map.next_deadline(), model.0.iter().map(|(.., until)| *until).min());
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..9u8, 0..12u64).prop_map(|(key, life)| Op::Insert(key, life)),
            1 => (0..9u8, 0..40u64).prop_map(|(key, until)| Op::SetUntil(key, until)),
            1 => (0..9u8).prop_map(Op::Change),
            1 => (0..9u8).prop_map(Op::Remove),
            1 => Just(Op::Sweep),
            1 => Just(Op::Save),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_list_would(ops in prop::collection::vec((op(), 0..4u64), 0..60)) {
            let (mut map, mut model, mut now) = (Map::new(), Model::default(), 0);
            for ((op, by), number) in ops.iter().zip(0..) {
                now += by;
                apply(&mut map, &mut model, op, number, at(now));
                agrees(&map, &mut model, at(now));
            }
        }
    }

    #[test]
    fn the_usual_cap_holds() {
        let mut map = Expiring::<usize, ()>::default();
        for key in 0..EXPIRING_ENTRIES_MAX {
            map.insert(key, (), at(1)).expect("there is room");
        }
        let full = Full { key: usize::MAX, value: () };
        assert_eq!(map.insert(usize::MAX, (), at(9)), Err(full));
        assert_eq!(map.insert(7, (), at(9)), Ok(Some(())), "a key that is there needs no room");
        assert_eq!(map.sweep(at(1)).len(), EXPIRING_ENTRIES_MAX - 1);
        assert_eq!(map.insert(usize::MAX, (), at(9)), Ok(None));
    }

    #[test]
    fn it_has_a_form_in_json_that_says_all() {
        let mut map = Expiring::<u8, u32, 6>::new();
        map.insert(3, 4, at(5)).expect("there is room");
        let text = serde_json::to_string(&map).expect("it has a form in JSON");
        assert_eq!(text, r#"{"entries":{"3":{"until":5,"value":4}}}"#);
        assert_eq!(serde_json::from_str::<Map>(&text).expect("it reads back"), map);
    }
}
