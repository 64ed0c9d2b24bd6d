//! What makes a search end.

use super::*;

#[test]
fn a_search_comes_once_and_is_forgotten_when_it_is_over() {
    let mut visited = Visited::default();
    let search = Traversal(7);
    let mut arrive = |name, from| visited.arrive(name, search, address(from), after(5), NOW);
    assert_eq!(arrive("a", 1), Arrival::First);
    assert_eq!(arrive("a", 2), Arrival::Again);
    // For work of another sort it is another search.
    assert_eq!(arrive("b", 3), Arrival::First);
    let from = |name, from| visited.came_from(name, search, address(from));
    assert!(from("a", 2) && !from("a", 3) && from("b", 3) && !from("b", 2));
    visited.sweep(after(4));
    assert_eq!(visited.len(), 2);
    visited.sweep(after(5));
    assert!(visited.is_empty());
}

#[test]
fn more_searches_than_an_agent_remembers_are_not_taken_part_in() {
    let max = crate::limits::TRAVERSALS_PER_AGENT_MAX as u128;
    let mut visited = Visited::default();
    for number in 0..max {
        let name = if number % 2 == 0 { "a" } else { "b" };
        visited.begin(name, Traversal(number), after(5), NOW);
    }
    let mut arrive = |now| visited.arrive("a", Traversal(max), address(1), after(9), now);
    assert_eq!(arrive(after(4)), Arrival::TooMany);
    assert_eq!(arrive(after(5)), Arrival::First);
    // Its own searches it does not remember beyond that.
    let mut visited = Visited::default();
    (0..=max).for_each(|number| visited.begin("a", Traversal(number), after(5), NOW));
    assert_eq!(visited.len() as u128, max);
    let arrival = visited.arrive("a", Traversal(max + 1), address(1), after(9), after(5));
    assert_eq!((arrival, visited.len()), (Arrival::First, 1));
}

#[test]
fn each_search_is_forgotten_when_it_is_over_however_long_others_last() {
    let mut visited = Visited::default();
    for (number, seconds) in [(0, 9), (1, 2), (2, 5)] {
        visited.begin("a", Traversal(number), after(seconds), NOW);
    }
    visited.begin("a", Traversal(3), after(9), after(5));
    let mut again = |number| visited.arrive("a", Traversal(number), address(1), after(9), after(5));
    assert_eq!((0..4).map(&mut again).collect::<Vec<_>>(), {
        use Arrival::{Again, First};
        [Again, First, First, Again]
    });
}

#[test]
fn of_those_who_bring_a_search_some_are_remembered_each_once() {
    let most = u8::try_from(crate::limits::VISITORS_PER_TRAVERSAL_MAX).expect("few");
    let (mut visited, search) = (Visited::default(), Traversal(7));
    let last = most - 1;
    for from in (0..=last).chain(0..=last).chain([most]) {
        visited.arrive("a", search, address(from), after(5), NOW);
        visited.arrive("a", search, address(0), after(5), NOW);
    }
    // To ask others in it forgets nobody.
    visited.begin("a", search, after(5), NOW);
    let known = |from| visited.came_from("a", search, address(from));
    assert!((0..most).all(known) && !known(most));
}
