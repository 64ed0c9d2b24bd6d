//! Three daemons in one mesh: they talk, one dies and comes back, one says goodbye.

use std::thread;

use serde_json::{Value, json};
use starling_tests::{Host, Lines, call, place, until};

#[test]
fn all_talk_both_ways_by_request_and_topic() {
    let place = place!();
    let hosts = place.mesh(["alpha", "beta", "gamma"]);
    for host in &hosts {
        let _ = host.start("echo", "echo");
    }
    for from in &hosts {
        for to in &hosts {
            let said = json!({ "text": format!("from {}", from.name) });
            let heard = from.ask(&format!("echo@{}", to.name), "echo/say", &said);
            assert_eq!(heard, json!({ "text": said["text"], "host": to.id() }));
        }
    }
    for from in &hosts {
        everybody_hears(&hosts, from);
    }
}

#[test]
fn a_killed_host_comes_back_in_a_new_life() {
    let place = place!();
    let [alpha, mut beta, gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let counter = beta.start("counter", "visits");
    let echo = beta.start("echo", "echo");
    assert_eq!(alpha.ask("visits@beta", "counter/add", &json!({ "by": 3 })), 3);
    let first_life = beta.status()["incarnation"].as_u64().expect("a number");

    beta.freeze();
    let outstanding = ask_aside(&alpha, &counter);
    // A later request that ends in vain: by then the first one is on its way too.
    let late = alpha.run(&["request", &counter, "counter/read", "{}", "--timeout", "300ms"]);
    late.failed(6, &["no answer in time", "p2p members"]);
    assert_eq!(alpha.metric("timed_out"), 1);

    beta.kill();
    alpha.event("lane-down", |event| event["details"]["name"] == "beta");
    beta.up();
    let anew = |event: &Value| {
        event["details"] == json!({ "host": beta.id(), "name": "beta", "anew": true })
    };
    for host in [&alpha, &gamma] {
        host.event("lane-up", anew);
        host.sees("beta", "linked");
    }
    assert!(beta.status()["incarnation"].as_u64() > Some(first_life));

    // Whoever waited is told that nobody knows. Agents end with the life of their host, but those
    // that outlive it.
    let (status, problem) = outstanding.join().expect("no panic");
    assert_eq!((status, &problem["code"]), (503, &json!("unreachable")), "{problem}");
    assert!(problem["message"].as_str().is_some_and(|why| why.contains("ended meanwhile")));
    alpha.run(&["request", &echo, "echo/say", r#"{"text":"x"}"#]).failed(5, &["no such agent"]);
    for (host, sum) in [(&alpha, 4), (&gamma, 5)] {
        assert_eq!(host.ask("visits@beta", "counter/add", &json!({ "by": 1 })), sum);
    }
    let _ = gamma.start("echo", "echo");
    let heard = beta.ask("echo@gamma", "echo/say", &json!({ "text": "back" }));
    assert_eq!(heard["host"], json!(gamma.id()));
    let hosts = [alpha, beta, gamma];
    everybody_hears(&hosts, &hosts[1]);
}

#[test]
fn a_request_to_a_host_that_is_gone_ends_as_unreachable() {
    let place = place!();
    let [alpha, mut beta] = place.mesh(["alpha", "beta"]);
    let echo = beta.start("echo", "echo");
    // What is known of an agent is known where its descriptor is.
    until("alpha knows of it", || (alpha.run(&["locate", "echo"]).code == 0).then_some(()));
    beta.kill();
    alpha.sees("beta", "unreachable");
    let words = ["request", &echo, "echo/say", r#"{"text":"?"}"#, "--timeout", "500ms"];
    alpha.run(&words).failed(6, &["p2p members"]);
    // Nor is an agent said not to be where nobody could be asked.
    for agent in ["echo@beta", "echo"] {
        let words = ["request", agent, "echo/say", r#"{"text":"?"}"#, "--timeout", "500ms"];
        alpha.run(&words).failed(6, &["lives on beta, which cannot be reached", "p2p take-up"]);
    }
    // Lists say what is missing from them.
    let agents = alpha.run(&["agents"]).failed(6, &["nothing from beta"]);
    assert!(agents.out.contains("alpha"), "{agents:?}");
}

#[test]
fn who_goes_down_in_good_order_has_left() {
    let place = place!();
    let [alpha, beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    gamma.down();
    for host in [&alpha, &beta] {
        host.sees("gamma", "left");
        host.event("host-left", |event| event["details"]["name"] == "gamma");
        // A host that has left is not missed.
        assert_eq!(host.run(&["agents"]).code, 0);
    }
    gamma.up();
    for host in [&alpha, &beta] {
        host.sees("gamma", "linked");
    }
}

#[test]
fn all_are_linked_again_after_each_was_restarted_in_turn() {
    let place = place!();
    let mut hosts = place.mesh(["alpha", "beta", "gamma"]);
    for _ in 0..3 {
        for host in &mut hosts {
            host.down();
            // The next one goes down at once, whether all have seen this one come back or not.
            host.up();
        }
    }
    all_are_linked(&hosts);
}

#[test]
fn hosts_that_were_down_in_turn_find_each_other_although_each_heard_a_goodbye_last() {
    let place = place!();
    let mut hosts = place.mesh(["alpha", "beta", "gamma"]);
    for _ in 0..hosts.len() {
        let [first, second, witness] = &mut hosts;
        first.down();
        second.sees(&first.name, "left");
        witness.sees(&first.name, "left");
        second.down();
        witness.sees(&second.name, "left");
        // What the second said is heard from who was there, and the second hears of nothing.
        first.up();
        first.sees(&second.name, "left");
        first.sees(&witness.name, "linked");
        witness.down();
        first.sees(&witness.name, "left");
        second.up();
        second.sees(&first.name, "linked");
        first.sees(&second.name, "linked");
        witness.up();
        all_are_linked(&hosts);
        hosts.rotate_left(1);
    }
}

fn all_are_linked(hosts: &[Host]) {
    for host in hosts {
        for other in hosts.iter().filter(|other| other.name != host.name) {
            host.sees(&other.name, "linked");
        }
    }
}

/// Asks for something and does not wait; gives the status and the problem.
fn ask_aside(from: &Host, counter: &str) -> thread::JoinHandle<(u16, Value)> {
    let ask = json!({ "to": counter, "request": "counter/read", "body": {}, "timeout_ms": 15_000 });
    let socket = from.socket();
    thread::spawn(move || {
        let answer = call(&socket, "POST", "/v1/request", &ask.to_string()).expect("an answer");
        (answer.status, answer.json())
    })
}

/// Everybody listens; what one of them publishes arrives at each, in order.
fn everybody_hears(hosts: &[Host], from: &Host) {
    let topic = format!("demo/said#{}", from.name);
    let ears: Vec<_> =
        hosts.iter().map(|host| Lines::of(host.command(&["subscribe", &topic]))).collect();
    let publish = |text: &str| {
        let body = json!({ "from": from.name, "to": "all", "text": text }).to_string();
        from.data(&["publish", &topic, &body])
    };
    // Interests travel: what is published before they have arrived is not heard by all.
    until("all are known to listen", || {
        let published = publish("probe");
        (published["hosts"] == hosts.len() - 1 && published["local"] == 1).then_some(())
    });
    for text in ["one", "two", "three"] {
        let _ = publish(text);
    }
    for ear in ears {
        let heard = || ear.wait()["body"]["text"].as_str().expect("a text").to_owned();
        let rest = std::iter::repeat_with(heard).skip_while(|text| text == "probe");
        assert_eq!(rest.take(3).collect::<Vec<_>>(), ["one", "two", "three"]);
    }
}
