use std::collections::BTreeMap;

use automerge::{ActorId, Automerge, ChangeHash, ChangeMetadata, ObjType, ROOT};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_protocols::{
    limits::{DOCUMENT_CHANGES_PER_PAGE_MAX, REASON_BYTES_MAX},
    replica::carried_over,
    time::WallTime,
    words::cut,
};

use super::json::{Unreadable, value_of};
use crate::guard::guarded;

/// Digits of a hash that people are shown, and mostly enough to find it by.
const SHORT_DIGITS: usize = 8;

/// Heads that are named when several begin with the same digits.
const AMBIGUOUS_NAMED_MAX: usize = 8;

/// One change of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// Its hash, 64 hexadecimal digits. With all that was before it, it is a version of the
    /// document.
    pub head: String,
    /// When it was made, by the calendar of the host that made it; none where it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<WallTime>,
    /// What its author said of it; a long text is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who made it, in hexadecimal digits: also when it was carried over from an earlier history.
    pub actor: String,
    /// The name of the host that made it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How many operations it has.
    pub operations: u64,
    /// The changes that it was made upon, by their hashes.
    pub parents: Vec<String>,
}

impl ChangeView {
    /// The first digits of its hash.
    #[must_use]
    pub fn short(&self) -> &str {
        self.head.get(..SHORT_DIGITS).unwrap_or(&self.head)
    }
}

/// Some changes of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The changes, newest first.
    pub changes: Vec<ChangeView>,
    /// Where the next page begins: ask for what is older than this. None on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<String>,
}

/// A text stands for no change of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It has other characters than those of a hash.
    #[error("{0:?} is no head: heads are named by up to 64 of the digits 0-9 and a-f")]
    NotHex(String),
    /// The document has no such change. It may have been re-based since, or not have arrived.
    #[error("the document has no change that begins with {0}")]
    Unknown(String),
    /// Several changes begin so. Give more digits.
    #[error("{count} changes begin with {prefix}: {}", .heads.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many there are.
        count: usize,
        /// The first of them, in order.
        heads: Vec<String>,
    },
}

/// The changes of a document, newest first: every change before those that it was made upon, and
/// the same order on all hosts that have the same changes. At most `count` of them (a thousand at
/// most), and only those older than `older_than`, which is a head or its first digits.
///
/// # Errors
/// If `older_than` is not one change of the document.
pub fn history(
    doc: &Automerge,
    older_than: Option<&str>,
    count: usize,
) -> Result<HistoryPage, HeadError> {
    let ordered = newest_first(doc);
    let from = match older_than {
        None => 0,
        Some(prefix) => {
            let head = find_head(doc, prefix)?;
            let place = ordered.iter().position(|change| change.hash == head);
            place.map_or(ordered.len(), |place| place + 1)
        }
    };
    let count = count.clamp(1, DOCUMENT_CHANGES_PER_PAGE_MAX);
    let changes: Vec<_> = ordered[from..].iter().take(count).map(view).collect();
    let more = ordered.len() > from + changes.len();
    let older_than = changes.last().filter(|_| more).map(|change| change.head.clone());
    Ok(HistoryPage { changes, older_than })
}

/// The change whose hash is, or begins with, these hexadecimal digits.
///
/// # Errors
/// If there is none, or more than one.
pub fn find_head(doc: &Automerge, digits: &str) -> Result<ChangeHash, HeadError> {
    let prefix = digits.to_ascii_lowercase();
    let hex = prefix.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !hex || prefix.is_empty() || prefix.len() > 64 {
        return Err(HeadError::NotHex(cut(digits, 70).into_owned()));
    }
    let hashes = changes(doc).into_iter().map(|change| change.hash);
    let mut heads: Vec<_> = hashes.filter(|head| head.to_string().starts_with(&prefix)).collect();
    heads.sort_unstable();
    match heads[..] {
        [] => Err(HeadError::Unknown(prefix)),
        [head] => Ok(head),
        _ => {
            let count = heads.len();
            let named = heads.iter().take(AMBIGUOUS_NAMED_MAX);
            let heads = named.map(|head| head.to_string()[..16].to_owned()).collect();
            Err(HeadError::Ambiguous { prefix, count, heads })
        }
    }
}

/// The document as it was when these were its heads, as [`to_json`](super::to_json) shows it.
/// Without heads it was empty.
///
/// # Errors
/// If it has not had one of them, or that version cannot be read.
pub fn at(doc: &Automerge, heads: &[ChangeHash]) -> Result<Value, Unreadable> {
    if let Some(head) = heads.iter().find(|head| doc.get_change_meta_by_hash(head).is_none()) {
        return Err(Unreadable::UnknownHead(*head));
    }
    value_of(doc, &ROOT, ObjType::Map, Some(heads), 1)
}

fn changes(doc: &Automerge) -> Vec<ChangeMetadata<'_>> {
    guarded(|| doc.get_changes_meta(&[])).unwrap_or_default()
}

fn newest_first(doc: &Automerge) -> Vec<ChangeMetadata<'_>> {
    let mut changes = changes(doc);
    // How many changes stand on each other below each. The library's own order is that in which
    // they arrived at this host.
    let mut heights = BTreeMap::<ChangeHash, u64>::new();
    for change in &changes {
        let below = change.deps.iter().filter_map(|parent| heights.get(parent)).max();
        heights.insert(change.hash, below.map_or(0, |below| below + 1));
    }
    changes.sort_by_cached_key(|change| {
        let height = heights.get(&change.hash).copied().unwrap_or(0);
        std::cmp::Reverse((height, change.timestamp, change.hash))
    });
    changes
}

/// Who made a change first, and what was said of it then.
pub(super) fn made_by<'a>(change: &'a ChangeMetadata<'_>) -> (ActorId, Option<&'a str>) {
    let message = change.message.as_deref();
    match message.and_then(carried_over) {
        Some((first, own)) => (ActorId::from(first), Some(own).filter(|own| !own.is_empty())),
        None => (change.actor.clone().into_owned(), message),
    }
}

fn view(change: &ChangeMetadata<'_>) -> ChangeView {
    let (actor, own) = made_by(change);
    ChangeView {
        head: change.hash.to_string(),
        at: wall_time(change.timestamp),
        message: own.map(|text| cut(text, REASON_BYTES_MAX).into_owned()),
        actor: actor.to_hex_string(),
        host: None,
        operations: (change.max_op + 1).saturating_sub(change.start_op),
        parents: change.deps.iter().map(ToString::to_string).collect(),
    }
}

/// Changes are made with milliseconds since 1970; what has no time has zero.
pub(super) fn wall_time(millis: i64) -> Option<WallTime> {
    u64::try_from(millis).ok().filter(|millis| *millis > 0).map(WallTime::from_millis)
}
