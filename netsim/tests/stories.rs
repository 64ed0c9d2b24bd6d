//! Stories of a few hosts: what each model of the simulation does, seen through the engines.

use std::time::Duration;

use serde_json::json;
use starling_core::{
    agent::prelude::*,
    engine::{HostState, Kinds},
};
use starling_netsim::{
    Asked, Fault, FaultKind, Heard, HostNo, Weather,
    story::{Story, secs},
    workload::{self, Crier, Whisper, Word},
};

const MILLI: Duration = Duration::from_millis(1);

/// How long an echo takes, from "a" to "b" and back.
fn round_trip(story: &mut Story, echo: Address) -> Duration {
    let before = story.sim().now();
    let said = story.ask("a", echo, "echo/say", json!({"text": "x"})).outcome();
    assert!(said.is_ok(), "{said:?}");
    story.sim().now().since(before)
}

fn count(heard: &[Heard]) -> (usize, u64) {
    heard.iter().fold((0, 0), |(messages, missed), heard| match heard {
        Heard::Message { .. } => (messages + 1, missed),
        Heard::Missed { count, .. } => (messages, missed + count),
    })
}

fn state(story: &mut Story, of: u32, seen_from: u32) -> Option<HostState> {
    let sim = story.sim();
    let id = sim.id(HostNo(of));
    sim.engine(HostNo(seen_from))?.host_view(id).map(|view| view.state)
}

#[test]
fn a_question_outlives_a_cut() {
    let mut story = Story::new(1).hosts(3);
    let counter = story.start("a", "counter");
    story.ask("b", counter, "counter/add", json!({"by": 2})).replies(json!(2));
    story.cut("a", "b");
    story.run(secs(5));
    let waiting = story.put("b", counter, "counter/add", json!({"by": 2}));
    story.run(secs(5));
    story.heal();
    story.wait_until_idle(secs(60));
    assert_eq!(story.outcome("b", waiting), Ok(json!(4)));
}

#[test]
fn a_message_takes_the_latency_each_way() {
    let mut story = Story::new(2).hosts(2);
    let echo = story.start("b", "echo");
    assert!(round_trip(&mut story, echo) < 20 * MILLI);
    story.sim().set_weather(Weather { latency: 200 * MILLI, jitter: Duration::ZERO });
    // Each pair of hosts is between half and one and a half times as far as the usual.
    let far = round_trip(&mut story, echo);
    assert!(far >= 200 * MILLI && far <= 620 * MILLI, "{far:?}");
}

#[test]
fn lost_segments_cost_time_and_nothing_else() {
    let mut story = Story::new(3).hosts(2);
    let counter = story.start("b", "counter");
    story.impose(Fault::Loss { permille: 300 });
    for sum in 1..=50 {
        story.ask("a", counter, "counter/add", json!({"by": 1})).replies(json!(sum));
    }
    assert!(story.sim().fired().of(FaultKind::Loss) > 20);
    assert!(story.sim().now().since(Time::ZERO) > secs(4), "what was lost was sent again later");
}

#[test]
fn a_long_cut_breaks_the_link_on_both_sides_within_two_pings_and_a_wait() {
    let mut story = Story::new(4).hosts(2);
    story.cut("a", "b");
    story.run(secs(29));
    assert_eq!(state(&mut story, 0, 1), Some(HostState::Linked));
    story.run(secs(17));
    for (of, from) in [(0, 1), (1, 0)] {
        assert_ne!(state(&mut story, of, from), Some(HostState::Linked));
    }
    assert!(story.sim().fired().of(FaultKind::Partition) > 0);
    story.heal();
    story.wait_until_idle(secs(60));
}

#[test]
fn one_way_is_cut_and_the_other_is_not() {
    let mut story = Story::new(5).hosts(2);
    let (here, there) = (story.start("a", "echo"), story.start("b", "counter"));
    story.cut_one_way("b", "a");
    // The question arrives and is carried out; its answer does not come back.
    let asked = story.put("a", there, "counter/add", json!({"by": 5}));
    let other = story.put("b", here, "echo/say", json!({"text": "x"}));
    story.run(secs(3));
    story.ask("b", there, "counter/read", json!({})).replies(json!(5));
    for (host, ticket) in [(0, asked), (1, other)] {
        assert_eq!(*story.sim().answer(HostNo(host), ticket), Asked::Waiting);
    }
    assert!(story.sim().fired().of(FaultKind::OneWay) > 0);
    assert_eq!(story.sim().fired().of(FaultKind::Partition), 0);
    // One way suffices to break a link in the end: no ping is answered.
    story.run(secs(27));
    story.run(secs(17));
    assert_ne!(state(&mut story, 0, 1), Some(HostState::Linked));
    assert_ne!(state(&mut story, 1, 0), Some(HostState::Linked));
    story.heal();
    story.wait_until_idle(secs(90));
}

#[test]
fn a_reset_loses_bytes_and_the_session_sends_them_again() {
    let mut story = Story::new(6).hosts(2);
    let counter = story.start("b", "counter");
    let asked: Vec<_> =
        (0..20).map(|_| story.put("a", counter, "counter/add", json!({"by": 1}))).collect();
    story.run(MILLI / 2);
    story.reset("a", "b");
    story.wait_until_idle(secs(60));
    let mut sums: Vec<i64> =
        asked.into_iter().filter_map(|ticket| story.outcome("a", ticket).ok()?.as_i64()).collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=20).collect::<Vec<i64>>());
    assert!(story.sim().fired().of(FaultKind::Reset) > 0);
}

#[test]
fn a_slow_link_carries_what_it_can() {
    let mut story = Story::new(7).hosts(2);
    let echo = story.start("b", "echo");
    let (a, b) = (HostNo(0), HostNo(1));
    story.impose(Fault::SlowLink { a, b, bytes_per_second: 100_000 });
    let text = "x".repeat(100_000);
    let before = story.sim().now();
    assert!(story.ask("a", echo, "echo/say", json!({"text": text})).outcome().is_ok());
    let took = story.sim().now().since(before);
    assert!(took > secs(2) && took < secs(3), "a second each way: {took:?}");
}

#[test]
fn what_reaches_a_suspended_host_waits() {
    let mut story = Story::new(8).hosts(2);
    let counter = story.start("b", "counter");
    story.pause("b");
    let asked = story.put("a", counter, "counter/add", json!({"by": 1}));
    story.run(secs(10));
    assert_eq!(*story.sim().answer(HostNo(0), asked), Asked::Waiting);
    story.resume("b");
    story.wait_until_idle(secs(10));
    assert_eq!(story.outcome("a", asked), Ok(json!(1)));
    assert!(story.sim().fired().of(FaultKind::Pause) > 0);
}

#[test]
fn a_killed_host_is_missed_at_once_and_one_without_power_only_by_its_silence() {
    let mut story = Story::new(9).hosts(3);
    story.crash("a");
    story.run(100 * MILLI);
    assert_ne!(state(&mut story, 0, 1), Some(HostState::Linked));
    story.restart("a");
    story.wait_until_idle(secs(60));
    story.power_cut("a");
    story.run(secs(20));
    assert_eq!(state(&mut story, 0, 1), Some(HostState::Linked));
    story.run(secs(26));
    assert_ne!(state(&mut story, 0, 1), Some(HostState::Linked));
    story.restart("a");
    story.wait_until_idle(secs(90));
}

#[test]
fn a_machine_that_has_power_again_disowns_its_old_connections() {
    let mut story = Story::new(10).hosts(2);
    story.power_cut("a");
    story.run(secs(2));
    story.restart("a");
    // Sooner than a ping could have failed.
    story.run(secs(20));
    story.wait_until_idle(secs(5));
}

#[test]
fn an_expired_membership_does_not_pass_the_gate() {
    let mut story = Story::new(11).hosts(2);
    let two_years = 2 * 365 * 24 * 3_600_000;
    story.set_clock("b", two_years);
    story.reset("a", "b");
    story.run(secs(30));
    assert_ne!(state(&mut story, 0, 1), Some(HostState::Linked), "the founder's is too old");
    story.set_clock("b", -two_years);
    story.run(secs(31));
    story.wait_until_idle(secs(60));
}

#[test]
fn who_leaves_says_so() {
    let mut story = Story::new(12).hosts(2);
    story.leave("a");
    story.run(secs(1));
    assert_eq!(state(&mut story, 0, 1), Some(HostState::Left));
    story.restart("a");
    story.wait_until_idle(secs(60));
}

/// Starts a crier that whispers about every second.
fn start_whispering(story: &mut Story, host: &str) {
    let crier = Crier { pace_ms: 1000, whisper_every: 1, ..Crier::default() };
    let state = serde_json::to_string(&crier).expect("JSON");
    let number = story.sim().named(host).expect("a host");
    let to = story.sim().address(number, AgentId::HOST);
    let start = json!({"kind": "sim-crier", "name": null, "state": state});
    assert!(story.ask(host, to, "host/start", start).outcome().is_ok());
}

/// The numbers of the whispers that were heard at a host.
fn whispers(story: &Story, host: &str) -> Vec<u64> {
    let heard = story.heard(host).iter().filter_map(|heard| match heard {
        Heard::Message { body, .. } => body.as_ref()?["number"].as_u64(),
        Heard::Missed { .. } => None,
    });
    heard.collect()
}

#[test]
fn gossip_crosses_a_mesh_of_many_hosts_once_even_when_copies_come_again() {
    let mut story = Story::new(13).kinds(workload::kinds()).hosts(20);
    story.listen("t", Whisper::NAME);
    story.run(secs(1));
    story.impose(Fault::GossipDuplicates { permille: 1000 });
    start_whispering(&mut story, "a");
    // Until after the longest time that a copy may take.
    story.run(secs(60));
    let early = whispers(&story, "t");
    assert!(early.len() > 50, "{early:?}");
    story.run(secs(120));
    assert!(story.sim().fired().of(FaultKind::GossipDuplicates) > 0);
    let all = whispers(&story, "t");
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
}

#[test]
fn gossip_that_is_dropped_is_counted_by_who_listens() {
    let mut story = Story::new(14).kinds(workload::kinds()).hosts(2);
    story.listen("b", Whisper::NAME);
    story.run(secs(1));
    story.impose(Fault::GossipLoss { permille: 300 });
    start_whispering(&mut story, "a");
    story.run(secs(100));
    let (heard, last) = (whispers(&story, "b"), whispers(&story, "b").last().copied());
    let (messages, missed) = count(story.heard("b"));
    assert!(missed > 0 && messages > 50, "{messages} heard, {missed} missed");
    let first = heard.first().copied().unwrap_or_default();
    assert_eq!(messages as u64 + missed, last.unwrap_or_default() - first + 1);
}

#[test]
fn gossip_does_not_cross_a_cut() {
    let mut story = Story::new(15).kinds(workload::kinds()).hosts(2);
    story.listen("b", Whisper::NAME);
    story.run(secs(1));
    story.cut_one_way("a", "b");
    start_whispering(&mut story, "a");
    story.run(secs(20));
    assert_eq!(story.heard("b"), []);
}

#[test]
fn an_ordered_topic_has_no_holes() {
    let mut story = Story::new(16).kinds(Kinds::new()).hosts(3);
    let topic = Word::NAME;
    story.listen("c", topic);
    story.run(secs(1));
    for number in 0..30 {
        story.publish("a", topic, json!({"life": 1, "number": number}));
        if number == 10 {
            story.cut("a", "c");
        }
        story.run(100 * MILLI);
    }
    story.heal();
    story.wait_until_idle(secs(60));
    story.run(secs(10));
    assert_eq!(count(story.heard("c")), (30, 0));
}

#[test]
#[should_panic(expected = "seed 17: not idle")]
fn a_story_that_never_rests_says_who_is_busy() {
    let mut story = Story::new(17).hosts(2);
    story.cut("a", "b");
    story.run(secs(60));
    story.wait_until_idle(secs(1));
}
