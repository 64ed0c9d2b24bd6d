use std::{fmt, sync::Arc};

use serde_json::Value;
use starling_protocols::{
    entropy::Entropy,
    ident::Address,
    journal::{
        Effects, Entry, Era, Handled as Recorded, LifeHead, Moment, OldEntry, Sequence, Snapshot,
        digest,
    },
    limits::{BODY_BYTES_MAX, EFFECTS_RECORDED_BYTES_MAX, SNAPSHOT_ENTRIES},
    wire,
};

use super::{AnyBall, AnyKind, Effect, Input, Standing, Turn, WaitView};
use crate::guard::guarded;

/// An agent of a replay. It goes without harm to the replay, whatever its `Drop` does.
struct Guarded(AnyBall);

impl Guarded {
    fn nothing() -> AnyBall {
        Box::new(())
    }

    fn take(&mut self) -> AnyBall {
        std::mem::replace(&mut self.0, Self::nothing())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let ball = self.take();
        let _ = guarded(|| drop(ball));
    }
}

/// Plays one life of an agent again from its journal, from a snapshot on, and compares what it
/// does with what was recorded.
pub(crate) struct Player {
    kind: Arc<dyn AnyKind>,
    head: LifeHead<'static>,
    ball: Guarded,
    pub(crate) number: u64,
    pub(crate) standing: Standing,
    /// Whether it has asked to be stopped.
    pub(crate) stops: bool,
    /// Whether its life has ended.
    pub(crate) ended: bool,
    effects: Vec<Effect>,
    /// The ball as it was before `tail` was played, to show the state before a difference.
    origin: Vec<u8>,
    tail: Vec<OldEntry>,
}

/// Why a life cannot be played. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlayError {
    /// The program has no such kind.
    #[error(
        "this program has no kind {0:?}; replay it on a daemon that has it, or with its program"
    )]
    UnknownKind(String),
    /// The snapshot does not fit the kind's present code.
    #[error(
        "the snapshot before input {number} does not decode: {why}; it was made by version \
         {version} of the kind's code"
    )]
    Snapshot {
        /// How many inputs had been handled.
        number: u64,
        /// What is wrong.
        why: String,
        /// The version that recorded it.
        version: u32,
    },
    /// An entry's input does not decode.
    #[error("input {number} does not decode: {why}")]
    Input {
        /// Which.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// The agent does something else than it did.
    #[error("{0}")]
    Differs(Box<Difference>),
}

/// The first entry of a life that replays differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The number of the record.
    pub sequence: Sequence,
    /// The number of the input in the life.
    pub number: u64,
    /// When it was handled.
    pub moment: Moment,
    /// In what it differs.
    pub what: Differs,
    /// What was recorded.
    pub expected: Side,
    /// What came of it now.
    pub got: Side,
    /// The input; `None` when the state differs from a snapshot that was made after it.
    pub input: Option<Input<'static>>,
    /// The agent's state before it, as JSON.
    pub before: Value,
    /// The software that recorded it.
    pub software: String,
    /// The version of the kind's code that recorded it.
    pub recorded_version: u32,
    /// The version of the kind's code that replayed it.
    pub version: u32,
}

/// One of the two that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// What became of the input.
    Outcome(Recorded<'static>),
    /// What the agent asked for, as an entry holds it.
    Effects(Effects<'static>),
    /// The agent's state, as JSON.
    State(Value),
    /// A digest of the agent's state: of the state itself nothing was recorded.
    StateDigest(u64),
}

/// In what a replay differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// In what became of the input.
    Outcome,
    /// In what the agent asked for.
    Effects,
    /// In the agent's state after it.
    State,
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outcome => "the outcome",
            Self::Effects => "the effects",
            Self::State => "the state",
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, number, what, software, recorded_version, version, .. } = self;
        write!(
            f,
            "input {number} (record {sequence}) replays differently in {what}: it was recorded by version \
             {recorded_version} of the kind's code ({software}) and replayed with version \
             {version}"
        )
    }
}

/// What was done in one step of a replay.
pub(crate) struct Played {
    pub(crate) input: Input<'static>,
    pub(crate) effects: Vec<Effect>,
}

impl Player {
    /// Begins at a snapshot.
    pub(crate) fn new(
        kind: Arc<dyn AnyKind>,
        head: LifeHead<'static>,
        snapshot: &Snapshot<'_>,
    ) -> Result<Self, PlayError> {
        let (number, version) = (snapshot.number, head.version);
        let failed = |why: String| PlayError::Snapshot { number, why, version };
        let loaded = guarded(|| kind.load(&snapshot.ball)).map_err(failed)?;
        let ball = Guarded(loaded.map_err(|why| failed(why.to_string()))?);
        let standing =
            Standing::parse(snapshot.topics.iter().map(AsRef::as_ref)).map_err(failed)?;
        let (origin, tail) = (snapshot.ball.to_vec(), Vec::new());
        let (stops, ended, effects) = (false, false, Vec::new());
        Ok(Self { kind, head, ball, number, standing, stops, ended, effects, origin, tail })
    }

    /// The agent as it stands. The player has none any more.
    pub(crate) fn take_ball(&mut self) -> AnyBall {
        self.ball.take()
    }

    /// Whose life it is.
    pub(crate) const fn head(&self) -> &LifeHead<'static> {
        &self.head
    }

    /// The agent's state, as JSON.
    pub(crate) fn state(&self) -> Value {
        guarded(|| self.kind.state(&self.ball.0)).unwrap_or_else(Value::String)
    }

    /// What it waits for.
    pub(crate) fn waits(&self) -> Vec<WaitView> {
        guarded(|| self.kind.waits(&self.ball.0)).unwrap_or_default()
    }

    /// Takes a later snapshot instead of what was played, after inputs that were not recorded.
    pub(crate) fn skip_to(&mut self, snapshot: &Snapshot<'_>) -> Result<(), PlayError> {
        *self = Self::new(Arc::clone(&self.kind), self.head.clone(), snapshot)?;
        Ok(())
    }

    /// Compares with a snapshot that was made at this point. `None` when it is the same.
    pub(crate) fn compare(
        &self,
        sequence: Sequence,
        moment: Moment,
        snapshot: &Snapshot<'_>,
        era: &Era<'_>,
    ) -> Option<Difference> {
        let mut bytes = Vec::new();
        let saved = guarded(|| self.kind.save(&self.ball.0, &mut bytes));
        if matches!(saved, Ok(Ok(()))) && bytes == *snapshot.ball {
            return None;
        }
        let recorded = Self::new(Arc::clone(&self.kind), self.head.clone(), snapshot);
        let expected = recorded.map_or_else(|why| why.to_string().into(), |then| then.state());
        Some(Difference {
            sequence,
            number: self.number.saturating_sub(1),
            moment,
            what: Differs::State,
            expected: Side::State(expected),
            got: Side::State(self.state()),
            input: None,
            before: Value::Null,
            software: era.software.to_string(),
            recorded_version: self.head.version,
            version: self.kind.version(),
        })
    }

    /// Handles the next entry as it was handled then, and compares.
    pub(crate) fn play(&mut self, old: OldEntry) -> Result<Played, PlayError> {
        let OldEntry { sequence, era, moment, entry } = &old;
        let number = entry.number;
        let input: Input<'static> = wire::decode_own(&entry.input, 2 * BODY_BYTES_MAX)
            .map_err(|why| PlayError::Input { number, why: why.to_string() })?;
        let got = self.handle(era, *moment, number, &input);
        self.number = number + 1;
        let differs = |what, expected, got| {
            PlayError::Differs(Box::new(Difference {
                sequence: *sequence,
                number,
                moment: *moment,
                what,
                expected,
                got,
                input: Some(input.clone()),
                before: self.before(),
                software: era.software.to_string(),
                recorded_version: self.head.version,
                version: self.kind.version(),
            }))
        };
        if let Some((expected, got)) = outcome_differs(&entry.handled, &got) {
            return Err(differs(Differs::Outcome, expected, got));
        }
        if let Some((expected, got)) = effects_differ(&entry.effects, &self.effects) {
            return Err(differs(Differs::Effects, expected, got));
        }
        if let Some((expected, got)) = self.state_differs(entry) {
            return Err(differs(Differs::State, expected, got));
        }
        let effects = std::mem::take(&mut self.effects);
        self.follow(&input, &effects, &entry.handled);
        self.remember(old);
        Ok(Played { input, effects })
    }

    /// The state before the entry in hand: what was played since the origin is played again.
    fn before(&self) -> Value {
        let Ok(Ok(ball)) = guarded(|| self.kind.load(&self.origin)) else { return Value::Null };
        let mut ball = Guarded(ball);
        for OldEntry { era, moment, entry, .. } in &self.tail {
            let Ok(input) = wire::decode_own::<Input<'static>>(&entry.input, 2 * BODY_BYTES_MAX)
            else {
                return Value::Null;
            };
            let mut effects = Vec::new();
            let _ = self.turn(&mut ball.0, &mut effects, era, *moment, entry.number, &input);
        }
        guarded(|| self.kind.state(&ball.0)).unwrap_or_default()
    }

    fn remember(&mut self, old: OldEntry) {
        self.tail.push(old);
        if self.tail.len() >= SNAPSHOT_ENTRIES as usize {
            self.tail.clear();
            self.origin.clear();
            let _ = guarded(|| self.kind.save(&self.ball.0, &mut self.origin));
        }
    }

    fn handle(
        &mut self,
        era: &Era<'_>,
        moment: Moment,
        number: u64,
        input: &Input<'_>,
    ) -> Recorded<'static> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.clear();
        let mut ball = Guarded(self.ball.take());
        let handled = self.turn(&mut ball.0, &mut effects, era, moment, number, input);
        (self.ball, self.effects) = (ball, effects);
        handled
    }

    fn turn(
        &self,
        ball: &mut AnyBall,
        effects: &mut Vec<Effect>,
        era: &Era<'_>,
        moment: Moment,
        number: u64,
        input: &Input<'_>,
    ) -> Recorded<'static> {
        let seed = Entropy::from_seed(era.seed);
        let me = Address { host: era.host, agent: self.head.agent };
        let Moment { time, wall } = moment;
        let turn = Turn::new(me, &seed, time, wall, number, input, effects);
        match guarded(|| self.kind.handle(ball, input, turn)) {
            Ok(Ok(())) => Recorded::Done,
            Ok(Err(why)) => Recorded::Rejected(why.to_string().into()),
            Err(why) => Recorded::Died(why.into()),
        }
    }

    fn state_differs(&self, entry: &Entry<'_>) -> Option<(Side, Side)> {
        let expected = entry.state?;
        let mut bytes = Vec::new();
        let saved = guarded(|| self.kind.save(&self.ball.0, &mut bytes));
        let got = matches!(saved, Ok(Ok(()))).then(|| digest(&bytes));
        (got != Some(expected)).then(|| (Side::StateDigest(expected), Side::State(self.state())))
    }

    /// Keeps what is not in the ball: what it listens to and offers, and whether the life goes on.
    fn follow(&mut self, input: &Input<'_>, effects: &[Effect], handled: &Recorded<'_>) {
        self.standing.follow(effects);
        self.stops |= effects.contains(&Effect::StopSelf);
        let died = matches!(handled, Recorded::Died(_));
        self.ended |= died || matches!(input, Input::Stopping);
    }
}

/// The effects as an entry holds them, written to `scratch`.
pub(crate) fn record_effects<'a>(effects: &[Effect], scratch: &'a mut Vec<u8>) -> Effects<'a> {
    scratch.clear();
    if effects.is_empty() {
        return Effects::None;
    }
    wire::encode_into(effects, scratch).expect("effects encode");
    if scratch.len() <= EFFECTS_RECORDED_BYTES_MAX {
        Effects::Whole(scratch.as_slice().into())
    } else {
        Effects::Digest { bytes: scratch.len() as u64, digest: digest(scratch) }
    }
}

fn outcome_differs(expected: &Recorded<'static>, got: &Recorded<'static>) -> Option<(Side, Side)> {
    let sides = || (Side::Outcome(expected.clone()), Side::Outcome(got.clone()));
    (expected != got).then(sides)
}

fn effects_differ(expected: &Effects<'static>, got: &[Effect]) -> Option<(Side, Side)> {
    let mut scratch = Vec::new();
    let now = record_effects(got, &mut scratch);
    (*expected != now).then(|| (Side::Effects(expected.clone()), Side::Effects(now.into_owned())))
}
