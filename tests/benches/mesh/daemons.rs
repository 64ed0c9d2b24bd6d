//! Daemons as processes of their own on this machine, joined by tokens.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const P2P: &str = env!("CARGO_BIN_EXE_p2p-under-test");
const DAEMON: &str = env!("CARGO_BIN_EXE_load-daemon");

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Some daemons in one mesh; they end with it.
pub(crate) struct Mesh {
    root: tempfile::TempDir,
    hosts: Vec<Child>,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            // It may have ended by itself.
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

impl Mesh {
    /// Starts `hosts` daemons, each of which knows all others.
    pub(crate) fn new(hosts: usize) -> Self {
        let mut mesh = Self { root: tempfile::tempdir().expect("a directory"), hosts: Vec::new() };
        mesh.add();
        let invited = mesh.p2p(0, &["invite", "--uses", "1000"]);
        let token = invited["data"]["token"].as_str().expect("a token").to_owned();
        for host in 1..hosts {
            mesh.join(host, &token);
        }
        mesh.until(|mesh| mesh.p2p(0, &["status"])["data"]["linked"] == json!(hosts - 1));
        mesh.until(|mesh| mesh.p2p(hosts - 1, &["status"])["data"]["linked"] == json!(hosts - 1));
        mesh
    }

    /// A token for one more host.
    pub(crate) fn token(&self) -> String {
        let invited = self.p2p(0, &["invite"]);
        invited["data"]["token"].as_str().expect("a token").to_owned()
    }

    /// Lets one more host in.
    pub(crate) fn join(&mut self, host: usize, token: &str) {
        self.p2p(host, &["join", token]);
        self.add();
    }

    fn add(&mut self) {
        let host = self.hosts.len();
        let dir = self.dir(host);
        let daemon = Command::new(DAEMON)
            .env("STARLING_DATA_DIR", &dir)
            .env("STARLING_NAME", format!("host-{host}"))
            .env("STARLING_LISTEN", "/ip4/127.0.0.1/tcp/0")
            .env("STARLING_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        self.hosts.push(daemon);
        self.until(|mesh| mesh.try_p2p(host, &["status"]).is_some());
    }

    fn dir(&self, host: usize) -> PathBuf {
        self.root.path().join(format!("host-{host}"))
    }

    /// Runs `p2p` against a host; gives what it prints.
    pub(crate) fn p2p(&self, host: usize, arguments: &[&str]) -> Value {
        self.try_p2p(host, arguments).unwrap_or_else(|| panic!("p2p {arguments:?} fails"))
    }

    fn try_p2p(&self, host: usize, arguments: &[&str]) -> Option<Value> {
        let output = Command::new(P2P)
            .args(["--format", "json", "--data-dir"])
            .arg(self.dir(host))
            .args(arguments)
            .stderr(Stdio::null())
            .output()
            .expect("p2p starts");
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// Starts an agent; gives its address as `request` takes it.
    pub(crate) fn start(&self, host: usize, kind: &str) -> (String, Value) {
        let started = self.p2p(host, &["start", kind]);
        let (agent, at) = (&started["data"]["agent"], &started["data"]["host"]);
        let name = format!("{}@{}", agent.as_str().expect("an id"), at.as_str().expect("an id"));
        (name, json!({ "host": at, "agent": agent }))
    }

    /// Asks an agent; gives the reply.
    pub(crate) fn request(&self, host: usize, to: &str, name: &str, body: &Value) -> Value {
        let body = body.to_string();
        self.p2p(host, &["request", to, name, &body, "--timeout", "60s"])["data"]["reply"].clone()
    }

    /// Processor seconds of all daemons together, so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.hosts.iter().map(|host| super::cpu_seconds(host.id())).sum()
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "it does not come to hold");
        }
    }
}

/// Requests between agents of two daemons.
pub(crate) fn requests(mesh: &Mesh, outstanding: u64, count: u64) -> Value {
    let (load, _) = mesh.start(0, "load");
    let (_, mirror) = mesh.start(1, "mirror");
    let run = json!({ "to": mirror, "outstanding": outstanding, "count": count, "bytes": 128 });
    let measured = mesh.request(0, &load, "load/run", &run);
    assert_eq!(measured["done"], json!(count), "every request is answered: {measured}");
    let seconds = measured["seconds"].as_f64().expect("seconds");
    json!({ "name": "starling-requests", "unit": "req/s", "outstanding": outstanding, "bytes": 128,
            "value": f64::from(u32::try_from(count).expect("few")) / seconds,
            "p50_us": measured["p50_us"], "p99_us": measured["p99_us"] })
}

/// One message to a listener on each host, until the publisher has all confirmations.
pub(crate) fn publish(mesh: &Mesh, listeners: usize, count: u64) -> Value {
    let (crier, _) = mesh.start(0, "crier");
    for host in 1..=listeners {
        mesh.start(host, "listener");
    }
    // All interests have reached the publisher once a message goes to all hosts.
    let silent = r#"{"number":0,"confirm":false,"filler":[]}"#;
    mesh.until(|mesh| {
        mesh.p2p(0, &["publish", "load/called", silent])["data"]["hosts"] == json!(listeners)
    });
    let all = json!({ "listeners": listeners, "count": count });
    let measured = mesh.request(0, &crier, "load/cry", &all);
    assert_eq!(measured["failed"], json!(0), "every message is confirmed: {measured}");
    json!({ "name": "starling-publish", "unit": "us", "hosts": listeners,
            "value": measured["p50_us"], "p50_us": measured["p50_us"],
            "p99_us": measured["p99_us"] })
}

/// A burst of messages to a listener on each host, until the last has all.
pub(crate) fn burst(mesh: &Mesh, listeners: usize, count: u64) -> Value {
    // The listeners of `publish` are still there.
    let (crier, _) = mesh.start(0, "crier");
    let all = json!({ "listeners": listeners, "count": count, "burst": true });
    let measured = mesh.request(0, &crier, "load/cry", &all);
    json!({ "name": "starling-burst", "unit": "ms", "hosts": listeners, "count": count,
            "value": measured["seconds"].as_f64().unwrap_or_default() * 1000.0,
            "lost": measured["failed"] })
}

/// From typing a token to the first answer of an agent on the other host.
pub(crate) fn join(mesh: &mut Mesh) -> Value {
    let (mirror, _) = mesh.start(0, "echo");
    let token = mesh.token();
    let host = mesh.hosts.len();
    let begun = Instant::now();
    mesh.join(host, &token);
    mesh.until(|mesh| {
        let say = ["request", &mirror, "echo/say", r#"{"text":"here"}"#];
        mesh.try_p2p(host, &say).is_some()
    });
    let millis = begun.elapsed().as_secs_f64() * 1000.0;
    json!({ "name": "starling-join", "unit": "ms", "value": millis })
}

/// What daemons cost when nothing happens.
pub(crate) fn idle(mesh: &Mesh, seconds: u32) -> Value {
    let hosts = u32::try_from(mesh.hosts.len()).expect("few");
    let (cpu_before, bytes_before) = (mesh.cpu_seconds(), super::loopback_bytes());
    std::thread::park_timeout(Duration::from_secs(u64::from(seconds)));
    let (cpu, bytes) = (mesh.cpu_seconds() - cpu_before, super::loopback_bytes() - bytes_before);
    let rss = mesh.hosts.iter().map(|host| super::rss_kib(host.id())).max().unwrap_or_default();
    let host_seconds = f64::from(hosts * seconds);
    json!({ "name": "starling-idle", "unit": "B/s", "hosts": hosts,
            "value": f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / host_seconds,
            "cpu_percent": cpu / host_seconds * 100.0, "rss_kib": rss })
}
