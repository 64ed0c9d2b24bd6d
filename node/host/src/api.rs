//! The control API: what `p2p`, `curl` and other local programs exchange with a daemon, as JSON
//! over HTTP on its control socket. The same types serve both ends.
//!
//! | method, path | body → answer |
//! |---|---|
//! | `GET /v1/status` | → [`Status`] |
//! | `GET /v1/members` | → [`Listing`]`<`[`Member`]`>` |
//! | `GET /v1/agents?host=HOST` | → [`Listing`]`<`[`AgentRow`]`>`; without `host`, of all hosts |
//! | `GET /v1/inspect?what=HOST-or-AGENT` | → [`Inspection`] |
//! | `POST /v1/agents` | [`Start`] → [`Started`] |
//! | `POST /v1/agents/stop` | [`Stop`] → [`Done`] |
//! | `POST /v1/agents/move` | [`Move`] → [`Moved`] |
//! | `POST /v1/agents/take-up` | [`TakeUp`] → [`Moved`] |
//! | `POST /v1/request` | [`Ask`] → [`Answered`] |
//! | `POST /v1/post` | [`Post`] → [`Posted`], when it is durable |
//! | `POST /v1/publish` | [`Publish`] → [`Published`] |
//! | `GET /v1/subscribe?topic=TOPIC` | → a line of JSON for each message: [`Heard`] |
//! | `GET /v1/events?backlog=N&follow=BOOL` | → a line of JSON for each event: [`EventLine`] |
//! | `GET /v1/journal/…`, `GET /v1/logs` | see [`journal`] |
//! | `… /v1/docs/…`, `GET /v1/locate` | see [`documents`] |
//! | `GET /v1/kinds` | → [`Listing`]`<`[`KindRow`]`>` |
//! | `POST /v1/invites` | [`Invite`] → [`Invited`] |
//! | `GET /v1/invites` | → [`Listing`]`<`[`InviteRow`]`>` |
//! | `POST /v1/join` | [`Join`] → [`Joined`]; the daemon then starts anew in the other mesh |
//! | `GET /v1/doctor` | → [`Listing`]`<`[`Finding`]`>` |
//! | `POST /v1/down` | → [`Done`]; the daemon goes down in good order |
//! | `GET /metrics` | → Prometheus text |
//! | `GET /livez`, `GET /readyz` | → 200 or 503 |
//!
//! A failed call answers with a status of 4xx or 5xx and [`Problem`].

pub mod documents;
pub mod journal;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A list, and what is missing from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing<T> {
    /// What was found, in a stable order.
    pub items: Vec<T>,
    /// Hosts that did not answer, each with the reason: the list is partial when there are any.
    #[serde(default)]
    pub missing: Vec<Missing>,
}

/// A host that did not contribute to a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The host, by name.
    pub host: String,
    /// Why.
    pub why: String,
}

/// How this host is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `ok`, or what is degraded in words. Health first.
    pub health: String,
    /// The host's id.
    pub host: String,
    /// The host's name.
    pub name: String,
    /// Version of the software.
    pub version: String,
    /// The mesh's id.
    pub mesh: String,
    /// The mesh's name.
    pub mesh_name: String,
    /// This life of the host.
    pub incarnation: u64,
    /// Since when it is up, in seconds.
    pub uptime_seconds: u64,
    /// Where it keeps things.
    pub data_dir: String,
    /// Its process.
    pub pid: u32,
    /// Addresses at which others can dial it.
    pub addresses: Vec<String>,
    /// Hosts known, this one included.
    pub members: usize,
    /// Hosts it has a lane to.
    pub linked: usize,
    /// Agents it runs.
    pub agents: usize,
    /// Whether it may invite others.
    pub may_admit: bool,
    /// Days until its certificate expires.
    pub certificate_days: u64,
}

/// One host of the mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The host's id.
    pub host: String,
    /// Its name.
    pub name: String,
    /// How it is reached: `self`, `linked`, `dialling`, `unreachable`, `known` or `left`.
    pub state: String,
    /// Its life, as far as known.
    pub incarnation: u64,
    /// Version of its software.
    pub version: String,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
    /// Why it is unreachable, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its id.
    pub agent: String,
    /// Its name on its host, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// The id of the host it runs on.
    pub host: String,
    /// The name of that host.
    pub host_name: String,
    /// Inputs it has handled.
    pub inputs: u64,
    /// Messages that wait for it.
    pub waiting: u32,
}

/// An agent that offers a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderRow {
    /// Its id.
    pub agent: String,
    /// Its name on its host, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// The id of the host it runs on.
    pub host: String,
    /// The name of that host.
    pub host_name: String,
}

/// A host or an agent in detail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Inspection {
    /// A host.
    Host {
        /// As in the list of members.
        #[serde(flatten)]
        member: Member,
        /// Its agents.
        agents: Vec<AgentRow>,
        /// The kinds it can start.
        kinds: Vec<String>,
    },
    /// An agent.
    Agent {
        /// As in the list of agents.
        #[serde(flatten)]
        row: AgentRow,
        /// Its state.
        state: Value,
        /// The requests it answers and the notifications it collects.
        understands: Vec<String>,
        /// The topics it listens to.
        topics: Vec<String>,
        /// Requests, timers and tasks it waits for.
        waits: Vec<Value>,
        /// What all hosts know of it, if it has a descriptor that has come here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        descriptor: Option<Box<documents::Descriptor>>,
    },
}

/// A kind of agent that a host can start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindRow {
    /// Its name.
    pub kind: String,
    /// The requests it answers and the notifications it collects.
    pub understands: Vec<String>,
}

/// Start an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The kind.
    pub kind: String,
    /// On which host (name, id or the beginning of its id); here when absent.
    #[serde(default)]
    pub host: Option<String>,
    /// A name, unique on its host.
    #[serde(default)]
    pub name: Option<String>,
    /// Its first state; the kind's default when absent.
    #[serde(default)]
    pub state: Option<Value>,
}

/// An agent was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Its id.
    pub agent: String,
    /// The id of its host.
    pub host: String,
    /// The name of its host.
    pub host_name: String,
}

/// Stop an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// `AGENT` or `AGENT@HOST`; see [`Ask::to`].
    pub agent: String,
}

/// Give an agent to another host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// `AGENT` or `AGENT@HOST`; see [`Ask::to`].
    pub agent: String,
    /// To which host: its name, its id or the beginning of its id.
    pub to: String,
}

/// Take up an agent whose host is gone, or that was given to the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeUp {
    /// Its id, the beginning of its id, or its name.
    pub agent: String,
    /// By which host: its name, its id or the beginning of its id; this one when absent.
    #[serde(default)]
    pub on: Option<String>,
    /// Whoever asks knows that the agent's host is gone, whatever it looks like. An agent that lives
    /// there all the same dies.
    #[serde(default)]
    pub its_host_is_gone: bool,
}

/// An agent lives elsewhere now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Its id: as before.
    pub agent: String,
    /// The host it lives on now.
    pub host: String,
    /// That host's name.
    pub host_name: String,
    /// Whether that host has said that it lives there. If not, it does as soon as it hears of it.
    pub arrived: bool,
    /// What it begins from, when it was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MovedFrom>,
}

/// What an agent begins from that was taken up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovedFrom {
    /// The id of the host it lived on before.
    pub host: String,
    /// The name of that host.
    pub host_name: String,
    /// How many hosts have had the agent before it was taken up.
    pub instance: u64,
    /// When its descriptor was changed last before that, as far as the host knows that was asked: by
    /// the calendar of whoever changed it, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described_at_ms: Option<u64>,
}

/// Done; there is nothing more to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What was done, in words.
    pub done: String,
}

/// Ask an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// `AGENT` or `AGENT@HOST`. An agent is named by its id, the beginning of its id, its name,
    /// or its kind where that is not ambiguous; a host by name, id or the beginning of its id.
    pub to: String,
    /// The name of the request, as `echo/say`.
    pub request: String,
    /// Its body.
    #[serde(default)]
    pub body: Value,
    /// How long to wait, in milliseconds; 10,000 when absent.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// An agent answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Who.
    pub agent: String,
    /// The id of its host.
    pub host: String,
    /// The reply.
    pub reply: Value,
}

/// Post a durable notification to one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// `AGENT` or `AGENT@HOST`; see [`Ask::to`]. With both ids in full the host need not be
    /// reachable.
    pub to: String,
    /// The notification's name, as `chat/said`.
    pub name: String,
    /// Its body.
    #[serde(default)]
    pub body: Value,
}

/// It is durable here: it arrives, whatever restarts meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// To whom.
    pub agent: String,
    /// The id of its host.
    pub host: String,
    /// The letter's number among those to that host.
    pub number: u64,
}

/// Publish a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The topic: a notification's name, as `chat/said`, or with a room, as `chat/said#42`.
    pub topic: String,
    /// The notification's body.
    #[serde(default)]
    pub body: Value,
}

/// It was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Listeners on this host it went to.
    pub local: usize,
    /// Other hosts it was sent to directly.
    pub hosts: usize,
}

/// A message on a topic, or a gap in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "heard")]
pub enum Heard {
    /// A message.
    Message {
        /// The topic.
        topic: String,
        /// The sender: `AGENT@HOST` by ids.
        from: String,
        /// The name of the sender's host.
        from_host: String,
        /// The notification; `{"base64": …}` when this host does not know its type.
        body: Value,
    },
    /// Messages that were lost on the way.
    Gap {
        /// The topic.
        topic: String,
        /// How many.
        missed: u64,
    },
}

/// Something that happened on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// When, in milliseconds since 1970-01-01 UTC by this host's clock.
    pub at_ms: u64,
    /// What, in one stable word or two, as `link-up`.
    pub event: String,
    /// What, in a sentence.
    pub text: String,
    /// The details.
    #[serde(default)]
    pub details: Value,
}

/// Make an invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// How long it is good for, in seconds; an hour when absent.
    #[serde(default)]
    pub life_seconds: Option<u64>,
    /// How many hosts may join with it; one when absent.
    #[serde(default)]
    pub uses: Option<u32>,
    /// Whether those who join may invite others.
    #[serde(default)]
    pub may_admit: bool,
}

/// An invite was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// The token: whoever has it may join.
    pub token: String,
    /// How long it is good for, in seconds.
    pub life_seconds: u64,
    /// How many hosts may join with it.
    pub uses: u32,
    /// The addresses it names.
    pub addresses: Vec<String>,
}

/// An open invite; the token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRow {
    /// Which.
    pub invite: String,
    /// Seconds until it expires.
    pub expires_in_seconds: u64,
    /// How many hosts may join with it.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// Whether those who join may invite others.
    pub may_admit: bool,
}

/// Join another mesh.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The token.
    pub token: String,
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Join(secret)")
    }
}

/// Joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The mesh's id.
    pub mesh: String,
    /// The mesh's name.
    pub mesh_name: String,
    /// Hosts known now, this one included.
    pub members: usize,
}

/// One finding of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, as `control socket`.
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do, when it is not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Well.
    Pass,
    /// Works, but look after it.
    Warn,
    /// Does not work.
    Fail,
}

/// Why a call failed, what it means, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The class of the problem.
    pub code: Code,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do next, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Classes of problems. Each has an HTTP status, and an exit code of `p2p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The call itself is wrong: 400, exit code 2.
    Usage,
    /// The body does not fit the type: 422, exit code 1.
    BadBody,
    /// Not allowed: 403, exit code 4.
    Denied,
    /// No such host, agent, kind or request: 404, exit code 5.
    NotFound,
    /// It contradicts how things are (a name is taken, a mesh is already joined): 409, exit code 1.
    Conflict,
    /// Too much at once; try again: 429, exit code 1.
    Busy,
    /// The other side refused or failed: 502, exit code 1.
    Refused,
    /// The host cannot be reached, or is gone with the outcome unknown: 503, exit code 6.
    Unreachable,
    /// No answer in time: 504, exit code 6.
    TimedOut,
    /// A fault of the daemon: 500, exit code 1.
    Internal,
    /// What is stored is damaged, or of a later version: 500, exit code 1.
    Damaged,
}

impl Code {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Usage => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::BadBody => 422,
            Self::Busy => 429,
            Self::Internal | Self::Damaged => 500,
            Self::Refused => 502,
            Self::Unreachable => 503,
            Self::TimedOut => 504,
        }
    }

    /// The exit code of `p2p`.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Denied => 4,
            Self::NotFound => 5,
            Self::Unreachable | Self::TimedOut => 6,
            Self::BadBody | Self::Conflict | Self::Busy | Self::Refused => 1,
            Self::Internal | Self::Damaged => 1,
        }
    }
}

impl Problem {
    /// A problem without advice.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), next: None }
    }

    /// With advice.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
