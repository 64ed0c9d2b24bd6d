//! `p2p sim`: what people see, and what scripts rely on.

mod common;

use common::{p2p, stderr, stdout};
use serde_json::Value;

fn sim(words: &[&str]) -> std::process::Output {
    p2p(&[&["sim"], words].concat()).output().expect("p2p runs")
}

fn data(words: &[&str], schema: &str) -> Value {
    let output = sim(&[words, &["--format", "json"]].concat());
    let mut envelope: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(envelope["schema"], schema);
    envelope["data"].take()
}

const SMALL: [&str; 4] = ["--hosts", "3", "--minutes", "1"];

#[test]
fn a_run_tells_what_fired_and_its_digest() {
    let output = sim(&SMALL);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let text = stdout(&output);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("mixed: 1 seed, 1 virtual minute, "), "{text}");
    let replayed = lines.next().unwrap_or_default();
    assert!(replayed.ends_with(" entries replayed as they were recorded"), "{text}");
    assert!(!replayed.starts_with("0 "), "{text}");
    assert!(lines.next().is_some_and(|line| line.starts_with("settled at most ")), "{text}");
    let fired: Vec<&str> = lines.by_ref().take_while(|line| line.starts_with("  ")).collect();
    assert!(!fired.is_empty(), "{text}");
    let digest = stdout(&sim(&[&SMALL[..], &["-q"]].concat()));
    assert_eq!(text.lines().last(), Some(format!("digest {}", digest.trim_end()).as_str()));
}

#[test]
fn the_same_seed_has_the_same_digest_and_another_has_not() {
    let [one, again, other] = ["5", "5", "6"].map(|seed| {
        let words = [&SMALL[..], &["--seed", seed, "--scenario", "topics"]].concat();
        let data = data(&words, "p2p.sim/1");
        assert_eq!((&data["good"], &data["missing"]), (&true.into(), &0.into()), "{data}");
        data["digest"].as_str().expect("a digest").to_owned()
    });
    assert_eq!(one.len(), 64);
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[test]
fn threads_change_nothing() {
    let many = |threads| {
        let words = ["--seeds", "6", "--threads", threads];
        data(&[&SMALL[..], &words].concat(), "p2p.sim/1")
    };
    assert_eq!(many("1"), many("3"));
}

#[test]
fn all_scenarios_are_listed_with_what_they_are_about() {
    let text = stdout(&sim(&["--list"]));
    assert!(text.starts_with("SCENARIO    FAULTS  ABOUT\nmixed "), "{text}");
    assert!(text.contains("\nquiet            0  a mesh that nobody uses"), "{text}");
    let rows = data(&["--list"], "p2p.scenarios/1");
    assert_eq!(rows.as_array().map(Vec::len), Some(text.lines().count() - 1));
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let unknown = sim(&["--scenario", "mixd"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("tip: a similar value exists: 'mixed'"));
    for words in [
        &["--hosts", "0"][..],
        &["--hosts", "100000"],
        &["--only", "1,x"],
        &["--minutes", "0"],
        &["--seeds", "0"],
        &["--threads", "0"],
    ] {
        let output = sim(words);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{words:?}");
    }
}

#[test]
fn faults_that_never_had_an_effect_fail_many_seeds() {
    let words = ["--scenario", "dialogs", "--hosts", "2", "--minutes", "1", "--only", "none"];
    let output = sim(&[&words[..], &["--seeds", "20"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).ends_with("\nFAILED: no leave ever had an effect\n"));
    let few = sim(&[&words[..], &["--seeds", "2"]].concat());
    assert_eq!(few.status.code(), Some(0), "few seeds prove nothing");
}

#[test]
fn the_story_is_told_with_its_seed() {
    let words = [&SMALL[..], &["--seed", "3", "--trace"]].concat();
    let text = stdout(&sim(&words));
    assert!(text.starts_with("seed 3  00:00.000 host-0 starts\n"), "{text}");
    let json = sim(&[&words[..], &["--format", "json"]].concat());
    assert!(stderr(&json).starts_with("seed 3  00:00.000 host-0 starts\n"));
    assert!(serde_json::from_slice::<Value>(&json.stdout).is_ok(), "one envelope and no more");
}

#[test]
fn ctrl_c_ends_it_and_says_how_far_it_came() {
    let words = ["sim", "--hosts", "20", "--minutes", "100000", "--format", "json"];
    let mut command = p2p(&words);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command.arg("--trace");
    let mut child = command.spawn().expect("p2p runs");
    // The story is on standard error: its first line says that the run is under way.
    let mut told = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).expect("a line");
    let drain = std::thread::spawn(move || {
        std::io::read_to_string(told).expect("UTF-8").lines().last().map(str::to_owned)
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let envelope: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(envelope["data"]["missing"], 1);
    let last = drain.join().expect("no panic").unwrap_or_default();
    assert!(last.contains("interrupted; 0 of 1 seed had ended"), "{last}");
}
