use std::{collections::BTreeMap, ops::ControlFlow};

use serde_json::Value;
use similar::TextDiff;
use starling_core::replay::{self, EffectsView, PlayError, Reading, Replay, Side};
use starling_protocols::journal::{Life, Record};

use super::{
    super::{Records, Told, store::life_of},
    Archive, Sink, Who,
    entries::outcome,
    quiet::quietly,
};
use crate::api::{
    Problem,
    journal::{Difference, LifeRow, ReplayLine, ReplayResult, Replayed},
};

/// Entries between two lines that say how far it is.
const PROGRESS_ENTRIES: u64 = 1000;

/// One life in the course of a replay of several.
struct Playing {
    row: LifeRow,
    replay: Replay,
    reading: Reading,
    result: Option<ReplayResult>,
}

impl Archive {
    /// Plays lives again and compares every entry. A life that differs ends there; others go on.
    ///
    /// # Errors
    /// [`Problem`] when there is no such life or nothing can be read. What is damaged within is a
    /// line.
    pub fn replay(&self, who: &Who, put: Sink<'_, ReplayLine>) -> Result<(), Problem> {
        let rows = self.lives(who)?;
        // The records of one life are found by the index; for several, everything is read once.
        let records = match rows.as_slice() {
            [row] => self.reader.records_of(Life(row.life), row.first)?,
            _ => self.reader.records(),
        };
        let of = rows.iter().map(|row| row.next - row.first).sum();
        if put(ReplayLine::Progress { done: 0, of }).is_break() {
            return Ok(());
        }
        let mut playing: BTreeMap<Life, Playing> =
            rows.into_iter().map(|row| (Life(row.life), self.playing(row))).collect();
        if quietly(|| play(&mut playing, records, of, put)).is_break() {
            return Ok(());
        }
        for life in playing.into_values() {
            if put(ReplayLine::Life(Box::new(life.end()))).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn playing(&self, row: LifeRow) -> Playing {
        let result = (!row.known).then_some(ReplayResult::UnknownKind);
        let replay = Replay::new(self.kinds.clone(), Life(row.life));
        let reading = Reading::new(self.kinds.clone(), &row.kind);
        Playing { row, replay, reading, result }
    }
}

fn play(
    playing: &mut BTreeMap<Life, Playing>,
    records: Records<'_>,
    of: u64,
    put: Sink<'_, ReplayLine>,
) -> ControlFlow<()> {
    let mut done = 0;
    for told in records {
        let told = match told {
            Ok(told) => told,
            Err(why) => {
                put(ReplayLine::Damaged { why: why.to_string() })?;
                continue;
            }
        };
        let Some(life) = life_of(&told.record).and_then(|life| playing.get_mut(&life)) else {
            continue;
        };
        if matches!(told.record, Record::Entry(_)) {
            done += 1;
            if done % PROGRESS_ENTRIES == 0 {
                put(ReplayLine::Progress { done, of })?;
            }
        }
        life.feed(told);
    }
    ControlFlow::Continue(())
}

impl Playing {
    fn feed(&mut self, told: Told) {
        if self.result.is_some() {
            return;
        }
        if told.era.is_some() {
            self.replay.place(told.era, told.moment);
        }
        match self.replay.feed(told.sequence, told.record) {
            Ok(None) => {}
            Ok(Some(step)) => {
                // So that it knows later what a reply belongs to.
                self.reading.input(&step.input);
                self.reading.effects(&step.effects, step.moment.time);
            }
            Err(why) => self.result = Some(result(&mut self.reading, why)),
        }
    }

    fn end(self) -> Replayed {
        let counts = self.replay.counts();
        let begun = self.replay.view().is_some();
        let same = if begun { ReplayResult::Same } else { ReplayResult::NoSnapshot };
        Replayed {
            row: self.row,
            result: self.result.unwrap_or(same),
            entries: counts.played,
            snapshots: counts.compared,
            unrecorded: counts.unrecorded,
            missing: counts.missing,
        }
    }
}

fn result(reading: &mut Reading, why: PlayError) -> ReplayResult {
    match why {
        PlayError::Differs(differs) => {
            ReplayResult::Differs(Box::new(difference(reading, *differs)))
        }
        PlayError::UnknownKind(_) => ReplayResult::UnknownKind,
        why @ (PlayError::Snapshot { .. } | PlayError::Input { .. }) => {
            ReplayResult::Unplayable(why.to_string())
        }
    }
}

fn difference(reading: &mut Reading, differs: replay::Difference) -> Difference {
    let input = differs.input.as_ref().map(|input| reading.input(input));
    // Each side is read with the same knowledge of what replies belong to.
    let expected = side(&mut reading.clone(), &differs.expected, &differs);
    let got = side(reading, &differs.got, &differs);
    let diff = unified(&expected, &got, "recorded", "replayed");
    Difference {
        sequence: differs.sequence.0,
        number: differs.number,
        at_ms: differs.moment.wall.as_millis(),
        what: differs.what.to_string().trim_start_matches("the ").to_owned(),
        input,
        expected,
        got,
        diff,
        before: differs.before,
        software: differs.software,
        recorded_version: differs.recorded_version,
        version: differs.version,
    }
}

fn side(reading: &mut Reading, side: &Side, differs: &replay::Difference) -> String {
    match side {
        Side::Outcome(handled) => match outcome(handled) {
            (word, None) => word.to_owned(),
            (word, Some(why)) => format!("{word}: {why}"),
        },
        Side::Effects(effects) => {
            effects_text(&reading.recorded_effects(effects, differs.moment.time))
        }
        Side::State(state) => pretty(state),
        Side::StateDigest(digest) => format!("a state with the digest {digest:016x}"),
    }
}

pub(super) fn effects_text(effects: &EffectsView) -> String {
    match effects {
        EffectsView::Whole(all) if all.is_empty() => "no effects".to_owned(),
        EffectsView::Whole(all) => {
            let texts = all.iter().map(|effect| serde_json::to_value(effect).unwrap_or_default());
            texts.map(|effect| pretty(&effect)).collect::<Vec<_>>().join("\n")
        }
        EffectsView::Digest { bytes, digest } => {
            format!("{bytes} bytes of effects with the digest {digest}")
        }
        EffectsView::Unreadable(why) => format!("effects that do not decode: {why}"),
    }
}

pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// From one text to another, by lines. Empty when they are the same.
pub(super) fn unified(from: &str, to: &str, from_name: &str, to_name: &str) -> String {
    let (from, to) = (format!("{from}\n"), format!("{to}\n"));
    let diff = TextDiff::from_lines(&from, &to);
    diff.unified_diff().context_radius(3).header(from_name, to_name).to_string()
}
