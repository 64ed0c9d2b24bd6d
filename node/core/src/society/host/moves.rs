use serde::{Deserialize, Serialize};

use super::{Host, KindsHere, Then, pass};
use crate::{
    agent::prelude::*,
    engine::{CanGive, GiveAgent, MoveError, TakeUpAgent, TookUp},
};

/// Asks a host to give one of its agents to another host. The reply says whether that has taken it
/// up already; if not, it does when it hears of it. Refused with the reason when the agent stays
/// where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveHere {
    /// Which.
    pub agent: AgentId,
    /// To whom.
    pub to: HostId,
}

impl Request for GiveHere {
    const NAME: &'static str = "host/give";
    type Reply = bool;
}

/// Asks a host to take up an agent that lived elsewhere: one that was given to it, or whose host is
/// gone. Also one of its own that has died. Refused with the reason when it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeUpHere {
    /// Which.
    pub agent: AgentId,
    /// Whoever asks vouches for it that the agent's host is gone, whatever it looks like. An agent
    /// that lives there all the same dies, and what it has done meanwhile is lost.
    #[serde(default)]
    pub its_host_is_gone: bool,
}

impl Request for TakeUpHere {
    const NAME: &'static str = "host/take-up";
    type Reply = TookUp;
}

/// How far an agent is given away.
#[derive(Debug, Serialize, Deserialize)]
pub enum Giving {
    /// The engine says whether it can be.
    Asked(Await<CanGive>),
    /// The other host says what kinds it knows; this one it must.
    Kinds(Await<KindsHere>, String),
    /// The engine writes it down.
    Given(Await<GiveAgent>),
    /// The other host takes it up.
    TakenUp(Await<TakeUpHere>),
}

impl Answers<GiveHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, give: GiveHere) -> Answer<GiveHere> {
        let (answer, to) = Answer::later(cx);
        let engine = Address { host: cx.host(), agent: AgentId::ENGINE };
        let ask = CanGive { agent: give.agent, to: give.to };
        cx.request(engine, &ask, |slot| Then::Giving(Giving::Asked(slot), give, to));
        answer
    }
}

impl Answers<TakeUpHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, take: TakeUpHere) -> Answer<TakeUpHere> {
        let TakeUpHere { agent, its_host_is_gone } = take;
        pass(cx, &TakeUpAgent { agent, its_host_is_gone }, Then::TakingUp)
    }
}

impl Giving {
    pub(super) fn go_on(self, cx: &mut Cx<'_, Host>, give: GiveHere, to: ReplyTo<GiveHere>) {
        let there = Address { host: give.to, agent: AgentId::HOST };
        let engine = Address { host: cx.host(), agent: AgentId::ENGINE };
        match self {
            Self::Asked(slot) => match flat(cx.take(slot)) {
                Ok(kind) => {
                    cx.request(there, &KindsHere {}, |slot| {
                        Then::Giving(Self::Kinds(slot, kind), give, to)
                    });
                }
                Err(why) => cx.refuse(to, &why),
            },
            Self::Kinds(slot, kind) => match cx.take(slot) {
                Ok(kinds) if kinds.iter().any(|(known, _)| *known == kind) => {
                    let GiveHere { agent, to: host } = give;
                    let gift = GiveAgent { agent, to: host };
                    cx.request(engine, &gift, |slot| Then::Giving(Self::Given(slot), give, to));
                }
                Ok(_) => cx.refuse(to, &format!("the other host does not know the kind {kind:?}")),
                // It has not been asked for anything yet.
                Err(Failure::TimedOut | Failure::Gone | Failure::Unreachable) => {
                    cx.refuse(
                        to,
                        "the other host does not answer: the agent stays where it is; \
                                   see p2p members, or choose another host",
                    );
                }
                Err(why) => cx.refuse(to, &format!("the other host does not take it: {why}")),
            },
            Self::Given(slot) => match flat(cx.take(slot)) {
                Ok(()) => {
                    let take = TakeUpHere { agent: give.agent, its_host_is_gone: false };
                    cx.request(there, &take, |slot| Then::Giving(Self::TakenUp(slot), give, to));
                }
                Err(why) => cx.refuse(to, &why),
            },
            // It may have taken it up before it was asked.
            Self::TakenUp(slot) => match cx.take(slot) {
                Ok(_) => cx.reply(to, &true),
                Err(Failure::Refused(why)) => {
                    cx.reply(to, &(why == MoveError::There(give.agent).to_string()));
                }
                Err(_) => cx.reply(to, &false),
            },
        }
    }
}

pub(super) fn taken_up(cx: &mut Cx<'_, Host>, slot: Await<TakeUpAgent>, to: ReplyTo<TakeUpHere>) {
    match flat(cx.take(slot)) {
        Ok(took) => cx.reply(to, &took),
        Err(why) => cx.refuse(to, &why),
    }
}

fn flat<T, E: std::fmt::Display>(outcome: Outcome<Result<T, E>>) -> Result<T, String> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(why)) => Err(why.to_string()),
        Err(why) => Err(why.to_string()),
    }
}
