//! A search passes through every host of a graph once and ends by itself: long before its window,
//! and with at most two messages for each edge.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_core::{agent::prelude::*, engine::Kinds};
use starling_netsim::{Asked, HostNo, Sim, workload};
use starling_protocols::{
    contract::{End, Ended},
    entropy::Entropy,
};

const NODE: AgentId = AgentId(912);

/// Find one who has it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Find;
impl Contract for Find {
    const NAME: &'static str = "test/find";
    type Bid = ();
    type Grant = ();
    type Report = ();
}

/// Begins a search.
#[derive(Serialize, Deserialize)]
struct Begin {}
impl Request for Begin {
    const NAME: &'static str = "test/begin";
    type Reply = ();
}

/// Asks all its neighbours, and refuses when none of them bids.
#[derive(Default, Serialize, Deserialize)]
struct Node {
    neighbours: Vec<Address>,
    /// The contract that it announced for a job, if it has heard of the search.
    asked: Option<(ContractId<Find>, Option<Job<Find>>)>,
    /// How often the search has come to its handler.
    heard: u32,
    /// How its own contract ended.
    end: Option<String>,
}

impl Agent for Node {
    const KIND: &'static str = "test-node";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Begin>();
        interests.bids::<Find>();
        interests.manages::<Find>();
    }
}

impl Answers<Begin> for Node {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, _: Begin) -> Answer<Begin> {
        let contract = cx.announce(&Find, To::agents(self.neighbours.clone()));
        self.asked = Some((contract, None));
        Answer::now(())
    }
}

impl Bids<Find> for Node {
    fn announced(&mut self, cx: &mut Cx<'_, Self>, job: Job<Find>, find: Find) -> Offer<Find> {
        self.heard += 1;
        let contract = cx.announce_for(job, &find, To::agents(self.neighbours.clone()));
        self.asked = Some((contract, Some(job)));
        Offer::later()
    }
    fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Find>, (): ()) -> Work<Find> {
        Work::defect("nobody has it")
    }
    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Find>, how: &Ended) {
        assert_eq!(*how, Ended::Refused);
    }
}

impl Manages<Find> for Node {
    fn closed(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Find>) {}
    fn ended(&mut self, cx: &mut Cx<'_, Self>, _: ContractId<Find>, settled: Settled<Find>) {
        self.end = Some(match settled.end {
            End::Expired { further: false } => "expired".into(),
            end => format!("{end:?}"),
        });
        if let Some((_, Some(job))) = self.asked {
            cx.refuse_job(job);
        }
    }
}

/// A tree, and about as many edges more.
fn graph(entropy: &mut Entropy, nodes: u64) -> BTreeSet<(u32, u32)> {
    let number = |node: u64| u32::try_from(node).expect("there are few");
    let edge = |(a, b): (u64, u64)| (number(a), number(b));
    let mut edges: BTreeSet<_> = (1..nodes).map(|b| edge((entropy.below(b), b))).collect();
    for _ in 0..nodes {
        let (a, b) = (entropy.below(nodes), entropy.below(nodes));
        if a != b {
            edges.insert(edge((a.min(b), a.max(b))));
        }
    }
    edges
}

/// What the host agent says of the node of a host.
fn inspect(sim: &mut Sim, host: HostNo) -> (u64, Node) {
    let body = json!({ "agent": NODE.to_string() });
    let to = sim.address(host, AgentId::HOST);
    let ticket = sim.ask(host, to, "host/inspect", &body, Duration::from_secs(5));
    sim.run_for(Duration::from_millis(50));
    let Asked::Answered(Ok(detail)) = sim.answer(host, ticket) else { panic!("it answers") };
    assert_eq!(detail["waits"], json!([]), "nothing is left behind");
    let inputs = find(detail, "inputs").and_then(Value::as_u64).expect("a number");
    let state = detail["state"].as_str().expect("a state");
    (inputs, serde_json::from_str(state).expect("it reads"))
}

/// The first member of that name, however deep.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    members.get(name).or_else(|| members.values().find_map(|value| find(value, name)))
}

#[test]
fn a_search_over_hosts_ends_with_at_most_two_messages_for_each_edge() {
    for seed in 1..=10 {
        let mut sim = Sim::new(seed);
        let mut entropy = Entropy::from_seed([u8::try_from(seed).expect("small"); 32]);
        let nodes = 2 + seed;
        let edges = graph(&mut entropy, nodes);
        let hosts: Vec<HostNo> = (0..u32::try_from(nodes).expect("few")).map(HostNo).collect();
        for host in &hosts {
            let other = |(a, b): &(u32, u32)| match (*a == host.0, *b == host.0) {
                (true, _) => Some(*b),
                (_, true) => Some(*a),
                _ => None,
            };
            let others = edges.iter().filter_map(other);
            let address = |other| Address { host: sim.future_id(HostNo(other)), agent: NODE };
            let node = Node { neighbours: others.map(address).collect(), ..Node::default() };
            let residents = vec![(NODE, workload::start(&node))];
            sim.add_host(&format!("host-{host}"), Kinds::new().kind::<Node>(), residents);
        }
        sim.found(HostNo(0));
        sim.admit_all();
        hosts.iter().for_each(|host| sim.start(*host));
        sim.run_for(Duration::from_secs(5));
        let to = sim.address(HostNo(0), NODE);
        sim.ask(HostNo(0), to, "test/begin", &json!({}), Duration::from_secs(5));
        // The window for bids is ten seconds long.
        sim.run_for(Duration::from_secs(2));
        let mut messages = 0;
        for host in hosts {
            let (inputs, node) = inspect(&mut sim, host);
            let heard = u32::from(host != HostNo(0));
            assert_eq!((node.heard, node.end.as_deref()), (heard, Some("expired")), "seed {seed}");
            // It was started, and one was asked to begin.
            messages += inputs - 1 - u64::from(host == HostNo(0));
        }
        let most = 2 * edges.len() as u64;
        assert!(messages <= most, "seed {seed}: {messages} messages for {edges:?}");
        assert!(messages >= nodes - 1, "seed {seed}: {messages} messages for {nodes} hosts");
    }
}
