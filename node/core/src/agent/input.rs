use std::borrow::Cow;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::{Address, HostId},
    interest::TopicName,
    partner::{Bond, Ends},
};

use super::{Dialog, WaitId, interests::read_json};

/// What reaches an agent. Together with the time and the number of the input it decides
/// everything that the agent does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input<'a> {
    /// It begins to live.
    Started,
    /// It is asked.
    Request {
        /// The request's name.
        name: Cow<'a, str>,
        /// Where the reply goes.
        dialog: Dialog,
        /// The request, in the dialog's codec.
        #[serde(with = "super::bytes::body")]
        body: Cow<'a, [u8]>,
    },
    /// It is told.
    Notification {
        /// The notification's name.
        name: Cow<'a, str>,
        /// Who tells.
        from: Address,
        /// The topic, if it came on one.
        topic: Option<TopicName>,
        /// How the body is written.
        codec: Codec,
        /// The notification.
        #[serde(with = "super::bytes::body")]
        body: Cow<'a, [u8]>,
    },
    /// Notifications on a topic were lost.
    Missed {
        /// The topic.
        topic: TopicName,
        /// How many.
        count: u64,
    },
    /// What it waited for has come.
    Resume {
        /// What.
        wait: WaitId,
        /// The reply, when it waited for one.
        #[serde(with = "super::bytes::reply")]
        outcome: Option<Result<Cow<'a, [u8]>, Failure>>,
    },
    /// Its life ends in good order.
    Stopping,
    /// It is back, in the state it had when its host went down.
    Recovered,
    /// A durable notification of its own could not be delivered.
    Undelivered {
        /// To whom.
        to: Address,
        /// The notification's name.
        name: Cow<'a, str>,
        /// Why.
        why: Failure,
    },
    /// It is given to another host: the last input on this one, unless nothing comes of it.
    Moving {
        /// To which.
        to: HostId,
    },
    /// It lives on this host now, and lived on another before: its first input here.
    TakenUp(Box<TakenUp>),
}

/// What a host knows of an agent that lived on another before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    /// How many hosts it had before this one.
    pub instance: u64,
    /// The last of them.
    pub before: HostId,
    /// Whether that host has given it away; otherwise it is dead.
    pub given: bool,
    /// What the agent had said of itself by [`Cx::describe`](super::Cx::describe), as JSON text:
    /// `null` when it had said nothing.
    pub fields: String,
    /// Its partners, which stand in its descriptor.
    pub(crate) partners: Vec<(Bond, Ends, Address)>,
}

impl TakenUp {
    /// What the agent had said of itself by [`Cx::describe`](super::Cx::describe); `None` when it
    /// had said nothing.
    ///
    /// # Errors
    /// What it had said is of another form, in words that name the place.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<Option<T>, String> {
        if self.fields == "null" { Ok(None) } else { read_json(self.fields.as_bytes()).map(Some) }
    }
}
