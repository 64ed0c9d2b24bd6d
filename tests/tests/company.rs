//! Partners and problems of groups, between real daemons that are killed.

use serde_json::{Value, json};
use starling_tests::{Host, Place, place, until};

fn company() -> Place {
    place!().with_daemon(env!("CARGO_BIN_EXE_load-daemon"))
}

/// Starts an agent; gives its address as JSON has it.
fn start(host: &Host, kind: &str, name: &str, state: &Value) -> Value {
    let started = host.data(&["start", kind, "--name", name, "--state", &state.to_string()]);
    json!({ "agent": started["agent"], "host": started["host"] })
}

fn seen(host: &Host, name: &str) -> Value {
    host.data(&["inspect", &format!("{name}@{}", host.name)])
}

fn story(host: &Host, name: &str) -> Vec<String> {
    let story = seen(host, name)["state"]["story"].clone();
    serde_json::from_value(story).expect("a list of texts")
}

/// Where those live that an agent is a partner of.
fn partners(host: &Host, name: &str) -> Vec<String> {
    let seen = seen(host, name);
    let waits = seen["waits"].as_array().expect("a list").iter();
    let standing = waits.filter(|wait| wait["then"]["stage"] == "standing");
    standing.map(|wait| wait["then"]["partner"].as_str().expect("one").to_owned()).collect()
}

fn text(address: &Value) -> String {
    let part = |of: &str| address[of].as_str().expect("an id").to_owned();
    format!("{}@{}", part("agent"), part("host"))
}

fn partners_are(host: &Host, name: &str, wanted: &[&Value]) {
    let wanted: Vec<String> = wanted.iter().map(|address| text(address)).collect();
    until(&format!("{name} has {} partners", wanted.len()), || {
        (partners(host, name) == wanted).then_some(())
    });
}

#[test]
fn partners_agree_whoever_is_killed() {
    let place = company();
    let [mut alpha, mut beta] = place.mesh(["alpha", "beta"]);
    let inn = start(&alpha, "company-inn", "inn", &json!({}));
    let lodger = start(&beta, "company-lodger", "lodger", &json!({}));
    let _ = beta.ask("lodger", "company/move", &json!({ "to": inn }));
    partners_are(&alpha, "inn", &[&lodger]);
    partners_are(&beta, "lodger", &[&inn]);

    // There is one bed.
    let _ = start(&beta, "company-lodger", "late", &json!({}));
    let _ = beta.ask("late", "company/move", &json!({ "to": inn }));
    let declined = until("it is declined", || story(&beta, "late").pop());
    assert_eq!(declined, r#"declined: Refused("there is no bed left")"#);

    // The inn outlives its daemon, and so does what the two have agreed on.
    alpha.kill();
    alpha.up();
    until("it is back", || (story(&alpha, "inn").last()? == "recovered").then_some(()));
    partners_are(&alpha, "inn", &[&lodger]);
    partners_are(&beta, "lodger", &[&inn]);

    // The lodger does not, and its bed is free again.
    beta.kill();
    beta.up();
    partners_are(&alpha, "inn", &[]);
    assert_eq!(story(&alpha, "inn"), ["a guest for 3 nights", "recovered", "Lost"]);
    let again = start(&beta, "company-lodger", "lodger", &json!({}));
    let _ = beta.ask("lodger", "company/move", &json!({ "to": inn }));
    partners_are(&alpha, "inn", &[&again]);

    // Who is stopped says goodbye.
    let _ = beta.run(&["stop", "lodger"]).well();
    partners_are(&alpha, "inn", &[]);
    assert_eq!(story(&alpha, "inn").last().expect("a story"), "Goodbye");
    for host in [&alpha, &beta] {
        let _ = host.run(&["journal", "replay"]).well();
    }
}

#[test]
fn a_substitute_takes_the_place_of_another_on_a_third_host() {
    let place = company();
    let [alpha, beta, gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let before = start(&alpha, "company-inn", "before", &json!({}));
    let after = start(&gamma, "company-inn", "after", &json!({}));
    let lodger = start(&beta, "company-lodger", "lodger", &json!({}));
    let _ = beta.ask("lodger", "company/move", &json!({ "to": before }));
    partners_are(&beta, "lodger", &[&before]);
    let _ = beta.ask("lodger", "company/move", &json!({ "to": after }));
    partners_are(&beta, "lodger", &[&after]);
    partners_are(&gamma, "after", &[&lodger]);
    partners_are(&alpha, "before", &[]);
    assert_eq!(story(&alpha, "before"), ["a guest for 3 nights", "Goodbye"]);
    assert_eq!(story(&beta, "lodger"), ["Breakup"]);
}

#[test]
fn one_of_a_group_acts_and_when_it_is_killed_another_does() {
    let place = company();
    let mut hosts = place.mesh(["alpha", "beta", "gamma"]);
    let work = json!({ "work_ms": 200 });
    let helpers: Vec<Value> =
        hosts.iter().map(|host| start(host, "company-helper", "helper", &work)).collect();
    let notice = |hosts: &[Host], chore: &str| {
        for host in hosts {
            let notice = json!({ "chore": chore, "others": helpers });
            let name = format!("helper@{}", host.name);
            let _ = host.ask(&name, "company/notice", &notice);
        }
    };
    notice(&hosts, "dishes");
    let stories: Vec<Vec<String>> = hosts
        .iter()
        .map(|host| {
            let told = || Some(story(host, "helper")).filter(|told| !told.is_empty());
            until("it is done", || told().filter(|told| told.last().expect("one").contains("was")))
        })
        .collect();
    let acted = stories.iter().flatten().filter(|line| *line == "does dishes").count();
    assert_eq!(acted, 1, "{stories:?}");
    let ends: Vec<&String> = stories.iter().filter_map(|story| story.last()).collect();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");

    // Of the next, whoever acts takes its time, and is killed over it.
    let slow = json!({ "work_ms": 600_000 });
    let helpers: Vec<Value> =
        hosts.iter().map(|host| start(host, "company-helper", "slow", &slow)).collect();
    for host in &hosts {
        let notice = json!({ "chore": "roof", "others": helpers });
        let _ = host.ask(&format!("slow@{}", host.name), "company/notice", &notice);
    }
    let acts = |hosts: &[Host], but: Option<usize>| {
        until("one of them acts", || {
            (0..hosts.len())
                .filter(|place| Some(*place) != but)
                .find(|place| story(&hosts[*place], "slow") == ["does roof"])
        })
    };
    let first = acts(&hosts, None);
    hosts[first].kill();
    hosts[first].up();
    let second = acts(&hosts, Some(first));
    let third = (0..hosts.len()).find(|place| ![first, second].contains(place)).expect("three");
    assert_eq!(story(&hosts[third], "slow"), Vec::<String>::new(), "the third still waits");
}
