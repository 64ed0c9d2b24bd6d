//! What one side of a contract may say that the other must not take, and what is asked of others,
//! to the last field.

mod nested;
mod shown;

use std::borrow::Cow;

use starling_protocols::{
    contract::{Announcement, Ask, Bid, Reply, Tell, Traversal, Windows},
    exchange::Codec,
    limits::{ANNOUNCEMENTS_WAITING_BYTES_MAX, ANNOUNCEMENTS_WAITING_MAX, CONTRACTS_PER_AGENT_MAX},
    wire,
};

use super::{
    bad_bids::{MANAGER, Retired, came, forged, granted, request},
    trader::{Mend, Mumbler, Order, Sell, Trader},
    *,
};
use crate::agent::{Cage, Dialog, Effect, Input as AgentInput, Rejection, WaitId};

const S: Duration = Duration::from_secs(1);
const ME: Address = Cage::<Trader>::ME;
const OTHER: Address = Address { host: HostId([3; 32]), agent: AgentId(5555) };
const THIRD: Address = Address { host: HostId([3; 32]), agent: AgentId(6666) };

fn work() -> Vec<u8> {
    wire::encode(&Sell("a boat".into()))
}

fn announcement(search: u128, left: Duration, body: Vec<u8>) -> Announcement<'static> {
    let (traversal, body) = (Traversal(search), Cow::Owned(body));
    let stands = left + S * 5;
    Announcement { traversal, contract: 77, level: 0, reach: None, left, stands, body }
}

/// A question by the name of some work. Its number is that of the search, where it begins one.
fn asks(name: &'static str, asker: Address, ask: &Ask<'_>) -> AgentInput<'static> {
    let number = match ask {
        Ask::Announce(of) => u64::try_from(of.traversal.0).expect("a small number"),
        _ => 0,
    };
    let (dialog, body) = (Dialog { asker, number, json: false }, wire::encode(ask).into());
    AgentInput::Request { name: name.into(), dialog, body }
}

fn announces(asker: Address, announcement: Announcement<'static>) -> AgentInput<'static> {
    asks(Sell::NAME, asker, &Ask::Announce(announcement))
}

fn tells(name: &'static str, from: Address, tell: &Tell<'_>) -> AgentInput<'static> {
    let (codec, body) = (Codec::Native, wire::encode(tell).into());
    AgentInput::Notification { name: name.into(), from, topic: None, codec, body }
}

/// What was asked of whom, by what name.
fn requests(effects: &[Effect]) -> Vec<(Address, &str, Ask<'_>)> {
    let requests = effects.iter().filter_map(|effect| match effect {
        Effect::Request { to, name, body, .. } if name.starts_with("trader/") => {
            Some((*to, &**name, wire::decode_borrowed(body, body.len()).expect("it decodes")))
        }
        _ => None,
    });
    requests.collect()
}

/// The answers, each with the number of the question.
fn replies(effects: &[Effect]) -> Vec<(u64, Reply<'_>)> {
    let replies = effects.iter().filter_map(|effect| match effect {
        Effect::Reply { to, outcome: Ok(body) } => {
            Some((to.number, wire::decode_borrowed(body, body.len()).ok()?))
        }
        _ => None,
    });
    replies.collect()
}

fn told(effects: &[Effect]) -> Vec<(Address, Tell<'_>)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Notify { to, name, body } if *name == Sell::NAME || *name == Mend::NAME => {
            Some((*to, wire::decode_borrowed(body, body.len()).expect("it decodes")))
        }
        _ => None,
    });
    told.collect()
}

const REFUSED: Reply<'_> = Reply::Refused { further: false };

fn announced_to(
    trader: Trader,
    announcement: Announcement<'static>,
) -> (Cage<Trader>, Vec<Effect>) {
    let mut cage = Cage::new(trader);
    let effects = cage.input(announces(MANAGER, announcement));
    (cage, effects)
}

/// One that has announced to these, with what waits for their answers.
fn manager(to: &[Address], count: usize) -> (Cage<Trader>, u64, Vec<WaitId>) {
    let mut cage = Cage::new(Trader { count, ..Trader::default() });
    let effects = cage.ask(Order::Announce { to: to.to_vec(), mesh: to.is_empty(), reach: None });
    let waits = effects.iter().filter_map(|effect| match effect {
        Effect::Request { wait, .. } => Some(*wait),
        _ => None,
    });
    let contract = cage.state().asked.keys().next().expect("it has announced").number();
    (cage, contract, waits.collect())
}

/// One that has granted its work to the manager of others and to another; it waits for both.
fn granted_to_two() -> (Cage<Trader>, u64, [WaitId; 2]) {
    let (mut cage, contract, waits) = manager(&[MANAGER, OTHER], 2);
    cage.input(came(waits[0], Ok(&Reply::Bid(forged(MANAGER, 1, 1)))));
    let effects = cage.input(came(waits[1], Ok(&Reply::Bid(forged(OTHER, 2, 2)))));
    let grants = effects.iter().filter_map(|effect| match effect {
        Effect::Request { wait, .. } => Some(*wait),
        _ => None,
    });
    let grants: Vec<_> = grants.collect();
    (cage, contract, grants.try_into().expect("two grants"))
}

fn done() -> Reply<'static> {
    Reply::Report(Cow::Owned(wire::encode("done")))
}

fn becomes(cage: &mut Cage<Trader>, contract: u64, whose: Address, bid: u64) -> Reply<'static> {
    let effects = cage.input(asks(Sell::NAME, whose, &Ask::Settle { contract, bid }));
    match replies(&effects).remove(0).1 {
        Reply::Acknowledged => Reply::Acknowledged,
        Reply::Forgotten => Reply::Forgotten,
        Reply::Pending { left } => Reply::Pending { left },
        Reply::Cancelled(why) => Reply::Cancelled(why.into_owned().into()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_who_has_granted_the_work_takes_it_back() {
    let mut cage = granted("later");
    let bid = cage.state().seen[0].number();
    let cancel = Tell::Cancel { bid, why: "no".into() };
    cage.input(tells(Sell::NAME, OTHER, &cancel));
    // Nor by the name of other work.
    cage.input(tells(Mend::NAME, MANAGER, &cancel));
    assert_eq!(cage.state().log, ["announced a boat", "granted take it"]);
    let effects = cage.input(tells(Sell::NAME, MANAGER, &cancel));
    assert_eq!(cage.state().log[2..], ["job Cancelled(\"no\")"]);
    // The grant is answered all the same.
    assert_eq!(replies(&effects), [(7, Reply::Defect("no".into()))]);
    assert!(cage.waits().is_empty());
    cage.replay();
}

#[test]
fn a_contract_is_of_one_name() {
    // A grant by the name of other work meets no bid.
    let seller = Trader { cost: Some(5), ..Trader::default() };
    let (mut cage, _) = announced_to(seller, announcement(1, S * 10, work()));
    let bid = cage.state().seen[0].number();
    let (left, body) = (S, Cow::Owned(wire::encode(&())));
    let grant = Ask::Grant { bid, contract: 77, left, body };
    assert_eq!(replies(&cage.input(asks(Mend::NAME, MANAGER, &grant))), [(0, Reply::NoBid)]);
    // A bid by it meets no contract, and is taken back by that name only.
    let (mut cage, contract, _) = manager(&[], 1);
    let tell = Tell::Bid { contract, bid: forged(OTHER, 4, 1) };
    let effects = cage.input(tells(Mend::NAME, OTHER, &tell));
    assert_eq!(told(&effects), [(OTHER, Tell::Reject { bid: 4 })]);
    assert_eq!(told(&cage.input(tells(Sell::NAME, OTHER, &tell))), []);
    let withdraw = Tell::Withdraw { contract, bid: 4, why: "no".into() };
    cage.input(tells(Mend::NAME, OTHER, &withdraw));
    assert_eq!(cage.state().log, Vec::<String>::new());
    cage.input(tells(Sell::NAME, OTHER, &withdraw));
    assert_eq!(cage.state().log, ["a bid is gone"]);
    // And so it is for what has become of one.
    let (mut cage, contract, [one, two]) = granted_to_two();
    let settle = Ask::Settle { contract, bid: 1 };
    let forgotten = [(0, Reply::Forgotten)];
    assert_eq!(replies(&cage.input(asks(Mend::NAME, MANAGER, &settle))), forgotten);
    cage.input(came(one, Ok(&done())));
    cage.input(came(two, Ok(&done())));
    assert_eq!(replies(&cage.input(asks(Mend::NAME, MANAGER, &settle))), forgotten);
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Acknowledged);
}

#[test]
fn nobody_outside_the_mesh_takes_part() {
    let dialog = Dialog { asker: MANAGER, number: 1, json: true };
    let body = wire::encode(&Ask::Announce(announcement(1, S, work()))).into();
    let input = AgentInput::Request { name: Sell::NAME.into(), dialog, body };
    let why = "this is between agents; nobody outside the mesh can take part";
    let (handled, effects) = Cage::new(Trader::default()).try_input(input);
    assert_eq!((handled, effects), (Err(Rejection::BadBody(why.into())), vec![]));
}

#[test]
fn work_that_is_not_done_in_time_ends_without_a_word_of_its_manager() {
    let mut cage = granted("later");
    cage.advance(S * 10);
    let late = "job Cancelled(\"the report did not come in time\")";
    assert_eq!(cage.state().log[2..], [late]);
    assert!(cage.waits().is_empty());
}

#[test]
fn work_that_is_done_cannot_be_taken_back_as_a_bid() {
    let mut cage = granted("done");
    assert_eq!(told(&cage.ask(Order::Withdraw)), []);
    assert_eq!(cage.state().log[2..], ["withdrew 0"]);
    // It still waits to be acknowledged.
    let bid = cage.state().seen[0].number();
    cage.input(tells(Sell::NAME, MANAGER, &Tell::Acknowledge { bid }));
    assert_eq!(cage.state().log[3..], ["job Acknowledged"]);
}

#[test]
fn how_long_a_job_stands_can_be_known() {
    let thinker = Trader { style: "think".into(), ..Trader::default() };
    let (mut cage, _) = announced_to(thinker, announcement(1, S * 4, work()));
    cage.advance(S);
    cage.ask(Order::Left);
    cage.ask(Order::Bid);
    cage.ask(Order::Left);
    cage.advance(S * 8);
    cage.ask(Order::Left);
    let expected =
        ["announced a boat", "3s left", "bid: true", "8s left", "job Expired", "0ns left"];
    assert_eq!(cage.state().log, expected);
}

#[test]
fn announcements_that_wait_are_refused_when_their_time_is_over() {
    let seller = || Trader { cost: Some(5), style: "later".into(), ..Trader::default() };
    let busy = |seconds: u32| {
        let mut cage = Cage::new(seller());
        for search in 1..=2 {
            let effects = cage.input(announces(MANAGER, announcement(search, S * 10, work())));
            assert_eq!(replies(&effects).len(), 1);
        }
        let effects = cage.input(announces(MANAGER, announcement(3, S * seconds, work())));
        assert_eq!(effects, []);
        cage
    };
    // With the next that comes.
    let mut cage = busy(3);
    cage.advance(S * 3);
    let effects = cage.input(announces(MANAGER, announcement(4, S * 3, work())));
    assert_eq!(replies(&effects), [(3, REFUSED)]);
    // When it would be its turn; the one after it has more time.
    let mut cage = busy(3);
    cage.input(announces(MANAGER, announcement(4, S * 9, work())));
    cage.advance(S * 3);
    let bid = cage.state().seen[0].number();
    let effects = cage.input(tells(Sell::NAME, MANAGER, &Tell::Reject { bid }));
    let [(3, REFUSED), (4, Reply::Bid(_))] = replies(&effects)[..] else { panic!("{effects:?}") };
    // When the agent is stopped, and when its code bids for such work no more.
    let effects = busy(3).stop();
    assert_eq!(replies(&effects), [(3, REFUSED)]);
    let mut retired: Cage<Retired> = busy(3).upgraded();
    assert_eq!(replies(&retired.input(AgentInput::Recovered)), [(3, REFUSED)]);
}

#[test]
fn only_so_many_announcements_wait() {
    let seller = || Trader { cost: Some(5), ..Trader::default() };
    let mut cage = Cage::new(seller());
    let most = ANNOUNCEMENTS_WAITING_MAX as u128;
    for search in 1..=most + 3 {
        let effects = cage.input(announces(MANAGER, announcement(search, S, work())));
        let answered = replies(&effects).len();
        assert_eq!(answered, usize::from(search <= 2 || search > most + 2), "{search}");
    }
    // In bytes.
    let mut cage = Cage::new(seller());
    let eighth = ANNOUNCEMENTS_WAITING_BYTES_MAX / 8;
    let text = (0..16).map(|less| wire::encode(&Sell("o".repeat(eighth - less))));
    let body = text.into_iter().find(|body| body.len() == eighth).expect("such a length");
    for search in 1..=11 {
        let body = if search <= 10 { body.clone() } else { vec![0] };
        let effects = cage.input(announces(MANAGER, announcement(search, S, body)));
        assert_eq!(replies(&effects).len(), usize::from(search <= 2 || search > 10), "{search}");
    }
}

/// Whatever another says of its windows, nothing is remembered for longer than this side's own.
#[test]
fn a_search_is_remembered_no_longer_than_its_work_may_take() {
    let mut cage = Cage::new(Trader::default());
    let announce = |cage: &mut Cage<Trader>, search| {
        let announcement = Announcement { left: S * 90_000, ..announcement(search, S, work()) };
        cage.input(announces(MANAGER, announcement));
        cage.state().log.len()
    };
    for search in 0..64 {
        announce(&mut cage, search);
    }
    let before = announce(&mut cage, 0);
    cage.advance(S * 10);
    // With one more it is looked through what can be forgotten.
    announce(&mut cage, 64);
    assert_eq!(announce(&mut cage, 0), before + 4, "it is new again");
}

#[test]
fn an_agent_takes_part_in_only_so_many_contracts() {
    let mut mesh = Mesh::new(1);
    let manager = mesh.trader(0, &Trader::default());
    for _ in 0..CONTRACTS_PER_AGENT_MAX {
        mesh.announce_to_all(manager);
    }
    assert_eq!(mesh.log_of_busy(manager), Vec::<String>::new());
    mesh.announce_to_all(manager);
    assert_eq!(mesh.log_of_busy(manager), ["Expired { further: false } after 0 bids"]);
}

#[test]
fn an_agent_does_only_so_many_jobs_however_many_at_a_time_it_wants() {
    let mut mesh = Mesh::new(1);
    let mumbler = mesh.start(0, "mumbler", &Mumbler::default());
    let from = Address { agent: AgentId(77_777), ..mumbler };
    for search in 0..=CONTRACTS_PER_AGENT_MAX as u128 {
        let body = wire::encode(&Tell::Announce(announcement(search, S, work())));
        mesh.engines[0].notify(from, mumbler, Sell::NAME, Codec::Native, body);
        if search % 1000 == 999 {
            mesh.tick(0);
        }
    }
    mesh.tick(0);
    let (_, waits) = mesh.look_at(mumbler);
    let waits = waits.as_array().expect("a list");
    // Of very many the first are shown.
    let last: serde_json::Value =
        serde_json::from_str(waits[256].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (waits.len(), &last["then"]["more"]),
        (257, &(CONTRACTS_PER_AGENT_MAX - 256).into())
    );
}

#[test]
fn who_is_acknowledged_while_it_asks_waits_for_no_answer() {
    let mut cage = granted("done");
    let bid = cage.state().seen[0].number();
    let effects = cage.advance(S * 20);
    assert!(matches!(request(&effects).2, Ask::Settle { .. }));
    cage.input(tells(Sell::NAME, MANAGER, &Tell::Acknowledge { bid }));
    assert_eq!(cage.state().log[2..], ["job Acknowledged"]);
    assert!(cage.waits().is_empty());
}

#[test]
fn what_was_announced_for_work_that_counts_goes_on() {
    let style = "mend".into();
    let neighbours = vec![OTHER];
    let mends = Trader { cost: Some(3), style, neighbours, ..Trader::default() };
    let mut cage = Cage::new(mends);
    let effects = cage.input(announces(MANAGER, announcement(1, S * 10, work())));
    let wait = effects.iter().find_map(|effect| match effect {
        Effect::Request { wait, name, .. } if *name == Mend::NAME => Some(*wait),
        _ => None,
    });
    let bid = cage.state().seen[0].number();
    cage.ask(Order::Left);
    let body = Cow::Owned(wire::encode("take it"));
    cage.input(asks(Sell::NAME, MANAGER, &Ask::Grant { bid, contract: 77, left: S, body }));
    cage.ask(Order::Left);
    // What it was granted is left to be done later, in this style.
    cage.input(tells(Sell::NAME, MANAGER, &Tell::Acknowledge { bid }));
    let reply = Reply::Bid(Bid { body: wire::encode(&()), ..forged(OTHER, 4, 1) });
    cage.input(came(wait.expect("it has asked"), Ok(&reply)));
    assert_eq!(cage.state().log.last().map(String::as_str), Some("1 would mend it"));
}

#[test]
fn what_does_not_decode_is_refused_and_given_back() {
    let seller = || Trader { cost: Some(5), ..Trader::default() };
    let (_, effects) = announced_to(seller(), announcement(1, S, vec![0xff]));
    assert_eq!(replies(&effects), [(1, REFUSED)]);
    let (mut cage, _) = announced_to(seller(), announcement(1, S, work()));
    let bid = cage.state().seen[0].number();
    let body = Cow::Owned(vec![0xff]);
    let effects =
        cage.input(asks(Sell::NAME, MANAGER, &Ask::Grant { bid, contract: 77, left: S, body }));
    assert_eq!(replies(&effects), [(0, Reply::Defect("the grant does not decode".into()))]);
    assert_eq!(cage.state().log, ["announced a boat", "job Defected"]);
}

#[test]
fn whoever_is_told_of_a_bid_may_take_it_at_once() {
    let mut cage = Cage::new(Trader { style: "eager".into(), ..Trader::default() });
    let effects = cage.ask(Order::Announce { to: vec![MANAGER, OTHER], mesh: false, reach: None });
    let (_, wait, _) = request(&effects);
    let effects = cage.input(came(wait, Ok(&Reply::Bid(forged(OTHER, 4, 3)))));
    let [(OTHER, Sell::NAME, Ask::Grant { bid: 4, .. })] = requests(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(cage.state().log, ["takes forged for 3"]);
}

#[test]
fn what_has_become_of_each_contract_is_known_for_a_while() {
    let not_granted = || Reply::Cancelled("it was not granted".into());
    // Under way, it is told to those it was granted to.
    let (mut cage, contract, [one, two]) = granted_to_two();
    let pending = Reply::Pending { left: S * 10 };
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), pending);
    assert_eq!(becomes(&mut cage, contract, OTHER, 1), not_granted());
    cage.input(came(one, Ok(&done())));
    assert_eq!(becomes(&mut cage, contract, OTHER, 1), not_granted());
    // Done in part.
    cage.input(came(two, Ok(&Reply::NoBid)));
    assert_eq!(cage.state().log[1..], ["a bid is gone", "done without 1"]);
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Acknowledged);
    assert_eq!(becomes(&mut cage, contract, OTHER, 2), not_granted());
    // Not done.
    let (mut cage, contract, [one, two]) = granted_to_two();
    cage.input(came(one, Ok(&done())));
    cage.input(came(two, Ok(&Reply::Defect("broken".into()))));
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Cancelled("broken".into()));
    assert!(cage.waits().is_empty());
    // Not in time: whichever wait ends first.
    let (mut cage, contract, [one, _]) = granted_to_two();
    cage.input(came(one, Ok(&done())));
    cage.advance(S * 10);
    assert_eq!(cage.state().log[1..], ["Aborted after 2 bids"]);
    let why = "another report did not come in time";
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Cancelled(why.into()));
    assert!(cage.waits().is_empty());
    // Given up: then nobody's report is waited for.
    let (mut cage, contract, _) = granted_to_two();
    let effects = cage.ask(Order::GiveUp);
    let cancels = [(MANAGER, 1), (OTHER, 2)]
        .map(|(to, bid)| (to, Tell::Cancel { bid, why: "enough".into() }));
    assert_eq!(told(&effects), cancels);
    let given_up = Reply::Cancelled("it was given up".into());
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), given_up);
    assert!(cage.waits().is_empty());
    // Of one that nobody was granted or asked for there is nothing to know.
    let (mut cage, contract, _) = manager(&[], 1);
    cage.ask(Order::GiveUp);
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Forgotten);
}

#[test]
fn what_has_become_of_a_contract_is_forgotten_when_nobody_can_wait_for_it() {
    let (mut cage, contract, grants) = granted_to_two();
    grants.into_iter().for_each(|grant| drop(cage.input(came(grant, Ok(&done())))));
    let Windows { decision, reports, .. } = Windows::DEFAULT;
    let end_another = |cage: &mut Cage<Trader>| {
        let effects = cage.ask(Order::Announce { to: vec![OTHER], mesh: false, reach: None });
        let (_, wait, _) = request(&effects);
        let effects = cage.input(came(wait, Ok(&Reply::Bid(forged(OTHER, 3, 1)))));
        let (_, wait, _) = request(&effects);
        cage.input(came(wait, Ok(&done())));
    };
    cage.advance(reports + decision * 2 - Duration::from_nanos(1));
    end_another(&mut cage);
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Acknowledged);
    cage.advance(Duration::from_nanos(1));
    end_another(&mut cage);
    assert_eq!(becomes(&mut cage, contract, MANAGER, 1), Reply::Forgotten);
}
