//! The caps of documents and descriptors.

use std::time::Duration;

/// Hosts that one agent may live on, one after the other. At the cap it is taken up by no other: its
/// work is begun anew under another id.
pub const TENURES_PER_TITLE_MAX: usize = 256;

/// Members that say of one host that it is dead, for one agent to be taken up elsewhere. A tenure
/// with more is refused.
pub const WITNESSES_PER_TENURE_MAX: usize = 8;

/// The longest name of a document, in bytes.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 128;

/// Documents whose content is kept unpacked, because they were used lately. Each takes some 20 kB.
pub const DOCUMENTS_OPEN_MAX: usize = 64;

/// Heads of one document: writers that have not heard of each other. A revision with more is
/// refused.
pub const DOCUMENT_HEADS_MAX: usize = 64;

/// Documents that one host has a copy of, deleted ones included. At the cap a further one is
/// refused.
pub const DOCUMENTS_MAX: usize = 200_000;

/// Documents, offers, wishes or receipts in one message. One with more is refused.
pub const DOCUMENTS_PER_MESSAGE_MAX: usize = 256;

/// Bytes of documents in one message, if it is more than one document.
pub const DOCUMENTS_PER_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// How long after something came that others may lack they are told what is here.
pub const DOCUMENTS_STATE_EVERY: Duration = Duration::from_secs(2);

/// A document as it is saved, and what one host sends another of it at once. A larger one is
/// refused. A change made on this host is refused at [`DOCUMENT_OWN_PERCENT`] of this cap and of
/// those below, so that changes made elsewhere at the same time still fit. It fits into a frame with
/// all that goes with it.
pub const DOCUMENT_BYTES_MAX: usize = 768 * 1024;

/// The descriptor of one agent as it is saved. A change that makes it larger is refused.
pub const DESCRIPTOR_BYTES_MAX: usize = 64 * 1024;

/// Operations in the history of a document, deletions included. A document with more is refused.
/// It is also the highest number that an operation has: they count on from one another.
pub const DOCUMENT_OPS_MAX: usize = 100_000;

/// Changes in the history of a document. A document with more is refused. Automerge remembers some
/// of them with all those before, so that its memory may grow with the square of this.
pub const DOCUMENT_CHANGES_MAX: usize = 4096;

/// Changes in the history of a document above which the next who changes it begins it anew from its
/// value. A hundred bytes each, it is then some 50 kB of history that each copy carries along, and
/// is unpacked in some ten milliseconds; an eighth of [`DOCUMENT_CHANGES_MAX`], so that changes of
/// many hosts that have not heard of it still fit.
pub const DOCUMENT_CHANGES_KEPT_MAX: usize = 512;

/// How much of any cap a history may use before it is begun anew, too.
pub const DOCUMENT_KEPT_PERCENT: usize = 40;

/// A document that is large by its value, not by its history, is begun anew no more often than after
/// so many changes.
pub const DOCUMENT_CHANGES_KEPT_MIN: usize = 64;

/// A document that is large by its history, at least twice as large as its value makes it, is begun
/// anew after this many changes already.
pub const DOCUMENT_CHANGES_WEIGHED_MIN: usize = 4;

/// Earlier histories of a document that are kept on this host to repeat changes from, in case that
/// others have begun it anew at the same time. Of older ones only the value counts.
pub const DOCUMENT_PASTS_MAX: usize = 3;

/// Histories of one document that wait to have their changes repeated in the present one. A further
/// one is not taken: its holder repeats them itself.
pub const DOCUMENT_PASTS_PENDING_MAX: usize = 8;

/// Earlier histories that a document tells of. The changes of those before are lost if somebody
/// comes with them.
pub const LINEAGE_HISTORIES_MAX: usize = 64;

/// Actors in all the histories that a document tells of. Beyond it the oldest are left out.
pub const LINEAGE_ACTORS_MAX: usize = 1024;

/// How long a host remembers that a document is deleted. A host that was away for longer than half
/// of it doubts what it has until others have been asked.
pub const TOMBSTONE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a host that was away asks others for what it doubts. Then what they lack is deleted, if
/// one of them was not away.
pub const DOUBT_MAX: Duration = Duration::from_secs(600);

/// Documents in one message of a peer that are answered: up to so many bytes. The rest is found
/// missing later.
pub const DOCUMENTS_WANTED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Documents for which nobody vouched who is known to be a member, and which are asked for again.
pub const DOCUMENTS_UNVOUCHED_MAX: usize = 256;

/// How often a document is asked for again for which nobody vouches, of one host after the other.
pub const DOCUMENT_UNVOUCHED_TRIES_MAX: usize = 8;

/// Documents of other hosts that were refused and are told of. Further ones are refused all the same,
/// and only the log says so.
pub const DOCUMENTS_REFUSED_MAX: usize = 1024;

/// How many of them are of one host, so that the others have places left.
pub const DOCUMENTS_REFUSED_PER_HOST_MAX: usize = 64;

/// The highest number of a history of a document that is taken from others: so many that no host
/// that keeps the rules comes near it, and so few that there is always another one.
pub const DOCUMENT_BASES_MAX: u64 = 1 << 48;

/// Actors in the history of a document, and heads that it has at once. A document with more is
/// refused.
pub const DOCUMENT_ACTORS_MAX: usize = 256;

/// Changes that the changes of a document follow directly, all together; each is a hash when the
/// changes are unpacked. A document with more is refused.
pub const DOCUMENT_DEPS_MAX: usize = 65_536;

/// Names of entries in the history of a document, each counted as often as it is written to: they
/// are packed by runs, and unpacked when it is read. A document with more is refused.
pub const DOCUMENT_KEYS_BYTES_MAX: usize = 4 * DOCUMENT_BYTES_MAX;

/// The message of one change. A longer one is refused.
pub const CHANGE_MESSAGE_BYTES_MAX: usize = 256;

/// How much of a document's caps the changes made on this host may use: half, so that what two parts
/// of a split have made of it becomes one again, and any value can be replaced by one as large.
pub const DOCUMENT_OWN_PERCENT: usize = 50;

/// Updates of documents by agents of this host that wait until they can be made, or are on as many
/// hosts as they should be. A further one is refused.
pub const DOCUMENT_UPDATES_WAITING_MAX: usize = 1024;

/// After how long an update that could not be made is tried again; twice as long each time…
pub const DOCUMENT_UPDATE_RETRY: Duration = Duration::from_millis(500);

/// …and never later than this.
pub const DOCUMENT_UPDATE_RETRY_MAX: Duration = Duration::from_secs(15);

/// How long a host that meets another waits before it makes the documents that its application
/// begins with: the other may have them.
pub const INITIAL_DOCUMENTS_SETTLE: Duration = Duration::from_secs(5);

/// How long it waits for another host at all, if it knows any.
pub const INITIAL_DOCUMENTS_ALONE: Duration = Duration::from_secs(60);

/// Documents on one page of a search.
pub const DOCUMENTS_PER_PAGE_MAX: usize = 1000;

/// Documents that are looked at for one page of a search. The next page goes on there.
pub const DOCUMENTS_SCANNED_MAX: usize = 1000;

/// Beginnings of names that one agent watches. A further one is refused.
pub const DOCUMENT_WATCHES_PER_AGENT_MAX: usize = 64;

/// Resources, allocations and partners that stand in the descriptor of one agent, of each. What is
/// beyond it is only counted there: an agent that is taken up elsewhere knows nothing of it.
pub const DESCRIBED_RESOURCES_MAX: usize = 32;
/// See [`DESCRIBED_RESOURCES_MAX`].
pub const DESCRIBED_ALLOCATIONS_MAX: usize = 32;
/// See [`DESCRIBED_RESOURCES_MAX`].
pub const DESCRIBED_PARTNERS_MAX: usize = 64;
/// Values of a range that stand in a descriptor of one allocation. Of more, only how many they are.
pub const DESCRIBED_VALUES_MAX: usize = 32;

/// How long after an agent has handled something its descriptor says what has become of its resources
/// and partners, with all that has changed meanwhile.
pub const DESCRIBED_AFTER: Duration = Duration::from_secs(1);

/// How long a host waits between two agents whose resources and partners it looks at: so busy
/// agents cost it no more than a hundred looks a second, however many they are.
pub const DESCRIBED_PAUSE: Duration = Duration::from_millis(10);

/// Maps and lists of a document that stand in each other. A deeper document is not read, and
/// nothing is written that would make it so.
pub const DOCUMENT_DEPTH_MAX: usize = 64;

/// Values of a document, maps and lists included. One with more is not read, and nothing is written
/// that would make it so. Each takes an operation: no document that is taken from others has more.
pub const DOCUMENT_VALUES_MAX: usize = DOCUMENT_OPS_MAX;

/// Items of all lists together in one value that is written into a document: each is put in its place
/// by itself, which takes the longer the more there are. Larger collections are maps.
pub const DOCUMENT_LIST_ITEMS_MAX: usize = 4_096;

/// Places that one change of a document is asked to change. For more, set what is above them.
pub const DOCUMENT_EDITS_MAX: usize = 256;

/// Keys and texts of a document together. One with more is not read, and nothing is written that
/// would make it so.
pub const DOCUMENT_TEXT_BYTES_MAX: usize = 1024 * 1024;

/// A path to a value of a document, as people type it. A longer one is refused.
pub const DOCUMENT_PATH_BYTES_MAX: usize = 4096;

/// Changes of a document in one page of its history, and heads that are named when several fit.
/// What is beyond it is on the next page.
pub const DOCUMENT_CHANGES_PER_PAGE_MAX: usize = 1000;

/// Differences of two versions of a document that are told. At the cap the rest is counted.
pub const DOCUMENT_DIFFERENCES_MAX: usize = 1000;

/// Places of a document where several values stand that are told, and the values told of each. At
/// the cap the rest is counted.
pub const DOCUMENT_CONFLICTS_MAX: usize = 256;

/// Values in conflict that are kept as such when a history is begun anew: each is a change there,
/// and those are to be fewer than [`DOCUMENT_CHANGES_KEPT_MIN`]. Of a place for whose values there
/// is no room only the one that is shown is kept.
pub const DOCUMENT_CONFLICTS_KEPT_MAX: usize = 48;
