use starling_protocols::admission::{Refusal, Terms};

use super::*;

#[test]
fn a_question_from_outside_is_answered_in_json() {
    let mut mesh = Mesh::new(1);
    let ticket = mesh.put(0, mesh.probe(0), "hello");
    assert_eq!(mesh.answers[&ticket], Ok("\"got hello\"".into()));
}

#[test]
fn a_body_that_does_not_fit_names_the_field() {
    let mut mesh = Mesh::new(1);
    let to = Address { agent: AgentId::HOST, ..mesh.probe(0) };
    let ticket = mesh.ask(0, to, "host/start", r#"{"kind": 7}"#);
    let Err(Failure::BadBody(why)) = &mesh.answers[&ticket] else { panic!("it must be refused") };
    assert!(why.starts_with("kind: invalid type: integer `7`"), "{why}");
    assert_eq!(mesh.engines[0].counters().get(Counter::BadBodies), 1);
}

#[test]
fn unknown_agents_requests_and_kinds_are_clear_failures() {
    let mut mesh = Mesh::new(1);
    let nobody = Address { agent: AgentId(4711), ..mesh.probe(0) };
    let ticket = mesh.put(0, nobody, "x");
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
    let ticket = mesh.ask(0, mesh.probe(0), "probe/fly", "{}");
    assert_eq!(mesh.answers[&ticket], Err(Failure::Unknown("probe/fly".into())));
    let host = Address { agent: AgentId::HOST, ..mesh.probe(0) };
    let ticket = mesh.ask(0, host, "host/start", r#"{"kind": "unicorn"}"#);
    let why = "unknown kind \"unicorn\"; this host has: fixer, host, inn, lasting-fixer, lodger, \
               mumbler, nobody, porter, probe, purse, sitter, slippery, till, trader";
    assert_eq!(mesh.answers[&ticket], Err(Failure::Refused(why.into())));
}

#[test]
fn a_panic_ends_one_agent_and_its_asker_learns() {
    let mut mesh = Mesh::new(1);
    let waiting = mesh.put(0, mesh.probe(0), "wait");
    let ticket = mesh.put(0, mesh.probe(0), "die");
    assert_eq!(mesh.answers[&ticket], Err(Failure::Gone));
    assert_eq!(mesh.answers[&waiting], Err(Failure::Gone), "a promised answer is gone too");
    let died = mesh
        .events
        .iter()
        .any(|(_, event)| matches!(event, Event::AgentDied { why, .. } if why == "as it was told"));
    assert!(died);
    let ticket = mesh.put(0, mesh.probe(0), "x");
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
    let host = Address { agent: AgentId::HOST, ..mesh.probe(0) };
    let ticket = mesh.ask(0, host, "host/agents", "{}");
    assert!(mesh.answers[&ticket].is_ok(), "everything else goes on");
}

#[test]
fn a_full_mailbox_refuses_and_counts() {
    let mut mesh = Mesh::new(1);
    // All that one handler publishes waits before any of it is handled.
    super::dialogs::tell(&mut mesh, 0, &Shout(0, 3000));
    let capacity = u64::from(Probe::MAILBOX);
    let log = mesh.log(0);
    assert_eq!(log.len() as u64, capacity + 1);
    assert!(log.contains(&format!("missed {}", 3000 - capacity)), "the agent learns of the gap");
    assert_eq!(mesh.engines[0].counters().get(Counter::MailboxFull), 3000 - capacity);
    let ticket = mesh.put(0, mesh.probe(0), "still alive");
    assert_eq!(mesh.answers[&ticket], Ok("\"got still alive\"".into()));
}

#[test]
fn a_promised_answer_comes_later_and_once() {
    let mut mesh = Mesh::new(1);
    let waiting = mesh.put(0, mesh.probe(0), "wait");
    assert!(!mesh.answers.contains_key(&waiting));
    mesh.put(0, mesh.probe(0), "release");
    assert_eq!(mesh.answers[&waiting], Ok("\"at last\"".into()));
}

#[test]
fn no_answer_in_time_is_learned() {
    let mut mesh = Mesh::new(1);
    let waiting = mesh.put(0, mesh.probe(0), "wait");
    mesh.advance(Duration::from_secs(9));
    assert!(!mesh.answers.contains_key(&waiting));
    mesh.advance(Duration::from_secs(1));
    assert_eq!(mesh.answers[&waiting], Err(Failure::TimedOut));
    assert_eq!(mesh.engines[0].counters().get(Counter::TimedOut), 1);
}

/// The helpers for tasks begin their runs so.
#[test]
fn a_timer_of_no_time_is_the_next_thing_that_comes() {
    let mut mesh = Mesh::new(1);
    mesh.put(0, mesh.probe(0), "soon");
    assert_eq!(mesh.engines[0].next_deadline(), Some((mesh.now, "a wait ends")));
    mesh.advance(Duration::ZERO);
    assert_eq!(mesh.log(0), ["put soon", "soon"]);
}

#[test]
fn agents_start_under_names_and_stop_in_good_order() {
    let mut mesh = Mesh::new(1);
    let host = Address { agent: AgentId::HOST, ..mesh.probe(0) };
    let start = r#"{"kind": "probe", "name": "second"}"#;
    let ticket = mesh.ask(0, host, "host/start", start);
    let agent = mesh.answers[&ticket].clone().expect("it starts");
    let ticket = mesh.ask(0, host, "host/start", start);
    let taken = "another agent of this host is named \"second\"; choose another name";
    assert_eq!(mesh.answers[&ticket], Err(Failure::Refused(taken.into())));
    let ticket = mesh.ask(0, host, "host/stop", &format!(r#"{{"agent": {agent}}}"#));
    assert_eq!(mesh.answers[&ticket], Ok("true".into()));
    assert_eq!(mesh.engines[0].agent_count(), 2);
    let ticket = mesh.ask(0, host, "host/start", start);
    assert!(mesh.answers[&ticket].is_ok(), "the name is free again");
}

#[test]
fn built_in_agents_are_not_stopped_and_the_engine_is_not_reached_from_outside() {
    let mut mesh = Mesh::new(1);
    let host = Address { agent: AgentId::HOST, ..mesh.probe(0) };
    let own = format!(r#"{{"agent": "{}"}}"#, AgentId::HOST);
    let ticket = mesh.ask(0, host, "host/stop", &own);
    assert_eq!(mesh.answers[&ticket], Ok("false".into()));
    let engine = Address { agent: AgentId::ENGINE, ..mesh.probe(0) };
    let ticket = mesh.ask(0, engine, "engine/stop", "{}");
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
}

#[test]
fn an_answer_given_in_the_turn_in_which_the_agent_dies_is_gone() {
    let mut mesh = Mesh::new(1);
    let waiting = mesh.put(0, mesh.probe(0), "wait");
    let ticket = mesh.put(0, mesh.probe(0), "release and die");
    assert_eq!(mesh.answers[&ticket], Err(Failure::Gone));
    assert_eq!(mesh.answers[&waiting], Err(Failure::Gone));
}

#[test]
fn a_message_without_fields_may_be_written_as_nothing() {
    let mut mesh = Mesh::new(1);
    let host = Address { agent: AgentId::HOST, ..mesh.probe(0) };
    for body in ["null", "{}"] {
        let ticket = mesh.ask(0, host, "host/agents", body);
        assert!(mesh.answers[&ticket].is_ok(), "{body}");
    }
}

#[test]
fn a_host_that_leaves_lets_nobody_in() {
    let mut mesh = Mesh::new(1);
    let (now, joiner) = (mesh.now(), key(5).host());
    let founder = &mut mesh.engines[0];
    founder.handle(Input::Listening { addresses: vec!["/sim/0".into()] }, now);
    let terms = Terms { life: Duration::from_secs(60), uses: 1, may_admit: false };
    let token = founder.invite(&terms, now).expect("a founder may invite");
    founder.leave(now);
    founder.handle(Input::Redeem { ticket: Ticket(7), joiner, token }, now);
    let answers = std::iter::from_fn(|| founder.poll()).filter_map(|output| match output {
        Output::Redeemed { outcome, .. } => Some(outcome),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    assert!(matches!(answers.as_slice(), [Err(Refusal::CannotAdmit(_))]), "{answers:?}");
    assert_eq!(founder.invites(now).len(), 1, "the invite can still be used");
}
