//! Single cases here; whole stories beside a naive model in [`model`].

mod model;

use starling_protocols::{
    limits::{NAME_BYTES_MAX, RESOURCE_NAMES_MAX},
    wire,
};

use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn at(secs: u64) -> Time {
    Time::from_nanos(secs * 1_000_000_000)
}

pub(super) const fn partner(number: u128) -> Bond {
    Bond(number)
}

pub(super) fn saved(resources: &Resources) -> Resources {
    let bytes = wire::encode(resources);
    wire::decode(&bytes, bytes.len()).expect("it reads back")
}

fn host() -> Resources {
    let totals = Totals::new().scalar("epu", 500).scalar("none", 0).range("ports", 8000..=8009);
    Resources::new(totals).expect("they are allowed")
}

fn free(resources: &Resources, name: &str) -> u64 {
    resources.usage()[name].free
}

fn values(resources: &Resources, id: AllocationId) -> Vec<u64> {
    resources.allocation(id).expect("it stands").shares().values("ports").collect()
}

fn epu(amount: u64) -> Want {
    Want::of("epu", amount)
}

fn ports(count: u64) -> Want {
    Want::of("ports", count)
}

#[test]
fn what_cannot_be_given_is_told_and_nothing_is_held() {
    let mut resources = host();
    let before = resources.clone();
    let name = || "epu".to_owned();
    let known = vec!["epu".to_owned(), "none".to_owned(), "ports".to_owned()];
    let unknown = ResourceError::UnknownResource { name: "x".to_owned(), known };
    let text = "there is no resource \"x\"; there are epu, none, ports";
    assert_eq!(unknown.to_string(), text);
    let many = || ResourceError::MoreThanTotal { name: "none".to_owned(), wanted: 1, total: 0 };
    for (want, why) in [
        (epu(1).and("x", 1), unknown),
        (epu(0), ResourceError::Zero { name: name() }),
        (epu(501), ResourceError::MoreThanTotal { name: name(), wanted: 501, total: 500 }),
        (epu(1).and("none", 1), many()),
        (
            epu(u64::MAX),
            ResourceError::MoreThanTotal { name: name(), wanted: u64::MAX, total: 500 },
        ),
    ] {
        assert_eq!(resources.allocate(&want, at(0)), Err(why.clone()));
        assert_eq!(resources.preallocate(&want, at(0)), Err(why));
    }
    assert_eq!(resources, before);
    resources.allocate(&epu(300).and("ports", 8), at(0)).expect("it is free");
    let before = resources.clone();
    let why = ResourceError::NotEnough { name: name(), wanted: 201, free: 200 };
    assert_eq!(resources.allocate(&epu(201), at(0)), Err(why));
    let why = ResourceError::NotEnough { name: "ports".to_owned(), wanted: 3, free: 2 };
    assert_eq!(resources.allocate(&epu(1).and("ports", 3), at(0)), Err(why));
    assert_eq!(resources, before);
}

#[test]
fn an_allocation_of_nothing_is_one() {
    let mut resources = host();
    let id = resources.allocate(&Want::nothing(), at(0)).expect("nothing is free");
    assert!(resources.allocation(id).expect("it stands").shares().is_empty());
    assert_eq!(resources.release(id), Ok(()));
}

#[test]
fn what_is_not_confirmed_in_time_is_free_again() {
    let mut resources = host();
    let kept = resources.preallocate(&epu(100), at(0)).expect("it is free");
    let lost = resources.preallocate(&epu(200), at(1)).expect("it is free");
    assert_eq!(resources.next_deadline(), Some(at(10)));
    assert_eq!(resources.confirm(kept, at(9)), Ok(()));
    assert_eq!(resources.confirm(kept, at(10)), Ok(()), "once more");
    let usage = Usage { sort: Sort::Scalar, total: 500, allocated: 100, pending: 200, free: 200 };
    assert_eq!((resources.usage()["epu"], resources.next_deadline()), (usage, Some(at(11))));
    assert_eq!(resources.confirm(lost, at(11)), Err(ResourceError::Unknown(lost.into())));
    assert_eq!((free(&resources, "epu"), resources.next_deadline()), (400, None));
    assert_eq!(resources.sweep(at(11)), [], "the confirmation has swept");
    assert_eq!(resources.release(kept), Ok(()));
    assert_eq!(resources.release(kept), Err(ResourceError::Unknown(kept.into())));
    assert_eq!(resources.confirm(kept, at(12)), Err(ResourceError::Unknown(kept.into())));
    assert_eq!(free(&resources, "epu"), 500);
}

#[test]
fn the_window_can_be_set() {
    let mut resources = host();
    resources.set_window(SECOND);
    let id = resources.preallocate(&epu(1), at(5)).expect("it is free");
    assert_eq!(resources.sweep(Time::from_nanos(at(6).as_nanos() - 1)), []);
    assert_eq!(resources.sweep(at(6)), [Reserved::from(id)]);
}

#[test]
fn whoever_allocates_finds_free_what_has_expired() {
    let mut resources = host();
    resources.preallocate(&epu(500), at(0)).expect("it is free");
    assert!(resources.preallocate(&epu(1), at(9)).is_err());
    assert!(resources.preallocate(&epu(500), at(10)).is_ok());
}

#[test]
fn a_range_gives_its_lowest_free_values() {
    let mut resources = host();
    let [a, b, c] = [3, 2, 1].map(|n| resources.allocate(&ports(n), at(0)).expect("free"));
    assert_eq!(values(&resources, b), [8003, 8004]);
    resources.release(a).expect("it stands");
    resources.release(c).expect("it stands");
    let d = resources.allocate(&ports(5), at(0)).expect("free");
    assert_eq!(values(&resources, d), [8000, 8001, 8002, 8005, 8006]);
    let usage = Usage { sort: Sort::Range, total: 10, allocated: 7, pending: 0, free: 3 };
    assert_eq!(resources.usage()["ports"], usage);
}

#[test]
fn a_reduction_is_free_when_it_is_confirmed_and_growth_is_held_at_once() {
    let mut resources = host();
    let id = resources.allocate(&epu(300).and("ports", 3), at(0)).expect("free");
    let delta = Delta::new().less("epu", 100).without_values("ports", [8001]);
    let less = resources.premodify(id, &delta, at(0)).expect("it is held");
    assert_eq!((free(&resources, "epu"), free(&resources, "ports")), (200, 7));
    let delta = Delta::new().more("epu", 200).values("ports", 1).these_values("ports", [8003]);
    let more = resources.premodify(id, &delta, at(0)).expect("it is free");
    assert_eq!((free(&resources, "epu"), free(&resources, "ports")), (0, 5));
    assert_eq!(resources.usage()["epu"].pending, 200);
    assert_eq!(values(&resources, id), [8000, 8001, 8002]);
    resources.confirm(less, at(1)).expect("it stands");
    assert_eq!(values(&resources, id), [8000, 8002]);
    resources.confirm(more, at(1)).expect("it stands");
    assert_eq!(values(&resources, id), [8000, 8002, 8003, 8004]);
    assert_eq!(resources.usage()["epu"].allocated, 400);
    assert_eq!(resources.confirm(more, at(1)), Err(ResourceError::Unknown(more.into())));
    assert_eq!(resources.next_deadline(), None);
}

#[test]
fn a_modification_goes_with_its_allocation_by_itself_or_in_time() {
    let mut resources = host();
    let id = resources.allocate(&epu(100), at(0)).expect("free");
    let more = Delta::new().more("epu", 50);
    let [a, b, c] = [0, 1, 2].map(|now| resources.premodify(id, &more, at(now)).expect("free"));
    assert_eq!(resources.release(b), Ok(()));
    assert_eq!(free(&resources, "epu"), 300);
    assert_eq!(resources.sweep(at(11)), [Reserved::from(a)]);
    assert_eq!(free(&resources, "epu"), 350);
    assert_eq!(resources.release(id), Ok(()));
    assert_eq!(resources.release(c), Err(ResourceError::Unknown(c.into())));
    assert_eq!((free(&resources, "epu"), resources.next_deadline()), (500, None));
}

#[test]
fn two_modifications_never_give_back_the_same() {
    let mut resources = host();
    let id = resources.allocate(&epu(100).and("ports", 2), at(0)).expect("free");
    let delta = Delta::new().less("epu", 60).without_values("ports", [8000]);
    resources.premodify(id, &delta, at(0)).expect("it is held");
    let name = "epu".to_owned();
    let why = ResourceError::NotHeld { name, less: 41, held: 40 };
    assert_eq!(resources.premodify(id, &Delta::new().less("epu", 41), at(0)), Err(why));
    let again = Delta::new().without_values("ports", [8000]);
    let why = ResourceError::ValueNotHeld { name: "ports".to_owned(), value: 8000 };
    assert_eq!(resources.premodify(id, &again, at(0)), Err(why));
    let rest = Delta::new().less("epu", 40).without_values("ports", [8001]);
    let rest = resources.premodify(id, &rest, at(0)).expect("it is held");
    resources.confirm(rest, at(0)).expect("it stands");
    assert_eq!(resources.allocation(id).expect("it stands").shares().amount("epu"), 60);
}

#[test]
fn what_cannot_be_modified_is_told_and_nothing_changes() {
    let mut resources = host();
    let other = resources.allocate(&ports(1), at(0)).expect("free");
    let id = resources.allocate(&epu(100).and("ports", 1), at(0)).expect("free");
    let loose = resources.preallocate(&epu(1), at(0)).expect("free");
    let before = resources.clone();
    let name = || "ports".to_owned();
    let (first, last) = (8000, 8009);
    let new = Delta::new;
    let is_scalar = ResourceError::OtherSort { name: "epu".to_owned(), sort: Sort::Scalar };
    let is_range = ResourceError::OtherSort { name: name(), sort: Sort::Range };
    for (delta, why) in [
        (new().values("epu", 1), is_scalar.clone()),
        (new().values("none", 0), ResourceError::Zero { name: "none".to_owned() }),
        (new().more("ports", 1), is_range),
        (new().less("epu", 0), ResourceError::Zero { name: "epu".to_owned() }),
        (new().without_values("ports", []), ResourceError::Zero { name: name() }),
        (
            new().these_values("ports", [8010]),
            ResourceError::OutOfRange { name: name(), value: 8010, first, last },
        ),
        (new().these_values("ports", [8000]), ResourceError::Taken { name: name(), value: 8000 }),
        (
            new().without_values("ports", [8000]),
            ResourceError::ValueNotHeld { name: name(), value: 8000 },
        ),
        (
            new().these_values("ports", [8002]).values("ports", 8),
            ResourceError::NotEnough { name: name(), wanted: 8, free: 7 },
        ),
        (
            new().less("epu", 1).more("none", 1),
            ResourceError::MoreThanTotal { name: "none".to_owned(), wanted: 1, total: 0 },
        ),
    ] {
        assert_eq!(resources.premodify(id, &delta, at(0)), Err(why), "{delta:?}");
    }
    let why = Err(ResourceError::Unconfirmed(loose));
    assert_eq!(resources.premodify(loose, &new().more("epu", 1), at(0)), why);
    assert_eq!(resources, before);
    resources.release(other).expect("it stands");
    let why = Err(ResourceError::Unknown(other.into()));
    assert_eq!(resources.premodify(other, &new(), at(0)), why);
}

#[test]
fn the_delta_leads_from_what_is_held_to_what_is_wanted() {
    let mut resources = host();
    let id = resources.allocate(&epu(100).and("ports", 4), at(0)).expect("free");
    let delta = |want: &Want| resources.delta(id, want).expect("it stands");
    assert!(delta(&epu(100).and("ports", 4)).is_empty());
    let less = Delta::new().without_values("ports", [8001, 8002, 8003]).less("epu", 99);
    assert_eq!(delta(&epu(1).and("ports", 1)), less);
    let more = Delta::new().values("ports", 3).more("epu", 900);
    assert_eq!(delta(&epu(1000).and("ports", 7)), more);
    let none = Delta::new().without_values("ports", 8000..8004).less("epu", 100);
    assert_eq!(delta(&Want::nothing()), none);
    let zero = Err(ResourceError::Zero { name: "epu".to_owned() });
    assert_eq!(resources.delta(id, &epu(0)), zero);
    assert!(matches!(
        resources.delta(id, &Want::of("x", 1)),
        Err(ResourceError::UnknownResource { .. })
    ));
    resources.release(id).expect("it stands");
    assert_eq!(resources.delta(id, &epu(1)), Err(ResourceError::Unknown(id.into())));
}

#[test]
fn a_smaller_definition_invalidates_nothing_and_gives_nothing_until_enough_is_free() {
    let mut resources = host();
    let big = resources.allocate(&epu(300).and("ports", 6), at(0)).expect("free");
    let small = resources.preallocate(&epu(100), at(0)).expect("free");
    let totals = Totals::new().scalar("epu", 350).range("ports", 8004..=8007);
    let held = Share::Values((8000..8004).collect());
    let excess = vec![
        Excess { name: "epu".to_owned(), held: Share::Amount(50) },
        Excess { name: "ports".to_owned(), held },
    ];
    assert_eq!(resources.define(totals, at(1)), Ok(excess.clone()));
    assert_eq!(resources.excess(), excess);
    assert_eq!((free(&resources, "epu"), free(&resources, "ports")), (0, 2));
    assert_eq!(saved(&resources), resources);
    let why = ResourceError::NotEnough { name: "epu".to_owned(), wanted: 1, free: 0 };
    assert_eq!(resources.allocate(&epu(1), at(1)), Err(why));
    let next = resources.allocate(&ports(2), at(1)).expect("free");
    assert_eq!(values(&resources, next), [8006, 8007]);
    assert_eq!(resources.confirm(small, at(1)), Ok(()));
    assert_eq!(resources.release(small), Ok(()));
    assert_eq!(free(&resources, "epu"), 50);
    assert_eq!(values(&resources, big), (8000..8006).collect::<Vec<_>>());
    assert_eq!(resources.release(big), Ok(()));
    assert_eq!((resources.excess(), free(&resources, "ports")), (vec![], 2));
}

#[test]
fn a_name_that_is_gone_can_be_given_back_and_comes_back_as_the_same_sort_only() {
    let mut resources = host();
    let id = resources.allocate(&epu(300).and("ports", 1), at(0)).expect("free");
    let held = [
        Excess { name: "epu".to_owned(), held: Share::Amount(300) },
        Excess { name: "ports".to_owned(), held: Share::Values([8000].into()) },
    ];
    assert_eq!(resources.define(Totals::new(), at(0)).expect("allowed"), held);
    let usage = Usage { sort: Sort::Range, total: 0, allocated: 1, pending: 0, free: 0 };
    assert_eq!(resources.usage()["ports"], usage);
    let more = resources.premodify(id, &Delta::new().more("epu", 1), at(0));
    assert!(matches!(more, Err(ResourceError::UnknownResource { known, .. }) if known.is_empty()));
    let delta = resources.delta(id, &epu(200)).expect("it stands");
    let change = resources.premodify(id, &delta, at(0)).expect("it is held");
    resources.confirm(change, at(0)).expect("it stands");
    assert_eq!(resources.usage().keys().collect::<Vec<_>>(), ["epu"]);
    let other = DefineError::OtherSort { name: "epu".to_owned(), sort: Sort::Scalar };
    assert_eq!(resources.define(Totals::new().range("epu", 0..=9), at(0)), Err(other));
    assert_eq!(resources.define(Totals::new().scalar("epu", 201), at(0)), Ok(vec![]));
    assert_eq!(free(&resources, "epu"), 1);
}

#[test]
fn what_is_bound_goes_with_its_partner() {
    let mut resources = host();
    let [a, b, c] = [1, 2, 4].map(|n| resources.preallocate(&epu(n), at(0)).expect("free"));
    for (id, to) in [(a, 1), (b, 2), (c, 2), (c, 1)] {
        resources.bind(id, partner(to)).expect("it stands");
    }
    assert_eq!(resources.allocation(c).and_then(Allocation::bound_to), Some(partner(1)));
    assert_eq!(resources.released_by(partner(1)), [a, c]);
    assert_eq!(resources.released_by(partner(1)), []);
    assert_eq!((free(&resources, "epu"), resources.allocations().len()), (498, 1));
    assert_eq!(resources.bind(a, partner(1)), Err(ResourceError::Unknown(a.into())));
    assert_eq!(resources.sweep(at(10)), [Reserved::from(b)]);
}

#[test]
fn definitions_that_are_not_allowed_change_nothing() {
    let mut resources = host();
    let before = resources.clone();
    let name = || "x".to_owned();
    let many = (0..=RESOURCE_NAMES_MAX).fold(Totals::new(), |all, n| all.scalar(n.to_string(), 1));
    #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let reversed = Totals::new().range("x", 5..=4);
    for (totals, why) in [
        (Totals::new().scalar("", 1), DefineError::BadName),
        (Totals::new().scalar("x".repeat(NAME_BYTES_MAX + 1), 1), DefineError::BadName),
        (many, DefineError::TooManyNames(RESOURCE_NAMES_MAX + 1)),
        (reversed, DefineError::EmptyRange { name: name(), first: 5, last: 4 }),
        (Totals::new().range("x", 1..=65_537), DefineError::LargeRange { name: name() }),
        (Totals::new().range("x", 0..=u64::MAX), DefineError::LargeRange { name: name() }),
    ] {
        assert_eq!(resources.define(totals, at(0)), Err(why));
    }
    assert_eq!(resources, before);
    let largest = Totals::new().range("x", u64::MAX - 65_535..=u64::MAX);
    let mut resources = Resources::new(largest.scalar("y", u64::MAX)).expect("allowed");
    let all = Want::of("x", 65_536).and("y", u64::MAX);
    let id = resources.allocate(&all, at(0)).expect("all is free");
    assert_eq!(resources.allocation(id).expect("it stands").shares().amount("x"), 65_536);
    assert!(resources.premodify(id, &Delta::new().more("y", 1), at(0)).is_err());
}

#[test]
fn ids_go_on_through_all_lives_and_end_one_day() {
    let mut resources = host();
    let first = resources.allocate(&epu(1), at(0)).expect("free");
    resources.release(first).expect("it stands");
    let mut resources = saved(&resources);
    resources.define(Totals::new().scalar("epu", 9), at(0)).expect("allowed");
    assert!(resources.allocate(&epu(1), at(0)).expect("free") > first);
    resources.last = u64::MAX;
    assert_eq!(resources.allocate(&epu(1), at(0)), Err(ResourceError::IdsExhausted));
    assert_eq!(free(&resources, "epu"), 8);
}

#[test]
fn there_are_only_so_many_allocations_and_modifications() {
    let mut resources = host();
    let mut last = AllocationId(0);
    for _ in 0..ALLOCATIONS_PER_AGENT_MAX {
        last = resources.allocate(&Want::nothing(), at(0)).expect("there is room");
    }
    let full = Err(ResourceError::TooManyAllocations);
    assert_eq!(resources.preallocate(&Want::nothing(), at(0)), full);
    for _ in 0..starling_protocols::limits::MODIFICATIONS_PER_AGENT_MAX {
        resources.premodify(last, &Delta::new(), at(0)).expect("there is room");
    }
    let full = Err(ResourceError::TooManyModifications);
    assert_eq!(resources.premodify(last, &Delta::new(), at(0)), full);
    resources.release(last).expect("it stands");
    assert!(resources.preallocate(&Want::nothing(), at(0)).is_ok());
}

#[test]
fn a_state_that_contradicts_itself_is_not_read() {
    let mut resources = host();
    let id = resources.allocate(&epu(100).and("ports", 2), at(0)).expect("free");
    let delta = Delta::new().less("epu", 60).these_values("ports", [8005]);
    resources.premodify(id, &delta, at(0)).expect("free");
    let good = serde_json::to_string(&resources).expect("it has a form in JSON");
    let read = |text: &str| serde_json::from_str::<Resources>(text);
    assert_eq!(read(&good).expect("it reads back"), resources);
    for (from, to, why) in [
        (r#""last":2"#, r#""last":1"#, "larger than the last"),
        (r#""first":8000"#, r#""first":8010"#, "totals are not allowed"),
        (r#""of":1"#, r#""of":3"#, "modifications"),
        (r#""changes":[2]"#, r#""changes":[]"#, "modifications"),
        (r#""changes":[2]"#, r#""changes":[2,3]"#, "modifications"),
        (r#"{"amount":60}"#, r#"{"amount":101}"#, "modifications"),
        (r#"{"values":[8005]}"#, r#"{"values":[8001]}"#, "held twice"),
        (r#"{"values":[8005]}"#, r#"{"values":[]}"#, "held twice"),
        (r#"{"scalar":500}"#, r#"{"range":{"first":1,"last":2}}"#, "another sort"),
    ] {
        assert!(good.contains(from), "{from} in {good}");
        let bad = good.replacen(from, to, 1);
        let why_not = read(&bad).expect_err("it contradicts itself");
        assert!(why_not.to_string().contains(why), "{from}: {why_not}");
    }
}
