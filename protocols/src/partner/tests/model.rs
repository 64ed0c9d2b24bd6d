//! Groups of agents under random schedules: letters arrive exactly once and in order between any
//! two hosts, however late; everything else may go wrong.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::{super::*, *};
use crate::entropy::Entropy;

const AGENTS: usize = 5;

/// Everybody may be everybody's neighbour: the relation is the same from both ends.
const fn neighbours() -> Ends {
    Ends { mine: Cow::Borrowed("neighbours"), theirs: Cow::Borrowed("neighbours") }
}

/// An agent, alone on its host.
#[derive(Default)]
struct Member {
    table: Partnerships,
    /// Whether its state outlives its host's going down.
    lasting: bool,
    /// Whether it has ended for good.
    ended: bool,
    most: usize,
    /// Whom it is watched by, and for what.
    watchers: Vec<(usize, Bond)>,
    /// What it was told: of each bond, how often it began to stand and how often it ended.
    told: BTreeMap<Bond, (u32, u32)>,
}

/// What is under way from one to another.
enum Letters {
    Letter(Letter<'static>),
    Undelivered(Failure),
}

struct World {
    entropy: Entropy,
    members: Vec<Member>,
    /// From, to.
    letters: BTreeMap<(usize, usize), VecDeque<Letters>>,
    watches: Vec<(usize, usize, Bond)>,
    now: Time,
    bonds: u128,
    steps: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut entropy = Entropy::from_seed([0; 32]).fork_at(0, seed);
        let members = (0..AGENTS).map(|_| Member {
            lasting: entropy.below(2) == 0,
            most: 1 + usize::try_from(entropy.below(3)).expect("few"),
            ..Member::default()
        });
        Self {
            members: members.collect(),
            entropy,
            letters: BTreeMap::new(),
            watches: Vec::new(),
            now: Time::ZERO,
            bonds: 0,
            steps: 0,
        }
    }

    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.entropy.below(below as u64)).expect("few")
    }

    fn at(member: usize) -> Address {
        address(u8::try_from(member + 1).expect("few"))
    }

    fn whose(of: Address) -> usize {
        usize::try_from(of.agent.0).expect("few") - 1
    }

    /// One random thing happens.
    fn step(&mut self) {
        let who = self.pick(AGENTS);
        match self.pick(12) {
            0 | 1 => self.propose(who),
            2 => self.break_up(who),
            3 => self.crash(who),
            4 if self.pick(12) == 0 => self.end(who),
            5 => self.expire(who),
            _ => drop(self.arrive()),
        }
    }

    fn propose(&mut self, who: usize) {
        let to = Self::at(self.pick(AGENTS));
        self.bonds += 1;
        let standing = self.members[who].table.standing("neighbours");
        let standing: Vec<Bond> = standing.into_iter().map(|(bond, _)| bond).collect();
        let instead_of = (!standing.is_empty() && self.pick(3) == 0)
            .then(|| standing[self.pick(standing.len())]);
        let most = self.members[who].most;
        let proposal = Proposal {
            bond: Bond(self.bonds),
            ends: neighbours(),
            to,
            terms: Vec::new(),
            instead_of,
            most,
            until: self.now + Duration::from_secs(6),
        };
        if !self.members[who].ended {
            let _ = self.members[who].table.propose(proposal, Self::at(who));
            self.drain(who);
        }
    }

    fn break_up(&mut self, who: usize) {
        let bonds: Vec<Bond> = self.members[who].table.iter().map(|(bond, _)| bond).collect();
        if !bonds.is_empty() {
            let bond = bonds[self.pick(bonds.len())];
            self.members[who].table.break_up(bond);
            self.drain(who);
        }
    }

    /// Its host goes down and comes back.
    fn crash(&mut self, who: usize) {
        for (watcher, bond) in std::mem::take(&mut self.members[who].watchers) {
            self.gone(watcher, bond, false);
        }
        // News that a letter was not delivered may be lost with either of the two.
        for ((from, to), queue) in &mut self.letters {
            if *from == who || *to == who {
                queue.retain(|letter| matches!(letter, Letters::Letter(_)));
            }
        }
        // What was asked of it and by it in its last life is lost with that.
        let (lost, rest) = std::mem::take(&mut self.watches)
            .into_iter()
            .partition::<Vec<_>, _>(|(from, to, _)| *from == who || *to == who);
        self.watches = rest;
        let (own, others) = lost.into_iter().partition::<Vec<_>, _>(|(from, ..)| *from == who);
        for (from, _, bond) in others {
            self.gone(from, bond, false);
        }
        let mut watched: Vec<_> = own.into_iter().map(|(.., bond)| (who, bond)).collect();
        for member in &mut self.members {
            watched.extend(member.watchers.iter().filter(|(of, _)| *of == who).copied());
            member.watchers.retain(|(of, _)| *of != who);
        }
        if self.members[who].lasting {
            watched.into_iter().for_each(|(_, bond)| self.gone(who, bond, false));
        } else {
            self.members[who].table = Partnerships::default();
            self.members[who].told.clear();
        }
    }

    fn gone(&mut self, who: usize, bond: Bond, answered: bool) {
        let (now, lasted) = (self.now, Duration::from_secs(self.entropy.below(200)));
        self.members[who].table.watched(bond, lasted);
        self.members[who].table.gone(bond, answered, now);
        self.drain(who);
    }

    /// It ends for good: in good order, or not.
    fn end(&mut self, who: usize) {
        if self.pick(2) == 0 {
            self.members[who].table.shut_down();
            self.drain(who);
        }
        self.members[who].table = Partnerships::default();
        self.members[who].told.clear();
        self.members[who].ended = true;
        for (watcher, bond) in std::mem::take(&mut self.members[who].watchers) {
            self.gone(watcher, bond, false);
        }
    }

    fn expire(&mut self, who: usize) {
        if let Some(at) = self.members[who].table.next_deadline() {
            self.now = self.now.max(at);
            self.members[who].table.expire(self.now);
            self.drain(who);
        }
    }

    /// Something that is under way arrives. Gives whether there was anything.
    fn arrive(&mut self) -> bool {
        let lanes: Vec<_> =
            self.letters.iter().filter(|(_, queue)| !queue.is_empty()).map(|(of, _)| *of).collect();
        let next = self.pick((lanes.len() + self.watches.len()).max(1));
        if next < lanes.len() {
            let (from, to) = lanes[next];
            let letter = self.letters.get_mut(&(from, to)).and_then(VecDeque::pop_front);
            self.take(from, to, letter.expect("there is one"));
        } else if next - lanes.len() < self.watches.len() {
            let (watcher, of, bond) = self.watches.swap_remove(next - lanes.len());
            if self.members[of].ended || self.members[of].table.get(bond).is_none() {
                self.gone(watcher, bond, true);
            } else {
                self.members[of].watchers.push((watcher, bond));
            }
        } else {
            return false;
        }
        true
    }

    fn take(&mut self, from: usize, to: usize, letter: Letters) {
        let (sender, me, most) = (Self::at(from), Self::at(to), self.members[to].most);
        let letter = match letter {
            Letters::Undelivered(why) => {
                self.members[to].table.undelivered(sender, "neighbours", &why, self.now);
                return self.drain(to);
            }
            Letters::Letter(_) if self.members[to].ended => {
                let back = Letters::Undelivered(Failure::NoAgent);
                return self.letters.entry((to, from)).or_default().push_back(back);
            }
            Letters::Letter(letter) => letter,
        };
        let agrees = self.pick(4) > 0;
        let table = &mut self.members[to].table;
        let mut stands = None;
        match table.take(letter, &neighbours(), sender, me, most) {
            Some(Wants::Answer { bond, .. }) if agrees => {
                table.accept(bond);
                stands = Some(bond);
            }
            Some(Wants::Answer { bond, .. }) => table.decline(bond, "no"),
            Some(Wants::Confirmation { bond }) if agrees => {
                table.confirm(bond);
                stands = Some(bond);
            }
            Some(Wants::Confirmation { bond }) => table.reconsider(bond, "no"),
            None => {}
        }
        if let Some(bond) = stands {
            self.members[to].told.entry(bond).or_default().0 += 1;
        }
        self.drain(to);
    }

    fn drain(&mut self, who: usize) {
        while let Some(output) = self.members[who].table.poll() {
            match output {
                Output::Post { to, letter, .. } => {
                    let queue = self.letters.entry((who, Self::whose(to))).or_default();
                    queue.push_back(Letters::Letter(letter));
                }
                Output::Watch { of, bond } => self.watches.push((who, Self::whose(of), bond)),
                Output::Unwatch { bond, .. } => {
                    self.watches.retain(|(from, _, of)| (*from, *of) != (who, bond));
                    for member in &mut self.members {
                        member.watchers.retain(|watch| *watch != (who, bond));
                    }
                }
                Output::Parted { bond, .. } => {
                    self.members[who].told.entry(bond).or_default().1 += 1;
                }
                Output::Declined { .. } | Output::Restarted { .. } => {}
            }
        }
    }

    /// All that is under way arrives, all windows end.
    fn settle(&mut self) {
        loop {
            self.steps += 1;
            assert!(self.steps < 100_000, "it never comes to rest");
            if self.arrive() {
                continue;
            }
            let due = self.members.iter().position(|one| one.table.next_deadline().is_some());
            let Some(who) = due else { return };
            self.expire(who);
        }
    }

    /// Both sides of each bond agree, nobody has more than it may, and each was told the truth.
    fn check(&self) {
        for (who, member) in self.members.iter().enumerate() {
            let standing = member.table.standing("neighbours");
            assert!(standing.len() <= member.most, "{who} has more than {}", member.most);
            let mut others: Vec<usize> =
                standing.iter().map(|(_, row)| Self::whose(row.partner)).collect();
            others.dedup();
            assert_eq!(others.len(), standing.len(), "{who} is twice somebody's partner");
            assert_eq!(standing.len(), member.table.iter().count(), "{who} still waits");
            for (bond, row) in standing {
                let other = Self::whose(row.partner);
                let same = self.members[other].table.get(bond);
                let same = same.filter(|row| row.stage == Stage::Standing);
                assert_eq!(same.map(|row| Self::whose(row.partner)), Some(who), "{who}, {other}");
            }
            for (bond, (begun, ended)) in &member.told {
                let stands = u32::from(member.table.get(*bond).is_some());
                assert_eq!((*begun, *ended), (1, 1 - stands), "{who} of {bond}");
            }
        }
    }
}

proptest! {
    #[test]
    fn when_all_has_arrived_both_sides_agree(seed: u64, steps in 0..300u32) {
        let mut world = World::new(seed);
        (0..steps).for_each(|_| world.step());
        world.settle();
        world.check();
    }
}
