use starling_core::{engine::Kinds, replay::Reading};
use starling_protocols::{
    journal::{Entry, Handled, Life, Moment, Record, Sequence},
    time::Time,
};

use super::{
    super::{JournalError, Told},
    Archive, Sink, Who, pick,
    state::not_recorded,
};
use crate::api::{
    Code, Problem,
    journal::{EntryLine, EntryRow, LetterRow},
};

impl Archive {
    /// Shows `count` entries of a life from number `from` on; without `from`, the last ones.
    ///
    /// # Errors
    /// [`Problem`] when there is no such life or it cannot be read. What is damaged within is a
    /// line.
    pub fn entries(
        &self,
        who: &Who,
        from: Option<u64>,
        count: u64,
        put: Sink<'_, EntryLine>,
    ) -> Result<(), Problem> {
        let row = self.life(who)?;
        if let Some(number) = from.filter(|from| *from >= row.next && *from > row.first) {
            return Err(Problem::new(Code::NotFound, not_recorded(number, row.first, row.next))
                .next("see the last ones: p2p journal show AGENT"));
        }
        let from = from.unwrap_or_else(|| row.next.saturating_sub(count).max(row.first));
        let until = from.saturating_add(count);
        let mut writer = RowWriter::new(&self.kinds, &row.kind);
        let life = Life(row.life);
        if put(EntryLine::Life(row)).is_break() {
            return Ok(());
        }
        for told in self.reader.records_of(life, from)? {
            let line = match line(&mut writer, told) {
                Some(EntryLine::Entry(entry)) if entry.number < from => continue,
                Some(EntryLine::Gap { until, .. }) if until <= from => continue,
                Some(EntryLine::Entry(entry)) if entry.number >= until => break,
                Some(line) => line,
                None => continue,
            };
            if put(line).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn line(writer: &mut RowWriter, told: Result<Told, JournalError>) -> Option<EntryLine> {
    let told = match told {
        Ok(told) => told,
        Err(why) => return Some(EntryLine::Damaged { why: why.to_string() }),
    };
    let at_ms = told.moment.wall.as_millis();
    match &told.record {
        Record::Entry(entry) => {
            Some(EntryLine::Entry(writer.row(told.sequence, told.moment, entry)))
        }
        Record::Gap { from, until, .. } => {
            Some(EntryLine::Gap { from: *from, until: *until, at_ms })
        }
        Record::End { how, .. } => Some(EntryLine::End { how: pick::word(*how).into(), at_ms }),
        _ => None,
    }
}

/// Makes the entries of one life, in order, readable.
pub(super) struct RowWriter {
    reading: Reading,
    last: Option<Time>,
}

impl RowWriter {
    pub(super) fn new(kinds: &Kinds, kind: &str) -> Self {
        Self { reading: Reading::new(kinds.clone(), kind), last: None }
    }

    pub(super) fn row(
        &mut self,
        sequence: Sequence,
        moment: Moment,
        entry: &Entry<'_>,
    ) -> EntryRow {
        let last = self.last.replace(moment.time);
        let after = last.map(|last| moment.time.since(last).as_micros());
        let (outcome, why) = outcome(&entry.handled);
        EntryRow {
            sequence: sequence.0,
            life: entry.life.0,
            number: entry.number,
            at_ms: moment.wall.as_millis(),
            after_us: after.and_then(|after| u64::try_from(after).ok()),
            input: self.reading.recorded_input(&entry.input),
            letter: entry.letter.map(|letter| LetterRow {
                origin: letter.origin.to_string(),
                epoch: letter.epoch.0,
                number: letter.number,
            }),
            outcome: outcome.to_owned(),
            why,
            effects: self.reading.recorded_effects(&entry.effects, moment.time),
            state: entry.state.map(|digest| format!("{digest:016x}")),
        }
    }
}

pub(super) fn outcome(handled: &Handled<'_>) -> (&'static str, Option<String>) {
    match handled {
        Handled::Done => ("done", None),
        Handled::Rejected(why) => ("rejected", Some(why.to_string())),
        Handled::Died(why) => ("died", Some(why.to_string())),
    }
}
