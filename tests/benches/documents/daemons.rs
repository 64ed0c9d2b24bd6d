//! Documents on real daemons, each a process of its own on this machine.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use starling_tests::{Host, Place, place};

use crate::meter::{cpu_seconds, rss_kib};

const DAEMON: &str = env!("CARGO_BIN_EXE_load-daemon");

/// How many agents are started by one request.
const PORTION: u64 = 5_000;

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(600);

fn daemons() -> Place {
    place!().with_daemon(DAEMON).with_setting("STARLING_LOG", "warn")
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come to hold");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn ask(host: &Host, agent: &str, request: &str, body: &Value) -> Value {
    let words = ["request", agent, request, &body.to_string(), "--timeout", "60s"];
    serde_json::from_str(&host.run(&words).well()).expect("JSON")
}

/// Changes of one descriptor, one after the other, each until all ten hosts have it on their disks;
/// and the same for the disk of its own host alone.
pub(crate) fn changes(count: u64) -> Vec<Value> {
    let place = daemons();
    let hosts = place.mesh(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    let describer = hosts[0].start("describer", "speaker");
    let declare = |count: u64, replicas: usize| {
        let body = json!({ "count": count, "replicas": replicas });
        ask(&hosts[0], &describer, "load/declare", &body)
    };
    let _ = declare(50, hosts.len());
    let mut results = Vec::new();
    for (name, replicas) in [("starling-change", hosts.len()), ("own-disk-only", 1)] {
        let cpu = || hosts.iter().map(|host| cpu_seconds(host.pid())).sum::<f64>();
        let before = cpu();
        let measured = declare(count, replicas);
        assert_eq!(measured["failed"], 0, "{measured}");
        // What has gone to the others is on all disks when this has come back from there.
        let _ = declare(1, hosts.len());
        let each = (cpu() - before) / f64::from(u32::try_from(count).expect("few"));
        results.push(json!({ "name": name, "unit": "us", "value": measured["p50_us"],
                             "p50_us": measured["p50_us"], "p99_us": measured["p99_us"],
                             "cpu_us": each * 1e6 }));
    }
    results
}

/// Starts agents by the thousand.
struct Nursery<'a> {
    host: &'a Host,
    agent: String,
    stored: u64,
}

impl<'a> Nursery<'a> {
    fn on(host: &'a Host) -> Self {
        Self { host, agent: host.start("nursery", "nursery"), stored: 0 }
    }

    fn spawn(&self, kind: &str, count: u64) {
        let mut left = count;
        while left > 0 {
            let count = left.min(PORTION);
            let _ =
                ask(self.host, &self.agent, "load/spawn", &json!({ "count": count, "kind": kind }));
            left -= count;
        }
    }

    /// Waits until all that was changed here before is on the disks of so many hosts.
    fn store(&mut self, replicas: u64) {
        self.stored += 1;
        wait_until(|| {
            let set = json!({ "name": format!("conf/after-{}", self.stored), "replicas": replicas,
                              "edits": [{ "path": "n", "value": 1 }], "timeout_ms": 15_000 });
            let written = self.host.call("POST", "/v1/docs/set", &set);
            written.status == 200 && written.json()["replicas"] == json!(replicas)
        });
    }
}

/// New descriptors in a second: until they are on the disk, and on that of another host.
pub(crate) fn births(kind: &str, count: u64) -> Vec<Value> {
    let place = daemons();
    let hosts = place.mesh(["alpha", "beta"]);
    let mut nursery = Nursery::on(&hosts[0]);
    nursery.store(2);
    let (begun, cpu) = (Instant::now(), cpu_seconds(hosts[0].pid()));
    nursery.spawn(kind, count);
    let started = begun.elapsed();
    nursery.store(1);
    let stored = begun.elapsed();
    nursery.store(2);
    let replicated = begun.elapsed();
    let count = f64::from(u32::try_from(count).expect("few"));
    let cpu = (cpu_seconds(hosts[0].pid()) - cpu) / count;
    let rate = |name: &str, time: Duration| {
        json!({ "name": name, "unit": "descriptors/s", "value": count / time.as_secs_f64(),
                "cpu_us": cpu * 1e6 })
    };
    vec![
        rate("starling-stored", stored),
        rate("agents-answered", started),
        rate("stored-on-second-host", replicated),
    ]
}

/// The largest metric of this name that a host tells while it is there.
fn changed(host: &Host) -> u64 {
    host.metric("documents_changed")
}

fn disk_bytes(host: &Host) -> u64 {
    fn sum(dir: &std::path::Path) -> u64 {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let each = entries.map(|entry| {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                return sum(&path);
            }
            let counts = name.to_string_lossy().starts_with("documents");
            if counts { entry.metadata().map_or(0, |about| about.len()) } else { 0 }
        });
        each.sum()
    }
    sum(&host.data_dir)
}

/// What so many descriptors cost: the host of the agents, one that has the copies, and one that
/// comes when they are all there.
pub(crate) fn many(count: u64) -> Vec<Value> {
    let place = daemons();
    let mut hosts = place.mesh(["alpha", "beta"]);
    let mut nursery = Nursery::on(&hosts[0]);
    nursery.store(2);
    let bare = [rss_kib(hosts[0].pid()), rss_kib(hosts[1].pid())];
    let begun = Instant::now();
    nursery.spawn("sign", count);
    nursery.store(2);
    let started = begun.elapsed().as_secs_f64();
    drop(nursery);
    let over = |host: usize| rss_kib(hosts[host].pid()).saturating_sub(bare[host]);
    let (owner_kib, copy_kib) = (over(0), over(1));
    let disk = disk_bytes(&hosts[1]);

    let token = hosts[0].invite();
    let mut late = place.up("gamma");
    let bare_late = rss_kib(late.pid());
    let begun = Instant::now();
    late.joins(&token);
    wait_until(|| changed(&late) >= count);
    let caught_up = begun.elapsed().as_secs_f64();
    let late_kib = rss_kib(late.pid()).saturating_sub(bare_late);

    hosts[1].down();
    let begun = Instant::now();
    hosts[1].launch();
    wait_until(|| {
        let ready = hosts[1].try_call("GET", "/readyz", "");
        ready.is_ok_and(|answer| answer.status == 200)
    });
    let opened = begun.elapsed().as_secs_f64();
    let opened_kib = rss_kib(hosts[1].pid()).saturating_sub(bare[1]);
    late.kill();
    let result =
        |name: &str, unit: &str, value: f64| json!({ "name": name, "unit": unit, "value": value });
    #[expect(clippy::cast_precision_loss, reason = "these are far below 2^52")]
    let float = |value: u64| value as f64;
    vec![
        result("memory, host of the agents", "MB", float(owner_kib) / 1024.0),
        result("memory, host with copies", "MB", float(copy_kib) / 1024.0),
        result("memory, host with copies, restarted", "MB", float(opened_kib) / 1024.0),
        result("memory, host that came late", "MB", float(late_kib) / 1024.0),
        result("time to start, until stored on both", "s", started),
        result("time to open", "s", opened),
        result("time to catch up", "s", caught_up),
        result("disk, host with copies", "MB", float(disk) / 1e6),
    ]
}
