//! Every row of both tables, with exactly what is done.

mod contractor;
mod visited;

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
            Output::Event(Event::Gone(bid)) => format!("gone {}", agent(bid)),
            Output::Event(Event::Closed) => "closed".into(),
            Output::Event(Event::Ended(End::Partial { gone })) => {
                format!("partial without {:?}", gone.into_iter().map(agent).collect::<Vec<_>>())
            }
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

/// A contractor at a stage of its work, told what is to come.
fn contractor(phase: &str) -> Contractor {
    let mut contractor = Contractor::announced(S * 6, S * 18, Windows::DEFAULT, NOW);
    if phase != "announced" {
        assert!(contractor.bid());
    }
    if ["granted", "completed", "asking"].contains(&phase) {
        assert!(contractor.order(Order::Grant { left: S * 5 }, NOW));
        assert_eq!(contractor.poll(), Some(Work::Granted));
    }
    if phase == "completed" || phase == "asking" {
        assert!(contractor.complete(NOW));
    }
    if phase == "asking" {
        contractor.expire(after(15));
        assert_eq!(contractor.poll(), Some(Work::Ask));
    }
    assert_eq!(contractor.phase(), phase);
    contractor
}

fn contractor_that_asks() -> Contractor {
    contractor("asking")
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
    [3, 1, 2].into_iter().for_each(|number| manager.bid(bid(number, 5), address(number)));
    assert_eq!(manager.cheapest(2), [id(3), id(1)]);
}

#[test]
fn a_closed_contract_is_decided_within_its_own_window_and_closed_once() {
    let windows = Windows { bids: S * 10, decision: S * 7, reports: S * 3 };
    let mut manager = Manager::announce([1, 2].map(address), false, false, windows, NOW);
    manager.answered(address(1), Ok(Reply::Bid(bid(1, 1))), after(1));
    manager.expire(after(10));
    assert_eq!(drain(&mut manager), ["bid 1", "closed"]);
    assert_eq!(manager.next_deadline(), Some(after(17)));
    manager.answered(address(2), Ok(Reply::Refused { further: false }), after(11));
    assert_eq!(drain(&mut manager), Vec::<String>::new());
    assert_eq!(manager.next_deadline(), Some(after(17)));
}

#[test]
fn no_window_is_longer_than_any_wait_may_be() {
    let (longest, huge) = (crate::limits::BUDGET_MAX, Duration::MAX);
    let all = |each| Windows { bids: each, decision: each, reports: each };
    let manager = Manager::announce([address(1)], false, false, all(huge), NOW);
    assert_eq!((manager.windows(), manager.left(NOW)), (all(longest), longest));
    // What its manager says is no more than this side knows for such work.
    let contractor = Contractor::announced(S * 60, S * 60, Windows::DEFAULT, NOW);
    assert_eq!(contractor.left(NOW), S * 10);
    let mut contractor = Contractor::announced(huge, huge, all(huge), NOW);
    assert_eq!(contractor.left(NOW), longest);
    assert!(contractor.bid() && contractor.order(Order::Grant { left: huge }, NOW));
    assert_eq!(contractor.left(NOW), longest);
    let mut contractor = contractor_that_asks();
    assert!(contractor.order(Order::Pending { left: huge }, NOW));
    assert_eq!(contractor.left(NOW), longest + S * 10);
}

#[test]
fn a_second_bid_from_one_bidder_is_rejected_and_the_first_stands() {
    let mut manager = open();
    manager.bid(bid(1, 5), address(1));
    let mut second = bid(1, 1);
    second.id.number = 9;
    manager.bid(second, address(1));
    // The same bid that comes twice is one bid.
    manager.bid(bid(1, 5), address(1));
    assert_eq!(drain(&mut manager), ["bid 1", "reject 9"]);
    assert_eq!(manager.cheapest(5), [id(1)]);
}

#[test]
fn a_bid_from_one_never_asked_is_rejected() {
    let mut manager = Manager::announce([address(1)], false, false, Windows::DEFAULT, NOW);
    manager.bid(bid(7, 1), address(7));
    manager.answered(address(8), Ok(Reply::Bid(bid(8, 1))), NOW);
    assert_eq!(drain(&mut manager), ["reject 7", "reject 8"]);
    assert_eq!(manager.phase(), "announced");
}

#[test]
fn who_names_another_as_bidder_cannot_keep_it_from_bidding() {
    let forged = |number| {
        let id = BidId { bidder: address(7), number };
        Bid { id, cost: -1, body: Vec::new() }
    };
    let mut manager = open();
    manager.bid(forged(70), address(1));
    // Nor has it more bids than anybody else.
    manager.bid(forged(71), address(1));
    manager.bid(bid(1, 3), address(1));
    manager.bid(bid(7, 5), address(7));
    assert_eq!(drain(&mut manager), ["bid 70", "reject 71", "reject 1", "bid 7"]);
    // Once it has bid itself, nobody hands over another bid of its.
    manager.bid(forged(72), address(2));
    assert_eq!(drain(&mut manager), ["reject 72"]);
}

#[test]
fn a_bid_that_does_not_stand_spoils_no_other_grant() {
    for no_bid in [Ok(Reply::NoBid), Err(Failure::NoAgent), Err(Failure::Unknown("it".into()))] {
        let report = |number: u8| Ok(Reply::Report(vec![number].into()));
        let mut manager = granted(&[1, 2, 3]);
        manager.reported(id(2), no_bid.clone());
        manager.reported(id(1), report(1));
        assert_eq!(drain(&mut manager), ["gone 2"]);
        manager.reported(id(3), report(3));
        let expected = ["acknowledge 1", "acknowledge 3", "partial without [2]"];
        assert_eq!(drain(&mut manager), expected);
        assert_eq!(manager.reports().count(), 2);
        // As the last answer.
        let mut manager = granted(&[1, 2]);
        manager.reported(id(1), report(1));
        manager.reported(id(2), no_bid.clone());
        let expected = ["gone 2", "acknowledge 1", "partial without [2]"];
        assert_eq!(drain(&mut manager), expected);
        // And when nothing else was granted.
        let mut manager = granted(&[2]);
        manager.reported(id(2), no_bid);
        assert_eq!(drain(&mut manager), ["gone 2", "cancelled by 2: no such bid stands"]);
    }
}

#[test]
fn a_bid_may_be_taken_back_and_so_may_work_that_is_reported() {
    let mut manager = with_three_bids();
    manager.withdrawn(id(2), "stopped");
    manager.withdrawn(id(2), "stopped");
    manager.withdrawn(id(9), "stopped");
    assert_eq!(drain(&mut manager), ["gone 2"]);
    assert_eq!(manager.cheapest(9), [id(3), id(1)]);
    manager.withdrawn(id(1), "stopped");
    manager.withdrawn(id(3), "stopped");
    assert_eq!(drain(&mut manager), ["gone 1", "gone 3", "expired"]);
    let mut manager = granted(&[1, 2]);
    // What was granted is answered for by the grant.
    manager.withdrawn(id(1), "stopped");
    assert_eq!(drain(&mut manager), Vec::<String>::new());
    manager.reported(id(1), Ok(Reply::Report(Cow::Borrowed(&[1]))));
    manager.withdrawn(id(1), "stopped");
    assert_eq!(drain(&mut manager), ["cancel 2: stopped", "cancelled by 1: stopped"]);
    // What is acknowledged counts.
    let mut manager = granted(&[2]);
    manager.reported(id(2), Ok(Reply::Report(Cow::Borrowed(&[2]))));
    manager.withdrawn(id(2), "stopped");
    assert_eq!(drain(&mut manager), ["acknowledge 2", "completed"]);
    assert_eq!(manager.reports().count(), 1);
}

#[test]
fn what_became_of_each_bid_is_known_to_the_end() {
    let told = |manager: &Manager| {
        let words: Vec<&str> = manager.story().map(|(_, word)| word).collect();
        let granted = [1, 2, 3].map(|number| manager.is_granted(id(number)));
        (words, granted, manager.was_granted())
    };
    let [no, first] = [[false; 3], [true, false, false]];
    let mut manager = with_three_bids();
    assert_eq!(told(&manager), (vec!["bid"; 3], no, false));
    manager.reject(id(3));
    manager.grant(vec![(id(1), vec![]), (id(2), vec![])], S, NOW).expect("they stand");
    let words = vec!["granted", "granted", "rejected"];
    assert_eq!(told(&manager), (words, [true, true, false], true));
    manager.reported(id(2), Ok(Reply::NoBid));
    assert_eq!(told(&manager), (vec!["granted", "gone", "rejected"], first, true));
    manager.reported(id(1), Ok(Reply::Report(Cow::Borrowed(&[1]))));
    assert_eq!(told(&manager), (vec!["reported", "gone", "rejected"], no, true));
    // While another is at work, who has reported is granted it still.
    let mut manager = granted(&[1, 2]);
    manager.reported(id(1), Ok(Reply::Report(Cow::Borrowed(&[1]))));
    assert_eq!(
        told(&manager),
        (vec!["reported", "granted", "rejected"], [true, true, false], true)
    );
    manager.reported(id(2), Ok(Reply::Defect("broken".into())));
    assert_eq!(told(&manager), (vec!["failed", "failed", "rejected"], no, true));
    assert_eq!(manager.reports().count(), 0);
    // Where no bid stood that was granted, nobody was granted anything.
    let mut manager = granted(&[2]);
    manager.reported(id(2), Ok(Reply::NoBid));
    assert_eq!(told(&manager), (vec!["rejected", "gone", "rejected"], no, false));
    let mut manager = with_three_bids();
    manager.elect(id(2));
    assert_eq!(told(&manager), (vec!["bid", "handed over", "bid"], no, false));
}

#[test]
fn reasons_are_kept_only_so_long() {
    let most = crate::limits::REASON_BYTES_MAX / 4;
    let (long, cut) = ("ä".repeat(most + 1), "ä".repeat(most));
    let mut manager = granted(&[2]);
    manager.reported(id(2), Ok(Reply::Defect(Cow::Borrowed(&long))));
    assert_eq!(drain(&mut manager), [format!("cancelled by 2: {cut}")]);
    let mut manager = granted(&[1, 2]);
    manager.reported(id(2), Ok(Reply::Report(Cow::Borrowed(&[2]))));
    manager.withdrawn(id(2), &long);
    assert_eq!(drain(&mut manager), [format!("cancel 1: {cut}"), format!("cancelled by 2: {cut}")]);
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
    // Nobody else is believed.
    let mut manager = Manager::announce([address(1)], false, false, Windows::DEFAULT, NOW);
    manager.answered(address(2), Ok(Reply::Refused { further: true }), NOW);
    manager.answered(address(1), Ok(Reply::Duplicate), NOW);
    assert_eq!(drain(&mut manager), ["expired"]);
    // However it comes that no bid is taken.
    let ends: [fn(&mut Manager); 3] = [
        |manager| assert!(manager.reject(id(2))),
        |manager| manager.withdrawn(id(2), "stopped"),
        |manager| manager.expire(after(10)),
    ];
    for end in ends {
        let mut manager =
            Manager::announce([1, 2].map(address), false, false, Windows::DEFAULT, NOW);
        manager.answered(address(1), Ok(Reply::Refused { further: true }), NOW);
        manager.answered(address(2), Ok(Reply::Bid(bid(2, 1))), NOW);
        end(&mut manager);
        assert_eq!(drain(&mut manager).last().map(String::as_str), Some("expired, further"));
    }
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
    manager.bid(bid(1, 1), address(1));
    manager.expire(after(10));
    manager.bid(bid(2, 0), address(2));
    assert_eq!(drain(&mut manager), ["bid 1", "closed", "reject 2"]);
}

#[test]
fn a_bid_may_be_rejected_early_and_the_last_one_ends_a_closed_contract() {
    let mut manager = with_three_bids();
    assert!(manager.reject(id(1)) && !manager.reject(id(1)) && !manager.reject(id(9)));
    assert!(manager.reject(id(2)) && manager.reject(id(3)));
    assert_eq!(drain(&mut manager), ["reject 1", "reject 2", "reject 3", "expired"]);
    let mut manager = open();
    manager.bid(bid(1, 1), address(1));
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
    manager.bid(bid(1, 1), address(1));
    manager.grant(vec![(id(1), vec![])], S * 3, NOW).expect("it stands");
    manager.bid(bid(2, 0), address(2));
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
        (Err(Failure::BadBody("the report does not decode".into())), "the report does not decode"),
    ] {
        let mut manager = granted(&[1, 2, 3]);
        manager.reported(id(3), Ok(Reply::Report(Cow::Borrowed(&[3]))));
        let gone = reply.is_err();
        manager.reported(id(2), reply);
        // Who may have got the grant is told, too.
        let gone = gone || why.starts_with("it answered");
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
    manager.bid(bid(1, 1), address(1));
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
        manager.bid(Bid { id, cost: 0, body: Vec::new() }, bidder);
    }
    let rejected = drain(&mut manager).into_iter().filter(|output| output.starts_with("reject"));
    assert_eq!(rejected.collect::<Vec<_>>(), ["reject 4096"]);
    // Nor more bytes.
    let mut manager = open();
    let halves = crate::limits::BIDS_PER_CONTRACT_BYTES_MAX / 2;
    for (number, bytes) in [(1, halves), (2, halves + 1), (3, halves), (4, 1), (5, 0)] {
        manager.bid(Bid { body: vec![0; bytes], ..bid(number, 0) }, address(number));
    }
    assert_eq!(drain(&mut manager), ["bid 1", "reject 2", "bid 3", "reject 4", "bid 5"]);
}

const PHASES: [&str; 5] = ["announced", "bid", "granted", "completed", "asking"];

#[test]
fn a_nested_manager_has_a_tenth_less_time_for_bids_and_decides_when_its_own_bid_is_decided() {
    let windows = Windows::DEFAULT.nested(S * 6, S * 17);
    assert_eq!(windows.bids, Duration::from_millis(5400));
    assert_eq!(windows.decision, S * 17);
    assert_eq!(Windows::DEFAULT.nested(S * 60, S), Windows::DEFAULT);
}
