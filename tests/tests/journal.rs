//! The journal with real processes: what outlives a crash, and what can be seen of it afterwards.

use std::{fs, path::Path};

use serde_json::{Value, json};
use starling_tests::{Host, Place, Ran, place, until};

/// A place whose daemons have the kinds of [`starling_tests::kept`].
fn kept() -> Place {
    place!().with_daemon(env!("CARGO_BIN_EXE_load-daemon"))
}

#[test]
fn a_write_ahead_agent_is_back_after_a_kill_and_everything_replays() {
    let place = place!();
    let mut alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    for round in 1..=3 {
        for by in 1..=5 {
            let _ = alpha.ask("visits", "counter/add", &json!({ "by": by }));
        }
        alpha.kill();
        alpha.up();
        let back = alpha.event("agent-recovered", |event| event["details"]["kind"] == "counter");
        assert_eq!(back["details"]["kind"], "counter");
        assert_eq!(alpha.ask("visits", "counter/read", &json!({})), 15 * round);
    }
    let lives = alpha.journal(&["list"]);
    let life = of_kind(&lives, "counter").next().expect("its life").clone();
    assert_eq!((&life["name"], &life["durability"]), (&json!("visits"), &json!("write-ahead")));
    assert_eq!(life.get("ended"), None, "it lives");
    assert_eq!(of_kind(&lives, "counter").count(), 1, "it is the same life: {lives}");
    // The host agents of the lives that were killed ended with them.
    let ended = of_kind(&lives, "host").filter(|row| row["ended"] == "host-down").count();
    assert_eq!(ended, 3, "{lives}");

    let played = alpha.journal(&["replay"]);
    for life in played.as_array().expect("a list") {
        assert_eq!(life["result"], "same", "{life}");
    }
    // Its start, and each round five additions, its recovery and a question.
    let counter = of_kind(&played, "counter").next().expect("its life");
    assert_eq!((&counter["entries"], &counter["missing"]), (&json!(1 + 3 * 7), &json!(0)));
    assert_eq!(alpha.journal(&["verify"])["problems"], json!([]));
}

#[test]
fn a_copy_of_a_running_daemons_journal_replays_without_a_daemon() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    for by in 1..=9 {
        let _ = alpha.ask("visits", "counter/add", &json!({ "by": by }));
    }
    let copy = place.dir().join("copy");
    copy_journal(&alpha, &copy);
    let copied = copy.to_str().expect("a path in UTF-8");
    let file = first_file(&copy);
    for path in [copied, file.as_str()] {
        let run = |words: &[&str]| place.run(&[words, &["--file", path]].concat());
        let played = run(&["journal", "replay", "visits"]);
        assert!(played.out.contains("same"), "{played:?}");
        assert!(played.well().contains("visits"));
        let then = run(&["inspect", "visits", "--at", "4", "--format", "json"]);
        assert_eq!(then.data("p2p.inspect-at/1")["state"], json!({ "value": 1 + 2 + 3 + 4 }));
        assert!(run(&["journal", "verify"]).err.contains("nothing is wrong"));
        let shown = run(&["journal", "show", "visits", "-n", "1"]).well();
        assert!(shown.contains("asked counter/add {\"by\":9}"), "{shown}");
        assert!(shown.contains("-> reply 45"), "{shown}");
        let logged = run(&["logs", "--grep", "visits"]).well();
        assert!(logged.contains("of kind counter started"), "{logged}");
    }
    // The copy ends where the journal goes on: that is seen, too.
    assert_eq!(place.run(&["journal", "diff", "--file", copied, "--with", &file]).code, 0);
    let _ = alpha.ask("visits", "counter/add", &json!({ "by": 1 }));
    let differs = alpha.run(&["journal", "diff", "--with", copied]).failed(1, &[]);
    assert!(differs.out.contains("one goes on where the other ends"), "{differs:?}");
}

#[test]
fn an_agent_that_is_not_deterministic_is_caught() {
    let place = kept();
    let alpha = place.up("alpha");
    for name in ["steady", "moody"] {
        let _ = alpha.start("fickle", name);
    }
    for (name, draws) in [("steady", 2), ("moody", 4)] {
        for _ in 0..draws {
            let _ = alpha.ask(name, "kept/draw", &json!({}));
        }
    }
    // What is kept as history is written a little later, but at once when somebody reads it.
    let lives = alpha.journal(&["list"]);
    let all = of_kind(&lives, "fickle").map(|row| row["next"].as_u64()).sum::<Option<u64>>();
    assert_eq!(all, Some(2 + 2 + 4));
    let told = alpha.run(&["journal", "replay"]).failed(1, &[]);
    // Its start is entry 0, and its first two draws come from its state.
    for part in [
        "entry 3 replays differently in its effects",
        "version 3 of the kind's code, now as then",
        "asked kept/draw {}",
        "\"drawn\": 2",
        "--- recorded",
        "+++ replayed",
        "-    \"reply\": 100",
        "+    \"reply\": 10",
    ] {
        assert!(told.out.contains(part), "it does not say {part:?}: {}", told.out);
    }
    let steady = alpha.run(&["journal", "replay", "steady"]);
    assert_eq!(steady.code, 0, "another of its kind is not to blame: {steady:?}");
    let format = ["--format", "json"];
    let told = alpha.run(&[&["journal", "replay", "moody"][..], &format].concat());
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    let differs = &told["data"][0]["result"]["differs"];
    assert_eq!((&differs["number"], &differs["what"]), (&json!(3), &json!("effects")), "{told}");

    // A program that has no such kind says so, and replays the others.
    let copy = place.dir().join("copy");
    copy_journal(&alpha, &copy);
    let said = ["this program has no kind \"fickle\""];
    let file = copy.to_str().expect("a path");
    let told = place.run(&["journal", "replay", "--file", file]).failed(6, &said);
    assert!(told.out.contains("same"), "the host agent replays: {told:?}");
    let shown = place.run(&["journal", "show", "fickle", "--file", file]).failed(2, &["--life N"]);
    assert_eq!(shown.out, "", "a kind and a name, but two agents");
}

#[test]
fn a_panic_shows_the_input_that_killed_the_agent() {
    let place = kept();
    let mut alpha = place.up("alpha");
    let _ = alpha.start("fuse", "fuse");
    let _ = alpha.start("counter", "visits");
    assert_eq!(alpha.ask("fuse", "kept/light", &json!({ "spark": false })), 1);
    let words = ["request", "fuse", "kept/light", r#"{"spark":true}"#];
    assert_ne!(alpha.run(&words).code, 0);
    alpha.event("agent-died", |event| event["details"]["kind"] == "fuse");
    // Nothing else stopped.
    assert_eq!(alpha.ask("visits", "counter/add", &json!({ "by": 1 })), 1);
    let look = |alpha: &Host| {
        let shown = alpha.run(&["journal", "show", "fuse", "-n", "1"]).well();
        let input = "asked kept/light {\"spark\":true}";
        let death = "died: the fuse blew at try 2";
        assert!(shown.contains(input) && shown.contains(death), "{shown}");
        assert!(shown.contains("its life ended: died"), "{shown}");
        let before = alpha.run(&["inspect", "fuse", "--at", "1", "--format", "json"]);
        assert_eq!(before.data("p2p.inspect-at/1")["state"], json!({ "tried": 1 }));
        let played = alpha.run(&["journal", "replay", "fuse"]);
        assert_eq!(played.code, 0, "a panic replays as one: {played:?}");
        assert_eq!(alpha.said("panicked at"), 1, "that of a replay is not told of");
    };
    look(&alpha);
    alpha.kill();
    alpha.up();
    look(&alpha);
    alpha.run(&["request", "fuse", "kept/light", "{}"]).failed(5, &[]);
}

#[test]
fn letters_arrive_once_and_in_order_whoever_restarts() {
    let place = kept();
    let [mut alpha, mut beta] = place.mesh(["alpha", "beta"]);
    let till = alpha.start("depositor", "till");
    let bank = beta.start("teller", "bank");
    let (agent, host) = bank.split_once('@').expect("both ids");
    let to = json!({ "agent": agent, "host": host });
    let mut posted = 0;
    for round in 0..4 {
        posted += 150;
        let pay = json!({ "to": to, "count": 150 });
        assert_eq!(alpha.ask(&till, "kept/pay", &pay), posted);
        // They are under way now, some of them, or all, or none.
        let victim = if round % 2 == 0 { &mut beta } else { &mut alpha };
        victim.kill();
        victim.up();
        alpha.sees("beta", "linked");
    }
    let standing = json!({ "count": posted, "last": posted, "out_of_turn": 0 });
    until("all letters are handled", || {
        let words = ["request", "bank@beta", "kept/balance", "{}", "--timeout", "2s"];
        let told: Option<Value> = serde_json::from_str(&beta.run(&words).out).ok();
        told.filter(|told| told["count"].as_u64() >= Some(posted))
    });
    assert_eq!(beta.ask("bank", "kept/balance", &json!({})), standing);

    // From outside, while the other host is down.
    beta.kill();
    alpha.sees("beta", "unreachable");
    let letter = json!({ "number": posted + 1 }).to_string();
    let told = alpha.run(&["post", &bank, "kept/deposit", &letter]);
    assert!(told.err.contains("is durable here"), "{told:?}");
    assert!(alpha.metric("letters_waiting") > 0);
    alpha.kill();
    alpha.up();
    assert!(alpha.metric("letters_waiting") > 0, "it waits through a crash of its own host");
    beta.up();
    until("the letter from outside is handled", || {
        let told = beta.ask("bank", "kept/balance", &json!({}));
        (told["count"] == posted + 1).then_some(())
    });
    assert_eq!(beta.ask("bank", "kept/balance", &json!({}))["out_of_turn"], 0);
    until("nothing waits any more", || (alpha.metric("letters_waiting") == 0).then_some(()));
    for host in [&alpha, &beta] {
        for life in host.journal(&["replay"]).as_array().expect("a list") {
            assert_eq!(life["result"], "same", "{life}");
        }
    }
    // The entry says which letter it was.
    let shown = beta.run(&["journal", "show", "bank", "-n", "3"]).well();
    assert!(shown.contains(&format!("letter {} of", posted + 1)), "{shown}");
}

#[test]
fn damaged_copies_are_told_of() {
    let place = place!();
    let mut alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    for by in 0..200 {
        let _ = alpha.call("POST", "/v1/request", &add("visits", by));
    }
    alpha.down();
    let whole = fs::read(first_file(&alpha.data_dir.join("journal"))).expect("the journal");
    let file = place.dir().join("copy.db");
    let path = file.to_str().expect("a path").to_owned();
    let try_with = |bytes: &[u8]| -> [Ran; 3] {
        fs::write(&file, bytes).expect("written");
        [&["journal", "verify"][..], &["journal", "list"], &["journal", "replay"]]
            .map(|words| place.run(&[words, &["--file", &path]].concat()))
    };
    assert_eq!(try_with(&whole).map(|ran| ran.code), [0, 0, 0]);
    for bytes in [&b""[..], b"this is no journal", &whole[..1000]] {
        for ran in try_with(bytes) {
            let ran = ran.failed(1, &["error: ", "copy.db"]);
            assert!(ran.out.is_empty(), "{ran:?}");
        }
    }
    // Half of it, and one byte in the middle of what agents did.
    let [verified, ..] = try_with(&whole[..whole.len() / 2]);
    assert_eq!(verified.code, 1, "{verified:?}");
    let place_of = |what: &[u8]| whole.windows(what.len()).rposition(|part| part == what);
    let at = place_of(b"counter/add").expect("an input");
    let mut flipped = whole.clone();
    flipped[at] ^= 1;
    let [verified, listed, played] = try_with(&flipped);
    assert_eq!((verified.code, listed.code), (1, 0), "{verified:?} {listed:?}");
    assert!(verified.out.contains("PROBLEM"), "{verified:?}");
    let played = played.failed(1, &["warning: ", "damaged"]);
    assert!(played.out.contains("host"), "others are replayed: {played:?}");
    place.run(&["journal", "list", "--file", "/no/such"]).failed(5, &["no journal at /no/such"]);
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    alpha.run(&["journal", "show", "nobody"]).failed(5, &["knows no agent \"nobody\""]);
    alpha.run(&["journal", "show", "--life", "999"]).failed(5, &["no life 999"]);
    alpha.run(&["journal", "show", "visits@beta"]).failed(5, &["journal of host alpha"]);
    alpha.run(&["inspect", "visits", "--at", "99"]).failed(5, &["entry 99 is not recorded"]);
    alpha.run(&["inspect", "visits", "--at", "1h"]).failed(5, &["had not begun to live"]);
    alpha.run(&["inspect", "visits", "--at", "noon"]).failed(2, &["5m (ago)"]);
    alpha.run(&["post", "visits@alpha", "a/b", "{"]).failed(2, &["not valid JSON"]);
    for path in [
        "/v1/journal/entries",
        "/v1/journal/entries?agent=a&life=3",
        "/v1/journal/state?agent=visits",
        "/v1/journal/state?agent=visits&entry=x",
        "/v1/journal/replay?nonsense=1",
        "/v1/logs?level=loud",
    ] {
        let answer = alpha.call("GET", path, &Value::Null);
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("usage")), "{path}");
    }
    // A letter that nobody can handle is told of where it was posted.
    let _ = alpha.run(&["post", "visits", "no/such", "{}"]).well();
    alpha.event("undelivered", |event| event["details"]["name"] == "no/such");
}

fn add(to: &str, by: u64) -> Value {
    json!({ "to": to, "request": "counter/add", "body": { "by": by } })
}

fn of_kind<'a>(rows: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    rows.as_array().expect("a list").iter().filter(move |row| row["kind"] == kind)
}

/// Copies a journal as it is, while it is written.
fn copy_journal(host: &Host, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(host.data_dir.join("journal")).expect("a journal") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        // `current.db` is a link to one of the others.
        if path.is_file() && !path.is_symlink() {
            fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

fn first_file(journal: &Path) -> String {
    let path = journal.join(format!("{:020}.db", 1));
    path.to_str().expect("a path in UTF-8").to_owned()
}
