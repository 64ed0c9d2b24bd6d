use super::*;

#[test]
fn hosts_ask_each_other_both_ways() {
    let mut mesh = Mesh::new(2);
    for (here, there) in [(0, 1), (1, 0)] {
        let ticket = mesh.put(here, mesh.probe(there), "hello");
        assert_eq!(mesh.answers[&ticket], Ok("\"got hello\"".into()));
    }
}

#[test]
fn agents_ask_agents_of_other_hosts() {
    let mut mesh = Mesh::new(2);
    let whom = mesh.probe(1);
    tell(&mut mesh, 0, &AskFor(whom, "hello".into()));
    assert_eq!(mesh.log(0), ["got hello"]);
    assert_eq!(mesh.log(1), ["put hello"]);
}

#[test]
fn every_failure_crosses_the_lane() {
    let mut mesh = Mesh::new(2);
    let cases = [
        (mesh.probe(1), "no", Failure::Refused("not today".into())),
        (Address { agent: AgentId(4711), ..mesh.probe(1) }, "x", Failure::NoAgent),
        (mesh.probe(1), "die", Failure::Gone),
    ];
    for (to, text, failure) in cases {
        let ticket = mesh.put(0, to, text);
        assert_eq!(mesh.answers[&ticket], Err(failure), "{text}");
    }
    let engine = Address { agent: AgentId::ENGINE, ..mesh.probe(1) };
    let ticket = mesh.put(0, engine, "x");
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent), "the engine serves its own host");
}

#[test]
fn an_unknown_host_is_unreachable_at_once() {
    let mut mesh = Mesh::new(1);
    let stranger = Address { host: key(9).host(), agent: AgentId(1031) };
    let ticket = mesh.put(0, stranger, "x");
    assert_eq!(mesh.answers[&ticket], Err(Failure::Unreachable));
}

#[test]
fn a_reply_from_a_host_that_was_not_asked_is_ignored() {
    let mut mesh = Mesh::new(3);
    mesh.held.insert((0, 1));
    let waiting = mesh.put(0, mesh.probe(1), "hello");
    let forger = Address { host: mesh.host(0), agent: AgentId::OUTSIDE };
    let dialog = crate::agent::Dialog { asker: forger, number: waiting.0, json: true };
    mesh.engines[2].answer(dialog, Ok(b"\"forged\"".to_vec()));
    mesh.settle();
    assert!(!mesh.answers.contains_key(&waiting));
    assert_eq!(mesh.engines[0].counters().get(Counter::StrayReplies), 1);
    mesh.release();
    assert_eq!(mesh.answers[&waiting], Ok("\"got hello\"".into()));
}

#[test]
fn the_budget_shrinks_while_a_call_waits() {
    let mut mesh = Mesh::new(2);
    mesh.held.insert((0, 1));
    let ticket = mesh.put(0, mesh.probe(1), "late");
    mesh.advance(Duration::from_secs(11));
    assert_eq!(mesh.answers[&ticket], Err(Failure::TimedOut));
    mesh.release();
    assert_eq!(mesh.log(1), [""; 0], "nobody carries out what nobody waits for");
}

pub(super) fn tell<N: Notification>(mesh: &mut Mesh, host: usize, notification: &N) {
    let (to, now) = (mesh.probe(host), mesh.now());
    let from = Address { host: mesh.host(host), agent: AgentId::OUTSIDE };
    let body = starling_protocols::wire::encode(notification);
    let codec = starling_protocols::exchange::Codec::Native;
    mesh.engines[host].notify(from, to, N::NAME, codec, body);
    mesh.engines[host].handle(Input::Tick, now);
    mesh.settle();
}
