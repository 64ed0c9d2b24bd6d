use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    ident::Address, limits::PROBLEMS_PER_AGENT_MAX, solver::Member, time::Time,
};

use crate::agent::{Dialog, WaitId};

/// Fewer problems are not worth looking through.
const SWEPT_MIN: usize = 16;

/// The problems that an agent takes part in or remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::agent) struct Problems {
    pub(super) rows: BTreeMap<u64, Row>,
    /// By sort and key.
    numbers: BTreeMap<(String, String), u64>,
}

/// A problem.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) problem: Vec<u8>,
    pub(super) member: Member,
    pub(super) timer: Option<(WaitId, Time)>,
    /// What waits for the answer of the one that is followed.
    pub(super) follow: Option<WaitId>,
    /// The questions of those that follow this agent.
    pub(super) followers: BTreeMap<Address, Dialog>,
}

impl Problems {
    /// Whether none is under way or remembered.
    pub(in crate::agent) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of a problem that is under way or remembered.
    pub(super) fn find(&mut self, name: &str, key: &str, now: Time) -> Option<u64> {
        let place = (name.to_owned(), key.to_owned());
        let number = *self.numbers.get(&place)?;
        if self.rows.get(&number).is_some_and(|row| !row.member.is_stale(now)) {
            return Some(number);
        }
        self.remove(number);
        None
    }

    /// Takes up another problem under a new number. Gives whether there was room.
    pub(super) fn add(&mut self, number: u64, row: Row, now: Time) -> bool {
        self.make_room(now);
        let room = self.rows.len() < PROBLEMS_PER_AGENT_MAX;
        if room {
            self.numbers.insert((row.name.clone(), row.key.clone()), number);
            self.rows.insert(number, row);
        }
        room
    }

    /// Forgets what is stale, now and then; and when there is no room otherwise, what has ended
    /// first.
    fn make_room(&mut self, now: Time) {
        let len = self.rows.len();
        let full = len >= PROBLEMS_PER_AGENT_MAX;
        if full || len >= SWEPT_MIN && len.is_power_of_two() {
            let stale = self.rows.iter().filter(|(_, row)| row.member.is_stale(now));
            for number in stale.map(|(number, _)| *number).collect::<Vec<_>>() {
                self.remove(number);
            }
        }
        if self.rows.len() >= PROBLEMS_PER_AGENT_MAX {
            let ended = self.rows.iter().filter(|(_, row)| row.member.has_ended());
            let first = ended.min_by_key(|(_, row)| row.member.until());
            if let Some(number) = first.map(|(number, _)| *number) {
                self.remove(number);
            }
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        if let Some(row) = self.rows.remove(&number) {
            self.numbers.remove(&(row.name, row.key));
        }
    }

    /// For people: each problem under way, and when its time is over.
    pub(in crate::agent) fn views(&self) -> Vec<(String, Time, Value)> {
        let open = self.rows.values().filter(|row| !row.member.has_ended());
        let views = open.map(|row| {
            let group = row.member.group();
            let then = json!({
                "problem": row.name, "key": row.key, "phase": row.member.phase(),
                "follows": row.member.follows().map(|whom| whom.to_string()),
                "members": group.members.len(), "tried": group.tried.len(),
                "followers": row.followers.len(),
            });
            ("problem".to_owned(), row.member.until(), then)
        });
        views.collect()
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::{
        ident::{AgentId, HostId},
        solver::Patience,
    };

    use super::*;

    const ME: Address = Address { host: HostId([1; 32]), agent: AgentId(2000) };

    fn solved(key: u32, now: Time) -> Row {
        let mut member = Member::new(ME, [0; 32], Patience::DEFAULT, now);
        member.notice([], now);
        assert!(member.solve(Vec::new(), now));
        Row {
            name: "a".into(),
            key: key.to_string(),
            problem: Vec::new(),
            member,
            timer: None,
            follow: None,
            followers: BTreeMap::new(),
        }
    }

    fn with(count: usize) -> Problems {
        let mut problems = Problems::default();
        (0..count).for_each(|key| {
            let key = u32::try_from(key).expect("few");
            assert!(problems.add(u64::from(key), solved(key, Time::ZERO), Time::ZERO));
        });
        problems
    }

    #[test]
    fn what_is_stale_is_forgotten_whenever_the_table_has_doubled() {
        let mut problems = with(SWEPT_MIN);
        let later = Time::ZERO + Patience::DEFAULT.memory;
        assert!(problems.add(999, solved(999, later), later));
        assert_eq!((problems.rows.len(), problems.numbers.len()), (1, 1));
    }

    #[test]
    fn what_is_forgotten_leaves_nothing_behind() {
        let mut problems = with(PROBLEMS_PER_AGENT_MAX + 3);
        assert_eq!(problems.rows.len(), PROBLEMS_PER_AGENT_MAX);
        assert_eq!(problems.numbers.len(), PROBLEMS_PER_AGENT_MAX);
        assert_eq!(problems.find("a", "2", Time::ZERO), None);
        assert_eq!(problems.find("a", "3", Time::ZERO), Some(3));
    }
}
