//! What the journal's part of the control API carries, and what `p2p journal` prints as JSON.
//!
//! | method, path | answer |
//! |---|---|
//! | `GET /v1/journal/lives?agent=AGENT` | [`Listing`](super::Listing)`<`[`LifeRow`]`>` |
//! | `GET /v1/journal/entries?agent=AGENT&from=N&count=N` | lines: [`EntryLine`] |
//! | `GET /v1/journal/replay?agent=AGENT` | lines: [`ReplayLine`] |
//! | `GET /v1/journal/state?agent=AGENT&entry=N` (or `at_ms=MS`) | [`StateThen`] |
//! | `GET /v1/journal/diff?life=N&with=N` | [`LifeDiff`] |
//! | `GET /v1/journal/verify` | lines: [`VerifyLine`] |
//! | `GET /v1/journal/export?agent=AGENT&bytes=BOOL` | lines: an object for each record |
//! | `GET /v1/logs?agent=…&level=…&follow=BOOL` | lines: [`LogLine`] |
//!
//! Wherever an agent is named, `life=N` may stand instead. An agent is named as everywhere, and
//! dead ones are found too; of several that had one name, the latest is meant.
//!
//! Lines end with `{"complete": true}`; when something fails on the way, with
//! `{"problem": …}`, see [`Line`]. Without either, the daemon has broken off.

use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use starling_core::replay::{AnswerView, EffectView, EffectsView, InputView};

use super::Problem;

/// One line of a stream that has an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line<T> {
    /// The last line: there is no more.
    Complete {
        /// Always true.
        complete: bool,
    },
    /// The last line: it could not go on.
    Problem {
        /// Why.
        problem: Problem,
    },
    /// An item.
    Item(T),
}

/// One life of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeRow {
    /// Its number: that of the record with which it began.
    pub life: u64,
    /// The agent's id.
    pub agent: String,
    /// Its name, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// The version of the kind's code that recorded it last.
    pub version: u32,
    /// `history` or `write-ahead`.
    pub durability: String,
    /// The id of its host.
    pub host: String,
    /// The name of its host.
    pub host_name: String,
    /// When it began, as far as these files tell: milliseconds since 1970.
    pub begun_ms: u64,
    /// How it ended: `stopped`, `died`, or `host-down` when it ended with its host. Absent while
    /// it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// The number of its first entry in these files.
    pub first: u64,
    /// The number after its last entry.
    pub next: u64,
    /// When something of it was recorded last.
    pub last_ms: u64,
    /// Whether this program has its kind, and so can replay it.
    pub known: bool,
}

/// One input that an agent handled, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRow {
    /// The number of the record.
    pub sequence: u64,
    /// The life.
    pub life: u64,
    /// The number of the input in the life, from zero.
    pub number: u64,
    /// When it was handled: milliseconds since 1970.
    pub at_ms: u64,
    /// How long after the entry before it, in microseconds by the monotonic clock. Not with the
    /// first that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_us: Option<u64>,
    /// The input.
    pub input: InputView,
    /// The durable letter that the input was, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<LetterRow>,
    /// `done`, `rejected` or `died`.
    pub outcome: String,
    /// Why it was rejected, or what the agent died of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the agent asked for.
    pub effects: EffectsView,
    /// The digest of the agent after it, in hex, where one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Tells a durable letter from all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterRow {
    /// The host that posted it.
    pub origin: String,
    /// The life of that host in which its numbering began.
    pub epoch: u64,
    /// Its number among the letters from there, from one.
    pub number: u64,
}

/// Something in a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum EntryLine {
    /// Whose entries follow.
    Life(LifeRow),
    /// An entry.
    Entry(EntryRow),
    /// Entries that were not recorded, because the storage did not work.
    Gap {
        /// The number of the first.
        from: u64,
        /// The number after the last.
        until: u64,
        /// When it was recorded: milliseconds since 1970.
        at_ms: u64,
    },
    /// The life ended.
    End {
        /// `stopped` or `died`.
        how: String,
        /// When: milliseconds since 1970.
        at_ms: u64,
    },
    /// Something here cannot be read.
    Damaged {
        /// What.
        why: String,
    },
}

/// A step of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum ReplayLine {
    /// How far it is.
    Progress {
        /// Entries gone through.
        done: u64,
        /// Entries there are, about.
        of: u64,
    },
    /// What came of one life.
    Life(Box<Replayed>),
    /// Something that cannot be read. What is affected is replayed from the next snapshot on.
    Damaged {
        /// What.
        why: String,
    },
}

/// What came of the replay of one life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Which.
    #[serde(flatten)]
    pub row: LifeRow,
    /// What came of it.
    pub result: ReplayResult,
    /// Entries that came out as they were recorded.
    pub entries: u64,
    /// Snapshots that did.
    pub snapshots: u64,
    /// Entries that were not recorded, because the storage did not work.
    pub unrecorded: u64,
    /// Entries that are missing, because the journal is damaged or cut.
    pub missing: u64,
}

/// What can come of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayResult {
    /// Everything came out as it was recorded.
    Same,
    /// The first entry that did not.
    Differs(Box<Difference>),
    /// It cannot be played further: a snapshot or an input does not decode.
    Unplayable(String),
    /// This program has no such kind.
    UnknownKind,
    /// There is no snapshot to begin with.
    NoSnapshot,
}

/// The first entry that replays differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The number of the record.
    pub sequence: u64,
    /// The number of the input in the life.
    pub number: u64,
    /// When it was handled: milliseconds since 1970.
    pub at_ms: u64,
    /// In what it differs: `outcome`, `effects` or `state`.
    pub what: String,
    /// The input; absent when the state differs from a snapshot that was made after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputView>,
    /// What was recorded.
    pub expected: String,
    /// What came of it now.
    pub got: String,
    /// From the one to the other, as a unified diff.
    pub diff: String,
    /// The agent's state before the input.
    pub before: Value,
    /// The software that recorded it.
    pub software: String,
    /// The version of the kind's code that recorded it.
    pub recorded_version: u32,
    /// The version of the kind's code that replayed it.
    pub version: u32,
}

/// An agent as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateThen {
    /// Which life.
    #[serde(flatten)]
    pub row: LifeRow,
    /// How many inputs it had handled; the last had the number before this.
    pub inputs: u64,
    /// When it handled the last one, or began: milliseconds since 1970.
    pub at_ms: u64,
    /// Its state.
    pub state: Value,
    /// What it waited for.
    pub waits: Vec<Value>,
    /// The topics it listened to.
    pub topics: Vec<String>,
    /// The services it offered beside what its kind declares.
    #[serde(default)]
    pub offers: Vec<String>,
}

/// Two lives, compared entry by entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeDiff {
    /// The one.
    pub left: LifeRow,
    /// The other.
    pub right: LifeRow,
    /// Entries that are the same, from the first that both have.
    pub same: u64,
    /// The first that is not; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<EntryDiff>,
}

/// The first entry in which two lives differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDiff {
    /// Its number.
    pub number: u64,
    /// In what: `input`, `outcome`, `effects`, `state`, or `length` when one goes on where the
    /// other ends.
    pub what: String,
    /// The entry on the left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<EntryRow>,
    /// The entry on the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<EntryRow>,
    /// From left to right, as a unified diff.
    pub diff: String,
}

/// Two journals, compared life by life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalDiff {
    /// Lives that are in both.
    pub lives: Vec<LifeDiff>,
    /// Lives that only the first has.
    pub only_left: Vec<LifeRow>,
    /// Lives that only the second has.
    pub only_right: Vec<LifeRow>,
}

/// A step of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum VerifyLine {
    /// How far it is.
    Progress {
        /// Pages read.
        done: u64,
        /// Pages there are, about.
        of: u64,
    },
    /// What was found.
    Report(Verified),
}

/// What was found when a journal was read from its first page to its last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// How many files.
    pub files: u64,
    /// How many pages.
    pub pages: u64,
    /// How many records.
    pub records: u64,
    /// How many of them are inputs that an agent handled.
    pub entries: u64,
    /// How many of them are agents, recorded whole.
    pub snapshots: u64,
    /// What is wrong, the first thousand.
    pub problems: Vec<Fault>,
    /// How many more are not listed.
    pub more_problems: u64,
}

/// Something that is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In which file.
    pub path: String,
    /// In which page, by the number of its first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Which record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What.
    pub what: String,
}

/// A message of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When: milliseconds since 1970.
    pub at_ms: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The part of the program; `agent` for what agents say.
    pub target: String,
    /// The agent it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The host it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it says.
    pub message: String,
    /// Whatever else it has.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub fields: Value,
}
