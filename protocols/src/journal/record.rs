use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    exchange::Codec,
    ident::{AgentId, HostId, Incarnation, MeshId},
    time::{Time, WallTime},
};

/// The number of a record in the journal of one host. It counts on through all its lives.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first record of a host.
    pub const FIRST: Self = Self(1);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One life of one agent: the number of the record with which it began (FEAT: the instance).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Life(pub u64);

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How much of an agent outlives a crash of its daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Nothing: it is recorded without anybody waiting for the disk, for people who want to know
    /// what happened.
    #[default]
    History,
    /// Everything: no effect of an input leaves before the input is on the disk, and after a crash
    /// the agent is back in its exact state.
    WriteAhead,
}

/// When something was recorded, by both clocks of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// By the monotonic clock, which goes on through the lives of the host.
    pub time: Time,
    /// By the calendar.
    pub wall: WallTime,
}

/// One thing that happened.
///
/// New kinds are added at the end; the version of the page says which there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A life of the host begins, or goes on in a new file. It decides the randomness of all agents
    /// until the next.
    #[serde(borrow)]
    Era(Era<'a>),
    /// What follows happened at this moment.
    At {
        /// By the monotonic clock.
        time: Time,
        /// By the calendar.
        wall: WallTime,
    },
    /// An agent begins to live, or goes on in a new era or file. Its [`Snapshot`] follows.
    #[serde(borrow)]
    Life(LifeHead<'a>),
    /// The whole of an agent between two inputs.
    #[serde(borrow)]
    Snapshot(Snapshot<'a>),
    /// An agent handled an input.
    #[serde(borrow)]
    Entry(Entry<'a>),
    /// An agent's life ended. One that is still open when the next era begins ended with its host,
    /// unless it goes on there.
    End {
        /// Whose.
        life: Life,
        /// How.
        how: Ended,
    },
    /// A durable letter was posted.
    #[serde(borrow)]
    Post(Letter<'a>),
    /// A host has taken all letters to it up to this one.
    Delivered {
        /// Which.
        to: HostId,
        /// The number of the last it has taken.
        upto: u64,
    },
    /// A letter from another host was taken and is not taken again, without an entry of an agent.
    Took(LetterId),
    /// The numbering of letters to a host, in a new file.
    Numbering {
        /// To which host.
        to: HostId,
        /// The incarnation of this host in which the numbering began.
        epoch: Incarnation,
        /// The number of the next letter.
        next: u64,
    },
    /// Inputs of an agent were not recorded, because the storage did not work. A snapshot follows.
    Gap {
        /// Whose.
        life: Life,
        /// The first input that is missing.
        from: u64,
        /// The number after the last that is missing.
        until: u64,
    },
}

/// A life of the host, and what its agents' behaviour depends on beside their inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Era<'a> {
    /// The host.
    pub host: HostId,
    /// Its name, for people.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its mesh.
    pub mesh: MeshId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The version of the software that records.
    #[serde(borrow)]
    pub software: Cow<'a, str>,
    /// The seed of the agents' randomness.
    pub seed: [u8; 32],
}

/// What stays the same through an agent's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeHead<'a> {
    /// Which life.
    pub life: Life,
    /// The agent.
    pub agent: AgentId,
    /// Its kind.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The version of the kind's code, as its author counts.
    pub version: u32,
    /// Its name, if it has one.
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    /// How much of it outlives a crash.
    pub durability: Durability,
}

/// The whole of an agent between two inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot<'a> {
    /// Whose.
    pub life: Life,
    /// How many inputs it had handled.
    pub number: u64,
    /// Its state and what it waits for, as its kind encodes them.
    #[serde(borrow, with = "serde_bytes")]
    pub ball: Cow<'a, [u8]>,
    /// The topics it listens to; and the services it offers beside what its kind declares, each
    /// with `offer` and a blank before its name, which no topic has.
    #[serde(borrow)]
    pub topics: Vec<Cow<'a, str>>,
}

/// An agent handled an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Whose life.
    pub life: Life,
    /// The number of the input in it, from zero.
    pub number: u64,
    /// The input, encoded.
    #[serde(borrow, with = "serde_bytes")]
    pub input: Cow<'a, [u8]>,
    /// The letter that the input is, if it is one.
    pub letter: Option<LetterId>,
    /// What became of it.
    #[serde(borrow)]
    pub handled: Handled<'a>,
    /// What the agent asked for.
    #[serde(borrow)]
    pub effects: Effects<'a>,
    /// The [`digest`](super::digest) of the agent after it, at chosen points.
    pub state: Option<u64>,
}

/// What became of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handled<'a> {
    /// The agent took it up.
    Done,
    /// The agent did not take it up, and why. Its state is unchanged.
    Rejected(#[serde(borrow)] Cow<'a, str>),
    /// The agent panicked, and with what. Its life ended; what it had asked for did not happen.
    Died(#[serde(borrow)] Cow<'a, str>),
}

/// What an agent asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effects<'a> {
    /// Nothing.
    None,
    /// All of it, encoded.
    Whole(#[serde(borrow, with = "serde_bytes")] Cow<'a, [u8]>),
    /// Too much to be kept: what tells it from anything else.
    Digest {
        /// How many bytes it was.
        bytes: u64,
        /// Their [`digest`](super::digest).
        digest: u64,
    },
}

/// How an agent's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// In good order.
    Stopped,
    /// It panicked.
    Died,
}

/// Tells a durable letter from all others to the same host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LetterId {
    /// The host that posted it.
    pub origin: HostId,
    /// The incarnation of that host in which its numbering began.
    pub epoch: Incarnation,
    /// Its number, from one.
    pub number: u64,
}

/// A durable letter on its way to an agent of another host or of this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter<'a> {
    /// The host it goes to.
    pub host: HostId,
    /// The incarnation of this host in which the numbering began.
    pub epoch: Incarnation,
    /// Its number among the letters to that host, from one.
    pub number: u64,
    /// The agent that posted it.
    pub from: AgentId,
    /// The agent it is for.
    pub to: AgentId,
    /// The notification's name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// How the body is written.
    pub codec: Codec,
    /// The notification.
    #[serde(borrow, with = "serde_bytes")]
    pub body: Cow<'a, [u8]>,
}

fn own<T: ToOwned + ?Sized>(part: Cow<'_, T>) -> Cow<'static, T> {
    Cow::Owned(part.into_owned())
}

impl Era<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Era<'static> {
        let Era { host, name, mesh, incarnation, software, seed } = self;
        Era { host, name: own(name), mesh, incarnation, software: own(software), seed }
    }
}

impl LifeHead<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> LifeHead<'static> {
        let LifeHead { life, agent, kind, version, name, durability } = self;
        let (kind, name) = (own(kind), name.map(own));
        LifeHead { life, agent, kind, version, name, durability }
    }
}

impl Snapshot<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Snapshot<'static> {
        let topics = self.topics.into_iter().map(own).collect();
        Snapshot { life: self.life, number: self.number, ball: own(self.ball), topics }
    }
}

impl Entry<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Entry<'static> {
        let Entry { life, number, input, letter, handled, effects, state } = self;
        let handled = match handled {
            Handled::Done => Handled::Done,
            Handled::Rejected(why) => Handled::Rejected(own(why)),
            Handled::Died(why) => Handled::Died(own(why)),
        };
        let (input, effects) = (own(input), effects.into_owned());
        Entry { life, number, input, letter, handled, effects, state }
    }
}

impl Effects<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Effects<'static> {
        match self {
            Self::None => Effects::None,
            Self::Whole(bytes) => Effects::Whole(own(bytes)),
            Self::Digest { bytes, digest } => Effects::Digest { bytes, digest },
        }
    }
}

impl Letter<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Letter<'static> {
        let Letter { host, epoch, number, from, to, name, codec, body } = self;
        Letter { host, epoch, number, from, to, name: own(name), codec, body: own(body) }
    }
}

impl Record<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        match self {
            Self::Era(era) => Record::Era(era.into_owned()),
            Self::Life(head) => Record::Life(head.into_owned()),
            Self::Snapshot(snapshot) => Record::Snapshot(snapshot.into_owned()),
            Self::Entry(entry) => Record::Entry(entry.into_owned()),
            Self::Post(letter) => Record::Post(letter.into_owned()),
            Self::At { time, wall } => Record::At { time, wall },
            Self::End { life, how } => Record::End { life, how },
            Self::Delivered { to, upto } => Record::Delivered { to, upto },
            Self::Took(letter) => Record::Took(letter),
            Self::Numbering { to, epoch, next } => Record::Numbering { to, epoch, next },
            Self::Gap { life, from, until } => Record::Gap { life, from, until },
        }
    }
}
