//! Who offers what: across hosts, through crashes, and when hosts are silent.

use serde_json::{Value, json};
use starling_protocols::limits::{DISCOVERED_AGENTS_MAX, PROVIDERS_PER_HOST_MAX};

use super::*;

/// An agent that outlives its host; offers and withdraws what it is told, and looks around.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Porter {
    looked: Vec<(usize, bool, u32)>,
}

/// Tells a porter to offer, to withdraw, or to look for a service.
#[derive(Serialize, Deserialize)]
struct Do(String, String);
impl Request for Do {
    const NAME: &'static str = "porter/do";
    type Reply = Vec<(usize, bool, u32)>;
}

/// Work that porters bid for.
#[derive(Serialize, Deserialize)]
struct Carry;
impl Contract for Carry {
    const NAME: &'static str = "porter/carry";
    type Bid = ();
    type Grant = ();
    type Report = ();
}

/// Work that porters only announce.
#[derive(Serialize, Deserialize)]
struct Repair;
impl Contract for Repair {
    const NAME: &'static str = "porter/repair";
    type Bid = ();
    type Grant = ();
    type Report = ();
}

#[derive(Serialize, Deserialize)]
pub(super) enum Then {
    Looked(Await<Discover>),
}

impl Agent for Porter {
    const KIND: &'static str = "porter";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Do>();
        interests.bids::<Carry>();
        interests.manages::<Repair>();
    }
}

impl Answers<Do> for Porter {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Do(what, service): Do) -> Answer<Do> {
        match what.as_str() {
            "offer" => cx.offer(&service).expect("a good name"),
            "withdraw" => cx.withdraw(&service),
            "stop" => cx.stop(),
            "carriers" => {
                cx.discover_bidders::<Carry>(Scope::Shard, DISCOVERY_WINDOW, Then::Looked);
            }
            "doers" => drop(cx.discover::<Do>(Scope::Mesh, DISCOVERY_WINDOW, Then::Looked)),
            _ => {}
        }
        Answer::now(self.looked.clone())
    }
}

impl Bids<Carry> for Porter {
    fn announced(&mut self, _: &mut Cx<'_, Self>, _: Job<Carry>, _: Carry) -> Offer<Carry> {
        Offer::refuse()
    }
    fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Carry>, (): ()) -> Work<Carry> {
        Work::done(())
    }
}

impl Manages<Repair> for Porter {
    fn closed(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Repair>) {}
    fn ended(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Repair>, _: Settled<Repair>) {}
}

impl Continuation<Porter> for Then {
    fn resume(self, porter: &mut Porter, cx: &mut Cx<'_, Porter>) {
        let Self::Looked(slot) = self;
        let Found { agents, cut, unanswered } = cx.take(slot).expect("found");
        assert!(agents.is_sorted());
        porter.looked.push((agents.len(), cut, unanswered));
    }
}

impl Mesh {
    fn porter(&mut self, host: usize) -> Address {
        let start = Start { kind: "porter".into(), ..Start::default() };
        let agent = self.engines[host].start(start).expect("started");
        self.settle();
        Address { host: self.host(host), agent }
    }

    fn tell_porter(&mut self, porter: Address, what: &str, service: &str) -> Value {
        let body = json!([what, service]).to_string();
        let here = (0..self.engines.len()).find(|host| self.host(*host) == porter.host);
        let ticket = self.ask(here.expect("its host"), porter, Do::NAME, &body);
        let answer = self.answers[&ticket].as_ref().expect("an answer");
        serde_json::from_str(answer).expect("JSON")
    }

    /// Begins to look around, from outside.
    fn look(&mut self, host: usize, service: &str, within_ms: u64) -> Ticket {
        let to = Address { host: self.host(host), agent: AgentId::HOST };
        let body = json!({ "service": service, "scope": "Mesh", "within_ms": within_ms });
        self.ask(host, to, Discover::NAME, &body.to_string())
    }

    /// Who is found: agents in order, whether there are more, and how many hosts are silent.
    fn found(&mut self, host: usize, service: &str) -> Found {
        let ticket = self.look(host, service, 3000);
        self.looked(ticket)
    }

    fn looked(&self, ticket: Ticket) -> Found {
        let answer = self.answers[&ticket].as_ref().expect("found");
        serde_json::from_str(answer).expect("JSON")
    }
}

fn all_of(agents: &[Address]) -> Found {
    let mut agents = agents.to_vec();
    agents.sort_unstable();
    Found { agents, cut: false, unanswered: 0 }
}

#[test]
fn agents_are_found_by_what_they_answer_and_bid_for_and_call_themselves() {
    let mut mesh = Mesh::new(3);
    let porters = [mesh.porter(0), mesh.porter(2)];
    for host in 0..3 {
        for declared in [Do::NAME, Carry::NAME] {
            assert_eq!(mesh.found(host, declared), all_of(&porters), "{declared} from {host}");
        }
        // What is only announced or heard is no service.
        for other in [Repair::NAME, AskFor::NAME, "porter", "nobody/does-this"] {
            assert_eq!(mesh.found(host, other), all_of(&[]), "{other} from {host}");
        }
    }
    let hosts = [0, 1, 2].map(|host| Address { host: mesh.host(host), agent: AgentId::HOST });
    assert_eq!(mesh.found(1, "host/discover"), all_of(&hosts));

    let [here, there] = porters;
    mesh.tell_porter(here, "offer", "carry/heavy");
    mesh.tell_porter(there, "offer", "carry/heavy");
    // What its kind declares is not offered twice.
    mesh.tell_porter(there, "offer", Do::NAME);
    assert_eq!(mesh.found(1, "carry/heavy"), all_of(&porters));
    assert_eq!(mesh.found(1, Do::NAME), all_of(&porters));
    mesh.tell_porter(here, "withdraw", "carry/heavy");
    mesh.tell_porter(there, "withdraw", Do::NAME);
    assert_eq!(mesh.found(1, "carry/heavy"), all_of(&[there]));
    assert_eq!(mesh.found(1, Do::NAME), all_of(&porters));
    mesh.tell_porter(there, "stop", "");
    assert_eq!(mesh.found(1, "carry/heavy"), all_of(&[]));
    assert_eq!(mesh.found(1, Do::NAME), all_of(&[here]));
}

#[test]
fn an_agent_looks_around_itself() {
    let mut mesh = Mesh::new(2);
    let [here, _] = [mesh.porter(0), mesh.porter(1)];
    mesh.tell_porter(here, "carriers", "");
    mesh.tell_porter(here, "doers", "");
    assert_eq!(mesh.tell_porter(here, "", ""), json!([[2, false, 0], [2, false, 0]]));
}

#[test]
fn offers_outlive_a_crash_with_their_agent() {
    // Snapshots are made every ten inputs: what was offered is found in one, or played again.
    for inputs in [0, 30] {
        let mut mesh = Mesh::recorded(2);
        let porter = mesh.porter(1);
        for (what, service) in [("offer", "a/kept"), ("offer", "a/given-up"), ("offer", "a/late")] {
            mesh.tell_porter(porter, what, service);
        }
        mesh.tell_porter(porter, "withdraw", "a/given-up");
        (0..inputs).for_each(|_| drop(mesh.tell_porter(porter, "", "")));
        mesh.tell_porter(porter, "withdraw", "a/late");
        for life in 2..4 {
            mesh.crash(1, life);
            assert_eq!(mesh.found(0, "a/kept"), all_of(&[porter]), "{inputs}, life {life}");
            assert_eq!(mesh.found(0, Carry::NAME), all_of(&[porter]));
            for gone in ["a/given-up", "a/late"] {
                assert_eq!(mesh.found(0, gone), all_of(&[]), "{inputs}, life {life}");
            }
        }
        mesh.tell_porter(porter, "withdraw", "a/kept");
        assert_eq!(mesh.found(0, "a/kept"), all_of(&[]));
    }
}

#[test]
fn a_silent_host_is_waited_for_until_the_time_is_up_and_no_longer() {
    let mut mesh = Mesh::new(3);
    let porters = [mesh.porter(0), mesh.porter(1), mesh.porter(2)];
    mesh.held.insert((0, 2));
    // Looks do not get into each other's way.
    let looks = [Do::NAME, "nobody/does-this"].map(|service| mesh.look(0, service, 2000));
    mesh.advance(Duration::from_millis(1999));
    assert!(!looks.iter().any(|look| mesh.answers.contains_key(look)));
    mesh.advance(Duration::from_millis(1));
    assert_eq!(mesh.looked(looks[0]), Found { unanswered: 1, ..all_of(&porters[..2]) });
    assert_eq!(mesh.looked(looks[1]), Found { unanswered: 1, ..all_of(&[]) });
    // No time at all suffices for this host.
    let ticket = mesh.look(0, Do::NAME, 0);
    mesh.advance(Duration::from_millis(1));
    assert_eq!(mesh.looked(ticket), Found { unanswered: 2, ..all_of(&porters[..1]) });
}

#[test]
fn a_bad_name_is_refused_and_names_the_field() {
    let mut mesh = Mesh::new(1);
    for (bad, part) in [("two words", "no blanks"), ("", "has a name"), (&"x".repeat(201), "201")] {
        let ticket = mesh.look(0, bad, 100);
        let Err(Failure::BadBody(why)) = &mesh.answers[&ticket] else { panic!("{bad:?}") };
        assert!(why.starts_with("service: ") && why.contains(part), "{why}");
    }
}

#[test]
fn more_than_may_be_named_is_cut_and_said() {
    let mut mesh = Mesh::new(5);
    for host in 0..5 {
        for _ in 0..PROVIDERS_PER_HOST_MAX {
            let start = Start { kind: "porter".into(), ..Start::default() };
            mesh.engines[host].start(start).expect("started");
        }
        if host == 0 {
            mesh.settle();
            let found = mesh.found(1, Do::NAME);
            assert_eq!((found.agents.len(), found.cut), (PROVIDERS_PER_HOST_MAX, false));
            let _ = mesh.porter(0);
            let found = mesh.found(1, Do::NAME);
            assert_eq!((found.agents.len(), found.cut), (PROVIDERS_PER_HOST_MAX, true));
        }
    }
    mesh.settle();
    let found = mesh.found(1, Do::NAME);
    assert_eq!((found.agents.len(), found.cut), (DISCOVERED_AGENTS_MAX, true));
}

#[test]
fn what_an_agent_may_not_offer_is_counted() {
    let mut mesh = Mesh::new(1);
    let porter = mesh.porter(0);
    (0..=256).for_each(|number| drop(mesh.tell_porter(porter, "offer", &format!("s/{number}"))));
    mesh.tell_porter(porter, "offer", "s/7");
    assert_eq!(mesh.engines[0].counters().get(Counter::AgentServicesFull), 1);
    assert_eq!(mesh.found(0, "s/255"), all_of(&[porter]));
    assert_eq!(mesh.found(0, "s/256"), all_of(&[]));
}
