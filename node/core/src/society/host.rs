mod discovery;
mod moves;

use discovery::Look;
pub use discovery::ProvidersHere;
use moves::Giving;
pub use moves::{GiveHere, TakeUpHere};

use serde::{Deserialize, Serialize};

use crate::{
    agent::{Init, prelude::*},
    engine::{
        AgentDetail, DocumentHeads, DocumentMisfit, FindProviders, Inspect, ListAgents, ListHosts,
        ListKinds, ListTypes, Listed, Start, StartAgent, StopAgent, TakeUpAgent,
    },
};

/// The host agent: what other hosts may ask of this one. Runs everywhere, at
/// [`AgentId::HOST`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {}

/// Asks a host to start an agent. Refused with the reason when it cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartHere {
    /// The kind.
    pub kind: String,
    /// A name, unique on the host.
    pub name: Option<String>,
    /// The first state, as JSON text; the kind's default when absent.
    pub state: Option<String>,
}

impl Request for StartHere {
    const NAME: &'static str = "host/start";
    type Reply = AgentId;
}

/// Asks a host to stop one of its agents. The reply says whether there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopHere {
    /// Which.
    pub agent: AgentId,
}

impl Request for StopHere {
    const NAME: &'static str = "host/stop";
    type Reply = bool;
}

/// Asks a host for its agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentsHere {}

impl Request for AgentsHere {
    const NAME: &'static str = "host/agents";
    type Reply = Listed;
}

/// Asks a host about one of its agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectHere {
    /// Which.
    pub agent: AgentId,
}

impl Request for InspectHere {
    const NAME: &'static str = "host/inspect";
    type Reply = Option<AgentDetail>;
}

/// Asks a host which kinds of agents it can start, each with the messages it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindsHere {}

impl Request for KindsHere {
    const NAME: &'static str = "host/kinds";
    type Reply = Vec<(String, Vec<String>)>;
}

/// Asks a host which types of documents it knows, each with the newest version that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypesHere {}

impl Request for TypesHere {
    const NAME: &'static str = "host/types";
    type Reply = Vec<(String, u32)>;
}

/// Asks a host which version of a document it has: its heads, in hex and in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentHere {
    /// The document's name.
    pub name: String,
}

impl Request for DocumentHere {
    const NAME: &'static str = "host/document";
    type Reply = Vec<String>;
}

/// Asks a host why a document, as it has it, does not fit its type: none when it does, and when the
/// host does not know the type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MisfitHere {
    /// The document's name.
    pub name: String,
}

impl Request for MisfitHere {
    const NAME: &'static str = "host/misfit";
    type Reply = Option<String>;
}

/// The host agent passes questions on to its engine, and the answers back.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// An agent is being started.
    Started(Await<StartAgent>, ReplyTo<StartHere>),
    /// An agent is being stopped.
    Stopped(Await<StopAgent>, ReplyTo<StopHere>),
    /// Agents are being listed.
    Listed(Await<ListAgents>, ReplyTo<AgentsHere>),
    /// An agent is being inspected.
    Inspected(Await<Inspect>, ReplyTo<InspectHere>),
    /// Kinds are being listed.
    Kinds(Await<ListKinds>, ReplyTo<KindsHere>),
    /// Agents that offer a service are being looked up.
    Provided(Await<FindProviders>, ReplyTo<ProvidersHere>),
    /// The time for a look around is over.
    Looked(Box<Look>),
    /// The hosts for a look around are being listed.
    Hosts(Await<ListHosts>, Task),
    /// A host is being asked in a look around.
    Heard(Await<ProvidersHere>, Task, HostId),
    /// The heads of a document are being looked up.
    Document(Await<DocumentHeads>, ReplyTo<DocumentHere>),
    /// An agent is being given away.
    Giving(Giving, GiveHere, ReplyTo<GiveHere>),
    /// An agent is being taken up.
    TakingUp(Await<TakeUpAgent>, ReplyTo<TakeUpHere>),
    /// Types of documents are being listed.
    Types(Await<ListTypes>, ReplyTo<TypesHere>),
    /// Whether a document fits its type is being looked up.
    Misfit(Await<DocumentMisfit>, ReplyTo<MisfitHere>),
}

impl Agent for Host {
    const KIND: &'static str = "host";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<StartHere>();
        interests.answers::<StopHere>();
        interests.answers::<AgentsHere>();
        interests.answers::<InspectHere>();
        interests.answers::<KindsHere>();
        interests.answers::<ProvidersHere>();
        interests.answers::<Discover>();
        interests.answers::<DocumentHere>();
        interests.answers::<GiveHere>();
        interests.answers::<TakeUpHere>();
        interests.answers::<TypesHere>();
        interests.answers::<MisfitHere>();
    }
}

/// Passes a question on to the engine.
fn pass<Q: Request, R: Request>(
    cx: &mut Cx<'_, Host>,
    question: &Q,
    then: impl FnOnce(Await<Q>, ReplyTo<R>) -> Then,
) -> Answer<R> {
    let (answer, reply_to) = Answer::later(cx);
    let engine = Address { host: cx.host(), agent: AgentId::ENGINE };
    cx.request(engine, question, |slot| then(slot, reply_to));
    answer
}

impl Answers<StartHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, start: StartHere) -> Answer<StartHere> {
        let StartHere { kind, name, state } = start;
        let init = state.map_or(Init::Default, Init::Json);
        pass(cx, &StartAgent(Start { kind, name, init }), Then::Started)
    }
}

impl Answers<StopHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, StopHere { agent }: StopHere) -> Answer<StopHere> {
        pass(cx, &StopAgent(agent), Then::Stopped)
    }
}

impl Answers<AgentsHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, AgentsHere {}: AgentsHere) -> Answer<AgentsHere> {
        pass(cx, &ListAgents, Then::Listed)
    }
}

impl Answers<InspectHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, inspect: InspectHere) -> Answer<InspectHere> {
        pass(cx, &Inspect(inspect.agent), Then::Inspected)
    }
}

impl Answers<KindsHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, KindsHere {}: KindsHere) -> Answer<KindsHere> {
        pass(cx, &ListKinds, Then::Kinds)
    }
}

impl Answers<DocumentHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, here: DocumentHere) -> Answer<DocumentHere> {
        pass(cx, &DocumentHeads(here.name), Then::Document)
    }
}

impl Answers<TypesHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, TypesHere {}: TypesHere) -> Answer<TypesHere> {
        pass(cx, &ListTypes, Then::Types)
    }
}

impl Answers<MisfitHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, here: MisfitHere) -> Answer<MisfitHere> {
        pass(cx, &DocumentMisfit(here.name), Then::Misfit)
    }
}

impl Continuation<Host> for Then {
    fn resume(self, _: &mut Host, cx: &mut Cx<'_, Host>) {
        match self {
            Self::Started(slot, to) => match cx.take(slot) {
                Ok(Ok(agent)) => cx.reply(to, &agent),
                Ok(Err(why)) => cx.refuse(to, &why.to_string()),
                Err(why) => cx.refuse(to, &why.to_string()),
            },
            Self::Stopped(slot, to) => hand_back(cx, slot, to),
            Self::Listed(slot, to) => hand_back(cx, slot, to),
            Self::Inspected(slot, to) => hand_back(cx, slot, to),
            Self::Kinds(slot, to) => hand_back(cx, slot, to),
            Self::Provided(slot, to) => hand_back(cx, slot, to),
            Self::Looked(look) => look.answer(cx),
            Self::Hosts(slot, task) => discovery::ask_all(cx, slot, task),
            Self::Heard(slot, task, host) => discovery::heard(cx, slot, task, host),
            Self::Document(slot, to) => hand_back(cx, slot, to),
            Self::Giving(step, give, to) => step.go_on(cx, give, to),
            Self::TakingUp(slot, to) => moves::taken_up(cx, slot, to),
            Self::Types(slot, to) => hand_back(cx, slot, to),
            Self::Misfit(slot, to) => hand_back(cx, slot, to),
        }
    }
}

fn hand_back<Q: Request, R: Request<Reply = Q::Reply>>(
    cx: &mut Cx<'_, Host>,
    slot: Await<Q>,
    to: ReplyTo<R>,
) {
    match cx.take(slot) {
        Ok(reply) => cx.reply(to, &reply),
        Err(why) => cx.refuse(to, &why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CanGive;

    #[test]
    fn it_passes_a_start_on_and_the_refusal_back() {
        let mut cage = Cage::new(Host {});
        let here = StartHere { kind: "room".into(), name: None, state: Some("{}".into()) };
        let start = Start { kind: "room".into(), name: None, init: Init::Json("{}".into()) };
        let engine = Address { host: Cage::<Host>::ME.host, agent: AgentId::ENGINE };
        let wait = WaitId(0);
        assert_eq!(cage.ask(here), [Effect::request(engine, &StartAgent(start), wait)]);
        let taken = crate::engine::StartError::NameTaken("room".into());
        let why = taken.to_string();
        assert_eq!(cage.answer::<StartAgent>(wait, &Err(taken)), [Effect::refuse(&why)]);
        cage.replay();
    }

    #[test]
    fn an_agent_stays_when_the_host_that_is_to_have_it_does_not_answer() {
        let to = HostId([9; 32]);
        for (failed, said) in [
            (
                Failure::TimedOut,
                "the other host does not answer: the agent stays where it is; see p2p members, or \
                 choose another host"
                    .to_owned(),
            ),
            (Failure::Busy, format!("the other host does not take it: {}", Failure::Busy)),
        ] {
            let mut cage = Cage::new(Host {});
            let _ = cage.ask(GiveHere { agent: AgentId(1 << 100), to });
            let _ = cage.answer::<CanGive>(cage.waits()[0], &Ok("counter".into()));
            assert_eq!(cage.fail(cage.waits()[0], failed), [Effect::refuse(&said)]);
            cage.replay();
        }
    }
}
