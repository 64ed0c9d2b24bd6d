//! What people see.

mod common;

use common::{Fake, members, p2p, status, stderr, stdout};
use serde_json::{Value, json};

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
fn an_agent_between_two_hosts_is_shown_as_moving() {
    let row = |agent: &str, moving: bool| {
        json!({ "agent": agent, "name": "visits", "kind": "counter", "host": "k3v9x2abcdefghij",
                "host_name": "alpha", "state": "linked", "instance": 1, "moving": moving })
    };
    let found = json!({ "items": [row("abcdefghijkl", true), row("bcdefghijklm", false)],
                        "missing": [] });
    let fake = Fake::serve(vec![("GET /v1/locate?what=visits", 200, found.to_string())]);
    let expected = "\
NAME    AGENT     KIND     HOST   HOST ID   INSTANCE  STATE
visits  abcdefgh  counter  alpha  k3v9x2ab         1  moving
visits  bcdefghi  counter  alpha  k3v9x2ab         1  linked
";
    assert_eq!(stdout(&fake.run(&["locate", "visits"])), expected);
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
        "waits": [
            { "what": "timer", "left_ms": 1500, "then": "Tick" },
            { "timer": "tick" },
            { "what": "manager", "left_ms": 900, "then": {
                "contract": "a/lot", "number": 4, "phase": "announced", "unanswered": 0,
                "search": "3f2a", "bids": [
                    { "bidder": "mnop@m4w7", "cost": 3, "is": "stands" }],
            } },
            { "what": "contractor", "left_ms": 0, "then": {
                "contract": "a/lot", "number": 7, "phase": "bid", "level": 1,
                "manager": "zyxwvutsrqpo@m4w7y2cdefghijkl", "search": "77aa" } },
            { "what": "partner", "left_ms": 0, "then": {
                "relation": "a/house", "bond": "qrstuvwxyzab", "stage": "standing",
                "partner": "zyxwvutsrqpo@m4w7y2cdefghijkl" } },
            { "what": "partner", "left_ms": 5900, "then": {
                "relation": "a/inn", "bond": "bcdefghijklm", "stage": "proposed",
                "partner": "mnop@m4w7" } },
        ],
    });
    let fake = Fake::serve(vec![("GET /v1/inspect?what=visits@beta", 200, seen.to_string())]);
    let text = stdout(&fake.run(&["inspect", "visits@beta"]));
    assert!(text.contains("understands  counter/add, counter/read\n"), "{text}");
    let expected = "\
state
  {
    \"value\": 3
  }
contracts
  ROLE        CONTRACT  NUMBER  PHASE      LEFT   WITH               BIDS                    SEARCH
  manager     a/lot     4       announced  900ms                     mnop@m4w7 for 3 stands  3f2a
  contractor  a/lot     7       bid        0s     zyxwvuts@m4w7y2cd                          77aa
partners
  RELATION  PARTNER            STAGE     LEFT      BOND
  a/house   zyxwvuts@m4w7y2cd  standing            qrstuvwx
  a/inn     mnop@m4w7          proposed  5s 900ms  bcdefghi
waits for
  WHAT   LEFT      THEN
  timer  1s 500ms  Tick
                   {\"timer\":\"tick\"}
";
    assert!(text.ends_with(expected), "{text}");
}

/// What a journal knows of a search: a manager here, a bidder elsewhere, a nested search between.
fn search(search: &str) -> Value {
    let (host, agent) = ("a".repeat(51) + "a", "a".repeat(25) + "a");
    let there = "ae".to_owned() + &"a".repeat(50);
    let here = json!({ "host": host, "agent": agent });
    let there = json!({ "host": there, "agent": agent });
    let of = json!({ "manager": here, "number": 1 });
    let deed = |entry: u64, act: Value| {
        json!({ "at_ms": 1_700_000_000_123u64 + entry, "host_name": "alpha", "who": here,
                "name": "se\u{1b}ller", "kind": "seller", "life": 8, "sequence": 40 + entry,
                "entry": entry, "contract": "auction/lot", "act": act })
    };
    let act = |heard: bool, other: &Value, said: &Value| {
        let mut act = json!({ "heard": heard, "other": other, "of": of });
        for (key, value) in said.as_object().expect("an object") {
            act[key] = value.clone();
        }
        act
    };
    let bid = json!({ "bidder": there, "number": 3 });
    let deeds = [
        deed(1, act(false, &Value::Null, &json!({ "said": "announce", "level": 1 }))),
        deed(2, act(true, &there, &json!({ "said": "bid", "bid": bid, "cost": -120 }))),
        deed(3, act(false, &there, &json!({ "said": "grant", "bid": bid }))),
    ];
    json!({ "search": search, "deeds": deeds, "cut": false, "unread": 0 })
}

#[test]
fn a_negotiation_is_told_line_by_line() {
    let listing = |items: &[Value]| json!({ "items": items }).to_string();
    let fake = Fake::serve(vec![
        ("GET /v1/journal/trace?search=3f2a", 200, listing(&[search("3f2a00")])),
        ("GET /v1/journal/trace?search=beef", 200, listing(&[])),
        ("GET /v1/journal/trace?search=7777", 200, listing(&[search("777701"), search("777702")])),
    ]);
    let output = fake.run(&["trace", "3f2a"]);
    let expected = "\
search 3f2a00
TIME                      HOST   AGENT         LIFE  ENTRY  WHAT
2023-11-14T22:13:20.124Z  alpha  se\\u{1b}ller     8      1    announces auction/lot to all who listen
2023-11-14T22:13:20.125Z  alpha  se\\u{1b}ller     8      2    has the bid of aaaaaaaa@aeaaaaaa for -120
2023-11-14T22:13:20.126Z  alpha  se\\u{1b}ller     8      3    grants it to aaaaaaaa@aeaaaaaa
";
    assert_eq!(stdout(&output), expected);
    // The bidder's journal was not read.
    assert_eq!(output.status.code(), Some(6));
    assert!(stderr(&output).starts_with("warning: nothing from aeaaaaaa: "), "{output:?}");
    assert_eq!(fake.run(&["trace", "beef"]).status.code(), Some(5));
    let output = fake.run(&["trace", "7777"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("777701, 777702"), "{output:?}");
}

fn providers(missing: &Value) -> String {
    let row = |agent: &str, name: Option<&str>, kind: &str, host: &str| {
        let mut row = json!({ "agent": agent, "kind": kind, "host": "h", "host_name": host });
        if let Some(name) = name {
            row["name"] = json!(name);
        }
        row
    };
    let items = [
        row("abcdefghijkl", Some("visits"), "counter", "alpha"),
        row("mnopqrstuvwx", None, "till", "be\u{1b}ta"),
    ];
    json!({ "items": items, "missing": missing }).to_string()
}

#[test]
fn who_offers_a_service_is_a_table() {
    let fake = Fake::serve(vec![
        ("GET /v1/find?service=counter/add", 200, providers(&json!([]))),
        ("GET /v1/find?service=counter/add&shard=true", 200, providers(&json!([]))),
    ]);
    let expected = "\
NAME    AGENT     KIND     HOST
visits  abcdefgh  counter  alpha
        mnopqrst  till     be\\u{1b}ta
";
    let output = fake.run(&["find", "counter/add"]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), (expected, Some(0)));
    assert_eq!(stdout(&fake.run(&["find", "counter/add", "--shard"])), expected);
    let ids = stdout(&fake.run(&["find", "counter/add", "-q"]));
    assert_eq!(ids, "abcdefghijkl\nmnopqrstuvwx\n");
    let json = stdout(&fake.run(&["find", "counter/add", "--format", "json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["schema"], &json["data"][1]["kind"]), (&json!("p2p.find/1"), &json!("till")));
}

#[test]
fn nobody_offers_it_and_not_everybody_was_asked_are_told_apart() {
    let nobody = json!({ "items": [] }).to_string();
    let silent = json!([{ "host": "gamma", "why": "no answer in time" }]);
    let unsure = json!({ "items": [], "missing": silent }).to_string();
    let fake = Fake::serve(vec![
        ("GET /v1/find?service=a", 200, nobody),
        ("GET /v1/find?service=b", 200, providers(&silent)),
        ("GET /v1/find?service=c", 200, unsure),
    ]);
    let output = fake.run(&["find", "a", "--no-header"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(5), String::new()));
    assert!(stderr(&output).starts_with("error: no agent offers \"a\"\n  next: "), "{output:?}");
    for (service, lines) in [("b", 3), ("c", 1)] {
        let output = fake.run(&["find", service]);
        assert_eq!(output.status.code(), Some(6), "{service}");
        assert_eq!(stdout(&output).lines().count(), lines);
        assert_eq!(stderr(&output), "warning: nothing from gamma: no answer in time\n");
    }
}

#[test]
fn an_answer_that_is_an_error_is_printed_and_fails() {
    let answer = |reply: Value| json!({ "agent": "a", "host": "h", "reply": reply }).to_string();
    for (reply, code) in [
        (json!({ "Err": { "TooPoor": { "missing": 2 } } }), 1),
        (json!({ "Ok": 3 }), 0),
        (json!({ "Err": 1, "Ok": 2 }), 0),
    ] {
        let fake = Fake::serve(vec![("POST /v1/request", 200, answer(reply.clone()))]);
        let output = fake.run(&["request", "account", "bank/withdraw", "{}"]);
        assert_eq!(output.status.code(), Some(code), "{reply}");
        assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).expect("JSON"), reply);
        assert_eq!(stderr(&output), "");
        let output = fake.run(&["request", "account", "bank/withdraw", "{}", "--format", "json"]);
        assert_eq!(output.status.code(), Some(code), "{reply}");
        let printed: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(printed["data"]["reply"], reply);
    }
}

#[test]
fn help_has_a_topic_for_exit_codes() {
    let output = p2p(&["help", "exit-codes"]).output().expect("p2p runs");
    assert!(stdout(&output).contains("  7  status or doctor found something wrong\n"));
}

fn life(more: &Value) -> Value {
    let mut life = json!({
        "life": 12, "agent": "abcdefghijkl", "name": "visits", "kind": "counter", "version": 2,
        "durability": "write-ahead", "host": "k3v9x2abcdefghij", "host_name": "alpha",
        "begun_ms": 1_700_000_000_123u64, "first": 0, "next": 3, "last_ms": 1_700_000_000_456u64,
        "known": true,
    });
    for (key, value) in more.as_object().expect("an object") {
        life[key] = value.clone();
    }
    life
}

fn lines(lines: &[Value]) -> String {
    let last = json!({ "complete": true });
    lines.iter().chain([&last]).map(|line| format!("{line}\n")).collect()
}

#[test]
fn lives_are_a_table() {
    let other = json!({ "life": 31, "name": null, "kind": "fuse", "durability": "history",
                        "next": 1, "ended": "died", "ended_ms": 1_700_000_001_000u64 });
    let listing = json!({ "items": [life(&json!({})), life(&other)] }).to_string();
    let fake = Fake::serve(vec![("GET /v1/journal/lives?", 200, listing)]);
    let expected = "\
LIFE  NAME    AGENT     KIND     KEPT         ENTRIES  BEGUN                     ENDED
  12  visits  abcdefgh  counter  write-ahead        3  2023-11-14T22:13:20.123Z
  31          abcdefgh  fuse     history            1  2023-11-14T22:13:20.123Z  died
";
    assert_eq!(stdout(&fake.run(&["journal", "list"])), expected);
    assert_eq!(stdout(&fake.run(&["journal", "list", "-q"])), "12\n31\n");
}

#[test]
fn entries_are_shown_with_what_came_of_them() {
    let entry = |number: u64, input: Value, more: &Value| {
        let mut entry = json!({
            "line": "entry", "sequence": 40 + number, "life": 12, "number": number,
            "at_ms": 1_700_000_000_123u64, "input": input, "outcome": "done",
            "effects": { "whole": [] },
        });
        for (key, value) in more.as_object().expect("an object") {
            entry[key] = value.clone();
        }
        entry
    };
    let from = "aaaaaaaabbbb@k3v9x2abcdefghij";
    let whole = json!([
        { "what": "publish", "topic": "counter/changed", "body": { "value": 3 } },
        { "what": "reply", "to": from, "outcome": { "reply": 3 } },
    ]);
    let asked = json!({ "what": "request", "name": "counter/add", "from": from,
                        "body": { "by": "\u{1b}[31m" } });
    let letter = json!({ "origin": "m4w7y2cdefghijkl", "epoch": 1, "number": 7 });
    let lines = lines(&[
        life(&json!({ "line": "life" })),
        entry(0, json!({ "what": "started" }), &json!({})),
        entry(1, asked, &json!({ "effects": { "whole": whole } })),
        json!({ "line": "gap", "from": 2, "until": 5, "at_ms": 1_700_000_000_123u64 }),
        entry(
            5,
            json!({ "what": "reply", "wait": 1, "name": "a/b",
                         "outcome": { "failure": "no answer in time" } }),
            &json!({}),
        ),
        entry(
            6,
            json!({ "what": "recovered" }),
            &json!({ "letter": letter, "outcome": "died", "why": "it blew" }),
        ),
        json!({ "line": "end", "how": "died", "at_ms": 1_700_000_000_123u64 }),
    ]);
    let fake = Fake::serve(vec![("GET /v1/journal/entries?agent=visits&count=20", 200, lines)]);
    let output = fake.run(&["journal", "show", "visits"]);
    let at = "2023-11-14T22:13:20.123Z";
    let arrow = " ".repeat(32) + "->";
    let expected = format!(
        "\
counter visits (abcdefgh), life 12 on alpha, write-ahead, version 2 of its code
     0  {at}  started
     1  {at}  asked counter/add {{\"by\":\"\\u001b[31m\"}} by aaaaaaaa@k3v9x2ab
{arrow} publish counter/changed {{\"value\":3}}
{arrow} reply 3
{at}  2 to 4 were not recorded: storage did not work
     5  {at}  answer to a/b: failed: no answer in time
     6  {at}  recovered  letter 7 of m4w7y2cd  died: it blew
{at}  its life ended: died
"
    );
    assert_eq!(stdout(&output), expected);
    let json = fake.run(&["journal", "show", "visits", "--format", "json"]);
    let envelope: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(envelope["data"]["lines"][5]["how"], "died");
}

#[test]
fn a_difference_is_shown_readably() {
    let differs = json!({
        "sequence": 43, "number": 2, "at_ms": 1_700_000_000_123u64, "what": "effects",
        "input": { "what": "started" }, "expected": "a", "got": "b",
        "diff": "--- recorded\n+++ replayed\n@@ -1 +1 @@\n-a\n+b\n", "before": { "value": 1 },
        "software": "starling 0.1.0", "recorded_version": 2, "version": 3,
    });
    let replayed = |result: Value| {
        life(&json!({ "line": "life", "result": result, "entries": 2, "snapshots": 1,
                      "unrecorded": 0, "missing": 0 }))
    };
    let answer = lines(&[replayed(json!("same")), replayed(json!({ "differs": differs }))]);
    let fake = Fake::serve(vec![("GET /v1/journal/replay?", 200, answer)]);
    let output = fake.run(&["journal", "replay"]);
    let expected = "\
RESULT   LIFE  NAME    AGENT     KIND     ENTRIES  SNAPSHOTS
same       12  visits  abcdefgh  counter        2          1
DIFFERS    12  visits  abcdefgh  counter        2          1

counter visits (abcdefgh), life 12: entry 2 replays differently in its effects
  recorded  2023-11-14T22:13:20.123Z by starling 0.1.0, version 2 of the kind's code; now 3; \
record 43
  input     started
  state before
    {
      \"value\": 1
    }
  --- recorded
  +++ replayed
  @@ -1 +1 @@
  -a
  +b
";
    assert_eq!(stdout(&output), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn logs_are_lines_with_what_they_are_about() {
    let line = |more: Value| {
        let mut line = json!({ "at_ms": 1_700_000_000_123u64, "level": "warn",
                               "target": "starling_node::net", "message": "it rains" });
        for (key, value) in more.as_object().expect("an object") {
            line[key] = value.clone();
        }
        line
    };
    let agent = json!({ "agent": "abcdefghijkl", "kind": "counter", "level": "info" });
    let answer = lines(&[line(json!({ "fields": { "event": "rain" } })), line(agent)]);
    let path = "GET /v1/logs?agent=visits&level=info&text=it%20rains&limit=100&follow=false";
    let fake = Fake::serve(vec![(path, 200, answer)]);
    let words = ["logs", "--agent", "visits", "--level", "info", "--grep", "it rains"];
    let expected = "\
2023-11-14T22:13:20.123Z WARN  starling_node::net: it rains event=\"rain\"
2023-11-14T22:13:20.123Z INFO  counter abcdefgh: it rains
";
    assert_eq!(stdout(&fake.run(&words)), expected);
}

#[test]
fn a_letter_is_posted() {
    let posted = json!({ "agent": "abcdefghijkl", "host": "m4w7y2cdefghijkl", "number": 7 });
    let fake = Fake::serve(vec![("POST /v1/post", 200, posted.to_string())]);
    let output = fake.run(&["post", "till@beta", "shop/sold", r#"{"count": 2}"#]);
    assert_eq!(stderr(&output), "letter 7 to abcdefgh@m4w7y2cd is durable here\n");
    let sent = json!({ "to": "till@beta", "name": "shop/sold", "body": { "count": 2 } });
    assert_eq!(fake.calls()[0].1, sent);
    assert_eq!(stdout(&fake.run(&["post", "till@beta", "shop/sold", "-q"])), "7\n");
}

#[test]
fn an_agent_is_inspected_as_it_was() {
    let then = life(&json!({ "inputs": 3, "at_ms": 1_700_000_000_456u64,
                             "state": { "value": 2 }, "waits": [], "topics": ["a/b"] }));
    let path = "GET /v1/journal/state?agent=visits&entry=2";
    let fake = Fake::serve(vec![(path, 200, then.to_string())]);
    let text = stdout(&fake.run(&["inspect", "visits", "--at", "2"]));
    assert!(text.contains("inputs       3\nsince        2023-11-14T22:13:20.456Z\n"), "{text}");
    assert!(text.contains("state\n  {\n    \"value\": 2\n  }\n"), "{text}");
}
