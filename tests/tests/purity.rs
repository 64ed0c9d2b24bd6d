//! The border between the half that decides and the half that touches the world.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real processes live by the real clock"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;
use starling_tests::{Source, repository, sources};

/// What no pure crate may be built on, however indirectly.
const FORBIDDEN: [&str; 17] = [
    "async-io",
    "async-std",
    "axum",
    "fs4",
    "hyper",
    "libp2p",
    "mio",
    "nix",
    "polling",
    "quinn",
    "reqwest",
    "rusqlite",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
];

/// What gives entropy of the system…
const ENTROPY: &str = "getrandom";

/// …and who names it all the same: automerge draws an actor for each document, in whose place
/// another is set before anything is written, and asks for it through `rand`, too.
const DRAW: [&str; 2] = ["automerge", "rand"];

/// Who may use whom among our own crates: the drawing in the design. Whatever is below an arrow's
/// end may be named as well.
const DRAWN: [(&str, &[&str]); 7] = [
    ("starling-protocols", &[]),
    ("starling-core", &["starling-protocols"]),
    ("starling-node", &["starling-core", "starling-protocols"]),
    ("starling-netsim", &["starling-core", "starling-protocols"]),
    ("starling-cli", &["starling-netsim", "starling-node", "starling-core", "starling-protocols"]),
    ("starling-examples", &["starling-node", "starling-core", "starling-protocols"]),
    (
        "starling-tests",
        &[
            "starling-netsim",
            "starling-cli",
            "starling-node",
            "starling-core",
            "starling-protocols",
        ],
    ),
];

/// What a source of a pure crate may not name: time, entropy and the world come as arguments, and
/// the order of a hash map differs from run to run.
const IMPURE: [&str; 18] = [
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::env",
    "std::io::stdin",
    "Instant::now",
    "SystemTime",
    "thread_rng",
    "rand::rng",
    "getrandom",
    "OsRng",
    "HashMap",
    "HashSet",
    "RandomState",
    "println!",
    "async fn",
];

/// What may be named all the same: the file, the name, and the reason.
const ALLOWED: [(&str, &str, &str); 2] = [
    (
        "node/core/src/engine/agents.rs",
        "HashMap",
        "looked up by id, never iterated; its hasher has no seed",
    ),
    ("netsim/src/main.rs", "println!", "a program, which says what its library found out"),
];

const PURE: [(&str, &str); 3] = [
    ("starling-protocols", "protocols/src/"),
    ("starling-core", "node/core/src/"),
    ("starling-netsim", "netsim/src/"),
];

#[test]
fn pure_crates_are_built_on_nothing_that_touches_the_world() {
    for (package, _) in PURE {
        let below = tree(package);
        assert!(below.contains("serde"), "{package}: {below:?}");
        for name in FORBIDDEN {
            assert!(!below.contains(name), "{package} is built on {name}");
        }
        let by: Vec<String> = users(package, ENTROPY).into_iter().collect();
        assert_eq!(by, DRAW, "{package}");
    }
    // The same question has the other answer for the half that touches the world.
    assert!(tree("starling-node").contains("tokio"));
}

#[test]
fn our_crates_use_one_another_as_drawn() {
    let drawn: BTreeMap<_, _> = DRAWN.into_iter().collect();
    for (package, used) in manifests() {
        let allowed = drawn.get(package.as_str()).unwrap_or_else(|| {
            panic!("{package} is not in the drawing: put it there, and into this test")
        });
        for name in used {
            assert!(allowed.contains(&name.as_str()), "{package} must not use {name}");
        }
    }
}

#[test]
fn pure_sources_name_nothing_impure() {
    for (_, folder) in PURE {
        let found = sources(&[folder]);
        assert!(!found.is_empty(), "{folder} is empty");
        let product = |source: &&Source| {
            !source.path.ends_with("/tests.rs") && !source.path.contains("/tests/")
        };
        for source in found.iter().filter(product) {
            for (number, line) in source.product_lines() {
                let code = line.split("//").next().unwrap_or_default();
                let named = IMPURE
                    .iter()
                    .find(|name| code.contains(**name) && !is_allowed(&source.path, name));
                assert_eq!(named, None, "{}:{number}: {line}", source.path);
            }
        }
    }
}

#[test]
fn pure_crates_forbid_unsafe_code_by_the_lints_of_the_workspace() {
    for (package, folder) in PURE {
        let manifest = repository().join(folder.trim_end_matches("src/")).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package}");
    }
}

fn is_allowed(path: &str, name: &str) -> bool {
    ALLOWED.iter().any(|(file, allowed, _)| *file == path && *allowed == name)
}

/// The names of all crates that one is built on, itself included.
fn tree(package: &str) -> BTreeSet<String> {
    let words = ["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"];
    // A library is pure; the program beside it is behind a feature.
    let names = cargo(&[&words[..], &["--no-default-features"]].concat());
    names.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Who in the tree of a package names another.
fn users(package: &str, name: &str) -> BTreeSet<String> {
    let words = ["tree", "-p", package, "-e", "normal", "--depth", "1", "--prefix", "none"];
    let names = cargo(&[&words[..], &["--no-default-features", "-i", name]].concat());
    let names = names.lines().skip(1).filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// Our own crates, each with those of our own that its manifest names, for tests too.
fn manifests() -> Vec<(String, Vec<String>)> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let used = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list").iter().map(name);
        all.filter(|name| name.starts_with("starling-")).collect()
    };
    packages.map(|package| (name(package), used(package))).collect()
}

fn cargo(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let ran = command.args(words).arg("--offline").current_dir(repository()).output();
    let ran = ran.expect("cargo starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("UTF-8")
}
