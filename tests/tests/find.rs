//! Who offers a service, asked of real daemons, one of which is frozen and then dead.

use std::thread;

use serde_json::{Value, json};
use starling_protocols::limits::AGENTS_PER_LISTING_MAX;
use starling_tests::{Host, Ran, call, place};

fn found(from: &Host, service: &str) -> (Ran, Vec<(String, String)>) {
    let ran = from.run(&["find", service, "--format", "json"]);
    let seen: Value = serde_json::from_str(&ran.out).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = seen["data"].as_array().expect("rows").iter();
    let mut rows: Vec<_> = rows.map(|row| (text(&row["host_name"]), text(&row["kind"]))).collect();
    rows.sort_unstable();
    (ran, rows)
}

#[test]
fn agents_beyond_those_of_a_list_are_found_by_name_and_id() {
    let place = place!();
    let alpha = place.up("alpha");
    let socket = alpha.socket();
    let start = |number: usize| {
        let body = json!({ "kind": "echo", "name": format!("e{number}") }).to_string();
        let started = call(&socket, "POST", "/v1/agents", &body).expect("an answer");
        assert_eq!(started.status, 200, "{number}");
    };
    let many = AGENTS_PER_LISTING_MAX + 20;
    thread::scope(|scope| {
        for first in 0..8 {
            let start = &start;
            scope.spawn(move || (first..many).step_by(8).for_each(start));
        }
    });
    let listed = alpha.run(&["agents", "--format", "json"]);
    assert_eq!(listed.code, 6, "not all fit");
    let located = alpha.run(&["locate", "e0", "--format", "json"]).well();
    assert!(located.contains("\"e0\""), "{located}");
    for number in 0..many {
        let name = format!("e{number}");
        let hidden = !listed.out.contains(&format!("\"{name}\""));
        if hidden {
            let words = ["request", &name, "echo/say", r#"{"text":"here"}"#, "-q"];
            assert!(alpha.run(&words).well().contains("here"), "{name}");
        }
    }
    let _ = alpha.run(&["request", "nobody", "echo/say", "{}"]).failed(6, &["no agent"]);
}

#[test]
fn agents_are_found_by_what_they_do_and_silent_hosts_are_named() {
    let place = place!();
    let [alpha, beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let _ = alpha.start("counter", "visits");
    let _ = gamma.start("counter", "hits");
    let _ = beta.start("echo", "echo");
    let counter = |host: &str| (host.to_owned(), "counter".to_owned());
    for from in [&alpha, &beta, &gamma] {
        let (ran, rows) = found(from, "counter/add");
        assert_eq!((ran.code, rows), (0, vec![counter("alpha"), counter("gamma")]));
    }
    let _ = alpha.run(&["find", "nobody/does-this"]).failed(5, &["no agent offers"]);
    let _ = alpha.run(&["find", "two words"]).failed(2, &["no blanks"]);

    gamma.freeze();
    let (ran, rows) = found(&alpha, "counter/add");
    assert_eq!((ran.code, rows), (6, vec![counter("alpha")]));
    assert!(ran.err.contains("nothing from gamma: no answer in time"), "{ran:?}");
    gamma.kill();
    alpha.sees("gamma", "unreachable");
    let (ran, rows) = found(&alpha, "counter/add");
    assert_eq!((ran.code, rows), (6, vec![counter("alpha")]));
    // Agents that ask get the same from the agent of their host.
    let host = "host@alpha";
    let look = json!({ "service": "counter/add", "scope": "Mesh", "within_ms": 3000 });
    let seen = alpha.ask(host, "host/discover", &look);
    assert_eq!((&seen["unanswered"], &seen["cut"]), (&json!(1), &json!(false)));
    assert_eq!(seen["agents"].as_array().map(Vec::len), Some(1), "{seen}");

    // What a counter is outlives its host.
    gamma.up();
    alpha.sees("gamma", "linked");
    let (ran, rows) = found(&alpha, "counter/add");
    assert_eq!((ran.code, rows), (0, vec![counter("alpha"), counter("gamma")]));
}
