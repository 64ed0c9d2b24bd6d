use starling_core::replay::{PlayError, Replay};
use starling_protocols::{
    journal::{Life, Record},
    time::WallTime,
};

use super::{Archive, Who, quiet::quietly};
use crate::api::{
    Code, Problem,
    journal::{LifeRow, StateThen},
};

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
            return Err(Problem::new(Code::NotFound, "nothing was recorded of it until then"));
        };
        let view = replay.view().ok_or_else(|| {
            Problem::new(Code::NotFound, "there is no snapshot of it to begin with")
        })?;
        let (inputs, state, waits, topics) = (view.inputs, view.state, view.waits, view.topics);
        Ok(StateThen { row, inputs, at_ms, state, waits, topics })
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
    let extent = lives.last().map(|row| (row.first, row.next, row.begun_ms));
    lives.into_iter().rev().find(lived).ok_or_else(|| {
        let message = match (at, extent) {
            (At::Entry(number), Some((first, next, _))) if next > first => {
                format!("entry {number} is not recorded: there are {first} to {}", next - 1)
            }
            (At::Time(_), Some(_)) => "it had not begun to live then".to_owned(),
            _ => "nothing of it is recorded".to_owned(),
        };
        Problem::new(Code::NotFound, message).next("see its entries: p2p journal show AGENT")
    })
}

fn not_played(why: &PlayError) -> Problem {
    Problem::new(Code::Damaged, format!("it cannot be replayed so far: {why}"))
        .next("see what differs: p2p journal replay AGENT")
}
