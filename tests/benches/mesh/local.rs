//! Agents of one host, in this process: the engine alone, on one thread, with its real clock.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starling_core::engine::{Config, Engine, Input, Known, Now, Output, Recording, Start, Ticket};
use starling_protocols::{
    admission::Ledger,
    ident::{Address, AgentId, Credential, Genesis, Incarnation, SecretKey},
    journal::Recovered,
    time::{Time, WallTime},
};
use starling_tests::load;

const WALL: WallTime = WallTime::from_millis(1_700_000_000_000);

struct Host {
    engine: Engine,
    start: Instant,
}

impl Host {
    fn new(recorded: bool) -> Self {
        let key = SecretKey::from_bytes(&[1; 32]);
        let genesis = Genesis {
            version: 1,
            name: "bench".into(),
            founder: key.host(),
            created: WALL,
            nonce: [0; 16],
        };
        let resident =
            |id, kind: &str| (AgentId(id), Start { kind: kind.into(), ..Start::default() });
        let mut residents = starling_core::society::residents();
        residents.extend([
            resident(10, "load"),
            resident(11, "mirror"),
            resident(12, "herald"),
            resident(13, "nursery"),
            resident(14, "herald"),
        ]);
        let config = Config {
            credential: Credential::of_founder(&key, genesis, WALL),
            key,
            name: "bench".into(),
            incarnation: Incarnation(1),
            software: "bench".into(),
            seed: [0; 32],
            kinds: starling_core::society::with_residents(load::kinds()),
            residents,
            known: Known::Records(Vec::new()),
            ledger: Ledger::default(),
            recording: recorded.then(|| Recording::new(Recovered::nothing())),
            replicas: None,
        };
        let now = Now { time: Time::ZERO, wall: WALL };
        Self { engine: Engine::new(config, now), start: Instant::now() }
    }

    fn now(&self) -> Now {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).expect("a short run");
        Now { time: Time::from_nanos(nanos), wall: WALL }
    }

    fn at(&self, agent: u128) -> Address {
        Address { host: self.engine.host(), agent: AgentId(agent) }
    }

    /// Asks from outside and runs until the answer is there.
    fn ask(&mut self, to: Address, name: &str, body: &Value) -> Value {
        let body = serde_json::to_vec(body).expect("JSON");
        let now = self.now();
        self.engine.ask(Ticket(1), to, name, body, Duration::from_secs(60), now);
        loop {
            while let Some(output) = self.engine.poll() {
                if let Output::Answered { outcome, .. } = output {
                    return serde_json::from_slice(&outcome.expect("an answer")).expect("JSON");
                }
            }
            let now = self.now();
            self.engine.handle(Input::Tick, now);
        }
    }
}

/// Requests between two agents of one host; recorded in memory, or not at all.
pub(crate) fn ask(outstanding: u64, recorded: bool) -> Value {
    let mut host = Host::new(recorded);
    let count = 1_000_000;
    let run = json!({ "to": { "host": host.at(11).host, "agent": host.at(11).agent },
                      "outstanding": outstanding, "count": count, "bytes": 8 });
    let to = host.at(10);
    let begun = Instant::now();
    let measured = host.ask(to, "load/run", &run);
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(measured["done"], json!(count), "every request is answered");
    let name = if recorded { "starling-ask-recorded" } else { "starling-ask" };
    json!({ "name": name, "unit": "req/s", "outstanding": outstanding,
            "value": f64::from(count) / seconds })
}

/// Messages to an agent of one host: one tells, one counts.
pub(crate) fn tell() -> Value {
    let mut host = Host::new(false);
    let (rounds, count) = (100u32, 10_000u32);
    let (to, other) = (host.at(12), host.at(14));
    let begun = Instant::now();
    for _ in 0..rounds {
        let body = json!({ "to": { "host": other.host, "agent": other.agent }, "count": count,
                           "bytes": 8 });
        host.ask(to, "load/proclaim", &body);
    }
    let heard = host.ask(other, "load/heard", &json!({}));
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(heard, json!(rounds * count), "every message is heard");
    let rate = f64::from(rounds * count) / seconds;
    json!({ "name": "starling-tell", "unit": "msg/s", "value": rate })
}

/// Starts and stops small agents; memory per idle agent between.
pub(crate) fn spawn(count: u32) -> Value {
    let mut host = Host::new(false);
    let to = host.at(13);
    let before = super::rss_kib(std::process::id());
    let begun = Instant::now();
    let born = host.ask(to, "load/spawn", &json!({ "count": count }));
    let (started, after) = (begun.elapsed(), super::rss_kib(std::process::id()));
    assert_eq!(born, json!(count), "every agent is started");
    let stopping = Instant::now();
    host.ask(to, "load/empty", &json!({}));
    let seconds = (started + stopping.elapsed()).as_secs_f64();
    let bytes = (after - before) * 1024 / u64::from(count);
    json!({ "name": "starling-spawn", "unit": "agents/s", "value": f64::from(count) / seconds,
            "count": count, "bytes_per_agent": bytes })
}
