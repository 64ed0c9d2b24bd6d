use starling_protocols::journal::Record;

use super::{till::Pay, *};
use crate::replay::{Differs, PlayError, Replay};

/// An agent that looks at something outside: how often it was called in this process.
#[derive(Default, Serialize, Deserialize)]
struct Leaky(u64);

static CALLS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Agent for Leaky {
    const KIND: &'static str = "leaky";
    const VERSION: u32 = 3;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Pay>();
    }
}

impl Answers<Pay> for Leaky {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Pay(sum): Pay) -> Answer<Pay> {
        self.0 += 1;
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Answer::now(if self.0 > 2 { calls } else { sum })
    }
}

#[test]
fn an_agent_that_is_not_deterministic_is_caught_at_its_entry() {
    let kinds = || Kinds::new().kind::<Leaky>();
    let mut mesh = Mesh::recorded(1);
    let mut config = mesh.config(0, 2);
    config.kinds = kinds();
    config.residents = vec![(AgentId(1031), Start { kind: "leaky".into(), ..Start::default() })];
    mesh.engines[0] = Engine::new(config, mesh.now());
    for _ in 0..4 {
        mesh.ask(0, mesh.probe(0), "till/pay", "7");
    }
    mesh.advance(Duration::from_secs(1));
    let records = mesh.disks[0].as_ref().expect("a disk").records();
    let life = records.iter().rev().find_map(|(_, record)| match record {
        Record::Life(head) if head.kind == "leaky" => Some(head.life),
        _ => None,
    });
    let mut replay = Replay::new(kinds(), life.expect("its life"));
    let differs = records.into_iter().find_map(|(at, record)| replay.feed(at, record).err());
    let Some(PlayError::Differs(difference)) = differs else { panic!("it replays: {differs:?}") };
    // Its first input is its start.
    assert_eq!((difference.number, difference.what), (3, Differs::Effects));
    assert_eq!((difference.recorded_version, difference.version), (3, 3));
    assert_eq!(difference.before, serde_json::json!(2));
    let input = format!("{:?}", difference.input);
    assert!(input.contains("till/pay"), "{input}");
}

/// An agent that panics when it is dropped.
#[derive(Default, Serialize, Deserialize)]
struct Brittle(u64);

impl Drop for Brittle {
    fn drop(&mut self) {
        assert_eq!(self.0, 0, "it breaks");
    }
}

impl Agent for Brittle {
    const KIND: &'static str = "brittle";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Pay>();
    }
}

impl Answers<Pay> for Brittle {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Pay(sum): Pay) -> Answer<Pay> {
        self.0 += sum;
        assert!(sum < 100, "too much");
        Answer::now(self.0)
    }
}

#[test]
fn an_agent_that_panics_when_it_is_dropped_does_not_end_its_replay() {
    let kinds = || Kinds::new().kind::<Brittle>();
    let mut mesh = Mesh::recorded(1);
    let mut config = mesh.config(0, 2);
    config.kinds = kinds();
    config.residents = vec![(AgentId(1031), Start { kind: "brittle".into(), ..Start::default() })];
    mesh.engines[0] = Engine::new(config, mesh.now());
    for sum in ["7", "8", "100"] {
        mesh.ask(0, mesh.probe(0), "till/pay", sum);
    }
    mesh.advance(Duration::from_secs(1));
    let records = mesh.disks[0].as_ref().expect("a disk").records();
    let life = records.iter().rev().find_map(|(_, record)| match record {
        Record::Life(head) if head.kind == "brittle" => Some(head.life),
        _ => None,
    });
    let mut replay = Replay::new(kinds(), life.expect("its life"));
    for (at, record) in records {
        replay.feed(at, record).expect("it replays");
    }
    // Its start, and three payments.
    assert_eq!(replay.counts().played, 4);
    assert_eq!(replay.view().expect("it stands").state, serde_json::json!(115));
    drop(replay);
}
