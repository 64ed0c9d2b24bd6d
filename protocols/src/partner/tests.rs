//! Each row of the table; then whole groups of agents that forget, come back, end and move while
//! letters are under way.

mod model;

use std::{borrow::Cow, time::Duration};

use super::*;
use crate::{
    exchange::Failure,
    ident::{Address, AgentId, HostId},
    time::Time,
};

const LOW: Address = address(1);
const HIGH: Address = address(9);
const THIRD: Address = address(20);
const BOND: Bond = Bond(7);

const fn address(agent: u8) -> Address {
    Address { host: HostId([agent; 32]), agent: AgentId(agent as u128) }
}

const fn ends() -> Ends {
    Ends { mine: Cow::Borrowed("house/guests"), theirs: Cow::Borrowed("guest/houses") }
}

const fn theirs() -> Ends {
    Ends { mine: Cow::Borrowed("guest/houses"), theirs: Cow::Borrowed("house/guests") }
}

fn proposal(bond: Bond, to: Address) -> Proposal {
    Proposal {
        bond,
        ends: ends(),
        to,
        terms: b"for a night".to_vec(),
        instead_of: None,
        most: 1,
        until: Time::ZERO + Duration::from_secs(6),
    }
}

fn all(table: &mut Partnerships) -> Vec<Output> {
    std::iter::from_fn(|| table.poll()).collect()
}

fn posted(to: Address, letter: Letter<'static>) -> Output {
    Output::Post { to, name: "guest/houses".into(), letter }
}

fn end(bond: Bond, how: Leaving, brothers: &[Address]) -> Letter<'static> {
    Letter::End { bond, how, brothers: brothers.to_vec() }
}

/// A low id that has proposed something to the high one.
fn proposed() -> Partnerships {
    let mut table = Partnerships::default();
    table.propose(proposal(BOND, HIGH), LOW).expect("it may");
    let terms = Cow::Borrowed(&b"for a night"[..]);
    assert_eq!(all(&mut table), [posted(HIGH, Letter::Propose { bond: BOND, terms })]);
    table
}

/// Two that are partners, seen from the low one.
fn standing() -> Partnerships {
    let mut table = proposed();
    let wants = table.take(Letter::Accept { bond: BOND }, &ends(), HIGH, LOW, 1);
    assert_eq!(wants, Some(Wants::Confirmation { bond: BOND }));
    table.confirm(BOND);
    assert_eq!(all(&mut table), [Output::Watch { of: HIGH, bond: BOND }]);
    table
}

/// How the bond ended, and what was posted; nothing of it is left.
fn parted(table: &mut Partnerships) -> (Parted, Vec<Address>, Vec<Output>) {
    assert_eq!(table.get(BOND), None);
    let mut outputs = all(table);
    let Some(Output::Parted { bond: BOND, how, brothers, .. }) = outputs.pop() else {
        panic!("{outputs:?}");
    };
    assert!(matches!(outputs.pop(), Some(Output::Unwatch { bond: BOND, .. })));
    (how, brothers, outputs)
}

fn declined(table: &mut Partnerships) -> (Declined, Vec<Output>) {
    assert!(table.get(BOND).is_none());
    let mut outputs = all(table);
    let Some(Output::Declined { bond: BOND, why, .. }) = outputs.pop() else {
        panic!("{outputs:?}");
    };
    (why, outputs)
}

#[test]
fn what_is_proposed_and_agreed_to_stands_on_both_sides() {
    standing();
    let mut other = Partnerships::default();
    let terms = Cow::Borrowed(&b"for a night"[..]);
    let wants = other.take(Letter::Propose { bond: BOND, terms }, &theirs(), LOW, HIGH, 1);
    assert_eq!(wants, Some(Wants::Answer { bond: BOND, terms: b"for a night".to_vec() }));
    other.accept(BOND);
    let accept = Letter::Accept { bond: BOND };
    let post = Output::Post { to: LOW, name: "house/guests".into(), letter: accept };
    assert_eq!(all(&mut other), [post, Output::Watch { of: LOW, bond: BOND }]);
}

#[test]
fn what_is_proposed_and_declined_is_not() {
    let mut table = proposed();
    let why = Cow::Borrowed("no beds");
    assert_eq!(table.take(Letter::Decline { bond: BOND, why }, &ends(), HIGH, LOW, 1), None);
    assert_eq!(declined(&mut table), (Declined::Refused("no beds".into()), vec![]));
}

#[test]
fn what_is_not_answered_in_time_is_withdrawn_and_an_answer_after_that_is_told_so() {
    let mut table = proposed();
    let at = table.next_deadline().expect("a window");
    table.expire(at);
    let withdrawn = posted(HIGH, end(BOND, Leaving::Withdrawn, &[]));
    assert_eq!(declined(&mut table), (Declined::TimedOut, vec![withdrawn]));
    assert_eq!(table.take(Letter::Accept { bond: BOND }, &ends(), HIGH, LOW, 1), None);
    assert_eq!(all(&mut table), [posted(HIGH, end(BOND, Leaving::Unknown, &[]))]);
}

#[test]
fn who_does_not_agree_in_the_end_takes_it_back() {
    let mut table = proposed();
    table.take(Letter::Accept { bond: BOND }, &ends(), HIGH, LOW, 1);
    table.reconsider(BOND, "too late");
    let withdrawn = posted(HIGH, end(BOND, Leaving::Withdrawn, &[]));
    assert_eq!(declined(&mut table), (Declined::Reconsidered("too late".into()), vec![withdrawn]));
}

#[test]
fn a_proposal_that_does_not_arrive_is_declined() {
    let mut table = proposed();
    table.undelivered(HIGH, "guest/houses", &Failure::NoAgent, Time::ZERO);
    assert_eq!(declined(&mut table), (Declined::Undelivered(Failure::NoAgent), vec![]));
}

#[test]
fn nothing_is_proposed_to_oneself_twice_or_beyond_what_there_may_be() {
    let mut table = proposed();
    let other = Bond(8);
    let mut try_it = |proposal| table.propose(proposal, LOW);
    assert_eq!(try_it(proposal(other, LOW)), Err(ProposeError::Myself));
    assert_eq!(try_it(proposal(other, HIGH)), Err(ProposeError::Already(BOND)));
    assert_eq!(try_it(proposal(other, THIRD)), Err(ProposeError::Full));
    let instead = Proposal { instead_of: Some(BOND), ..proposal(other, THIRD) };
    assert_eq!(try_it(instead), Err(ProposeError::NoSuchPartner), "it does not stand yet");
    assert_eq!(all(&mut table), []);
}

#[test]
fn who_has_as_many_as_it_may_declines() {
    let mut table = standing();
    let (bond, terms) = (Bond(8), Cow::Borrowed(&b""[..]));
    assert_eq!(table.take(Letter::Propose { bond, terms }, &ends(), THIRD, LOW, 1), None);
    let why = Cow::Borrowed("it has as many such partners as it may");
    assert_eq!(all(&mut table), [posted(THIRD, Letter::Decline { bond, why })]);
}

#[test]
fn who_is_asked_whether_it_agrees_has_no_room_for_another_meanwhile() {
    let mut table = Partnerships::default();
    let letter = Letter::Propose { bond: BOND, terms: Cow::Borrowed(b"") };
    let wants = table.take(letter, &ends(), LOW, HIGH, 1);
    assert_eq!(wants, Some(Wants::Answer { bond: BOND, terms: Vec::new() }));
    let to = |to| proposal(Bond(8), to);
    assert_eq!(table.propose(to(THIRD), HIGH), Err(ProposeError::Full));
    assert_eq!(table.propose(to(LOW), HIGH), Err(ProposeError::Already(BOND)));
    table.decline(BOND, "no");
    assert_eq!(table.propose(to(THIRD), HIGH), Ok(()));
}

#[test]
fn of_two_that_propose_the_same_the_smaller_id_goes_on() {
    let (bond, terms) = (Bond(8), Cow::Borrowed(&b""[..]));
    let mut low = proposed();
    let letter = Letter::Propose { bond, terms };
    assert_eq!(low.take(letter.clone(), &ends(), HIGH, LOW, 1), None);
    let why = Cow::Borrowed("this side has proposed the same");
    assert_eq!(all(&mut low), [posted(HIGH, Letter::Decline { bond, why })]);
    let mut high = Partnerships::default();
    high.propose(proposal(BOND, LOW), HIGH).expect("it may");
    all(&mut high);
    assert!(high.take(letter, &ends(), LOW, HIGH, 1).is_some());
    assert_eq!(declined(&mut high), (Declined::Crossed, vec![]));
}

#[test]
fn who_breaks_up_tells_the_other_and_names_the_brothers() {
    let mut table = Partnerships::default();
    for (bond, to) in [(BOND, HIGH), (Bond(8), THIRD)] {
        table.take(Letter::Propose { bond, terms: Cow::Borrowed(b"") }, &ends(), to, LOW, 9);
        table.accept(bond);
    }
    all(&mut table);
    assert!(table.break_up(BOND));
    let told = posted(HIGH, end(BOND, Leaving::Breakup, &[HIGH, THIRD]));
    assert_eq!(parted(&mut table), (Parted::Breakup, vec![], vec![told]));
    assert!(!table.break_up(BOND), "once");
}

#[test]
fn who_ends_its_life_says_so_to_all() {
    let mut table = standing();
    table.propose(Proposal { most: 2, ..proposal(Bond(8), THIRD) }, LOW).expect("it may");
    all(&mut table);
    table.shut_down();
    let outputs = all(&mut table);
    let [told, Output::Unwatch { .. }, Output::Parted { how, .. }, withdrawn, declined] =
        outputs.as_slice()
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(*told, posted(HIGH, end(BOND, Leaving::Shutdown, &[HIGH])));
    assert_eq!(*how, Parted::Shutdown);
    assert_eq!(*withdrawn, posted(THIRD, end(Bond(8), Leaving::Withdrawn, &[])));
    assert!(matches!(declined, Output::Declined { why: Declined::Withdrawn, .. }));
    assert!(table.is_empty());
}

#[test]
fn who_is_left_hears_of_the_brothers() {
    let mut table = standing();
    table.take(end(BOND, Leaving::Breakup, &[LOW, THIRD]), &ends(), HIGH, LOW, 1);
    assert_eq!(parted(&mut table), (Parted::Goodbye, vec![LOW, THIRD], vec![]));
}

#[test]
fn when_the_watch_ends_the_other_side_is_asked() {
    let mut table = standing();
    table.gone(BOND, false, Time::ZERO);
    assert_eq!(all(&mut table), [posted(HIGH, Letter::Check { bond: BOND })]);
    table.take(Letter::Sound { bond: BOND }, &ends(), HIGH, LOW, 1);
    assert_eq!(all(&mut table), [Output::Watch { of: HIGH, bond: BOND }]);
    assert_eq!(table.next_deadline(), None);
    table.take(Letter::Check { bond: BOND }, &ends(), HIGH, LOW, 1);
    assert_eq!(all(&mut table), [posted(HIGH, Letter::Sound { bond: BOND })]);
    table.take(end(BOND, Leaving::Unknown, &[]), &ends(), HIGH, LOW, 1);
    assert_eq!(parted(&mut table).0, Parted::Lost);
}

#[test]
fn a_partner_that_says_nothing_is_looked_for_ever_more_rarely_and_asked_once() {
    let mut table = standing();
    let (mut now, mut pauses) = (Time::ZERO, Vec::new());
    for round in 0..8 {
        table.gone(BOND, false, now);
        let asked = posted(HIGH, Letter::Check { bond: BOND });
        assert_eq!(all(&mut table), if round == 0 { vec![asked] } else { vec![] });
        let at = table.next_deadline().expect("another time");
        pauses.push(at.since(now).as_secs());
        now = at;
        table.expire(now);
        assert_eq!(all(&mut table), [Output::Watch { of: HIGH, bond: BOND }]);
        assert_eq!(table.next_deadline(), None);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 80, 80, 80]);
    // Where somebody answers that it does not know, it is asked each time.
    table.gone(BOND, true, now);
    assert_eq!(all(&mut table), [posted(HIGH, Letter::Check { bond: BOND })]);
}

#[test]
fn not_all_look_for_a_silent_partner_at_once() {
    let mut table = Partnerships::default();
    for bond in [Bond(8), Bond(0xff)] {
        let low = if bond == Bond(8) { LOW } else { THIRD };
        let letter = Letter::Propose { bond, terms: Cow::Borrowed(b"") };
        table.take(letter, &ends(), low, HIGH, 9);
        table.accept(bond);
        table.gone(bond, false, Time::ZERO);
    }
    all(&mut table);
    let mut due = Vec::new();
    while let Some(at) = table.next_deadline() {
        due.push(at.since(Time::ZERO).as_millis());
        table.expire(at);
    }
    assert_eq!(due, [5039, 6245]);
}

#[test]
fn one_that_was_there_for_long_is_looked_for_and_asked_as_for_the_first_time() {
    let mut table = standing();
    let (mut now, asked) = (Time::ZERO, posted(HIGH, Letter::Check { bond: BOND }));
    let mut silent = |table: &mut Partnerships, lasted: u64| {
        table.watched(BOND, Duration::from_secs(lasted));
        table.gone(BOND, false, now);
        let at = table.next_deadline().expect("another time");
        let pause = at.since(now).as_secs();
        now = at;
        let was_asked = all(table).contains(&asked);
        table.expire(now);
        all(table);
        (pause, was_asked)
    };
    assert_eq!(silent(&mut table, 0), (5, true));
    assert_eq!(silent(&mut table, 60), (10, false));
    // So long it may take until it is known that nobody is there.
    assert_eq!(silent(&mut table, 80), (20, false));
    assert_eq!(silent(&mut table, 81), (5, true));
    assert_eq!(silent(&mut table, 0), (10, false));
}

#[test]
fn what_is_proposed_may_end_or_move_before_it_is_answered() {
    let mut table = proposed();
    table.take(end(BOND, Leaving::Shutdown, &[]), &ends(), HIGH, LOW, 1);
    assert_eq!(declined(&mut table), (Declined::Refused("it has ended".into()), vec![]));
    let mut table = proposed();
    assert!(table.break_up(BOND));
    let withdrawn = posted(HIGH, end(BOND, Leaving::Withdrawn, &[]));
    assert_eq!(declined(&mut table), (Declined::Withdrawn, vec![withdrawn]));
    let mut table = proposed();
    let moved = Address { host: THIRD.host, ..HIGH };
    table.restarted(HIGH.agent, moved);
    assert_eq!(all(&mut table), []);
    assert_eq!(table.get(BOND).expect("it is proposed").partner, moved);
}

#[test]
fn what_is_considered_ends_with_the_life_of_the_agent_or_when_it_breaks_up() {
    for (ends_life, why) in [(true, "it ends its life"), (false, "not now")] {
        let mut table = Partnerships::default();
        let letter = Letter::Propose { bond: BOND, terms: Cow::Borrowed(b"") };
        assert!(table.take(letter, &ends(), HIGH, LOW, 1).is_some());
        if ends_life {
            table.shut_down();
        } else {
            assert!(table.break_up(BOND));
        }
        let why = Cow::Borrowed(why);
        assert_eq!(all(&mut table), [posted(HIGH, Letter::Decline { bond: BOND, why })]);
        table.accept(BOND);
        assert!(table.is_empty());
        assert_eq!(all(&mut table), []);
    }
}

#[test]
fn nobody_proposes_to_itself_or_under_a_name_that_is_taken() {
    let mut table = standing();
    let cases = [
        (LOW, Bond(8), "an agent is no partner of its own"),
        (THIRD, BOND, "this name of a partnership is taken"),
    ];
    for (from, bond, why) in cases {
        let letter = Letter::Propose { bond, terms: Cow::Borrowed(b"") };
        assert_eq!(table.take(letter, &ends(), from, LOW, 9), None);
        let why = Cow::Borrowed(why);
        assert_eq!(all(&mut table), [posted(from, Letter::Decline { bond, why })]);
    }
    assert_eq!(table.standing("house/guests").len(), 1);
}

#[test]
fn a_letter_that_cannot_be_posted_makes_it_look_another_time() {
    let mut table = standing();
    for why in [Failure::Busy, Failure::Unreachable] {
        table.undelivered(HIGH, "guest/houses", &why, Time::ZERO);
        assert_eq!(all(&mut table), []);
        assert!(table.next_deadline().is_some());
    }
}

#[test]
fn who_checks_what_was_only_proposed_has_agreed_to_it() {
    let mut table = proposed();
    let wants = table.take(Letter::Check { bond: BOND }, &ends(), HIGH, LOW, 1);
    assert_eq!(wants, Some(Wants::Confirmation { bond: BOND }));
}

#[test]
fn whoever_answers_lives_where_it_answers_from() {
    let mut table = proposed();
    let moved = Address { host: THIRD.host, ..HIGH };
    table.take(Letter::Accept { bond: BOND }, &ends(), moved, LOW, 1);
    table.confirm(BOND);
    assert_eq!(all(&mut table), [Output::Watch { of: moved, bond: BOND }]);
}

#[test]
fn a_partner_of_another_relation_is_no_one_to_be_substituted() {
    let mut table = standing();
    let other = Proposal { ends: theirs(), instead_of: Some(BOND), ..proposal(Bond(8), THIRD) };
    assert_eq!(table.propose(other, LOW), Err(ProposeError::NoSuchPartner));
}

#[test]
fn a_substitute_that_proposes_itself_takes_the_place_as_well() {
    let mut high = Partnerships::default();
    high.propose(proposal(BOND, THIRD), HIGH).expect("it may");
    high.take(Letter::Accept { bond: BOND }, &ends(), THIRD, HIGH, 1);
    high.confirm(BOND);
    let instead = Proposal { instead_of: Some(BOND), ..proposal(Bond(8), LOW) };
    high.propose(instead, HIGH).expect("it may");
    all(&mut high);
    let letter = Letter::Propose { bond: Bond(9), terms: Cow::Borrowed(b"") };
    assert!(high.take(letter, &ends(), LOW, HIGH, 1).is_some());
    high.accept(Bond(9));
    let standing: Vec<Bond> =
        high.standing("house/guests").into_iter().map(|(bond, _)| bond).collect();
    assert_eq!(standing, [Bond(9)]);
}

#[test]
fn in_another_life_all_are_watched_and_what_is_not_declared_any_more_has_ended() {
    let mut table = standing();
    table.recovered(|_| true);
    assert_eq!(all(&mut table), [Output::Watch { of: HIGH, bond: BOND }]);
    table.recovered(|_| false);
    assert_eq!(parted(&mut table).0, Parted::Breakup);
    let mut table = proposed();
    table.recovered(|_| true);
    assert_eq!(all(&mut table), []);
    table.recovered(|_| false);
    let withdrawn = posted(HIGH, end(BOND, Leaving::Withdrawn, &[]));
    assert_eq!(declined(&mut table), (Declined::Withdrawn, vec![withdrawn]));
}

#[test]
fn a_partner_that_is_not_there_any_more_is_lost() {
    let mut table = standing();
    table.undelivered(THIRD, "guest/houses", &Failure::NoAgent, Time::ZERO);
    table.undelivered(HIGH, "guest/other", &Failure::NoAgent, Time::ZERO);
    assert_eq!(all(&mut table), []);
    table.undelivered(HIGH, "guest/houses", &Failure::NoAgent, Time::ZERO);
    assert_eq!(parted(&mut table).0, Parted::Lost);
}

#[test]
fn who_proposes_what_stands_has_begun_anew() {
    let mut table = standing();
    let (bond, terms) = (Bond(8), Cow::Borrowed(&b""[..]));
    let letter = Letter::Propose { bond, terms };
    // Not from another host: that says only that it has the same id.
    let elsewhere = Address { host: THIRD.host, ..HIGH };
    assert_eq!(table.take(letter.clone(), &ends(), elsewhere, LOW, 1), None);
    let why = Cow::Borrowed("its like lives elsewhere");
    let declined = [posted(elsewhere, Letter::Decline { bond, why })];
    assert_eq!(all(&mut table), declined);
    let mut other = proposed();
    assert_eq!(other.take(letter.clone(), &ends(), elsewhere, LOW, 1), None);
    assert_eq!(all(&mut other), declined);
    assert!(table.take(letter, &ends(), HIGH, LOW, 1).is_some());
    assert_eq!(parted(&mut table).0, Parted::Lost);
}

#[test]
fn what_is_not_known_is_said_to_have_ended_and_strangers_change_nothing() {
    let mut table = standing();
    for letter in [Letter::Check { bond: Bond(8) }, Letter::Sound { bond: Bond(8) }] {
        table.take(letter, &ends(), HIGH, LOW, 1);
        assert_eq!(all(&mut table), [posted(HIGH, end(Bond(8), Leaving::Unknown, &[]))]);
    }
    // An end is not answered with an end.
    table.take(end(Bond(8), Leaving::Unknown, &[]), &ends(), HIGH, LOW, 1);
    // Nobody else ends it, and not under the name of another relation.
    table.take(end(BOND, Leaving::Breakup, &[]), &ends(), THIRD, LOW, 1);
    table.take(end(BOND, Leaving::Breakup, &[]), &theirs(), HIGH, LOW, 1);
    assert_eq!(all(&mut table), []);
    assert_eq!(table.standing("house/guests").len(), 1);
}

#[test]
fn a_partner_that_moves_is_followed_and_one_that_is_buried_is_not() {
    let mut table = standing();
    let moved = Address { host: THIRD.host, ..HIGH };
    table.restarted(HIGH.agent, moved);
    assert_eq!(
        all(&mut table),
        [
            Output::Unwatch { of: HIGH, bond: BOND },
            Output::Watch { of: moved, bond: BOND },
            Output::Restarted { bond: BOND, before: HIGH },
        ]
    );
    // Its old host has nothing to say any more.
    table.undelivered(HIGH, "guest/houses", &Failure::NoAgent, Time::ZERO);
    assert_eq!(table.get(BOND).expect("it is").partner, moved);
    table.buried(HIGH.agent, &[LOW, THIRD]);
    assert_eq!(parted(&mut table), (Parted::Buried, vec![LOW, THIRD], vec![]));
}

#[test]
fn who_is_substituted_is_told_when_the_new_one_stands_and_not_before() {
    let mut table = standing();
    let new = Bond(8);
    let instead = Proposal { instead_of: Some(BOND), ..proposal(new, THIRD) };
    table.propose(instead, LOW).expect("it may, for it is instead");
    all(&mut table);
    assert_eq!(table.standing("house/guests")[0].1.partner, HIGH);
    table.take(Letter::Accept { bond: new }, &ends(), THIRD, LOW, 1);
    table.confirm(new);
    let outputs = all(&mut table);
    assert_eq!(outputs[0], Output::Watch { of: THIRD, bond: new });
    assert_eq!(outputs[1], posted(HIGH, end(BOND, Leaving::Breakup, &[HIGH, THIRD])));
    assert_eq!(table.standing("house/guests"), [(new, table.get(new).expect("it is"))]);
}
