//! Values that stand in conflict when a history is begun anew.

use super::{
    anew::{begin_anew, short},
    *,
};
use crate::limits::DOCUMENT_CONFLICTS_KEPT_MAX;

impl Place {
    /// All values that stand in a field, the one that is shown last.
    fn values(&mut self, name: &DocName, field: &str) -> Vec<i64> {
        let values = |doc: &automerge::Automerge| {
            let all = doc.get_all(ROOT, field).expect("it can be read");
            all.iter().filter_map(|(value, _)| value.as_i64()).collect()
        };
        self.all.read(name, values).expect("it is there")
    }
}

/// Two hosts with the same document; `limit` is 1 and 2 in it. Further changes of the first one
/// begin it anew.
fn split(doc: &DocName) -> (Place, Place, Vec<i64>) {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    one.set(doc, "a", 1);
    two.pull(&one, doc);
    one.set(doc, "limit", 1);
    two.set(doc, "limit", 2);
    two.pull(&one, doc);
    one.pull(&two, doc);
    let values = one.values(doc, "limit");
    assert_eq!(values.len(), 2);
    (one, two, values)
}

#[test]
fn they_still_do_then() {
    let doc = name("conf/echo");
    let (mut one, mut two, values) = split(&doc);
    one.all.set_changes_max(3);
    begin_anew(&mut one, &doc);
    assert_eq!(one.values(&doc, "limit"), values);
    two.set(&doc, "b", 3);
    assert_eq!(two.pull(&one, &doc), NEW);
    two.carry(&doc);
    one.pull(&two, &doc);
    for place in [&mut one, &mut two] {
        assert_eq!((place.values(&doc, "limit"), place.get(&doc, "b")), (values.clone(), Some(3)));
    }
    // The next history knows it, too, until somebody chooses.
    begin_anew(&mut one, &doc);
    assert_eq!((one.values(&doc, "limit"), one.number(&doc)), (values, 2));
    one.set(&doc, "limit", 9);
    begin_anew(&mut one, &doc);
    assert_eq!(one.values(&doc, "limit"), [9]);
}

#[test]
fn what_was_chosen_elsewhere_meanwhile_is_chosen() {
    let doc = name("conf/echo");
    for seen in [false, true] {
        let (mut one, mut two, values) = split(&doc);
        if seen {
            // A change between, about something else.
            one.set(&doc, "b", 3);
            two.pull(&one, &doc);
        }
        two.set(&doc, "mine", 4);
        two.set(&doc, "limit", 7);
        one.all.set_changes_max(3);
        begin_anew(&mut one, &doc);
        assert_eq!(one.values(&doc, "limit"), values);
        assert_eq!(two.pull(&one, &doc), NEW);
        assert_eq!(two.carry(&doc).dropped, []);
        one.pull(&two, &doc);
        for place in [&mut one, &mut two] {
            let now = (place.values(&doc, "limit"), place.get(&doc, "mine"));
            assert_eq!(now, (vec![7], Some(4)), "seen: {seen}");
        }
    }
}

#[test]
fn two_who_begin_anew_at_the_same_time_have_each_value_once() {
    let doc = name("conf/echo");
    let (mut one, mut two, values) = split(&doc);
    for place in [&mut one, &mut two] {
        place.all.set_changes_max(3);
        begin_anew(place, &doc);
        assert_eq!(place.values(&doc, "limit"), values);
    }
    one.set(&doc, "size", 5);
    two.set(&doc, "rest", 6);
    let late = [&one, &two].map(|place| place.all.whole(&doc).unwrap());
    let [its, other] = late.clone();
    for (place, from) in [(&mut two, its), (&mut one, other)] {
        // One of the two goes on in its own history, the other one in that.
        place.take(from).expect("it is good");
        if place.all.is_pending(&doc) {
            assert_eq!(place.carry(&doc).dropped, []);
        }
    }
    one.pull(&two, &doc);
    two.pull(&one, &doc);
    for place in [&mut one, &mut two] {
        let all = ["a", "size", "rest"].map(|field| place.get(&doc, field));
        assert_eq!(all, [Some(1), Some(5), Some(6)]);
        assert_eq!(place.values(&doc, "limit"), values);
    }
    // A value that was replaced in one part only does not come back.
    let mut three = short(3);
    three.pull(&one, &doc);
    three.set(&doc, "limit", 8);
    begin_anew(&mut three, &doc);
    begin_anew(&mut two, &doc);
    for _ in 0..2 {
        let (its, other) = (two.all.whole(&doc).unwrap(), three.all.whole(&doc).unwrap());
        for (place, from) in [(&mut two, other), (&mut three, its)] {
            place.take(from).expect("it is good");
        }
        for place in [&mut two, &mut three] {
            if place.all.is_pending(&doc) {
                assert_eq!(place.carry(&doc).dropped, []);
            }
        }
    }
    assert_eq!((two.values(&doc, "limit"), three.values(&doc, "limit")), (vec![8], vec![8]));
    // Of what comes late, nothing is left to be done.
    begin_anew(&mut two, &doc);
    for late in late {
        let taken = two.take(late);
        assert!(matches!(taken, Ok(Taken::Older)) && !two.all.is_pending(&doc), "{taken:?}");
    }
}

#[test]
fn what_another_history_began_with_is_none_of_them() {
    let doc = name("conf/echo");
    for more in [0, 5] {
        let (mut one, mut two, mut three) = (Place::new(1), short(2), Place::new(3));
        one.set(&doc, "limit", 5);
        two.pull(&one, &doc);
        three.pull(&one, &doc);
        // The one that was away begins anew with the value that both others have replaced.
        for number in 0..more {
            two.set(&doc, "early", number);
        }
        two.set(&doc, "late", 3);
        begin_anew(&mut two, &doc);
        let (early, late) = (two.get(&doc, "early"), two.get(&doc, "late"));
        one.set(&doc, "limit", 6);
        three.set(&doc, "limit", 7);
        one.pull(&three, &doc);
        one.all.set_changes_max(3);
        while one.number(&doc) <= two.number(&doc) {
            begin_anew(&mut one, &doc);
        }
        let values = one.values(&doc, "limit");
        assert_eq!(values.len(), 2);
        // A third host knows nothing of what either history is made of.
        let mut four = Place::new(4);
        four.pull(&two, &doc);
        assert_eq!(four.pull(&one, &doc), NEW);
        assert_eq!(four.carry(&doc).dropped, []);
        let now = (four.values(&doc, "limit"), four.get(&doc, "early"), four.get(&doc, "late"));
        assert_eq!(now, (values, early, late), "{more} more");
    }
}

#[test]
fn who_knew_one_of_them_replaces_that_one() {
    let doc = name("conf/echo");
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    one.set(&doc, "a", 1);
    two.pull(&one, &doc);
    one.set(&doc, "limit", 7);
    two.set(&doc, "limit", 6);
    one.pull(&two, &doc);
    two.all.set_changes_max(3);
    begin_anew(&mut two, &doc);
    let mut three = Place::new(3);
    three.pull(&two, &doc);
    one.all.set_changes_max(3);
    while one.number(&doc) <= two.number(&doc) {
        begin_anew(&mut one, &doc);
    }
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(two.carry(&doc).dropped, []);
    assert_eq!(one.pull(&two, &doc), NEW);
    begin_anew(&mut one, &doc);
    assert_eq!(one.values(&doc, "limit").len(), 2);
    // In a history that began with one of the two values, somebody replaces that.
    three.set(&doc, "limit", 8);
    assert_eq!(three.pull(&one, &doc), NEW);
    assert_eq!(three.carry(&doc).dropped, []);
    assert_eq!(one.pull(&three, &doc), NEW);
    for place in [&mut one, &mut three] {
        let mut values = place.values(&doc, "limit");
        values.sort_unstable();
        assert_eq!(values, [7, 8]);
    }
}

#[test]
fn what_was_replaced_before_a_beginning_by_who_did_not_know_it_stands_beside() {
    let doc = name("conf/echo");
    let (mut one, mut two, mut three) = (Place::new(1), Place::new(2), Place::new(3));
    for field in ["limit", "gone", "left", "mine"] {
        one.set(&doc, field, 0);
    }
    for place in [&mut two, &mut three] {
        place.pull(&one, &doc);
    }
    let delete = |place: &mut Place, field: &str| {
        let field = field.to_owned();
        place.edit(&doc, |doc| doc.delete(ROOT, field.as_str()));
    };
    // At the same time, in two parts.
    two.set(&doc, "limit", 1);
    two.set(&doc, "limit", 2);
    two.set(&doc, "mine", 3);
    delete(&mut two, "gone");
    delete(&mut two, "left");
    for (field, value) in [("limit", 5), ("gone", 6)] {
        one.set(&doc, field, value);
    }
    one.all.set_changes_max(3);
    begin_anew(&mut one, &doc);
    for place in [&mut two, &mut three] {
        place.pull(&one, &doc);
    }
    assert_eq!(two.carry(&doc).dropped, []);
    for place in [&mut one, &mut three] {
        place.pull(&two, &doc);
    }
    for place in [&mut one, &mut two, &mut three] {
        let mut values = place.values(&doc, "limit");
        values.sort_unstable();
        assert_eq!(values, [2, 5]);
        let rest = ["gone", "left", "mine"].map(|field| place.values(&doc, field));
        assert_eq!(rest, [vec![6], vec![], vec![3]]);
    }
    // And when somebody chooses, that is so.
    three.set(&doc, "limit", 7);
    one.pull(&three, &doc);
    assert_eq!(one.values(&doc, "limit"), [7]);
}

#[test]
fn what_two_parts_have_replaced_everywhere_is_not_lost_for_want_of_actors() {
    let doc = name("conf/echo");
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let fields: Vec<String> = (0..300).map(|number| format!("field {number}")).collect();
    let write = |place: &mut Place, value: i64| {
        place.edit(&doc, |doc| fields.iter().try_for_each(|field| doc.put(ROOT, field, value)));
    };
    write(&mut one, 0);
    two.pull(&one, &doc);
    write(&mut one, 1);
    write(&mut two, 2);
    one.all.set_changes_max(3);
    begin_anew(&mut one, &doc);
    two.pull(&one, &doc);
    assert_eq!(two.carry(&doc).dropped, []);
    let values: Vec<Vec<i64>> = fields.iter().map(|field| two.values(&doc, field)).collect();
    assert!(values.iter().all(|values| values.contains(&2)));
    let both = values.iter().filter(|values| values.len() == 2).count();
    assert_eq!(both, DOCUMENT_CONFLICTS_KEPT_MAX);
}
