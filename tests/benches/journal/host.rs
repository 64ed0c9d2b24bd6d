//! One host in this process: an engine on one thread, with or without a journal.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use starling_core::engine::{
    Config, Counter, Engine, Input, Kinds, Known, Now, Output, Recording, Start, Ticket,
};
use starling_node::journal::{Journal, Options, Progress};
use starling_protocols::{
    admission::Ledger,
    ident::{Address, AgentId, Credential, Genesis, Incarnation, SecretKey},
    journal::{Recovered, Sequence},
    time::{Time, WallTime},
};
use starling_tests::load;

const WALL: WallTime = WallTime::from_millis(1_700_000_000_000);

/// Whether and where a host records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Not,
    /// What is recorded is thrown away.
    InMemory,
    OnDisk,
}

impl Recorded {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Not => "unrecorded",
            Self::InMemory => "in memory",
            Self::OnDisk => "on disk",
        }
    }
}

pub(crate) struct Host {
    engine: Engine,
    start: Instant,
    base: Time,
    journal: Option<Journal>,
    dir: PathBuf,
}

pub(crate) fn kinds() -> Kinds {
    starling_core::society::with_residents(load::kinds())
}

fn credential(key: &SecretKey) -> Credential {
    let genesis = Genesis {
        version: 1,
        name: "bench".into(),
        founder: key.host(),
        created: WALL,
        nonce: [0; 16],
    };
    Credential::of_founder(key, genesis, WALL)
}

impl Host {
    pub(crate) fn new(recorded: Recorded, dir: &Path) -> Self {
        let key = SecretKey::from_bytes(&[1; 32]);
        let resident =
            |id, kind: &str| (AgentId(id), Start { kind: kind.into(), ..Start::default() });
        let mut residents = starling_core::society::residents();
        residents.extend([resident(10, "load"), resident(11, "mirror"), resident(12, "vault")]);
        let (mut journal, mut found) = (None, Recovered::nothing());
        if recorded == Recorded::OnDisk {
            let opened = Journal::open(&dir.join("journal"), Options::default());
            let (open, opened) = opened.expect("a journal");
            (journal, found) = (Some(open), opened.recovered);
        }
        let base = found.moment.time;
        let recording = (recorded != Recorded::Not).then(|| Recording::new(found));
        let config = Config {
            credential: credential(&key),
            key,
            name: "bench".into(),
            incarnation: Incarnation(1),
            software: "bench".into(),
            seed: [0; 32],
            kinds: kinds(),
            residents,
            known: Known::Records(Vec::new()),
            ledger: Ledger::default(),
            recording,
            replicas: None,
        };
        let now = Now { time: base, wall: WALL };
        let engine = Engine::new(config, now);
        Self { engine, start: Instant::now(), base, journal, dir: dir.to_owned() }
    }

    /// Makes requests to an agent; gives how many in a second, and p50 and p99 in microseconds.
    pub(crate) fn requests(
        &mut self,
        kind: &str,
        outstanding: u64,
        count: u64,
        bytes: usize,
    ) -> (f64, (u64, u64)) {
        let agent = AgentId(if kind == "vault" { 12 } else { 11 });
        let to = Address { host: self.engine.host(), agent };
        let run = json!({ "to": to, "outstanding": outstanding, "count": count, "bytes": bytes });
        let begun = Instant::now();
        let measured = self.ask(&run);
        let seconds = begun.elapsed().as_secs_f64();
        assert_eq!(measured["done"], json!(count), "every request is answered");
        let micros = |field: &str| measured[field].as_u64().unwrap_or_default();
        (count as f64 / seconds, (micros("p50_us"), micros("p99_us")))
    }

    /// Agents that are back from an earlier life.
    pub(crate) fn recovered(&self) -> u64 {
        self.engine.counters().get(Counter::AgentsRecovered)
    }

    /// Ends as by a kill, once what was recorded is written.
    pub(crate) fn crash(self) {
        let Self { engine, journal, dir, .. } = self;
        drop(engine);
        // The files as they stand while they are open: a good end would tidy them up.
        let (live, copy) = (dir.join("journal"), dir.join("copy"));
        std::fs::create_dir_all(&copy).expect("a directory");
        for file in std::fs::read_dir(&live).expect("a journal").flatten() {
            let name = file.file_name();
            if !file.path().is_symlink() && !name.to_string_lossy().ends_with("-shm") {
                std::fs::copy(file.path(), copy.join(name)).expect("a copy");
            }
        }
        drop(journal);
        std::fs::remove_dir_all(&live).expect("removed");
        std::fs::rename(copy, live).expect("renamed");
    }

    fn now(&self) -> Now {
        Now { time: self.base + self.start.elapsed(), wall: WALL }
    }

    fn ask(&mut self, body: &Value) -> Value {
        let body = serde_json::to_vec(body).expect("JSON");
        let to = Address { host: self.engine.host(), agent: AgentId(10) };
        let now = self.now();
        self.engine.ask(Ticket(1), to, "load/run", body, Duration::from_secs(600), now);
        loop {
            while let Some(output) = self.engine.poll() {
                match output {
                    Output::Answered { outcome, .. } => {
                        let answer = outcome.expect("an answer");
                        return serde_json::from_slice(&answer).expect("JSON");
                    }
                    Output::Record(batch) => {
                        if let Some(journal) = &self.journal {
                            journal.append(batch);
                        }
                    }
                    _ => {}
                }
            }
            self.progress();
        }
    }

    /// Goes on with what there is to do; waits for the disk when there is nothing else.
    fn progress(&mut self) {
        let idle = self.engine.backlog() == 0;
        let now = self.now();
        let Some(journal) = &self.journal else { return self.engine.handle(Input::Tick, now) };
        let full = !journal.has_room();
        let news = if idle || full {
            futures::executor::block_on(journal.progress())
        } else {
            journal.try_progress()
        };
        let now = self.now();
        match news {
            Some(Progress::Durable(Sequence(next))) => {
                let upto = Sequence(next.saturating_sub(1));
                self.engine.handle(Input::Durable { upto }, now);
            }
            Some(Progress::Failed(why)) => panic!("the journal failed: {why}"),
            _ => self.engine.handle(Input::Tick, now),
        }
    }
}
