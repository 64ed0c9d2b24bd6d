//! Random stories beside a model that keeps lists and adds everything up each time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{super::*, at, partner, saved};

#[derive(Clone, Debug)]
enum Op {
    Preallocate(u64, u64),
    Allocate(u64, u64),
    Confirm(usize),
    Release(usize),
    /// By how much the scalar changes, how many values more, which one more, which one less.
    Premodify(usize, i64, u64, Option<u64>, Option<u64>),
    /// To what the allocation is brought, through its delta.
    Become(usize, u64, u64),
    Bind(usize, u128),
    Lose(u128),
    Define(u64, u64, u64),
    Sweep,
    Save,
}

#[derive(Clone, Debug)]
struct Alloc {
    epu: u64,
    ports: BTreeSet<u64>,
    until: Option<Time>,
    bound: Option<Bond>,
}

#[derive(Clone, Debug)]
struct Mod {
    of: u64,
    until: Time,
    more: u64,
    less: u64,
    add: BTreeSet<u64>,
    release: BTreeSet<u64>,
}

#[derive(Default)]
struct Model {
    epu: u64,
    ports: (u64, u64),
    allocs: BTreeMap<u64, Alloc>,
    mods: BTreeMap<u64, Mod>,
    given: u64,
}

impl Model {
    fn epu_used(&self) -> (u64, u64) {
        let sum = |confirmed: bool| {
            let of = self.allocs.values().filter(|of| of.until.is_none() == confirmed);
            of.map(|of| of.epu).sum::<u64>()
        };
        (sum(true), sum(false) + self.mods.values().map(|of| of.more).sum::<u64>())
    }

    fn ports_used(&self) -> Vec<u64> {
        let of_allocs = self.allocs.values().flat_map(|of| of.ports.iter());
        of_allocs.chain(self.mods.values().flat_map(|of| of.add.iter())).copied().collect()
    }

    fn free_ports(&self) -> Vec<u64> {
        let used = self.ports_used();
        (self.ports.0..=self.ports.1).filter(|value| !used.contains(value)).collect()
    }

    fn free_epu(&self) -> u64 {
        let (allocated, pending) = self.epu_used();
        self.epu.saturating_sub(allocated + pending)
    }

    fn sweep(&mut self, now: Time) -> BTreeSet<u64> {
        let before = self.ids();
        self.allocs.retain(|_, of| of.until.is_none_or(|until| until > now));
        self.mods.retain(|_, of| of.until > now);
        self.forget_mods();
        before.difference(&self.ids()).copied().collect()
    }

    fn forget_mods(&mut self) {
        let Self { allocs, mods, .. } = self;
        mods.retain(|_, of| allocs.contains_key(&of.of));
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.allocs.keys().chain(self.mods.keys()).copied().collect()
    }

    fn id(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    fn allocate(&mut self, epu: u64, ports: u64, until: Option<Time>) -> Option<u64> {
        let free = self.free_ports();
        if epu > self.free_epu() || ports > free.len() as u64 {
            return None;
        }
        let ports = free.into_iter().take(ports as usize).collect();
        let id = self.id();
        self.allocs.insert(id, Alloc { epu, ports, until, bound: None });
        Some(id)
    }

    fn confirm(&mut self, id: u64) -> bool {
        if let Some(of) = self.allocs.get_mut(&id) {
            of.until = None;
            return true;
        }
        let Some(change) = self.mods.remove(&id) else { return false };
        let of = self.allocs.get_mut(&change.of).expect("it stands");
        of.epu = of.epu + change.more - change.less;
        of.ports.retain(|value| !change.release.contains(value));
        of.ports.extend(change.add);
        true
    }

    fn premodify(
        &mut self,
        id: u64,
        delta: (i64, u64, Vec<u64>, Vec<u64>),
        now: Time,
    ) -> Option<u64> {
        let (by, count, these, release) = delta;
        let of = self.allocs.get(&id).filter(|of| of.until.is_none())?;
        let others: Vec<_> = self.mods.values().filter(|change| change.of == id).collect();
        let (more, less) = (by.max(0) as u64, by.min(0).unsigned_abs());
        if more > self.free_epu() || less + others.iter().map(|of| of.less).sum::<u64>() > of.epu {
            return None;
        }
        let gives = |value: &u64| {
            of.ports.contains(value) && !others.iter().any(|of| of.release.contains(value))
        };
        let mut free = self.free_ports();
        if !release.iter().all(gives) || !these.iter().all(|value| free.contains(value)) {
            return None;
        }
        free.retain(|value| !these.contains(value));
        if (free.len() as u64) < count {
            return None;
        }
        let add = free.into_iter().take(count as usize).chain(these).collect();
        let release = release.into_iter().collect();
        let change = Mod { of: id, until: now + ALLOCATION_WINDOW, more, less, add, release };
        let id = self.id();
        self.mods.insert(id, change);
        Some(id)
    }
}

/// The same id for both, and whether it ever was an allocation.
#[derive(Default)]
struct Story {
    ids: Vec<Reserved>,
    real: Resources,
    model: Model,
}

impl Story {
    fn number(id: Reserved) -> u64 {
        match id {
            Reserved::Allocation(AllocationId(id)) => id,
            Reserved::Modification(ModificationId(id)) => id,
        }
    }

    fn pick(&self, which: usize) -> Option<Reserved> {
        self.ids.get(which % self.ids.len().max(1)).copied()
    }

    fn alloc(&self, which: usize) -> Option<AllocationId> {
        let allocs = self.ids.iter().rev().filter_map(|id| match id {
            Reserved::Allocation(id) => Some(*id),
            Reserved::Modification(_) => None,
        });
        allocs.cycle().nth(which)
    }

    fn gave(&mut self, id: Result<impl Into<Reserved>, ResourceError>, expected: Option<u64>) {
        let id = id.ok().map(Into::into);
        assert_eq!(id.map(Self::number), expected, "the model's id, or none");
        if let Some(id) = id {
            let repeats = self.ids.iter().any(|old| Self::number(*old) == Self::number(id));
            assert!(!repeats, "{id} is given twice");
            self.ids.push(id);
        }
    }

    fn apply(&mut self, op: &Op, now: Time) {
        if !matches!(op, Op::Release(_) | Op::Bind(..) | Op::Lose(_) | Op::Save | Op::Sweep) {
            self.model.sweep(now);
            self.real.sweep(now);
        }
        match *op {
            Op::Preallocate(epu, ports) => {
                let id = self.real.preallocate(&want(epu, ports), now);
                let expected = self.model.allocate(epu, ports, Some(now + ALLOCATION_WINDOW));
                self.gave(id, expected);
            }
            Op::Allocate(epu, ports) => {
                let id = self.real.allocate(&want(epu, ports), now);
                let expected = self.model.allocate(epu, ports, None);
                self.gave(id, expected);
            }
            Op::Confirm(which) => {
                let Some(id) = self.pick(which) else { return };
                let confirmed = self.model.confirm(Self::number(id));
                assert_eq!(self.real.confirm(id, now).is_ok(), confirmed);
            }
            Op::Release(which) => self.release(which),
            Op::Premodify(which, by, count, add, release) => {
                let Some(id) = self.alloc(which) else { return };
                let (add, release) = (Vec::from_iter(add), Vec::from_iter(release));
                let changed = self.real.premodify(id, &delta(by, count, &add, &release), now);
                let expected = self.model.premodify(id.0, (by, count, add, release), now);
                self.gave(changed, expected);
            }
            Op::Become(which, epu, ports) => self.become_(which, (epu, ports), now),
            _ => self.apply_rest(op, now),
        }
    }

    fn apply_rest(&mut self, op: &Op, now: Time) {
        match *op {
            Op::Bind(which, to) => {
                let Some(id) = self.alloc(which) else { return };
                let of = self.model.allocs.get_mut(&id.0);
                let bound = of.map(|of| of.bound = Some(partner(to))).is_some();
                assert_eq!(self.real.bind(id, partner(to)).is_ok(), bound);
            }
            Op::Lose(of) => {
                let ids = self.real.released_by(partner(of)).into_iter().map(|id| id.0);
                let lost =
                    self.model.allocs.extract_if(.., |_, held| held.bound == Some(partner(of)));
                assert_eq!(ids.collect::<Vec<_>>(), lost.map(|(id, _)| id).collect::<Vec<_>>());
                self.model.forget_mods();
            }
            Op::Define(epu, first, len) => {
                self.model.epu = epu;
                self.model.ports = (first, first + len);
                let totals = Totals::new().scalar("epu", epu).range("ports", first..=first + len);
                self.real.define(totals, now).expect("it is allowed");
            }
            Op::Sweep => {
                let swept = self.real.sweep(now);
                let swept: BTreeSet<_> = swept.into_iter().map(Self::number).collect();
                let gone = self.model.sweep(now);
                assert_eq!(swept, gone);
            }
            _ => self.real = saved(&self.real),
        }
    }

    fn release(&mut self, which: usize) {
        let Some(id) = self.pick(which) else { return };
        let number = Self::number(id);
        let was_there = self.model.allocs.remove(&number).is_some()
            || self.model.mods.remove(&number).is_some();
        self.model.forget_mods();
        assert_eq!(self.real.release(id).is_ok(), was_there);
    }

    /// Whatever its delta says can be done, leads to what was wanted.
    fn become_(&mut self, which: usize, (epu, ports): (u64, u64), now: Time) {
        let Some(id) = self.alloc(which) else { return };
        let Ok(delta) = self.real.delta(id, &want(epu, ports)) else {
            return assert!(!self.model.allocs.contains_key(&id.0));
        };
        let has_changes = self.model.mods.values().any(|change| change.of == id.0);
        let held = self.model.allocs[&id.0].clone();
        let Ok(change) = self.real.premodify(id, &delta, now) else {
            let grows = held.epu + self.model.free_epu() >= epu
                && (held.ports.len() + self.model.free_ports().len()) as u64 >= ports;
            return assert!(held.until.is_some() || has_changes || !grows, "{delta:?}");
        };
        let before: Vec<_> = held.ports.iter().copied().collect();
        let keep = before.len().min(ports as usize);
        let count = ports - keep as u64;
        let by = epu as i64 - held.epu as i64;
        let expected =
            self.model.premodify(id.0, (by, count, vec![], before[keep..].to_vec()), now);
        self.gave(Ok(change), expected);
        if !has_changes {
            self.model.confirm(change.0);
            self.real.confirm(change, now).expect("it stands");
            let shares = self.real.allocation(id).expect("it stands").shares();
            assert_eq!((shares.amount("epu"), shares.amount("ports")), (epu, ports));
        }
    }

    fn agrees(&self) {
        let Self { real, model, .. } = self;
        let (usage, used) = (real.usage(), model.ports_used());
        let (epu, ports) = (usage["epu"], usage["ports"]);
        assert_eq!((epu.allocated, epu.pending), model.epu_used());
        assert_eq!((epu.total, epu.free), (model.epu, model.free_epu()));
        assert_eq!(
            epu.total.max(epu.allocated + epu.pending),
            epu.allocated + epu.pending + epu.free
        );
        assert_eq!(ports.allocated + ports.pending, used.len() as u64);
        assert_eq!(ports.free, model.free_ports().len() as u64);
        let inside = |value: &&u64| (model.ports.0..=model.ports.1).contains(value);
        assert_eq!(ports.total, ports.free + used.iter().filter(inside).count() as u64);
        assert_eq!(used.iter().collect::<BTreeSet<_>>().len(), used.len(), "none is given twice");
        for (id, of) in real.allocations() {
            let expected = &model.allocs[&id.0];
            let values: BTreeSet<_> = of.shares().values("ports").collect();
            assert_eq!((of.shares().amount("epu"), values), (expected.epu, expected.ports.clone()));
            assert_eq!((of.until(), of.bound_to()), (expected.until, expected.bound));
        }
        let ids = real.allocations.keys().map(|id| id.0);
        assert_eq!(
            ids.chain(real.modifications.keys().map(|id| id.0)).collect::<BTreeSet<_>>(),
            model.ids()
        );
        let of_allocs = model.allocs.values().filter_map(|of| of.until);
        let next = of_allocs.chain(model.mods.values().map(|of| of.until)).min();
        assert_eq!(real.next_deadline(), next);
    }
}

fn want(epu: u64, ports: u64) -> Want {
    let mut want = Want::nothing();
    for (name, amount) in [("epu", epu), ("ports", ports)] {
        if amount > 0 {
            want = want.and(name, amount);
        }
    }
    want
}

fn delta(by: i64, count: u64, add: &[u64], release: &[u64]) -> Delta {
    let mut delta = match by {
        0 => Delta::new(),
        1.. => Delta::new().more("epu", by.unsigned_abs()),
        _ => Delta::new().less("epu", by.unsigned_abs()),
    };
    if count > 0 || !add.is_empty() || !release.is_empty() {
        delta = delta.values("ports", count);
        delta = delta.these_values("ports", add.to_vec());
        delta = delta.without_values("ports", release.to_vec());
    }
    delta
}

fn op() -> impl Strategy<Value = Op> {
    let some = prop::option::of(0..16u64);
    let which = 0..8usize;
    prop_oneof![
        3 => (0..12u64, 0..5u64).prop_map(|(epu, ports)| Op::Preallocate(epu, ports)),
        2 => (0..12u64, 0..5u64).prop_map(|(epu, ports)| Op::Allocate(epu, ports)),
        4 => (0..40usize).prop_map(Op::Confirm),
        2 => (0..40usize).prop_map(Op::Release),
        4 => (which.clone(), -6..6i64, 0..3u64, some.clone(), some)
            .prop_map(|(of, by, count, add, release)| Op::Premodify(of, by, count, add, release)),
        2 => (which.clone(), 0..12u64, 0..5u64).prop_map(|(of, e, p)| Op::Become(of, e, p)),
        1 => (which, 0..3u128).prop_map(|(of, to)| Op::Bind(of, to)),
        1 => (0..3u128).prop_map(Op::Lose),
        1 => (0..40u64, 0..8u64, 0..12u64).prop_map(|(epu, at, len)| Op::Define(epu, at, len)),
        1 => Just(Op::Sweep),
        1 => Just(Op::Save),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_the_sums_are_right(ops in prop::collection::vec((op(), 0..5u64), 1..60)) {
        let mut story = Story::default();
        let mut now = 0;
        story.apply(&Op::Define(30, 0, 11), at(now));
        for (op, by) in &ops {
            now += by;
            story.apply(op, at(now));
            story.agrees();
        }
        // Nothing leaks: when all is over, all is free.
        story.apply(&Op::Sweep, at(now + 10));
        for which in 0..story.ids.len() {
            story.release(which);
        }
        story.agrees();
        prop_assert!(story.real.usage().values().all(|usage| usage.free == usage.total));
        prop_assert_eq!(story.real.next_deadline(), None);
    }
}
