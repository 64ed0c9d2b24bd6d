//! Contracts between real daemons: auctions by topic, deaths between grant and report, searches,
//! and agents that break the rules.

use serde_json::{Value, json};
use starling_tests::{Host, Place, place, until};

/// A place whose daemons have the kinds of [`starling_tests::deals`].
fn deals() -> Place {
    place!().with_daemon(env!("CARGO_BIN_EXE_load-daemon"))
}

/// An agent of a test.
struct Deals {
    name: String,
    /// `agent@host`, both as ids.
    address: String,
    /// The same as JSON has it.
    json: Value,
    /// Whether it deals with what has short windows.
    brief: bool,
}

impl Deals {
    fn start(host: &Host, kind: &str, name: &str, state: &Value) -> Self {
        let state = state.to_string();
        let started = host.data(&["start", kind, "--name", name, "--state", &state]);
        let part = |key: &str| started[key].as_str().expect("an id").to_owned();
        let json = json!({ "agent": part("agent"), "host": part("host") });
        let address = format!("{}@{}", part("agent"), part("host"));
        let brief = kind.starts_with("brief");
        Self { name: format!("{name}@{}", host.name), address, json, brief }
    }

    fn dealer(host: &Host) -> Self {
        Self::start(host, "dealer", "dealer", &json!({}))
    }

    fn contender(host: &Host, cost: Option<i64>) -> Self {
        let state = json!({ "name": host.name, "cost": cost });
        Self::start(host, "contender", "contender", &state)
    }

    fn story(&self, from: &Host) -> Vec<String> {
        let told = from.ask(&self.name, "deals/recount", &json!({}));
        serde_json::from_value(told).expect("a list of texts")
    }

    /// Waits until it has written down so much; gives all of it.
    fn told(&self, from: &Host, lines: usize) -> Vec<String> {
        until(&format!("{} is told {lines} times", self.name), || {
            Some(self.story(from)).filter(|story| story.len() >= lines)
        })
    }

    fn announce(&self, from: &Host, to: &[&Self]) -> u64 {
        let to: Vec<&Value> = to.iter().map(|agent| &agent.json).collect();
        let number = from.ask(&self.name, "deals/announce", &json!({ "to": to }));
        number.as_u64().expect("the number of the contract")
    }

    fn award(&self, from: &Host, count: usize) {
        assert_eq!(from.ask(&self.name, "deals/award", &json!({ "count": count })), count);
    }

    /// Announces to the mesh, once so many of its other hosts are known to listen.
    fn announce_to_all(&self, from: &Host, hosts: usize) -> u64 {
        let topic = if self.brief { "deals/brief" } else { "deals/deal" };
        // Interests travel: what is announced before they have arrived is not heard by all. This
        // is no announcement, and nobody takes it for one.
        until("all are known to listen", || {
            let published = from.data(&["publish", topic, "{}"]);
            (published["hosts"] == hosts).then_some(())
        });
        self.announce(from, &[])
    }

    fn finish(&self, from: &Host) {
        assert_eq!(from.ask(&self.name, "deals/finish", &json!({})), true, "it is wanted");
    }
}

const GONE: &str =
    "cancelled: the agent or its host ended meanwhile; it may or may not have been carried out";

#[test]
fn in_an_auction_over_three_hosts_the_cheapest_are_granted_and_the_others_rejected() {
    let place = deals();
    let hosts = place.mesh(["alpha", "beta", "gamma"]);
    let [alpha, ..] = &hosts;
    let costs = [30, 10, 20];
    let contenders: Vec<Deals> =
        hosts.iter().zip(costs).map(|(host, cost)| Deals::contender(host, Some(cost))).collect();
    let dealer = Deals::dealer(alpha);
    let announced = format!("a lamp is announced by {}", dealer.address);
    let granted = format!("granted by {}", dealer.address);
    let (mut told, mut heard) = (Vec::new(), vec![Vec::new(); 3]);
    // One is granted the work, then two.
    for (count, winners) in [(1, [false, true, false]), (2, [false, true, true])] {
        dealer.announce_to_all(alpha, 2);
        let story = dealer.told(alpha, told.len() + 3);
        let mut bids = story[told.len()..].to_vec();
        bids.sort_unstable();
        assert_eq!(bids, ["bid 10 by beta", "bid 20 by gamma", "bid 30 by alpha"]);
        dealer.award(alpha, count);
        told = story;
        for ((contender, heard), won) in contenders.iter().zip(&mut heard).zip(winners) {
            heard.push(announced.clone());
            let next = if won { granted.clone() } else { "Rejected: undone".to_owned() };
            heard.push(next);
            assert_eq!(contender.told(alpha, heard.len()), *heard);
        }
        // It is completed with the last report, not with the first.
        let working: Vec<&Deals> =
            contenders.iter().zip(winners).filter(|(_, won)| *won).map(|(of, _)| of).collect();
        for (place, contender) in working.iter().enumerate() {
            assert_eq!(dealer.story(alpha), told, "after {place} reports");
            contender.finish(alpha);
        }
        let by = if count == 1 { "beta" } else { "beta and gamma" };
        told.push(format!("completed by {by} of 3"));
        assert_eq!(dealer.told(alpha, told.len()), told);
        for ((contender, heard), won) in contenders.iter().zip(&mut heard).zip(winners) {
            heard.extend(won.then(|| "Acknowledged: kept".to_owned()));
            assert_eq!(contender.told(alpha, heard.len()), *heard);
        }
    }
    all_replay(&hosts);
}

#[test]
fn a_contractors_host_that_is_killed_ends_the_contract_long_before_its_window() {
    let place = deals();
    let [alpha, mut beta, gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let dealer = Deals::dealer(&alpha);
    let dies = Deals::contender(&beta, Some(10));
    let lives = Deals::contender(&gamma, Some(20));
    let _ = dealer.announce(&alpha, &[&dies, &lives]);
    assert_eq!(dealer.told(&alpha, 3)[2], "closed");
    dealer.award(&alpha, 2);
    let granted = format!("granted by {}", dealer.address);
    assert_eq!(dies.told(&alpha, 2)[1], granted);
    lives.finish(&alpha);
    back(&mut beta);
    // The report of the other came before; what it has done is not wanted any more.
    assert_eq!(dealer.told(&alpha, 4)[3], GONE);
    let why = GONE.strip_prefix("cancelled: ").expect("it begins so");
    assert_eq!(lives.told(&alpha, 3)[2], format!("Cancelled({why:?}): undone"));
    all_replay(&[alpha, beta, gamma]);
}

#[test]
fn contractors_whose_manager_is_killed_undo_what_they_have_done() {
    let place = deals();
    let [mut alpha, beta] = place.mesh(["alpha", "beta"]);
    let dealer = Deals::start(&alpha, "brief-dealer", "dealer", &json!({}));
    let [quick, slow] = [("quick", 10), ("slow", 20)].map(|(name, cost)| {
        let state = json!({ "name": name, "cost": cost });
        Deals::start(&beta, "brief-contender", name, &state)
    });
    dealer.announce_to_all(&alpha, 1);
    dealer.told(&alpha, 2);
    dealer.award(&alpha, 2);
    for contender in [&quick, &slow] {
        assert_eq!(contender.told(&beta, 2)[1], format!("granted by {}", dealer.address));
    }
    quick.finish(&beta);
    alpha.kill();
    for (contender, end) in [(quick, "Aborted"), (slow, "Cancelled")] {
        let story = contender.told(&beta, 3);
        assert!(story[2].starts_with(end) && story[2].ends_with(": undone"), "{story:?}");
    }
    all_replay(&[beta]);
}

#[test]
fn a_write_ahead_manager_that_is_killed_takes_bids_grants_and_ends_in_its_next_life() {
    let place = deals();
    let [mut alpha, beta] = place.mesh(["alpha", "beta"]);
    let dealer = Deals::dealer(&alpha);
    let contender = Deals::contender(&beta, Some(10));
    dealer.announce_to_all(&alpha, 1);
    let bid = ["bid 10 by beta"];
    assert_eq!(dealer.told(&alpha, 1), bid);
    back(&mut alpha);
    let story = [&bid[..], &["recovered"]].concat();
    assert_eq!(dealer.told(&alpha, 2), story);
    // Right after its start it may not know the other host yet, and nobody can be granted anything.
    alpha.sees("beta", "linked");
    dealer.award(&alpha, 1);
    let granted = format!("granted by {}", dealer.address);
    assert_eq!(contender.told(&beta, 2)[1], granted);
    contender.finish(&beta);
    let story = [&story[..], &["completed by beta of 1"]].concat();
    assert_eq!(dealer.told(&alpha, 3), story);
    assert_eq!(contender.told(&beta, 3)[2], "Acknowledged: kept");

    // A report that comes to nobody is not waited for: nobody knows whether it was given.
    dealer.announce_to_all(&alpha, 1);
    dealer.told(&alpha, 4);
    dealer.award(&alpha, 1);
    assert_eq!(contender.told(&beta, 5)[4], granted);
    back(&mut alpha);
    let story = [&story[..], &bid, &["recovered", GONE]].concat();
    let mut told = dealer.told(&alpha, 6);
    // Which of the two it hears first is not laid down.
    if told[4] == GONE {
        told.swap(4, 5);
    }
    assert_eq!(told, story);
    let story = contender.told(&beta, 6);
    assert!(story[5].starts_with("Cancelled") && story[5].ends_with(": undone"), "{story:?}");
    all_replay(&[alpha, beta]);
}

#[test]
fn a_bid_from_behind_two_brokers_is_granted_and_reported_past_them() {
    let place = deals();
    let hosts = place.mesh(["alpha", "beta", "gamma"]);
    let [alpha, beta, gamma] = &hosts;
    let contender = Deals::contender(gamma, Some(10));
    let behind = |agent: &Deals| json!({ "behind": [agent.json] });
    let near = Deals::start(gamma, "broker", "near", &behind(&contender));
    let far = Deals::start(beta, "broker", "far", &behind(&near));
    let dealer = Deals::dealer(alpha);
    let _ = dealer.announce(alpha, &[&far]);
    assert_eq!(dealer.told(alpha, 2), ["bid 10 by gamma", "closed"]);
    dealer.award(alpha, 1);
    let announced = |by: &Deals| format!("a lamp is announced by {}", by.address);
    let granted = format!("granted by {}", dealer.address);
    assert_eq!(contender.told(alpha, 2), [announced(&near), granted]);
    contender.finish(alpha);
    assert_eq!(dealer.told(alpha, 3)[2], "completed by gamma of 1");
    assert_eq!(contender.told(alpha, 3)[2], "Acknowledged: kept");
    for (broker, host, by) in [(&far, beta, &dealer), (&near, gamma, &far)] {
        let mut story = broker.story(alpha);
        story[2..].sort_unstable();
        assert_eq!(story, [&announced(by), "bid 10 by gamma", "Delegated", "GivenUp"]);
        let recorded = host.run(&["journal", "show", &broker.name]).well();
        assert!(recorded.contains("\"announce\""), "{recorded}");
        assert!(!recorded.contains("\"grant\""), "{recorded}");
        assert!(!recorded.contains("\"acknowledge\""), "{recorded}");
    }
    let recorded = gamma.run(&["journal", "show", &contender.name]).well();
    assert!(recorded.contains("\"grant\"") && recorded.contains("\"acknowledge\""), "{recorded}");
    all_replay(&hosts);
}

#[test]
fn when_all_refuse_the_contract_ends_with_the_last_refusal() {
    let place = deals();
    let hosts = place.mesh(["alpha", "beta"]);
    let [alpha, beta] = &hosts;
    let refuse = [alpha, beta].map(|host| Deals::contender(host, None));
    let broker = Deals::start(beta, "broker", "broker", &json!({ "behind": [refuse[0].json] }));
    let dealer = Deals::dealer(alpha);
    let _ = dealer.announce(alpha, &[&refuse[1], &broker]);
    // Its window is ten minutes long.
    assert_eq!(dealer.told(alpha, 1), ["Expired { further: false }"]);
    for contender in &refuse {
        assert_eq!(contender.told(alpha, 2)[1], "Refused: kept");
    }
    all_replay(&hosts);
}

#[test]
fn an_agent_does_not_bid_for_what_it_announces_itself() {
    let place = deals();
    let hosts = place.mesh(["alpha", "beta"]);
    let [alpha, beta] = &hosts;
    let broker = Deals::start(alpha, "broker", "broker", &json!({}));
    let _ = broker.announce(alpha, &[&broker]);
    let nobody = "Expired { further: false }";
    assert_eq!(broker.told(alpha, 1), [nobody]);
    // It listens to what it announces to all.
    let _ = Deals::contender(beta, Some(10));
    let _ = broker.announce_to_all(alpha, 1);
    assert_eq!(broker.told(alpha, 2), [nobody, "bid 10 by beta"]);
    let _ = Deals::start(beta, "broker", "other", &json!({}));
    let _ = broker.announce(alpha, &[]);
    assert_eq!(broker.told(alpha, 3), [nobody, "bid 10 by beta", "bid 10 by beta"]);
    all_replay(&hosts);
}

#[test]
fn second_late_and_uncalled_for_bids_are_rejected() {
    let place = deals();
    let hosts = place.mesh(["alpha", "beta"]);
    let [alpha, beta] = &hosts;
    let pesterer = Deals::start(beta, "pesterer", "pesterer", &json!({}));
    let honest = Deals::contender(beta, Some(10));
    let dealer = Deals::dealer(alpha);
    let pester = |contract: u64, number: u64| {
        let ask = json!({ "manager": dealer.json, "contract": contract, "number": number });
        let _ = beta.ask(&pesterer.name, "deals/pester", &ask);
    };
    let open = dealer.announce_to_all(alpha, 1);
    let mut bids = dealer.told(alpha, 2);
    bids.sort_unstable();
    // Of its two bids the first stands, though the second is the cheapest of all.
    assert_eq!(bids, ["bid 10 by beta", "bid 50 by me"]);
    let mut rejected = vec!["bid 2 is rejected".to_owned()];
    assert_eq!(pesterer.told(beta, 1), rejected);
    // The same bid again is neither a second one nor rejected.
    pester(open, 1);
    dealer.award(alpha, 1);
    rejected.push("bid 1 is rejected".to_owned());
    assert_eq!(pesterer.told(beta, 2), rejected);
    assert_eq!(honest.told(beta, 2)[1], format!("granted by {}", dealer.address));
    // While somebody else is at work, when it is over, for what there never was, and for what it
    // was not asked.
    pester(open, 3);
    rejected.push("bid 3 is rejected".to_owned());
    assert_eq!(pesterer.told(beta, 3), rejected);
    honest.finish(beta);
    assert_eq!(dealer.told(alpha, 3)[2], "completed by beta of 2");
    let closed = dealer.announce(alpha, &[&honest]);
    for (contract, number) in [(open, 4), (!closed, 5), (closed, 6)] {
        pester(contract, number);
        rejected.push(format!("bid {number} is rejected"));
        assert_eq!(pesterer.told(beta, rejected.len()), rejected);
    }
    assert_eq!(dealer.told(alpha, 5)[3..], ["bid 10 by beta", "closed"]);
    dealer.award(alpha, 1);
    assert_eq!(honest.told(beta, 5)[4], format!("granted by {}", dealer.address));
    all_replay(&hosts);
}

/// Kills a host and starts it again.
fn back(host: &mut Host) {
    host.kill();
    host.up();
}

/// What is recorded of all agents says the same when it is played again.
fn all_replay(hosts: &[Host]) {
    for host in hosts {
        for life in host.journal(&["replay"]).as_array().expect("a list") {
            assert_eq!(life["result"], "same", "{} {life}", host.name);
        }
    }
}
