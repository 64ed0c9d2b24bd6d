use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::{
    exchange::Item,
    limits::{
        ROSTER_ANSWER_BYTES_MAX, ROSTER_ANSWER_TIMEOUT, ROSTER_WINDOW, ROSTER_WINDOW_DIGESTS_MAX,
    },
    reconcile::{Act, BUCKETS, Digest, Limits, Reconciler, Refused},
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

/// Spread over the ring like keys.
fn host(number: u32) -> HostId {
    HostId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn ages(roster: &Roster) -> BTreeMap<HostId, u64> {
    roster.iter().map(|record| (record.host, record.sequence)).collect()
}

#[derive(Debug)]
enum Word {
    Digest(Digest),
    Records(Vec<Arc<KnownHost>>),
}

/// Some hosts and the lanes between them.
struct World {
    hosts: Vec<HostId>,
    rosters: Vec<Roster>,
    reconcilers: Vec<Reconciler>,
    lanes: BTreeMap<(usize, usize), VecDeque<Word>>,
    maker: Maker,
    now: Time,
    bytes: usize,
    /// Records that went to each host.
    records: Vec<usize>,
    largest_answer: usize,
}

impl World {
    /// Each host knows itself, by its number, and what else is said.
    fn new(known: &[BTreeMap<HostId, u64>]) -> Self {
        let maker = Maker::new();
        let hosts: Vec<HostId> = (0..).map(host).take(known.len()).collect();
        let rosters = hosts.iter().zip(known).map(|(me, known)| {
            let others = known.iter().map(|(host, age)| (*host, *age));
            maker.roster(others.chain([(*me, 1_000)]))
        });
        Self {
            rosters: rosters.collect(),
            reconcilers: hosts.iter().map(|me| Reconciler::new(*me, Limits::ROSTER)).collect(),
            lanes: BTreeMap::new(),
            maker,
            now: Time::ZERO,
            bytes: 0,
            records: vec![0; hosts.len()],
            largest_answer: 0,
            hosts,
        }
    }

    fn open(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            self.lanes.insert((here, there), VecDeque::new());
            let state = state(&self.rosters[here], self.hosts[here], self.hosts[there]);
            self.say(here, there, Word::Digest(state));
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            self.lanes.remove(&(here, there));
        }
        for (here, there) in [(a, b), (b, a)] {
            let (host, roster) = (self.hosts[there], &self.rosters[here]);
            let acts = self.reconcilers[here].lost(host, roster, self.now);
            self.act(here, acts);
        }
    }

    fn say(&mut self, here: usize, there: usize, word: Word) {
        let Some(lane) = self.lanes.get_mut(&(here, there)) else { return };
        let item = match &word {
            Word::Digest(digest) => Item::Roster(digest.clone()),
            Word::Records(records) => {
                self.records[there] += records.len();
                Item::Hosts(records.iter().map(|known| known.signed().clone()).collect())
            }
        };
        let bytes = wire::encode(&item).len();
        self.bytes += bytes;
        if matches!(word, Word::Records(_)) {
            self.largest_answer = self.largest_answer.max(bytes);
        }
        lane.push_back(word);
    }

    fn act(&mut self, here: usize, acts: Vec<Act<Arc<KnownHost>>>) {
        for act in acts {
            match act {
                Act::Tell(to, digest) => self.say(here, self.number(to), Word::Digest(digest)),
                Act::Send(to, records) => self.say(here, self.number(to), Word::Records(records)),
                Act::TellState { but } => {
                    self.each_but(here, Some(self.number(but)), |world, there| {
                        let (me, peer) = (world.hosts[here], world.hosts[there]);
                        Word::Digest(state(&world.rosters[here], me, peer))
                    });
                }
            }
        }
    }

    fn number(&self, host: HostId) -> usize {
        self.hosts.iter().position(|one| *one == host).expect("it is in this world")
    }

    fn each_but(&mut self, here: usize, but: Option<usize>, word: impl Fn(&Self, usize) -> Word) {
        for there in (0..self.hosts.len()).filter(|there| Some(*there) != but) {
            let word = word(self, there);
            self.say(here, there, word);
        }
    }

    /// One word arrives, chosen by `pick`; false when there is none.
    fn step(&mut self, pick: usize) -> bool {
        let full = self.lanes.iter().filter(|(_, words)| !words.is_empty());
        let full: Vec<_> = full.map(|(lane, _)| *lane).collect();
        let Some((from, here)) = full.get(pick % full.len().max(1)).copied() else { return false };
        let word = self.lanes.get_mut(&(from, here)).and_then(VecDeque::pop_front);
        let (peer, now) = (self.hosts[from], self.now);
        match word.expect("it is not empty") {
            Word::Digest(digest) => {
                let (reconciler, roster) = (&mut self.reconcilers[here], &self.rosters[here]);
                let acts = reconciler.heard(peer, &digest, roster, now).expect("all behave");
                self.act(here, acts);
            }
            Word::Records(records) => {
                let news: Vec<_> = records.into_iter().filter(|r| self.take(here, r)).collect();
                let (pass_on, acts) = self.reconcilers[here].learned(peer, news.len(), now);
                if pass_on && !news.is_empty() {
                    self.each_but(here, Some(from), |_, _| Word::Records(news.clone()));
                }
                self.act(here, acts);
            }
        }
        true
    }

    fn take(&mut self, here: usize, known: &KnownHost) -> bool {
        let (host, age) = (known.host(), known.record().sequence);
        let roster = &mut self.rosters[here];
        let new = roster.get(host).is_none_or(|old| old.sequence < age);
        if new {
            roster.put(self.maker.known(host, age));
        }
        new
    }

    /// Gives how many words arrived.
    fn settle(&mut self, pick: impl Fn(usize) -> usize) -> usize {
        (0..).take_while(|step| self.step(pick(*step))).count()
    }
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

fn newest(world: &World) -> BTreeMap<HostId, u64> {
    let mut newest = BTreeMap::new();
    for (host, age) in world.rosters.iter().flat_map(ages) {
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
        let mut world = World::new(&known);
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
        for roster in &world.rosters {
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
    let mut world = World::new(&[Clone::clone(&known), known]);
    world.open(0, 1);
    assert_eq!(world.settle(|_| 0), 2, "one word from each side");
    assert_eq!((world.bytes, world.records), (40, vec![0, 0]));
}

#[test]
fn one_difference_among_many_costs_little_more_than_its_record() {
    let mut world = World::new(&[numbered(0..10_000), numbered(0..10_001)]);
    let own = [(host(0), 1_000), (host(1), 1_000)];
    for (host, age) in own {
        for roster in &mut world.rosters {
            roster.put(world.maker.known(host, age));
        }
    }
    world.open(0, 1);
    world.settle(|_| 0);
    assert_eq!(ages(&world.rosters[0]), ages(&world.rosters[1]));
    assert_eq!(world.records, [1, 0]);
    assert!(world.bytes < 7_000, "{} bytes", world.bytes);
}

#[test]
fn a_newcomer_with_many_links_gets_the_whole_roster_once_and_in_parts() {
    let mut known = vec![numbered(0..3_000); 5];
    known[0].clear();
    let mut world = World::new(&known);
    for peer in 1..5 {
        (1..peer).for_each(|other| world.open(peer, other));
    }
    world.settle(|step| step);
    world.records.fill(0);
    (1..5).for_each(|peer| world.open(0, peer));
    world.settle(|step| step);
    assert_eq!(world.rosters[0].len(), 3_000);
    // Beside the roster, every peer sends its own record, because it was not known, and passes on
    // the newcomer's to all others.
    let sent = world.records[0];
    assert!((2_999..2_999 + 4 + 4).contains(&sent), "{sent} records");
    assert!(world.largest_answer < ROSTER_ANSWER_BYTES_MAX + 4_096, "{}", world.largest_answer);
}

#[test]
fn a_newcomer_with_one_link_asks_until_it_has_all() {
    let mut world = World::new(&[numbered(0..0), numbered(0..3_000)]);
    world.open(0, 1);
    world.settle(|_| 0);
    assert_eq!(ages(&world.rosters[0]), ages(&world.rosters[1]));
    // All but the newcomer's, and the newcomer's.
    assert_eq!(world.records, [2_999, 1]);
}

#[test]
fn two_strangers_with_the_same_friends_tell_of_themselves_only() {
    let mut world = World::new(&[numbered(2..50), numbered(2..50)]);
    world.open(0, 1);
    assert_eq!(world.settle(|_| 0), 4, "what they know, and themselves");
    assert_eq!(world.records, [1, 1]);
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
