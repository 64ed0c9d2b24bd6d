use std::collections::BTreeMap;

use serde_json::json;
use starling_protocols::journal::{Entry, Life, Moment, Record, Sequence};

use super::{
    super::Records,
    Archive, Who,
    entries::RowWriter,
    replay::{effects_text, pretty, unified},
};
use crate::api::{
    Problem,
    journal::{EntryDiff, EntryRow, JournalDiff, LifeDiff, LifeRow},
};

impl Archive {
    /// Compares two lives entry by entry, up to the first that differs. Times are not compared.
    ///
    /// # Errors
    /// [`Problem`] when there is no such life, or something of them cannot be read.
    pub fn diff(&self, who: &Who, other: &Self, whom: &Who) -> Result<LifeDiff, Problem> {
        self.compare(self.life(who)?, other, other.life(whom)?)
    }

    fn compare(&self, left: LifeRow, other: &Self, right: LifeRow) -> Result<LifeDiff, Problem> {
        let from = left.first.max(right.first);
        let mut lefts = Entries::new(self, &left, from)?;
        let mut rights = Entries::new(other, &right, from)?;
        let mut same = 0;
        let first = loop {
            match (lefts.next()?, rights.next()?) {
                (None, None) => break None,
                (Some(of_left), Some(of_right)) => match what_differs(&of_left, &of_right) {
                    None => {
                        let _ = (lefts.row(&of_left), rights.row(&of_right));
                        same += 1;
                    }
                    Some(what) => {
                        let number = of_left.2.number;
                        let rows = (Some(lefts.row(&of_left)), Some(rights.row(&of_right)));
                        break Some(entry_diff(number, what, rows));
                    }
                },
                (of_left, of_right) => {
                    let longer = of_left.as_ref().or(of_right.as_ref());
                    let number = longer.map_or(0, |of| of.2.number);
                    let left = of_left.map(|of| lefts.row(&of));
                    let right = of_right.map(|of| rights.row(&of));
                    break Some(entry_diff(number, "length", (left, right)));
                }
            }
        };
        Ok(LifeDiff { left, right, same, first })
    }
}

/// Compares all lives that are in both of two journals.
///
/// # Errors
/// [`Problem`] when something cannot be read.
pub fn diff_journals(left: &Archive, right: &Archive) -> Result<JournalDiff, Problem> {
    let mut others: BTreeMap<(u64, String), LifeRow> = right
        .lives(&Who::All)?
        .into_iter()
        .map(|row| ((row.life, row.agent.clone()), row))
        .collect();
    let mut diff = JournalDiff::default();
    for row in left.lives(&Who::All)? {
        match others.remove(&(row.life, row.agent.clone())) {
            Some(other) => diff.lives.push(left.compare(row, right, other)?),
            None => diff.only_left.push(row),
        }
    }
    diff.only_right = others.into_values().collect();
    Ok(diff)
}

type Found = (Sequence, Moment, Entry<'static>);

/// The entries of one life, from a number on.
struct Entries<'a> {
    records: Records<'a>,
    writer: RowWriter,
    from: u64,
}

impl<'a> Entries<'a> {
    fn new(archive: &'a Archive, row: &LifeRow, from: u64) -> Result<Self, Problem> {
        let records = archive.reader.records_of(Life(row.life), from)?;
        Ok(Self { records, writer: RowWriter::new(&archive.kinds, &row.kind), from })
    }

    fn next(&mut self) -> Result<Option<Found>, Problem> {
        while let Some(told) = self.records.next() {
            let told = told?;
            if let Record::Entry(entry) = told.record {
                let found = (told.sequence, told.moment, entry);
                if found.2.number >= self.from {
                    return Ok(Some(found));
                }
                let _ = self.row(&found);
            }
        }
        Ok(None)
    }

    fn row(&mut self, (sequence, moment, entry): &Found) -> EntryRow {
        self.writer.row(*sequence, *moment, entry)
    }
}

fn what_differs((.., left): &Found, (.., right): &Found) -> Option<&'static str> {
    let either = |digests: (Option<u64>, Option<u64>)| match digests {
        (Some(left), Some(right)) => left != right,
        // Digests are taken now and then only.
        _ => false,
    };
    if left.number != right.number {
        Some("length")
    } else if left.input != right.input {
        Some("input")
    } else if left.handled != right.handled {
        Some("outcome")
    } else if left.effects != right.effects {
        Some("effects")
    } else if either((left.state, right.state)) {
        Some("state")
    } else {
        None
    }
}

fn entry_diff(
    number: u64,
    what: &str,
    (left, right): (Option<EntryRow>, Option<EntryRow>),
) -> EntryDiff {
    let text = |row: Option<&EntryRow>| row.map_or_else(|| "no entry".to_owned(), entry_text);
    let diff = unified(&text(left.as_ref()), &text(right.as_ref()), "left", "right");
    EntryDiff { number, what: what.to_owned(), left, right, diff }
}

fn entry_text(row: &EntryRow) -> String {
    let input = serde_json::to_value(&row.input).unwrap_or_default();
    let state = row.state.as_deref().unwrap_or("not taken");
    let rest = json!({ "outcome": row.outcome, "why": row.why, "digest of the state": state });
    format!("{}\n{}\n{}", pretty(&input), effects_text(&row.effects), pretty(&rest))
}
