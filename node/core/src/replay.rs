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

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use starling_protocols::{
    ident::{Address, HostId},
    journal::{
        Durability, Ended, Handled, Life, LifeHead, Moment, OldEntry, Record, Sequence, Tracker,
    },
};

pub use crate::agent::{Difference, Differs, PlayError};
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
    ended: Option<Ended>,
    played: u64,
    compared: u64,
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
            ended: None,
            played: 0,
            compared: 0,
        }
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
                self.snapshot(&snapshot).map(|()| None)
            }
            Record::Entry(entry) if entry.life == self.life => {
                let Some(era) = self.tracker.era.clone() else { return Ok(None) };
                let Some(player) = &mut self.player else { return Ok(None) };
                if entry.number < player.number {
                    return Ok(None);
                }
                let lossy = player.head().durability == Durability::History;
                if lossy && entry.number > player.number {
                    // A letter: it is recorded even while the storage takes nothing else.
                    return Ok(None);
                }
                let (moment, entry) = (self.tracker.moment, entry.into_owned());
                let (number, handled) = (entry.number, entry.handled.clone());
                let played = player.play(OldEntry { sequence, era, moment, entry })?;
                self.played += 1;
                let (input, effects) = (played.input, played.effects);
                Ok(Some(Step { sequence, number, moment, input, handled, effects }))
            }
            Record::Gap { life, .. } if life == self.life => {
                self.skipping = true;
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
            topics: player.topics.iter().map(ToString::to_string).collect(),
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

    /// How its life ended, if it has.
    #[must_use]
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// How many entries were played, and how many snapshots were compared.
    #[must_use]
    pub const fn counts(&self) -> (u64, u64) {
        (self.played, self.compared)
    }

    fn snapshot(
        &mut self,
        snapshot: &starling_protocols::journal::Snapshot<'_>,
    ) -> Result<(), PlayError> {
        let skipping = std::mem::take(&mut self.skipping);
        if let Some(player) = &mut self.player {
            if skipping || snapshot.number != player.number {
                return player.skip_to(snapshot);
            }
            self.compared += 1;
            let Some(era) = &self.tracker.era else { return Ok(()) };
            let differs = player.compare(snapshot, era);
            return differs.map_or(Ok(()), |how| Err(PlayError::Differs(Box::new(how))));
        }
        let Some(head) = self.head.clone() else { return Ok(()) };
        let kind = self.kinds.find(&head.kind);
        let kind = kind.ok_or_else(|| PlayError::UnknownKind(head.kind.to_string()))?;
        self.player = Some(Player::new(Arc::clone(kind), head, snapshot)?);
        Ok(())
    }
}
