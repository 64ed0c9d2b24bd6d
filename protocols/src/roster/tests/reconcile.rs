use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    exchange::Item as Word,
    limits::{
        ROSTER_ANSWER_BYTES_MAX, ROSTER_ANSWER_TIMEOUT, ROSTER_WINDOW, ROSTER_WINDOW_DIGESTS_MAX,
    },
    reconcile::{
        Act, BUCKETS, Digest, Limits, Reconciler, Refused,
        tests::world::{Learns, World, host},
    },
    time::Time,
    wire,
};

fn print(roster: &Roster, host: HostId) -> u64 {
    roster.known(host).map_or(0, |known| known.print())
}

/// Makes records of any host and age.
struct Maker {
    credential: Credential,
    signed: Signed<HostRecord>,
}

impl Maker {
    fn new() -> Self {
        let (key, credential) = founder();
        let record = record(&credential, key.host(), 1);
        let signed = Signed::new(&key, credential.mesh(), &record);
        Self { credential, signed }
    }

    fn known(&self, host: HostId, age: u64) -> KnownHost {
        KnownHost::new(record(&self.credential, host, age), self.signed.clone(), NOW)
    }

    fn roster(&self, hosts: impl IntoIterator<Item = (HostId, u64)>) -> Roster {
        let mut roster = Roster::new(self.credential.mesh());
        for (host, age) in hosts {
            roster.put(self.known(host, age));
        }
        roster
    }
}

fn record(credential: &Credential, host: HostId, age: u64) -> HostRecord {
    HostRecord {
        host,
        name: "a host".to_owned(),
        incarnation: Incarnation(1),
        sequence: age,
        addresses: vec!["/ip4/127.0.0.1/tcp/4077".to_owned()],
        software: "test".to_owned(),
        credential: credential.clone(),
        left: false,
    }
}

fn ages(roster: &Roster) -> BTreeMap<HostId, u64> {
    roster.iter().map(|record| (record.host, record.sequence)).collect()
}

impl Learns for Roster {
    fn learn(&mut self, known: &Arc<KnownHost>) -> bool {
        let age = known.record().sequence;
        let new = self.get(known.host()).is_none_or(|old| old.sequence < age);
        if new {
            Arc::make_mut(&mut self.table).put(Arc::clone(known));
        }
        new
    }

    fn encoded(items: &[Arc<KnownHost>]) -> usize {
        let records = items.iter().map(|known| known.signed().clone());
        wire::encode(&Word::Hosts(records.collect())).len()
    }
}

/// Each host knows itself, by its number, and what else is said.
fn world(known: &[BTreeMap<HostId, u64>]) -> World<Roster> {
    let maker = Maker::new();
    let rosters = known.iter().zip(0..).map(|(known, number)| {
        let others = known.iter().map(|(host, age)| (*host, *age));
        maker.roster(others.chain([(host(number), 1_000)]))
    });
    World::new(rosters.collect(), Limits::ROSTER)
}

fn numbered(hosts: std::ops::Range<u32>) -> BTreeMap<HostId, u64> {
    hosts.map(|number| (host(number), 1)).collect()
}

/// What each of three hosts knows: by host, the age of the record, or none.
fn known() -> impl Strategy<Value = [BTreeMap<HostId, u64>; 3]> {
    let hosts = prop::collection::vec([0..4u64, 0..4u64, 0..4u64], 0..120);
    hosts.prop_map(|rows| {
        [0, 1, 2].map(|of| {
            let ages = rows.iter().zip(3..).map(|(ages, number)| (host(number), ages[of]));
            ages.filter(|(_, age)| *age > 0).collect()
        })
    })
}

fn newest(world: &World<Roster>) -> BTreeMap<HostId, u64> {
    let mut newest = BTreeMap::new();
    for (host, age) in world.known.iter().flat_map(ages) {
        let known = newest.entry(host).or_insert(age);
        *known = age.max(*known);
    }
    newest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_come_to_know_the_newest_of_what_any_knew(
        known in known(),
        ring in any::<bool>(),
        picks in prop::collection::vec(any::<u8>(), 1..40),
        cuts in prop::collection::vec((0..6usize, 0..2usize), 0..4),
    ) {
        let mut world = world(&known);
        let (newest, pick) = (newest(&world), |step| usize::from(picks[step % picks.len()]));
        let links: &[(usize, usize)] = if ring { &[(0, 1), (1, 2), (0, 2)] } else { &[(0, 1), (1, 2)] };
        links.iter().for_each(|(a, b)| world.open(*a, *b));
        for (steps, link) in cuts {
            for step in 0..steps {
                world.step(pick(step));
            }
            let (a, b) = links[link];
            world.cut(a, b);
            world.open(a, b);
        }
        let steps = world.settle(pick);
        for roster in &world.known {
            prop_assert_eq!(ages(roster), newest.clone());
        }
        prop_assert!(steps < 400, "{steps} words");
        let all = newest.len() * 400 * 4 * 6 + 60_000;
        prop_assert!(world.bytes < all, "{} bytes", world.bytes);
    }
}

#[test]
fn equal_rosters_cost_a_few_bytes() {
    let known = numbered(0..10_000).into_keys().map(|host| (host, 1_000)).collect();
    let mut world = world(&[Clone::clone(&known), known]);
    world.open(0, 1);
    assert_eq!(world.settle(|_| 0), 2, "one word from each side");
    assert_eq!((world.bytes, world.items), (40, vec![0, 0]));
}

#[test]
fn one_difference_among_many_costs_little_more_than_its_record() {
    let mut world = world(&[numbered(0..10_000), numbered(0..10_001)]);
    let own = [(host(0), 1_000), (host(1), 1_000)];
    for (host, age) in own {
        for roster in &mut world.known {
            roster.put(Maker::new().known(host, age));
        }
    }
    world.open(0, 1);
    world.settle(|_| 0);
    assert_eq!(ages(&world.known[0]), ages(&world.known[1]));
    assert_eq!(world.items, [1, 0]);
    assert!(world.bytes < 7_000, "{} bytes", world.bytes);
}

#[test]
fn a_newcomer_with_many_links_gets_the_whole_roster_once_and_in_parts() {
    let mut known = vec![numbered(0..3_000); 5];
    known[0].clear();
    let mut world = world(&known);
    for peer in 1..5 {
        (1..peer).for_each(|other| world.open(peer, other));
    }
    world.settle(|step| step);
    world.items.fill(0);
    (1..5).for_each(|peer| world.open(0, peer));
    world.settle(|step| step);
    assert_eq!(world.known[0].len(), 3_000);
    // Beside the roster, every peer sends its own record, because it was not known, and passes on
    // the newcomer's to all others.
    let sent = world.items[0];
    assert!((2_999..2_999 + 4 + 4).contains(&sent), "{sent} records");
    assert!(world.largest_answer < ROSTER_ANSWER_BYTES_MAX + 4_096, "{}", world.largest_answer);
}

#[test]
fn a_newcomer_with_one_link_asks_until_it_has_all() {
    let mut world = world(&[numbered(0..0), numbered(0..3_000)]);
    world.open(0, 1);
    world.settle(|_| 0);
    assert_eq!(ages(&world.known[0]), ages(&world.known[1]));
    // All but the newcomer's, and the newcomer's.
    assert_eq!(world.items, [2_999, 1]);
}

#[test]
fn two_strangers_with_the_same_friends_tell_of_themselves_only() {
    let mut world = world(&[numbered(2..50), numbered(2..50)]);
    world.open(0, 1);
    assert_eq!(world.settle(|_| 0), 4, "what they know, and themselves");
    assert_eq!(world.items, [1, 1]);
}

#[test]
fn nobody_is_answered_more_often_than_the_limit() {
    let maker = Maker::new();
    let (me, peer) = (host(0), host(1));
    let roster = maker.roster((0..100).map(|number| (host(number), 1)));
    let mut reconciler = Reconciler::new(me, Limits::ROSTER);
    let (list, now) = (Digest::List(Vec::new()), Time::ZERO);
    for _ in 0..ROSTER_WINDOW_DIGESTS_MAX {
        let acts = reconciler.heard(peer, &list, &roster, now).expect("within the limit");
        assert!(matches!(&acts[..], [Act::Send(_, records), Act::Tell(..)] if records.len() == 98));
    }
    assert_eq!(reconciler.heard(peer, &list, &roster, now), Err(Refused::TooOften));
    let sums = Digest::Sums(vec![0; BUCKETS]);
    assert_eq!(reconciler.heard(peer, &sums, &roster, now), Err(Refused::TooOften));
    assert!(reconciler.heard(host(2), &sums, &roster, now).is_ok(), "others are answered");
    // A new lane changes nothing, a minute does.
    assert_eq!(reconciler.lost(peer, &roster, now), []);
    assert_eq!(reconciler.heard(peer, &list, &roster, now), Err(Refused::TooOften));
    assert!(reconciler.heard(peer, &list, &roster, now + ROSTER_WINDOW).is_ok());
    // Nor does it get this host's own record time and again, or have it ask.
    let state = |others| Digest::State { of_you: 7, others };
    for others in 0..u64::from(ROSTER_WINDOW_DIGESTS_MAX) {
        assert!(reconciler.heard(host(3), &state(others), &roster, now).is_ok());
    }
    assert_eq!(reconciler.heard(host(3), &state(0), &roster, now), Err(Refused::TooOften));
    let own = print(&roster, me);
    let asks = (0..100).filter(|others| {
        let state = Digest::State { of_you: own, others: *others };
        let asked = reconciler.heard(host(4), &state, &roster, now).expect("it may tell");
        let _ = reconciler.lost(host(3), &roster, now);
        let done = reconciler.heard(host(4), &Digest::Done { more: false }, &roster, now);
        !asked.is_empty() || done.is_ok_and(|acts| !acts.is_empty())
    });
    assert!(asks.count() <= ROSTER_WINDOW_DIGESTS_MAX as usize);
}

#[test]
fn what_is_out_of_turn_or_malformed_is_refused() {
    let maker = Maker::new();
    let peer = host(1);
    let roster = maker.roster((0..100).map(|number| (host(number), 1)));
    let mut reconciler = Reconciler::new(host(0), Limits::ROSTER);
    let cases = [
        (Digest::Sums(vec![0; BUCKETS - 1]), Refused::Malformed),
        (Digest::List(vec![1; HOSTS_MAX + 1]), Refused::Malformed),
        (Digest::Differ(vec![2, 1]), Refused::Malformed),
        (Digest::Prints(vec![(1, vec![]), (1, vec![])]), Refused::Malformed),
        (Digest::Prints(vec![(1, vec![1; HOSTS_MAX + 1])]), Refused::Malformed),
        (Digest::Differ(vec![1]), Refused::OutOfTurn),
        (Digest::Prints(vec![(1, vec![])]), Refused::OutOfTurn),
        (Digest::Done { more: true }, Refused::OutOfTurn),
    ];
    for (digest, why) in cases {
        assert_eq!(reconciler.heard(peer, &digest, &roster, Time::ZERO), Err(why), "{digest:?}");
    }
    // What is offered is taken once.
    let sums = Digest::Sums(vec![0; BUCKETS]);
    let prints = Digest::Prints(vec![(1, vec![])]);
    assert!(reconciler.heard(peer, &sums, &roster, Time::ZERO).is_ok());
    assert!(reconciler.heard(peer, &prints, &roster, Time::ZERO).is_ok());
    assert_eq!(reconciler.heard(peer, &prints, &roster, Time::ZERO), Err(Refused::OutOfTurn));
}

#[test]
fn a_peer_that_does_not_answer_is_given_up_for_the_next() {
    let maker = Maker::new();
    let roster = maker.roster([(host(0), 1)]);
    let mut reconciler = Reconciler::new(host(0), Limits::ROSTER);
    let state = Digest::State { of_you: print(&roster, host(0)), others: 7 };
    let ask = |peer| Act::Tell(peer, Digest::List(Vec::new()));
    let heard = reconciler.heard(host(1), &state, &roster, Time::ZERO);
    assert_eq!(heard, Ok(vec![ask(host(1))]));
    assert_eq!(reconciler.heard(host(2), &state, &roster, Time::ZERO), Ok(vec![]));
    let late = reconciler.next_deadline().expect("it waits for an answer");
    assert_eq!(late, Time::ZERO + ROSTER_ANSWER_TIMEOUT);
    assert_eq!(reconciler.due(&roster, Time::ZERO + ROSTER_ANSWER_TIMEOUT / 2), []);
    assert_eq!(reconciler.due(&roster, late), [ask(host(2))]);
    assert_eq!(reconciler.lost(host(2), &roster, late), []);
    assert_eq!(reconciler.next_deadline(), None);
}
