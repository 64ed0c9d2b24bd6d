//! One agent that does what it is told, in a cage.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::Failure,
    limits::{EFFECTS_PER_INPUT_MAX, MAILBOX_MESSAGES_MAX, WAITS_PER_AGENT_MAX},
    wire,
};

use super::{AnyKind, Dialog, Init, Input, Kind, Rejection, prelude::*};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default, Serialize, Deserialize)]
struct Probe {
    log: Vec<String>,
    open: Vec<ReplyTo<Ask>>,
    tasks: Vec<Task>,
    waits: Vec<WaitId>,
    drawn: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
enum Then {
    Rings(String),
    Asked(Await<Ask>),
    Again(u32),
}

impl Continuation<Probe> for Then {
    fn resume(self, agent: &mut Probe, cx: &mut Cx<'_, Probe>) {
        let at = cx.now().as_nanos() / 1_000_000_000;
        agent.log.push(match self {
            Self::Rings(what) => format!("{what}@{at}"),
            Self::Asked(wait) => format!("{:?}@{at}", cx.take(wait)),
            Self::Again(times) => {
                if times > 0 {
                    cx.after(SECOND, Self::Again(times - 1));
                }
                format!("{times}@{at}")
            }
        });
    }
}

#[derive(Serialize, Deserialize)]
enum Ask {
    Now,
    No,
    Later,
    Drop,
    LaterAndNow,
}
impl Request for Ask {
    const NAME: &'static str = "test/ask";
    type Reply = u32;
}

/// Its reply has no form in JSON.
#[derive(Serialize, Deserialize)]
struct Odd;
impl Request for Odd {
    const NAME: &'static str = "test/odd";
    type Reply = BTreeMap<(u8, u8), u8>;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Do {
    Ring(u64, String),
    Again(u32),
    Ask,
    Cancel(usize),
    /// Begins a task within the last one, with a timer and a request in it.
    Begin(u64),
    End(usize),
    Deep(u32),
    /// A task within a task, and a timer in each, after each and outside both.
    Nest,
    Many(usize),
    Effects(usize),
    Reply(u32),
    Refuse,
    Draw,
}
impl Notification for Do {
    const NAME: &'static str = "test/do";
}

impl Agent for Probe {
    const KIND: &'static str = "probe";
    const MAILBOX: u32 = 3;
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Ask>();
        interests.answers::<Odd>();
        interests.listens::<Do>(Scope::Mesh);
    }
}

impl Answers<Ask> for Probe {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, ask: Ask) -> Answer<Ask> {
        match ask {
            Ask::Now => Answer::now(1),
            Ask::No => Answer::refuse("no"),
            Ask::Later => {
                let (answer, to) = Answer::later(cx);
                self.open.push(to);
                answer
            }
            Ask::Drop => Answer::later(cx).0,
            Ask::LaterAndNow => {
                let _ = Answer::<Ask>::later(cx);
                Answer::now(1)
            }
        }
    }
}

impl Answers<Odd> for Probe {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Odd) -> Answer<Odd> {
        Answer::now([((1, 2), 3)].into())
    }
}

impl Collects<Do> for Probe {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, order: Do) {
        match order {
            Do::Ring(secs, what) => {
                self.waits.push(cx.after(Duration::from_secs(secs), Then::Rings(what)));
            }
            Do::Again(times) => {
                cx.after(SECOND, Then::Again(times));
            }
            Do::Ask => self.waits.push(cx.request(Cage::<Self>::ASKER, &Ask::Now, Then::Asked)),
            Do::Cancel(which) => {
                let given_up = cx.cancel(self.waits[which]).is_some();
                self.log.push(format!("cancelled {given_up}"));
            }
            Do::Begin(secs) => self.begin(cx, secs),
            Do::End(which) => cx.end(self.tasks[which]),
            Do::Nest => self.nest(cx),
            Do::Deep(depth) => {
                for _ in 0..depth {
                    self.begin(cx, 1);
                }
            }
            Do::Many(count) => (0..count).for_each(|_| {
                cx.after(SECOND, Then::Again(0));
            }),
            Do::Effects(count) => (0..count).for_each(|_| cx.publish(&Topic::all(), &Do::Draw)),
            Do::Reply(reply) => {
                if let Some(to) = self.open.pop() {
                    cx.reply(to, &reply);
                }
            }
            Do::Refuse => {
                if let Some(to) = self.open.pop() {
                    cx.refuse(to, "no");
                }
            }
            Do::Draw => self.drawn.push(cx.entropy().u64()),
        }
    }

    fn missed(&mut self, _: &mut Cx<'_, Self>, topic: &Topic<Do>, count: u64) {
        self.log.push(format!("{count} missed on {}", topic.name()));
    }
}

impl Probe {
    fn nest(&mut self, cx: &mut Cx<'_, Self>) {
        let ring = |cx: &mut Cx<'_, Self>, what: &str| {
            cx.after(SECOND, Then::Rings(what.to_owned()));
        };
        let outer = cx.begin(SECOND * 9, Then::Rings("outer".to_owned()));
        cx.during(outer, |cx| {
            let inner = cx.begin(SECOND * 9, Then::Rings("inner".to_owned()));
            cx.during(inner, |cx| ring(cx, "in both"));
            ring(cx, "in the outer");
            self.tasks.push(inner);
        });
        ring(cx, "outside");
        self.tasks.push(outer);
    }

    fn begin(&mut self, cx: &mut Cx<'_, Self>, secs: u64) {
        let limit = Duration::from_secs(secs);
        let number = self.tasks.len();
        let expired = Then::Rings(format!("task {number}"));
        let task = match self.tasks.last() {
            Some(outer) => cx.during(*outer, |cx| cx.begin(limit, expired)),
            None => cx.begin(limit, expired),
        };
        cx.during(task, |cx| {
            cx.after(SECOND * 3600, Then::Rings("never".to_owned()));
        });
        self.tasks.push(task);
    }
}

fn probe() -> Cage<Probe> {
    Cage::new(Probe::default())
}

fn secs(by: u64) -> Duration {
    SECOND * u32::try_from(by).expect("a short time")
}

fn forgotten(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Forget { .. })).count()
}

#[test]
fn an_answer_comes_now_or_not_or_later_and_once() {
    let mut cage = probe();
    assert_eq!(cage.ask(Ask::Now), [Effect::reply(&1u32)]);
    assert_eq!(cage.ask(Ask::No), [Effect::refuse("no")]);
    assert_eq!(cage.ask(Ask::Later), []);
    assert_eq!(cage.ask(Ask::Later), []);
    assert_eq!(cage.tell(Do::Reply(7)), [Effect::reply(&7u32)]);
    assert_eq!(cage.tell(Do::Refuse), [Effect::refuse("no")]);
    assert_eq!(cage.tell(Do::Reply(7)), []);
    cage.replay();
}

#[test]
fn a_promise_that_was_dropped_stays_open() {
    let kind = Kind::<Probe>::new();
    let mut ball = kind.make(&Init::Default).expect("the default state");
    let dialog = Dialog { asker: Cage::<Probe>::ASKER, number: 5, json: false };
    let body = wire::encode(&Ask::Drop).into();
    let input = Input::Request { name: Ask::NAME.into(), dialog, body };
    let (seed, mut effects) = (starling_protocols::entropy::Entropy::from_seed([0; 32]), vec![]);
    let (me, now, wall) = (Cage::<Probe>::ME, Time::ZERO, WallTime::from_millis(0));
    let turn = super::Turn::new(me, &seed, now, wall, 0, &input, &mut effects);
    assert_eq!(kind.handle(&mut ball, &input, turn), Ok(()));
    assert_eq!((effects, kind.deferred(&ball)), (vec![], vec![dialog]));
}

#[test]
#[should_panic(expected = "a request has a dialog")]
fn to_promise_and_to_answer_is_a_mistake() {
    probe().ask(Ask::LaterAndNow);
}

#[test]
fn timers_ring_in_the_order_of_their_times() {
    let mut cage = probe();
    for (at, what) in [(3, "c"), (1, "a"), (2, "b"), (9, "z")] {
        cage.tell(Do::Ring(at, what.to_owned()));
    }
    cage.tell(Do::Again(2));
    cage.advance(secs(3));
    assert_eq!(cage.state().log, ["a@1", "2@1", "b@2", "1@2", "c@3", "0@3"]);
    cage.replay();
}

#[test]
fn what_is_cancelled_does_not_come_and_is_cancelled_once() {
    let mut cage = probe();
    cage.tell(Do::Ring(1, "a".to_owned()));
    assert_eq!(forgotten(&cage.tell(Do::Cancel(0))), 1);
    assert_eq!(cage.tell(Do::Cancel(0)), []);
    cage.advance(secs(9));
    assert_eq!(cage.state().log, ["cancelled true", "cancelled false"]);
    cage.replay();
}

#[test]
fn a_stale_id_is_nobodys() {
    let mut cage = probe();
    cage.tell(Do::Ask);
    cage.tell(Do::Cancel(0));
    cage.tell(Do::Ask);
    let (stale, fresh) = (cage.state().waits[0], cage.state().waits[1]);
    assert_ne!(stale, fresh, "the place is taken again, by another generation");
    assert_eq!(stale.0 as u32, fresh.0 as u32);
    for stale in [stale, WaitId(u64::MAX), WaitId(fresh.0 + 1)] {
        assert_eq!(cage.answer::<Ask>(stale, &1), []);
    }
    assert_eq!(cage.state().log, ["cancelled true"]);
    cage.answer::<Ask>(fresh, &2);
    cage.answer::<Ask>(fresh, &3);
    assert_eq!(cage.state().log[1..], ["Ok(2)@0"]);
    cage.replay();
}

#[test]
fn a_request_learns_of_its_failure_and_of_its_time() {
    let mut cage = probe();
    cage.tell(Do::Ask);
    cage.fail(cage.state().waits[0], Failure::Gone);
    cage.tell(Do::Ask);
    cage.advance(Ask::BUDGET);
    assert_eq!(cage.state().log, ["Err(Gone)@0", "Err(TimedOut)@10"]);
    let body = Cow::Owned(vec![255; 9]);
    cage.tell(Do::Ask);
    cage.input(Input::Resume { wait: cage.state().waits[2], outcome: Some(Ok(body)) });
    assert!(cage.state().log[2].starts_with("Err(BadBody("));
    cage.replay();
}

#[test]
fn the_end_of_a_task_is_the_end_of_all_within() {
    let mut cage = probe();
    cage.tell(Do::Deep(3));
    assert_eq!(forgotten(&cage.tell(Do::End(1))), 4, "two tasks with a timer each");
    assert_eq!(cage.tell(Do::End(1)), []);
    assert_eq!(forgotten(&cage.tell(Do::End(0))), 2);
    cage.advance(secs(7200));
    assert!(cage.state().log.is_empty());
    cage.replay();
}

#[test]
fn what_is_begun_after_an_inner_task_belongs_to_the_outer_one() {
    let mut cage = probe();
    cage.tell(Do::Nest);
    assert_eq!(forgotten(&cage.tell(Do::End(0))), 2, "the inner task and its timer");
    assert_eq!(forgotten(&cage.tell(Do::End(1))), 2, "the outer task and its timer");
    cage.advance(secs(20));
    assert_eq!(cage.state().log, ["outside@1"]);
    cage.replay();
}

#[test]
fn a_task_that_expires_ends_what_is_within_and_says_so() {
    let mut cage = probe();
    cage.tell(Do::Begin(5));
    cage.tell(Do::Begin(9));
    let effects = cage.advance(secs(7200));
    assert_eq!(forgotten(&effects), 3, "its timer, the inner task and that one's timer");
    assert_eq!(cage.state().log, ["task 0@5"]);
    cage.replay();
}

#[test]
fn tasks_may_be_very_deep() {
    let depth = u32::try_from(WAITS_PER_AGENT_MAX / 2).expect("it fits");
    let mut cage = probe();
    cage.tell(Do::Deep(depth));
    assert_eq!(forgotten(&cage.tell(Do::End(0))), WAITS_PER_AGENT_MAX);
}

#[test]
fn entropy_differs_by_input_and_replays() {
    let mut cages = [probe(), probe()];
    for cage in &mut cages {
        for _ in 0..4 {
            cage.tell(Do::Draw);
        }
        cage.replay();
    }
    let drawn = &cages[0].state().drawn;
    assert_eq!(*drawn, cages[1].state().drawn);
    let all: std::collections::BTreeSet<_> = drawn.iter().collect();
    assert_eq!(all.len(), 4);
}

#[test]
fn caps_end_the_agent() {
    assert_eq!(probe().tell(Do::Effects(EFFECTS_PER_INPUT_MAX)).len(), EFFECTS_PER_INPUT_MAX);
    let panics = |order: Do| std::panic::catch_unwind(move || probe().tell(order)).is_err();
    assert!(panics(Do::Effects(EFFECTS_PER_INPUT_MAX + 1)));
    assert!(!panics(Do::Many(WAITS_PER_AGENT_MAX)));
    let mut full = probe();
    full.tell(Do::Many(WAITS_PER_AGENT_MAX));
    let one_more = std::panic::AssertUnwindSafe(|| full.tell(Do::Many(1)));
    assert!(std::panic::catch_unwind(one_more).is_err());
}

#[test]
fn missed_messages_are_told_where_they_are_collected() {
    let mut cage = probe();
    let topic = Topic::<Do>::room("x").expect("a topic").name().clone();
    assert_eq!(cage.input(Input::Missed { topic, count: 3 }), []);
    assert_eq!(cage.state().log, ["3 missed on test/do#x"]);
    let topic = "test/ask".parse().expect("a topic");
    assert_eq!(cage.input(Input::Missed { topic, count: 3 }), []);
    let topic = "test/other".parse().expect("a topic");
    let (handled, effects) = cage.try_input(Input::Missed { topic, count: 3 });
    assert_eq!((handled, effects), (Err(Rejection::Unknown), vec![]));
    cage.replay();
}

fn json(cage: &mut Cage<Probe>, name: &'static str, body: &str) -> Result<Effect, Rejection> {
    let dialog = Dialog { asker: Cage::<Probe>::ASKER, number: 9, json: true };
    let body = Cow::Owned(body.as_bytes().to_vec());
    let (handled, mut effects) = cage.try_input(Input::Request { name: name.into(), dialog, body });
    handled.map(|()| effects.pop().expect("an answer"))
}

#[test]
fn json_is_answered_in_json_and_mistakes_are_told() {
    let mut cage = probe();
    let to = Dialog { asker: Cage::<Probe>::ASKER, number: 9, json: true };
    let outcome = Ok(b"1".to_vec());
    assert_eq!(json(&mut cage, Ask::NAME, "\"Now\""), Ok(Effect::Reply { to, outcome }));
    for bad in ["\"Never\"", "", "\"Now\" 1", "{\"Later\": 1}", "\u{0}", &"[".repeat(10_000)] {
        let rejected = json(&mut cage, Ask::NAME, bad);
        assert!(matches!(rejected, Err(Rejection::BadBody(_))), "{bad:?}: {rejected:?}");
    }
    assert_eq!(json(&mut cage, "test/do", "\"Draw\""), Err(Rejection::Unknown));
    match json(&mut cage, Odd::NAME, "null") {
        Ok(Effect::Reply { outcome: Err(Failure::Refused(why)), .. }) => {
            assert!(why.contains("no form in JSON"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    cage.replay();
}

#[test]
fn a_state_in_json_names_the_field_that_is_wrong() {
    let kind = Kind::<Probe>::new();
    let whole = serde_json::to_string(&Probe::default()).expect("it has a form in JSON");
    assert!(kind.make(&Init::Json(whole.clone())).is_ok());
    let wrong = whole.replace("\"drawn\":[]", "\"drawn\":[1,\"x\"]");
    let Err(Rejection::BadBody(why)) = kind.make(&Init::Json(wrong)) else { panic!("refused") };
    assert!(why.starts_with("drawn[1]: "), "{why}");
    assert!(kind.make(&Init::Native(vec![1, 2, 3])).is_err());
}

#[test]
fn a_kind_tells_what_it_is() {
    let kind = Kind::<Probe>::new();
    assert_eq!((kind.name(), kind.mailbox()), ("probe", 3));
    assert_eq!(<Still as Agent>::MAILBOX, MAILBOX_MESSAGES_MAX);
    let all = [("test/ask", true), ("test/do", false), ("test/odd", true)];
    assert_eq!(kind.understands(), all);
    assert_eq!((kind.find("test/do", true), kind.find("test/do", false)), (None, Some("test/do")));
    assert_eq!(kind.topics(), [Topic::<Do>::all().name().clone()]);
}

#[test]
fn a_topic_of_another_notification_is_not_read_as_ones_own() {
    let read = |name: &str| serde_json::from_value::<Topic<Do>>(name.into());
    assert_eq!(read("test/do#4").expect("its own"), Topic::room("4").expect("a topic"));
    assert!(read("test/other#4").is_err() && read("shard:test/do x").is_err());
}

/// An agent that is not deterministic, in one of two ways.
#[derive(Default, Serialize, Deserialize)]
struct Still {
    numbers: HashMap<u32, u32>,
}
static GLOBAL: AtomicU64 = AtomicU64::new(0);

impl Agent for Still {
    const KIND: &'static str = "still";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.collects::<Do>();
    }
}
impl Collects<Do> for Still {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, order: Do) {
        match order {
            Do::Ask => {
                let number = u32::try_from(GLOBAL.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
                cx.publish(&Topic::all(), &Do::Again(number));
            }
            Do::Many(count) => self.numbers.extend((0..).zip(0..).take(count)),
            Do::Draw => self.numbers.keys().for_each(|n| cx.publish(&Topic::all(), &Do::Again(*n))),
            _ => {}
        }
    }
}

fn replay_fails(orders: &[Do]) -> String {
    let mut cage = Cage::new(Still::default());
    for order in orders {
        cage.tell(order.clone());
    }
    let replay = std::panic::AssertUnwindSafe(|| cage.replay());
    let panic = std::panic::catch_unwind(replay).expect_err("it replays differently");
    panic.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn replay_finds_the_input_at_which_something_else_decided() {
    let by_a_global = replay_fails(&[Do::Refuse, Do::Refuse, Do::Ask, Do::Ask]);
    assert!(by_a_global.contains("input 2 (Notification"), "{by_a_global}");
    let by_a_hash = replay_fails(&[Do::Refuse, Do::Many(50), Do::Draw]);
    assert!(by_a_hash.contains("input 1 (Notification"), "{by_a_hash}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_replays_and_comes_back_from_bytes(
        orders in prop::collection::vec(order(), 0..40),
    ) {
        let mut cage = probe();
        for (order, by) in orders {
            let order = match order {
                Do::Cancel(which) if which >= cage.state().waits.len() => Do::Draw,
                Do::End(which) if which >= cage.state().tasks.len() => Do::Draw,
                order => order,
            };
            cage.tell(order);
            cage.advance(secs(by));
        }
        cage.replay();
        let state = wire::encode(cage.state());
        let ball: Probe = wire::decode(&state, state.len()).expect("it reads back");
        prop_assert_eq!(wire::encode(&ball), state);
    }
}

fn order() -> impl Strategy<Value = (Do, u64)> {
    let order = prop_oneof![
        (0..9u64).prop_map(|at| Do::Ring(at, "x".to_owned())),
        (0..9usize).prop_map(Do::Cancel),
        (0..9u64).prop_map(Do::Begin),
        (0..9usize).prop_map(Do::End),
        Just(Do::Ask),
        Just(Do::Draw),
        (0..3u32).prop_map(Do::Again),
    ];
    (order, 0..4u64)
}

#[test]
fn an_address_is_read_as_people_see_it_and_as_programs_write_it() {
    let address = Address { host: HostId([7; 32]), agent: AgentId(9) };
    let written = serde_json::to_string(&address).expect("it has a form in JSON");
    assert!(written.starts_with("{\"host\":"), "{written}");
    for text in [written, format!("\"{address}\"")] {
        assert_eq!(serde_json::from_str::<Address>(&text).expect("an address"), address);
    }
    let why = serde_json::from_str::<Address>("7").expect_err("no address");
    assert!(why.to_string().contains("AGENT@HOST"), "{why}");
}

#[test]
#[should_panic(expected = "kind deaf declares agent/ping, which every agent answers")]
fn no_kind_declares_what_every_agent_answers() {
    #[derive(Default, Serialize, Deserialize)]
    struct Deaf;
    impl Agent for Deaf {
        const KIND: &'static str = "deaf";
        type Then = Never;
        fn interests(interests: &mut Interests<Self>) {
            interests.answers::<super::Ping>();
        }
    }
    impl Answers<super::Ping> for Deaf {
        fn answer(&mut self, _: &mut Cx<'_, Self>, _: super::Ping) -> Answer<super::Ping> {
            Answer::now(())
        }
    }
    let _ = Cage::new(Deaf);
}
