use std::time::Duration;

use super::{
    super::*,
    model::{Model, print},
    world::host,
};

const LIMITS: Limits = Limits::DOCUMENTS;

fn model() -> Model {
    Model::new((0..1_000).map(|name| (name, 1)))
}

/// It, and two peers of which the first goes first wherever ids decide.
fn machine() -> (Reconciler, HostId, HostId) {
    let (one, other) = (host(1), host(2));
    (Reconciler::new(host(0), LIMITS), one.min(other), one.max(other))
}

const CLAIM: Digest = Digest::State { of_you: 0, others: 7 };

fn asks(acts: &[Act<(u32, u32)>], peer: HostId) -> bool {
    matches!(acts, [Act::Tell(to, Digest::Sums(_))] if *to == peer)
}

#[test]
fn who_claims_everything_and_sends_nothing_keeps_nobody_from_asking_the_others() {
    let (mut machine, bad, good) = machine();
    let (model, now) = (model(), Time::ZERO);
    assert!(asks(&machine.heard(bad, &CLAIM, &model, now).unwrap(), bad));
    assert_eq!(machine.heard(good, &CLAIM, &model, now), Ok(vec![]));
    // It claims it again and again, and would always be the next.
    assert_eq!(machine.heard(bad, &CLAIM, &model, now), Ok(vec![]));
    let late = machine.next_deadline().expect("it waits for an answer");
    assert_eq!(late, now + LIMITS.answer_timeout);
    assert!(asks(&machine.due(&model, late), good));
}

#[test]
fn who_goes_on_for_ever_has_its_turn_and_no_more() {
    let (mut machine, bad, good) = machine();
    let (model, mut now) = (model(), Time::ZERO);
    assert!(asks(&machine.heard(bad, &CLAIM, &model, now).unwrap(), bad));
    // Nobody else waits: it may take its time.
    while now < Time::ZERO + 2 * LIMITS.turn_max {
        now = now + (LIMITS.answer_timeout - Duration::from_secs(1));
        assert_eq!(machine.due(&model, now), []);
        assert_eq!(machine.learned::<(u32, u32)>(bad, 0, now), (true, vec![]));
    }
    assert_eq!(machine.heard(good, &CLAIM, &model, now), Ok(vec![]));
    assert!(asks(&machine.due(&model, now), good));
    // Its own turn comes again when the other has answered.
    let done = Digest::Done { more: false };
    assert!(asks(&machine.heard(good, &done, &model, now).unwrap(), bad));
    // That there is more is not believed where nothing comes.
    let more = Digest::Done { more: true };
    assert_eq!(machine.heard(bad, &more, &model, now), Ok(vec![]));
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn who_has_been_asked_too_often_is_asked_again_in_the_next_window() {
    let (mut machine, peer, _) = machine();
    let (model, now) = (model(), Time::ZERO);
    for _ in 0..LIMITS.questions_max {
        assert!(asks(&machine.heard(peer, &CLAIM, &model, now).unwrap(), peer));
        let _ = machine.heard(peer, &Digest::Done { more: false }, &model, now);
    }
    assert_eq!(machine.heard(peer, &CLAIM, &model, now), Ok(vec![]));
    assert_eq!(machine.next_deadline(), Some(now + LIMITS.window));
    assert!(asks(&machine.due(&model, now + LIMITS.window), peer));
}

#[test]
fn who_asks_too_often_out_of_turn_or_nonsense_is_refused() {
    let (mut machine, peer, other) = machine();
    let (model, now) = (model(), Time::ZERO);
    let many = vec![1; LIMITS.prints_max + 1];
    let cases = [
        (Digest::Sums(vec![0; BUCKETS + 1]), Refused::Malformed),
        (Digest::List(many.clone()), Refused::Malformed),
        (Digest::Prints(vec![(1, many)]), Refused::Malformed),
        (Digest::Prints(vec![(2, vec![]), (1, vec![])]), Refused::Malformed),
        (Digest::Differ(vec![1, 1]), Refused::Malformed),
        (Digest::Prints(vec![(1, vec![print(1, 1)])]), Refused::OutOfTurn),
        (Digest::Differ(vec![1]), Refused::OutOfTurn),
        (Digest::Done { more: true }, Refused::OutOfTurn),
    ];
    for (digest, why) in cases {
        assert_eq!(machine.heard(peer, &digest, &model, now), Err(why), "{digest:?}");
    }
    let sums = Digest::Sums(vec![0; BUCKETS]);
    for _ in 0..LIMITS.answers_max {
        assert!(machine.heard(peer, &sums, &model, now).is_ok());
    }
    assert_eq!(machine.heard(peer, &sums, &model, now), Err(Refused::TooOften));
    assert!(machine.heard(other, &sums, &model, now).is_ok());
}
