use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::Address,
    interest::TopicName,
};

use super::{Dialog, WaitId};

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
}
