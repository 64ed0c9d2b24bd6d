use super::{
    trader::{Order, Trader},
    *,
};

impl Mesh {
    pub(super) fn start(&mut self, host: usize, kind: &str, state: &impl Serialize) -> Address {
        let init = Init::Json(serde_json::to_string(state).expect("JSON"));
        let start = Start { kind: kind.into(), name: None, init };
        let agent = self.engines[host].start(start).expect("the kind is known");
        self.tick(host);
        Address { host: self.host(host), agent }
    }

    pub(super) fn tick(&mut self, host: usize) {
        let now = self.now();
        self.engines[host].handle(Input::Tick, now);
        self.settle();
    }

    pub(super) fn place(&self, agent: Address) -> usize {
        let mut hosts = 0..self.engines.len();
        hosts.find(|host| self.host(*host) == agent.host).expect("a host of the test")
    }

    pub(super) fn trader(&mut self, host: usize, trader: &Trader) -> Address {
        self.start(host, "trader", trader)
    }

    pub(super) fn seller(&mut self, host: usize, cost: i64, style: &str) -> Address {
        self.trader(host, &Trader { cost: Some(cost), style: style.into(), ..Trader::default() })
    }

    /// A trader that asks its neighbours.
    pub(super) fn asker(&mut self, host: usize, neighbours: &[Address], style: &str) -> Address {
        let (neighbours, style) = (neighbours.to_vec(), style.into());
        self.trader(host, &Trader { neighbours, style, ..Trader::default() })
    }

    pub(super) fn order(&mut self, trader: Address, order: &Order) {
        let body = serde_json::to_string(order).expect("JSON");
        let ticket = self.ask(self.place(trader), trader, "trader/order", &body);
        assert_eq!(self.answers[&ticket].as_deref(), Ok("null"));
    }

    pub(super) fn announce(&mut self, manager: Address, to: &[Address]) {
        self.order(manager, &Order::Announce { to: to.to_vec(), mesh: false, reach: None });
    }

    pub(super) fn announce_to_all(&mut self, manager: Address) {
        self.order(manager, &Order::Announce { to: Vec::new(), mesh: true, reach: None });
    }

    pub(super) fn log_of(&mut self, trader: Address) -> Vec<String> {
        let (state, waits) = self.look_at(trader);
        assert_eq!(waits, serde_json::json!([]), "nothing is left behind");
        state.log
    }

    pub(super) fn log_of_busy(&mut self, trader: Address) -> Vec<String> {
        self.look_at(trader).0.log
    }

    pub(super) fn look_at(&mut self, trader: Address) -> (Trader, serde_json::Value) {
        let to = Address { host: trader.host, agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, trader.agent);
        let ticket = self.ask(self.place(trader), to, "host/inspect", &body);
        let reply = self.answers[&ticket].as_ref().expect("the host agent answers");
        let detail: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let state = detail["state"].as_str().expect("a state");
        let state: Trader = serde_json::from_str(state).expect("JSON");
        (state, detail["waits"].clone())
    }

    pub(super) fn stop_agent(&mut self, of: Address) {
        let host = self.place(of);
        let agent = self.engines[host].agents.find(of.agent).expect("it lives");
        self.engines[host].stop(agent, None);
        self.tick(host);
    }
}

#[test]
fn in_an_auction_over_three_hosts_the_cheapest_wins() {
    let mut mesh = Mesh::recorded(3);
    let manager = mesh.trader(0, &Trader::default());
    let sellers = [(0, 30), (1, 10), (2, 20)].map(|(host, cost)| mesh.seller(host, cost, "done"));
    mesh.announce_to_all(manager);
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
        let cancelled = format!("job Cancelled({why:?})");
        assert_eq!(mesh.log_of(good), ["announced a boat", "granted take it", &*cancelled]);
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
    // It is told at once, and not when its window ends.
    let gone = "job Cancelled(\"the manager is gone\")";
    assert_eq!(mesh.log_of(seller), ["announced a boat", "granted take it", gone]);
    mesh.order(seller, &Order::Complete);
    assert_eq!(mesh.log_of(seller).last().expect("a log"), "completed, wanted: false");
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
fn a_grant_that_is_never_answered_is_aborted_on_both_sides() {
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
    mesh.stop_agent(manager);
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
fn a_bid_that_comes_after_the_contract_has_ended_is_rejected_at_once() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let thinker = mesh.seller(1, 3, "think");
    let between = mesh.asker(0, &[thinker], "");
    // As an answer, handed over by another, and as a notification.
    for to in [&[thinker][..], &[between], &[]] {
        let (to, mesh_wide) = (to.to_vec(), to.is_empty());
        mesh.order(manager, &Order::Announce { to, mesh: mesh_wide, reach: None });
        let before = mesh.log_of_busy(thinker).len();
        mesh.order(manager, &Order::GiveUp);
        mesh.order(thinker, &Order::Bid);
        assert_eq!(mesh.log_of(thinker)[before..], ["bid: true", "job Rejected"]);
        assert_eq!(mesh.log_of(manager).last().expect("a log"), "GivenUp after 0 bids");
    }
}

/// The first manager of a search decides at its leisure, however short the windows have become on
/// the way to the bidder.
#[test]
fn a_bid_that_came_through_several_steps_stands_until_the_first_manager_decides() {
    let mut mesh = Mesh::new(2);
    let far = mesh.seller(1, 7, "done");
    let second = mesh.asker(0, &[far], "");
    let first = mesh.asker(1, &[second], "");
    let silent = mesh.seller(0, 1, "think");
    let manager = mesh.trader(0, &Trader { style: "wait".into(), ..Trader::default() });
    mesh.announce(manager, &[first, silent]);
    // Its window for bids is over after ten seconds, and that for its decision after twenty.
    mesh.advance(Duration::from_secs(19));
    mesh.order(manager, &Order::Grant);
    assert_eq!(mesh.log_of(manager), ["bids for 7", "completed here it is"]);
}

#[test]
fn contracts_and_jobs_have_numbers_that_nobody_guesses() {
    let mut mesh = Mesh::recorded(1);
    let manager = mesh.trader(0, &Trader::default());
    let thinker = mesh.seller(0, 3, "think");
    mesh.announce(manager, &[thinker]);
    mesh.announce(manager, &[thinker]);
    let (state, waits) = mesh.look_at(manager);
    let mut numbers: Vec<u64> = state.asked.keys().map(|contract| contract.number()).collect();
    let shown: Vec<String> = numbers.iter().map(|number| format!("{number:016x}")).collect();
    for (number, wait) in shown.iter().zip(waits.as_array().expect("a list")) {
        let wait: serde_json::Value =
            serde_json::from_str(wait.as_str().expect("text")).expect("JSON");
        assert_eq!(wait["then"]["number"], **number);
    }
    let (state, _) = mesh.look_at(thinker);
    numbers.extend(state.seen.iter().map(|job| job.number()));
    // Each has a bit among the upper half, and no two of them are near each other.
    numbers.sort_unstable();
    let apart = numbers.windows(2).all(|pair| pair[1] - pair[0] > u64::from(u32::MAX));
    assert!(numbers.len() == 4 && numbers[0] > u64::from(u32::MAX) && apart, "{numbers:x?}");
    let job = state.seen[0];
    let json = serde_json::to_string(&job).expect("JSON");
    assert_eq!(json, format!("\"{:016x}\"", job.number()));
    assert_eq!(serde_json::from_str::<Job<super::trader::Sell>>(&json).expect("JSON"), job);
    mesh.advance(Duration::from_secs(1));
    assert!(mesh.replay_all(0) > 0);
}

#[test]
fn an_agent_that_begins_anew_under_its_id_draws_other_numbers() {
    let mut mesh = Mesh::recorded(1);
    let resident = AgentId(9);
    let start = Start { kind: "probe".into(), ..Start::default() };
    mesh.engines[0].start_as(resident, start).expect("the kind is known");
    let probe = Address { agent: resident, ..mesh.probe(0) };
    let drawn = [(); 3].map(|()| {
        let ticket = mesh.put(0, probe, "draw");
        let drawn = mesh.answers[&ticket].clone().expect("an answer");
        mesh.put(0, probe, "die");
        drawn
    });
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2], "{drawn:?}");
    mesh.advance(Duration::from_secs(1));
    assert!(mesh.replay_all(0) > 0);
}

#[test]
fn an_agent_that_has_no_room_to_end_all_its_contracts_is_stopped_in_good_order() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader { style: "chatty".into(), ..Trader::default() });
    let sellers = [(); 4].map(|()| mesh.seller(1, 10, "later"));
    sellers.iter().for_each(|seller| mesh.announce(manager, &[*seller]));
    mesh.stop_agent(manager);
    let ended = |(_, event): &(usize, Event)| match event {
        Event::AgentStopped { agent, .. } => *agent == manager.agent,
        Event::AgentDied { why, .. } => panic!("it died: {why}"),
        _ => false,
    };
    assert!(mesh.events.iter().any(ended));
    // The engine tells those that it did not.
    for seller in sellers {
        assert_eq!(mesh.log_of(seller)[2], "job Cancelled(\"the manager is gone\")");
    }
}

#[test]
fn announcements_that_wait_are_capped_by_their_bytes() {
    let mut mesh = Mesh::new(1);
    let seller = mesh.seller(0, 10, "later");
    let managers = [(); 7].map(|()| mesh.trader(0, &Trader::default()));
    for manager in managers {
        let to = vec![seller];
        mesh.order(manager, &Order::AnnounceLarge { to, bytes: 1_000_000 });
    }
    // Two are under way, four wait, and four mebibytes have no room for another.
    let refused = managers
        .map(|manager| mesh.log_of_busy(manager) == ["Expired { further: false } after 0 bids"]);
    assert_eq!(refused, [false, false, false, false, false, false, true]);
    (0..3).for_each(|_| mesh.order(seller, &Order::Complete));
    assert_eq!(mesh.log_of(managers[5]), ["bids for 10", "completed late"]);
}

#[test]
fn a_contractor_that_is_stopped_takes_back_its_bid_and_what_it_has_done() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader { style: "wait".into(), count: 2, ..Trader::default() });
    let [done, later] = ["done", "later"].map(|style| mesh.seller(1, 5, style));
    mesh.announce(manager, &[done]);
    mesh.announce_to_all(manager);
    mesh.stop_agent(done);
    let expired = "Expired { further: false } after 1 bids";
    assert_eq!(
        mesh.log_of_busy(manager),
        ["bids for 5", "a bid is gone", expired, "a bid is gone"]
    );
    mesh.order(manager, &Order::GiveUp);
    let done = mesh.seller(1, 5, "done");
    mesh.announce(manager, &[done, later]);
    mesh.order(manager, &Order::Grant);
    mesh.stop_agent(done);
    assert_eq!(
        mesh.log_of(manager).last().expect("a log"),
        "cancelled: the contractor was stopped"
    );
    let log = mesh.log_of(later);
    assert_eq!(log.last().expect("a log"), "job Cancelled(\"the contractor was stopped\")");
}

#[test]
fn a_bid_may_be_taken_back_before_it_is_granted() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader { style: "wait".into(), ..Trader::default() });
    let [one, two] = [5, 9].map(|cost| mesh.seller(1, cost, "done"));
    mesh.announce(manager, &[one, two]);
    mesh.order(one, &Order::Withdraw);
    mesh.order(manager, &Order::Grant);
    let log = mesh.log_of(manager);
    assert_eq!(log, ["bids for 5, for 9", "a bid is gone", "completed here it is"]);
    mesh.order(two, &Order::Withdraw);
    assert_eq!(mesh.log_of(one)[1..], ["withdrew 1", "job Withdrawn"]);
    assert_eq!(mesh.log_of(two)[2..], ["job Acknowledged", "withdrew 0"]);
}
