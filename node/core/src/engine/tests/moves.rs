//! Agents that go from one host to another, and those that turn out to live on two.

mod gone;
mod interrupted;

use serde_json::{Value, json};
use starling_protocols::replica::DocName;

use super::{partners::Tell, *};
use crate::{documents::to_json, engine::MOVING};

impl Mesh {
    /// Asks the host agent of a host.
    fn host_does(&mut self, host: usize, name: &str, body: &Value) -> Result<String, Failure> {
        let to = Address { host: self.host(host), agent: AgentId::HOST };
        let ticket = self.ask(host, to, name, &body.to_string());
        self.advance(Duration::from_secs(11));
        self.answers.remove(&ticket).expect("it is answered")
    }

    fn give(&mut self, from: usize, agent: AgentId, to: HostId) -> Result<String, Failure> {
        let body = json!({ "agent": agent.to_string(), "to": to.to_string() });
        self.host_does(from, "host/give", &body)
    }

    fn take_up(&mut self, host: usize, agent: AgentId, gone: bool) -> Result<(), String> {
        let body = json!({ "agent": agent.to_string(), "its_host_is_gone": gone });
        self.host_does(host, "host/take-up", &body).map(drop).map_err(|why| why.to_string())
    }

    /// The hosts on which an agent lives.
    fn homes(&self, agent: AgentId) -> Vec<usize> {
        let lives = |host: &usize| self.engines[*host].agents.find(agent).is_some();
        (0..self.engines.len()).filter(lives).collect()
    }

    fn said(&mut self, host: usize, agent: AgentId) -> Value {
        let now = self.now();
        let said = self.engines[host].read_document(&DocName::of_agent(agent), now, to_json);
        self.settle();
        said.expect("there is one").expect("it can be shown")
    }

    fn at(&self, host: usize, agent: AgentId) -> Address {
        Address { host: self.host(host), agent }
    }

    fn cut_off(&mut self, host: usize) {
        (0..self.engines.len()).filter(|other| *other != host).for_each(|other| {
            self.cut(host, other);
        });
    }

    fn why_died(&self, host: usize, who: AgentId) -> Option<String> {
        self.events.iter().find_map(|(at, event)| match event {
            Event::AgentDied { agent, why, .. } if (*at, *agent) == (host, who) => {
                Some(why.clone())
            }
            _ => None,
        })
    }
}

fn refused(why: &str) -> Result<String, Failure> {
    Err(Failure::Refused(why.to_owned()))
}

#[test]
fn an_agent_that_is_given_away_lives_there_with_its_last_words() {
    let mut mesh = Mesh::with_documents(3);
    let old = mesh.settle_in(0, "sitter", "ada");
    let agent = old.agent;
    mesh.describe_as(old, r#"{"room":"attic"}"#);
    let to = mesh.host(1);
    assert_eq!(mesh.give(0, agent, to), Ok("true".into()));
    assert_eq!(mesh.homes(agent), [1]);
    let new = mesh.at(1, agent);
    let last = format!("1 true Ok(Some(Object {{\"last\": String({:?})}}))", to.short());
    assert_eq!(mesh.sitter_log(new), [last]);
    let words = json!({
        "kind": "sitter", "version": 1, "name": "ada", "host": to.to_string(), "instance": 1,
        "fields": { "last": to.short() },
        "before": { "host": old.host.to_string(), "given": true },
    });
    for host in 0..3 {
        assert_eq!(mesh.said(host, agent), words, "host {host}");
    }
    // It answers there, and not where it was.
    mesh.describe_as(new, r#"{"room":"cellar"}"#);
    assert_eq!(mesh.fields(0, old), r#"{"room":"cellar"}"#);
    let ticket = mesh.ask(0, old, "sitter/say", r#""{}""#);
    assert_eq!(mesh.answers[&ticket], refused("it lives on host-1 now"));
    // Nothing of it comes back with either daemon.
    mesh.kill(0, 2);
    mesh.kill(1, 2);
    mesh.advance(Duration::from_secs(1));
    assert_eq!(mesh.homes(agent), [1]);
    assert_eq!(mesh.fields(2, new), r#"{"room":"cellar"}"#);
    // And home again, in the same life of its host.
    let home = mesh.host(0);
    assert_eq!(mesh.give(1, agent, home), Ok("true".into()));
    assert_eq!(mesh.homes(agent), [0]);
    assert_eq!(mesh.said(2, agent)["instance"], 2);
}

#[test]
fn what_cannot_be_given_or_taken_up_stays_as_it_is() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    let nobody = mesh.settle_in(0, "nobody", "nemo").agent;
    let (here, there, stranger) = (mesh.host(0), mesh.host(1), key(9).host());
    let unknown = AgentId(1 << 100);
    for (agent, to, why) in [
        (unknown, there, format!("agent {unknown} does not live on this host")),
        (AgentId::HOST, there, format!("agent {} does not live on this host", AgentId::HOST)),
        (agent, here, format!("agent {agent} lives there already")),
        (agent, stranger, format!("host {stranger} is not known in this mesh")),
        (
            nobody,
            there,
            "agents of kind \"nobody\" have no descriptor: they end with their host".into(),
        ),
    ] {
        assert_eq!(mesh.give(0, agent, to), refused(&why));
    }
    for (host, agent, why) in [
        (1, unknown, format!("no agent {unknown} is known here")),
        (1, nobody, format!("no agent {nobody} is known here")),
        (0, agent, format!("agent {agent} lives there already")),
        (
            1,
            agent,
            "its host host-0 is not known to be gone: move it from there, or, if you know better, \
                    say so: --its-host-is-gone"
                .into(),
        ),
    ] {
        assert_eq!(mesh.take_up(host, agent, false), Err(Failure::Refused(why).to_string()));
    }
    // The other host may not know the kind, or not answer.
    let kinds = |without: &str| {
        let mut kinds = kinds();
        kinds.all.retain(|name, _| *name != without);
        kinds
    };
    let config = Config { kinds: kinds("sitter"), ..mesh.config(1, 2) };
    mesh.cut(0, 1);
    mesh.engines[1] = Engine::new(config, mesh.now());
    mesh.connect(0, 1);
    mesh.settle();
    let strange = "the other host does not know the kind \"sitter\"";
    assert_eq!(mesh.give(0, agent, there), refused(strange));
    mesh.cut(0, 1);
    let away = "host host-1 cannot be reached: the agent stays where it is; see p2p members, or \
                choose another host";
    assert_eq!(mesh.give(0, agent, there), refused(away));
    assert_eq!(mesh.take_up(1, agent, true).map_err(|why| why.contains("unknown kind")), Err(true));
    assert_eq!(mesh.homes(agent), [0]);
    for host in 0..2 {
        assert_eq!(mesh.said(host, agent)["instance"], 0);
        assert_eq!(mesh.said(host, agent).get("under_restart"), None);
    }
}

#[test]
fn an_agent_whose_host_is_dead_is_taken_up_and_dies_there_when_that_comes_back() {
    let mut mesh = Mesh::with_documents(3);
    let old = mesh.settle_in(0, "sitter", "ada");
    let agent = old.agent;
    mesh.describe_as(old, r#"{"room":"attic"}"#);
    mesh.cut_off(0);
    // It goes on there, unheard.
    mesh.describe_as(old, r#"{"room":"garden"}"#);
    mesh.dial_in_vain(1, 0, 60);
    assert_eq!(mesh.take_up(1, agent, false), Ok(()));
    let new = mesh.at(1, agent);
    assert_eq!(mesh.sitter_log(new), [r#"1 false Ok(Some(Object {"room": String("attic")}))"#]);
    assert_eq!(mesh.fields(2, new), r#"{"room":"attic"}"#);
    assert_eq!(mesh.homes(agent), [0, 1]);
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(5));
    assert_eq!(mesh.homes(agent), [1]);
    let why = "it lives on host-1 now, which does not have its last changes: \
               fields.room: \"attic\" -> \"garden\"; its last state here: {\"log\":[]}";
    assert_eq!(mesh.why_died(0, agent).as_deref(), Some(why));
    // It did not panic.
    let counted = [Counter::AgentsDied, Counter::AgentsDisplaced].map(|of| mesh.counted(0, of));
    assert_eq!(counted, [0, 1]);
    mesh.kill(0, 2);
    mesh.advance(Duration::from_secs(5));
    assert_eq!(mesh.homes(agent), [1]);
}

#[test]
fn an_incarnation_that_nothing_new_is_known_of_dies_as_well() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut(0, 1);
    mesh.dial_in_vain(1, 0, 60);
    assert_eq!(mesh.take_up(1, agent, false), Ok(()));
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(5));
    assert_eq!(mesh.homes(agent), [1]);
    let why = "it lives on host-1 now; its last state here: {\"log\":[]}";
    assert_eq!(mesh.why_died(0, agent).as_deref(), Some(why));
}

#[test]
fn of_two_that_were_taken_up_in_a_split_one_lives_on() {
    let mut mesh = Mesh::with_documents(4);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut_off(0);
    mesh.cut(1, 3);
    mesh.cut(2, 3);
    for host in [1, 3] {
        assert_eq!(mesh.take_up(host, agent, true), Ok(()), "host {host}");
        let new = mesh.at(host, agent);
        mesh.describe_as(new, &format!(r#"{{"by":{host}}}"#));
    }
    assert_eq!(mesh.homes(agent), [0, 1, 3]);
    for (a, b) in [(1, 3), (2, 3), (0, 1), (0, 2), (0, 3)] {
        mesh.connect(a, b);
        mesh.settle();
        mesh.advance(Duration::from_secs(5));
    }
    let homes = mesh.homes(agent);
    assert!(homes == [1] || homes == [3], "{homes:?}");
    let (won, lost) = (homes[0], 4 - homes[0]);
    let why = mesh.why_died(lost, agent).expect("it is told of");
    assert!(
        why.contains(&format!("fields: none -> {{\"by\":{lost}}}")) || why.contains("by"),
        "{why}"
    );
    for host in 0..4 {
        let id = mesh.host(won).to_string();
        assert_eq!(mesh.said(host, agent)["host"], id, "host {host}");
        let here = mesh.at(host, agent);
        assert_eq!(mesh.fields(host, here), format!(r#"{{"by":{won}}}"#), "host {host}");
    }
}

#[test]
fn a_gift_outlives_a_crash_of_either_host() {
    // Of the one that gives, when only the descriptor knows of it.
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    let to = mesh.host(1);
    let body = json!({ "agent": agent.to_string(), "to": to.to_string() });
    let host_agent = Address { host: mesh.host(0), agent: AgentId::HOST };
    mesh.shelves[1].as_mut().expect("a shelf").stalled = true;
    let _ = mesh.ask(0, host_agent, "host/give", &body.to_string());
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    mesh.kill(0, 2);
    mesh.advance(Duration::from_secs(6));
    assert_eq!(mesh.homes(agent), [1]);
    // Of the one that takes it up: its descriptor is lost there, and comes again.
    mesh.kill(1, 2);
    mesh.advance(Duration::from_secs(6));
    assert_eq!(mesh.homes(agent), [1]);
    for host in 0..2 {
        let said = mesh.said(host, agent);
        assert_eq!(said["host"], to.to_string(), "host {host}");
        assert_eq!((said.get("given"), said.get("under_restart")), (None, None), "host {host}");
    }
}

#[test]
fn a_gift_to_a_host_that_is_away_waits_for_it() {
    let mut mesh = Mesh::with_documents(3);
    let old = mesh.settle_in(0, "sitter", "ada");
    let agent = old.agent;
    mesh.cut(1, 2);
    let to = mesh.host(1);
    // It goes away when it has said that it knows the kind.
    let give = json!({ "agent": agent.to_string(), "to": to.to_string() });
    let host_agent = Address { host: mesh.host(0), agent: AgentId::HOST };
    mesh.shelves[0].as_mut().expect("a shelf").stalled = true;
    let ticket = mesh.ask(0, host_agent, "host/give", &give.to_string());
    mesh.cut(0, 1);
    mesh.shelve(0);
    mesh.settle();
    mesh.advance(Duration::from_secs(20));
    assert_eq!(mesh.homes(agent), [0; 0]);
    assert_eq!(mesh.said(2, agent)["under_restart"], true);
    let asked = mesh.ask(0, old, "sitter/say", r#""{}""#);
    assert_eq!(mesh.answers[&asked], refused(MOVING));
    // Who asked from outside has not waited so long.
    assert_eq!(mesh.answers.get(&ticket), Some(&Err(Failure::TimedOut)));
    // Only it may take it up, or the one that gave it, as long as that lives.
    assert!(mesh.take_up(2, agent, false).is_err_and(|why| why.contains("not known to be gone")));
    mesh.connect(1, 2);
    mesh.settle();
    mesh.advance(Duration::from_secs(5));
    assert_eq!(mesh.homes(agent), [1]);
    assert_eq!(mesh.said(0, agent).get("under_restart"), None);
}

#[test]
fn partners_follow_an_agent_that_moves() {
    let mut mesh = Mesh::with_documents(3);
    let (guest, inn) = mesh.pair();
    mesh.advance(Duration::from_secs(2));
    let said = mesh.said(0, inn.agent);
    let partners = said["partners"].as_object().expect("a map");
    let partner = partners.values().next().expect("one");
    let wanted = json!({
        "relation": "house/guests", "inverse": "guest/house",
        "agent": guest.agent.to_string(), "host": guest.host.to_string(),
    });
    assert_eq!(partner, &wanted);
    let beds = json!({ "beds": { "sort": "scalar", "total": 2, "allocated": 1 } });
    let bond = partners.keys().next().expect("one");
    assert_eq!(said["resources"], beds);
    assert_eq!(said["allocations"]["1"], json!({ "holds": { "beds": 1 }, "bond": bond }));
    let to = mesh.host(2);
    assert_eq!(mesh.give(1, inn.agent, to), Ok("true".into()));
    let moved = mesh.at(2, inn.agent);
    assert_eq!(mesh.seen(moved), (vec!["taken up, 1".into()], vec![guest], 0));
    let (log, partners, _) = mesh.seen(guest);
    assert_eq!(
        (log.last().map(String::as_str), partners),
        (Some("moved: true, true"), vec![moved])
    );
    // Their partnership ends as any other.
    mesh.says(guest, &Tell::BreakUp);
    assert_eq!(mesh.last(moved).0, "Goodbye, 0 left, 1 brothers, true");
    mesh.advance(Duration::from_secs(2));
    assert_eq!(mesh.said(0, inn.agent).get("partners"), None);
    assert!((0..3).all(|host| mesh.replay_all(host) > 0));
}

#[test]
fn a_busy_agent_changes_its_descriptor_once_a_second() {
    let mut mesh = Mesh::with_documents(1);
    let (guest, inn) = (mesh.guest(0), mesh.inn(0, 2));
    let before = mesh.counted(0, Counter::DocumentsChanged);
    for _ in 0..50 {
        mesh.says(guest, &Tell::Propose(inn, 3));
        mesh.says(guest, &Tell::BreakUp);
    }
    mesh.says(guest, &Tell::Propose(inn, 3));
    mesh.advance(Duration::from_secs(3));
    let changes = mesh.counted(0, Counter::DocumentsChanged) - before;
    assert!(changes <= 4, "{changes} changes");
    assert_eq!(mesh.said(0, inn.agent)["resources"]["beds"]["allocated"], 1);
}

#[test]
fn one_that_has_died_begins_again_on_its_own_host() {
    let mut mesh = Mesh::with_documents(2);
    let old = mesh.settle_in(0, "sitter", "ada");
    let agent = old.agent;
    mesh.describe_as(old, r#"{"room":"attic"}"#);
    let ticket = mesh.ask(0, old, "sitter/say", r#""{""#);
    assert!(mesh.answers[&ticket].is_err());
    assert_eq!(mesh.homes(agent), [0; 0]);
    assert_eq!(mesh.take_up(0, agent, false), Ok(()));
    assert_eq!(mesh.homes(agent), [0]);
    let log = [r#"1 true Ok(Some(Object {"room": String("attic")}))"#];
    assert_eq!(mesh.sitter_log(old), log);
}

#[test]
fn what_died_because_it_lives_elsewhere_is_not_begun_again() {
    // Its host is cut off, or dead, while it is taken up.
    for dead in [false, true] {
        let mut mesh = Mesh::with_documents(2);
        let agent = mesh.settle_in(0, "sitter", "ada").agent;
        if dead {
            mesh.kill_alone(0, 2);
        } else {
            mesh.cut(0, 1);
        }
        assert_eq!(mesh.take_up(1, agent, true), Ok(()));
        mesh.connect(0, 1);
        mesh.settle();
        mesh.advance(Duration::from_secs(5));
        assert_eq!(mesh.homes(agent), [1], "dead: {dead}");
        assert!(mesh.why_died(0, agent).is_some(), "dead: {dead}");
        for life in 3..6 {
            mesh.events.clear();
            mesh.kill(0, life);
            mesh.advance(Duration::from_secs(5));
            assert_eq!(mesh.homes(agent), [1], "dead: {dead}");
            let told: Vec<_> = mesh.events.iter().filter(|(at, _)| *at == 0).collect();
            assert_eq!(mesh.why_died(0, agent), None, "dead: {dead}, {told:?}");
        }
    }
}

#[test]
fn what_cannot_be_brought_back_is_not_missed_while_it_lives_elsewhere() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    let lost = |mesh: &Mesh| mesh.counted(0, Counter::AgentsLost);
    // Its host comes back with a program that does not know it.
    let mut others = kinds();
    others.all.retain(|name, _| *name != "sitter");
    mesh.kinds.insert(0, others);
    mesh.kill_alone(0, 2);
    assert_eq!(lost(&mesh), 1);
    assert_eq!(mesh.take_up(1, agent, true), Ok(()));
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(5));
    mesh.kill(0, 3);
    mesh.advance(Duration::from_secs(5));
    assert_eq!((lost(&mesh), mesh.homes(agent)), (0, vec![1]));
    // With the one that knows it, what it was here dies, and is told of.
    mesh.kinds.remove(&0);
    mesh.kill(0, 4);
    mesh.advance(Duration::from_secs(5));
    assert_eq!(mesh.homes(agent), [1]);
    assert!(mesh.why_died(0, agent).is_some());
}
