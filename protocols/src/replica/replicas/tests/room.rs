//! What has room in a document, with its history.

use super::*;
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_OWN_PERCENT};

#[test]
fn few_large_changes_of_a_small_value_do_not_fill_a_document() {
    let mut one = Place::new(1);
    let doc = name("conf/echo");
    for number in 0..40 {
        let text = format!("{number:030000}");
        one.edit(&doc, |doc| doc.put(ROOT, "text", text));
    }
    assert!(one.number(&doc) > 1);
    // One that is large by its value goes on.
    let large = name("conf/large");
    for number in 0..12 {
        let text = format!("{number:030000}");
        one.edit(&large, |doc| doc.put(ROOT, format!("text-{number}"), text));
    }
    assert_eq!(one.number(&large), 0);
}

/// As much as one host may write.
const ROOM: usize = DOCUMENT_BYTES_MAX * DOCUMENT_OWN_PERCENT / 100 - 500;

fn text(place: &mut Place, doc: &DocName, field: &str) -> Option<usize> {
    let read = place.all.read(doc, |doc| Some(doc.get(ROOT, field).unwrap()?.0.as_str()?.len()));
    read.expect("it is there")
}

fn fill(place: &mut Place, doc: &DocName, field: &str, bytes: usize) {
    place.edit(doc, |doc| doc.put(ROOT, field, "y".repeat(bytes)));
}

#[test]
fn changes_made_here_leave_room_for_as_many_made_elsewhere() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    fill(&mut one, &doc, "x", ROOM);
    let before = one.all.print(&doc);
    let Place { key, all, .. } = &mut one;
    let refused = all.write(&doc, &Place::pen(key, 9), |doc| doc.put(ROOT, "z", "y".repeat(2000)));
    let Err(WriteError::Change(ChangeError::Body(BodyError::TooLarge { most, .. }))) = refused
    else {
        panic!("{refused:?}");
    };
    let room = DOCUMENT_BYTES_MAX * DOCUMENT_OWN_PERCENT / 100;
    assert_eq!((most, one.all.print(&doc)), (room, before));
    // What another host has made at the same time is taken, however much that may be.
    fill(&mut two, &doc, "z", ROOM);
    assert_eq!(one.pull(&two, &doc), NEW);
    assert!(!one.all.is_pending(&doc));
    // What is too large by then can be made smaller, and what stands there be replaced.
    fill(&mut one, &doc, "x", ROOM / 8);
    one.edit(&doc, |doc| doc.delete(ROOT, "z"));
    assert_eq!((one.number(&doc), one.changes(&doc)), (2, 1));
    // Whatever there is room for can be replaced by something as large.
    fill(&mut one, &doc, "x", ROOM);
    one.edit(&doc, |doc| doc.put(ROOT, "x", "z".repeat(ROOM)));
    assert_eq!((one.number(&doc), text(&mut one, &doc, "x")), (4, Some(ROOM)));
}

#[test]
fn three_parts_that_have_no_room_together_become_one_when_one_is_made_smaller() {
    let mut all = [Place::new(1), Place::new(2), Place::new(3)];
    let doc = name("conf/echo");
    for (number, place) in all.iter_mut().enumerate() {
        fill(place, &doc, &format!("of-{number}"), ROOM - 2000);
    }
    let [one, two, three] = &mut all;
    assert_eq!(one.pull(two, &doc), NEW);
    let before = (one.all.print(&doc), three.all.print(&doc));
    let (left, right) = (one.all.whole(&doc).unwrap(), three.all.whole(&doc).unwrap());
    for refused in [one.take(right), three.take(left)] {
        assert!(matches!(refused, Err(Refused::Body(BodyError::TooLarge { .. }))), "{refused:?}");
    }
    assert!(!one.all.is_pending(&doc) && !three.all.is_pending(&doc));
    assert_eq!((one.all.print(&doc), three.all.print(&doc)), before);
    let heads = three.all.heads(&doc).to_vec();
    fill(three, &doc, "of-2", 1000);
    // The histories have no room together, but what they say has. A difference is not enough.
    let since = three.since(&doc, &heads);
    assert!(matches!(since.content, Content::Since(_)));
    assert_eq!(one.take(since), Ok(Taken::Lacking(one.all.heads(&doc).to_vec())));
    assert_eq!(one.pull(three, &doc), NEW);
    assert_eq!(one.carry(&doc).dropped, []);
    assert_eq!((one.number(&doc), one.changes(&doc)), (1, 1));
    assert_eq!((three.pull(one, &doc), two.pull(one, &doc)), (NEW, NEW));
    for place in &mut all {
        assert!(!place.all.is_pending(&doc));
        let sizes = ["of-0", "of-1", "of-2"].map(|field| text(place, &doc, field));
        assert_eq!(sizes, [Some(ROOM - 2000), Some(ROOM - 2000), Some(1000)]);
    }
    assert_eq!(all[0].all.print(&doc), all[2].all.print(&doc));
}

#[test]
fn what_has_no_room_beside_a_history_begun_anew_waits_until_there_is() {
    let mut all = [Place::new(1), Place::new(2), Place::new(3)];
    let doc = name("conf/echo");
    for (number, place) in all.iter_mut().enumerate() {
        fill(place, &doc, &format!("of-{number}"), ROOM);
    }
    let [one, two, three] = &mut all;
    assert_eq!(one.pull(two, &doc), NEW);
    one.edit(&doc, |doc| doc.put(ROOT, "of-0", "z".repeat(ROOM - 2000)));
    assert_eq!(one.number(&doc), 1);
    assert_eq!(three.pull(one, &doc), NEW);
    let wait = |place: &mut Place| {
        let Place { key, all, writes } = place;
        assert!(all.is_pending(&doc));
        let carried = all.carry(&doc, &Place::pen(key, *writes));
        assert_eq!(carried, Carried { waiting: 1, ..Carried::default() });
        assert!(all.is_pending(&doc));
    };
    wait(three);
    assert_eq!((text(three, &doc, "of-2"), three.all.print(&doc)), (None, one.all.print(&doc)));
    // It waits over a restart, too.
    let kept = three.all.kept(&doc).expect("it is there");
    three.all = Replicas::new(MESH);
    three.all.restore(&kept).expect("it was kept");
    wait(three);
    one.edit(&doc, |doc| doc.put(ROOT, "of-0", "z"));
    assert_eq!(three.pull(one, &doc), NEW);
    assert_eq!(three.carry(&doc).dropped, []);
    assert_eq!((one.pull(three, &doc), two.pull(three, &doc)), (NEW, NEW));
    for place in &mut all {
        let sizes = ["of-0", "of-1", "of-2"].map(|field| text(place, &doc, field));
        assert_eq!(sizes, [Some(1), Some(ROOM), Some(ROOM)]);
    }
}

#[test]
fn of_what_is_too_large_together_the_values_in_conflict_are_kept() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    fill(&mut one, &doc, "x", ROOM - 3000);
    fill(&mut two, &doc, "y", ROOM - 3000);
    for (place, limit) in [(&mut one, 3), (&mut two, 4)] {
        place.set(&doc, "limit", limit);
    }
    assert_eq!(one.pull(&two, &doc), NEW);
    one.edit(&doc, |doc| doc.put(ROOT, "x", "z".repeat(ROOM - 4000)));
    assert_eq!(one.number(&doc), 1);
    let limits = one.all.read(&doc, |doc| doc.get_all(ROOT, "limit").unwrap().len());
    assert_eq!(limits, Ok(2));
    // Somebody may choose, though that leaves it larger than half.
    one.set(&doc, "limit", 5);
    assert_eq!(one.all.read(&doc, |doc| doc.get_all(ROOT, "limit").unwrap().len()), Ok(1));
}

#[test]
fn two_parts_that_made_very_many_small_values_become_one() {
    const VALUES: i64 = 42_000;
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    // One after the other in turn they take more bytes than in two rows.
    for (odd, place) in [(0, &mut one), (1, &mut two)] {
        let put = |doc: &mut AutoCommit, n| doc.put(ROOT, format!("{:05}", 2 * n + odd), n);
        place.edit(&doc, |doc| (0..VALUES).try_for_each(|n| put(doc, n)));
    }
    assert_eq!(one.pull(&two, &doc), NEW);
    assert_eq!(one.carry(&doc).dropped, []);
    assert_eq!(two.pull(&one, &doc), NEW);
    assert!(!two.all.is_pending(&doc));
    for place in [&mut one, &mut two] {
        assert_eq!(place.number(&doc), 1);
        let values = place.all.read(&doc, |doc| doc.length(ROOT));
        assert_eq!(values, Ok(2 * usize::try_from(VALUES).expect("some")));
    }
}

#[test]
fn what_very_many_have_begun_at_once_is_joined() {
    let mut one = Place::new(1);
    let doc = name("conf/echo");
    let begun = |number: u8| {
        let mut other = Place::new(number);
        other.set(&doc, &format!("by-{number}"), 1);
        other.all.whole(&doc).expect("it is there")
    };
    let mut other = Place::new(2);
    for number in 2..99 {
        for place in [&mut one, &mut other] {
            // Each hears of them in another order.
            let number = if place.key.host() == key(1).host() { number } else { 100 - number };
            assert_eq!(place.take(begun(number)), Ok(NEW), "head {number}");
            if place.all.is_pending(&doc) {
                assert!(place.carry(&doc).dropped.is_empty());
            }
            assert!(place.all.heads(&doc).len() <= DOCUMENT_HEADS_MAX);
        }
    }
    assert_eq!(one.pull(&other, &doc), NEW);
    assert_eq!(other.pull(&one, &doc), NEW);
    assert_eq!(one.all.print(&doc), other.all.print(&doc));
    assert!((2..99).all(|number| one.get(&doc, &format!("by-{number}")) == Some(1)));
}

#[test]
fn a_copy_is_read_back_with_all_that_is_kept_beside_it() {
    let mut one = Place::new(1);
    let doc = name("conf/echo");
    for letter in ["a", "b", "c", "d", "e"] {
        one.edit(&doc, |doc| doc.put(ROOT, "x", letter.repeat(ROOM)));
    }
    let kept = one.all.kept(&doc).expect("it is there");
    assert!(kept.len() > 4 * ROOM, "{}", kept.len());
    let print = one.all.print(&doc);
    one.all = Replicas::new(MESH);
    assert_eq!(one.all.restore(&kept), Ok(doc.clone()));
    assert_eq!((one.all.print(&doc), text(&mut one, &doc, "x")), (print, Some(ROOM)));
}

#[test]
fn what_cannot_be_read_back_is_not_written_over_unless_it_is_deleted() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    two.set(&doc, "a", 1);
    for good in [true, false] {
        one.all = Replicas::new(MESH);
        one.all.lost(&doc, "its row is damaged");
        assert_eq!(one.all.damaged().count(), 1);
        assert_eq!(
            one.all.read(&doc, |_| ()),
            Err(ReadError::Damaged("its row is damaged".into()))
        );
        assert!(matches!(one.try_set(&doc, "a", 2), Err(WriteError::Damaged(_))));
        if good {
            assert_eq!(one.pull(&two, &doc), NEW);
        } else {
            assert!(one.delete(&doc));
        }
        assert_eq!(one.all.damaged().count(), 0);
        one.set(&doc, "a", 3);
    }
    // The descriptor of an agent is said anew by its host.
    let (agent, _) = two.born(7);
    one.all.lost(&agent, "its row is damaged");
    assert_eq!(one.all.damaged().count(), 0);
}
