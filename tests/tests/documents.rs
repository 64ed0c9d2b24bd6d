//! Documents on real daemons: written on one and read on others, through kills, and in conflict.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use rusqlite::Connection;
use serde_json::{Value, json};
use starling_tests::{Host, Place, Ran, place, until};

const DOC: &str = "conf/echo";

fn docs(host: &Host, words: &[&str]) -> Ran {
    host.run(&[&["docs"], words].concat())
}

/// What `p2p docs … --format json` says, which must succeed.
fn data(host: &Host, words: &[&str]) -> Value {
    let ran = docs(host, &[words, &["--format", "json"]].concat());
    ran.data(&format!("p2p.docs-{}/1", words[0]))
}

fn set(host: &Host, path: &str, value: &str) {
    let _ = docs(host, &["set", DOC, path, value]).well();
}

/// What the document says on a host, if it has it.
fn says(host: &Host, name: &str) -> Option<Value> {
    let ran = docs(host, &["get", name, "--format", "json"]);
    (ran.code == 0).then(|| ran.data("p2p.docs-get/1")["value"].take())
}

/// Waits until the document says this on a host.
fn comes(host: &Host, wanted: &Value) {
    let mut last = None;
    until(&format!("{} has {wanted}", host.name), || {
        last = says(host, DOC);
        (last.as_ref() == Some(wanted)).then_some(())
    });
}

/// The descriptor of the agent of this name, as a host sees it.
fn descriptor(host: &Host, agent: &str) -> Option<Value> {
    let found = data(host, &["list", "agent/", "--where", &format!("name={agent}")]);
    found.as_array()?.first().cloned()
}

#[test]
fn what_is_set_on_one_host_is_read_on_the_others() {
    let place = place!();
    let [alpha, beta, gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let words = ["set", DOC, "limit", "3", "rooms[0].name", "hall", "-m", "begun"];
    let _ = docs(&alpha, &words).well();
    let begun = json!({ "limit": 3, "rooms": [{ "name": "hall" }] });
    comes(&beta, &begun);
    comes(&gamma, &begun);
    assert_eq!(docs(&beta, &["get", DOC, "rooms[0].name", "-q"]).well(), "hall");

    // Each changes what the others have made.
    let _ = docs(&beta, &["set", DOC, "limit", "7", "--text"]).well();
    comes(&gamma, &json!({ "limit": "7", "rooms": [{ "name": "hall" }] }));
    let _ = docs(&gamma, &["remove", DOC, "rooms"]).well();
    comes(&alpha, &json!({ "limit": "7" }));

    let page = data(&alpha, &["history", DOC]);
    let changes = page["changes"].as_array().expect("changes");
    assert_eq!((changes.len(), &changes[2]["message"]), (3, &json!("begun")));
    let by: Vec<_> = changes.iter().map(|change| &change["host"]).collect();
    assert_eq!(by, ["gamma", "beta", "alpha"]);
    let head = |n: usize| changes[n]["head"].as_str().expect("a head");
    assert_eq!(docs(&alpha, &["diff", DOC]).well(), r#"rooms: removed [{"name":"hall"}]"#);
    let diff = docs(&alpha, &["diff", DOC, &head(2)[..8], &head(1)[..8]]).well();
    assert_eq!(diff, r#"limit: 3 -> "7""#);
    let then = data(&alpha, &["get", DOC, "--at", &head(2)[..12]]);
    assert_eq!(then["value"], begun);

    let listed = data(&beta, &["list", "conf/", "--where", "limit=\"7\""]);
    assert_eq!(listed[0]["name"], DOC);
    assert_eq!(data(&beta, &["list", "conf/", "--where", "limit=8"]), json!([]));
    let _ = docs(&beta, &["delete", DOC]).well();
    until("it is gone everywhere", || {
        [&alpha, &gamma].iter().all(|host| says(host, DOC).is_none()).then_some(())
    });
    docs(&alpha, &["get", DOC]).failed(5, &["no such document", "p2p docs list"]);
    docs(&alpha, &["delete", DOC]).failed(5, &["no such document"]);
}

#[test]
fn who_was_away_catches_up_and_conflicts_are_resolved() {
    let place = place!();
    let [mut alpha, mut beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    set(&alpha, "limit", "1");
    comes(&beta, &json!({ "limit": 1 }));
    comes(&gamma, &json!({ "limit": 1 }));
    gamma.kill();
    set(&alpha, "a", "1");
    set(&beta, "b", "2");
    let both = json!({ "limit": 1, "a": 1, "b": 2 });
    comes(&alpha, &both);
    comes(&beta, &both);
    gamma.up();
    comes(&gamma, &both);
    assert_eq!(docs(&gamma, &["conflicts"]).well(), "");

    // Two write the same field, and neither can know of the other.
    gamma.kill();
    beta.kill();
    set(&alpha, "limit", "10");
    alpha.kill();
    beta.up();
    set(&beta, "limit", "20");
    alpha.up();
    let conflict = |host: &Host| {
        until(&format!("{} has a conflict", host.name), || {
            let found = data(host, &["conflicts", DOC]);
            let values = found[0]["places"][0]["values"].as_array()?.clone();
            (values.len() == 2).then_some(values)
        })
    };
    let values = conflict(&alpha);
    assert_eq!(conflict(&beta), values, "all see the same");
    let mut said: Vec<_> = values.iter().map(|value| value["value"].as_u64()).collect();
    said.sort_unstable();
    assert_eq!(said, [Some(10), Some(20)]);
    let all = docs(&alpha, &["conflicts"]).well();
    assert!(all.contains("conf/echo") && all.contains("limit") && all.contains("shown"), "{all}");

    let hidden = values.iter().find(|value| value["shown"] == false).expect("one is hidden");
    let change = hidden["change"].as_str().expect("a change");
    docs(&alpha, &["resolve", DOC, "limit", "0123456789"]).failed(5, &["no change"]);
    let _ = docs(&alpha, &["resolve", DOC, "limit", &change[..10]]).well();
    let wanted = json!({ "limit": hidden["value"], "a": 1, "b": 2 });
    comes(&beta, &wanted);
    comes(&alpha, &wanted);
    assert_eq!(data(&beta, &["conflicts", DOC]), json!([]));
    docs(&alpha, &["resolve", DOC, "limit", &change[..10]]).failed(1, &["only one value"]);
}

#[test]
fn a_change_waits_for_as_many_hosts_as_are_wanted() {
    let place = place!();
    let [alpha, beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let done = data(&alpha, &["set", DOC, "limit", "1", "--replicas", "3"]);
    assert_eq!((&done["replicas"], &done["wanted"]), (&json!(3), &json!(3)));
    gamma.kill();
    alpha.sees("gamma", "unreachable");
    let words = ["set", DOC, "limit", "2", "--replicas", "3", "--timeout", "1s"];
    docs(&alpha, &words).failed(6, &["the change was made, but only 2 of 3 hosts"]);
    let again = docs(&alpha, &words).failed(6, &["nothing was changed", "--timeout"]);
    assert!(again.err.contains("it says so already, but only 2 of 3 hosts"), "{again:?}");
    comes(&beta, &json!({ "limit": 2 }));
}

#[test]
fn what_is_known_of_an_agent_outlives_its_host() {
    let place = place!();
    let [alpha, beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let address = gamma.start("counter", "visits");
    let (agent, host) = address.split_once('@').expect("an address");
    for other in [&alpha, &beta] {
        let row = until("its descriptor arrives", || descriptor(other, "visits"));
        assert_eq!(
            (&row["value"]["kind"], &row["owner"]["host"]),
            (&json!("counter"), &json!(host))
        );
    }
    let seen = until("all have its descriptor", || {
        let seen = alpha.data(&["inspect", "visits"]);
        (seen["descriptor"]["replicas"] == json!(["alpha", "beta", "gamma"])).then_some(seen)
    });
    assert_eq!(seen["descriptor"]["name"], json!(format!("agent/{agent}")));
    let shown = alpha.run(&["inspect", "visits"]).well();
    assert!(shown.contains("known to     alpha, beta, gamma"), "{shown}");

    let name = format!("agent/{agent}");
    // Nor can it be changed on the host where it lives: nobody is sent there for that.
    for words in [&["set", &name, "fields.mine", "true"][..], &["delete", &name]] {
        let said = ["is said by the agent", "it lives on gamma: ask the agent: p2p request"];
        docs(&alpha, words).failed(4, &said);
        docs(&gamma, words).failed(4, &["is said by the agent", "ask the agent: p2p request"]);
    }
    gamma.kill();
    for (other, what) in [(&alpha, "visits"), (&beta, agent), (&beta, &agent[..8])] {
        other.sees("gamma", "unreachable");
        let found = other.data(&["locate", what]);
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{what}: {found}");
        let row = &found[0];
        assert_eq!((&row["agent"], &row["host"]), (&json!(agent), &json!(host)));
        assert_eq!((&row["state"], &row["name"]), (&json!("unreachable"), &json!("visits")));
        assert_eq!(says(other, &name).expect("it is readable")["kind"], "counter");
    }
    let asked = alpha.run(&["request", "visits", "counter/read"]);
    asked.failed(6, &["lives on gamma, which cannot be reached", "p2p take-up"]);
    alpha.run(&["locate", "nobody"]).failed(5, &["no agent \"nobody\" is known"]);
}

/// What `p2p doctor` finds of documents: the verdict, and what is seen.
fn checked(host: &Host) -> (String, String) {
    let ran = host.run(&["doctor", "--format", "json"]);
    let all: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = all["data"].as_array().expect("findings").iter();
    let found = rows.clone().find(|row| row["check"] == "documents").expect("one of documents");
    let text = |key: &str| found[key].as_str().expect("a text").to_owned();
    (text("verdict"), text("seen"))
}

fn documents_file(host: &Host) -> PathBuf {
    let mut meshes = fs::read_dir(host.data_dir.join("documents")).expect("it is there");
    meshes.next().expect("a mesh").expect("readable").path().join("documents.db")
}

#[test]
fn the_doctor_looks_at_the_documents() {
    let place = place!();
    let mut alpha = place.up("alpha");
    set(&alpha, "limit", "3");
    let file = documents_file(&alpha);
    let (verdict, seen) = checked(&alpha);
    assert!(verdict == "pass" && seen.starts_with("1 copy, "), "{seen}");
    alpha.kill();

    // One copy is another than it was.
    let database = Connection::open(&file).expect("it opens");
    let damage = "UPDATE documents SET bytes = zeroblob(40)";
    assert_eq!(database.execute(damage, []).expect("it is written"), 1);
    drop(database);
    alpha.up();
    let (verdict, seen) = checked(&alpha);
    assert_eq!(verdict, "warn", "{seen}");
    assert!(seen.starts_with("1 copy is damaged, conf/echo among them; 0 copies, "), "{seen}");
    // Another host may have it: it is not written over.
    let refused = docs(&alpha, &["set", DOC, "limit", "4"]);
    assert!(
        refused.code != 0 && refused.err.contains("delete it and write it anew"),
        "{refused:?}"
    );
    let _ = docs(&alpha, &["delete", DOC]).well();
    set(&alpha, "limit", "4");
    assert_eq!(checked(&alpha).0, "pass", "it is there again");

    // The whole file is none any more.
    alpha.down();
    fs::write(&file, "no database").expect("written");
    alpha.up();
    let (verdict, seen) = checked(&alpha);
    assert_eq!(verdict, "warn", "{seen}");
    assert!(seen.starts_with("damaged and set aside: documents-damaged-1.db; 0 copies"), "{seen}");

    fs::remove_file(&file).expect("removed");
    let (verdict, seen) = checked(&alpha);
    assert!(
        verdict == "fail" && seen.contains(" is gone; this daemon still has 0 copies"),
        "{seen}"
    );
    let told = alpha.run(&["doctor"]);
    assert!(told.code == 7 && told.out.contains("documents: what is changed now"), "{told:?}");
}

#[test]
fn a_killed_daemon_comes_back_with_its_documents() {
    let place = place!();
    let mut alpha = place.up("alpha");
    set(&alpha, "limit", "3");
    let _ = docs(&alpha, &["set", "zone", "ttl", "60"]).well();
    let heads = data(&alpha, &["get", DOC])["heads"].clone();
    let _ = docs(&alpha, &["delete", "zone"]).well();
    alpha.kill();
    alpha.up();
    let seen = data(&alpha, &["get", DOC]);
    assert_eq!((&seen["value"], &seen["heads"]), (&json!({ "limit": 3 }), &heads));
    assert_eq!(says(&alpha, "zone"), None, "what is deleted stays so");
}

#[test]
fn what_is_wrong_is_told_and_changes_nothing() {
    let place = place!();
    let alpha = place.up("alpha");
    set(&alpha, "limit", "3");
    for (words, code, said) in [
        (&["get", "conf/nothing"][..], 5, "no such document"),
        (&["get", "Conf"], 2, "not 'C'"),
        (&["get", "agent/visits"], 2, "whole id"),
        (&["get", DOC, "a..b"], 2, "at character 3"),
        (&["get", DOC, "rooms"], 5, "nothing stands at \"rooms\""),
        (&["get", DOC, "--at", "xyz"], 2, "is no head"),
        (&["get", DOC, "--at", "0000"], 5, "no change that begins with 0000"),
        (&["set", DOC, "limit"], 2, "2 values required"),
        (&["set", DOC, "a", "1", "b"], 2, "no value for the path \"b\""),
        (&["set", DOC, "limit", "{", "--json"], 2, "not valid JSON"),
        (&["set", DOC, "limit.x", "1"], 1, "limit holds a number, not a map"),
        (&["set", DOC, "", "[1]"], 1, "a map of keys"),
        (&["set", "conf/new", "", "{}"], 2, "nothing stands"),
        (&["remove", "conf/new", "a"], 5, "no such document"),
        (&["history", "conf/new"], 5, "no such document"),
        (&["diff", DOC, "0000"], 5, "no change"),
        (&["conflicts", "conf/new"], 5, "no such document"),
        (&["set", DOC, "limit", "4", "--replicas", "2"], 2, "the mesh has 1"),
        (&["list", "--where", "limit"], 2, "PATH=VALUE"),
    ] {
        let _ = docs(&alpha, words).failed(code, &[said]);
    }
    // More than a document may have.
    let large = place.dir().join("large.json");
    fs::write(&large, json!("x".repeat(900_000)).to_string()).expect("written");
    let large = format!("@{}", large.display());
    docs(&alpha, &["set", DOC, "large", &large])
        .failed(1, &["too large: it would have 90", "bytes, 786432 are the most", "share it out"]);
    let list = json!(vec![1; 4_097]).to_string();
    docs(&alpha, &["set", DOC, "list", &list]).failed(1, &["more than 4096 items"]);
    let message = "m".repeat(1000);
    docs(&alpha, &["set", DOC, "limit", "4", "-m", &message]).failed(1, &["256 bytes"]);
    for (path, body) in [
        ("/v1/docs/set", json!({ "name": DOC, "edits": [] })),
        ("/v1/docs/set", json!({ "name": DOC, "edits": [{ "path": "a" }] })),
        (
            "/v1/docs/set",
            json!({ "name": DOC, "edits": vec![json!({ "path": "a", "value": 1 }); 257] }),
        ),
    ] {
        assert_eq!(alpha.call("POST", path, &body).status, 400, "{body}");
    }
    for path in ["/v1/docs?limit=many", "/v1/docs?where=a", "/v1/docs?wher=a=1"] {
        assert_eq!(alpha.call("GET", path, &Value::Null).status, 400, "{path}");
    }
    assert_eq!(says(&alpha, DOC), Some(json!({ "limit": 3 })));
    assert_eq!(says(&alpha, "conf/new"), None);
}

#[test]
fn only_what_stands_there_is_removed() {
    let place = place!();
    let alpha = place.up("alpha");
    let whole = json!({ "limit": 3, "greeting": "Hello", "rooms": [{ "name": "hall" }] });
    set(&alpha, "", &whole.to_string());
    for (words, code, said) in [
        (
            &["remove", DOC, "limti"][..],
            5,
            "nothing stands at \"limti\" in conf/echo: conf/echo has limit, rooms, greeting; \
             nothing was changed",
        ),
        (&["remove", DOC, "rooms[0].seats"], 5, "rooms[0] has name; nothing was changed"),
        (&["remove", DOC, "rooms[1]"], 5, "rooms is a list with 1 item"),
        (&["remove", DOC, "limit", "limit"], 5, "nothing stands at \"limit\""),
        (&["remove", DOC, "limit.x"], 5, "limit has no parts"),
        (&["remove", DOC, "limit", ""], 2, "docs delete conf/echo"),
        (&["get", DOC, "rooms[0].nam"], 5, "rooms[0] has name"),
        (&["get", "agent/visits"], 2, "p2p locate"),
    ] {
        let _ = docs(&alpha, words).failed(code, &[said]);
    }
    assert_eq!(says(&alpha, DOC), Some(whole));
    // Programs may say that nothing is to stand there, whatever does.
    let remove = json!({ "name": DOC, "edits": [{ "path": "limti", "remove": true }] });
    let removed = alpha.call("POST", "/v1/docs/set", &remove).json();
    assert_eq!((&removed["head"], &removed["replicas"]), (&Value::Null, &json!(1)));
    let _ = docs(&alpha, &["remove", DOC, "limit", "rooms[0]"]).well();
    assert_eq!(says(&alpha, DOC), Some(json!({ "greeting": "Hello", "rooms": [] })));
}

#[test]
fn what_would_be_misunderstood_or_lost_is_refused() {
    let place = place!();
    let alpha = place.up("alpha");
    set(&alpha, "limit", "3");
    let (long, short) = ("a".repeat(20_000), "a".repeat(80));
    for (words, code, said) in [
        (&["list", "--where", "=4"][..], 2, "PATH=VALUE is expected, as kind=room"),
        (&["list", "--where", "limit=1e400"], 2, "not kept as it is written"),
        (&["list", "--where", "limit="], 2, "the value is missing"),
        (&["list", "--limit", "0"], 2, "a number from 1 on is expected"),
        (&["history", DOC, "-n", "0"], 2, "a number from 1 on is expected"),
        (&["history", DOC, "--older-than", "xyz"], 2, "p2p docs history conf/echo"),
        (&["set", DOC, "limit", "1e400"], 2, "a number (column 5) that is not kept"),
        (&["set", DOC, "limit", "18446744073709551616"], 2, "from -9223372036854775808 to"),
        (&["set", DOC, "", r#"{"a": 1, "a": 2}"#], 2, "the key \"a\" stands there twice"),
        (&["set", DOC, "limit", "4", "--timeout", "soon"], 2, "as 500ms or 10s"),
        (&["set", DOC, "limit", "4", "--replicas", "0"], 2, "a number from 1 on"),
        (&["set", "../x", "limit", "4"], 2, "begins with a small letter or a digit, not '.'"),
        (&["set", "--", "-x", "limit", "4"], 2, "begins with a small letter or a digit"),
        (&["get", "a//b"], 2, "one here is empty"),
        (&["get", "a\u{1b}[31m"], 2, "not '\\u{1b}'"),
        (&["raise", DOC], 1, "conf/echo cannot be raised: it does not say of what type it is"),
        (&["list", "--where", "a..b=1"], 2, "at character 3"),
        (&["get", DOC, &long], 2, &format!("\"{short}…\" is no path: ")),
        (&["set", DOC, &long, "1"], 2, &format!("\"{short}…\" is no path: ")),
        (&["get", DOC, &long[..2000]], 5, &format!("nothing stands at \"{short}…\" in {DOC}: ")),
    ] {
        let _ = docs(&alpha, words).failed(code, &[said]);
    }
    for path in
        ["/v1/docs?limit=0", "/v1/docs?where=%3D4", "/v1/docs/history?name=conf/echo&count=0"]
    {
        assert_eq!(alpha.call("GET", path, &Value::Null).status, 400, "{path}");
    }
    assert_eq!(says(&alpha, DOC), Some(json!({ "limit": 3 })));
}

/// How many texts are kept that were typed in an editor.
fn drafts(place: &Place) -> usize {
    let all = fs::read_dir(place.dir()).expect("a directory").flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().starts_with("p2p-edit-")).count()
}

/// Runs `p2p docs edit` with a shell script as the editor.
fn edits(place: &Place, host: &Host, script: &str) -> Ran {
    let editor = place.dir().join("editor");
    fs::write(&editor, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("permissions");
    let mut command = host.command(&["docs", "edit", DOC]);
    command.env("VISUAL", &editor).env("TMPDIR", place.dir()).output().expect("p2p runs").into()
}

#[test]
fn an_edit_keeps_what_others_have_changed_meanwhile() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = docs(&alpha, &["set", DOC, "limit", "3", "greeting", "Hello"]).well();
    // Somebody else changes something while the editor is open.
    let meanwhile = format!(
        "{} --data-dir {} docs set {DOC} limit 4 >/dev/null || exit 9",
        env!("CARGO_BIN_EXE_p2p-under-test"),
        alpha.data_dir.display(),
    );
    let _ = edits(&place, &alpha, &format!("{meanwhile}\nsed -i s/Hello/Ahoy/ \"$1\"")).well();
    assert_eq!(says(&alpha, DOC), Some(json!({ "limit": 4, "greeting": "Ahoy" })));

    let same = json!({ "limit": 4, "greeting": "Ahoy" });
    let heads = data(&alpha, &["get", DOC])["heads"].clone();
    let unchanged = edits(&place, &alpha, "true");
    assert!(unchanged.err.contains("nothing was changed"), "{unchanged:?}");
    edits(&place, &alpha, "rm \"$1\"").failed(1, &["left no file; nothing was changed"]);
    edits(&place, &alpha, "touch \"$1~\"; exit 3").failed(1, &["failed (exit status: 3)"]);
    assert_eq!(drafts(&place), 0, "nothing is left of those");
    for (script, said, kept) in [
        ("echo '{\"a\" 1}' > \"$1\"", "not valid JSON: expected `:` (column 6)", "{\"a\" 1}\n"),
        ("echo '[]' > \"$1\"", "a document is a map", "[]\n"),
        ("echo '{\"a\": 1e400}' > \"$1\"", "is not kept as it is written", "{\"a\": 1e400}\n"),
        ("echo typed > \"$1\"; exit 3", "failed (exit status: 3)", "typed\n"),
    ] {
        let failed =
            edits(&place, &alpha, script).failed(1, &[said, "what you have written is in"]);
        let place = failed.err.lines().find_map(|line| line.split("written is in ").nth(1));
        let place = place.expect("a place");
        assert_eq!(fs::read_to_string(place).expect("it is kept"), kept);
        assert!(failed.err.contains(&format!("docs set conf/echo '' @{place}")), "{failed:?}");
    }
    assert_eq!(drafts(&place), 4);
    let seen = data(&alpha, &["get", DOC]);
    assert_eq!((&seen["value"], &seen["heads"]), (&same, &heads));
    // One that is deleted meanwhile does not come back by halves.
    let deleted = meanwhile.replace("set conf/echo limit 4", "delete conf/echo");
    let gone = edits(&place, &alpha, &format!("{deleted}\nsed -i s/Ahoy/Bye/ \"$1\""));
    let gone =
        gone.failed(5, &["deleted meanwhile", "what you have written is in", "make it anew"]);
    assert_eq!(says(&alpha, DOC), None);
    let again = gone.err.split("make it anew: p2p ").nth(1).expect("what to do").trim();
    let again = format!("{} {again}", env!("CARGO_BIN_EXE_p2p-under-test"));
    let made = Command::new("/bin/sh").args(["-c", &again]).status().expect("a shell");
    assert!(made.success(), "{again}");
    assert_eq!(says(&alpha, DOC), Some(json!({ "limit": 4, "greeting": "Bye" })));
}

/// The only place where an agent of this name lives, by what all hosts say of their agents.
fn lives_on(host: &Host, name: &str) -> Vec<String> {
    let ran = host.run(&["agents", "--format", "json"]);
    // Hosts that are gone are missing from the list.
    let all: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = all["data"]["items"].as_array().or_else(|| all["data"].as_array());
    let named = rows.into_iter().flatten().filter(|row| row["name"] == name);
    named.map(|row| row["host_name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn an_agent_goes_to_another_host_and_takes_its_words_along() {
    let place = place!();
    let [alpha, _beta, gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let address = alpha.start("counter", "visits");
    let (agent, _) = address.split_once('@').expect("an address");
    let _ = alpha.run(&["request", "visits", "counter/add", r#"{"by": 42}"#]).well();
    for (words, code, said) in [
        (&["move", "nobody", "--to", "beta"][..], 5, "no agent"),
        (&["move", "visits", "--to", "delta"], 5, "delta"),
        (&["move", "visits", "--to", "alpha"], 1, "lives there already"),
        (&["move", "visits"], 2, "--to"),
        (&["take-up", "nobody"], 5, "no agent"),
        (&["take-up", "visits"], 1, "lives there already"),
        (&["take-up", "visits", "--on", "beta"], 1, "not known to be gone"),
    ] {
        let _ = alpha.run(words).failed(code, &[said]);
    }
    assert_eq!(lives_on(&gamma, "visits"), ["alpha"]);
    let told = gamma.run(&["move", "visits", "--to", "beta"]).well();
    assert!(told.contains("lives on beta now"), "{told}");
    assert_eq!(lives_on(&gamma, "visits"), ["beta"]);
    let read = gamma.run(&["request", "visits", "counter/read", "-q"]).well();
    assert_eq!(read.trim(), "42");
    let seen = until("gamma knows where it is", || {
        let seen = says(&gamma, &format!("agent/{agent}"))?;
        (seen.get("under_restart").is_none() && seen["instance"] == 1).then_some(seen)
    });
    assert_eq!(seen["before"]["given"], true);
    let row = &gamma.data(&["locate", "visits"])[0];
    assert_eq!((&row["host_name"], &row["instance"]), (&json!("beta"), &json!(1)));
}

#[test]
fn an_agent_of_a_host_that_is_gone_for_good_is_taken_up_and_dies_when_that_comes_back() {
    let place = place!();
    let [alpha, beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let address = gamma.start("counter", "visits");
    let (agent, _) = address.split_once('@').expect("an address");
    for other in [&alpha, &beta] {
        let _ = until("its descriptor arrives", || descriptor(other, "visits"));
    }
    gamma.kill();
    let aside = place.dir().join("aside");
    fs::rename(&gamma.data_dir, &aside).expect("its directory is gone");
    beta.sees("gamma", "unreachable");
    let lost = ["which cannot be reached", "if gamma is gone for good: p2p take-up"];
    beta.run(&["request", "visits", "counter/read"]).failed(6, &lost);
    let _ = beta.start("counter", "stays");
    let stays = beta.run(&["move", "stays", "--to", "gamma"]);
    let stays = stays.failed(1, &["host gamma cannot be reached: the agent stays where it is"]);
    assert!(!stays.err.contains("may or may not"), "{stays:?}");
    // It may be starting again.
    let lately = ["its host gamma has been out of reach for no more than ", "--its-host-is-gone"];
    let _ = beta.run(&["take-up", "visits"]).failed(1, &lately);
    let told = beta.run(&["take-up", "visits", "--its-host-is-gone"]).well();
    assert!(told.contains("lives on beta now"), "{told}");
    let from = "it begins with its descriptor from gamma, changed last at 20";
    assert!(told.contains(from) && told.contains("Z; instance 1"), "{told}");
    alpha.sees("gamma", "unreachable");
    let request = ["request", agent, "counter/add", r#"{"by": 7}"#, "-q"];
    assert_eq!(alpha.run(&request).well().trim(), "7");

    // What was thought to be dead comes back, with an agent that outlives its daemon.
    fs::rename(&aside, &gamma.data_dir).expect("its directory is back");
    gamma.up();
    until("one of the two has died", || (lives_on(&gamma, "visits") == ["beta"]).then_some(()));
    let events = gamma.run(&["events", "--format", "json"]).well();
    assert!(events.contains("agent-died") && events.contains("it lives on beta now"), "{events}");
    assert_eq!(gamma.run(&["request", agent, "counter/read", "-q"]).well().trim(), "7");
    let found = gamma.run(&["doctor"]).out;
    assert!(found.contains("agents displaced") && !found.contains("panicked"), "{found}");
    gamma.kill();
    gamma.up();
    assert_eq!(lives_on(&gamma, "visits"), ["beta"]);
}
