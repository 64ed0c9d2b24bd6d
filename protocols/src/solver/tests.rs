//! Every row of the table.

mod bounds;

use std::time::Duration;

use super::*;
use crate::{
    exchange::Failure,
    limits::{CLAIMS_PER_PROBLEM_MAX, MEMBERS_PER_PROBLEM_MAX, SOLUTION_BYTES_MAX},
    time::Time,
};

const NOW: Time = Time::from_nanos(0);
const S: Duration = Duration::from_secs(1);

fn address(number: u8) -> Address {
    Address { host: HostId([number; 32]), agent: AgentId(u128::from(number) + 2000) }
}

fn number(address: Address) -> u128 {
    address.agent.0 - 2000
}

fn group(members: &[u8], tried: &[u8]) -> Group {
    let set = |of: &[u8]| of.iter().copied().map(address).collect();
    Group { members: set(members), tried: set(tried) }
}

fn solved(by: u8) -> Reply {
    Reply::Solved { solution: vec![by], by: address(by) }
}

/// Number 5, and what it wants done, in short.
struct Five(Member, u32);

impl Five {
    fn new() -> Self {
        Self(Member::new(address(5), [0; 32], Patience::DEFAULT, NOW), 0)
    }

    /// It has noticed the problem, and has asked those.
    fn claiming(members: &[u8]) -> Self {
        let mut five = Self::new();
        five.0.notice(members.iter().copied().map(address), NOW);
        let asked: Vec<String> = members.iter().map(|to| format!("claim {to}")).collect();
        assert_eq!((five.drain(), five.0.phase()), (asked, "claiming"));
        five
    }

    fn acting(others: &[u8]) -> Self {
        let mut five = Self::new();
        five.0.notice(others.iter().copied().map(address), NOW);
        five.1 = 1;
        for other in others {
            five.answer(*other, Ok(Reply::Yield(Group::default())));
        }
        let done = five.drain();
        assert_eq!((done.last().map(String::as_str), five.0.phase()), (Some("solve"), "acting"));
        five
    }

    /// It has yielded to that one.
    fn following(whom: u8, others: &[u8]) -> Self {
        let mut five = Self::new();
        let reply = five.0.asked(address(whom), &group(others, &[]), NOW);
        assert!(matches!(reply, Reply::Yield(_)), "{reply:?}");
        assert_eq!((five.drain(), five.0.phase()), (vec![format!("follow {whom}")], "following"));
        five
    }

    /// It has failed, and there is at least one that may try.
    fn tried(others: &[u8]) -> Self {
        let mut five = Self::acting(others);
        assert!(five.0.fail("no", NOW));
        assert_eq!((five.drain(), five.0.phase()), (vec![], "tried"));
        five
    }

    fn claimed_too_often() -> Self {
        let mut five = Self::claiming(&[1]);
        for _ in 1..CLAIMS_PER_PROBLEM_MAX {
            five.answer(1, Ok(Reply::Mine(Group::default())));
            assert_eq!(five.drain(), ["follow 1"]);
            five.answer(1, Err(Failure::Gone));
            five.expire_next();
            assert_eq!(five.drain(), ["claim 1"]);
        }
        five.answer(1, Ok(Reply::Mine(Group::default())));
        five.drain();
        five.answer(1, Err(Failure::Gone));
        five.expire_next();
        assert_eq!(five.drain(), ["unsolved: TooOften"]);
        five
    }

    /// It has followed one after the other, as often as it may, and rests.
    fn sent_about() -> Self {
        let mut five = Self::following(3, &[]);
        for hop in 0..=crate::limits::HOPS_PER_CLAIM_MAX {
            assert_eq!(five.0.phase(), "following", "after {hop}");
            let whom = 1 + u8::from(hop % 2 == 0);
            let from = five.0.follows().expect("it follows");
            let reply = Reply::Elsewhere { whom: address(whom), group: Group::default() };
            five.0.answered(from, five.1, Ok(reply), NOW);
            five.drain();
        }
        assert_eq!(five.0.phase(), "resting");
        five
    }

    fn answer(&mut self, from: u8, reply: Result<Reply, Failure>) {
        self.0.answered(address(from), self.1, reply, NOW);
    }

    /// As the one above, for what it has asked and nobody has looked at yet.
    fn answer_drained(&mut self, from: u8, reply: Result<Reply, Failure>) {
        self.drain();
        self.answer(from, reply);
    }

    fn asked(&mut self, from: u8) -> Reply {
        self.0.asked(address(from), &Group::default(), NOW)
    }

    fn followed(&mut self, from: u8) -> Option<Reply> {
        self.0.followed(address(from), &Group::default(), NOW)
    }

    fn drain(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(output) = self.0.poll() {
            all.push(match output {
                Output::Claim { to, turn } => {
                    self.1 = turn;
                    format!("claim {}", number(to))
                }
                Output::Follow { to, turn } => {
                    self.1 = turn;
                    format!("follow {}", number(to))
                }
                Output::Answer { to, reply } => {
                    let reply = match reply {
                        Reply::Wait(_) => "wait".to_owned(),
                        Reply::Elsewhere { whom, .. } => format!("elsewhere {}", number(whom)),
                        Reply::Free { why, .. } => format!("free {why:?}"),
                        Reply::Solved { solution, .. } => format!("solved {solution:?}"),
                        other => format!("{other:?}"),
                    };
                    format!("answer {}: {reply}", number(to))
                }
                Output::Tell { to } => format!("tell {}", number(to)),
                Output::Solve => "solve".into(),
                Output::Settled(Ok(by)) => format!("settled by {}", number(by)),
                Output::Settled(Err(why)) => format!("unsolved: {why:?}"),
                Output::Another { by, .. } => format!("another by {}", number(by)),
            });
        }
        all
    }

    fn expire_next(&mut self) -> Time {
        let due = self.0.next_deadline().expect("it waits");
        self.0.expire(due);
        due
    }
}

#[test]
fn who_knows_of_nobody_acts_at_once_and_its_own_address_is_nobody() {
    let mut five = Five::new();
    five.0.notice([address(5)], NOW);
    assert_eq!(five.drain(), ["solve"]);
}

#[test]
fn a_claimer_yields_to_one_that_ranks_before_and_sends_its_followers_there() {
    let mut five = Five::claiming(&[3, 8]);
    assert_eq!(five.followed(8), None);
    assert_eq!(five.asked(3), Reply::Yield(group(&[3, 8], &[])));
    assert_eq!(five.drain(), ["follow 3", "answer 8: elsewhere 3"]);
    assert_eq!(five.0.follows(), Some(address(3)));
}

#[test]
fn a_claimer_keeps_what_it_claims_from_one_that_ranks_after() {
    let mut five = Five::claiming(&[8]);
    assert_eq!(five.asked(8), Reply::Mine(group(&[8], &[])));
    // Rank is by agents, not by hosts; and whoever is new is asked too.
    let nine = Address { host: HostId([0; 32]), agent: AgentId(2009) };
    assert!(matches!(five.0.asked(nine, &group(&[7], &[]), NOW), Reply::Mine(_)));
    assert_eq!(
        (five.drain(), five.0.phase()),
        (vec!["claim 9".into(), "claim 7".into()], "claiming")
    );
}

#[test]
fn it_acts_when_the_last_has_yielded_or_is_gone() {
    let mut five = Five::claiming(&[1, 2]);
    five.answer(1, Ok(Reply::Yield(group(&[2, 5, 7], &[]))));
    five.answer(2, Err(Failure::TimedOut));
    assert_eq!(five.drain(), ["claim 7"], "who is new is asked before it acts");
    five.answer(1, Ok(Reply::Yield(Group::default())));
    assert_eq!(five.0.phase(), "claiming", "nobody answers for another");
    five.answer(7, Err(Failure::NoAgent));
    assert_eq!(five.drain(), ["solve"]);
}

#[test]
fn what_may_pass_is_asked_once_more() {
    let mut five = Five::claiming(&[1]);
    five.answer(1, Err(Failure::Gone));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "claiming"));
    five.expire_next();
    assert_eq!(five.drain(), ["claim 1"]);
    five.answer(1, Err(Failure::Busy));
    assert_eq!(five.drain(), ["solve"]);
    let full = || Failure::Storage("full".into());
    for (why, again) in [(Failure::Busy, true), (full(), true), (Failure::NoAgent, false)] {
        let mut five = Five::claiming(&[1]);
        five.answer(1, Err(why));
        assert_eq!(five.0.phase(), if again { "claiming" } else { "acting" });
    }
}

#[test]
fn who_is_asked_once_more_is_asked_after_an_eighth_of_the_window_and_once() {
    let mut five = Five::claiming(&[1]);
    five.answer(1, Err(Failure::Gone));
    let due = NOW + S * 3 / 8;
    assert_eq!(five.0.next_deadline(), Some(due));
    // Whatever else comes moves that moment neither back nor forth.
    assert_eq!(five.0.followed(address(1), &Group::default(), NOW + S / 8), None);
    five.0.expire(NOW + S / 8);
    assert_eq!((five.drain(), five.0.next_deadline()), (vec![], Some(due)));
    five.0.expire(due);
    assert_eq!(five.drain(), ["claim 1"]);
    assert_eq!(five.0.next_deadline(), Some(NOW + S / 8 + S * 10), "when its follower waits on");
}

#[test]
fn who_has_answered_a_claim_is_not_heard_again() {
    let mut five = Five::claiming(&[1, 2]);
    five.answer(1, Ok(Reply::Yield(Group::default())));
    five.answer(1, Ok(Reply::Mine(Group::default())));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "claiming"));
}

#[test]
fn what_is_answered_to_an_earlier_question_counts_no_more() {
    // To an earlier claim.
    let mut five = Five::claiming(&[1]);
    let first = five.1;
    assert!(matches!(five.asked(0), Reply::Yield(_)));
    assert_eq!(five.drain(), ["follow 0"]);
    five.answer(0, Err(Failure::Gone));
    five.expire_next();
    assert_eq!(five.drain(), ["claim 0", "claim 1"]);
    five.answer(0, Err(Failure::NoAgent));
    five.0.answered(address(1), first, Ok(Reply::Yield(Group::default())), NOW);
    assert_eq!((five.drain(), five.0.phase()), (vec![], "claiming"));
    five.answer(1, Ok(Reply::Yield(Group::default())));
    assert_eq!(five.drain(), ["solve"]);
    // Of the one that is followed, to what it was asked before.
    let mut five = Five::following(3, &[]);
    let first = five.1;
    five.answer(3, Ok(Reply::Wait(Group::default())));
    assert_eq!(five.drain(), ["follow 3"]);
    five.0.answered(address(3), first, Err(Failure::TimedOut), NOW);
    assert_eq!((five.drain(), five.0.phase()), (vec![], "following"));
}

#[test]
fn whoever_it_learns_of_while_it_claims_is_asked_too() {
    let mut five = Five::claiming(&[1]);
    five.0.meet([address(7)], NOW);
    assert_eq!(five.drain(), ["claim 7"]);
    five.0.notice([address(6)], NOW);
    assert_eq!(five.drain(), ["claim 6"], "noticed twice, it is claimed once");
    assert_eq!(five.0.followed(address(8), &group(&[9], &[]), NOW), None);
    assert_eq!(five.drain(), ["claim 8", "claim 9"]);
}

#[test]
fn every_answer_tells_of_the_group() {
    let more = || group(&[9], &[3, 5, 8]);
    let replies = [
        Reply::Yield(more()),
        Reply::Mine(more()),
        Reply::Wait(more()),
        Reply::Elsewhere { whom: address(3), group: more() },
        Reply::Free { group: more(), why: None },
    ];
    for reply in replies {
        let mut five = Five::following(3, &[4]);
        five.answer(3, Ok(reply.clone()));
        // Who is no member has not tried; and whether it has itself, it knows best.
        assert_eq!(*five.0.group(), group(&[3, 4, 9], &[3]), "{reply:?}");
    }
}

#[test]
fn a_claimer_follows_one_that_says_mine() {
    let mut five = Five::claiming(&[1, 2]);
    assert_eq!(five.followed(8), None);
    assert_eq!(five.drain(), ["claim 8"], "it has learned of it");
    five.answer(1, Ok(Reply::Mine(group(&[6], &[]))));
    assert_eq!(five.drain(), ["follow 1", "answer 8: elsewhere 1"]);
    // The rest of the answers come too late, but for a solution.
    five.0.answered(address(2), 1, Ok(Reply::Yield(Group::default())), NOW);
    assert_eq!(five.drain(), Vec::<String>::new());
    five.0.answered(address(2), 1, Ok(solved(2)), NOW);
    assert_eq!(five.drain(), ["settled by 2"]);
}

#[test]
fn who_follows_yields_to_others_and_goes_on_following() {
    let mut five = Five::following(3, &[]);
    assert_eq!(five.asked(1), Reply::Yield(group(&[1, 3], &[])));
    assert_eq!(
        five.followed(8),
        Some(Reply::Elsewhere { whom: address(3), group: group(&[1, 3, 8], &[]) })
    );
    five.answer(3, Ok(Reply::Wait(Group::default())));
    assert_eq!(five.drain(), ["follow 3"]);
    five.answer(3, Ok(Reply::Elsewhere { whom: address(1), group: Group::default() }));
    assert_eq!(five.drain(), ["follow 1"]);
    five.answer(1, Ok(solved(1)));
    assert_eq!(five.drain(), ["settled by 1"]);
}

#[test]
fn who_follows_one_that_is_gone_or_free_rests_and_claims() {
    let free = Reply::Free { group: group(&[3], &[3]), why: Some("no".into()) };
    let itself = Reply::Elsewhere { whom: address(5), group: Group::default() };
    for reply in [Err(Failure::TimedOut), Err(Failure::Gone), Ok(free), Ok(itself)] {
        let mut five = Five::following(3, &[4]);
        five.answer(3, reply);
        assert_eq!((five.drain(), five.0.phase()), (vec![], "resting"));
        assert!(matches!(five.followed(9), Some(Reply::Free { why: None, .. })));
        five.0.expire(NOW + S / 10);
        assert_eq!(five.0.phase(), "resting", "not so soon");
        let rests = five.expire_next().since(NOW);
        assert!((S * 3 / 20..S * 3 / 10).contains(&rests), "{rests:?}");
        assert_eq!(five.drain(), ["claim 3", "claim 4", "claim 9"]);
    }
}

#[test]
fn no_two_rest_for_the_same_time() {
    let rests = |seed| {
        let mut member = Member::new(address(5), [seed; 32], Patience::DEFAULT, NOW);
        member.asked(address(3), &Group::default(), NOW);
        member.answered(address(3), 1, Err(Failure::Gone), NOW);
        assert_eq!(member.phase(), "resting");
        member.next_deadline()
    };
    assert_ne!(rests(0), rests(1));
}

#[test]
fn who_rests_yields_to_the_first_that_claims() {
    let mut five = Five::following(3, &[]);
    five.answer(3, Err(Failure::Gone));
    assert!(matches!(five.asked(8), Reply::Yield(_)));
    assert_eq!(five.drain(), ["follow 8"]);
}

#[test]
fn who_is_sent_about_too_often_claims() {
    Five::sent_about();
    // Whom it follows after that may send it on again: one that claims, or has claimed before.
    let on = || Ok(Reply::Elsewhere { whom: address(7), group: Group::default() });
    for claims in [false, true] {
        let mut five = Five::sent_about();
        if claims {
            five.expire_next();
            assert_eq!(five.drain(), ["claim 1", "claim 2", "claim 3"]);
            five.answer(1, Ok(Reply::Mine(Group::default())));
        } else {
            assert!(matches!(five.asked(1), Reply::Yield(_)));
        }
        assert_eq!(five.drain(), ["follow 1"]);
        five.answer(1, on());
        assert_eq!(five.drain(), ["follow 7"]);
    }
}

#[test]
fn who_acts_keeps_followers_until_it_has_solved_and_tells_those_that_seemed_gone() {
    let mut five = Five::claiming(&[1, 2]);
    five.answer(1, Err(Failure::TimedOut));
    five.answer(2, Ok(Reply::Yield(Group::default())));
    assert_eq!(five.drain(), ["solve"]);
    assert_eq!(five.asked(0), Reply::Mine(group(&[0, 1, 2], &[])));
    assert_eq!(five.followed(2), None);
    assert_eq!(five.expire_next(), NOW + S * 10);
    assert_eq!(five.drain(), ["answer 2: wait"]);
    assert_eq!(five.followed(2), None);
    assert!(five.0.solve(vec![7], NOW));
    assert_eq!(five.drain(), ["tell 1", "answer 2: solved [7]", "settled by 5"]);
    assert_eq!(five.0.solution(), Some((&[7][..], address(5))));
    assert!(!five.0.solve(vec![8], NOW), "once");
}

#[test]
fn who_seemed_gone_and_is_heard_of_need_not_be_told() {
    let heard: [fn(&mut Five); 3] = [
        |five| drop(five.asked(1)),
        |five| drop(five.followed(1)),
        // An answer that comes late.
        |five| five.0.answered(address(1), 0, Ok(Reply::Wait(Group::default())), NOW),
    ];
    for (way, hear) in heard.into_iter().enumerate() {
        let mut five = Five::claiming(&[1]);
        five.answer(1, Err(Failure::TimedOut));
        assert_eq!(five.drain(), ["solve"]);
        hear(&mut five);
        assert!(five.0.solve(vec![7], NOW));
        let told: &[&str] = if way == 1 { &["answer 1: solved [7]"] } else { &[] };
        assert_eq!(five.drain(), [told, &["settled by 5"]].concat(), "{way}");
    }
}

#[test]
fn who_fails_says_so_and_waits_for_another_to_claim() {
    let mut five = Five::acting(&[1, 8]);
    assert_eq!(five.followed(8), None);
    assert!(five.0.fail("no", NOW));
    assert_eq!(five.drain(), ["answer 8: free Some(\"no\")"]);
    assert!(!five.0.fail("no", NOW));
    assert!(matches!(five.followed(8), Some(Reply::Free { why: Some(_), .. })));
    assert_eq!(five.asked(8), Reply::Yield(group(&[1, 8], &[5])));
    assert_eq!(five.drain(), ["follow 8"]);
    // It has tried: when the next fails too, it does not claim again.
    five.answer(8, Ok(Reply::Free { group: group(&[], &[8]), why: Some("nor I".into()) }));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "tried"));
    assert!(matches!(five.asked(1), Reply::Yield(_)));
    assert_eq!(five.drain(), ["follow 1"]);
    five.answer(1, Ok(Reply::Free { group: group(&[], &[1]), why: Some("nobody".into()) }));
    assert_eq!(five.drain(), ["unsolved: Failed(\"nobody\")"]);
}

#[test]
fn who_has_tried_follows_the_one_that_claimed_meanwhile() {
    let mut five = Five::tried(&[1, 2]);
    five.asked(1);
    assert_eq!(five.drain(), ["follow 1"]);
    five.asked(2);
    five.answer(1, Ok(Reply::Free { group: group(&[], &[1]), why: Some("no".into()) }));
    assert_eq!(five.drain(), ["follow 2"]);
    // If it was sent there meanwhile, it asks that one no second time.
    let mut five = Five::tried(&[1, 2]);
    five.asked(1);
    five.asked(2);
    five.answer_drained(1, Ok(Reply::Elsewhere { whom: address(2), group: Group::default() }));
    assert_eq!(five.drain(), ["follow 2"]);
    five.answer(2, Ok(Reply::Free { group: group(&[], &[2]), why: Some("no".into()) }));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "tried"));
    // Nor one that claimed long before, when it had not tried itself.
    let mut five = Five::following(3, &[]);
    five.asked(1);
    five.answer(3, Err(Failure::Gone));
    five.expire_next();
    assert_eq!(five.drain(), ["claim 1", "claim 3"]);
    for other in [1, 3] {
        five.answer(other, Ok(Reply::Yield(Group::default())));
    }
    assert!(five.0.fail("no", NOW));
    five.asked(3);
    five.answer_drained(3, Ok(Reply::Free { group: Group::default(), why: None }));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "tried"));
}

#[test]
fn who_has_tried_gives_up_when_all_others_have_or_are_gone() {
    let tried = Ok(Reply::Free { group: group(&[8], &[8]), why: None });
    for reply in [tried, Err(Failure::Gone)] {
        let mut five = Five::tried(&[8]);
        five.asked(8);
        five.answer_drained(8, reply);
        assert_eq!(five.drain(), ["unsolved: Failed(\"no\")"], "what was said last is known");
    }
}

#[test]
fn who_fails_where_nobody_else_is_left_has_no_solution() {
    let mut five = Five::claiming(&[1]);
    five.answer(1, Err(Failure::Unreachable));
    assert_eq!(five.drain(), ["solve"]);
    assert!(five.0.fail("no", NOW));
    assert_eq!(five.drain(), ["unsolved: Failed(\"no\")"]);
    // To others it yields, and says that it has tried; it follows nobody.
    assert_eq!(five.asked(1), Reply::Yield(group(&[1], &[5])));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "unsolved"));
    // A solution that comes after all is told.
    five.0.hear(vec![1], address(1), NOW);
    assert_eq!(five.drain(), ["settled by 1"]);
}

#[test]
fn what_could_not_be_solved_is_begun_anew_when_it_is_noticed_again() {
    let mut five = Five::acting(&[]);
    five.0.fail("no", NOW);
    five.0.notice([address(1)], NOW + S * 100);
    assert_eq!(five.drain(), ["unsolved: Failed(\"no\")", "claim 1"]);
    assert_eq!(five.0.until(), NOW + S * 160);
    // It may act again, and may claim as often as if it had never done so.
    assert_eq!(*five.0.group(), group(&[1], &[]));
    let mut five = Five::claimed_too_often();
    five.0.notice([], NOW);
    assert_eq!(five.drain(), ["claim 1"]);
}

#[test]
fn what_is_solved_is_remembered_for_a_while() {
    let mut five = Five::following(3, &[]);
    five.answer(3, Ok(solved(3)));
    assert_eq!(five.drain(), ["settled by 3"]);
    assert_eq!((five.asked(1), five.followed(2)), (solved(3), Some(solved(3))));
    five.0.notice([address(9)], NOW);
    assert_eq!(five.drain(), ["settled by 3"]);
    // The same that comes again is nothing new.
    five.0.hear(vec![3], address(3), NOW);
    five.0.hear(vec![9], address(9), NOW);
    five.0.hear(vec![9], address(9), NOW);
    assert_eq!(five.drain(), ["another by 9"]);
    assert_eq!((five.0.is_stale(NOW + S * 599), five.0.is_stale(NOW + S * 600)), (false, true));
    // Nothing is due then, and who is about to end itself still says so.
    five.0.expire(NOW + S * 700);
    five.0.leave(NOW);
    assert_eq!((five.drain(), five.asked(1)), (vec![], solved(3)));
}

#[test]
fn of_very_many_others_that_have_solved_it_too_only_so_many_are_told() {
    let mut five = Five::following(0, &[]);
    five.answer(0, Ok(solved(0)));
    let others = 1..=u8::try_from(MEMBERS_PER_PROBLEM_MAX).expect("few") + 1;
    others.for_each(|by| five.0.hear(vec![by], address(by), NOW));
    let told = five.drain();
    assert_eq!(told.len(), 1 + MEMBERS_PER_PROBLEM_MAX);
    assert_eq!(told.last().map(String::as_str), Some("another by 128"));
}

#[test]
fn who_acts_hears_of_another_and_goes_on() {
    let mut five = Five::acting(&[1]);
    five.0.hear(vec![9], address(9), NOW);
    assert_eq!((five.drain(), five.0.phase()), (vec!["another by 9".to_owned()], "acting"));
}
