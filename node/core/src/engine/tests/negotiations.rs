//! The stories of negotiations, from what the hosts of a mesh have recorded.

use super::{
    trader::{Order, Trader},
    *,
};
use crate::story::{Found, Line, Scan, tell};

/// What a journal knows of the searches whose names begin so.
fn found(mesh: &Mesh, host: usize, prefix: &str) -> Vec<Found> {
    let mut scan = Scan::new(prefix).expect("a prefix");
    for (sequence, record) in mesh.disks[host].as_ref().expect("a disk").records() {
        scan.feed(None, sequence, &record);
    }
    scan.finish()
}

/// The name of the only search under way, as an inspection shows it.
fn search_of(mesh: &mut Mesh, trader: Address) -> String {
    let (_, waits) = mesh.look_at(trader);
    let search = waits.as_array().expect("waits").iter().find_map(|wait| {
        let wait: serde_json::Value = serde_json::from_str(wait.as_str()?).ok()?;
        Some(wait["then"]["search"].as_str()?.to_owned())
    });
    search.expect("a search is under way")
}

/// The lines as people read them; `mesh` as its hosts' journals tell it.
fn told(lines: &[Line], names: &[(Address, &str)], echoes: bool) -> Vec<String> {
    let call = |of: Address| {
        let name = names.iter().find(|(agent, _)| *agent == of);
        name.map_or_else(|| format!("{of:?}"), |(_, name)| (*name).to_owned())
    };
    let shown = lines.iter().filter(|line| echoes || !line.echo);
    let text = |line: &Line| {
        let indent = "  ".repeat(line.level.into());
        format!("{indent}{} {}", call(line.deed.who), line.sentence(call))
    };
    shown.map(text).collect()
}

#[test]
fn an_auction_is_told_from_three_journals() {
    let mut mesh = Mesh::recorded(3);
    let manager = mesh.trader(0, &Trader::default());
    let [dear, cheap] = [(1, 30), (2, 10)].map(|(host, cost)| mesh.seller(host, cost, "done"));
    let poor = mesh.trader(1, &Trader::default());
    mesh.order(manager, &Order::Announce { to: Vec::new(), mesh: true, reach: None });
    let search = search_of(&mut mesh, manager);
    assert_eq!(search.len(), 32);
    mesh.advance(Duration::from_secs(12));
    let all: Vec<Found> = (0..3).flat_map(|host| found(&mesh, host, &search[..6])).collect();
    assert!(
        all.iter().all(|found| (&found.search, found.cut, found.unread) == (&search, false, 0))
    );
    let lines = tell(all.into_iter().map(|found| found.deeds).collect());
    let names = [(manager, "manager"), (dear, "dear"), (cheap, "cheap"), (poor, "poor")];
    let mut story = told(&lines, &names, false);
    // All say this in one moment, and in the order of their hosts' ids.
    story[1..3].sort();
    assert_eq!(
        story,
        [
            "manager announces trader/sell to all who listen",
            "cheap bids 10, to manager",
            "dear bids 30, to manager",
            "manager grants it to cheap",
            "manager rejects the bid of dear",
            "cheap reports to manager",
            "manager acknowledges the report of cheap",
        ]
    );
    let echoes = told(&lines, &names, true);
    assert!(echoes.contains(&"poor hears trader/sell, announced by manager".to_owned()));
    assert!(found(&mesh, 0, "0000").is_empty(), "another search is not told");
    // Where one journal is missing, what its agents said is told by those who heard it.
    let without = [0, 1].into_iter().flat_map(|host| found(&mesh, host, &search));
    let lines = tell(without.map(|found| found.deeds).collect());
    let story = told(&lines, &names, false);
    assert!(story.contains(&"manager has the bid of cheap for 10".to_owned()), "{story:?}");
    assert!(story.contains(&"manager has the report of cheap".to_owned()), "{story:?}");
}

#[test]
fn a_nested_search_stands_below_the_job_it_serves_and_is_handed_over() {
    let mut mesh = Mesh::recorded(3);
    let seller = mesh.seller(2, 10, "done");
    let between = mesh.trader(1, &Trader { neighbours: vec![seller], ..Trader::default() });
    let manager = mesh.trader(0, &Trader::default());
    mesh.held.insert((1, 2));
    mesh.announce(manager, &[between]);
    let search = search_of(&mut mesh, manager);
    assert_eq!(search_of(&mut mesh, between), search, "one search, however many managers");
    mesh.release();
    mesh.advance(Duration::from_secs(2));
    let mut journals: Vec<_> = (0..3).flat_map(|host| found(&mesh, host, &search)).collect();
    let names = [(manager, "manager"), (between, "between"), (seller, "seller")];
    let expected = [
        "manager announces trader/sell to between",
        "  between announces trader/sell to seller",
        "  seller bids 10, to between",
        "between hands over to manager the bid of seller for 10",
        "manager grants it to seller",
        "seller reports to manager",
        "manager acknowledges the report of seller",
    ];
    for back in [0, 3_600_000, 7_200_000] {
        // The calendar of the host between is wrong.
        for deed in &mut journals[1].deeds {
            deed.at_ms -= back;
        }
        let lines = tell(journals.iter().map(|found| found.deeds.clone()).collect());
        assert_eq!(told(&lines, &names, false), expected, "{back} ms");
    }
}
