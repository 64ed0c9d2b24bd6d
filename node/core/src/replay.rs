//! Replay: a life of an agent is played again from its journal, and every entry compared.
//!
//! The same code, from the same snapshot, with the same inputs, times and seeds gives the same
//! effects and the same state; the first entry that does not is named, with what was expected and
//! what came. Records are fed in the order of the journal; those of other lives are passed over.
//!
//! ```
//! use starling_core::{replay::Replay, society};
//! use starling_protocols::journal::{Life, Record, Sequence};
//! let mut replay = Replay::new(society::stock(), Life(7));
//! let step = replay.feed(Sequence(1), Record::Took(starling_protocols::journal::LetterId {
//!     origin: starling_protocols::ident::HostId([1; 32]),
//!     epoch: starling_protocols::ident::Incarnation(1),
//!     number: 1,
//! }));
//! assert!(step.expect("nothing of this life").is_none());
//! ```

mod reading;

use std::sync::Arc;

pub use reading::{AnswerView, EffectView, EffectsView, InputView, Reading};
use serde::Serialize;
use serde_json::{Value, json};
use starling_protocols::{
    ident::{Address, HostId},
    journal::{
        Ended, Era, Handled, Life, LifeHead, Moment, OldEntry, Record, Sequence, Snapshot, Tracker,
    },
};

pub use crate::agent::{Difference, Differs, PlayError, Side};
use crate::{
    agent::{Effect, Input, Player},
    engine::Kinds,
};

/// Plays one life of one agent.
pub struct Replay {
    kinds: Kinds,
    life: Life,
    tracker: Tracker,
    head: Option<LifeHead<'static>>,
    player: Option<Player>,
    /// A gap came before: the next snapshot is taken and not compared.
    skipping: bool,
    /// Inputs before this number were not recorded.
    unrecorded_upto: u64,
    ended: Option<Ended>,
    counts: Counts,
}

/// What a replay has gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that were played, all as they were recorded.
    pub played: u64,
    /// Snapshots that were compared, all as they were recorded.
    pub compared: u64,
    /// Entries that were not recorded, because the storage did not work.
    pub unrecorded: u64,
    /// Entries that should be there and were not fed: the journal is damaged or cut.
    pub missing: u64,
}

/// One entry that replayed as it was recorded.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of the record.
    pub sequence: Sequence,
    /// The number of the input in the life.
    pub number: u64,
    /// When it was handled.
    pub moment: Moment,
    /// The input.
    pub input: Input<'static>,
    /// What became of it.
    pub handled: Handled<'static>,
    /// What the agent asked for.
    pub effects: Vec<Effect>,
}

/// An agent between two inputs, as people see it.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// How many inputs it has handled.
    pub inputs: u64,
    /// Its state.
    pub state: Value,
    /// What it waits for.
    pub waits: Vec<Value>,
    /// The topics it listens to.
    pub topics: Vec<String>,
    /// The services it offers beside what its kind declares.
    pub offers: Vec<String>,
}

impl Replay {
    /// Begins; nothing is played yet.
    #[must_use]
    pub fn new(kinds: Kinds, life: Life) -> Self {
        Self {
            kinds,
            life,
            tracker: Tracker::default(),
            head: None,
            player: None,
            skipping: false,
            unrecorded_upto: 0,
            ended: None,
            counts: Counts::default(),
        }
    }

    /// Says in which era and at which moment the next records were made, for those that come
    /// without what stands before them in the journal.
    pub fn place(&mut self, era: Option<Arc<Era<'static>>>, moment: Moment) {
        self.tracker = Tracker { era, moment };
    }

    /// Takes the next record of the journal. Gives the entry, if it is one of this life and was
    /// played.
    ///
    /// # Errors
    /// [`PlayError`]: the life cannot be played further. What had been played stands.
    pub fn feed(
        &mut self,
        sequence: Sequence,
        record: Record<'_>,
    ) -> Result<Option<Step>, PlayError> {
        self.tracker.see(&record);
        match record {
            Record::Life(head) if head.life == self.life => {
                self.head = Some(head.into_owned());
                Ok(None)
            }
            Record::Snapshot(snapshot) if snapshot.life == self.life => {
                self.snapshot(sequence, &snapshot).map(|()| None)
            }
            Record::Entry(entry) if entry.life == self.life => {
                let Some(era) = self.tracker.era.clone() else { return Ok(None) };
                let Some(player) = &mut self.player else { return Ok(None) };
                if self.skipping || entry.number < player.number {
                    return Ok(None);
                }
                if entry.number > player.number {
                    // What it would do is not known until the next snapshot.
                    self.skipping = true;
                    return Ok(None);
                }
                let (moment, entry) = (self.tracker.moment, entry.into_owned());
                let (number, handled) = (entry.number, entry.handled.clone());
                let played = player.play(OldEntry { sequence, era, moment, entry })?;
                self.counts.played += 1;
                let (input, effects) = (played.input, played.effects);
                Ok(Some(Step { sequence, number, moment, input, handled, effects }))
            }
            Record::Gap { life, from, until } if life == self.life => {
                self.skipping = true;
                self.counts.unrecorded += until.saturating_sub(from);
                self.unrecorded_upto = until;
                Ok(None)
            }
            Record::End { life, how } if life == self.life => {
                self.ended = Some(how);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The agent as it stands; `None` before the first snapshot.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        let player = self.player.as_ref()?;
        let now = self.tracker.moment.time;
        let waits = player.waits().into_iter().map(|wait| {
            let then: Value = serde_json::from_str(&wait.then).unwrap_or_default();
            let left = u64::try_from(wait.until.since(now).as_millis()).unwrap_or(u64::MAX);
            json!({ "what": wait.what, "then": then, "left_ms": left })
        });
        Some(View {
            inputs: player.number,
            state: player.state(),
            waits: waits.collect(),
            topics: player.standing.topics().map(ToString::to_string).collect(),
            offers: player.standing.services().map(ToString::to_string).collect(),
        })
    }

    /// Who is played; `None` before its first record.
    #[must_use]
    pub const fn head(&self) -> Option<&LifeHead<'static>> {
        self.head.as_ref()
    }

    /// Where the agent lives; `None` before the first record of its life and of its host's.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        let host: HostId = self.tracker.era.as_ref()?.host;
        Some(Address { host, agent: self.head.as_ref()?.agent })
    }

    /// When the last record was made.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        self.tracker.moment
    }

    /// How its life ended, if it has.
    #[must_use]
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// What it has gone through.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn snapshot(&mut self, sequence: Sequence, snapshot: &Snapshot<'_>) -> Result<(), PlayError> {
        let skipping = std::mem::take(&mut self.skipping);
        if let Some(player) = &mut self.player {
            if skipping || snapshot.number != player.number {
                let known = player.number.max(self.unrecorded_upto);
                self.counts.missing += snapshot.number.saturating_sub(known);
                return player.skip_to(snapshot);
            }
            self.counts.compared += 1;
            let Some(era) = &self.tracker.era else { return Ok(()) };
            let differs = player.compare(sequence, self.tracker.moment, snapshot, era);
            return differs.map_or(Ok(()), |how| Err(PlayError::Differs(Box::new(how))));
        }
        let Some(head) = self.head.clone() else { return Ok(()) };
        let kind = self.kinds.find(&head.kind);
        let kind = kind.ok_or_else(|| PlayError::UnknownKind(head.kind.to_string()))?;
        self.player = Some(Player::new(Arc::clone(kind), head, snapshot)?);
        Ok(())
    }
}
