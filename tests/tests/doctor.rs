//! What `p2p doctor` says of hosts that do not agree, and of those that are one twice.

use std::{fs, path::Path};

use serde_json::Value;
use starling_tests::{Host, Place, Ran, place, until};

const DOC: &str = "conf/echo";

/// One finding: the verdict, what is seen, and what to do.
fn checked(host: &Host, check: &str) -> (String, String, String) {
    let ran = host.run(&["doctor", "--format", "json"]);
    let all: Value = serde_json::from_str(&ran.out).expect("JSON");
    let mut rows = all["data"].as_array().expect("findings").iter();
    let found = rows.find(|row| row["check"] == check).expect("the check");
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("seen"), text("fix"))
}

/// Waits until a check of a host has this verdict.
fn comes(host: &Host, check: &str, verdict: &str) -> (String, String) {
    until(&format!("{check} of {} is {verdict}", host.name), || {
        let (found, seen, fix) = checked(host, check);
        (found == verdict).then_some((seen, fix))
    })
}

/// The bytes of a text for two of which a document has room.
const LARGE: usize = 380_000;

/// Writes a large text.
fn fill(place: &Place, host: &Host, field: &str) {
    let text = place.dir().join("large.json");
    fs::write(&text, Value::from(field.repeat(LARGE)).to_string()).expect("written");
    let text = format!("@{}", text.display());
    let _ = host.run(&["docs", "set", DOC, field, &text]).well();
}

#[test]
fn a_document_that_is_refused_is_told_of_until_it_is_mended() {
    let place = place!();
    let [mut alpha, mut beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    assert_eq!(checked(&alpha, "refused documents").0, "pass");
    // Each has as much as it may write: there is room for two, not for three.
    beta.kill();
    gamma.kill();
    fill(&place, &alpha, "a");
    alpha.kill();
    beta.up();
    fill(&place, &beta, "b");
    beta.kill();
    gamma.up();
    fill(&place, &gamma, "c");
    alpha.up();
    beta.up();
    let (seen, fix) = comes(&gamma, "refused documents", "warn");
    assert!(seen.contains("not taken from other hosts, conf/echo of "), "{seen}");
    assert!(fix.contains("p2p docs edit conf/echo") && !fix.contains("delete"), "{fix}");
    // When it is made smaller nothing else is lost.
    let _ = alpha.run(&["docs", "set", DOC, "a", "x"]).well();
    for host in [&alpha, &beta, &gamma] {
        let _ = comes(host, "refused documents", "pass");
        for (field, bytes) in [("a", 1), ("b", LARGE), ("c", LARGE)] {
            let is_there = |ran: &Ran| ran.out.trim().trim_matches('"').len() == bytes;
            until(&format!("{} has {field}", host.name), || {
                Some(host.run(&["docs", "get", DOC, field])).filter(is_there)
            });
        }
    }
}

#[test]
fn a_host_whose_partners_have_all_said_goodbye_is_told_that_it_is_alone() {
    let place = place!();
    let lonely = place.up("lonely");
    let alone = ("pass".into(), "1 host known, 0 linked".into(), String::new());
    assert_eq!(checked(&lonely, "mesh"), alone, "it never knew another");
    let [alpha, mut beta, mut gamma] = place.mesh(["alpha", "beta", "gamma"]);
    beta.down();
    alpha.sees("beta", "left");
    assert_eq!(comes(&alpha, "mesh", "pass").0, "3 hosts known, 1 linked");
    gamma.down();
    let (seen, fix) = comes(&alpha, "mesh", "warn");
    let all = "this host is alone, all others have said goodbye: ";
    assert!(seen.starts_with(all) && seen.contains("beta") && seen.contains("gamma"), "{seen}");
    assert!(fix.contains("start them") && fix.contains("p2p members"), "{fix}");
    beta.up();
    alpha.sees("beta", "linked");
    assert_eq!(comes(&alpha, "mesh", "pass").0, "3 hosts known, 1 linked");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("readable");
        let (kind, to) = (entry.file_type().expect("a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            let _ = fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[test]
fn who_was_met_in_a_later_life_is_told_that_it_runs_twice() {
    let place = place!();
    let [mut alpha, mut beta] = place.mesh(["alpha", "beta"]);
    assert_eq!(checked(&alpha, "identity").0, "pass");
    beta.kill();
    alpha.kill();
    let mut twin = place.host("twin");
    copy(&beta.data_dir, &twin.data_dir);
    beta.up();
    twin.up();
    assert_eq!(twin.id(), beta.id());
    let life = |host: &Host| host.status()["incarnation"].as_u64().expect("a number");
    assert_ne!(life(&twin), life(&beta));
    // Within one second it is drawn by lot which of two is the later one.
    while life(&twin) < life(&beta) {
        twin.kill();
        twin.up();
    }
    // The later one is met, and then the other.
    beta.freeze();
    alpha.up();
    twin.sees("alpha", "linked");
    assert_eq!(checked(&twin, "identity").0, "pass");
    twin.kill();
    beta.thaw();
    let (seen, fix) = comes(&alpha, "identity", "warn");
    assert!(seen.starts_with("there seem to be two daemons of "), "{seen}");
    assert!(fix.contains("end one of the daemons"), "{fix}");
    let (seen, fix) = comes(&beta, "identity", "fail");
    assert!(seen.contains("alpha knows of one that began later"), "{seen}");
    assert!(fix.contains("this is said "), "{fix}");
}
