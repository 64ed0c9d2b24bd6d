//! Every row of both tables, with exactly what is done.

use std::{borrow::Cow, time::Duration};

use super::*;
use crate::{
    exchange::Failure,
    ident::{Address, AgentId, HostId},
    time::Time,
};

const NOW: Time = Time::from_nanos(0);
const S: Duration = Duration::from_secs(1);

fn address(number: u8) -> Address {
    Address { host: HostId([number; 32]), agent: AgentId(u128::from(number) + 2000) }
}

fn id(number: u8) -> BidId {
    BidId { bidder: address(number), number: u64::from(number) }
}

fn bid(number: u8, cost: i64) -> Bid {
    Bid { id: id(number), cost, body: vec![number] }
}

fn after(seconds: u32) -> Time {
    NOW + S * seconds
}

/// What a manager wants done, in short.
fn drain(manager: &mut Manager) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(output) = manager.poll() {
        let agent = |bid: BidId| bid.number;
        all.push(match output {
            Output::Grant { bid, body, left } => {
                format!("grant {} {body:?} {}s", agent(bid), left.as_secs())
            }
            Output::Reject(bid) => format!("reject {}", agent(bid)),
            Output::Cancel { bid, why } => format!("cancel {}: {why}", agent(bid)),
            Output::Acknowledge(bid) => format!("acknowledge {}", agent(bid)),
            Output::Event(Event::Bid(bid)) => format!("bid {}", agent(bid)),
            Output::Event(Event::Closed) => "closed".into(),
            Output::Event(Event::Ended(End::Expired { further })) => {
                format!("expired{}", if further { ", further" } else { "" })
            }
            Output::Event(Event::Ended(End::Cancelled { bid, why })) => {
                format!("cancelled by {}: {why}", agent(bid))
            }
            Output::Event(Event::Ended(end)) => format!("{end:?}").to_lowercase(),
        });
    }
    all
}

/// A manager that has asked 1, 2 and 3, and got bids of 30, 10 and 20.
fn with_three_bids() -> Manager {
    let mut manager =
        Manager::announce([1, 2, 3].map(address), false, false, Windows::DEFAULT, NOW);
    for (number, cost) in [(1, 30), (2, 10), (3, 20)] {
        manager.answered(address(number), Ok(Reply::Bid(bid(number, cost))), NOW);
    }
    assert_eq!(drain(&mut manager), ["bid 1", "bid 2", "bid 3", "closed"]);
    manager
}

fn granted(numbers: &[u8]) -> Manager {
    let mut manager = with_three_bids();
    let grants = numbers.iter().map(|number| (id(*number), vec![*number])).collect();
    manager.grant(grants, S * 60, NOW).expect("they stand");
    drain(&mut manager);
    manager
}

fn open() -> Manager {
    Manager::announce([], true, false, Windows::DEFAULT, NOW)
}

#[test]
fn bids_close_with_the_last_answer_and_the_cheapest_is_found() {
    let manager = with_three_bids();
    assert_eq!(manager.phase(), "closed");
    assert_eq!(manager.cheapest(2), [id(2), id(3)]);
    assert_eq!(manager.next_deadline(), Some(after(10)));
}

#[test]
fn of_equal_costs_the_earliest_is_the_cheapest() {
    let mut manager = open();
    (1..4).for_each(|number| manager.bid(bid(number, 5)));
    assert_eq!(manager.cheapest(2), [id(1), id(2)]);
}

#[test]
fn a_second_bid_from_one_bidder_is_rejected_and_the_first_stands() {
    let mut manager = open();
    manager.bid(bid(1, 5));
    let mut second = bid(1, 1);
    second.id.number = 9;
    manager.bid(second);
    // The same bid that comes twice is one bid.
    manager.bid(bid(1, 5));
    assert_eq!(drain(&mut manager), ["bid 1", "reject 9"]);
    assert_eq!(manager.cheapest(5), [id(1)]);
}

#[test]
fn a_bid_from_one_never_asked_is_rejected() {
    let mut manager = Manager::announce([address(1)], false, false, Windows::DEFAULT, NOW);
    manager.bid(bid(7, 1));
    manager.answered(address(8), Ok(Reply::Bid(bid(8, 1))), NOW);
    assert_eq!(drain(&mut manager), ["reject 7", "reject 8"]);
    assert_eq!(manager.phase(), "announced");
}

#[test]
fn one_who_was_asked_may_hand_over_the_bid_of_another() {
    let mut manager = Manager::announce([address(1)], false, false, Windows::DEFAULT, NOW);
    manager.answered(address(1), Ok(Reply::Bid(bid(7, 1))), NOW);
    assert_eq!(drain(&mut manager), ["bid 7", "closed"]);
}

#[test]
fn refusals_duplicates_and_failures_are_answers() {
    let mut manager = Manager::announce((1..5).map(address), false, false, Windows::DEFAULT, NOW);
    manager.answered(address(1), Ok(Reply::Refused { further: false }), NOW);
    manager.answered(address(2), Ok(Reply::Duplicate), NOW);
    manager.answered(address(3), Err(Failure::Gone), NOW);
    assert_eq!(drain(&mut manager), Vec::<String>::new());
    manager.answered(address(4), Err(Failure::NoAgent), NOW);
    assert_eq!(drain(&mut manager), ["expired"]);
    assert!(manager.has_ended() && manager.next_deadline().is_none());
}

#[test]
fn who_stopped_for_its_reach_says_so() {
    let mut manager = Manager::announce([address(1)], false, false, Windows::DEFAULT, NOW);
    manager.answered(address(1), Ok(Reply::Refused { further: true }), NOW);
    assert_eq!(drain(&mut manager), ["expired, further"]);
}

#[test]
fn a_contract_announced_to_nobody_expires_at_once() {
    let mut manager = Manager::announce([], false, false, Windows::DEFAULT, NOW);
    assert_eq!(drain(&mut manager), ["expired"]);
    let mut manager = Manager::announce([], false, true, Windows::DEFAULT, NOW);
    assert_eq!(drain(&mut manager), ["expired, further"]);
}

#[test]
fn the_window_of_bids_ends() {
    let mut manager = open();
    manager.expire(after(9));
    assert_eq!(drain(&mut manager), Vec::<String>::new());
    manager.expire(after(10));
    assert_eq!(drain(&mut manager), ["expired"]);
    let mut manager = open();
    manager.bid(bid(1, 1));
    manager.expire(after(10));
    manager.bid(bid(2, 0));
    assert_eq!(drain(&mut manager), ["bid 1", "closed", "reject 2"]);
}

#[test]
fn a_bid_may_be_rejected_early_and_the_last_one_ends_a_closed_contract() {
    let mut manager = with_three_bids();
    assert!(manager.reject(id(1)) && !manager.reject(id(1)) && !manager.reject(id(9)));
    assert!(manager.reject(id(2)) && manager.reject(id(3)));
    assert_eq!(drain(&mut manager), ["reject 1", "reject 2", "reject 3", "expired"]);
    let mut manager = open();
    manager.bid(bid(1, 1));
    manager.reject(id(1));
    assert_eq!(drain(&mut manager), ["bid 1", "reject 1"]);
    assert_eq!(manager.phase(), "announced");
}

#[test]
fn a_grant_goes_to_one_or_several_and_all_others_are_rejected() {
    let mut manager = with_three_bids();
    let grants = vec![(id(2), vec![22]), (id(3), vec![33])];
    manager.grant(grants, S * 60, NOW).expect("they stand");
    assert_eq!(drain(&mut manager), ["grant 2 [22] 10s", "grant 3 [33] 10s", "reject 1"]);
    assert_eq!(manager.next_deadline(), Some(after(10)));
}

#[test]
fn a_grant_may_come_before_the_window_ends() {
    let mut manager = open();
    manager.bid(bid(1, 1));
    manager.grant(vec![(id(1), vec![])], S * 3, NOW).expect("it stands");
    manager.bid(bid(2, 0));
    assert_eq!(drain(&mut manager), ["bid 1", "grant 1 [] 3s", "reject 2"]);
    assert_eq!(manager.next_deadline(), Some(after(3)));
}

#[test]
fn what_cannot_be_granted_changes_nothing() {
    let mut manager = with_three_bids();
    manager.reject(id(1));
    drain(&mut manager);
    let before = manager.clone();
    let mut grant = |bids: &[u8]| {
        let grants = bids.iter().map(|number| (id(*number), Vec::new())).collect();
        manager.grant(grants, S, NOW).err()
    };
    assert_eq!(grant(&[]), Some(GrantError::Nothing));
    assert_eq!(grant(&[2, 9]), Some(GrantError::NoSuchBid(id(9))));
    assert_eq!(grant(&[2, 1]), Some(GrantError::NoSuchBid(id(1))));
    assert_eq!(grant(&[2, 2]), Some(GrantError::NoSuchBid(id(2))));
    assert_eq!(manager, before);
    assert_eq!(granted(&[2]).grant(vec![(id(2), vec![])], S, NOW), Err(GrantError::TooLate));
}

#[test]
fn a_contract_without_a_decision_expires() {
    let mut manager = with_three_bids();
    manager.expire(after(10));
    assert_eq!(drain(&mut manager), ["reject 1", "reject 2", "reject 3", "expired"]);
}

#[test]
fn all_reports_complete_it_and_all_are_acknowledged() {
    let mut manager = granted(&[2, 3]);
    manager.reported(id(3), Ok(Reply::Report(Cow::Borrowed(&[3]))));
    // From one that was not granted, and twice from one.
    manager.reported(id(1), Ok(Reply::Report(Cow::Borrowed(&[1]))));
    manager.reported(id(3), Ok(Reply::Defect("twice".into())));
    assert_eq!(drain(&mut manager), Vec::<String>::new());
    manager.reported(id(2), Ok(Reply::Report(Cow::Borrowed(&[2]))));
    assert_eq!(drain(&mut manager), ["acknowledge 2", "acknowledge 3", "completed"]);
    let reports: Vec<_> = manager.reports().map(|(bid, report)| (bid.id, report)).collect();
    assert_eq!(reports, [(id(2), &[2][..]), (id(3), &[3][..])]);
}

#[test]
fn a_defect_cancels_all_that_was_granted() {
    for (reply, why) in [
        (Ok(Reply::Defect("broken".into())), "broken"),
        (Ok(Reply::Duplicate), "it answered a grant with something else than a report"),
        (
            Err(Failure::Gone),
            "the agent or its host ended meanwhile; it may or may not have been carried out",
        ),
    ] {
        let mut manager = granted(&[1, 2, 3]);
        manager.reported(id(3), Ok(Reply::Report(Cow::Borrowed(&[3]))));
        let gone = reply.is_err();
        manager.reported(id(2), reply);
        // Who may have got the grant is told, too.
        let unsure = gone.then(|| format!("cancel 2: {why}"));
        let expected = [
            format!("cancel 1: {why}"),
            format!("cancel 3: {why}"),
            format!("cancelled by 2: {why}"),
        ];
        let expected: Vec<String> = unsure.into_iter().chain(expected).collect();
        assert_eq!(drain(&mut manager), expected);
    }
}

#[test]
fn a_report_that_does_not_come_aborts_it() {
    let mut manager = granted(&[2]);
    manager.expire(after(10));
    let expected = ["cancel 2: the report did not come in time", "aborted"];
    assert_eq!(drain(&mut manager), expected);
    manager.reported(id(2), Ok(Reply::Report(Cow::Borrowed(&[2]))));
    assert_eq!(drain(&mut manager), Vec::<String>::new());
}

#[test]
fn it_may_be_given_up_at_any_time_and_only_once() {
    let mut manager = with_three_bids();
    manager.give_up("enough");
    assert_eq!(drain(&mut manager), ["reject 1", "reject 2", "reject 3", "givenup"]);
    let mut manager = granted(&[2]);
    manager.give_up("enough");
    manager.give_up("enough");
    assert_eq!(drain(&mut manager), ["cancel 2: enough", "givenup"]);
    let mut manager = open();
    manager.give_up("enough");
    manager.bid(bid(1, 1));
    assert_eq!(drain(&mut manager), ["givenup", "reject 1"]);
}

#[test]
fn an_elected_bid_is_not_rejected() {
    let mut manager = with_three_bids();
    assert_eq!(manager.elect(id(2)), Some(bid(2, 10)));
    assert_eq!(manager.elect(id(2)), None);
    manager.give_up("handed over");
    assert_eq!(drain(&mut manager), ["reject 1", "reject 3", "givenup"]);
}

#[test]
fn more_bids_than_a_contract_takes_are_rejected() {
    let mut manager = open();
    for number in 0..crate::limits::BIDS_PER_CONTRACT_MAX as u64 + 1 {
        let bidder = Address { host: HostId([1; 32]), agent: AgentId(u128::from(number)) };
        let id = BidId { bidder, number };
        manager.bid(Bid { id, cost: 0, body: Vec::new() });
    }
    let rejected = drain(&mut manager).into_iter().filter(|output| output.starts_with("reject"));
    assert_eq!(rejected.collect::<Vec<_>>(), ["reject 4096"]);
}

/// A contractor at a stage of its work, told what is to come.
fn contractor(phase: &str) -> Contractor {
    let mut contractor = Contractor::announced(S * 6, Windows::DEFAULT, NOW);
    if phase != "announced" {
        assert!(contractor.bid());
    }
    if phase == "granted" || phase == "completed" {
        assert!(contractor.order(Order::Grant { left: S * 5 }, NOW));
        assert_eq!(contractor.poll(), Some(Work::Granted));
    }
    if phase == "completed" {
        assert!(contractor.complete(NOW));
    }
    assert_eq!(contractor.phase(), phase);
    contractor
}

#[test]
fn every_order_has_its_meaning_where_it_has_one() {
    let orders = [
        Order::Reject,
        Order::Grant { left: S },
        Order::Cancel("no".into()),
        Order::Acknowledge,
        Order::Gone,
    ];
    let gone = || "the manager is gone".to_owned();
    let end = |ended| Some(Some(Work::Ended(ended)));
    let expected = [
        ("announced", [None, None, None, None, end(Ended::Expired)]),
        (
            "bid",
            [
                end(Ended::Rejected),
                Some(Some(Work::Granted)),
                end(Ended::Rejected),
                None,
                end(Ended::Expired),
            ],
        ),
        (
            "granted",
            [None, None, end(Ended::Cancelled("no".into())), None, end(Ended::Cancelled(gone()))],
        ),
        (
            "completed",
            [
                None,
                None,
                end(Ended::Aborted("no".into())),
                end(Ended::Acknowledged),
                end(Ended::Aborted(gone())),
            ],
        ),
    ];
    for (phase, row) in expected {
        for (order, expected) in orders.iter().zip(row) {
            let mut contractor = contractor(phase);
            let before = contractor.clone();
            let meant = contractor.order(order.clone(), NOW);
            let unchanged = contractor == before;
            let got = meant.then(|| contractor.poll());
            assert_eq!(got, expected, "{order:?} while {phase}");
            assert_eq!(meant, !unchanged, "{order:?} while {phase}");
        }
    }
}

#[test]
fn what_a_contractor_may_do_depends_on_where_it_stands() {
    type Does = fn(&mut Contractor) -> bool;
    let does: [(&str, Does, &str, Option<Ended>); 5] = [
        ("announced", Contractor::bid, "bid", None),
        ("announced", Contractor::refuse, "ended", Some(Ended::Refused)),
        ("announced", Contractor::hand_over, "ended", Some(Ended::Delegated)),
        ("granted", |c| c.complete(NOW), "completed", None),
        ("granted", Contractor::defect, "ended", Some(Ended::Defected)),
    ];
    for (from, does, to, told) in does {
        for phase in ["announced", "bid", "granted", "completed"] {
            let mut contractor = contractor(phase);
            assert_eq!(does(&mut contractor), phase == from);
            assert_eq!(contractor.phase(), if phase == from { to } else { phase });
            let told = told.clone().filter(|_| phase == from).map(Work::Ended);
            assert_eq!(contractor.poll(), told);
        }
    }
}

#[test]
fn every_window_of_a_contractor_ends() {
    let late = |what: &str| format!("the {what} did not come in time");
    for (phase, at, ended) in [
        ("announced", 6, Ended::Expired),
        ("bid", 16, Ended::Expired),
        ("granted", 5, Ended::Cancelled(late("report"))),
        ("completed", 15, Ended::Aborted(late("acknowledgement"))),
    ] {
        let mut contractor = contractor(phase);
        assert_eq!(contractor.next_deadline(), Some(after(at)), "{phase}");
        contractor.expire(after(at - 1));
        assert_eq!(contractor.poll(), None, "{phase}");
        contractor.expire(after(at));
        assert_eq!(contractor.poll(), Some(Work::Ended(ended)), "{phase}");
        assert_eq!(contractor.next_deadline(), None);
        contractor.expire(after(1000));
        assert_eq!(contractor.poll(), None, "{phase}");
    }
}

#[test]
fn a_search_comes_once_and_is_forgotten_when_it_is_over() {
    let mut visited = Visited::default();
    let search = Traversal(7);
    assert_eq!(visited.arrive(search, address(1), after(5), NOW), Arrival::First);
    assert_eq!(visited.arrive(search, address(2), after(5), NOW), Arrival::Again);
    assert!(visited.came_from(search, address(2)) && !visited.came_from(search, address(3)));
    visited.sweep(after(4));
    assert_eq!(visited.len(), 1);
    visited.sweep(after(5));
    assert!(visited.is_empty());
}

#[test]
fn more_searches_than_an_agent_remembers_are_not_taken_part_in() {
    let max = crate::limits::TRAVERSALS_PER_AGENT_MAX as u128;
    let mut visited = Visited::default();
    for number in 0..max {
        visited.begin(Traversal(number), after(5), NOW);
    }
    let mut arrive = |now| visited.arrive(Traversal(max), address(1), after(9), now);
    assert_eq!(arrive(after(4)), Arrival::TooMany);
    assert_eq!(arrive(after(5)), Arrival::First);
}

#[test]
fn a_nested_manager_has_a_tenth_less_time() {
    let windows = Windows::DEFAULT.nested(S * 6);
    assert_eq!(windows.bids, Duration::from_millis(5400));
    assert_eq!(Windows::DEFAULT.nested(S * 60).bids, S * 10);
}
