//! What others may do wrong in a problem of a group, and the bounds of what it may cost.

use std::borrow::Cow;

use starling_protocols::{
    exchange::Codec,
    limits::{PROBLEM_BYTES_MAX, PROBLEM_KEY_BYTES_MAX},
    solver::{Ask, Group, Patience, Reply, Tell, short_key},
    wire,
};

use super::{
    solver::{Broken, Fixer, Order},
    *,
};
use crate::agent::{BodyOf, Cage, Dialog, Effect, Handled, Input as AgentInput, Rejection, WaitId};

const S: Duration = Duration::from_secs(1);
/// Ranks after the agent in the cage, as does the other.
const ASKER: Address = Cage::<Fixer<false>>::ASKER;
const OTHER: Address = Address { host: HostId([3; 32]), agent: AgentId(AgentId::RESERVED + 2) };

fn fixer(style: &str) -> Cage<Fixer<false>> {
    Cage::new(Fixer { style: style.into(), ..Fixer::default() })
}

fn problem(what: &str) -> Vec<u8> {
    wire::encode(&Broken(what.into()))
}

fn claim<'a>(key: &'a str, problem: &'a [u8]) -> Ask<'a> {
    Ask::Claim { key: key.into(), problem: problem.into(), group: Group::default() }
}

fn follow(key: &str) -> Ask<'_> {
    Ask::Follow { key: key.into(), group: Group::default() }
}

fn asked(ask: &Ask<'_>, asker: Address, number: u64) -> AgentInput<'static> {
    let (dialog, body) = (Dialog { asker, number, json: false }, wire::encode(ask).into());
    AgentInput::Request { name: Broken::NAME.into(), dialog, body }
}

fn came(wait: WaitId, reply: &[u8]) -> AgentInput<'static> {
    AgentInput::Resume { wait, outcome: Some(Ok(reply.to_vec().into())) }
}

fn notice(what: &str, members: &[Address]) -> Order {
    Order::Notice { what: what.into(), members: members.to_vec() }
}

/// What is asked of others about the problem: of whom, how long it waits, and what.
fn requests(effects: &[Effect]) -> Vec<(Address, WaitId, Duration, Ask<'_>)> {
    let requests = effects.iter().filter_map(|effect| match effect {
        Effect::Request { to, name, body, wait, budget } if *name == Broken::NAME => {
            let ask = wire::decode_borrowed(body, body.len()).expect("it decodes");
            Some((*to, *wait, *budget, ask))
        }
        _ => None,
    });
    requests.collect()
}

/// The answers, each with the number of the question.
fn replies(effects: &[Effect]) -> Vec<(u64, Reply)> {
    let replies = effects.iter().filter_map(|effect| match effect {
        Effect::Reply { to, outcome: Ok(body) } => {
            Some((to.number, wire::decode(body, body.len()).ok()?))
        }
        _ => None,
    });
    replies.collect()
}

fn group(members: &[Address]) -> Group {
    Group { members: members.iter().copied().collect(), ..Group::default() }
}

fn rejected(handled: Handled, why: &str) {
    assert_eq!(handled, Err(Rejection::BadBody(why.into())));
}

#[test]
fn nobody_asks_itself_and_nobody_outside_the_mesh_asks() {
    let mut cage = fixer("");
    let (handled, _) =
        cage.try_input(asked(&claim("door", &problem("door")), Cage::<Fixer<false>>::ME, 1));
    rejected(handled, "nobody asks itself");
    let dialog = Dialog { asker: ASKER, number: 1, json: true };
    let body = wire::encode(&follow("door")).into();
    let (handled, _) =
        cage.try_input(AgentInput::Request { name: Broken::NAME.into(), dialog, body });
    let why = "this is between agents; nobody outside the mesh can take part";
    rejected(handled, why);
    assert!(cage.state().log.is_empty() && cage.waits().is_empty());
}

#[test]
fn who_is_followed_in_what_it_does_not_know_says_that_it_is_free() {
    let effects = fixer("").input(asked(&follow("door"), ASKER, 1));
    assert_eq!(replies(&effects), [(1, Reply::Free { group: Group::default(), why: None })]);
}

#[test]
fn who_asks_anew_gets_an_answer_to_its_earlier_question_and_all_when_it_is_stopped() {
    let mut cage = fixer("later");
    cage.ask(notice("door", &[]));
    assert_eq!(replies(&cage.input(asked(&follow("door"), ASKER, 1))), []);
    let effects = cage.input(asked(&follow("door"), ASKER, 2));
    assert_eq!(replies(&effects), [(1, Reply::Wait(Group::default()))]);
    assert_eq!(cage.deferred(), 1);
    let effects = cage.stop();
    let me = Cage::<Fixer<false>>::ME;
    let group = Group { tried: [me].into(), ..group(&[ASKER]) };
    let why = Some("the solver was stopped".to_owned());
    assert_eq!(replies(&effects), [(2, Reply::Free { group, why })]);
    cage.replay();
}

#[test]
fn what_is_too_large_or_no_problem_is_not_taken_up() {
    let fits = |bytes: usize| {
        let text = (0..8).map(|less| "x".repeat(bytes - less));
        let fits = text.map(|text| problem(&text)).find(|problem| problem.len() == bytes);
        fits.expect("a description of that length")
    };
    let (most, more) = (fits(PROBLEM_BYTES_MAX), fits(PROBLEM_BYTES_MAX + 1));
    let [key, long] = [0, 1].map(|more| "k".repeat(PROBLEM_KEY_BYTES_MAX + more));
    let large = "the problem is too large";
    for (key, problem, why) in
        [(&*long, &*most, large), (&*key, &*more, large), ("door", &[0xff], "no such problem")]
    {
        let mut cage = fixer("");
        let (handled, _) = cage.try_input(asked(&claim(key, problem), ASKER, 1));
        rejected(handled, why);
        // Nothing is left of it.
        let effects = cage.input(asked(&follow(key), ASKER, 2));
        assert_eq!(replies(&effects), [(2, Reply::Free { group: Group::default(), why: None })]);
    }
    let effects = fixer("").input(asked(&claim(&key, &most), ASKER, 1));
    assert_eq!(replies(&effects), [(1, Reply::Yield(group(&[ASKER])))]);
    // Of one's own as well.
    let what = |bytes: &[u8]| wire::decode::<Broken>(bytes, bytes.len()).expect("it is one").0;
    let mut cage = fixer("");
    cage.ask(notice(&what(&more), &[ASKER]));
    let why = ": nobody was asked: this agent has too many problems, or the description is too \
               large";
    assert!(cage.state().log[0].ends_with(why), "{}", cage.state().log[0].len());
    let effects = cage.ask(notice(&what(&most), &[ASKER]));
    assert_eq!(requests(&effects).len(), 1);
}

#[test]
fn a_long_key_is_named_by_its_hash() {
    let [key, long] = [0, 1].map(|more| "k".repeat(PROBLEM_KEY_BYTES_MAX + more));
    for (what, named) in [(&key, key.clone()), (&long, short_key(&long))] {
        let mut cage = fixer("");
        let effects = cage.ask(notice(what, &[ASKER]));
        let (problem, group) = (problem(what), group(&[ASKER]));
        let expected = Ask::Claim { key: named.into(), problem: problem.into(), group };
        let [(to, _, budget, ask)] = &requests(&effects)[..] else { panic!("{effects:?}") };
        assert_eq!((*to, *budget, ask), (ASKER, Patience::DEFAULT.claim, &expected));
    }
}

#[test]
fn who_notices_a_problem_while_it_is_asked_has_noticed_it_once() {
    let mut cage = fixer("notices");
    let effects = cage.input(asked(&claim("door", &problem("door")), ASKER, 1));
    assert_eq!(replies(&effects), [(1, Reply::Mine(group(&[ASKER])))]);
    assert_eq!(cage.state().log, ["mends door"]);
    cage.replay();
}

#[test]
fn only_who_has_solved_it_tells_so_and_then_nobody_is_waited_for() {
    let mut cage = fixer("");
    let effects = cage.input(asked(&claim("door", &problem("door")), ASKER, 1));
    let [(ASKER, wait, budget, Ask::Follow { .. })] = requests(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(budget, Patience::DEFAULT.follow);
    let tell = |from, by| {
        let (key, solution) = ("door".into(), Cow::Owned(wire::encode("well")));
        let body = wire::encode(&Tell::Solved { key, solution, by }).into();
        let (name, codec) = (Broken::NAME.into(), Codec::Native);
        AgentInput::Notification { name, from, topic: None, codec, body }
    };
    assert_eq!(cage.input(tell(OTHER, ASKER)), []);
    assert!(cage.state().log.is_empty());
    let effects = cage.input(tell(OTHER, OTHER));
    assert_eq!(cage.state().log, ["door well by another"]);
    let forgets =
        |effect: &Effect| matches!(effect, Effect::Forget { wait: of, .. } if *of == wait);
    assert!(effects.iter().any(forgets), "{effects:?}");
    assert!(cage.waits().is_empty());
    cage.replay();
}

#[test]
fn what_is_no_answer_is_one_of_a_member_that_is_gone() {
    let mut cage = fixer("");
    let effects = cage.ask(notice("door", &[ASKER]));
    let (_, wait, ..) = requests(&effects)[0];
    cage.input(came(wait, &[0xff]));
    assert_eq!(cage.state().log, ["mends door", "door well"]);
    cage.replay();
}

#[test]
fn a_solution_that_does_not_decode_is_none() {
    let mut cage = fixer("");
    let effects = cage.ask(notice("door", &[ASKER]));
    let (_, wait, ..) = requests(&effects)[0];
    cage.input(came(wait, &wire::encode(&Reply::Solved { solution: vec![0xff], by: ASKER })));
    let why = "door not: all members that are there have tried; the last said: the solution does \
               not decode";
    assert_eq!(cage.state().log, [why]);
}

/// What is forgotten takes nothing with it that has begun since.
#[test]
fn what_happens_again_later_is_remembered_anew() {
    let mut cage = fixer("");
    cage.ask(notice("door", &[]));
    cage.advance(Patience::DEFAULT.memory);
    cage.ask(notice("door", &[]));
    for number in 0..300 {
        cage.advance(Duration::from_millis(1));
        cage.ask(notice(&number.to_string(), &[]));
    }
    let before = cage.state().log.len();
    assert_eq!(before, 2 * 302);
    // The oldest of those that are remembered made room, and the youngest are still there.
    cage.ask(notice("299", &[]));
    assert_eq!(cage.state().log[before..], ["299 well"]);
    cage.ask(notice("door", &[]));
    assert_eq!(cage.state().log[before + 1..], ["mends door", "door well"]);
}

#[test]
fn a_problem_that_comes_up_again_is_not_forgotten_with_the_earlier_one() {
    let mut cage = fixer("");
    cage.ask(notice("door", &[]));
    cage.advance(Patience::DEFAULT.memory);
    cage.ask(notice("door", &[]));
    // So many that it is looked for what can be forgotten.
    (0..32).for_each(|number| drop(cage.ask(notice(&number.to_string(), &[]))));
    let before = cage.state().log.len();
    cage.ask(notice("door", &[]));
    assert_eq!(cage.state().log[before..], ["door well"]);
}

/// An agent that solves what must be done soon, and asks very many others for something else.
#[derive(Default, Serialize, Deserialize)]
struct Hurried(Vec<String>);

#[derive(Serialize, Deserialize)]
struct Fire;
impl Problem for Fire {
    const NAME: &'static str = "hurried/fire";
    type Solution = ();
    const PATIENCE: Patience =
        Patience { claim: S, follow: Duration::from_secs(4), ..Patience::DEFAULT };
    fn key(&self) -> String {
        String::new()
    }
}

#[derive(Serialize, Deserialize)]
struct Water;
impl Contract for Water {
    const NAME: &'static str = "hurried/water";
    type Bid = ();
    type Grant = ();
    type Report = ();
}

#[derive(Serialize, Deserialize)]
struct Cry {
    asks: u64,
}
impl Request for Cry {
    const NAME: &'static str = "hurried/cry";
    type Reply = ();
}

impl Agent for Hurried {
    const KIND: &'static str = "hurried";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Cry>();
        interests.solves::<Fire>();
        interests.manages::<Water>();
    }
}
impl Answers<Cry> for Hurried {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, cry: Cry) -> Answer<Cry> {
        if cry.asks == 0 {
            cx.solve(&Fire, [ASKER]);
        } else {
            let all =
                (0..cry.asks).map(|of| Address { agent: AgentId(9999 + u128::from(of)), ..OTHER });
            cx.announce(&Water, To::agents(all));
        }
        Answer::now(())
    }
}
impl Solves<Fire> for Hurried {
    fn solve(&mut self, _: &mut Cx<'_, Self>, _: Solving<Fire>, _: &Fire) -> Solved<Fire> {
        Solved::now(())
    }
    fn settled(
        &mut self,
        _: &mut Cx<'_, Self>,
        _: &Fire,
        outcome: Result<Solution<Fire>, Unsolved>,
    ) {
        self.0.push(format!("{:?}", outcome.map(|_| ())));
    }
}
impl Manages<Water> for Hurried {
    fn closed(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Water>) {}
    fn ended(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Water>, _: Settled<Water>) {
        self.0.push("no water".into());
    }
}

fn budgets(effects: &[Effect]) -> Vec<Duration> {
    let budget = |effect: &Effect| match effect {
        Effect::Request { name, budget, .. } if *name == Fire::NAME => Some(*budget),
        _ => None,
    };
    effects.iter().filter_map(budget).collect()
}

#[test]
fn members_wait_for_each_other_as_long_as_the_problem_says() {
    let mut cage = Cage::new(Hurried::default());
    let effects = cage.ask(Cry { asks: 0 });
    assert_eq!(budgets(&effects), [S]);
    let wait = effects.iter().find_map(|effect| match effect {
        Effect::Request { wait, .. } => Some(*wait),
        _ => None,
    });
    let mine = wire::encode(&Reply::Mine(Group::default()));
    assert_eq!(budgets(&cage.input(came(wait.expect("a claim"), &mine))), [S * 4]);
}

#[test]
fn who_waits_for_too_much_asks_no_member_and_acts() {
    let mut cage = Cage::new(Hurried::default());
    // All that an agent may wait for, but what is kept free for windows.
    let most = 65_536 - (3 * 4096 + 256 + 64);
    cage.ask(Cry { asks: most + 1 });
    assert_eq!(cage.state().0, ["no water"], "nobody is asked if not all can be");
    cage.ask(Cry { asks: most });
    assert_eq!(budgets(&cage.ask(Cry { asks: 0 })), []);
    assert_eq!(budgets(&cage.advance(S / 8)), []);
    assert_eq!(cage.state().0, ["no water", "Ok(())"]);
}

/// A fixer whose code means something else by the name of the problem.
#[derive(Default, Serialize, Deserialize)]
struct Reformed(Fixer<false>);

#[derive(Serialize, Deserialize)]
struct Torn(bool, bool);
impl Problem for Torn {
    const NAME: &'static str = Broken::NAME;
    type Solution = String;
    fn key(&self) -> String {
        String::new()
    }
}
impl Agent for Reformed {
    const KIND: &'static str = "fixer";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.solves::<Torn>();
    }
}
impl Solves<Torn> for Reformed {
    fn solve(&mut self, _: &mut Cx<'_, Self>, _: Solving<Torn>, _: &Torn) -> Solved<Torn> {
        panic!("it is no such problem");
    }
    fn settled(&mut self, _: &mut Cx<'_, Self>, _: &Torn, _: Result<Solution<Torn>, Unsolved>) {}
}

#[test]
fn what_the_present_code_cannot_read_it_leaves_to_others() {
    let mut cage = fixer("later");
    let effects = cage.ask(notice("door", &[ASKER]));
    let (_, wait, ..) = requests(&effects)[0];
    let mut reformed: Cage<Reformed> = cage.upgraded();
    reformed.input(AgentInput::Recovered);
    reformed.input(came(wait, &wire::encode(&Reply::Yield(Group::default()))));
    let effects = reformed.input(asked(&follow("door"), ASKER, 1));
    let [(1, Reply::Free { why, .. })] = &replies(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(why.as_deref(), Some("the problem does not decode"));
}

#[test]
fn people_see_what_members_say_to_each_other() {
    let (kinds, members) = (kinds(), || group(&[ASKER]));
    let show = |of, bytes: Vec<u8>| kinds.show("fixer", of, Broken::NAME, &bytes);
    let shown = serde_json::json!({ "members": [ASKER.to_string()], "tried": [] });
    let door = problem("door");
    let solution = wire::encode("well");
    let by = ASKER.to_string();
    let ask = Ask::Claim { key: "door".into(), problem: Cow::Borrowed(&door), group: members() };
    let expected = serde_json::json!({ "claim": "door", "problem": "door", "group": shown });
    assert_eq!(show(BodyOf::Request, wire::encode(&ask)), Some(expected));
    let ask = Ask::Follow { key: "door".into(), group: members() };
    let expected = serde_json::json!({ "follow": "door", "group": shown });
    assert_eq!(show(BodyOf::Request, wire::encode(&ask)), Some(expected));
    let tell = Tell::Solved { key: "door".into(), solution: Cow::Borrowed(&solution), by: ASKER };
    let expected = serde_json::json!({ "solved": "door", "by": by, "solution": "well" });
    assert_eq!(show(BodyOf::Notification, wire::encode(&tell)), Some(expected));
    let why = Some("no tools".to_owned());
    for (reply, expected) in [
        (Reply::Yield(members()), serde_json::json!({ "yield": shown })),
        (Reply::Mine(members()), serde_json::json!({ "mine": shown })),
        (
            Reply::Solved { solution: solution.clone(), by: ASKER },
            serde_json::json!({ "solved": "well", "by": by }),
        ),
        (Reply::Wait(members()), serde_json::json!({ "wait": shown })),
        (
            Reply::Elsewhere { whom: ASKER, group: members() },
            serde_json::json!({ "elsewhere": by, "group": shown }),
        ),
        (
            Reply::Free { group: members(), why },
            serde_json::json!({ "free": shown, "why": "no tools" }),
        ),
        (Reply::Full, serde_json::json!("full")),
    ] {
        assert_eq!(show(BodyOf::Reply, wire::encode(&reply)), Some(expected));
    }
}
