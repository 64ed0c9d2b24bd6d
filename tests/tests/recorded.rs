//! Journals that were recorded by this version and by earlier ones replay as they were recorded,
//! for ever.
//!
//! `tests/journals/VERSION/` holds the journals of two hosts, and digests of the files. With
//! `BLESS=1` a version that has no folder yet gets one; what is there is never written anew: when
//! one of them does not replay any more, it is the code that is wrong, or the kind that should have
//! counted up its version and kept its old behaviour under its old name.

use std::{
    collections::BTreeMap,
    env, fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use starling_node::{
    api::journal::{ReplayLine, ReplayResult, Replayed, VerifyLine},
    journal::archive::{Archive, Who},
    society,
};
use starling_protocols::journal::digest;
use starling_tests::{Host, kept, place, repository, until};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What must be in the journals of every version, so that something is tested.
const KINDS: [&str; 8] =
    ["clockwork", "counter", "depositor", "echo", "fuse", "guest", "host", "teller"];

#[test]
fn this_version_has_been_recorded() {
    let folder = journals().join(VERSION);
    if !folder.exists() && env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        record(&folder);
    }
    assert!(folder.is_dir(), "there is no journal of version {VERSION}: BLESS=1 records one");
}

#[test]
fn recorded_journals_are_as_they_were() {
    for folder in versions() {
        let expected = fs::read_to_string(folder.join("digests.txt")).expect("digests.txt");
        assert_eq!(digests(&folder), expected, "{}: restore these files", folder.display());
    }
}

#[test]
fn every_recorded_journal_replays() {
    let versions = versions();
    assert!(!versions.is_empty(), "nothing is recorded");
    for folder in versions {
        let (mut kinds, mut died) = (BTreeMap::new(), 0);
        for file in files(&folder) {
            for life in replayed(&file) {
                assert_same(&file, &life);
                died += usize::from(life.row.ended.as_deref() == Some("died"));
                *kinds.entry(life.row.kind).or_insert(0) += life.entries;
            }
        }
        let version = folder.display();
        assert_eq!(Vec::from_iter(kinds.keys()), KINDS, "{version}");
        assert!(kinds["teller"] >= 40 && kinds["clockwork"] >= 7, "{version}: {kinds:?}");
        assert_eq!(died, 1, "{version}: one agent panicked");
    }
}

fn assert_same(file: &Path, life: &Replayed) {
    let Replayed { row, result, missing, .. } = life;
    let who = format!("{}: {} in life {}", file.display(), row.kind, row.life);
    if let ReplayResult::Differs(first) = result {
        panic!(
            "{who}: entry {} differs in its {}; recorded by {}, version {} of the kind, replayed \
             with version {}:\n{}",
            first.number,
            first.what,
            first.software,
            first.recorded_version,
            first.version,
            first.diff
        );
    }
    assert_eq!((result, *missing), (&ReplayResult::Same, 0), "{who}");
    assert!(life.entries > 0, "{who} has no entry");
}

/// Replays all lives of a journal, and verifies it.
fn replayed(file: &Path) -> Vec<Replayed> {
    // SQLite may write beside what it reads.
    let scratch = tempfile::tempdir().expect("a directory");
    let copy = scratch.path().join("copy.db");
    fs::copy(file, &copy).expect("copied");
    let kinds = society::with_residents(kept::kinds());
    let archive = Archive::open(&copy, kinds).unwrap_or_else(|why| panic!("{file:?}: {why}"));
    let mut lives = Vec::new();
    let mut put = |line| {
        match line {
            ReplayLine::Life(life) => lives.push(*life),
            ReplayLine::Damaged { why } => panic!("{file:?}: {why}"),
            ReplayLine::Progress { .. } => {}
        }
        ControlFlow::Continue(())
    };
    archive.replay(&Who::All, &mut put).unwrap_or_else(|why| panic!("{file:?}: {why}"));
    let mut put = |line| {
        if let VerifyLine::Report(report) = line {
            assert_eq!(report.problems, [], "{file:?}");
        }
        ControlFlow::Continue(())
    };
    archive.verify(&mut put).unwrap_or_else(|why| panic!("{file:?}: {why}"));
    lives
}

fn journals() -> PathBuf {
    repository().join("tests/journals")
}

fn versions() -> Vec<PathBuf> {
    sorted(&journals()).into_iter().filter(|path| path.is_dir()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|end| end == "db");
    sorted(folder).into_iter().filter(is_journal).collect()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn digests(folder: &Path) -> String {
    let line = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        format!("{name} {:016x}\n", digest(&fs::read(&path).expect("a journal")))
    };
    files(folder).into_iter().map(line).collect()
}

/// Two hosts and what can happen to their agents: all sorts of inputs, a crash, a panic.
fn record(folder: &Path) {
    // What the daemons log would name this machine.
    let place =
        place!().with_daemon(env!("CARGO_BIN_EXE_load-daemon")).with_setting("STARLING_LOG", "off");
    let [mut alpha, mut beta] = place.mesh(["alpha", "beta"]);
    everyday(&alpha, &beta);
    let till = alpha.start("depositor", "till");
    let bank = beta.start("teller", "bank");
    let (agent, host) = bank.split_once('@').expect("both ids");
    let pay = json!({ "to": { "agent": agent, "host": host }, "count": 20 });
    for _ in 0..2 {
        let _ = alpha.ask(&till, "kept/pay", &pay);
        alpha.kill();
        alpha.up();
        alpha.sees("beta", "linked");
    }
    // One that nobody can take.
    let nobody = json!({ "to": { "agent": agent.replace(&agent[..4], "zzzz"), "host": host },
                         "count": 1 });
    let _ = alpha.ask(&till, "kept/pay", &nobody);
    alpha.event("undelivered", |_| true);
    let all = json!({ "count": 40, "last": 40, "out_of_turn": 0 });
    until("all letters are handled", || {
        (beta.ask("bank", "kept/balance", &json!({})) == all).then_some(())
    });
    let _ = alpha.ask("visits", "counter/add", &json!({ "by": 4 }));
    let _ = alpha.start("fuse", "fuse");
    let _ = alpha.ask("fuse", "kept/light", &json!({ "spark": false }));
    let _ = alpha.run(&["request", "fuse", "kept/light", r#"{"spark":true}"#]);
    alpha.event("agent-died", |_| true);
    let _ = alpha.run(&["stop", "visits"]).well();
    alpha.event("agent-stopped", |event| event["details"]["kind"] == "counter");
    fs::create_dir_all(folder).expect("a folder");
    for host in [&mut alpha, &mut beta] {
        host.down();
        let of_host = sorted(&host.data_dir.join("journal"));
        let plain: Vec<_> = of_host.iter().filter(|path| !path.is_symlink()).collect();
        assert_eq!(plain.len(), 1, "one whole file: {of_host:?}");
        fs::copy(plain[0], folder.join(format!("{}.db", host.name))).expect("copied");
    }
    fs::write(folder.join("digests.txt"), digests(folder)).expect("written");
}

fn everyday(alpha: &Host, beta: &Host) {
    let _ = alpha.start("counter", "visits");
    for by in [1, 2, 3] {
        let _ = alpha.ask("visits", "counter/add", &json!({ "by": by }));
    }
    let _ = alpha.run(&["request", "visits", "counter/add", r#"{"by":"many"}"#]).failed(1, &[]);
    let _ = alpha.start("echo", "echo");
    let _ = beta.ask("echo@alpha", "echo/say", &json!({ "text": "from afar" }));
    for (host, name) in [(alpha, "Ada"), (beta, "Grace")] {
        let state = json!({ "name": name }).to_string();
        let _ = host.run(&["start", "guest", "--name", name, "--state", &state]).well();
    }
    let met = |host: &Host, name: &str| {
        until("they have met", || {
            let seen = host.run(&["inspect", name, "--format", "json"]);
            let seen: Option<Value> = serde_json::from_str(&seen.out).ok();
            seen.filter(|seen| seen["data"]["state"]["met"] != json!({}))
        })
    };
    // Who came first may not have been known to listen yet.
    until("a guest hears of another", || {
        let arrived = json!({ "name": "Grace" }).to_string();
        let published = beta.data(&["publish", "demo/arrived", &arrived]);
        (published["hosts"] == 1).then_some(())
    });
    let _ = met(alpha, "Ada@alpha");
    let _ = alpha.start("clockwork", "clock");
    let _ = alpha.ask("clock", "kept/wind", &json!({ "ticks": 5, "every_ms": 20 }));
    until("the clock has run down", || {
        let seen = alpha.data(&["inspect", "clock"]);
        (seen["state"]["ticks"] == 5).then_some(())
    });
    // What is kept as history is written when somebody reads it, and a crash follows.
    assert_eq!(alpha.journal(&["list", "clock"])[0]["next"], 7);
}
