//! What scripts rely on: exit codes, JSON, quiet pipes.

mod common;

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::{Child, Output, Stdio},
};

use common::{Fake, Route, members, p2p, problem, status, stderr, stdout};
use serde_json::{Value, json};

fn code(fake: &Fake, words: &[&str]) -> Option<i32> {
    fake.run(words).status.code()
}

#[test]
fn exit_codes_follow_the_class_of_the_problem() {
    for (http, class, exit) in [
        (403, "denied", 4),
        (404, "not-found", 5),
        (409, "conflict", 1),
        (422, "bad-body", 1),
        (503, "unreachable", 6),
        (504, "timed-out", 6),
    ] {
        let fake = Fake::serve(vec![problem("POST /v1/request", http, class, "it went wrong")]);
        let output = fake.run(&["request", "a", "b/c"]);
        assert_eq!(output.status.code(), Some(exit), "{class}");
        assert_eq!(stderr(&output), "error: it went wrong\n  next: think\n");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn without_a_daemon_it_says_how_to_start_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let shown = dir.path().display();
    for words in [&["members"][..], &["status"], &["down"], &["events"], &["publish", "a/b"]] {
        let output = p2p(words).arg("--data-dir").arg(dir.path()).output().expect("p2p runs");
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let expected = format!(
            "error: no daemon answers at {shown}/control.sock\n  \
             next: start one with: p2p --data-dir {shown} up\n"
        );
        assert_eq!(stderr(&output), expected);
    }
}

#[test]
fn the_command_line_is_checked() {
    for words in [&["frobnicate"][..], &["members", "--format", "xml"], &["invite", "--ttl", "x"]] {
        assert_eq!(p2p(words).output().expect("p2p runs").status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn invalid_json_is_shown_before_anything_is_called() {
    let fake = Fake::serve(vec![]);
    let output = fake.run(&["request", "echo", "echo/say", r#"{"text" "x"}"#]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("expected `:` (column 9)\n  {\"text\" \"x\"}\n          ^\n"), "{told}");
    assert!(fake.calls().is_empty());
}

#[test]
fn bodies_come_from_arguments_files_and_standard_input() {
    let answered = json!({ "agent": "a", "host": "h", "reply": { "text": "hi" } }).to_string();
    let fake = Fake::serve(vec![("POST /v1/request", 200, answered)]);
    let file = fake.data_dir().join("body.json");
    std::fs::write(&file, "{\"n\": 2}\n").expect("written");
    let at_file = format!("@{}", file.display());
    assert_eq!(code(&fake, &["request", "a", "b/c", r#"{"n": 1}"#]), Some(0));
    assert_eq!(code(&fake, &["request", "a", "b/c", &at_file]), Some(0));
    let mut piped = fake
        .command(&["request", "a@h", "b/c", "-", "--timeout", "2s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("p2p runs");
    piped.stdin.take().expect("a pipe").write_all(b"[3]").expect("written");
    let output = piped.wait_with_output().expect("p2p ends");
    assert_eq!(stdout(&output), "{\n  \"text\": \"hi\"\n}\n");
    let bodies: Vec<Value> =
        fake.calls().into_iter().map(|(_, body)| body["body"].clone()).collect();
    assert_eq!(bodies, [json!({ "n": 1 }), json!({ "n": 2 }), json!([3])]);
    assert_eq!(fake.calls()[2].1["timeout_ms"], 2000);
}

#[test]
fn json_comes_in_an_envelope_with_whole_ids() {
    let fake = Fake::serve(vec![members()]);
    let output = fake.run(&["members", "--format", "json"]);
    assert!(stdout(&output).starts_with("{\n  \"schema\": \"p2p.members/1\",\n  \"data\": ["));
    let envelope: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(envelope["data"][0]["host"], "k3v9x2abcdefghij");
    assert_eq!(envelope["data"][2]["name"], "ga\u{1b}[31mmma");
    assert_eq!(envelope.get("missing"), None);
}

#[test]
fn errors_are_json_too() {
    let fake = Fake::serve(vec![problem("GET /v1/members", 403, "denied", "no")]);
    let output = fake.run(&["members", "--format", "json"]);
    let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    let data = json!({ "exit": 4, "message": "no", "next": "think" });
    assert_eq!(error, json!({ "schema": "p2p.error/1", "data": data }));
}

#[test]
fn a_partial_list_is_shown_and_told() {
    let missing = json!([{ "host": "gamma", "why": "timed out" }]);
    let listing = json!({ "items": [], "missing": missing }).to_string();
    let fake = Fake::serve(vec![("GET /v1/agents", 200, listing)]);
    let output = fake.run(&["agents", "--format", "json"]);
    assert_eq!(output.status.code(), Some(6));
    let envelope: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(envelope["missing"], missing);
    assert_eq!(stderr(&output), "warning: nothing from gamma: timed out\n");
}

#[test]
fn a_degraded_host_has_its_own_exit_code() {
    assert_eq!(code(&Fake::serve(vec![status("ok")]), &["status"]), Some(0));
    assert_eq!(code(&Fake::serve(vec![status("disk is full")]), &["status"]), Some(7));
}

fn heard(n: u32) -> String {
    let body = json!({ "n": n });
    json!({ "heard": "message", "topic": "a/b", "from": "aaaaaaaaaa@hhhhhhhhhh",
            "from_host": "beta", "body": body })
    .to_string()
}

fn talk() -> Route {
    let gap = json!({ "heard": "gap", "topic": "a/b", "missed": 2 }).to_string();
    let lines = [heard(1), gap, heard(2), heard(3)].map(|line| line + "\n").concat();
    ("GET /v1/subscribe?topic=a/b%231", 200, lines)
}

#[test]
fn subscribe_ends_after_so_many_messages() {
    let output = Fake::serve(vec![talk()]).run(&["subscribe", "a/b#1", "--count", "2"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "aaaaaaaa@beta  {\"n\":1}\naaaaaaaa@beta  {\"n\":2}\n");
    assert!(stderr(&output).contains("warning: 2 messages lost on the way\n"));
}

#[test]
fn subscribe_prints_json_lines_and_tells_when_the_daemon_ends_it() {
    let output = Fake::serve(vec![talk()]).run(&["subscribe", "a/b#1", "--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["missed"], 2);
}

#[test]
fn a_closed_pipe_is_quiet() {
    let many = (0..20_000).map(heard).map(|line| line + "\n").collect::<String>();
    let fake = Fake::serve(vec![("GET /v1/subscribe?topic=a/b", 200, many)]);
    let mut child = fake
        .command(&["subscribe", "a/b", "-q"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("p2p runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("p2p ends");
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn help_and_completions_survive_a_closed_pipe() {
    for words in [&["--help"][..], &["completions", "bash"], &["help", "exit-codes"]] {
        let mut child =
            p2p(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("p2p runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("p2p ends");
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{words:?}");
    }
}

fn replayed(result: &Value, missing: u64, unrecorded: u64) -> String {
    let life = json!({
        "line": "life", "life": 12, "agent": "abcdefghijkl", "kind": "counter", "version": 1,
        "durability": "history", "host": "h", "host_name": "alpha", "begun_ms": 0, "first": 0,
        "next": 3, "last_ms": 0, "known": true, "result": result, "entries": 3, "snapshots": 0,
        "unrecorded": unrecorded, "missing": missing,
    });
    let progress = json!({ "line": "progress", "done": 0, "of": 3 });
    format!("{progress}\n{life}\n{}\n", json!({ "complete": true }))
}

#[test]
fn a_replay_has_exit_codes() {
    let replay = |answer: String| {
        let fake = Fake::serve(vec![("GET /v1/journal/replay?agent=visits", 200, answer)]);
        fake.run(&["journal", "replay", "visits"])
    };
    let cases = [
        (json!("same"), (0, 0), 0, "1 life, 3 entries: all as they were recorded\n"),
        (
            json!("same"),
            (2, 0),
            6,
            "life 12: 2 entries are missing: the journal is damaged or cut\n",
        ),
        (json!("same"), (0, 1), 6, "1 entry is not there, because storage did not work then\n"),
        (json!("unknown-kind"), (0, 0), 6, "this program has no kind \"counter\"\n"),
        (json!("no-snapshot"), (0, 0), 6, "there is no snapshot to begin with\n"),
        (json!({ "unplayable": "input 2 does not decode" }), (0, 0), 1, ""),
    ];
    for (result, (missing, unrecorded), code, said) in cases {
        let output = replay(replayed(&result, missing, unrecorded));
        assert_eq!(output.status.code(), Some(code), "{result}");
        assert!(stderr(&output).ends_with(said), "{result}: {}", stderr(&output));
    }
    // What broke off is not taken for the whole.
    let cut = replayed(&json!("same"), 0, 0).replace("{\"complete\":true}\n", "");
    assert_eq!(replay(cut).status.code(), Some(3));
    let problem = json!({ "problem": { "code": "damaged", "message": "it is damaged" } });
    let failed = replay(
        replayed(&json!("same"), 0, 0).replace("{\"complete\":true}", "")
            + &problem.to_string()
            + "\n",
    );
    assert_eq!(
        (failed.status.code(), stderr(&failed).as_str()),
        (Some(1), "error: it is damaged\n")
    );
}

#[test]
fn files_are_read_without_a_daemon() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("no.db");
    let missing = file.to_str().expect("a path");
    for words in
        [&["journal", "list"][..], &["journal", "verify"], &["journal", "replay"], &["logs"]]
    {
        let output = p2p(words).args(["--file", missing]).output().expect("p2p runs");
        assert_eq!(output.status.code(), Some(5), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: there is no journal at "), "{words:?}");
    }
    let told = |words: &[&str]| {
        let output = p2p(words).args(["--file", missing]).output().expect("p2p runs");
        (output.status.code(), stderr(&output))
    };
    for (bytes, words) in [
        ("no journal", ["journal", "list"]),
        ("", ["journal", "verify"]),
        ("", ["journal", "list"]),
    ] {
        std::fs::write(&file, bytes).expect("written");
        let expected = format!(
            "error: {missing}: this is no journal of Starling\n  next: name a file or a directory \
             of a journal: they are in DATA_DIR/journal, or copies\n"
        );
        assert_eq!(told(&words), (Some(1), expected), "{bytes:?}");
    }
    // A journal is in the data directory, and not the directory itself.
    std::fs::create_dir(dir.path().join("journal")).expect("made");
    let data_dir = dir.path().to_str().expect("a path");
    let output = p2p(&["journal", "list", "--file", data_dir]).output().expect("p2p runs");
    let hint = format!("  next: its journal is in it: --file {data_dir}/journal\n");
    assert!(stderr(&output).ends_with(&hint), "{}", stderr(&output));
    for words in [&["journal", "show"][..], &["journal", "diff"], &["journal", "diff", "1"]] {
        assert_eq!(p2p(words).output().expect("p2p runs").status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn no_second_daemon_runs_in_the_foreground() {
    let output = Fake::serve(vec![status("ok")]).run(&["up", "--foreground"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    let told = stderr(&output);
    assert!(
        told.starts_with("error: the daemon is already running, in the background\n"),
        "{told}"
    );
    assert!(told.ends_with(" down\n"), "{told}");
}

#[test]
fn no_messages_at_all_cannot_be_asked_for() {
    for words in [&["logs"][..], &["journal", "show", "visits"]] {
        let output = p2p(words).args(["-n", "0"]).output().expect("p2p runs");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}

/// A daemon that hears a call out and answers nothing; and what happens then.
fn unanswered(words: &[&str], then: impl FnOnce(&Child, UnixStream)) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = UnixListener::bind(dir.path().join("control.sock")).expect("a socket");
    let mut command = p2p(words);
    command.arg("--data-dir").arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("p2p runs");
    let (mut stream, _) = listener.accept().expect("a call");
    let (mut heard, mut part) = (Vec::new(), [0; 4096]);
    while !heard.ends_with(b"}") {
        let read = stream.read(&mut part).expect("a request");
        assert!(read > 0, "{words:?} has nothing to say");
        heard.extend_from_slice(&part[..read]);
    }
    then(&child, stream);
    child.wait_with_output().expect("it ends")
}

const UNDER_WAY: [(&[&str], &str, &str); 9] = [
    (&["move", "visits@alpha", "--to", "beta"], "the move", " locate visits\n"),
    (&["take-up", "visits"], "what was begun", " locate visits\n"),
    (
        &["docs", "set", "conf/echo", "a", "1", "--replicas", "2"],
        "the change",
        " docs get conf/echo\n",
    ),
    (&["docs", "remove", "conf/echo", "a"], "the change", " docs get conf/echo\n"),
    (&["docs", "delete", "conf/echo"], "the deletion", " docs get conf/echo\n"),
    (&["docs", "resolve", "conf/echo", "a", "3fa2"], "the change", " docs conflicts conf/echo\n"),
    (&["docs", "raise", "conf/echo"], "the change", " docs get conf/echo\n"),
    (&["request", "visits@beta", "counter/add"], "the request", " inspect visits@beta\n"),
    (&["post", "visits@beta", "counter/add"], "the letter", " inspect visits@beta\n"),
];

#[test]
fn ctrl_c_says_what_may_go_on_and_how_to_see_what_became_of_it() {
    for (words, what, look) in UNDER_WAY {
        let output = unanswered(words, |child, stream| {
            let pid = rustix::process::Pid::from_child(child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
            // It ends by itself: the daemon is still there.
            std::mem::forget(stream);
        });
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{words:?}: {told}");
        assert!(told.starts_with(&format!("error: interrupted; {what} may go on")), "{told}");
        assert!(
            told.contains("what became of it: p2p --data-dir ") && told.ends_with(look),
            "{told}"
        );
    }
}

#[test]
fn a_daemon_that_breaks_off_leaves_it_open_what_became_of_a_change() {
    for (words, what, look) in UNDER_WAY {
        let output = unanswered(words, |_, stream| drop(stream));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {told}");
        let next = format!(" doctor; then what became of {what}: p2p --data-dir ");
        assert!(told.contains("broke off") && told.contains(&next), "{told}");
        assert!(told.ends_with(look), "{told}");
    }
}

#[test]
fn documents_that_are_looked_for_in_vain_are_named() {
    let none = json!({ "items": [] }).to_string();
    let fake = Fake::serve(vec![
        ("GET /v1/docs?prefix=agent/&limit=200&where=knd%3D%22room%22", 200, none.clone()),
        ("GET /v1/docs?limit=200", 200, none.clone()),
        ("GET /v1/docs?after=z&limit=200", 200, none),
    ]);
    let of = "there is no document whose name begins with \"agent/\" that says knd=\"room\"\n";
    for (words, said) in [
        (&["docs", "list", "agent/", "--where", "knd=room"][..], of),
        (&["docs", "list"], "there is no document\n"),
        (&["docs", "list", "--after", "z"], "there is no document after \"z\"\n"),
    ] {
        let output = fake.run(words);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), said), "{words:?}");
    }
    let forgotten = fake.run(&["docs", "list", "--where", "kind="]);
    assert_eq!(forgotten.status.code(), Some(2));
    let told = stderr(&forgotten);
    assert!(told.contains("the value is missing; an empty text is kind='\"\"'"), "{told}");
}

#[test]
fn what_no_daemon_would_read_is_not_sent() {
    let fake = Fake::serve(vec![]);
    let output = fake.run(&["docs", "get", "conf/echo", &"a".repeat(100_000)]);
    let said = "error: what was typed is too long to be asked\n  next: shorten it\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), said));
    assert!(fake.calls().is_empty());
}

/// Documents of which there are more than one page has.
fn many_documents() -> Fake {
    let name = |n: usize| format!("conf/{n:04}");
    let page = |from: usize, to: usize, next: Option<String>| {
        let row = |n| json!({ "name": name(n), "value": {}, "heads": [] });
        json!({ "items": (from..to).map(row).collect::<Vec<_>>(), "next": next }).to_string()
    };
    let mut routes = vec![("GET /v1/docs?limit=200", 200, page(0, 200, Some(name(199))))];
    for (route, from, to) in [
        ("GET /v1/docs?after=conf/0199&limit=200", 200, 400),
        ("GET /v1/docs?after=conf/0399&limit=200", 400, 600),
        ("GET /v1/docs?after=conf/0599&limit=200", 600, 800),
        ("GET /v1/docs?after=conf/0799&limit=200", 800, 1000),
        ("GET /v1/docs?after=conf/0999&limit=200", 1000, 1150),
    ] {
        routes.push((route, 200, page(from, to, (to < 1150).then(|| name(to - 1)))));
    }
    routes.push(("GET /v1/docs?after=conf/0199&limit=50", 200, page(200, 250, Some(name(249)))));
    Fake::serve(routes)
}

#[test]
fn all_documents_are_listed_and_a_list_that_is_cut_says_where_to_go_on() {
    let fake = many_documents();
    let json = |words: &[&str]| -> Value {
        let output = fake.run(&[words, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let all = fake.run(&["docs", "list", "-q"]);
    assert_eq!((stdout(&all).lines().count(), stderr(&all).as_str()), (1150, ""));
    let all = json(&["docs", "list"]);
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1150));
    assert_eq!(all.get("next"), None);
    let some = json(&["docs", "list", "--limit", "250"]);
    assert_eq!(some["data"].as_array().map(Vec::len), Some(250));
    assert_eq!(some["next"], "conf/0249");
    let some = fake.run(&["docs", "list", "--limit", "250"]);
    assert_eq!(stderr(&some), "there may be more: --after conf/0249\n");
}

#[test]
fn a_whole_document_is_not_removed_by_an_empty_path() {
    let fake = Fake::serve(vec![]);
    let output = fake.run(&["docs", "remove", "conf/echo", "limit", ""]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).ends_with(" docs delete conf/echo\n"), "{}", stderr(&output));
    assert!(fake.calls().is_empty());
}
