//! What others may do wrong in a contract, each with what comes of it.

use std::borrow::Cow;

use starling_protocols::{
    contract::{Announcement, Ask, Bid, BidId, Reply, Tell, Traversal},
    exchange::Codec,
    wire,
};

use super::{
    trader::{Mumbler, Order, Sell, Trader},
    *,
};
use crate::agent::{self, Cage, Dialog, Effect, Input as AgentInput, WaitId};

const S: Duration = Duration::from_secs(1);

impl Mesh {
    /// Tells a trader something in the name of another.
    fn say(&mut self, from: Address, to: Address, tell: &Tell<'_>) {
        let host = self.place(from);
        let body = wire::encode(tell);
        self.engines[host].notify(from, to, Sell::NAME, Codec::Native, body);
        self.tick(host);
    }

    /// The number of the last contract that a trader announced, as those it told of it know it.
    fn contract_of(&mut self, trader: Address) -> u64 {
        let asked = self.look_at(trader).0.asked;
        asked.keys().next().expect("it has announced something").number()
    }

    fn job_of(&mut self, trader: Address) -> u64 {
        let seen = self.look_at(trader).0.seen;
        seen.last().expect("something was announced to it").number()
    }
}

pub(super) fn forged(bidder: Address, number: u64, cost: i64) -> Bid {
    Bid { id: BidId { bidder, number }, cost, body: wire::encode("forged") }
}

#[test]
fn a_bid_after_the_window_is_rejected() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 3, "done");
    for to in [vec![seller], Vec::new()] {
        let before = mesh.log_of(seller).len();
        mesh.held.insert((1, 0));
        let all = to.is_empty();
        mesh.order(manager, &Order::Announce { to, mesh: all, reach: None });
        mesh.advance(S * 11);
        let expired = "Expired { further: false } after 0 bids";
        assert_eq!(mesh.log_of(manager).last().expect("a log"), expired);
        assert_eq!(mesh.log_of_busy(seller)[before..], ["announced a boat"]);
        mesh.release();
        assert_eq!(mesh.log_of(seller)[before..], ["announced a boat", "job Rejected"]);
    }
}

#[test]
fn a_bid_from_one_never_asked_is_rejected() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let asked = mesh.seller(1, 30, "think");
    mesh.announce(manager, &[asked]);
    // It has bid somewhere else, and tries its luck here.
    let other = mesh.trader(0, &Trader { style: "wait".into(), ..Trader::default() });
    let uninvited = mesh.seller(1, 1, "done");
    mesh.announce(other, &[uninvited]);
    let (contract, number) = (mesh.contract_of(manager), mesh.job_of(uninvited));
    let bid = forged(uninvited, number, 1);
    mesh.say(uninvited, manager, &Tell::Bid { contract, bid });
    assert_eq!(mesh.log_of(uninvited)[1], "job Rejected");
    mesh.order(asked, &Order::Bid);
    assert_eq!(mesh.log_of_busy(manager)[0], "bids thought");
}

#[test]
fn of_two_bids_from_one_the_first_stands() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader::default());
    let seller = mesh.seller(1, 30, "done");
    mesh.announce_to_all(manager);
    let contract = mesh.contract_of(manager);
    mesh.say(seller, manager, &Tell::Bid { contract, bid: forged(seller, 1, 1) });
    mesh.advance(S * 10);
    assert_eq!(mesh.log_of(manager), ["bids for 30", "completed here it is"]);
}

#[test]
fn a_bid_in_the_name_of_another_spoils_nothing_but_itself() {
    let mut mesh = Mesh::new(2);
    let manager = mesh.trader(0, &Trader { count: 3, ..Trader::default() });
    let [honest, victim] = [30, 40].map(|cost| mesh.seller(1, cost, "done"));
    let forger = mesh.probe(1);
    let nobody = Address { agent: AgentId(77_777), ..forger };
    let (hold, nobody_else) = ((1, 0), mesh.probe(0));
    mesh.held.insert(hold);
    mesh.announce_to_all(manager);
    let contract = mesh.contract_of(manager);
    // Before the victim's own bid comes; and one in nobody's name.
    mesh.say(nobody_else, manager, &Tell::Bid { contract, bid: forged(victim, 1, -9) });
    mesh.release();
    mesh.say(forger, manager, &Tell::Bid { contract, bid: forged(nobody, 2, -8) });
    mesh.advance(S * 10);
    let log = mesh.log_of(manager);
    assert_eq!(log[0], "bids forged, forged, for 30, for 40");
    assert_eq!(log[1..], ["a bid is gone", "a bid is gone", "here it is without 2"]);
    assert_eq!(mesh.log_of(honest)[2], "job Acknowledged");
    assert_eq!(mesh.log_of(victim)[1], "job Rejected");
}

#[test]
fn a_bid_that_does_not_decode_is_rejected_and_such_a_report_cancelled() {
    for (bids_clearly, told, heard) in [
        (false, &["Expired { further: false } after 1 bids"][..], "Rejected"),
        (
            true,
            &["bids clear", "cancelled: the report does not decode"],
            "Cancelled(\"the report does not decode\")",
        ),
    ] {
        let mut mesh = Mesh::new(2);
        let manager = mesh.trader(0, &Trader::default());
        let mumbler = mesh.start(1, "mumbler", &Mumbler { bids_clearly, log: Vec::new() });
        mesh.announce(manager, &[mumbler]);
        assert_eq!(mesh.log_of(manager), told);
        assert_eq!(mesh.log_of(mumbler), [heard]);
    }
}

#[test]
fn a_cycle_of_nested_announcements_ends() {
    let mut mesh = Mesh::new(1);
    let first = mesh.trader(0, &Trader::default());
    let again = Mesh::new(1).trader(0, &Trader::default());
    assert_eq!(first, again, "the same seed gives the same ids");
    // The first of them asks the last.
    let mut names = Mesh::new(1);
    let all = [(); 3].map(|()| names.trader(0, &Trader::default()));
    let mut mesh = Mesh::new(1);
    for place in 0..3 {
        assert_eq!(mesh.asker(0, &[all[(place + 1) % 3]], ""), all[place]);
    }
    let manager = mesh.trader(0, &Trader::default());
    mesh.announce(manager, &[all[0]]);
    assert_eq!(mesh.log_of(manager), ["Expired { further: false } after 0 bids"]);
    for agent in all {
        assert_eq!(mesh.log_of(agent), ["announced a boat", "job Refused"]);
    }
}

#[test]
fn a_proposal_to_oneself_asks_nobody() {
    let mut mesh = Mesh::new(1);
    let seller = mesh.seller(0, 10, "done");
    mesh.announce(seller, &[seller]);
    assert_eq!(mesh.log_of(seller), ["Expired { further: false } after 0 bids"]);
    mesh.announce_to_all(seller);
    mesh.advance(S * 10);
    assert_eq!(mesh.log_of(seller), ["Expired { further: false } after 0 bids"].repeat(2));
}

#[test]
fn very_many_bids_are_shown_in_part() {
    let mut mesh = Mesh::new(1);
    let manager = mesh.trader(0, &Trader { style: "wait".into(), ..Trader::default() });
    mesh.announce_to_all(manager);
    mesh.announce_to_all(manager);
    let contracts: Vec<u64> = mesh.look_at(manager).0.asked.keys().map(|of| of.number()).collect();
    for contract in contracts {
        for bidder in 0..4000 {
            let from = Address { agent: AgentId(100_000 + bidder), ..manager };
            let body = wire::encode(&Tell::Bid { contract, bid: forged(from, 1, 1) });
            mesh.engines[0].notify(from, manager, Sell::NAME, Codec::Native, body);
            if bidder % 1000 == 999 {
                mesh.tick(0);
            }
        }
    }
    let (_, waits) = mesh.look_at(manager);
    let waits: Vec<serde_json::Value> = waits
        .as_array()
        .expect("a list")
        .iter()
        .map(|wait| serde_json::from_str(wait.as_str().expect("text")).expect("JSON"))
        .collect();
    let bids = |wait: &serde_json::Value| {
        let then = &wait["then"];
        (then["bids"].as_array().map_or(0, Vec::len), then["more_bids"].as_u64())
    };
    assert_eq!(waits.iter().map(bids).collect::<Vec<_>>(), [(512, Some(3488)), (0, Some(4000))]);
}

pub(super) fn asked(ask: &Ask<'_>, asker: Address) -> AgentInput<'static> {
    let dialog = Dialog { asker, number: 7, json: false };
    let body = wire::encode(ask).into();
    AgentInput::Request { name: Sell::NAME.into(), dialog, body }
}

pub(super) fn came(wait: WaitId, reply: Result<&Reply<'_>, Failure>) -> AgentInput<'static> {
    let outcome = Some(reply.map(|reply| wire::encode(reply).into()));
    AgentInput::Resume { wait, outcome }
}

/// The last request among some effects.
pub(super) fn request(effects: &[Effect]) -> (&str, WaitId, Ask<'_>) {
    let request = effects.iter().rev().find_map(|effect| match effect {
        Effect::Request { name, wait, body, .. } if *name == Sell::NAME => {
            let ask = wire::decode_borrowed(body, body.len()).expect("it decodes");
            Some((&**name, *wait, ask))
        }
        _ => None,
    });
    request.expect("a request")
}

pub(super) fn replied(effects: &[Effect]) -> Reply<'_> {
    let reply = effects.iter().find_map(|effect| match effect {
        Effect::Reply { outcome: Ok(body), .. } => Some(body),
        _ => None,
    });
    let reply = reply.expect("an answer");
    wire::decode_borrowed(reply, reply.len()).expect("it decodes")
}

pub(super) const MANAGER: Address = Cage::<Trader>::ASKER;

/// A trader that has bid for a contract of the manager's, and is granted it.
pub(super) fn granted(style: &str) -> Cage<Trader> {
    let trader = Trader { cost: Some(5), style: style.into(), ..Trader::default() };
    let mut cage = Cage::new(trader);
    let announcement = Announcement {
        traversal: Traversal(1),
        contract: 77,
        level: 0,
        reach: None,
        left: S * 10,
        stands: S * 21,
        body: Cow::Owned(wire::encode(&Sell("a boat".into()))),
    };
    cage.input(asked(&Ask::Announce(announcement), MANAGER));
    let bid = cage.state().seen[0].number();
    let body = Cow::Owned(wire::encode("take it"));
    let left = S * 10;
    cage.input(asked(&Ask::Grant { bid, contract: 77, left, body }, MANAGER));
    cage
}

/// An acknowledgement may be lost: then the manager is asked before the work is undone.
#[test]
fn whoever_is_not_acknowledged_asks_what_has_become_of_the_contract() {
    for (reply, expected) in [
        (Ok(Reply::Acknowledged), "job Acknowledged"),
        (Ok(Reply::Cancelled("no".into())), "job Cancelled(\"no\")"),
        (Ok(Reply::Forgotten), "job Aborted(\"the manager knows the contract no more\")"),
        (Err(Failure::Gone), "job Aborted(\"the manager is gone\")"),
    ] {
        let mut cage = granted("done");
        let bid = cage.state().seen[0].number();
        let is_watch = |effect: &Effect| match effect {
            Effect::Request { name, to, .. } => name == "agent/watch" && *to == MANAGER,
            _ => false,
        };
        assert!(!cage.advance(S - Duration::from_nanos(1)).iter().any(is_watch));
        assert!(cage.advance(Duration::from_nanos(1)).iter().any(is_watch));
        let effects = cage.advance(S * 19);
        let (_, wait, ask) = request(&effects);
        assert_eq!(ask, Ask::Settle { contract: 77, bid });
        // The others may still be at work.
        cage.input(came(wait, Ok(&Reply::Pending { left: S * 3 })));
        let effects = cage.advance(S * 13);
        let (_, wait, ask) = request(&effects);
        assert_eq!(ask, Ask::Settle { contract: 77, bid });
        cage.input(came(wait, reply.as_ref().map_err(Clone::clone)));
        assert_eq!(cage.state().log[2..], [expected]);
        assert!(cage.waits().is_empty());
        cage.replay();
    }
}

#[test]
fn a_manager_says_what_has_become_of_a_contract() {
    let other = Address { agent: AgentId(5555), ..MANAGER };
    let mut cage = Cage::new(Trader { count: 2, ..Trader::default() });
    let effects = cage.ask(Order::Announce { to: vec![MANAGER, other], mesh: false, reach: None });
    let (_, second, Ask::Announce(announcement)) = request(&effects) else { panic!("announced") };
    let (contract, first) = (announcement.contract, cage.waits()[0]);
    cage.input(came(first, Ok(&Reply::Bid(forged(MANAGER, 1, 1)))));
    let granted = cage.input(came(second, Ok(&Reply::Bid(forged(other, 2, 2)))));
    let grants = granted.iter().filter_map(|effect| match effect {
        Effect::Request { wait, .. } => Some(*wait),
        _ => None,
    });
    let [one, two] = grants.collect::<Vec<_>>()[..] else { panic!("two grants") };
    let report = wire::encode("done");
    cage.input(came(one, Ok(&Reply::Report(Cow::Borrowed(&report)))));
    let settle = Ask::Settle { contract, bid: 1 };
    let effects = cage.input(asked(&settle, MANAGER));
    assert_eq!(replied(&effects), Reply::Pending { left: S * 10 });
    cage.input(came(two, Ok(&Reply::Report(Cow::Borrowed(&report)))));
    assert_eq!(replied(&cage.input(asked(&settle, MANAGER))), Reply::Acknowledged);
    cage.advance(S * 29);
    assert_eq!(replied(&cage.input(asked(&settle, MANAGER))), Reply::Acknowledged);
    // Only who has done it is told so.
    let stranger = cage.input(asked(&settle, other));
    assert_eq!(replied(&stranger), Reply::Cancelled("it was not granted".into()));
    let unknown = cage.input(asked(&Ask::Settle { contract: 1, bid: 1 }, MANAGER));
    assert_eq!(replied(&unknown), Reply::Forgotten);
    cage.replay();
}

#[test]
fn a_report_for_a_contract_never_granted_is_no_answer() {
    let mut cage = Cage::new(Trader::default());
    let effects = cage.ask(Order::Announce { to: vec![MANAGER], mesh: false, reach: None });
    let (_, wait, _) = request(&effects);
    let report = wire::encode("I did it");
    cage.input(came(wait, Ok(&Reply::Report(Cow::Borrowed(&report)))));
    assert_eq!(cage.state().log, ["Expired { further: false } after 0 bids"]);
    assert!(cage.waits().is_empty());
}

/// A trader whose code has forgotten how to trade.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Retired(Trader);
impl agent::Agent for Retired {
    const KIND: &'static str = "trader";
    type Then = Never;
    fn interests(_: &mut Interests<Self>) {}
}

#[test]
fn what_a_kind_takes_no_part_in_any_more_ends_when_it_comes_back() {
    let mut cage = granted("later");
    cage.ask(Order::Announce { to: vec![MANAGER], mesh: false, reach: None });
    assert_eq!(cage.waits().len(), 4, "a question, a watch and two windows");
    let mut retired: Cage<Retired> = cage.upgraded();
    let effects = retired.input(AgentInput::Recovered);
    let why = "the contractor does no such work any more";
    assert_eq!(replied(&effects), Reply::Defect(why.into()));
    // What was asked is waited for, to reject a bid that comes late.
    assert_eq!(retired.waits().len(), 1);
    assert_eq!(retired.advance(S * 20), []);
    assert!(retired.waits().is_empty());
    retired.replay();
}
