use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    interest::ServiceName,
    limits::{
        DISCOVERED_AGENTS_MAX, DISCOVERY_QUESTIONS_MAX, DISCOVERY_WINDOW_MAX,
        PROVIDERS_PER_HOST_MAX,
    },
};

use super::{Host, Then, pass};
use crate::{
    agent::prelude::*,
    engine::{FindProviders, HostsAbout, ListHosts, Providers},
};

const TOO_MANY: &str = "this host looks around for too much at once; try again later";

/// Asks a host for its agents that offer a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidersHere {
    /// Which service.
    pub service: ServiceName,
}

impl Request for ProvidersHere {
    const NAME: &'static str = "host/providers";
    type Reply = Providers;
}

/// A look around that has not ended: what will be answered, as far as it is known.
///
/// It stands in the continuation of its task's end, so that it ends with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Look {
    to: ReplyTo<Discover>,
    service: ServiceName,
    until: Time,
    agents: BTreeSet<Address>,
    cut: bool,
    unanswered: u32,
    /// Questions that have no answer yet.
    open: u32,
}

impl Answers<ProvidersHere> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, asked: ProvidersHere) -> Answer<ProvidersHere> {
        pass(cx, &FindProviders(asked.service), Then::Provided)
    }
}

impl Answers<Discover> for Host {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, asked: Discover) -> Answer<Discover> {
        // One question of another host's would become a question to every host.
        if cx.sender().host != cx.host() {
            return Answer::refuse("a host looks around for its own agents; ask yours");
        }
        if cx.waits() >= DISCOVERY_QUESTIONS_MAX {
            return Answer::refuse(TOO_MANY);
        }
        let Discover { service, scope, within_ms } = asked;
        let within = Duration::from_millis(within_ms.into()).min(DISCOVERY_WINDOW_MAX);
        let (answer, to) = Answer::later(cx);
        let look = Look {
            to,
            service,
            until: cx.now() + within,
            agents: BTreeSet::new(),
            cut: false,
            unanswered: 0,
            open: 1,
        };
        let task = cx.begin(within, Then::Looked(Box::new(look)));
        let engine = Address { host: cx.host(), agent: AgentId::ENGINE };
        cx.during(task, |cx| {
            cx.request_within(within, engine, &ListHosts(scope), |slot| Then::Hosts(slot, task))
        });
        answer
    }
}

/// The engine has said which hosts there are.
pub(super) fn ask_all(cx: &mut Cx<'_, Host>, slot: Await<ListHosts>, task: Task) {
    let HostsAbout { hosts, unreachable } = match cx.take(slot) {
        Ok(about) => about,
        Err(why) => return refuse(cx, task, &why.to_string()),
    };
    if hosts.len() > DISCOVERY_QUESTIONS_MAX.saturating_sub(cx.waits()) {
        return refuse(cx, task, TOO_MANY);
    }
    let (asked, now) = (u32::try_from(hosts.len()).unwrap_or(u32::MAX), cx.now());
    let Some(look) = look(cx, task) else { return };
    (look.open, look.unanswered) = (asked, unreachable);
    let (left, service) = (look.until.since(now), look.service.clone());
    let question = ProvidersHere { service };
    for host in hosts {
        let to = Address { host, agent: AgentId::HOST };
        cx.request_within(left, to, &question, |slot| Then::Heard(slot, task, host));
    }
    end_if_done(cx, task);
}

fn refuse(cx: &mut Cx<'_, Host>, task: Task, why: &str) {
    if let Some(Then::Looked(look)) = cx.finish(task) {
        cx.refuse(look.to, why);
    }
}

/// A host has answered, or will not.
pub(super) fn heard(cx: &mut Cx<'_, Host>, slot: Await<ProvidersHere>, task: Task, host: HostId) {
    let answer = cx.take(slot);
    let Some(look) = look(cx, task) else { return };
    look.open -= 1;
    match answer {
        Ok(answer) => look.add(host, answer),
        Err(_) => look.unanswered += 1,
    }
    end_if_done(cx, task);
}

fn look<'a>(cx: &'a mut Cx<'_, Host>, task: Task) -> Option<&'a mut Look> {
    match cx.kept(task) {
        Some(Then::Looked(look)) => Some(look),
        _ => None,
    }
}

fn end_if_done(cx: &mut Cx<'_, Host>, task: Task) {
    if look(cx, task).is_some_and(|look| look.open == 0)
        && let Some(Then::Looked(look)) = cx.finish(task)
    {
        look.answer(cx);
    }
}

impl Look {
    fn add(&mut self, host: HostId, Providers { agents, total }: Providers) {
        let named = agents.len().min(PROVIDERS_PER_HOST_MAX);
        self.cut |= total > named as u64;
        for agent in agents.into_iter().take(named) {
            if self.agents.len() >= DISCOVERED_AGENTS_MAX {
                self.cut = true;
                return;
            }
            self.agents.insert(Address { host, agent: agent.agent });
        }
    }

    /// Who has not answered by now does not count.
    pub(super) fn answer(self, cx: &mut Cx<'_, Host>) {
        let Self { to, agents, cut, unanswered, open, .. } = self;
        let unanswered = unanswered.saturating_add(open);
        cx.reply(to, &Found { agents: agents.into_iter().collect(), cut, unanswered });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::{Dialog, Input},
        engine::Provider,
    };

    const MS: Duration = Duration::from_millis(1);
    const ENGINE: Address = Address { host: Cage::<Host>::ME.host, agent: AgentId::ENGINE };

    fn host(number: u8) -> HostId {
        HostId([number; 32])
    }

    fn service() -> ServiceName {
        "printing/colour".parse().expect("a name")
    }

    /// Asks from a host; gives where the reply goes, and the effects.
    fn discover(cage: &mut Cage<Host>, from: HostId, number: u64) -> (Dialog, Vec<Effect>) {
        let asker = Address { host: from, agent: AgentId(5000) };
        let dialog = Dialog { asker, number, json: false };
        let discover = Discover { service: service(), scope: Scope::Shard, within_ms: 3000 };
        let body = starling_protocols::wire::encode(&discover).into();
        let input = Input::Request { name: Discover::NAME.into(), dialog, body };
        (dialog, cage.input(input))
    }

    fn asks(of: &Cage<Host>, wait: usize, host: HostId, budget: Duration) -> Effect {
        let to = Address { host, agent: AgentId::HOST };
        let body = starling_protocols::wire::encode(&ProvidersHere { service: service() });
        let name = ProvidersHere::NAME.into();
        Effect::Request { to, name, body, wait: of.waits()[wait], budget }
    }

    fn found(to: Dialog, agents: Vec<Address>, cut: bool, unanswered: u32) -> Effect {
        let found = Found { agents, cut, unanswered };
        Effect::Reply { to, outcome: Ok(starling_protocols::wire::encode(&found)) }
    }

    fn providers(ids: &[u128], total: u64) -> Providers {
        let provider = |id: &u128| Provider { agent: AgentId(*id), name: None, kind: "p".into() };
        Providers { agents: ids.iter().map(provider).collect(), total }
    }

    /// A look that has asked three hosts after 100 ms, while two more are out of reach.
    fn begun() -> (Cage<Host>, Dialog) {
        let mut cage = Cage::new(Host {});
        let (dialog, effects) = discover(&mut cage, Cage::<Host>::ME.host, 7);
        let until = Time::ZERO + DISCOVERY_WINDOW;
        let (task, engine) = (cage.waits()[0], cage.waits()[1]);
        let body = starling_protocols::wire::encode(&ListHosts(Scope::Shard));
        let name = ListHosts::NAME.into();
        let lists =
            Effect::Request { to: ENGINE, name, body, wait: engine, budget: DISCOVERY_WINDOW };
        assert_eq!(effects, [Effect::Wake { at: until, wait: task }, lists]);
        cage.advance(100 * MS);
        let hosts = [1, 3, 4].map(host).to_vec();
        let effects = cage.answer::<ListHosts>(engine, &HostsAbout { hosts, unreachable: 2 });
        let left = DISCOVERY_WINDOW - 100 * MS;
        let all = [1, 3, 4].map(host).into_iter().zip(1..);
        let expected: Vec<_> = all.map(|(host, wait)| asks(&cage, wait, host, left)).collect();
        assert_eq!(effects, expected);
        (cage, dialog)
    }

    #[test]
    fn a_look_ends_when_all_have_answered() {
        let (mut cage, dialog) = begun();
        let waits = cage.waits();
        let until = Time::ZERO + DISCOVERY_WINDOW;
        assert_eq!(cage.answer::<ProvidersHere>(waits[3], &providers(&[9, 2], 2)), []);
        assert_eq!(cage.fail(waits[2], Failure::Gone), []);
        let effects = cage.answer::<ProvidersHere>(waits[1], &providers(&[5], 1));
        let at = |number, agent| Address { host: host(number), agent: AgentId(agent) };
        let agents = vec![at(1, 5), at(4, 2), at(4, 9)];
        let forget = Effect::Forget { at: until, wait: waits[0] };
        assert_eq!(effects, [forget, found(dialog, agents, false, 3)]);
        assert_eq!(cage.waits(), []);
        cage.replay();
    }

    #[test]
    fn who_has_not_answered_in_time_is_counted_and_not_waited_for() {
        let (mut cage, dialog) = begun();
        let waits = cage.waits();
        assert_eq!(cage.answer::<ProvidersHere>(waits[1], &providers(&[5], 1)), []);
        assert_eq!(cage.advance(DISCOVERY_WINDOW - 101 * MS), []);
        let effects = cage.advance(MS);
        let agents = vec![Address { host: host(1), agent: AgentId(5) }];
        assert_eq!(effects.last(), Some(&found(dialog, agents, false, 4)));
        assert_eq!(cage.waits(), []);
        cage.replay();
    }

    #[test]
    fn what_is_too_much_is_cut_and_said() {
        let (mut cage, dialog) = begun();
        let waits = cage.waits();
        assert_eq!(cage.answer::<ProvidersHere>(waits[1], &providers(&[5], 2)), []);
        let many: Vec<u128> = (0..2 * PROVIDERS_PER_HOST_MAX as u128).collect();
        let too_many = providers(&many, many.len() as u64);
        assert_eq!(cage.answer::<ProvidersHere>(waits[2], &too_many), []);
        let effects = cage.answer::<ProvidersHere>(waits[3], &providers(&[], 0));
        let named = (0..PROVIDERS_PER_HOST_MAX as u128).map(AgentId);
        let mut agents = vec![Address { host: host(1), agent: AgentId(5) }];
        agents.extend(named.map(|agent| Address { host: host(3), agent }));
        assert_eq!(effects.last(), Some(&found(dialog, agents, true, 2)));
        cage.replay();
    }

    #[test]
    fn nothing_is_looked_for_on_behalf_of_other_hosts_or_beyond_the_cap() {
        let mut cage = Cage::new(Host {});
        let refused =
            |to, why: &str| [Effect::Reply { to, outcome: Err(Failure::Refused(why.to_owned())) }];
        let (dialog, effects) = discover(&mut cage, host(2), 7);
        let why = "a host looks around for its own agents; ask yours";
        assert_eq!(effects, refused(dialog, why));

        let about =
            HostsAbout { hosts: vec![host(3); DISCOVERY_QUESTIONS_MAX / 2], unreachable: 0 };
        let (_, _) = discover(&mut cage, Cage::<Host>::ME.host, 8);
        let waits = cage.waits();
        let asked = cage.answer::<ListHosts>(waits[1], &about);
        assert_eq!(asked.len(), about.hosts.len());
        let (dialog, effects) = discover(&mut cage, Cage::<Host>::ME.host, 9);
        let [Effect::Wake { at, wait: task }, Effect::Request { wait, .. }] = effects[..] else {
            panic!("{effects:?}")
        };
        let effects = cage.answer::<ListHosts>(wait, &about);
        assert_eq!(effects[0], Effect::Forget { at, wait: task });
        assert_eq!(effects[1..], refused(dialog, TOO_MANY));
        cage.replay();
    }
}
