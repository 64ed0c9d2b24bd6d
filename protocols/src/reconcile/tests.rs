mod hostile;
mod model;
pub(crate) mod world;

use std::collections::BTreeMap;

use self::{model::Model, world::World};
use super::*;
use crate::entropy::Entropy;

/// Two hosts have ten thousand items; of the first so many, the first host lacks what `lacks` says
/// and has an older version of the others.
fn pair(differ: u32, lacks: impl Fn(u32) -> bool) -> World<Model> {
    let older = (0..10_000).filter(|name| *name >= differ || !lacks(*name));
    let older = older.map(|name| (name, 1 + u32::from(name >= differ)));
    let newer = (0..10_000).map(|name| (name, 2));
    World::new(vec![Model::new(older), Model::new(newer)], Limits::DOCUMENTS)
}

/// Gives the bytes of digests, and the items that went to each of two hosts.
fn cost(world: &mut World<Model>) -> (usize, [usize; 2]) {
    world.open(0, 1);
    world.settle(|step| step);
    assert_eq!(world.known[0], world.known[1]);
    (world.digest_bytes, [world.items[0], world.items[1]])
}

#[test]
fn what_is_lacking_is_found_with_bytes_in_proportion() {
    // Both sides ask: the sums of all buckets, and of those that differ the prints.
    let table = [(0, 24, 12), (1, 5_467, 2_309), (100, 61_366, 28_724), (10_000, 37_708, 2_309)];
    for (lacking, bytes, largest) in table {
        let mut world = pair(lacking, |_| true);
        assert_eq!(cost(&mut world), (bytes, [lacking as usize, 0]), "{lacking} lacking");
        assert_eq!(world.largest_digest, largest, "{lacking} lacking");
    }
}

#[test]
fn what_is_older_goes_both_ways_as_nobody_can_tell_by_a_print() {
    for (older, bytes) in [(1, 6_000), (100, 63_000), (10_000, 1_100_000)] {
        let mut world = pair(older, |_| false);
        let (digests, items) = cost(&mut world);
        assert!(digests < bytes, "{older} older: {digests} bytes");
        assert_eq!(items[0], older as usize);
        assert!(items[1] <= older as usize, "{older} older: {items:?}");
        assert!(world.largest_answer <= Limits::DOCUMENTS.answer_bytes_max);
    }
}

#[test]
fn a_host_between_two_brings_each_what_it_lacks_once() {
    let names = [0..9_000, 0..9_500, 500..10_000];
    let known = names.map(|names| Model::new(names.map(|name| (name, 1))));
    let mut world = World::new(known.to_vec(), Limits::DOCUMENTS);
    world.open(0, 1);
    world.open(1, 2);
    world.settle(|step| step);
    assert_eq!(world.items, [1_000, 500, 500]);
    assert!(world.known[1..].iter().all(|known| *known == world.known[0]));
}

#[test]
fn a_question_with_too_many_prints_is_asked_in_parts() {
    let limits = Limits { prints_max: 500, ..Limits::DOCUMENTS };
    let even = Model::new((0..10_000).filter(|name| name % 2 == 0).map(|name| (name, 1)));
    let mut world = World::new(vec![even, Model::new((0..10_000).map(|n| (n, 1)))], limits);
    let (_, items) = cost(&mut world);
    assert_eq!(items, [5_000, 0]);
    // The prints, and how many there are in each bucket.
    assert!(world.largest_digest < 500 * 9 + 256 * 2 + 8, "{}", world.largest_digest);
}

/// So that small collections need several questions and answers.
const SMALL: Limits =
    Limits { list_max: 16, prints_max: 64, answer_bytes_max: 4_000, ..Limits::DOCUMENTS };

/// A mesh drawn from a seed.
struct Drawn {
    world: World<Model>,
    links: Vec<(usize, usize)>,
    newest: BTreeMap<u32, u32>,
    /// Items that are not the same on all hosts.
    differ: usize,
}

fn draw(entropy: &mut Entropy, versions: u64, limits: Limits) -> Drawn {
    let hosts = 2 + entropy.below(4) as usize;
    let mut known = vec![BTreeMap::new(); hosts];
    let (mut newest, mut differ) = (BTreeMap::new(), 0);
    let same = entropy.below(100);
    for name in 0..=entropy.below(400) as u32 {
        let all = (entropy.below(100) < same).then_some(1);
        let mut draw = || all.unwrap_or_else(|| entropy.below(versions + 1) as u32);
        let drawn: Vec<u32> = (0..hosts).map(|_| draw()).collect();
        let (first, last) = (drawn.iter().min().copied(), drawn.iter().max().copied());
        newest.extend(last.filter(|last| *last > 0).map(|last| (name, last)));
        differ += usize::from(first != last);
        for (known, version) in known.iter_mut().zip(drawn).filter(|(_, version)| *version > 0) {
            known.insert(name, version);
        }
    }
    let world = World::new(known.into_iter().map(Model::new).collect(), limits);
    let mut links = Vec::new();
    for there in 1..hosts {
        let tree = entropy.below(there as u64) as usize;
        let linked = (0..there).filter(|here| *here == tree || entropy.below(3) == 0);
        links.extend(linked.map(|here| (here, there)));
    }
    Drawn { world, links, newest, differ }
}

#[test]
fn all_come_to_know_the_newest_whatever_breaks() {
    for seed in 0..300 {
        let mut entropy = Entropy::from_seed([0; 32]).fork_at(0, seed);
        let Drawn { mut world, links, newest, differ } = draw(&mut entropy, 3, SMALL);
        let mut opened = 0;
        for _ in 0..entropy.below(12) {
            let (a, b) = links[entropy.below(links.len() as u64) as usize];
            if world.is_open(a, b) {
                world.cut(a, b);
            } else {
                world.open(a, b);
                opened += 1;
            }
            for _ in 0..entropy.below(12) {
                world.step(entropy.u64() as usize);
            }
        }
        for (a, b) in links {
            if !world.is_open(a, b) {
                world.open(a, b);
                opened += 1;
            }
        }
        world.settle(|_| entropy.u64() as usize);
        assert!(world.known.iter().all(|known| known.is(&newest)), "seed {seed}");
        // Each of the two may send its version, whenever they meet.
        let arrived = world.items.iter().sum::<usize>() - world.lost;
        let most = 2 * differ * opened;
        assert!(arrived <= most, "seed {seed}: {arrived} items, not {most}");
    }
}

#[test]
fn what_has_one_version_and_is_not_passed_on_comes_to_each_host_once() {
    for seed in 0..300 {
        let mut entropy = Entropy::from_seed([1; 32]).fork_at(0, seed);
        let limits = Limits { news_passed_on_max: 0, ..SMALL };
        let Drawn { mut world, links, newest, .. } = draw(&mut entropy, 1, limits);
        let lacking = world.known.iter().map(|known| newest.len() - known.sums().len());
        let lacking: Vec<usize> = lacking.collect();
        links.iter().for_each(|(a, b)| world.open(*a, *b));
        world.settle(|_| entropy.u64() as usize);
        assert!(world.known.iter().all(|known| known.is(&newest)), "seed {seed}");
        assert_eq!(world.items, lacking, "seed {seed}");
    }
}
