//! One script on the simulator and on real daemons: what can be seen from outside is the same.
//!
//! The simulator models what `node/host` and its libraries do. Whoever changes the one and forgets
//! the other finds out here.

#![allow(clippy::print_stdout, reason = "a failed test shows the seed it was at")]

mod parity {
    pub(crate) mod daemons;
    pub(crate) mod simulated;
}

use std::{collections::BTreeMap, time::Duration};

use parity::{daemons::Daemons, simulated::Simulated};
use serde_json::{Value, json};
use starling_tests::place;

/// The hosts of the script.
const HOSTS: [&str; 3] = ["a", "b", "c"];

/// A topic whose messages everybody hears, and rooms of it.
const ALL: &str = "demo/said";
const FIRST_ROOM: &str = "demo/said#1";
const SECOND_ROOM: &str = "demo/said#2";

/// What is asked of somebody who may be gone takes this long at most.
const BRIEFLY: Duration = Duration::from_millis(500);

/// What came of a question: the reply, or why there is none, in the words of the engine.
type Outcome = Result<Value, String>;

/// What was heard: who said it, and what.
type Heard = (String, String);

/// A mesh of three hosts. Agents are named "NAME@HOST"; in all that is seen, ids of hosts and
/// agents are replaced by their names.
trait Mesh {
    /// Starts an agent, asked at its own host.
    fn start(&mut self, kind: &str, agent: &str) -> Result<(), String>;
    /// Stops an agent, asked at its own host.
    fn stop(&mut self, agent: &str) -> Outcome;
    /// Asks an agent, at `host`; the address is the one that it had when it was started.
    fn ask(&mut self, host: &str, agent: &str, request: &str, body: Value) -> Outcome;
    /// The same, with a budget.
    fn ask_briefly(&mut self, host: &str, agent: &str, request: &str, body: Value) -> Outcome;
    /// Listens to a topic at `host`. There is one listener of a topic on a host at a time.
    fn listen(&mut self, host: &str, topic: &'static str);
    /// Ends that.
    fn unlisten(&mut self, host: &str, topic: &'static str);
    /// Waits until a message published at `host` goes to so many listeners there, and to so many
    /// other hosts.
    fn await_reach(&mut self, host: &str, topic: &str, reach: &Value);
    /// Publishes a text; gives how many it went to.
    fn publish(&mut self, host: &str, topic: &str, text: &str) -> Value;
    /// What the listener of a topic at `host` has heard so far, once it has heard `text` from each
    /// of `from`.
    fn heard(&mut self, host: &str, topic: &'static str, text: &str, from: &[&str]) -> Vec<Heard>;
    /// Waits until `host` sees another in this state.
    fn await_state(&mut self, host: &str, other: &str, state: &str);
    /// Kills a daemon.
    fn kill(&mut self, host: &str);
    /// Lets a daemon leave.
    fn leave(&mut self, host: &str);
    /// Starts a daemon that has ended.
    fn restart(&mut self, host: &str);
}

/// All that was seen, line by line.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn note(&mut self, what: &str, outcome: &Outcome) {
        self.0.push(match outcome {
            Ok(reply) => format!("{what}: {reply}"),
            Err(why) => format!("{what}: FAILED, {why}"),
        });
    }

    /// What was heard, in the order of each sender.
    fn heard(&mut self, what: &str, heard: Vec<Heard>) {
        let mut by_sender: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (from, text) in heard {
            by_sender.entry(from).or_default().push(text);
        }
        for (from, texts) in by_sender {
            self.0.push(format!("{what} hears {from}: {}", texts.join(", ")));
        }
    }
}

fn script(mesh: &mut impl Mesh) -> Vec<String> {
    let mut seen = Seen::default();
    requests(mesh, &mut seen);
    ordered_topics(mesh, &mut seen);
    rooms(mesh, &mut seen);
    lives(mesh, &mut seen);
    seen.0
}

/// Agents are started by name, and asked for what they know and what they do not.
fn requests(mesh: &mut impl Mesh, seen: &mut Seen) {
    for agent in ["echo@a", "echo@b", "echo@c"] {
        seen.note(agent, &mesh.start("echo", agent).map(|()| json!("started")));
    }
    seen.note("visits@b", &mesh.start("counter", "visits@b").map(|()| json!("started")));
    seen.note("visits@b again", &mesh.start("counter", "visits@b").map(|()| json!("started")));
    for from in HOSTS {
        for to in ["echo@a", "echo@b", "echo@c"] {
            let said = mesh.ask(from, to, "echo/say", json!({ "text": format!("from {from}") }));
            seen.note(&format!("{from} asks {to}"), &said);
        }
    }
    let most = json!({ "by": i64::MAX });
    for (request, body) in [
        ("counter/add", json!({ "by": 3 })),
        ("counter/add", most),
        ("counter/add", json!({ "by": "three" })),
        ("counter/add", json!({ "by": 1, "twice": true })),
        ("counter/add", json!([])),
        ("counter/halve", json!({})),
        ("counter/read", json!({})),
    ] {
        for from in ["a", "b"] {
            let outcome = mesh.ask(from, "visits@b", request, body.clone());
            seen.note(&format!("{from}: {request} {body}"), &outcome);
        }
    }
    for from in HOSTS {
        let outcome = mesh.ask(from, "nobody@c", "echo/say", json!({ "text": "?" }));
        seen.note(&format!("{from} asks nobody@c"), &outcome);
    }
    seen.note("echo@c stops", &mesh.stop("echo@c"));
    seen.note("nobody@c stops", &mesh.stop("nobody@c"));
    for from in ["a", "c"] {
        let outcome = mesh.ask(from, "echo@c", "echo/say", json!({ "text": "?" }));
        seen.note(&format!("{from} asks echo@c, which is gone"), &outcome);
    }
}

/// Everybody speaks; a late listener hears nothing old, and who listens no more is not told.
fn ordered_topics(mesh: &mut impl Mesh, seen: &mut Seen) {
    for host in ["a", "b"] {
        mesh.listen(host, ALL);
    }
    for (host, reach) in [("a", reach(1, 1)), ("b", reach(1, 1)), ("c", reach(0, 2))] {
        mesh.await_reach(host, ALL, &reach);
    }
    speak(mesh, seen, ALL, &["one", "two", "three", "four"]);
    mesh.listen("c", ALL);
    for host in HOSTS {
        mesh.await_reach(host, ALL, &reach(1, 2));
    }
    speak(mesh, seen, ALL, &["five", "six"]);
    for host in HOSTS {
        let heard = mesh.heard(host, ALL, "six", &HOSTS);
        seen.heard(host, heard);
    }
    mesh.unlisten("a", ALL);
    for (host, reach) in [("a", reach(0, 2)), ("b", reach(1, 1)), ("c", reach(1, 1))] {
        mesh.await_reach(host, ALL, &reach);
    }
    speak(mesh, seen, ALL, &["seven"]);
    for host in ["b", "c"] {
        let heard = mesh.heard(host, ALL, "seven", &HOSTS);
        seen.heard(&format!("{host}, at last,"), heard);
        mesh.unlisten(host, ALL);
    }
    for host in HOSTS {
        mesh.await_reach(host, ALL, &reach(0, 0));
    }
    speak(mesh, seen, ALL, &["into the air"]);
}

/// What is said in one room is not heard in another.
fn rooms(mesh: &mut impl Mesh, seen: &mut Seen) {
    mesh.listen("a", FIRST_ROOM);
    mesh.listen("b", FIRST_ROOM);
    mesh.listen("b", SECOND_ROOM);
    for (room, own, others) in [(FIRST_ROOM, reach(1, 1), 2), (SECOND_ROOM, reach(1, 0), 1)] {
        mesh.await_reach("b", room, &own);
        mesh.await_reach("c", room, &reach(0, others));
    }
    for text in ["one", "two"] {
        for (room, number) in [(FIRST_ROOM, 1), (SECOND_ROOM, 2)] {
            for from in ["b", "c"] {
                let reach = mesh.publish(from, room, &format!("{text} in {number}"));
                seen.note(&format!("{from} says {text} in room {number}"), &Ok(reach));
            }
        }
    }
    let from = ["b", "c"];
    for (host, room, last) in [
        ("a", FIRST_ROOM, "two in 1"),
        ("b", FIRST_ROOM, "two in 1"),
        ("b", SECOND_ROOM, "two in 2"),
    ] {
        let heard = mesh.heard(host, room, last, &from);
        seen.heard(&format!("{host} in {room}"), heard);
        mesh.unlisten(host, room);
    }
}

/// A host is killed and comes back; another leaves.
fn lives(mesh: &mut impl Mesh, seen: &mut Seen) {
    mesh.kill("b");
    for host in ["a", "c"] {
        mesh.await_state(host, "b", "unreachable");
    }
    let outcome = mesh.ask_briefly("a", "visits@b", "counter/read", json!({}));
    seen.note("a asks visits@b, whose host is down", &outcome);
    mesh.restart("b");
    for (host, other) in [("a", "b"), ("c", "b"), ("b", "a"), ("b", "c")] {
        mesh.await_state(host, other, "linked");
    }
    for from in HOSTS {
        let gone = mesh.ask(from, "echo@b", "echo/say", json!({ "text": "?" }));
        seen.note(&format!("{from} asks echo@b in its host's next life"), &gone);
        let there = mesh.ask(from, "visits@b", "counter/add", json!({ "by": 10 }));
        seen.note(&format!("{from} adds to visits@b in its host's next life"), &there);
    }
    mesh.leave("c");
    for host in ["a", "b"] {
        mesh.await_state(host, "c", "left");
        let outcome = mesh.ask_briefly(host, "echo@c", "echo/say", json!({ "text": "?" }));
        seen.note(&format!("{host} asks echo@c, whose host has left"), &outcome);
    }
    mesh.restart("c");
    for (host, other) in [("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")] {
        mesh.await_state(host, other, "linked");
    }
    let back = mesh.ask("c", "visits@b", "counter/read", json!({}));
    seen.note("c asks visits@b when it is back", &back);
}

/// What is published to find out who listens; nobody counts it as heard.
const PROBE: &str = "probe";

/// With names instead of ids.
fn plain(outcome: Outcome, names: &[(String, String)]) -> Outcome {
    let plain =
        |text: String| names.iter().fold(text, |text, (id, name)| text.replace(id.as_str(), name));
    match outcome {
        Ok(reply) => Ok(serde_json::from_str(&plain(reply.to_string())).expect("JSON still")),
        Err(why) => Err(plain(why)),
    }
}

/// What was said by whom, unless it was a probe.
fn said(body: &Value) -> Option<Heard> {
    let part = |name: &str| body[name].as_str().expect("a text").to_owned();
    let (from, text) = (part("from"), part("text"));
    (text != PROBE).then_some((from, text))
}

/// Whether a text has been heard from all of these.
fn ends(heard: &[Heard], text: &str, from: &[&str]) -> bool {
    from.iter().all(|from| heard.iter().any(|(by, said)| by == from && said == text))
}

fn reach(local: usize, hosts: usize) -> Value {
    json!({ "local": local, "hosts": hosts })
}

/// All hosts say these things, in turn.
fn speak(mesh: &mut impl Mesh, seen: &mut Seen, topic: &str, texts: &[&str]) {
    for text in texts {
        for from in HOSTS {
            let reach = mesh.publish(from, topic, text);
            seen.note(&format!("{from} says {text}"), &Ok(reach));
        }
    }
}

/// What is seen, a line each.
const EXPECTED: &str = include_str!("parity/expected.txt");

#[track_caller]
fn as_expected(seen: &[String]) {
    let expected: Vec<&str> = EXPECTED.lines().collect();
    assert_eq!(seen, expected, "as text:\n{}\n", seen.join("\n"));
}

#[test]
fn the_simulator_and_real_daemons_show_the_same() {
    let simulated = script(&mut Simulated::new(1));
    let place = place!();
    let real = script(&mut Daemons::new(&place));
    assert_eq!(simulated, real);
    as_expected(&real);
}

#[test]
fn the_script_comes_out_the_same_under_every_seed() {
    for seed in 2..12 {
        println!("seed {seed}");
        as_expected(&script(&mut Simulated::new(seed)));
    }
}
