use std::borrow::Cow;

use starling_protocols::{
    ident::{AgentId, HostId},
    solver::{Ask, Group, Reply},
};

use super::*;
use crate::agent::{
    Cage, Collects, Dialog, Effect, Input, Interests, Never, Notification, cage::DIALOG,
};

#[derive(Serialize, Deserialize)]
struct Leak;
impl Problem for Leak {
    const NAME: &'static str = "plumber/leak";
    type Solution = ();
    fn key(&self) -> String {
        "cellar".into()
    }
}

/// The agent sees a leak, and nobody else does.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct See;
impl Notification for See {
    const NAME: &'static str = "plumber/see";
}

/// One that takes its time.
#[derive(Default, Serialize, Deserialize)]
struct Plumber {
    task: Option<Solving<Leak>>,
    told: Vec<String>,
}
impl Agent for Plumber {
    const KIND: &'static str = "plumber";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.collects::<See>();
        interests.solves::<Leak>();
    }
}
impl Collects<See> for Plumber {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, _: See) {
        cx.solve(&Leak, []);
    }
}
impl Solves<Leak> for Plumber {
    fn solve(&mut self, _: &mut Cx<'_, Self>, task: Solving<Leak>, _: &Leak) -> Solved<Leak> {
        self.task = Some(task);
        Solved::later()
    }
    fn settled(&mut self, _: &mut Cx<'_, Self>, _: &Leak, how: Result<Solution<Leak>, Unsolved>) {
        self.told.push(how.map_or_else(|why| why.to_string(), |_| "solved".to_owned()));
    }
}

/// The same agent with other code.
#[derive(Default, Serialize, Deserialize)]
struct Retired {
    task: Option<u64>,
    told: Vec<String>,
    #[serde(skip)]
    remembers: bool,
}
impl Agent for Retired {
    const KIND: &'static str = "plumber";
    type Then = Never;
    fn interests(_: &mut Interests<Self>) {}
    fn recovered(&mut self, cx: &mut Cx<'_, Self>) {
        self.remembers = !cx.dealings.problems.is_empty();
    }
}

const OTHER: Address = Address { host: HostId([3; 32]), agent: AgentId(1 << 80) };
const FOLLOWER: Dialog = Dialog { asker: OTHER, ..DIALOG };

fn asked(ask: &Ask<'_>) -> Input<'static> {
    let body = encode(ask).into();
    Input::Request { name: Leak::NAME.into(), dialog: FOLLOWER, body }
}

#[test]
fn what_the_code_does_not_solve_any_more_is_left_to_others_and_forgotten() {
    let mut cage = Cage::new(Plumber::default());
    cage.tell(See);
    assert!(cage.state().task.is_some());
    cage.input(asked(&Ask::Follow { key: Cow::Borrowed("cellar"), group: Group::default() }));
    assert_eq!((cage.deferred(), cage.waits().len()), (1, 1));
    let mut retired: Cage<Retired> = cage.upgraded();
    let effects = retired.input(Input::Recovered);
    let [Effect::Reply { to: FOLLOWER, outcome: Ok(reply) }, Effect::Forget { .. }] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    let reply: Reply = starling_protocols::wire::decode(reply, reply.len()).expect("a reply");
    let Reply::Free { why: Some(why), .. } = reply else { panic!("{reply:?}") };
    assert_eq!(why, "the solver was stopped");
    assert_eq!((retired.deferred(), retired.waits().len()), (0, 0));
    assert!(!retired.state().remembers);
}

#[test]
fn what_has_ended_is_forgotten_with_the_code_that_solved_it() {
    let mut cage = Cage::new(Plumber::default());
    cage.tell(See);
    cage.advance(Leak::PATIENCE.total);
    assert_eq!(cage.state().told.len(), 1);
    // The same code remembers it.
    let mut same: Cage<Plumber> = cage.upgraded();
    assert_eq!(same.input(Input::Recovered), []);
    let follow = Ask::Follow { key: Cow::Borrowed("cellar"), group: Group::default() };
    let effects = same.input(asked(&follow));
    let [Effect::Reply { outcome: Ok(reply), .. }] = &effects[..] else { panic!("{effects:?}") };
    let reply: Reply = starling_protocols::wire::decode(reply, reply.len()).expect("a reply");
    assert!(matches!(reply, Reply::Free { why: Some(_), .. }), "{reply:?}");
    let mut retired: Cage<Retired> = cage.upgraded();
    assert_eq!(retired.input(Input::Recovered), []);
    assert!(!retired.state().remembers);
}
