//! What people see.

mod common;

use common::{Fake, members, p2p, status, stderr, stdout};
use serde_json::json;

#[test]
fn members_are_a_table() {
    let fake = Fake::serve(vec![members()]);
    let expected = "\
NAME             HOST      STATE        VERSION  ADDRESS                    WHY
alpha            k3v9x2ab  self         0.1.0    /ip4/10.0.0.1/tcp/4001 +1
beta             m4w7y2cd  linked       0.1.0    /ip4/10.0.0.1/tcp/4001 +1
ga\\u{1b}[31mmma  p5x2z3ef  unreachable  0.1.0    /ip4/10.0.0.1/tcp/4001 +1  timed out
";
    assert_eq!(stdout(&fake.run(&["members"])), expected);
    let bare = stdout(&fake.run(&["members", "--no-header"]));
    assert!(bare.starts_with("alpha            k3v9x2ab  self         0.1.0  /ip4/"), "{bare}");
    let ids = stdout(&fake.run(&["members", "-q"]));
    assert_eq!(ids, "k3v9x2abcdefghij\nm4w7y2cdefghijkl\np5x2z3efghijklmn\n");
}

#[test]
fn colour_is_for_those_who_want_it() {
    let fake = Fake::serve(vec![members()]);
    let coloured = |words: &[&str]| stdout(&fake.run(words)).contains('\u{1b}');
    assert!(!coloured(&["members"]));
    assert!(!coloured(&["members", "--color", "never"]));
    assert!(coloured(&["members", "--color", "always"]));
    let output = fake.command(&["members"]).env("NO_COLOR", "1").output().expect("p2p runs");
    assert!(!stdout(&output).contains('\u{1b}'));
}

#[test]
fn status_begins_with_health() {
    let output = Fake::serve(vec![status("ok")]).run(&["status"]);
    let text = stdout(&output);
    assert!(text.starts_with("health       ok\nhost         alpha (k3v9x2ab)\n"), "{text}");
    assert!(text.contains("up for       1h 6m\n"), "{text}");
}

#[test]
fn a_token_is_all_that_invite_prints() {
    let invited = json!({ "token": "starling1-abc", "life_seconds": 3600, "uses": 1,
                          "addresses": [] });
    let fake = Fake::serve(vec![("POST /v1/invites", 200, invited.to_string())]);
    let output = fake.run(&["invite", "--ttl", "1h"]);
    assert_eq!(stdout(&output), "starling1-abc\n");
    assert!(stderr(&output).starts_with("good for 1h and 1 host; on the other machine:\n"));
    assert_eq!(fake.calls()[0].1["life_seconds"], 3600);
    assert_eq!(stderr(&fake.run(&["invite", "-q"])), "");
}

#[test]
fn agents_can_be_started_elsewhere() {
    let started = json!({ "agent": "abcdefghijkl", "host": "h", "host_name": "beta" });
    let fake = Fake::serve(vec![("POST /v1/agents", 200, started.to_string())]);
    let output = fake.run(&["start", "counter", "--on", "beta", "--name", "visits"]);
    assert_eq!(stdout(&output), "started counter visits (abcdefgh) on beta\n");
    let sent = json!({ "kind": "counter", "host": "beta", "name": "visits", "state": null });
    assert_eq!(fake.calls()[0].1, sent);
}

#[test]
fn events_have_times_and_end_without_follow() {
    let event = json!({ "at_ms": 1_700_000_000_123u64, "event": "link-up",
                        "text": "beta is linked", "details": {} });
    let lines = format!("{event}\n");
    let fake = Fake::serve(vec![("GET /v1/events?backlog=50&follow=false", 200, lines)]);
    let output = fake.run(&["events"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = "2023-11-14T22:13:20.123Z  link-up             beta is linked\n";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn the_doctor_works_without_a_daemon() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = p2p(&["doctor", "--data-dir"]).arg(dir.path()).output().expect("p2p runs");
    assert_eq!(output.status.code(), Some(7));
    let text = stdout(&output);
    assert!(text.contains("FAIL     control socket  no daemon answers at"), "{text}");
    assert!(text.contains("control socket: p2p --data-dir"), "{text}");
}

#[test]
fn the_doctor_adds_what_the_daemon_finds() {
    let finding = json!({ "check": "clock", "verdict": "warn", "seen": "it jumps", "fix": "ntp" });
    let listing = json!({ "items": [finding] }).to_string();
    let fake = Fake::serve(vec![("GET /v1/doctor", 200, listing)]);
    let output = fake.run(&["doctor"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warn     clock           it jumps\n"), "{text}");
    assert!(text.contains("\nWhat to do\n"), "{text}");
}

#[test]
fn up_says_when_it_runs_already() {
    let output = Fake::serve(vec![status("ok")]).run(&["up"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).starts_with("the daemon is already running\n"));
    assert!(stdout(&output).starts_with("alpha is up\n"));
}

#[test]
fn an_agent_is_inspected() {
    let seen = json!({
        "what": "agent", "agent": "abcdefghijkl", "name": "visits", "kind": "counter",
        "host": "m4w7y2cdefghijkl", "host_name": "beta", "inputs": 7, "waiting": 0,
        "state": { "value": 3 }, "understands": ["counter/add", "counter/read"], "topics": [],
        "waits": [{ "timer": "tick" }],
    });
    let fake = Fake::serve(vec![("GET /v1/inspect?what=visits@beta", 200, seen.to_string())]);
    let text = stdout(&fake.run(&["inspect", "visits@beta"]));
    assert!(text.contains("understands  counter/add, counter/read\n"), "{text}");
    assert!(text.contains("state\n  {\n    \"value\": 3\n  }\nwaits for\n"), "{text}");
}

#[test]
fn help_has_a_topic_for_exit_codes() {
    let output = p2p(&["help", "exit-codes"]).output().expect("p2p runs");
    assert!(stdout(&output).contains("  7  status or doctor found something wrong\n"));
}
