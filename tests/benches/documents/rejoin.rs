//! What catching up costs on the wire, to the byte: hosts in the simulator, with all that goes over
//! their lanes, beside automerge's own sync protocol, of which only its messages are counted: no
//! names, no frames, no signatures.

use std::time::Duration;

use automerge::{
    AutoCommit,
    sync::{State, SyncDoc},
};
use serde_json::{Value, json};
use starling_core::{
    documents::{Path, Step},
    engine::Engine,
};
use starling_netsim::{Edit, HostNo, Sim};
use starling_protocols::{ident::AgentId, reconcile::Prints, replica::DocName};
use starling_tests::load;

use crate::{raw, report::Report};

const WRITER: HostNo = HostNo(0);
const ABSENT: HostNo = HostNo(1);
const MANY: u64 = 1000;

/// All cases, each beside automerge.
pub(crate) fn all(report: &mut Report) {
    let what = "bytes of a rejoin";
    let how = "1,000 changes of one document";
    report.add(what, how, found("starling", catching_up(|_| (), changes_of_one)));
    report.add(what, how, synced("automerge-sync", 1, MANY, false));
    report.add(what, how, synced("automerge-sync-state-kept", 1, MANY, true));
    let how = "1,000 descriptors changed once";
    report.add(what, how, found("starling", catching_up(signs, turns)));
    report.add(what, how, synced("automerge-sync", MANY, 1, false));
    report.add(what, how, synced("automerge-sync-state-kept", MANY, 1, true));
    let how = "1,000 new descriptors";
    report.add(what, how, found("starling", catching_up(|_| (), signs)));
    report.add(what, how, whole("automerge-sync"));
    let how = "10 of 1,000 descriptors changed";
    report.add(what, how, found("starling", catching_up(signs, |sim| turn(sim, 10))));
}

fn found(name: &str, bytes: u64) -> Value {
    json!({ "name": name, "unit": "B", "value": bytes })
}

/// How many bytes two hosts send each other until both have the same again, when one of them has
/// missed what `change` does on the other.
fn catching_up(before: impl FnOnce(&mut Sim), change: impl FnOnce(&mut Sim)) -> u64 {
    let mut sim = Sim::new(1);
    sim.set_documents(true);
    for name in ["writer", "absent"] {
        sim.add_host(name, load::kinds(), Vec::new());
    }
    sim.found(WRITER);
    sim.admit_all();
    sim.hosts().for_each(|host| sim.start(host));
    sim.run_for(Duration::from_secs(5));
    before(&mut sim);
    sim.edit(WRITER, edit(0, 2));
    sim.run_for(Duration::from_secs(10));
    sim.stop_at_once(ABSENT);
    sim.run_for(Duration::from_secs(5));
    change(&mut sim);
    let sent = |sim: &Sim| sim.sent_bytes(WRITER) + sim.sent_bytes(ABSENT);
    let before = sent(&sim);
    sim.start(ABSENT);
    let sums = |sim: &Sim, host| {
        let replicas = sim.engine(host).and_then(Engine::replicas);
        replicas.map(|all| all.sums().clone())
    };
    let equal = |sim: &Sim| sums(sim, WRITER) == sums(sim, ABSENT);
    assert!(sim.run_until(Duration::from_secs(120), equal), "they do not come to the same");
    sim.run_for(Duration::from_secs(5));
    sent(&sim) - before
}

fn edit(value: u64, replicas: usize) -> Edit {
    let path = Path::new([Step::Key("n".to_owned())]);
    let name: DocName = "conf/long".parse().expect("a name");
    let patience = Duration::from_secs(60);
    Edit { name, set: vec![(path, json!(value))], replicas, patience }
}

fn changes_of_one(sim: &mut Sim) {
    for number in 0..MANY {
        // Numbers of the usual size that do not follow one another.
        let value = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12;
        sim.edit(WRITER, edit(value, 1));
        sim.run_for(Duration::from_millis(50));
    }
}

fn descriptors(sim: &Sim) -> Vec<AgentId> {
    let all = sim.engine(WRITER).and_then(Engine::replicas).expect("it keeps documents");
    all.names(None).filter_map(DocName::agent).collect()
}

/// Starts agents with descriptors of fifteen fields.
fn signs(sim: &mut Sim) {
    let to = sim.address(WRITER, AgentId::HOST);
    for _ in 0..MANY {
        let body = json!({ "kind": "sign", "name": null, "state": null });
        sim.ask(WRITER, to, "host/start", &body, Duration::from_secs(10));
        sim.run_for(Duration::from_millis(10));
    }
    sim.run_for(Duration::from_secs(5));
    assert_eq!(descriptors(sim).len() as u64, MANY);
}

/// Each agent says one new thing.
fn turns(sim: &mut Sim) {
    turn(sim, usize::MAX);
}

fn turn(sim: &mut Sim, most: usize) {
    for agent in descriptors(sim).into_iter().take(most) {
        let to = sim.address(WRITER, agent);
        sim.ask(WRITER, to, "load/turn", &json!({}), Duration::from_secs(10));
        sim.run_for(Duration::from_millis(10));
    }
    sim.run_for(Duration::from_secs(2));
}

/// The bytes of automerge's sync when each of so many documents has so many changes that the
/// other side lacks.
fn synced(name: &str, documents: u64, changes: u64, kept: bool) -> Value {
    let mut bytes = 0;
    for number in 0..documents {
        let mut writer = raw::document(number);
        let mut absent = AutoCommit::load(&writer.save()).expect("a document");
        let mut states = (State::new(), State::new());
        if kept {
            sync((&mut writer, &mut states.0), (&mut absent, &mut states.1));
            states = (again(&states.0), again(&states.1));
        }
        for value in 0..changes {
            raw::change(&mut writer, (value + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12);
        }
        bytes += sync((&mut writer, &mut states.0), (&mut absent, &mut states.1));
        assert_eq!(writer.get_heads(), absent.get_heads());
    }
    found(name, bytes)
}

/// As it is kept from one connection to the next.
fn again(state: &State) -> State {
    State::decode(&state.encode()).expect("a state")
}

/// The bytes when the other side has none of the documents.
fn whole(name: &str) -> Value {
    let each = |number| {
        let (mut writer, mut absent) = (raw::document(number), AutoCommit::new());
        sync((&mut writer, &mut State::new()), (&mut absent, &mut State::new()))
    };
    found(name, (0..MANY).map(each).sum())
}

type Side<'a> = (&'a mut AutoCommit, &'a mut State);

fn sync(mut one: Side<'_>, mut other: Side<'_>) -> u64 {
    let mut bytes = 0;
    loop {
        let sent = step(&mut one, &mut other) + step(&mut other, &mut one);
        bytes += sent;
        if sent == 0 {
            return bytes;
        }
    }
}

fn step((from, told): &mut Side<'_>, (to, known): &mut Side<'_>) -> u64 {
    let Some(message) = from.sync().generate_sync_message(told) else { return 0 };
    let bytes = message.clone().encode().len() as u64;
    to.sync().receive_sync_message(known, message).expect("it is taken");
    bytes
}
