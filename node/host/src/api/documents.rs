//! What the documents' part of the control API carries, and what `p2p docs` prints as JSON.
//!
//! | method, path | body → answer |
//! |---|---|
//! | `GET /v1/docs?prefix=&where=PATH=JSON&after=NAME&limit=N` | → [`DocPage`]; several `where` |
//! | `GET /v1/docs/get?name=NAME&path=PATH&at=HEAD` | → [`DocSeen`] |
//! | `POST /v1/docs/set` | [`DocSet`] → [`DocWritten`] |
//! | `POST /v1/docs/delete` | [`DocDelete`] → [`Done`](super::Done), when it is durable |
//! | `GET /v1/docs/history?name=NAME&older_than=HEAD&count=N` | → [`HistoryPage`] |
//! | `GET /v1/docs/diff?name=NAME&from=HEAD&to=HEAD` | → [`DocDiff`] |
//! | `GET /v1/docs/conflicts?name=NAME&after=NAME` | → [`DocConflictsPage`] |
//! | `POST /v1/docs/resolve` | [`DocResolve`] → [`DocWritten`] |
//! | `POST /v1/docs/raise` | [`DocRaise`] → [`DocRaised`], when it is durable |
//! | `GET /v1/locate?what=AGENT` | → [`Listing`](super::Listing)`<`[`Located`]`>` |
//!
//! Every host has all documents: nobody else is asked. A document is named as `conf/echo`, the
//! descriptor of an agent `agent/` and its whole id. A path is written as `fields.rooms[2].name`;
//! the empty one is the whole document. A head is named by its first digits.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
pub use starling_core::documents::{
    Candidate, ChangeView, Conflict, Conflicts, Difference, Differences, HistoryPage,
};

use super::Missing;

/// Whose descriptor a document is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocOwner {
    /// The id of the host that the agent lives on, or lived on last. Only this host changes it.
    pub host: String,
    /// The name of that host.
    pub host_name: String,
    /// How many hosts have had the agent before.
    pub instance: u64,
}

/// One document in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocRow {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Value,
    /// Its heads, 64 hexadecimal digits each: the same on two hosts that have the same version.
    pub heads: Vec<String>,
    /// Whose descriptor it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DocOwner>,
}

/// Some documents, in the order of their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocPage {
    /// The documents.
    pub items: Vec<DocRow>,
    /// Where to go on, if there may be more: ask for those after this name. A page may be empty
    /// and still not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a document, or a part of it, says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocSeen {
    /// The document.
    pub name: String,
    /// Which part; empty for the whole.
    pub path: String,
    /// What it says.
    pub value: Value,
    /// The heads of the version that says so.
    pub heads: Vec<String>,
    /// Whose descriptor it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DocOwner>,
    /// Why agents of this host go on with an earlier version, if it is the configuration of a kind
    /// and does not fit its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_force: Option<String>,
    /// Why else the document does not fit its type, by what this host knows of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfit: Option<String>,
    /// The same, by what other hosts know, where this one does not: asked for with the whole
    /// document as it is now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<Misfit>,
}

/// Another host finds that a document does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// The name of that host.
    pub host: String,
    /// Why.
    pub why: String,
}

/// Write a document in the newest version of its type that this host's program has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocRaise {
    /// The document.
    pub name: String,
    /// Also when some host is not known to read that version.
    #[serde(default)]
    pub force: bool,
}

/// A document is written in this version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocRaised {
    /// The document.
    pub name: String,
    /// In which version it was written before.
    pub from: u32,
    /// In which it is written now.
    pub to: u32,
    /// The change; none when it was in this version already.
    pub head: Option<String>,
}

/// Change a document in one change, or make it. All edits are made, or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocSet {
    /// The document.
    pub name: String,
    /// The edits, made one after the other.
    pub edits: Vec<DocEdit>,
    /// Why, for those who read the history.
    #[serde(default)]
    pub message: String,
    /// How many hosts are to have it on their disks before this is answered, this one included;
    /// 1 when absent.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// How long that is waited for, in milliseconds; 10,000 when absent.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// One edit: a value is set, or removed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocEdit {
    /// Where. Maps that are missing on the way are made; an index one past the end appends.
    pub path: String,
    /// What is to stand there.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What stood there when whoever edits it looked: what has changed since and is not touched by
    /// the edit is kept. Refused when nothing stands there any more.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub shown: Option<Value>,
    /// Instead of a value: nothing is to stand there.
    #[serde(default)]
    pub remove: bool,
    /// With `remove`: refused as not found when nothing stands there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_stand: bool,
}

/// A field that is there, null included.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// A document says what it was to say: here, and on as many disks as is known by then. Fewer than were
/// wanted are no error: the change stands, and whoever needs more compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocWritten {
    /// The change; none when the document said so already.
    pub head: Option<String>,
    /// How many hosts have it on their disks, as far as is known, this one included; 0 when it is
    /// not on this one's yet, because the time was too short or the disk takes nothing. It goes
    /// there, and to the others, by itself.
    pub replicas: usize,
    /// How many were to have it: 1 when nobody has said.
    pub wanted: usize,
}

/// Delete a document, on all hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocDelete {
    /// The document.
    pub name: String,
}

/// What differs between two versions of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocDiff {
    /// The heads of the old version; none for the time before the first change.
    pub from: Vec<String>,
    /// The heads of the new version.
    pub to: Vec<String>,
    /// The differences.
    #[serde(flatten)]
    pub differences: Differences,
}

/// The places of one document where several hosts have written at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocConflicts {
    /// The document.
    pub name: String,
    /// The places.
    #[serde(flatten)]
    pub conflicts: Conflicts,
}

/// Documents with conflicts, in the order of their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocConflictsPage {
    /// The documents that have some.
    pub items: Vec<DocConflicts>,
    /// Where to go on, if there may be more. A page may be empty and still not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Choose one of several values that stand at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocResolve {
    /// The document.
    pub name: String,
    /// The place.
    pub path: String,
    /// The value's change, or the first digits of it.
    pub choice: String,
}

/// Where an agent lives, or lived last, by its descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Its id.
    pub agent: String,
    /// Its name on its host, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// The id of its host.
    pub host: String,
    /// The name of its host.
    pub host_name: String,
    /// How its host is reached, as in [`Member`](super::Member); `unknown` when nothing is known
    /// of the host.
    pub state: String,
    /// How many hosts have had the agent before.
    pub instance: u64,
    /// Whether it is on its way from one host to another, and answers nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
}

/// The descriptor of an agent, and who has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The document.
    #[serde(flatten)]
    pub row: DocRow,
    /// The hosts that have this version, by name.
    pub replicas: Vec<String>,
    /// The hosts that have another version, or none.
    pub behind: Vec<String>,
    /// Linked hosts that did not answer.
    pub missing: Vec<Missing>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_null_is_a_value() {
        let edit = |value: Value| serde_json::from_value::<DocEdit>(value).expect("an edit");
        let null = edit(json!({ "path": "a", "value": null }));
        assert_eq!(null.value, Some(Value::Null));
        assert_eq!(edit(json!({ "path": "a" })).value, None);
    }
}
