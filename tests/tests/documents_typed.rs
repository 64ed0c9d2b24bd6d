//! Configuration of a kind of agents on real daemons: changed on one host, in force on the others,
//! and in two versions of the program at once.

use serde_json::{Value, json};
use starling_tests::{Host, Place, Ran, place, until};

const DOC: &str = "conf/greeter";

/// The same place, in which daemons carry greeters.
fn greeters(place: &Place) -> Place {
    place.clone().with_daemon(env!("CARGO_BIN_EXE_greeter-daemon"))
}

fn docs(host: &Host, words: &[&str]) -> Ran {
    host.run(&[&["docs"], words].concat())
}

/// What the document says on a host, if it has it.
fn seen(host: &Host, name: &str) -> Option<Value> {
    let ran = docs(host, &["get", name, "--format", "json"]);
    (ran.code == 0).then(|| ran.data("p2p.docs-get/1"))
}

fn messages(host: &Host, name: &str) -> Vec<String> {
    let page = docs(host, &["history", name, "--format", "json"]).data("p2p.docs-history/1");
    let changes = page["changes"].as_array().expect("changes").iter();
    changes.map(|change| change["message"].as_str().unwrap_or_default().to_owned()).collect()
}

fn joined(hosts: &[&Host]) {
    for host in &hosts[1..] {
        host.joins(&hosts[0].invite());
    }
    for host in hosts {
        for other in hosts.iter().filter(|other| other.name != host.name) {
            host.sees(&other.name, "linked");
        }
    }
}

/// Waits until a greeter greets so.
fn greets(host: &Host, agent: &str, wanted: &str) {
    let mut last = Value::Null;
    until(&format!("{agent} says {wanted}"), || {
        last = host.ask(agent, "greeter/greet", &json!({ "name": "Ada" }));
        (last == wanted).then_some(())
    });
}

/// What `p2p doctor` finds of configurations: the verdict, and what is seen.
fn checked(host: &Host) -> (String, String) {
    let all = host.data(&["doctor"]);
    let mut rows = all.as_array().expect("findings").iter();
    let found = rows.find(|row| row["check"] == "configurations").expect("one of them");
    let text = |key: &str| found[key].as_str().expect("a text").to_owned();
    (text("verdict"), text("seen"))
}

fn is_warned_of_the_limit(host: &Host) {
    let (verdict, found) = checked(host);
    let kind = "conf/greeter does not configure agents of kind greeter, which go on with";
    assert!(verdict == "warn" && found.starts_with(kind), "{found}");
    assert!(found.contains(": fields.limit: a whole number from 0"), "{found}");
    let advice = host.run(&["doctor"]).out;
    assert!(advice.contains("p2p docs history conf/greeter"), "{advice}");
}

#[test]
fn what_is_set_on_another_host_reaches_agents_at_once() {
    let place = place!();
    // The first has no greeters, and does not know how they are configured.
    let alpha = place.up("alpha");
    let mut beta = greeters(&place).up("beta");
    let gamma = greeters(&place).up("gamma");
    joined(&[&alpha, &beta, &gamma]);
    // Both begin with the same document, once.
    let begun = until("it is begun", || seen(&alpha, DOC));
    let fields = json!({ "greeting": "Hello", "limit": 3 });
    assert_eq!(begun["value"]["fields"], fields);
    assert_eq!(begun["heads"].as_array().map(Vec::len), Some(1));
    assert_eq!(messages(&alpha, DOC), ["begun by the application"]);
    let _ = beta.start("greeter", "bob");
    let _ = gamma.start("greeter", "gus");
    greets(&alpha, "bob", "Hello, Ada (3)");

    let _ = docs(&alpha, &["set", DOC, "fields.greeting", "Ahoy"]).well();
    greets(&alpha, "bob", "Ahoy, Ada (3)");
    greets(&alpha, "gus", "Ahoy, Ada (3)");

    // What does not fit is refused where it is known, and otherwise not in force.
    let refused = docs(&beta, &["set", DOC, "fields.limit", "many"]);
    refused.failed(1, &["fields.limit: a whole number from 0 to 4294967295 is expected"]);
    let _ = docs(&alpha, &["set", DOC, "fields.limit", "many"]).well();
    let event = beta.event("not-configured", |event| event["details"]["document"] == DOC);
    assert!(event["text"].as_str().is_some_and(|text| text.contains("fields.limit")), "{event}");
    assert_eq!(beta.metric("configurations_refused"), 1);
    is_warned_of_the_limit(&beta);
    let told = docs(&beta, &["get", DOC]);
    assert!(told.err.contains("go on with an earlier version: fields.limit"), "{told:?}");
    let told = until("one that knows its type is asked", || {
        let told = docs(&alpha, &["get", DOC]).err;
        told.contains("which gamma knows").then_some(told)
    });
    assert!(told.contains("its type, which beta knows: fields.limit: a whole number"), "{told}");
    greets(&alpha, "bob", "Ahoy, Ada (3)");
    beta.kill();
    beta.up();
    greets(&beta, "bob", "Ahoy, Ada (3)");
    let _ = docs(&alpha, &["set", DOC, "fields.limit", "4"]).well();
    greets(&alpha, "bob", "Ahoy, Ada (4)");
    assert_eq!(seen(&beta, DOC).expect("it is there")["not_in_force"], Value::Null);
    assert_eq!(checked(&beta).0, "pass");

    // Greeters have counted, by name.
    let counted = until("all have counted", || {
        let one = seen(&beta, "greeted")?["value"]["fields"]["count"].clone();
        let other = seen(&gamma, "greeted")?["value"]["fields"]["count"].clone();
        (one == other).then_some(one)
    });
    assert!(counted.as_u64().is_some_and(|count| count >= 6), "{counted}");
    assert!(messages(&beta, "greeted").iter().all(|message| message == "greeter/count"));

    // Without the document the program's own defaults hold; it does not come back.
    let _ = docs(&alpha, &["delete", DOC]).well();
    greets(&alpha, "bob", "Hello, Ada (3)");
    beta.kill();
    beta.up();
    beta.sees("alpha", "linked");
    greets(&alpha, "bob", "Hello, Ada (3)");
    assert!(seen(&alpha, DOC).is_none() && seen(&beta, DOC).is_none());

    // So is one that is no configuration, by its type.
    let _ = docs(&alpha, &["set", "greeted", "fields.count", "many"]).well();
    until("it is seen not to fit", || {
        let told = docs(&gamma, &["get", "greeted", "fields"]).err;
        told.contains("it does not fit its type: fields.count: ").then_some(())
    });
}

#[test]
fn a_document_is_raised_when_all_hosts_read_it() {
    let place = place!();
    let older = greeters(&place);
    let newer = greeters(&place).with_setting("GREETER_VERSION", "2");
    let mut alpha = older.up("alpha");
    let beta = newer.up("beta");
    joined(&[&alpha, &beta]);
    let version = |host: &Host| seen(host, DOC).map(|seen| seen["value"]["version"].clone());
    until("it is there", || version(&beta).filter(|version| *version == 1));
    let _ = alpha.start("greeter", "ada");
    let _ = beta.start("greeter", "bob");
    let _ = docs(&beta, &["set", DOC, "fields.greeting", "Ahoy"]).well();
    greets(&beta, "ada", "Ahoy, Ada (3)");
    greets(&beta, "bob", "Ahoy, Ada (3)");
    let done = docs(&alpha, &["raise", DOC]);
    assert!(done.err.contains("in version 1 already"), "{done:?}");
    docs(&beta, &["raise", DOC]).failed(1, &["not known to be read by alpha (up to 1)"]);
    docs(&beta, &["raise", "conf/none"]).failed(5, &["no such document"]);
    let _ = docs(&beta, &["set", "plain", "a", "1"]).well();
    docs(&beta, &["raise", "plain"]).failed(1, &["does not say of what type", "get plain"]);
    let _ = docs(&beta, &["remove", "plain", "a"]).well();
    docs(&beta, &["raise", "plain"]).failed(1, &["plain cannot be raised: it is empty"]);
    alpha.down();
    beta.sees("alpha", "left");
    docs(&beta, &["raise", DOC]).failed(1, &["alpha (it cannot be asked)"]);
    assert_eq!(version(&beta), Some(json!(1)));

    let mut updated = newer.host("alpha");
    updated.listen.clone_from(&alpha.listen);
    updated.up();
    beta.sees("alpha", "linked");
    let raised = docs(&beta, &["raise", DOC]);
    assert!(raised.err.contains("in version 2, was in 1"), "{raised:?}");
    until("all have it", || version(&updated).filter(|version| *version == 2));
    assert_eq!(messages(&updated, DOC)[0], "raised to version 2");
    let _ = updated.start("greeter", "amy");
    greets(&updated, "amy", "Ahoy, Ada (3)");
}
