//! What is kept of an agent, and what is not.

use starling_protocols::limits::STEPS_PER_TURN_MAX;

use super::*;
use crate::{
    agent::Dialog,
    engine::{
        mail::{Mail, Parcel},
        service::StartError,
    },
};

/// An agent that must be kept and cannot be.
#[derive(Default, Deserialize)]
pub(super) struct Slippery;

impl Serialize for Slippery {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("too slippery"))
    }
}

impl Agent for Slippery {
    const KIND: &'static str = "slippery";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(_: &mut Interests<Self>) {}
}

#[test]
fn an_agent_that_cannot_be_kept_is_not_started() {
    let mut mesh = Mesh::recorded(1);
    let slippery = || Start { kind: "slippery".into(), ..Start::default() };
    let Err(StartError::BadState(why)) = mesh.engines[0].start(slippery()) else {
        panic!("it is refused")
    };
    assert!(why.contains("too slippery"), "{why}");
    let mut unrecorded = Mesh::new(1);
    unrecorded.engines[0].start(slippery()).expect("nothing is to be kept there");
}

#[test]
fn a_letter_that_does_not_fit_comes_back() {
    let mut mesh = Mesh::recorded(2);
    let (here, there) = (mesh.till(0), mesh.till(1));
    let now = mesh.now();
    mesh.engines[0].post(Ticket(900), there, "till/money", b"{}".to_vec(), now);
    mesh.settle();
    assert!(matches!(mesh.answers.get(&Ticket(900)), Some(Ok(_))), "it is durable here");
    let undelivered = |(host, event): &(usize, Event)| {
        *host == 0 && matches!(event, Event::Undelivered { why, .. } if why.contains("body"))
    };
    assert!(mesh.events.iter().any(undelivered), "{:?}", mesh.events);
    assert_eq!(mesh.till_state(here)["sum"], 0);
}

#[test]
fn an_agent_that_ends_itself_is_not_revived_by_a_snapshot_while_its_end_waits() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    let engine = &mut mesh.engines[0];
    let [here, probe] = [till.agent, AgentId(1031)].map(|id| engine.agents.find(id).expect("it"));
    let dialog = Dialog { asker: till, number: 1 << 40, json: true };
    let stop = Mail::Request { name: "till/do", dialog, body: br#""stop""#.to_vec() };
    engine.queue.push_back(Parcel { to: here, mail: stop });
    // Snapshots are made every ten inputs.
    for _ in 0..20 {
        engine.queue.push_back(Parcel { to: here, mail: Mail::Recovered });
    }
    for _ in 0..STEPS_PER_TURN_MAX {
        engine.queue.push_back(Parcel { to: probe, mail: Mail::Recovered });
    }
    // All is written, and the host is killed before it hears of that.
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    let now = mesh.now();
    mesh.engines[0].handle(Input::Tick, now);
    mesh.turn(0);
    assert!(mesh.engines[0].agents.find(till.agent).is_some(), "its end waits");
    mesh.disks[0].as_mut().expect("a disk").write();
    mesh.crash(0, 2);
    let ticket = mesh.pay(0, till, 1);
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
}
