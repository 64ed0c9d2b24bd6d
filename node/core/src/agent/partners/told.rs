use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::Delivery,
    ident::{Address, AgentId},
};

use crate::agent::{Notification, Request};

/// Tells an agent that a partner of its has died and may come back. Whoever watches over agents
/// asks this; every agent answers it, whatever its kind, with what its author's
/// [`died`](crate::agent::Partners::died) says: how long it needs to bring the partner back, if it
/// volunteers. Of an agent that is no partner nothing is known, and nobody volunteers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Died<'a> {
    /// Who has died.
    pub who: AgentId,
    /// The partners it had of the same relation as the agent that is asked, that one among them, in
    /// the order of their ids.
    pub brothers: Cow<'a, [Address]>,
}

impl Request for Died<'static> {
    const NAME: &'static str = "agent/died";
    type Reply = Option<Duration>;
}

/// Tells an agent that a partner of its lives again, or elsewhere: its partnerships with it follow.
/// Nothing happens when it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// Who.
    pub who: AgentId,
    /// Where it is reached now.
    pub at: Address,
}

impl Notification for Restarted {
    const NAME: &'static str = "agent/restarted";
    const DELIVERY: Delivery = Delivery::Durable;
}

/// Tells an agent that a partner of its has died and will not come back: its partnerships with it
/// end. Nothing happens when it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buried<'a> {
    /// Who.
    pub who: AgentId,
    /// As in [`Died`].
    pub brothers: Cow<'a, [Address]>,
}

impl Notification for Buried<'static> {
    const NAME: &'static str = "agent/buried";
    const DELIVERY: Delivery = Delivery::Durable;
}
