//! Moves that are cut in two by slow disks, crashes and splits.

use starling_protocols::wire;

use super::*;
use crate::{agent::Dialog, engine::DocumentError};

impl Mesh {
    /// Has an agent given away, as far as that goes without time passing.
    fn begin_to_give(&mut self, from: usize, agent: AgentId, to: usize) -> Ticket {
        let to = self.host(to).to_string();
        let body = json!({ "agent": agent.to_string(), "to": to }).to_string();
        let host_agent = Address { host: self.host(from), agent: AgentId::HOST };
        self.ask(from, host_agent, "host/give", &body)
    }

    /// Has an agent taken up whose host is said to be gone, as far as that goes.
    fn begin_to_take_up(&mut self, host: usize, agent: AgentId) {
        let now = self.now();
        self.engines[host].take_up_agent(agent, true, None).expect("it may");
        self.engines[host].handle(Input::Tick, now);
        self.settle();
    }

    fn stall(&mut self, host: usize) {
        self.shelves[host].as_mut().expect("a shelf").stalled = true;
    }

    fn unstall(&mut self, host: usize) {
        self.shelve(host);
        self.settle();
    }

    fn not_taken_up(&self, host: usize) -> Vec<String> {
        let all = self.events.iter().filter(|(at, _)| *at == host);
        let told = all.filter_map(|(_, event)| match event {
            Event::NotTakenUp { why, .. } => Some(why.clone()),
            _ => None,
        });
        told.collect()
    }
}

/// What a sitter notes when it is taken up after the death of its host, in the attic.
const TAKEN_UP: &str = r#"1 false Ok(Some(Object {"room": String("attic")}))"#;

fn in_the_attic(mesh: &mut Mesh) -> AgentId {
    let old = mesh.settle_in(0, "sitter", "ada");
    mesh.describe_as(old, r#"{"room":"attic"}"#);
    old.agent
}

#[test]
fn an_agent_leaves_when_another_host_has_its_last_words_or_none_is_there_for_long() {
    let mut mesh = Mesh::with_documents(3);
    let agent = in_the_attic(&mut mesh);
    mesh.stall(0);
    mesh.begin_to_give(0, agent, 1);
    mesh.cut_off(1);
    mesh.stall(2);
    mesh.unstall(0);
    mesh.advance(Duration::from_secs(4));
    assert_eq!(mesh.homes(agent), [0]);
    mesh.advance(Duration::from_secs(2));
    assert_eq!(mesh.homes(agent), [0; 0]);
    // What it is to begin with there is all that is left of it.
    let (doc, now) = (DocName::of_agent(agent), mesh.now());
    assert_eq!(mesh.engines[0].delete_document(&doc, now), Err(DocumentError::Described));
    // The last words of another one are on a disk at once.
    let mut mesh = Mesh::with_documents(3);
    let agent = in_the_attic(&mut mesh);
    mesh.stall(1);
    mesh.begin_to_give(0, agent, 1);
    assert_eq!(mesh.homes(agent), [0; 0]);
}

#[test]
fn an_agent_stays_when_the_disk_does_not_take_its_last_words() {
    let mut mesh = Mesh::with_documents(2);
    let agent = in_the_attic(&mut mesh);
    mesh.stall(0);
    let ticket = mesh.begin_to_give(0, agent, 1);
    mesh.advance(Duration::from_secs(6));
    let why = "its descriptor: the disk of this host takes nothing";
    assert_eq!(mesh.answers.get(&ticket), Some(&refused(why)));
    mesh.unstall(0);
    mesh.advance(Duration::from_secs(15));
    assert_eq!(mesh.homes(agent), [0]);
    for host in 0..2 {
        let said = mesh.said(host, agent);
        assert_eq!((said.get("given"), said.get("under_restart")), (None, None), "host {host}");
    }
    // It may go later.
    let to = mesh.host(1);
    assert_eq!(mesh.give(0, agent, to), Ok("true".into()));
    assert_eq!(mesh.homes(agent), [1]);
}

#[test]
fn an_agent_does_not_leave_by_its_own_word() {
    let mut mesh = Mesh::with_documents(2);
    let agent = in_the_attic(&mut mesh);
    let asker = Address { host: mesh.host(0), agent };
    let asked = Dialog { asker, number: 1 << 40, json: false };
    let body = wire::encode(&(mesh.host(1), asked));
    let (before, now) = (mesh.counted(0, Counter::NotUnderstood), mesh.now());
    mesh.engines[0].hand_over(agent, &body);
    mesh.engines[0].handle(Input::Tick, now);
    mesh.settle();
    mesh.advance(Duration::from_secs(6));
    assert_eq!(mesh.homes(agent), [0]);
    assert_eq!(mesh.counted(0, Counter::NotUnderstood), before + 1);
    assert_eq!(mesh.said(0, agent).get("given"), None);
}

#[test]
fn who_has_given_an_agent_away_does_not_have_it_in_its_next_life() {
    for durable in [true, false] {
        let mut mesh = Mesh::with_documents(3);
        let agent = in_the_attic(&mut mesh);
        mesh.stall(0);
        mesh.begin_to_give(0, agent, 1);
        mesh.cut(0, 1);
        mesh.cut(1, 2);
        // Whether its journal says that the agent has left.
        mesh.disks[0].as_mut().expect("a disk").stalled = !durable;
        mesh.unstall(0);
        mesh.advance(Duration::from_secs(6));
        assert_eq!(mesh.homes(agent), [0; 0], "durable: {durable}");
        mesh.kill_alone(0, 2);
        mesh.advance(Duration::from_secs(30));
        // Nor does anybody else take it up, now that its host is not there.
        assert_eq!(mesh.homes(agent), [0; 0], "durable: {durable}");
        assert_eq!(mesh.not_taken_up(2), [""; 0]);
        mesh.connect(1, 2);
        mesh.settle();
        mesh.advance(Duration::from_secs(5));
        assert_eq!(mesh.homes(agent), [1], "durable: {durable}");
        assert_eq!(mesh.said(1, agent)["before"]["given"], true);
    }
}

#[test]
fn one_that_is_about_to_leave_does_so_when_it_lives_elsewhere_already() {
    let mut mesh = Mesh::with_documents(2);
    let agent = in_the_attic(&mut mesh);
    // The other host takes it up before it can say that it has the gift.
    mesh.stall(1);
    mesh.begin_to_give(0, agent, 1);
    mesh.advance(Duration::from_secs(4));
    assert_eq!(mesh.homes(agent), [1]);
    assert_eq!(mesh.why_died(0, agent), None);
    let moved = Event::AgentMoved { agent, kind: "sitter".into() };
    assert_eq!(mesh.events.iter().filter(|it| **it == (0, moved.clone())).count(), 1);
}

#[test]
fn an_agent_is_told_once_that_it_was_taken_up_wherever_that_host_goes_down() {
    for cut in 0.. {
        let mut mesh = Mesh::with_documents(2);
        let agent = in_the_attic(&mut mesh);
        mesh.cut(0, 1);
        mesh.disks[1].as_mut().expect("a disk").stalled = true;
        mesh.begin_to_take_up(1, agent);
        // So much of its journal is durable, and nobody has told it so.
        let disk = mesh.disks[1].as_mut().expect("a disk");
        let batches = disk.waiting.len();
        if cut > batches {
            assert!(cut > 1, "there is nothing to cut");
            return;
        }
        disk.waiting.truncate(cut);
        let _ = disk.write();
        mesh.kill_alone(1, 2);
        mesh.advance(Duration::from_secs(1));
        assert_eq!(mesh.homes(agent), [0, 1], "cut {cut} of {batches}");
        let here = mesh.at(1, agent);
        assert_eq!(mesh.sitter_log(here), [TAKEN_UP], "cut {cut} of {batches}");
        let said = mesh.said(1, agent);
        assert_eq!((said.get("under_restart"), &said["instance"]), (None, &1.into()), "cut {cut}");
    }
}

#[test]
fn an_agent_that_is_taken_up_begins_when_its_title_is_durable_and_not_before() {
    let mut mesh = Mesh::with_documents(2);
    let agent = in_the_attic(&mut mesh);
    mesh.cut(0, 1);
    mesh.stall(1);
    mesh.begin_to_take_up(1, agent);
    // Whatever it hears meanwhile.
    let now = mesh.now();
    mesh.engines[1].mind_descriptor(agent);
    mesh.engines[1].handle(Input::Tick, now);
    mesh.settle();
    mesh.advance(Duration::from_secs(3_000));
    assert_eq!(mesh.homes(agent), [0]);
    assert_eq!(mesh.not_taken_up(1), [""; 0]);
    // Nor when it is tried again.
    mesh.advance(Duration::from_secs(1_000));
    assert_eq!(mesh.homes(agent), [0]);
    let why = "its descriptor: the disk of this host takes nothing";
    assert_eq!(mesh.not_taken_up(1), [why]);
    mesh.unstall(1);
    mesh.advance(Duration::from_secs(11));
    assert_eq!(mesh.homes(agent), [0, 1]);
    let here = mesh.at(1, agent);
    assert_eq!(mesh.sitter_log(here), [TAKEN_UP]);
}

#[test]
fn who_takes_an_agent_up_that_is_taken_up_elsewhere_meanwhile_leaves_it_there() {
    let mut mesh = Mesh::with_documents(4);
    let agent = in_the_attic(&mut mesh);
    mesh.cut_off(0);
    mesh.cut_off(1);
    mesh.stall(1);
    mesh.begin_to_take_up(1, agent);
    assert_eq!(mesh.take_up(3, agent, true), Ok(()));
    let to = mesh.host(2);
    assert_eq!(mesh.give(3, agent, to), Ok("true".into()));
    assert_eq!(mesh.homes(agent), [0, 2]);
    // It has had more hosts there.
    mesh.connect(1, 2);
    mesh.settle();
    mesh.unstall(1);
    mesh.advance(Duration::from_secs(15));
    assert_eq!(mesh.homes(agent), [0, 2]);
    let taken_up =
        |(host, event): &&(usize, Event)| *host == 1 && matches!(event, Event::AgentTakenUp { .. });
    assert_eq!(mesh.events.iter().find(taken_up), None);
}

#[test]
fn a_gift_that_cannot_live_there_is_told_of_and_waits_for_a_program_that_knows_it() {
    let mut mesh = Mesh::with_documents(2);
    let agent = in_the_attic(&mut mesh);
    mesh.stall(0);
    mesh.begin_to_give(0, agent, 1);
    let mut kinds = kinds();
    kinds.all.retain(|name, _| *name != "sitter");
    mesh.kinds.insert(1, kinds);
    mesh.kill_alone(1, 2);
    mesh.unstall(0);
    mesh.advance(Duration::from_secs(6));
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(60));
    assert_eq!(mesh.homes(agent), [0; 0]);
    let told = mesh.not_taken_up(1);
    assert!(told.len() == 1 && told[0].contains("unknown kind"), "{told:?}");
    assert_eq!(mesh.said(1, agent)["under_restart"], true);
    mesh.kinds.remove(&1);
    mesh.kill(1, 3);
    mesh.advance(Duration::from_secs(5));
    assert_eq!(mesh.homes(agent), [1]);
}

#[test]
fn an_agent_that_has_ended_is_not_taken_up() {
    let mut mesh = Mesh::with_documents(2);
    let agent = in_the_attic(&mut mesh);
    let there = mesh.at(0, agent);
    mesh.send_away(there);
    for host in 0..2 {
        let why = format!("no agent {agent} is known here");
        let refused = Failure::Refused(why).to_string();
        assert_eq!(mesh.take_up(host, agent, true), Err(refused), "host {host}");
    }
    assert_eq!(mesh.homes(agent), [0; 0]);
}

#[test]
fn who_is_taken_up_knows_where_its_partners_live_by_now() {
    let mut mesh = Mesh::with_documents(3);
    let (guest, inn) = mesh.pair();
    mesh.advance(Duration::from_secs(2));
    mesh.cut_off(1);
    // Nobody can tell the inn that its guest goes.
    let to = mesh.host(2);
    assert_eq!(mesh.give(0, guest.agent, to), Ok("true".into()));
    assert_eq!(mesh.take_up(0, inn.agent, true), Ok(()));
    let (inn, guest) = (mesh.at(0, inn.agent), mesh.at(2, guest.agent));
    assert_eq!(mesh.seen(inn).1, [guest]);
}
