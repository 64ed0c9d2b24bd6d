//! One agent that has one of everything, in a cage.

use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use starling_protocols::limits::REASON_BYTES_MAX;

use super::*;
use crate::agent::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Probe {
    log: Vec<String>,
    retry: Retry,
    periodic: Periodic,
    one: Singleton,
    events: Events<u32>,
    runs: Vec<Task>,
    outer: Option<Task>,
    waits: Vec<WaitId>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            retry: Retry::new(),
            periodic: Periodic::new(SECOND * 30).limit(SECOND * 10),
            one: Singleton::new(SECOND * 5).limit(SECOND * 10),
            events: Events::default(),
            runs: Vec::new(),
            outer: None,
            waits: Vec::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Then {
    Round,
    One,
    TooLong,
    Ring,
    Happened(EventWait<u32>),
}

impl Continuation<Probe> for Then {
    fn resume(self, agent: &mut Probe, cx: &mut Cx<'_, Probe>) {
        let text = match self {
            Self::Round => match agent.periodic.due(cx, Self::Round) {
                Some(run) => agent.begun("round", run, cx),
                None => "round too long".to_owned(),
            },
            Self::One => match agent.one.due(cx, Self::TooLong) {
                Some(run) => agent.begun("one", run, cx),
                None => "nothing due".to_owned(),
            },
            Self::TooLong => "one too long".to_owned(),
            Self::Ring => "ring".to_owned(),
            Self::Happened(wait) => format!("{:?}", agent.events.take(wait)),
        };
        agent.say(cx, &text);
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Do {
    Fail,
    Succeed,
    Start,
    Due,
    Finish(usize),
    FinishWithin(usize),
    Stop,
    StartOne,
    DueOne,
    FinishOne(usize),
    CancelOne,
    EndOne(usize),
    Wait(String, u64),
    Fire(String, u32),
    FailEvent(String, String),
    Cancel(usize),
    /// Does it as a part of a task, which is begun if there is none.
    Within(Box<Do>),
    EndOuter,
}
impl Notification for Do {
    const NAME: &'static str = "test/do";
}

impl Agent for Probe {
    const KIND: &'static str = "probe";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.collects::<Do>();
    }
}

impl Collects<Do> for Probe {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, order: Do) {
        match order {
            Do::Fail => {
                let failed = self.retry.failed(cx);
                self.say(cx, &format!("{failed:?}"));
            }
            Do::Succeed => {
                let resolve = self.retry.succeeded();
                self.say(cx, &format!("resolve {resolve}"));
            }
            Do::Start => {
                let is_new = self.periodic.start(cx, Then::Round);
                self.say(cx, &format!("new {is_new}"));
            }
            Do::Due => {
                let due = self.periodic.due(cx, Then::Round).is_some();
                self.say(cx, &format!("due {due}"));
            }
            Do::Finish(run) => self.periodic.finished(cx, self.runs[run], Then::Round),
            Do::FinishWithin(run) => cx.during(self.runs[run], |cx| {
                self.periodic.finished(cx, self.runs[run], Then::Round);
            }),
            Do::Stop => self.periodic.stop(cx),
            Do::Within(order) => {
                let outer = *self.outer.get_or_insert_with(|| cx.begin(SECOND * 999, Then::Ring));
                cx.during(outer, |cx| self.collect(cx, *order));
            }
            Do::EndOuter => {
                let outer = self.outer.take().expect("one was begun");
                cx.end(outer);
            }
            other => self.collect_more(cx, other),
        }
    }
}

impl Probe {
    fn collect_more(&mut self, cx: &mut Cx<'_, Self>, order: Do) {
        match order {
            Do::StartOne => {
                let started = self.one.start(cx, Then::One);
                self.say(cx, &format!("{started:?}"));
            }
            Do::DueOne => {
                let due = self.one.due(cx, Then::TooLong).is_some();
                self.say(cx, &format!("due {due}"));
            }
            Do::FinishOne(run) => self.one.finished(cx, self.runs[run]),
            Do::CancelOne => {
                let was = self.one.cancel(cx);
                self.say(cx, &format!("cancelled {was}"));
            }
            Do::EndOne(run) => cx.end(self.runs[run]),
            Do::Wait(name, secs) => {
                let limit = Duration::from_secs(secs);
                self.waits.push(self.events.wait(cx, &name, limit, Then::Happened));
            }
            Do::Fire(name, value) => {
                let resumed = self.events.fire(cx, &name, &value);
                self.say(cx, &format!("resumes {resumed}"));
            }
            Do::FailEvent(name, why) => {
                self.events.fail(cx, &name, &why);
            }
            Do::Cancel(which) => drop(cx.cancel(self.waits[which])),
            _ => unreachable!("the rest is done elsewhere"),
        }
    }

    fn begun(&mut self, what: &str, run: Task, cx: &mut Cx<'_, Self>) -> String {
        cx.during(run, |cx| cx.after(SECOND * 3600, Then::Ring));
        self.runs.push(run);
        format!("{what} {}", self.runs.len() - 1)
    }

    fn say(&mut self, cx: &Cx<'_, Self>, text: &str) {
        let millis = cx.now().as_nanos() / 1_000_000;
        self.log.push(format!("{}.{:03} {text}", millis / 1000, millis % 1000));
    }
}

fn probe() -> Cage<Probe> {
    Cage::new(Probe::default())
}

fn with_retry(retry: Retry) -> Cage<Probe> {
    Cage::new(Probe { retry, ..Probe::default() })
}

/// The delays that a number of failures in a row brought.
fn delays(cage: &mut Cage<Probe>, count: usize) -> Vec<Option<Duration>> {
    let mut retry = cage.state().retry.clone();
    let mut delays = Vec::new();
    for _ in 0..count {
        cage.tell(Do::Fail);
        let log = cage.state().log.last().expect("it was told");
        let is_end = log.contains("GiveUp");
        retry.failures += 1;
        delays.push((!is_end).then_some(retry.delay()));
    }
    delays
}

#[test]
fn delays_double_up_to_the_ceiling_and_attempts_end() {
    let secs = |secs: u64| Some(Duration::from_secs(secs));
    let mut cage = probe();
    let all = [1, 2, 4, 8, 16, 32, 60, 60].map(secs);
    assert_eq!(delays(&mut cage, 8), all);
    cage.tell(Do::Succeed);
    assert_eq!(delays(&mut cage, 1), [secs(1)]);
    cage.replay();
    let mut cage = with_retry(Retry::new().attempts(3).initial(SECOND * 9).ceiling(SECOND * 10));
    assert_eq!(delays(&mut cage, 4), [secs(9), secs(10), None, None]);
    let least = Some(Duration::from_millis(1));
    let mut cage = with_retry(Retry::new().initial(Duration::ZERO).ceiling(Duration::ZERO));
    assert_eq!(delays(&mut cage, 2), [least, least]);
    let mut retry = Retry::new();
    retry.failures = u32::MAX - 3;
    let mut cage = with_retry(retry);
    assert_eq!(delays(&mut cage, 3), [secs(60); 3]);
}

#[test]
fn what_is_waited_is_between_half_and_all_and_differs() {
    let mut cage = with_retry(Retry::new().initial(SECOND * 8).ceiling(SECOND * 8));
    for _ in 0..20 {
        cage.tell(Do::Fail);
    }
    let waited = cage.state().log.iter().map(|log| {
        let (_, rest) = log.split_once("Again(").expect("it goes on");
        rest.split_once("s)").expect("seconds").0.parse::<f64>().expect("a number")
    });
    let waited: Vec<f64> = waited.collect();
    assert!(waited.iter().all(|secs| (4.0..=8.0).contains(secs)), "{waited:?}");
    assert!(waited.windows(2).all(|two| two[0] != two[1]), "{waited:?}");
    cage.replay();
}

#[test]
fn an_alert_is_raised_from_a_failure_on_and_resolved_once() {
    let mut cage = with_retry(Retry::new().alert_after(3));
    for _ in 0..4 {
        cage.tell(Do::Fail);
    }
    let alerts = cage.state().log.iter().map(|log| log.contains("alert: true"));
    assert_eq!(alerts.collect::<Vec<_>>(), [false, false, true, true]);
    for order in [Do::Succeed, Do::Succeed, Do::Fail, Do::Succeed] {
        cage.tell(order);
    }
    let log = &cage.state().log[4..];
    assert_eq!((&*log[0], &*log[1]), ("0.000 resolve true", "0.000 resolve false"));
    assert!(log[2].ends_with("alert: false }"), "{log:?}");
    assert_eq!(log[3], "0.000 resolve false");
    cage.replay();
}

fn wake(at: u64, wait: WaitId) -> Effect {
    Effect::Wake { at: Time::ZERO + SECOND * u32::try_from(at).expect("soon"), wait }
}

fn forget(at: u64, wait: WaitId) -> Effect {
    Effect::Forget { at: Time::ZERO + SECOND * u32::try_from(at).expect("soon"), wait }
}

#[test]
fn a_run_comes_at_once_and_then_a_period_after_the_last_has_finished() {
    let mut cage = probe();
    let first = cage.tell(Do::Start);
    assert_eq!(first, [wake(0, cage.waits()[0])]);
    assert_eq!(cage.tell(Do::Start), []);
    let effects = cage.advance(Duration::ZERO);
    let [run, ring] = cage.waits()[..] else { panic!("a run and what it waits for") };
    assert_eq!(effects, [wake(10, run), wake(3600, ring)]);
    cage.advance(SECOND * 4);
    let effects = cage.tell(Do::Finish(0));
    assert_eq!(effects, [forget(10, run), forget(3600, ring), wake(34, cage.waits()[0])]);
    assert_eq!(cage.tell(Do::Finish(0)), [], "it was finished");
    cage.advance(SECOND * 30);
    assert_eq!(
        cage.state().log,
        ["0.000 new true", "0.000 new false", "0.000 round 0", "34.000 round 1"]
    );
    cage.replay();
}

#[test]
fn a_run_that_nobody_finishes_does_not_end_it() {
    let mut cage = probe();
    cage.tell(Do::Start);
    cage.advance(SECOND * 100);
    let log = &cage.state().log[1..];
    let times =
        ["0.000 round 0", "10.000 round too long", "40.000 round 1", "50.000 round too long"];
    assert_eq!((&log[..4], log.len()), (&times.map(str::to_owned)[..], 6));
    assert_eq!(cage.tell(Do::Finish(0)), [], "that run is over");
    assert_eq!(cage.waits().len(), 1, "what the runs waited for was given up");
    cage.replay();
}

#[test]
fn what_is_not_due_is_not_run_and_what_is_stopped_does_not_come() {
    let mut cage = probe();
    cage.tell(Do::Due);
    cage.tell(Do::Start);
    assert_eq!(cage.tell(Do::Due), []);
    let wait = cage.waits()[0];
    assert_eq!(cage.tell(Do::Stop), [forget(0, wait)]);
    assert_eq!(cage.tell(Do::Stop), []);
    cage.tell(Do::Start);
    cage.advance(SECOND);
    assert_eq!(cage.tell(Do::Due), [], "it is running");
    assert_eq!(cage.tell(Do::Stop).len(), 2, "the run and what it waits for");
    assert_eq!(cage.tell(Do::Finish(0)), []);
    assert_eq!(cage.waits(), []);
    cage.replay();
}

#[test]
fn a_run_that_was_ended_otherwise_can_be_started_again() {
    let mut cage = probe();
    cage.tell(Do::Start);
    cage.advance(SECOND);
    cage.tell(Do::EndOne(0));
    cage.advance(SECOND * 99);
    cage.tell(Do::Start);
    cage.advance(SECOND);
    assert_eq!(cage.state().log[2..], ["100.000 new true", "100.000 round 1"]);
}

#[test]
fn it_goes_on_whatever_task_it_was_started_or_finished_in() {
    let mut cage = probe();
    cage.tell(Do::Within(Box::new(Do::Start)));
    cage.tell(Do::EndOuter);
    cage.advance(SECOND);
    cage.tell(Do::Within(Box::new(Do::FinishWithin(0))));
    cage.tell(Do::EndOuter);
    cage.advance(SECOND * 30);
    assert_eq!(cage.state().log, ["0.000 new true", "0.000 round 0", "31.000 round 1"]);
    cage.replay();
}

#[test]
fn what_is_started_while_it_runs_is_ignored_and_too_soon_is_later() {
    let mut cage = probe();
    assert_eq!(cage.tell(Do::StartOne), [wake(0, cage.waits()[0])]);
    cage.tell(Do::StartOne);
    cage.advance(SECOND);
    cage.tell(Do::StartOne);
    let [run, ring] = cage.waits()[..] else { panic!("a run and what it waits for") };
    assert_eq!(cage.tell(Do::FinishOne(0)), [forget(10, run), forget(3600, ring)]);
    cage.advance(SECOND * 2);
    assert_eq!(cage.tell(Do::StartOne), [wake(6, cage.waits()[0])]);
    cage.tell(Do::StartOne);
    cage.tell(Do::FinishOne(0));
    cage.advance(SECOND * 3);
    cage.tell(Do::FinishOne(1));
    cage.advance(SECOND * 5);
    cage.tell(Do::StartOne);
    let at = Time::ZERO + SECOND * 6;
    let later = format!("3.000 {:?}", Started::At(at));
    let log: Vec<&str> = cage.state().log.iter().map(String::as_str).collect();
    let begin = ["0.000 Now", "0.000 Ignored", "0.000 one 0", "1.000 Ignored", &later];
    let end = ["3.000 Ignored", "6.000 one 1", "11.000 Now"];
    assert_eq!(log, [&begin[..], &end[..]].concat());
    cage.replay();
}

#[test]
fn a_run_that_takes_too_long_is_over_and_may_be_started_again() {
    let mut cage = probe();
    cage.tell(Do::StartOne);
    cage.advance(SECOND * 12);
    cage.tell(Do::FinishOne(0));
    cage.tell(Do::StartOne);
    let later = format!("12.000 {:?}", Started::At(Time::ZERO + SECOND * 15));
    assert_eq!(cage.state().log[1..], ["0.000 one 0", "10.000 one too long", &later]);
    cage.replay();
}

#[test]
fn a_start_can_be_taken_back_and_nothing_is_due_that_was_not_started() {
    let mut cage = probe();
    cage.tell(Do::CancelOne);
    cage.tell(Do::DueOne);
    cage.tell(Do::StartOne);
    cage.tell(Do::DueOne);
    let wait = cage.waits()[0];
    assert_eq!(cage.tell(Do::CancelOne), [forget(0, wait)]);
    cage.advance(SECOND);
    cage.tell(Do::StartOne);
    cage.advance(SECOND);
    cage.tell(Do::EndOne(0));
    cage.tell(Do::StartOne);
    let log: Vec<&str> = cage.state().log.iter().map(String::as_str).collect();
    let begin = ["0.000 cancelled false", "0.000 due false", "0.000 Now", "0.000 due false"];
    let later = format!("2.000 {:?}", Started::At(Time::ZERO + SECOND * 7));
    let end = ["0.000 cancelled true", "1.000 Now", "1.000 one 0", &later];
    assert_eq!(log, [&begin[..], &end[..]].concat());
    cage.replay();
}

#[test]
fn one_run_goes_on_whatever_task_it_was_started_in() {
    let mut cage = probe();
    cage.tell(Do::Within(Box::new(Do::StartOne)));
    cage.tell(Do::EndOuter);
    cage.advance(SECOND);
    assert_eq!(cage.state().log, ["0.000 Now", "0.000 one 0"]);
}

fn wait(name: &str, secs: u64) -> Do {
    Do::Wait(name.to_owned(), secs)
}

fn fire(name: &str, value: u32) -> Do {
    Do::Fire(name.to_owned(), value)
}

/// What is left when so many have waited.
fn no_waiters(last: u64) -> Events<u32> {
    let mut events = Events::default();
    events.last = last;
    events
}

#[test]
fn all_who_wait_are_resumed_once_with_the_news() {
    let mut cage = probe();
    for order in [wait("a", 9), wait("b", 9), wait("a", 1), fire("a", 7)] {
        cage.tell(order);
    }
    let waits = cage.state().waits.clone();
    cage.tell(fire("a", 8));
    cage.tell(Do::Cancel(0));
    assert_eq!(cage.advance(Duration::ZERO), []);
    assert_eq!(
        cage.state().log,
        ["0.000 resumes 2", "0.000 resumes 0", "0.000 Fired(7)", "0.000 Fired(7)"]
    );
    let effects = cage.tell(Do::FailEvent("b".to_owned(), "é".repeat(REASON_BYTES_MAX)));
    assert_eq!(effects, [forget(9, waits[1]), wake(0, cage.waits()[0])]);
    cage.advance(SECOND * 20);
    let why = "é".repeat(REASON_BYTES_MAX / 2);
    assert_eq!(cage.state().log[4..], [format!("0.000 Failed({why:?})")]);
    assert_eq!(cage.state().events, no_waiters(3));
    cage.replay();
}

#[test]
fn who_waits_too_long_learns_of_it_and_who_comes_late_waits_for_the_next() {
    let mut cage = probe();
    cage.tell(fire("a", 1));
    cage.tell(wait("a", 5));
    cage.tell(wait("a", 9));
    cage.advance(SECOND * 5);
    cage.tell(fire("a", 2));
    cage.advance(SECOND * 9);
    let log = ["0.000 resumes 0", "5.000 TimedOut", "5.000 resumes 1", "5.000 Fired(2)"];
    assert_eq!(cage.state().log, log);
    assert_eq!(cage.state().events, no_waiters(2));
    cage.replay();
}

#[test]
fn who_is_given_up_is_not_resumed_and_is_forgotten() {
    let mut cage = probe();
    for _ in 0..100 {
        cage.tell(Do::Within(Box::new(wait("a", 9))));
        cage.tell(Do::EndOuter);
    }
    assert!(cage.state().events.count <= events::WAITERS_MIN, "{}", cage.state().events.count);
    cage.tell(wait("a", 9));
    cage.tell(fire("a", 1));
    cage.advance(SECOND);
    assert_eq!(cage.state().log, ["0.000 resumes 1", "0.000 Fired(1)"]);
    cage.replay();
}

#[test]
fn who_was_told_comes_back_whatever_task_has_told_it() {
    let mut cage = probe();
    cage.tell(wait("a", 9));
    cage.tell(Do::Within(Box::new(fire("a", 1))));
    cage.tell(Do::EndOuter);
    cage.advance(SECOND);
    assert_eq!(cage.state().log, ["0.000 resumes 1", "0.000 Fired(1)"]);
    cage.replay();
}

fn order() -> impl Strategy<Value = Do> {
    let name = prop_oneof![Just("a".to_owned()), Just("b".to_owned())];
    let plain = prop_oneof![
        Just(Do::Start),
        Just(Do::Stop),
        (0..9usize).prop_map(Do::Finish),
        Just(Do::StartOne),
        (0..9usize).prop_map(Do::FinishOne),
        Just(Do::CancelOne),
        Just(Do::Fail),
        (name.clone(), 0..20u64).prop_map(|(name, secs)| Do::Wait(name, secs)),
        (name.clone(), 0..9u32).prop_map(|(name, value)| Do::Fire(name, value)),
        name.prop_map(|name| Do::FailEvent(name, "no".to_owned())),
    ];
    let within = plain.clone().prop_map(|order| Do::Within(Box::new(order)));
    prop_oneof![4 => plain, 1 => within, 1 => Just(Do::EndOuter)]
}

/// Whether the order names a run or a task that there is.
fn is_possible(order: &Do, agent: &Probe) -> bool {
    match order {
        Do::Finish(run) | Do::FinishOne(run) => *run < agent.runs.len(),
        Do::EndOuter => agent.outer.is_some(),
        Do::Within(order) => is_possible(order, agent),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing is stuck: however it was begun and ended, in the end each can be started again, and
    /// nothing is left of those who waited.
    #[test]
    fn whatever_happens_goes_on_and_replays(
        orders in prop::collection::vec((order(), 0..15u32), 0..40),
    ) {
        let mut cage = probe();
        for (order, by) in orders {
            if is_possible(&order, cage.state()) {
                cage.tell(order);
            }
            cage.advance(SECOND * by);
        }
        cage.tell(Do::Stop);
        cage.advance(SECOND * 60);
        let runs = cage.state().runs.len();
        cage.tell(Do::Start);
        cage.tell(Do::StartOne);
        cage.advance(Duration::ZERO);
        prop_assert_eq!(cage.state().runs.len(), runs + 2);
        prop_assert!(cage.state().log.iter().all(|log| !log.contains("nothing due")));
        cage.tell(wait("c", 1));
        cage.tell(fire("c", 9));
        cage.advance(Duration::ZERO);
        prop_assert!(cage.state().log.last().expect("told").ends_with("Fired(9)"));
        cage.replay();
    }
}
