//! What a problem may cost at most.

use super::*;

#[test]
fn nothing_lasts_longer_than_the_total_time() {
    for mut five in [Five::claiming(&[1]), Five::following(1, &[]), Five::tried(&[1])] {
        assert!(!five.0.is_stale(NOW + S * 60), "before it has ended nothing is forgotten");
        assert_eq!(five.expire_next(), NOW + S * 60);
        assert_eq!(five.drain(), ["unsolved: TimedOut"]);
        assert_eq!(five.0.next_deadline(), None);
        let stale = [659, 660].map(|seconds| five.0.is_stale(NOW + S * seconds));
        assert_eq!(stale, [false, true]);
    }
    // Who claims has not tried.
    let mut five = Five::claiming(&[1]);
    assert_eq!(five.followed(1), None);
    five.0.expire(NOW + S * 60);
    assert_eq!(five.drain(), ["answer 1: free None", "unsolved: TimedOut"]);
    let mut five = Five::acting(&[1]);
    five.0.followed(address(1), &Group::default(), NOW + S * 55);
    assert_eq!(five.expire_next(), NOW + S * 60);
    assert_eq!(five.drain(), ["answer 1: free Some(\"it took too long\")", "unsolved: TimedOut"]);
    assert!(!five.0.solve(vec![1], NOW + S * 61));
}

#[test]
fn who_leaves_keeps_nobody_waiting() {
    let mut five = Five::acting(&[1, 2]);
    assert_eq!(five.followed(1), None);
    five.0.leave(NOW);
    assert_eq!(five.drain(), ["answer 1: free Some(\"the solver was stopped\")"]);
    assert_eq!((five.0.phase(), five.0.next_deadline()), ("unsolved", None));
    assert!(!five.0.solve(vec![1], NOW));
    assert_eq!((five.0.is_stale(NOW + S * 599), five.0.is_stale(NOW + S * 600)), (false, true));
}

#[test]
fn it_is_not_claimed_without_end() {
    Five::claimed_too_often();
}

#[test]
fn a_group_that_is_too_large_has_nobody_that_acts() {
    let most = u8::try_from(MEMBERS_PER_PROBLEM_MAX).expect("few");
    let all: Vec<u8> = (10..10 + most).collect();
    let mut five = Five::claiming(&all);
    assert_eq!(five.asked(9), Reply::Full, "one more");
    assert_eq!(five.followed(8), Some(Reply::Full));
    five.answer(10, Ok(Reply::Yield(Group::default())));
    assert_eq!(five.drain(), ["unsolved: TooMany"]);
    let mut five = Five::claiming(&[1]);
    five.answer(1, Ok(Reply::Full));
    assert_eq!(five.drain(), ["unsolved: TooMany"]);
    // Nobody is followed who is not known.
    let mut five = Five::following(10, &all);
    five.answer(10, Ok(Reply::Elsewhere { whom: address(9), group: Group::default() }));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "resting"));
    // One that is only asked, and by one more, takes no part.
    let mut five = Five::new();
    five.0.meet(all.iter().copied().map(address), NOW);
    assert_eq!((five.asked(9), five.drain()), (Reply::Full, vec!["unsolved: TooMany".to_owned()]));
    assert!(five.0.is_stale(NOW + S * 600));
}

#[test]
fn no_wait_is_longer_than_any_wait_may_be() {
    let longest = crate::limits::BUDGET_MAX;
    let all = |each| Patience { claim: each, follow: each, total: each, memory: each };
    let member = Member::new(address(5), [0; 32], all(longest + S), NOW);
    assert_eq!((member.patience(), member.until()), (all(longest), NOW + longest));
}

#[test]
fn a_long_key_is_named_by_its_hash() {
    let hash = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(short_key("abc"), hash);
}

#[test]
fn what_others_say_is_kept_only_so_long() {
    let most = crate::limits::REASON_BYTES_MAX / 4;
    let mut five = Five::acting(&[]);
    five.0.fail(&"ä".repeat(most + 1), NOW);
    assert_eq!(five.drain(), [format!("unsolved: Failed(\"{}\")", "ä".repeat(most))]);
}

#[test]
fn a_solution_that_is_too_large_is_none() {
    let mut five = Five::acting(&[]);
    assert!(five.0.solve(vec![0; SOLUTION_BYTES_MAX + 1], NOW));
    assert_eq!(five.drain(), ["unsolved: Failed(\"a solution of 65537 bytes is too large\")"]);
    let mut five = Five::following(1, &[]);
    let solution = vec![0; SOLUTION_BYTES_MAX + 1];
    five.answer(1, Ok(Reply::Solved { solution, by: address(1) }));
    assert_eq!((five.drain(), five.0.phase()), (vec![], "resting"));
    five.0.hear(vec![0; SOLUTION_BYTES_MAX + 1], address(1), NOW);
    assert_eq!(five.0.phase(), "resting");
    // One that just fits is one.
    let mut five = Five::acting(&[]);
    assert!(five.0.solve(vec![0; SOLUTION_BYTES_MAX], NOW));
    assert_eq!(five.drain(), ["settled by 5"]);
    let mut five = Five::following(1, &[]);
    let solution = vec![0; SOLUTION_BYTES_MAX];
    five.answer(1, Ok(Reply::Solved { solution, by: address(1) }));
    assert_eq!(five.drain(), ["settled by 1"]);
}
