//! Several daemons of one user, and what scripts rely on: envelopes, completions, plain HTTP.

use std::{fs::File, io::ErrorKind, net::TcpListener, process::Command};

use serde_json::{Value, json};
use starling_tests::{Place, Ran, place, until};

/// Daemons that `p2p up` has detached from itself: they are taken down at the end.
struct Nodes<'a>(&'a Place, Vec<&'a str>);

impl Nodes<'_> {
    fn run(&self, node: &str, words: &[&str]) -> Ran {
        let chosen: &[&str] = if node.is_empty() { &[] } else { &["--node", node] };
        let log = self.0.dir().join("ran");
        let mut command = self.0.command(&[chosen, words].concat());
        // Root keeps its daemons elsewhere than users do: here all keep them in the place.
        command.env("STARLING_DATA_DIR", self.0.dir().join("main"));
        // Not pipes: the daemon may outlive this call and would keep them open.
        let files = ["out", "err"].map(|end| log.with_extension(end));
        let [out, err] = files.clone().map(|path| File::create(path).expect("a file"));
        let status = command.stdout(out).stderr(err).status().expect("p2p starts");
        let [out, err] = files.map(|path| std::fs::read_to_string(path).expect("what it said"));
        Ran { code: status.code().unwrap_or(-1), out, err }
    }

    fn up(&mut self, node: &'static str) {
        self.1.push(node);
        let listen = ["up", "--quiet", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"];
        let name = if node.is_empty() { "main" } else { node };
        let _ = self.run(node, &[&listen[..], &["--name", name]].concat()).well();
    }
}

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        for node in &self.1 {
            // One that never came up does not go down.
            let _ = self.run(node, &["down"]);
        }
    }
}

#[test]
fn daemons_of_one_user_live_side_by_side() {
    let place = place!();
    let mut nodes = Nodes(&place, Vec::new());
    for node in ["", "b", "c"] {
        nodes.up(node);
    }
    let token = nodes.run("", &["invite", "--quiet", "--uses", "2"]).well();
    for node in ["b", "c"] {
        let _ = nodes.run(node, &["join", &token, "--quiet"]).well();
    }
    until("all are linked", || {
        let members = nodes.run("c", &["members"]).well();
        (members.matches("linked").count() == 2).then_some(())
    });
    let _ = nodes.run("b", &["start", "echo", "--name", "echo", "--quiet"]).well();
    let reply = nodes.run("", &["request", "echo@b", "echo/say", r#"{"text":"hi"}"#]).well();
    assert_eq!(serde_json::from_str::<Value>(&reply).expect("JSON")["text"], "hi");
    // `up` twice is no error, and the second says who is up.
    assert!(nodes.run("b", &["up"]).well().contains("b is up"));
    let _ = nodes.run("b", &["down"]).well();
    nodes.run("b", &["status"]).failed(3, &["no daemon answers", "--node b up"]);
    let _ = nodes.run("c", &["status"]).well();
    nodes.run("../b", &["status"]).failed(2, &["letters, digits"]);
}

#[test]
fn a_daemon_that_joins_keeps_its_ports_and_one_that_joins_again_goes_on() {
    let place = place!();
    let mut nodes = Nodes(&place, vec!["b"]);
    nodes.up("");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = free.expect("a free port").port();
    let (tcp, quic) = (format!("/ip4/127.0.0.1/tcp/{port}"), format!("udp/{port}/quic-v1"));
    let listen_quic = format!("/ip4/127.0.0.1/{quic}");
    let up = ["up", "--quiet", "--mdns=false", "--listen", &tcp, "--listen", &listen_quic];
    let _ = nodes.run("b", &up).well();
    let join = |nodes: &Nodes<'_>| {
        let token = nodes.run("", &["invite", "--quiet"]).well();
        let _ = nodes.run("b", &["join", &token, "--quiet"]).well();
        let status = nodes.run("b", &["status", "--format", "json"]).well();
        serde_json::from_str::<Value>(&status).expect("JSON")["data"].take()
    };
    let joined = join(&nodes);
    let addresses = joined["addresses"].to_string();
    assert!(addresses.contains(&tcp) && addresses.contains(&quic), "{addresses}");
    let again = join(&nodes);
    assert_eq!(again["incarnation"], joined["incarnation"], "nothing starts anew");
}

#[test]
fn a_host_that_joins_is_started_as_it_is_to_be_started() {
    let place = place!();
    let mut nodes = Nodes(&place, vec!["b"]);
    nodes.up("");
    let token = nodes.run("", &["invite", "--quiet"]).well();
    nodes.run("b", &["join", &token, "--listen", "/ip4/127.0.0.1/tcp/0"]).failed(2, &["--up"]);
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let listen = format!("/ip4/127.0.0.1/tcp/{}", free.expect("a free port").port());
    let how = ["--up", "--name", "bee", "--listen", &listen, "--mdns=false"];
    let _ = nodes.run("b", &[&["join", &token], &how[..]].concat()).well();
    let status = nodes.run("b", &["status", "--format", "json"]).well();
    let status = serde_json::from_str::<Value>(&status).expect("JSON")["data"].take();
    assert_eq!((&status["name"], &status["members"]), (&json!("bee"), &json!(2)));
    assert!(status["addresses"].to_string().contains(&listen), "{status}");
    // One that runs already is not started anew.
    let again = nodes.run("", &["invite", "--quiet"]).well();
    let again = nodes.run("b", &["join", &again, "--up", "--port", "1"]);
    assert!(again.err.contains("the daemon is already running"), "{again:?}");
}

#[test]
fn every_command_puts_its_json_into_the_envelope_of_its_schema() {
    let place = place!();
    let mut alpha = place.up("alpha");
    let json = |words: &[&str]| alpha.run(&[words, &["--format", "json"]].concat());
    let started = json(&["start", "counter", "--name", "c"]).data("p2p.start/1");
    let agent = started["agent"].as_str().expect("an id").to_owned();
    let has = |words: &[&str], schema: &str, fields: &[&str]| {
        let mut data = json(words).data(schema);
        if data.is_array() {
            data = data[0].take();
        }
        let missing: Vec<_> = fields.iter().filter(|field| data[**field].is_null()).collect();
        assert!(missing.is_empty(), "{schema} has no {missing:?}: {data}");
    };
    has(&["status"], "p2p.status/1", &["health", "host", "name", "mesh", "incarnation", "pid"]);
    has(&["members"], "p2p.members/1", &["host", "name", "state", "addresses", "version"]);
    has(&["agents"], "p2p.agents/1", &["agent", "kind", "host", "host_name", "inputs"]);
    has(&["kinds"], "p2p.kinds/1", &["kind", "understands"]);
    has(&["inspect", &agent], "p2p.inspect/1", &["what", "agent", "state", "understands"]);
    has(&["inspect", "alpha"], "p2p.inspect/1", &["what", "host", "agents", "kinds"]);
    has(&["request", "c", "counter/read", "{}"], "p2p.request/1", &["agent", "host", "reply"]);
    has(&["publish", "demo/said", "{}"], "p2p.publish/1", &["local", "hosts"]);
    has(&["invite"], "p2p.invite/1", &["token", "life_seconds", "uses", "addresses"]);
    has(&["invite", "--list"], "p2p.invites/1", &["invite", "expires_in_seconds", "uses"]);
    has(&["doctor"], "p2p.doctor/1", &["check", "verdict", "seen"]);
    has(&["stop", "c"], "p2p.stop/1", &["done"]);
    has(&["up"], "p2p.up/1", &["host", "name"]);
    let lost = json(&["inspect", "nobody"]).failed(5, &[]);
    let error: Value = serde_json::from_str(&lost.err).expect("an error is JSON too");
    assert_eq!(error["schema"], "p2p.error/1");
    assert_eq!(error["data"]["exit"], 5);
    assert!(error["data"]["message"].is_string(), "{error}");
    // Streams are JSON without an envelope, a line for each.
    for line in json(&["events"]).well().lines() {
        let event: Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(event["event"].is_string() && event["at_ms"].is_u64(), "{event}");
    }
    let _ = json(&["down"]).data("p2p.down/1");
    until("it is gone", || (alpha.run(&["status"]).code == 3).then_some(()));
    let beta = place.host("beta");
    let init = beta.run(&["init", "--format", "json"]).data("p2p.init/1");
    assert!(init["host"].is_string() && init["mesh"].is_string(), "{init}");
    alpha.ended();
}

#[test]
fn completions_know_the_commands() {
    let place = place!();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).well();
        for command in ["members", "invite", "subscribe"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    place.run(&["completions", "tcsh"]).failed(2, &["bash"]);
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn curl_is_a_client_too() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = alpha.start("echo", "echo");
    let ask = json!({ "to": "echo", "request": "echo/say", "body": { "text": "hi" } });
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail-with-body", "--unix-socket"]).arg(alpha.socket());
    curl.args(["--data", &ask.to_string(), "http://localhost/v1/request"]);
    match curl.output() {
        Err(why) if why.kind() == ErrorKind::NotFound => eprintln!("skipped: there is no curl"),
        ran => {
            let answer = Ran::from(ran.expect("curl runs")).well();
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!(answer["reply"], json!({ "text": "hi", "host": alpha.id() }));
        }
    }
}

#[test]
fn metrics_are_in_the_form_that_prometheus_reads() {
    let place = place!();
    let alpha = place.up("alpha");
    let text = alpha.call("GET", "/metrics", &Value::Null).body;
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').expect("a name and a value");
        assert!(name.starts_with("starling_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert_eq!(alpha.metric("hosts"), 1);
    assert_eq!(alpha.metric("agents"), alpha.status()["agents"].as_u64().expect("a number"));
}
