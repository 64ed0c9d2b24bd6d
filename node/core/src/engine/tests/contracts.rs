use super::{
    trader::{Order, Trader},
    *,
};

impl Mesh {
    pub(super) fn trader(&mut self, host: usize, trader: &Trader) -> Address {
        let init = Init::Json(serde_json::to_string(trader).expect("JSON"));
        let start = Start { kind: "trader".into(), name: None, init };
        let agent = self.engines[host].start(start).expect("the kind is known");
        let now = self.now();
        self.engines[host].handle(Input::Tick, now);
        self.settle();
        Address { host: self.host(host), agent }
    }

    pub(super) fn seller(&mut self, host: usize, cost: i64, style: &str) -> Address {
        self.trader(host, &Trader { cost: Some(cost), style: style.into(), ..Trader::default() })
    }

    pub(super) fn order(&mut self, trader: Address, order: &Order) {
        let host = (0..self.engines.len()).find(|host| self.host(*host) == trader.host);
        let body = serde_json::to_string(order).expect("JSON");
        let ticket = self.ask(host.expect("a host"), trader, "trader/order", &body);
        assert_eq!(self.answers[&ticket].as_deref(), Ok("null"));
    }

    pub(super) fn announce(&mut self, manager: Address, to: &[Address]) {
        self.order(manager, &Order::Announce { to: to.to_vec(), mesh: false, reach: None });
    }

    fn log_of(&mut self, trader: Address) -> Vec<String> {
        let (log, waits) = self.look_at(trader);
        assert_eq!(waits, serde_json::json!([]), "nothing is left behind");
        log
    }

    fn log_of_busy(&mut self, trader: Address) -> Vec<String> {
        self.look_at(trader).0
    }

    pub(super) fn look_at(&mut self, trader: Address) -> (Vec<String>, serde_json::Value) {
        let host = (0..self.engines.len()).find(|host| self.host(*host) == trader.host);
        let to = Address { host: trader.host, agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, trader.agent);
        let ticket = self.ask(host.expect("a host"), to, "host/inspect", &body);
        let reply = self.answers[&ticket].as_ref().expect("the host agent answers");
        let detail: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let state = detail["state"].as_str().expect("a state");
        let state: Trader = serde_json::from_str(state).expect("JSON");
        (state.log, detail["waits"].clone())
    }
}

#[test]
fn in_an_auction_over_three_hosts_the_cheapest_wins() {
    let mut mesh = Mesh::recorded(3);
    let manager = mesh.trader(0, &Trader::default());
    let sellers = [(0, 30), (1, 10), (2, 20)].map(|(host, cost)| mesh.seller(host, cost, "done"));
    mesh.order(manager, &Order::Announce { to: Vec::new(), mesh: true, reach: None });
    // How many there are is not known: the window lasts to its end.
    mesh.advance(Duration::from_secs(9));
    assert_eq!(mesh.engines[0].backlog(), 0);
    mesh.advance(Duration::from_secs(2));
    let log = mesh.log_of(manager);
    assert_eq!(log, ["bids for 10, for 20, for 30", "completed here it is"]);
    for (seller, won) in sellers.into_iter().zip([false, true, false]) {
        let log = mesh.log_of(seller);
        if won {
            assert_eq!(log, ["announced a boat", "granted take it", "job Acknowledged"]);
        } else {
            assert_eq!(log, ["announced a boat", "job Rejected"]);
        }
    }
    // What is not forced to the disk is written after a while.
    mesh.advance(Duration::from_secs(1));
    (0..3).for_each(|host| assert!(mesh.replay_all(host) > 0));
}

#[test]
fn those_who_are_asked_by_address_need_no_window() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader { count: 2, ..Trader::default() });
    let sellers = [(0, 30), (1, 10), (1, 20)].map(|(host, cost)| mesh.seller(host, cost, "done"));
    let nobody = Address { host: mesh.host(1), agent: AgentId(77_777) };
    let deaf = mesh.probe(1);
    mesh.announce(manager, &[&sellers[..], &[nobody, deaf, manager]].concat());
    let log = mesh.log_of(manager);
    assert_eq!(log, ["bids for 10, for 20, for 30", "completed here it is, here it is"]);
    assert_eq!(mesh.log_of(sellers[0]), ["announced a boat", "job Rejected"]);
}

#[test]
fn where_nobody_bids_it_expires_at_once() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let refuses = mesh.trader(1, &Trader::default());
    mesh.announce(manager, &[refuses, mesh.probe(1)]);
    assert_eq!(mesh.log_of(manager), ["Expired { further: false } after 0 bids"]);
}

#[test]
fn a_defect_and_a_death_end_a_contract_at_once() {
    for (style, why) in [
        ("defect", "it is broken"),
        ("die", "the agent or its host ended meanwhile; it may or may not have been carried out"),
    ] {
        let mut mesh = Mesh::new(2);
        let manager = mesh.trader(0, &Trader { count: 2, ..Trader::default() });
        let (bad, good) = (mesh.seller(1, 10, style), mesh.seller(1, 20, "done"));
        mesh.announce(manager, &[bad, good]);
        let log = mesh.log_of(manager);
        assert_eq!(log, ["bids for 10, for 20".to_owned(), format!("cancelled: {why}")]);
        let aborted = format!("job Aborted({why:?})");
        assert_eq!(mesh.log_of(good), ["announced a boat", "granted take it", &*aborted]);
    }
}

#[test]
fn a_contractors_host_that_dies_ends_its_part_at_once() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 10, "later");
    mesh.announce(manager, &[seller]);
    mesh.restart(1, 2);
    mesh.settle();
    let log = mesh.log_of(manager);
    let gone = "the agent or its host ended meanwhile; it may or may not have been carried out";
    assert_eq!(log, ["bids for 10".to_owned(), format!("cancelled: {gone}")]);
}

#[test]
fn a_manager_that_dies_between_grant_and_report_leaves_no_contractor_waiting() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 10, "later");
    mesh.announce(manager, &[seller]);
    mesh.restart(0, 2);
    mesh.settle();
    mesh.order(seller, &Order::Complete);
    mesh.advance(Duration::from_secs(21));
    let late = "job Aborted(\"the acknowledgement did not come in time\")";
    let log = mesh.log_of(seller);
    assert_eq!(log, ["announced a boat", "granted take it", "completed, wanted: true", late]);
}

#[test]
fn what_is_reported_later_completes_it_and_what_is_given_up_is_cancelled() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 10, "later");
    mesh.announce(manager, &[seller]);
    mesh.order(seller, &Order::Complete);
    assert_eq!(mesh.log_of(manager), ["bids for 10", "completed late"]);
    mesh.announce(manager, &[seller]);
    mesh.order(manager, &Order::GiveUp);
    mesh.order(seller, &Order::Complete);
    assert_eq!(mesh.log_of(manager)[2..], ["bids for 10", "GivenUp after 1 bids"]);
    let log = &mesh.log_of(seller)[4..];
    let expected = [
        "announced a boat",
        "granted take it",
        "job Cancelled(\"enough\")",
        "completed, wanted: false",
    ];
    assert_eq!(log, expected);
}

#[test]
fn a_grant_that_is_never_reported_on_is_aborted_on_both_sides() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 10, "later");
    mesh.announce(manager, &[seller]);
    mesh.advance(Duration::from_secs(11));
    assert_eq!(mesh.log_of(manager), ["bids for 10", "Aborted after 1 bids"]);
    assert_eq!(mesh.log_of(seller)[2], "job Cancelled(\"the report did not come in time\")");
}

#[test]
fn an_agent_that_is_stopped_ends_its_contracts() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 10, "later");
    mesh.announce(manager, &[seller]);
    let agent = mesh.engines[0].agents.find(manager.agent).expect("it lives");
    mesh.engines[0].stop(agent, None);
    let now = mesh.now();
    mesh.engines[0].handle(Input::Tick, now);
    mesh.settle();
    assert_eq!(mesh.log_of(seller)[2], "job Cancelled(\"the manager was stopped\")");
}

#[test]
fn more_jobs_than_an_agent_takes_wait_for_their_turn() {
    let mut mesh = Mesh::new(1);
    let seller = mesh.seller(0, 10, "later");
    let managers = [(); 3].map(|()| mesh.trader(0, &Trader::default()));
    managers.iter().for_each(|manager| mesh.announce(*manager, &[seller]));
    assert_eq!(mesh.log_of_busy(seller), ["announced a boat", "granted take it"].repeat(2));
    mesh.order(seller, &Order::Complete);
    mesh.order(seller, &Order::Complete);
    for manager in managers {
        assert_eq!(mesh.log_of(manager), ["bids for 10", "completed late"]);
    }
}

#[test]
fn a_bid_is_handed_over_past_those_in_between() {
    let mut mesh = Mesh::new(4);
    let far = mesh.seller(3, 7, "done");
    let near = mesh.seller(3, 9, "done");
    let second = mesh.trader(2, &Trader { neighbours: vec![far, near], ..Trader::default() });
    let first = mesh.trader(1, &Trader { neighbours: vec![second], ..Trader::default() });
    let manager = mesh.trader(0, &Trader::default());
    // Who is named twice is asked once.
    mesh.announce(manager, &[first, first]);
    assert_eq!(mesh.log_of(manager), ["bids for 7", "completed here it is"]);
    assert_eq!(mesh.log_of(far), ["announced a boat", "granted take it", "job Acknowledged"]);
    assert_eq!(mesh.log_of(near), ["announced a boat", "job Rejected"]);
    let between = ["announced a boat", "bids for 7, for 9", "job Delegated"];
    assert_eq!(mesh.log_of(second), between);
}

#[test]
fn a_search_stops_at_its_reach_and_says_whether_there_is_more() {
    let mut mesh = Mesh::new(1);
    let far = mesh.seller(0, 7, "done");
    let second = mesh.trader(0, &Trader { neighbours: vec![far], ..Trader::default() });
    let first = mesh.trader(0, &Trader { neighbours: vec![second], ..Trader::default() });
    let manager = mesh.trader(0, &Trader::default());
    for (reach, expected) in [
        (0, vec!["Expired { further: true } after 0 bids"]),
        (1, vec!["Expired { further: true } after 0 bids"]),
        (2, vec!["bids for 7", "completed here it is"]),
    ] {
        let before = mesh.log_of(manager).len();
        let to = vec![first];
        mesh.order(manager, &Order::Announce { to, mesh: false, reach: Some(reach) });
        assert_eq!(mesh.log_of(manager)[before..], expected, "reach {reach}");
    }
}

/// Makes a graph of traders that all refuse, starts a search in it, and gives how many messages
/// that took.
fn messages(edges: &[(usize, usize)], nodes: usize) -> u64 {
    let mut mesh = Mesh::new(1);
    let traders: Vec<Address> = (0..nodes).map(|_| mesh.trader(0, &Trader::default())).collect();
    // They learn of their neighbours by being started anew with them.
    let mut mesh = Mesh::new(1);
    let again: Vec<Address> = (0..nodes)
        .map(|node| {
            let other = |(a, b): &(usize, usize)| match (*a == node, *b == node) {
                (true, _) => Some(traders[*b]),
                (_, true) => Some(traders[*a]),
                _ => None,
            };
            let neighbours = edges.iter().filter_map(other).collect();
            mesh.trader(0, &Trader { neighbours, ..Trader::default() })
        })
        .collect();
    assert_eq!(again, traders, "the same seed gives the same ids");
    let before = mesh.engines[0].counters().get(Counter::Inputs);
    let first: Vec<Address> =
        edges.iter().filter(|(a, _)| *a == 0).map(|(_, b)| traders[*b]).collect();
    mesh.announce(traders[0], &first);
    // The order itself is one input.
    let handled = mesh.engines[0].counters().get(Counter::Inputs) - before - 1;
    assert_eq!(mesh.log_of(traders[0]), ["Expired { further: false } after 0 bids"]);
    handled
}

#[test]
fn a_search_ends_on_every_graph_with_at_most_two_messages_for_each_edge() {
    let mut entropy = starling_protocols::entropy::Entropy::from_seed([7; 32]);
    let mut graphs =
        vec![(vec![(0, 1), (1, 2), (0, 2)], 3), (vec![(0, 1), (1, 2), (2, 3), (0, 3)], 4)];
    let complete = (0..7).flat_map(|a| (0..a).map(move |b| (b, a))).collect();
    graphs.push((complete, 7));
    for nodes in 2..14 {
        // A tree, and some edges more.
        let mut edges: Vec<(usize, usize)> =
            (1..nodes).map(|b| (entropy.below(b as u64) as usize, b)).collect();
        for _ in 0..nodes {
            let (a, b) =
                (entropy.below(nodes as u64) as usize, entropy.below(nodes as u64) as usize);
            let edge = (a.min(b), a.max(b));
            if a != b && !edges.contains(&edge) {
                edges.push(edge);
            }
        }
        graphs.push((edges, nodes));
    }
    for (edges, nodes) in graphs {
        let messages = messages(&edges, nodes);
        assert!(messages <= 2 * edges.len() as u64, "{messages} messages for {edges:?}");
    }
}
