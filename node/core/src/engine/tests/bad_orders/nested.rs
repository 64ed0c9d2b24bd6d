//! What is asked of others for a job, to the last field.

use super::*;

#[test]
fn a_nested_announcement_says_what_is_left_of_the_first() {
    let asker = |steps| Trader { neighbours: vec![OTHER], steps, ..Trader::default() };
    let outer = |reach| Announcement { reach, ..announcement(1, S * 4, work()) };
    for (reach, steps, expected) in [
        (None, None, None),
        (Some(5), None, Some(5)),
        (None, Some(1), Some(2)),
        (Some(5), Some(1), Some(2)),
        (Some(1), Some(3), Some(1)),
    ] {
        let (_, effects) = announced_to(asker(steps), outer(reach));
        let (_, _, Ask::Announce(asked)) = request(&effects) else { panic!("{effects:?}") };
        let left = Duration::from_millis(3600);
        let nested = Announcement {
            contract: asked.contract,
            level: 1,
            reach: expected,
            left,
            stands: S * 9,
            ..outer(None)
        };
        assert_eq!(asked, nested, "{reach:?} {steps:?}");
    }
}

#[test]
fn whoever_is_granted_work_grants_parts_of_it_for_a_tenth_less() {
    let tree = Trader { neighbours: vec![OTHER], style: "tree".into(), ..Trader::default() };
    let (mut cage, effects) = announced_to(tree, announcement(1, S * 4, work()));
    let (_, wait, _) = request(&effects);
    let effects = cage.input(came(wait, Ok(&Reply::Bid(forged(OTHER, 4, 3)))));
    let [(1, Reply::Bid(bid))] = &replies(&effects)[..] else { panic!("{effects:?}") };
    let bid = bid.id.number;
    // What it has bid for, it cannot hand over.
    assert_eq!(cage.ask(Order::HandOver).len(), 1, "nothing but the answer");
    let body = Cow::Owned(wire::encode("take it"));
    let grant = Ask::Grant { bid, contract: 77, left: S * 10, body };
    let effects = cage.input(asks(Sell::NAME, MANAGER, &grant));
    let [(OTHER, Sell::NAME, Ask::Grant { bid: 4, left, .. })] = requests(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(left, S * 9);
    let expected = [
        "announced a boat",
        "bids forged",
        "handed over: false",
        "granted take it",
        "grants 1: Ok(())",
    ];
    assert_eq!(cage.state().log, expected);
    cage.replay();
}

#[test]
fn a_search_for_granted_work_ends_before_the_work() {
    let seller =
        Trader { cost: Some(5), style: "ask".into(), neighbours: vec![OTHER], ..Trader::default() };
    let (mut cage, _) = announced_to(seller, announcement(1, S * 4, work()));
    let bid = cage.state().seen[0].number();
    let body = Cow::Owned(wire::encode("take it"));
    let grant = Ask::Grant { bid, contract: 77, left: S * 5, body };
    let effects = cage.input(asks(Sell::NAME, MANAGER, &grant));
    let (_, _, Ask::Announce(asked)) = request(&effects) else { panic!("{effects:?}") };
    assert_eq!((asked.level, asked.left), (0, Duration::from_millis(4500)));
    assert_ne!(asked.traversal, Traversal(1));
}

#[test]
fn nobody_is_asked_in_a_search_who_knows_of_it() {
    let style = "think".into();
    let neighbours = vec![ME, MANAGER, OTHER, THIRD];
    let (mut cage, _) = announced_to(
        Trader { neighbours, style, ..Trader::default() },
        announcement(1, S * 4, work()),
    );
    let effects = cage.input(announces(OTHER, announcement(1, S * 4, work())));
    assert_eq!(replies(&effects), [(1, Reply::Duplicate)]);
    let effects = cage.ask(Order::Ask);
    let asked: Vec<_> = requests(&effects).into_iter().map(|(to, ..)| to).collect();
    assert_eq!(asked, [THIRD]);
    // For work of another sort, whoever has brought it may well be asked.
    let mends = Trader {
        cost: Some(3),
        style: "mend".into(),
        neighbours: vec![MANAGER],
        ..Trader::default()
    };
    let (_, effects) = announced_to(mends, announcement(1, S * 4, work()));
    assert!(matches!(requests(&effects)[..], [(MANAGER, Mend::NAME, _)]), "{effects:?}");
}

#[test]
fn a_job_that_is_over_is_announced_to_nobody() {
    let thinker = Trader { style: "think".into(), neighbours: vec![OTHER], ..Trader::default() };
    let (mut cage, _) = announced_to(thinker, announcement(1, S * 4, work()));
    cage.advance(S * 4);
    assert_eq!(requests(&cage.ask(Order::Ask)), []);
    assert_eq!(cage.state().log, ["announced a boat", "job Expired"]);
    assert!(cage.state().asked.is_empty(), "it has ended at once");
}

#[test]
fn who_knows_nobody_beyond_the_reach_says_that_there_is_nobody() {
    for (neighbours, further) in [(vec![MANAGER], false), (vec![OTHER], true)] {
        let announcement = Announcement { reach: Some(0), ..announcement(1, S, work()) };
        let (_, effects) = announced_to(Trader { neighbours, ..Trader::default() }, announcement);
        assert_eq!(replies(&effects), [(1, Reply::Refused { further })]);
    }
}

#[test]
fn a_question_is_the_answer_to_one_of_the_same_search_only() {
    let asker = Trader { neighbours: vec![OTHER], ..Trader::default() };
    let (mut cage, _) = announced_to(asker, announcement(1, S * 4, work()));
    let mend =
        || Announcement { body: wire::encode(&Mend).into(), ..announcement(1, S * 4, vec![]) };
    for _ in 0..2 {
        cage.input(announces(OTHER, announcement(2, S * 4, work())));
        cage.input(asks(Mend::NAME, OTHER, &Ask::Announce(mend())));
    }
    // In its own search it still waits for that one. In the other there was nobody else to ask.
    let log = ["announced a boat", "announced a boat", "job Refused", "announced mending"];
    assert_eq!(cage.state().log, log);
    let effects = cage.input(announces(OTHER, announcement(1, S * 4, work())));
    assert_eq!(replies(&effects), [(1, Reply::Duplicate), (1, REFUSED)]);
}
