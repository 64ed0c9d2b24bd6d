//! The caps that protocols, engine and host share, the unit in the name. Those that are a setting of
//! one library or one file stand beside that setting in `node/host`.
//!
//! What happens at a cap is said beside it.

mod documents;

use std::time::Duration;

pub use documents::*;

/// The largest body of one message. A larger one is refused at its sender.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The largest frame on a lane: a body with its header. A larger one closes the lane.
pub const LANE_FRAME_BYTES_MAX: usize = BODY_BYTES_MAX + 4 * 1024;

/// What one lane may hold unsent and unacknowledged. At the cap new calls are refused as busy,
/// notifications are dropped, and topic messages become a gap that the subscriber learns of.
pub const LANE_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Replies and protocol items may exceed [`LANE_QUEUE_BYTES_MAX`] up to here; past it the lane is
/// closed, because the peer is not reading.
pub const LANE_QUEUE_BYTES_HARD_MAX: usize = 2 * LANE_QUEUE_BYTES_MAX;

/// How many bytes are handed to a lane's writer at once.
pub const LANE_WRITE_BYTES_MAX: usize = 256 * 1024;

/// An acknowledgement is due after this many received items…
pub const LANE_ACK_ITEMS: u64 = 64;

/// …or after this long, whichever comes first.
pub const LANE_ACK_DELAY: Duration = Duration::from_millis(100);

/// The largest message on gossip. A larger topic message goes over lanes only.
pub const GOSSIP_BYTES_MAX: usize = 64 * 1024;

/// Gossip topics in use on a mesh. Interests are spread over them by hash, so that ten thousand
/// rooms need no more than this many subscriptions.
pub const GOSSIP_BUCKETS: u8 = 32;

/// The longest name of a kind, a request, a notification or a topic, in bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// The longest text that goes back with a refusal, in bytes; a longer one is cut.
pub const REASON_BYTES_MAX: usize = 1024;

/// Messages that may wait for one agent. At the cap requests are refused as busy and
/// notifications are dropped and counted.
pub const MAILBOX_MESSAGES_MAX: u32 = 1024;

/// Messages that may wait for all agents of a host together before it reads no more from the
/// network.
pub const BACKLOG_MESSAGES_MAX: usize = 65_536;

/// Continuations (open requests, timers, tasks) one agent may hold. One beyond it panics inside
/// the agent's ball.
pub const WAITS_PER_AGENT_MAX: usize = 65_536;

/// Questions one agent may have promised to answer later. At the cap further ones are refused as
/// busy.
pub const DEFERRED_PER_AGENT_MAX: usize = 65_536;

/// Effects one input may cause. An agent beyond it is in a loop and dies.
pub const EFFECTS_PER_INPUT_MAX: usize = 65_536;

/// Topics one agent may listen to.
pub const TOPICS_PER_AGENT_MAX: usize = 16_384;

/// Services that one agent offers beside what its kind answers and bids for. Further ones are not
/// offered, and counted.
pub const SERVICES_PER_AGENT_MAX: usize = 256;

/// Agents that one host names when it is asked who offers a service; a longer list says that it was
/// cut.
pub const PROVIDERS_PER_HOST_MAX: usize = 1024;

/// Agents that a look around the mesh finds. At the cap it says that there are more.
pub const DISCOVERED_AGENTS_MAX: usize = 4096;

/// How long a look around the mesh takes at most, where nothing else is said.
pub const DISCOVERY_WINDOW: Duration = Duration::from_secs(3);

/// The longest time that a look around the mesh may take; a longer one is cut.
pub const DISCOVERY_WINDOW_MAX: Duration = Duration::from_secs(60);

/// Questions that a host agent may have open while it looks around. A look that needs more is
/// refused.
pub const DISCOVERY_QUESTIONS_MAX: usize = 32_768;

/// Entries of a map whose entries expire, where its type names no other cap. At the cap a new key
/// is refused and given back.
pub const EXPIRING_ENTRIES_MAX: usize = 65_536;

/// Names of resources that one agent shares out. A definition with more is refused.
pub const RESOURCE_NAMES_MAX: usize = 256;

/// Values of one range that is shared out. A definition with more is refused.
pub const RESOURCE_RANGE_VALUES_MAX: u64 = 65_536;

/// Allocations of one agent's resources that stand at once. At the cap a further one is refused.
pub const ALLOCATIONS_PER_AGENT_MAX: usize = 65_536;

/// Modifications of one agent's allocations that are not confirmed yet. At the cap a further one
/// is refused.
pub const MODIFICATIONS_PER_AGENT_MAX: usize = 65_536;

/// How long an allocation or a modification stands without being confirmed.
pub const ALLOCATION_WINDOW: Duration = Duration::from_secs(10);

/// The first delay between two attempts at something, where nothing else is said; it doubles with
/// each failure.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The ceiling of the delay between two attempts, where nothing else is said.
pub const RETRY_CEILING: Duration = Duration::from_secs(60);

/// The shortest delay between two attempts, before jitter: a shorter one is taken for this, so
/// that nothing is tried again and again without a pause.
pub const RETRY_DELAY_MIN: Duration = Duration::from_millis(1);

/// Topics one peer may announce as interests. Beyond it its interests are ignored and counted.
pub const TOPICS_PER_PEER_MAX: usize = 65_536;

/// Agents on one host. At the cap a start is refused.
pub const AGENTS_PER_HOST_MAX: usize = 1_000_000;

/// Agents listed in one answer; a longer list says that it was cut.
pub const AGENTS_PER_LISTING_MAX: usize = 2_000;

/// Topics for which one host keeps a numbering of its own publications. At the cap the longest
/// unused is forgotten; its next message gets a number above all those forgotten, so that who
/// still follows it sees a gap and not an old message.
pub const STREAMS_OUT_MAX: usize = 65_536;

/// Numberings of other hosts' publications that one host follows. At the cap the one that was
/// begun first is forgotten and its next message starts anew.
pub const STREAMS_IN_MAX: usize = 262_144;

/// Messages of one topic kept at the origin for repair. Older ones are lost to who asks.
pub const REPAIR_MESSAGES_MAX: usize = 256;

/// Bytes of one topic kept at the origin for repair. Older messages are lost to who asks.
pub const REPAIR_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of all topics kept at the origin for repair. Beyond it the topic that was longest unused
/// keeps none (its numbering goes on).
pub const REPAIR_TOTAL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Messages of one stream held back while a gap before them is being repaired. Beyond it the gap
/// is given up and reported.
pub const REORDER_MESSAGES_MAX: usize = 4096;

/// Bytes of one stream held back while a gap before them is being repaired. Beyond it the gap is
/// given up and reported.
pub const REORDER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of all streams held back. While there are more, a stream with a new gap gives it up at
/// once.
pub const REORDER_TOTAL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a gap may stay open before it is given up and reported.
pub const REPAIR_TIMEOUT: Duration = Duration::from_secs(5);

/// Hosts one roster remembers. Beyond it one that has left makes room for one that is there; when
/// none has, new records are refused and counted.
pub const HOSTS_MAX: usize = 16_384;

/// Hosts in a roster that is listed to a peer to learn what it lacks. A larger one is compared by
/// sums first.
pub const ROSTER_LIST_MAX: usize = 32;

/// Bytes of host records in one answer to a peer that lacks some. The peer asks again for what is
/// beyond it.
pub const ROSTER_ANSWER_BYTES_MAX: usize = 512 * 1024;

/// How long a peer may take to go on with its answer. Then the next one is asked.
pub const ROSTER_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Records of one message that are passed on to other peers when they are news. When there are
/// more, these peers are told to compare.
pub const ROSTER_NEWS_PASSED_ON_MAX: usize = 8;

/// How long one peer is asked about the roster before others that wait get their turn.
pub const ROSTER_TURN_MAX: Duration = Duration::from_secs(60);

/// The time in which the questions about the roster between two hosts are counted.
pub const ROSTER_WINDOW: Duration = Duration::from_secs(60);

/// Questions about the roster that one peer is answered, or asked, in one
/// [window](ROSTER_WINDOW). One beyond it is ignored and counted, or asked in the next.
pub const ROSTER_WINDOW_DIGESTS_MAX: u32 = 32;

/// Messages about documents of at least so many bytes are packed.
pub const DOCUMENTS_PACKED_BYTES_MIN: usize = 256;

/// Documents of a host that lists them to a peer to learn what it lacks. A host with more compares
/// by sums first, which take twice as many bytes and another two messages.
pub const DOCUMENTS_LIST_MAX: usize = 128;

/// Documents that one digest tells of, some 300 kB. A host with more that may differ asks in parts;
/// a digest with more is refused.
pub const DOCUMENTS_PRINTS_MAX: usize = 32_768;

/// Bytes of documents in one answer to a peer that lacks some, if it is more than one document. The
/// peer asks again for what is beyond it.
pub const DOCUMENTS_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How long a peer may take to go on with its answer. Then the next one is asked.
pub const DOCUMENTS_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Documents that are awaited of one answer before the next question is asked. Of more, only so many
/// are waited for.
pub const DOCUMENTS_AWAITED_MAX: usize = 16_384;

/// How long the next document of an answer may take to come. Then the next question is asked. Less
/// than [`DOCUMENTS_ANSWER_TIMEOUT`], after which the whole question is given up.
pub const DOCUMENTS_AWAITED_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one peer is asked about documents before others that wait get their turn.
pub const DOCUMENTS_TURN_MAX: Duration = Duration::from_secs(60);

/// Documents of one message that are passed on to other peers when they are news. When there are
/// more, these peers are told to compare.
pub const DOCUMENTS_NEWS_PASSED_ON_MAX: usize = 8;

/// The time in which the questions about documents between two hosts are counted.
pub const DOCUMENTS_WINDOW: Duration = Duration::from_secs(60);

/// Questions about documents to one peer in one [window](DOCUMENTS_WINDOW). What is not asked then
/// is asked in the next. Two windows of who asks overlap one of who answers.
pub const DOCUMENTS_WINDOW_QUESTIONS_MAX: u32 = DOCUMENTS_WINDOW_ANSWERS_MAX / 2;

/// Questions about documents that one peer is answered in one [window](DOCUMENTS_WINDOW). One
/// beyond it is ignored and counted.
pub const DOCUMENTS_WINDOW_ANSWERS_MAX: u32 = 512;

/// Hosts to which a link is kept open without being asked for.
pub const LINKS_KEPT_MAX: usize = 64;

/// Addresses in one host record; more are cut.
pub const ADDRESSES_PER_HOST_MAX: usize = 16;

/// The longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// One message of the gate (credential, token, welcome).
pub const GATE_BYTES_MAX: usize = 64 * 1024;

/// The gate must be passed within this time of the connection being encrypted.
pub const GATE_TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts to join with a bad token that one network address may make in a minute.
pub const JOINS_PER_MINUTE_MAX: u32 = 5;

/// Invites one host keeps open. At the cap a new one is refused.
pub const INVITES_MAX: usize = 10_000;

/// The most uses of one invite.
pub const INVITE_USES_MAX: u32 = 10_000;

/// The longest life of an invite.
pub const INVITE_LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a membership certificate is good for.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Certificates between a host and the founder of its mesh.
pub const CERTIFICATE_CHAIN_MAX: usize = 4;

/// The longest budget of a request or a task that has a deadline.
pub const BUDGET_MAX: Duration = Duration::from_secs(24 * 3600);

/// The budget of a request whose type names no other.
pub const BUDGET_DEFAULT: Duration = Duration::from_secs(10);

/// First wait before a lost link is dialled again; it doubles with each failure.
pub const REDIAL_FIRST: Duration = Duration::from_millis(250);

/// The ceiling of the wait between two dials of one host.
pub const REDIAL_MAX: Duration = Duration::from_secs(30);

/// The longest wait between two rounds in which hosts that went down on purpose are dialled all the
/// same; half of it the shortest.
pub const REDIAL_LEFT: Duration = Duration::from_secs(60);

/// Hosts that went down on purpose and are dialled in one round. The others have their turn in the
/// next rounds.
pub const REDIAL_LEFT_HOSTS_MAX: usize = 16;

/// How long a host has to be out of reach of another, or to have said goodbye, before that takes its
/// agents up without anybody saying that it is gone for good: a daemon that restarts is back before,
/// and most machines are. More than [`REDIAL_MAX`] and the time that a dial takes, so that a host
/// that is dialled again and again counts as out of reach all the time.
pub const GONE_AFTER: Duration = Duration::from_secs(60);

/// Agents' inputs handled before the engine gives the host's sockets a turn.
pub const STEPS_PER_TURN_MAX: usize = 4096;

/// Bytes of control requests (JSON) from local programs.
pub const CONTROL_BODY_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

/// Local programs connected to the control socket at once.
pub const CONTROL_CONNECTIONS_MAX: usize = 64;

/// Events that a slow reader of the event stream may lag behind before it loses some (and is
/// told how many).
pub const EVENTS_BACKLOG_MAX: usize = 1024;

/// What one page of the journal may hold, and the largest state of an agent that is recorded whole.
/// A larger state has no snapshot: the agent is replayed from the one before.
pub const JOURNAL_PAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The largest state of an agent that is recorded. A larger one is not: the agent's last snapshot
/// stays the one it is replayed from.
pub const SNAPSHOT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Effects of one input that are recorded whole; of more, the digest is.
pub const EFFECTS_RECORDED_BYTES_MAX: usize = 512;

/// Records that nobody waits for are collected up to this size before they are written…
pub const JOURNAL_BATCH_BYTES_MAX: usize = 64 * 1024;

/// …or for this long.
pub const JOURNAL_BATCH_DELAY: Duration = Duration::from_millis(100);

/// Entries of one agent between two snapshots.
pub const SNAPSHOT_ENTRIES: u32 = 1000;

/// Entries of one agent between two digests of its state.
pub const DIGEST_ENTRIES: u32 = 64;

/// A journal's file is closed and another begun when it has grown to this…
pub const JOURNAL_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// …or is this old.
pub const JOURNAL_FILE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Durable letters to one host that wait to be taken. At the cap a further one is not posted, and
/// the agent that posted it is told.
pub const OUTBOX_LETTERS_MAX: usize = 65_536;

/// Bytes of durable letters to one host that wait to be taken. At the cap a further one is not
/// posted, and the agent that posted it is told.
pub const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Durable letters sent to one host before it has taken the first of them.
pub const LETTERS_IN_FLIGHT_MAX: usize = 256;

/// Bids that one contract takes. Further ones are rejected.
pub const BIDS_PER_CONTRACT_MAX: usize = 4096;

/// Bytes of the bids that one contract takes. Further ones are rejected.
pub const BIDS_PER_CONTRACT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Contracts of one agent that have not ended, as a manager and as a contractor each. At the cap
/// an agent announces nothing more, and refuses what is announced to it.
pub const CONTRACTS_PER_AGENT_MAX: usize = 4096;

/// What the agents of one host said and heard in one search, as far as it is told to people. At the
/// cap the rest is left out, and that is said.
pub const TRACE_DEEDS_MAX: usize = 10_000;

/// Searches that one agent remembers at a time. At the cap it takes part in no further one.
pub const TRAVERSALS_PER_AGENT_MAX: usize = 65_536;

/// Agents that are remembered to have brought one search. What others bring is asked back in vain.
pub const VISITORS_PER_TRAVERSAL_MAX: usize = 16;

/// Announcements that wait for an agent that has all it can do of their sort. At the cap further
/// ones are refused.
pub const ANNOUNCEMENTS_WAITING_MAX: usize = 1024;

/// Agents of one group that has a problem. An agent that knows of more neither acts nor lets others
/// act: it says that there are too many.
pub const MEMBERS_PER_PROBLEM_MAX: usize = 128;

/// Problems that one agent takes part in or remembers. At the cap those remembered are forgotten,
/// the oldest first; when none is left, it takes part in no further one.
pub const PROBLEMS_PER_AGENT_MAX: usize = 256;

/// What tells one problem of a sort from others. A longer key is not taken.
pub const PROBLEM_KEY_BYTES_MAX: usize = 256;

/// The description of a problem. A larger one is not taken.
pub const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// The solution of a problem. With a larger one its solver has failed.
pub const SOLUTION_BYTES_MAX: usize = 64 * 1024;

/// How often an agent begins to claim one problem. After that it gives up.
pub const CLAIMS_PER_PROBLEM_MAX: u32 = 32;

/// How often an agent is sent on from one that solves no more to the next, before it claims again.
pub const HOPS_PER_CLAIM_MAX: u32 = 16;

/// Bytes of the announcements that wait for one agent, of all sorts together. At the cap further
/// ones are refused.
pub const ANNOUNCEMENTS_WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a manager elsewhere may have a bid stand, where the contractor's own windows allow no
/// more. What is asked beyond it is taken for this.
pub const BID_STANDS_MAX: Duration = Duration::from_secs(60);

/// Contracts that have ended and are remembered by who announced them, for late bids and for
/// contractors that ask. At the cap the one that would be forgotten next is forgotten.
pub const PAST_CONTRACTS_PER_AGENT_MAX: usize = 4096;

/// How long a contractor that has reported waits for its acknowledgement before it watches its
/// manager: most are acknowledged before.
pub const ACKNOWLEDGEMENT_UNWATCHED: Duration = Duration::from_secs(1);

/// How long a watch on another agent lasts before it is asked for again; the agent that is watched
/// forgets it after twice that time.
pub const WATCH_WINDOW: Duration = Duration::from_secs(600);

/// Agents that watch one agent; far fewer than the questions it may leave open. Further ones are
/// told that it is busy.
pub const WATCHERS_PER_AGENT_MAX: usize = 16_384;

/// Partnerships of one agent, in all relations; further ones are not proposed, and declined.
pub const PARTNERS_PER_AGENT_MAX: usize = 4096;

/// Partners that are told of when one of them is left; those of higher ids are left out.
pub const BROTHERS_MAX: usize = 256;

/// How long an agent waits for the answer to a proposal, unless it says otherwise.
pub const PROPOSAL_WINDOW: Duration = Duration::from_secs(6);
