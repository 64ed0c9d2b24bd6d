//! Whole groups under schedules that a seed draws: any delays and order of messages within the
//! windows, deaths and restarts, cut networks, lists that differ, members that fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::*;
use crate::{entropy::Entropy, exchange::Failure, time::Time};

const PATIENCE: Patience = Patience::DEFAULT;
const MS: Duration = Duration::from_millis(1);

/// What may happen in one run.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    deaths: bool,
    restarts: bool,
    cut: bool,
    /// Of a hundred answers so many are lost between members that reach each other.
    loss: u64,
    failures: bool,
    /// Some lists lack members.
    gaps: bool,
}

struct Node {
    member: Member,
    lists: BTreeSet<usize>,
    life: u32,
    alive: bool,
    /// It ends at some time, for good or not.
    dies: bool,
    fails: bool,
    /// It notices the problem by itself.
    notices: bool,
    acts: u32,
    /// How often it noticed what could not be solved before.
    anew: u32,
    settled: Vec<Result<Address, Unsolved>>,
    /// The questions that it holds back.
    held: BTreeMap<usize, u32>,
    waits: BTreeSet<(usize, u32)>,
}

enum Event {
    Notice(usize),
    Ask { from: usize, to: usize, turn: u32, life: u32, claims: bool, group: Group },
    Answer { from: usize, to: usize, turn: u32, life: u32, reply: Result<Reply, Failure> },
    Tell { to: usize, solution: Vec<u8>, by: Address },
    Done { node: usize, life: u32 },
    Die { node: usize, back: bool },
    Back(usize),
}

struct World {
    weather: Weather,
    entropy: Entropy,
    now: Time,
    nodes: Vec<Node>,
    queue: BTreeMap<(Time, u64), Event>,
    number: u64,
    /// From when until when nothing passes between these and the rest.
    cut: Option<(Time, Time, BTreeSet<usize>)>,
    /// Who acted, in which life, and whether it has failed.
    acts: Vec<(usize, u32, bool)>,
    questions: u64,
}

fn address(node: usize) -> Address {
    let number = u8::try_from(node).expect("few members");
    // Hosts are ordered otherwise than agents are.
    Address { host: HostId([200 - number; 32]), agent: AgentId(2000 + node as u128) }
}

fn index(address: Address) -> usize {
    usize::try_from(address.agent.0 - 2000).expect("a member of the test")
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(bytes);
        let size = 2 + entropy.below(7) as usize;
        let style = if weather.gaps { entropy.below(3) } else { 0 };
        let nodes = (0..size).map(|me| Node::draw(me, size, style, weather, &mut entropy));
        let mut world = Self {
            weather,
            nodes: nodes.collect(),
            entropy,
            now: Time::ZERO,
            queue: BTreeMap::new(),
            number: 0,
            cut: None,
            acts: Vec::new(),
            questions: 0,
        };
        world.draw_events();
        world
    }

    fn draw_events(&mut self) {
        let size = self.nodes.len();
        let at_once = self.entropy.below(3) == 0;
        let first = self.entropy.below(size as u64) as usize;
        for node in 0..size {
            self.nodes[node].notices = node == first || self.entropy.below(3) > 0;
            if self.nodes[node].notices {
                // Some are told more than once.
                for _ in 0..=self.entropy.below(2) {
                    let after = if at_once { 0 } else { self.entropy.below(12_000) };
                    self.push(after, Event::Notice(node));
                }
            }
            if self.nodes[node].dies {
                let back = self.weather.restarts && self.entropy.below(2) == 0;
                let after = self.entropy.below(15_000);
                self.push(after, Event::Die { node, back });
            }
        }
        if self.weather.cut {
            let side = (0..size).filter(|_| self.entropy.below(2) == 0).collect();
            let from = if self.entropy.below(2) == 0 { 0 } else { self.entropy.below(12_000) };
            let lasts =
                if self.entropy.below(2) == 0 { 1_000_000 } else { self.entropy.below(60_000) };
            let from = Time::ZERO + MS * u32::try_from(from).unwrap();
            self.cut = Some((from, from + MS * u32::try_from(lasts).unwrap(), side));
        }
    }

    fn push(&mut self, after_ms: u64, event: Event) {
        self.number += 1;
        let at = self.now + MS * u32::try_from(after_ms).expect("soon");
        self.queue.insert((at, self.number), event);
    }

    fn are_apart(&self, a: usize, b: usize) -> bool {
        self.cut.as_ref().is_some_and(|(from, until, side)| {
            *from <= self.now && self.now < *until && side.contains(&a) != side.contains(&b)
        })
    }

    fn delay(&mut self) -> u64 {
        self.entropy.below(700)
    }

    /// Lets everything happen.
    fn run(&mut self) {
        for _ in 0..200_000 {
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let live = self.nodes.iter().filter(|node| node.alive);
            let timer = live.filter_map(|node| node.member.next_deadline()).min();
            match (event, timer) {
                (None, None) => return,
                (Some(at), timer) if timer.is_none_or(|timer| at <= timer) => {
                    self.now = self.now.max(at);
                    let (_, event) = self.queue.pop_first().expect("it is there");
                    self.handle(event);
                }
                (_, Some(at)) => {
                    self.now = self.now.max(at);
                    for node in 0..self.nodes.len() {
                        let due = self.nodes[node].member.next_deadline();
                        if self.nodes[node].alive && due.is_some_and(|due| due <= self.now) {
                            self.nodes[node].member.expire(self.now);
                            self.drain(node);
                        }
                    }
                }
                (Some(_), None) => unreachable!(),
            }
        }
        panic!("it does not end");
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Notice(node) if self.nodes[node].alive => {
                let of = &mut self.nodes[node];
                of.anew += u32::from(of.member.phase() == "unsolved");
                of.member.notice(of.lists.iter().map(|of| address(*of)), self.now);
                self.drain(node);
            }
            Event::Ask { from, to, turn, life, claims, group } => {
                self.asked(from, to, turn, life, claims, &group);
            }
            Event::Answer { from, to, turn, life, reply } => {
                let node = &mut self.nodes[to];
                if node.alive && node.life == life && node.waits.remove(&(from, turn)) {
                    node.member.answered(address(from), turn, reply, self.now);
                    self.drain(to);
                }
            }
            Event::Tell { to, solution, by } if self.nodes[to].alive => {
                self.nodes[to].member.hear(solution, by, self.now);
                self.drain(to);
            }
            Event::Done { node, life }
                if self.nodes[node].alive && self.nodes[node].life == life =>
            {
                let Node { member, fails, .. } = &mut self.nodes[node];
                if *fails {
                    member.fail("it is too hard", self.now);
                    let acts = self.acts.iter_mut().filter(|(of, ..)| *of == node);
                    acts.for_each(|(.., failed)| *failed = true);
                } else {
                    member.solve(vec![u8::try_from(node).unwrap()], self.now);
                }
                self.drain(node);
            }
            Event::Die { node, back } => self.die(node, back),
            Event::Back(node) => {
                let fresh = Member::new(address(node), [0; 32], PATIENCE, self.now);
                let of = &mut self.nodes[node];
                (of.member, of.alive, of.life) = (fresh, true, of.life + 1);
                of.settled.clear();
                of.waits.clear();
                if of.notices {
                    self.push(0, Event::Notice(node));
                }
            }
            _ => {}
        }
    }

    fn asked(&mut self, from: usize, to: usize, turn: u32, life: u32, claims: bool, group: &Group) {
        if self.are_apart(from, to) {
            return;
        }
        if !self.nodes[to].alive {
            return self.fail_fast(to, from, turn, life, Failure::NoAgent);
        }
        let (node, asker, now) = (&mut self.nodes[to], address(from), self.now);
        let reply = if claims {
            // Who had not noticed it has a list all the same.
            let members: Vec<_> = node.lists.iter().map(|of| address(*of)).collect();
            node.member.meet(members, now);
            Some(node.member.asked(asker, group, now))
        } else if node.member.phase() == "new" {
            Some(Reply::Free { group: Group::default(), why: None })
        } else {
            node.member.followed(asker, group, now)
        };
        match reply {
            Some(reply) => self.reply(to, from, turn, life, Ok(reply)),
            None => drop(self.nodes[to].held.insert(from, turn)),
        }
        self.drain(to);
    }

    fn reply(
        &mut self,
        from: usize,
        to: usize,
        turn: u32,
        life: u32,
        reply: Result<Reply, Failure>,
    ) {
        if self.are_apart(from, to) || self.entropy.below(100) < self.weather.loss {
            return;
        }
        let after = self.delay();
        self.push(after, Event::Answer { from, to, turn, life, reply });
    }

    /// Sometimes it is known at once that one is gone, sometimes only its silence tells.
    fn fail_fast(&mut self, from: usize, to: usize, turn: u32, life: u32, why: Failure) {
        if self.entropy.below(3) > 0 {
            self.reply(from, to, turn, life, Err(why));
        }
    }

    fn die(&mut self, node: usize, back: bool) {
        if !self.nodes[node].alive {
            return;
        }
        self.nodes[node].alive = false;
        for (asker, turn) in std::mem::take(&mut self.nodes[node].held) {
            let life = self.nodes[asker].life;
            self.fail_fast(node, asker, turn, life, Failure::Gone);
        }
        if back {
            let after = self.entropy.below(20_000);
            self.push(after, Event::Back(node));
        }
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].member.poll() {
            match output {
                Output::Claim { to, turn } => self.ask(node, index(to), turn, true),
                Output::Follow { to, turn } => self.ask(node, index(to), turn, false),
                Output::Answer { to, reply } => {
                    let to = index(to);
                    if let Some(turn) = self.nodes[node].held.remove(&to) {
                        let life = self.nodes[to].life;
                        self.reply(node, to, turn, life, Ok(reply));
                    }
                }
                Output::Tell { to } => {
                    let (solution, by) = self.nodes[node].member.solution().expect("it is solved");
                    let tell = Event::Tell { to: index(to), solution: solution.to_vec(), by };
                    if !self.are_apart(node, index(to)) {
                        self.push(100, tell);
                    }
                }
                Output::Solve => self.acts(node),
                Output::Settled(how) => self.nodes[node].settled.push(how),
                Output::Another { .. } => {}
            }
        }
    }

    fn ask(&mut self, from: usize, to: usize, turn: u32, claims: bool) {
        assert_ne!(from, to, "nobody asks itself");
        self.questions += 1;
        let (life, group) = (self.nodes[from].life, self.nodes[from].member.group().clone());
        assert!(self.nodes[from].waits.insert((to, turn)) || claims, "asked twice in one turn");
        // Some questions come twice; the answer to the second meets nobody.
        for _ in 0..=u64::from(claims && self.entropy.below(10) == 0) {
            let after = self.delay();
            let group = group.clone();
            self.push(after, Event::Ask { from, to, turn, life, claims, group });
        }
        let window = if claims { 3000 } else { 20_000 };
        let late = Err(Failure::TimedOut);
        self.push(window, Event::Answer { from: to, to: from, turn, life, reply: late });
    }

    fn acts(&mut self, node: usize) {
        for (other, life, failed) in self.acts.clone() {
            let of = &self.nodes[other];
            let lives = of.alive && of.life == life;
            if other != node && lives && !failed && self.weather.loss == 0 {
                assert!(!self.must_meet(other, node), "{other} acts, and so does {node}");
            }
        }
        self.nodes[node].acts += 1;
        self.acts.push((node, self.nodes[node].life, false));
        let (after, life) = (self.entropy.below(5000), self.nodes[node].life);
        self.push(after, Event::Done { node, life });
    }

    /// Whether the promise covers these two: their lists lead to somebody in common, over members
    /// that live and reach each other all the time.
    fn must_meet(&self, first: usize, second: usize) -> bool {
        let cut = self.cut.as_ref().filter(|(from, ..)| *from <= self.now);
        let apart = |a, b| cut.is_some_and(|(_, _, side)| side.contains(&a) != side.contains(&b));
        if apart(first, second) {
            return false;
        }
        let led = |start: usize| {
            let mut found = BTreeSet::from([start]);
            let mut next = vec![start];
            while let Some(node) = next.pop() {
                for to in self.nodes[node].lists.iter().copied() {
                    let lasts = !self.nodes[to].dies && !apart(start, to);
                    if found.insert(to) && lasts {
                        next.push(to);
                    }
                }
            }
            found
        };
        let common = led(first).intersection(&led(second)).copied().collect::<Vec<_>>();
        let remembers = |of: usize| match of {
            // A question to an earlier life of it may have met nobody.
            _ if of == first || of == second => self.nodes[of].life == 0,
            _ => !self.nodes[of].dies && !apart(first, of),
        };
        common.into_iter().any(remembers)
    }

    fn check(&self) {
        let Weather { deaths, cut, loss, failures, gaps, .. } = self.weather;
        let size = self.nodes.len() as u64;
        let lasts = |node: &Node| !node.dies && node.member.phase() != "new";
        assert!(!self.acts.is_empty() || !self.nodes.iter().any(lasts), "somebody acts");
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(node.acts <= node.life + 1 + node.anew, "each acts once");
            if !node.alive || node.member.phase() == "new" {
                continue;
            }
            assert!(node.member.has_ended() && !node.settled.is_empty(), "{number} has ended");
            let calm = self.nodes.iter().filter(|node| node.dies).count() <= 1;
            if loss == 0 && calm && !failures {
                assert!(node.settled.iter().all(Result::is_ok), "{number}: {:?}", node.settled);
            }
            if failures && !deaths && !cut && !gaps {
                let able = |of: &Node| !of.fails;
                let solvable = self.nodes.iter().any(able);
                let last = node.settled.last();
                assert_eq!(last.is_some_and(Result::is_ok), solvable, "{:?}", node.settled);
                let failed = matches!(last, Some(Err(Unsolved::Failed(_))));
                assert_eq!(failed, !solvable, "{:?}", node.settled);
            }
        }
        // A minute of asking again every ten seconds, and each claim asks all.
        let claims: u64 = 4 + u64::from(deaths || cut || loss > 0 || failures) * 12;
        assert!(self.questions <= size * size * claims, "{} questions, {size}", self.questions);
    }
}

impl Node {
    fn draw(me: usize, size: usize, style: u64, weather: Weather, entropy: &mut Entropy) -> Self {
        let lists = (0..size).filter(|of| match style {
            0 => true,
            // All know one, which may know nobody.
            1 => *of == size / 2 || entropy.below(3) == 0,
            _ => entropy.below(2) == 0,
        });
        Self {
            lists: lists.collect(),
            member: Member::new(address(me), [me as u8; 32], PATIENCE, Time::ZERO),
            life: 0,
            alive: true,
            dies: weather.deaths && entropy.below(3) == 0,
            fails: weather.failures && entropy.below(2) == 0,
            notices: false,
            acts: 0,
            anew: 0,
            settled: Vec::new(),
            held: BTreeMap::new(),
            waits: BTreeSet::new(),
        }
    }
}

/// Runs many seeds, and gives how many acted in each.
fn runs(weather: Weather, seeds: u64) -> Vec<usize> {
    let run = |seed| {
        let told = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, weather);
            world.run();
            world.check();
            world.acts.len()
        });
        told.unwrap_or_else(|_| panic!("seed {seed} of {weather:?}"))
    };
    (0..seeds).map(run).collect()
}

#[test]
fn exactly_one_acts_where_nothing_goes_wrong() {
    assert_eq!(runs(Weather::default(), 2000), vec![1; 2000]);
}

#[test]
fn at_most_one_acts_of_those_whose_lists_lead_together() {
    let acted = runs(Weather { gaps: true, ..Weather::default() }, 4000);
    assert!(acted.iter().filter(|acts| **acts == 1).count() > 2000);
}

#[test]
fn whoever_dies_one_lives_that_acts() {
    for restarts in [false, true] {
        for gaps in [false, true] {
            runs(Weather { deaths: true, restarts, gaps, ..Weather::default() }, 3000);
        }
    }
}

#[test]
fn at_most_one_acts_in_each_part() {
    for gaps in [false, true] {
        let acted = runs(Weather { cut: true, gaps, ..Weather::default() }, 3000);
        assert!(gaps || acted.iter().all(|acts| *acts <= 2), "there are two parts");
        assert!(acted.contains(&2), "in some runs both act");
    }
    runs(
        Weather { cut: true, deaths: true, restarts: true, gaps: true, ..Weather::default() },
        3000,
    );
}

#[test]
fn each_tries_once_until_one_can() {
    runs(Weather { failures: true, ..Weather::default() }, 3000);
    let all = Weather { failures: true, deaths: true, gaps: true, cut: true, ..Weather::default() };
    runs(all, 3000);
}

#[test]
fn it_ends_where_answers_are_lost() {
    runs(Weather { loss: 20, ..Weather::default() }, 2000);
    runs(Weather { loss: 10, deaths: true, gaps: true, ..Weather::default() }, 2000);
}
