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

#[test]
fn changes_made_here_leave_room_for_those_made_elsewhere() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    let room = DOCUMENT_BYTES_MAX * DOCUMENT_OWN_PERCENT / 100;
    one.edit(&doc, |doc| doc.put(ROOT, "x", "y".repeat(room - 1000)));
    let before = one.all.print(&doc);
    let Place { key, all, .. } = &mut one;
    let refused = all.write(&doc, &Place::pen(key, 9), |doc| doc.put(ROOT, "z", "y".repeat(2000)));
    let Err(WriteError::Change(ChangeError::Body(BodyError::TooLarge { most, .. }))) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((most, one.all.print(&doc)), (room, before));
    // What another host has made at the same time is taken.
    two.edit(&doc, |doc| doc.put(ROOT, "z", "y".repeat(2000)));
    assert_eq!(one.pull(&two, &doc), NEW);
    // What is too large by then can be made smaller, and what stands there be replaced.
    one.edit(&doc, |doc| doc.put(ROOT, "x", "y".repeat(room / 8)));
    one.edit(&doc, |doc| doc.delete(ROOT, "z"));
    assert_eq!((one.number(&doc), one.changes(&doc)), (1, 2));
}
