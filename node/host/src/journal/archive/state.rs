use starling_core::replay::{PlayError, Replay, View};
use starling_protocols::{
    journal::{Life, Record},
    time::WallTime,
};

use super::{Archive, Who, quiet::quietly};
use crate::api::{
    Code, Problem,
    journal::{LifeRow, StateThen},
};

const NOTHING: &str = "nothing of it is recorded";

/// Which moment of an agent's life is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// When it had handled the entry of this number.
    Entry(u64),
    /// This time, by the calendar of its host.
    Time(WallTime),
}

impl Archive {
    /// The state of an agent at some moment, by replaying it from the snapshot before.
    ///
    /// # Errors
    /// [`Problem`] when it did not live then, or cannot be replayed so far.
    pub fn state(&self, who: &Who, at: At) -> Result<StateThen, Problem> {
        let row = choose(self.lives(who)?, at)?;
        if !row.known {
            let message = format!("this program has no kind {:?}", row.kind);
            return Err(Problem::new(Code::NotFound, message)
                .next("ask the daemon that has it, or a program of its own"));
        }
        let begin = match at {
            At::Entry(number) => number.saturating_add(1),
            At::Time(wall) => self.reader.number_at(Life(row.life), wall)?,
        };
        let found = quietly(|| self.play_until(&row, begin, at))?;
        // What stands in a page may be later than its beginning.
        let found = match found {
            None if begin > row.first => quietly(|| self.play_until(&row, row.first, at))?,
            found => found,
        };
        let Some((replay, at_ms)) = found else {
            return Err(Problem::new(Code::NotFound, before(&row)));
        };
        let view = replay.view().ok_or_else(|| {
            Problem::new(Code::NotFound, "there is no snapshot of it to begin with")
        })?;
        let View { inputs, state, waits, topics, offers } = view;
        Ok(StateThen { row, inputs, at_ms, state, waits, topics, offers })
    }

    fn play_until(
        &self,
        row: &LifeRow,
        begin: u64,
        at: At,
    ) -> Result<Option<(Replay, u64)>, Problem> {
        let mut replay = Replay::new(self.kinds.clone(), Life(row.life));
        let mut at_ms = None;
        for told in self.reader.records_of(Life(row.life), begin)? {
            let told = told?;
            let wall = told.moment.wall;
            let beyond = match (&told.record, at) {
                (Record::Entry(entry), At::Entry(number)) => entry.number > number,
                (Record::Entry(_) | Record::Snapshot(_), At::Time(until)) => wall > until,
                (Record::Snapshot(snapshot), At::Entry(number)) => snapshot.number > number + 1,
                _ => false,
            };
            if beyond {
                break;
            }
            if matches!(told.record, Record::Entry(_) | Record::Snapshot(_)) {
                at_ms = Some(wall.as_millis());
            }
            if told.era.is_some() {
                replay.place(told.era, told.moment);
            }
            replay.feed(told.sequence, told.record).map_err(|why| not_played(&why))?;
        }
        Ok(at_ms.map(|at_ms| (replay, at_ms)))
    }
}

fn choose(lives: Vec<LifeRow>, at: At) -> Result<LifeRow, Problem> {
    let lived = |row: &LifeRow| match at {
        At::Entry(number) => (row.first..row.next).contains(&number),
        At::Time(wall) => row.begun_ms <= wall.as_millis(),
    };
    let extent = lives.last().map(|row| (row.first, row.next));
    let too_early = lives.first().map(before);
    lives.into_iter().rev().find(lived).ok_or_else(|| {
        let message = match (at, extent) {
            (At::Entry(number), Some((first, next))) => not_recorded(number, first, next),
            (At::Time(_), _) => too_early.unwrap_or_else(|| NOTHING.to_owned()),
            _ => NOTHING.to_owned(),
        };
        Problem::new(Code::NotFound, message).next("see its entries: p2p journal show AGENT")
    })
}

/// Why an entry is not to be seen of a life of which these are kept.
pub(super) fn not_recorded(number: u64, first: u64, next: u64) -> String {
    match next.checked_sub(1).filter(|last| first <= *last) {
        Some(last) => format!("entry {number} is not recorded: there are {first} to {last}"),
        None => NOTHING.to_owned(),
    }
}

/// Why there is nothing of a time before this life, the oldest that is kept.
fn before(row: &LifeRow) -> String {
    match row.first {
        0 => "it had not begun to live then".to_owned(),
        first => format!("what was then is not kept any more: its entries begin with {first}"),
    }
}

fn not_played(why: &PlayError) -> Problem {
    Problem::new(Code::Damaged, format!("it cannot be replayed so far: {why}"))
        .next("see what differs: p2p journal replay AGENT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(first: u64, next: u64) -> LifeRow {
        let text = String::new;
        LifeRow {
            life: 1,
            agent: text(),
            name: None,
            kind: text(),
            version: 1,
            durability: text(),
            host: text(),
            host_name: text(),
            begun_ms: 1000,
            ended: None,
            ended_ms: None,
            first,
            next,
            last_ms: 2000,
            known: true,
        }
    }

    fn refused(lives: Vec<LifeRow>, at: At) -> String {
        choose(lives, at).expect_err("it is not there").message
    }

    #[test]
    fn what_is_not_kept_any_more_is_told_from_what_never_was() {
        let early = At::Time(WallTime::from_millis(999));
        assert_eq!(refused(vec![life(0, 5)], early), "it had not begun to live then");
        let gone = "what was then is not kept any more: its entries begin with 3";
        assert_eq!(refused(vec![life(3, 5), life(0, 2)], early), gone);
        let gone = "entry 5 is not recorded: there are 3 to 4";
        assert_eq!(refused(vec![life(3, 5)], At::Entry(5)), gone);
        assert_eq!(refused(vec![life(3, 3)], At::Entry(3)), NOTHING);
        assert!(choose(vec![life(3, 5)], At::Time(WallTime::from_millis(1000))).is_ok());
    }
}
