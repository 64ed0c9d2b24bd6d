use super::{
    trader::{Order, Trader},
    *,
};

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

#[test]
fn one_search_goes_through_an_agent_for_each_sort_of_work() {
    let mut mesh = Mesh::new(1);
    let both = mesh.seller(0, 9, "done");
    let (style, neighbours) = ("mend".into(), vec![both]);
    let mends = mesh.trader(0, &Trader { cost: Some(3), style, neighbours, ..Trader::default() });
    let manager = mesh.trader(0, &Trader::default());
    mesh.announce(manager, &[both, mends]);
    assert_eq!(mesh.log_of(manager), ["bids for 3, for 9", "completed here it is"]);
    let log = mesh.log_of(both);
    assert_eq!(log, ["announced a boat", "announced mending", "job Rejected"]);
    let log = mesh.log_of(mends);
    let expected = ["announced a boat", "1 would mend it", "granted take it", "mended by 1"];
    assert_eq!(log[..4], expected);
}

#[test]
fn what_is_announced_for_work_that_was_granted_is_a_search_of_its_own() {
    let mut mesh = Mesh::new(2);
    // It was asked in the first search as well, and was too dear.
    let helper = mesh.seller(1, 9, "done");
    let (style, neighbours) = ("ask".into(), vec![helper]);
    let seller = mesh.trader(1, &Trader { cost: Some(3), style, neighbours, ..Trader::default() });
    let manager = mesh.trader(0, &Trader::default());
    let to = vec![helper, seller];
    mesh.order(manager, &Order::Announce { to, mesh: false, reach: Some(0) });
    assert_eq!(mesh.log_of(manager), ["bids for 3, for 9", "completed here it is"]);
    let twice = ["announced a boat", "job Rejected", "announced a boat", "granted take it"];
    assert_eq!(mesh.log_of(helper)[..4], twice);
}

#[test]
fn a_contract_is_given_up_when_the_job_it_was_for_ends() {
    let mut mesh = Mesh::new(2);
    let [part, other] = [1, 2].map(|cost| mesh.seller(1, cost, "later"));
    let tree = mesh.asker(1, &[part, other], "tree");
    let cheap = mesh.seller(0, 0, "done");
    let manager = mesh.trader(0, &Trader::default());
    mesh.announce(manager, &[tree, cheap]);
    let rejected = ["announced a boat", "job Rejected"];
    assert_eq!(mesh.log_of(tree).last().expect("a log"), "job Rejected");
    assert_eq!(
        (mesh.log_of(part), mesh.log_of(other)),
        (rejected.map(Into::into).into(), rejected.map(Into::into).into())
    );
    // Also what has been granted on.
    mesh.announce(manager, &[tree]);
    mesh.order(manager, &Order::GiveUp);
    assert_eq!(mesh.log_of(tree).last().expect("a log"), "job Cancelled(\"enough\")");
    let why = "job Cancelled(\"the job it was for has ended\")";
    for part in [part, other] {
        assert_eq!(mesh.log_of(part)[2..], ["announced a boat", "granted a part", why]);
    }
}

#[test]
fn a_whole_tree_is_granted_and_reports() {
    let mut mesh = Mesh::new(3);
    let [one, two, three] =
        [(1, 1), (2, 2), (2, 3)].map(|(host, cost)| mesh.seller(host, cost, "done"));
    let inner = mesh.asker(1, &[two, three], "tree");
    let outer = mesh.asker(2, &[one, inner], "tree");
    let silent = mesh.seller(0, 1, "think");
    let manager = mesh.trader(0, &Trader { style: "wait".into(), ..Trader::default() });
    mesh.announce(manager, &[outer, silent]);
    // The bids of the leaves stand until the root has decided.
    mesh.advance(Duration::from_secs(19));
    mesh.order(manager, &Order::Grant);
    let done = "completed here it is, here it is, here it is";
    assert_eq!(mesh.log_of(manager), ["bids in parts", done]);
    for node in [one, two, three, inner, outer] {
        assert_eq!(mesh.log_of(node).last().expect("a log"), "job Acknowledged");
    }
}

#[test]
fn a_leaf_that_defects_ends_the_whole_tree() {
    let mut mesh = Mesh::new(3);
    let [one, two, bad] = [(1, "later"), (2, "later"), (2, "defect")]
        .map(|(host, style)| mesh.seller(host, 1, style));
    let inner = mesh.asker(1, &[two, bad], "tree");
    let outer = mesh.asker(2, &[one, inner], "tree");
    let manager = mesh.trader(0, &Trader::default());
    mesh.announce(manager, &[outer]);
    assert_eq!(mesh.log_of(manager), ["bids in parts", "cancelled: a part was not done"]);
    let last = |mesh: &mut Mesh, of| mesh.log_of(of).last().expect("a log").clone();
    for node in [bad, inner, outer] {
        assert_eq!(last(&mut mesh, node), "job Defected");
    }
    assert_eq!(last(&mut mesh, two), "job Cancelled(\"it is broken\")");
    assert_eq!(last(&mut mesh, one), "job Cancelled(\"a part was not done\")");
}

#[test]
fn whoever_has_reported_hears_at_once_that_the_manager_is_gone() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader { count: 2, ..Trader::default() });
    let [done, later] = ["done", "later"].map(|style| mesh.seller(1, 1, style));
    mesh.announce(manager, &[done, later]);
    mesh.advance(Duration::from_secs(1));
    mesh.restart(0, 2);
    mesh.settle();
    assert_eq!(mesh.log_of(done)[2], "job Aborted(\"the manager is gone\")");
    assert_eq!(mesh.log_of(later)[2], "job Cancelled(\"the manager is gone\")");
}

#[test]
fn a_search_that_goes_on_by_topic_counts_its_steps() {
    let mut mesh = Mesh::new(3);
    let asks_mesh = Trader { asks_mesh: true, ..Trader::default() };
    let far = mesh.seller(2, 7, "done");
    // Those who hear of it by topic might go on the same way for ever.
    let others = [0, 1, 2].map(|host| mesh.trader(host, &asks_mesh));
    let between = mesh.trader(1, &asks_mesh);
    let manager = mesh.trader(0, &Trader::default());
    let further = "Expired { further: true } after 0 bids";
    let done = ["bids for 7", "completed here it is"];
    for (reach, expected) in [(Some(0), &[further][..]), (Some(1), &done), (None, &done)] {
        let before = mesh.log_of(manager).len();
        let heard = mesh.log_of(far).len();
        let handled = mesh.engines[2].counters().get(Counter::Inputs);
        mesh.order(manager, &Order::Announce { to: vec![between], mesh: false, reach });
        mesh.advance(Duration::from_secs(11));
        assert_eq!(mesh.log_of(manager)[before..], *expected, "reach {reach:?}");
        let heard = mesh.log_of(far).len() - heard;
        assert_eq!(heard, if reach == Some(0) { 0 } else { 3 }, "it comes once");
        for other in others {
            assert!(
                mesh.log_of(other).iter().filter(|line| line.starts_with("announced")).count() <= 2
            );
        }
        let handled = mesh.engines[2].counters().get(Counter::Inputs) - handled;
        assert!(handled < 40, "{handled} inputs at one host");
    }
}
