//! Changes that do nothing but join what was written at once.

use automerge::{AutoCommit, transaction::CommitOptions};

use super::{
    anew::{begin_anew, short},
    *,
};

/// What a host has, with its heads joined.
fn joined(place: &Place, doc: &DocName) -> Revision {
    let mut revision = place.all.whole(doc).unwrap();
    let mut all = AutoCommit::load(&content(&revision)).unwrap();
    let head = all.empty_change(CommitOptions::default());
    revision.heads = vec![Head(head.0)];
    revision.content = Content::Whole(all.save());
    revision.sign(&place.key, MESH);
    revision
}

#[test]
fn what_only_joins_others_is_not_missing_in_a_history_begun_anew() {
    let (mut one, mut two) = (short(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    two.pull(&one, &doc);
    assert_eq!(two.take(joined(&one, &doc)), Ok(NEW));
    begin_anew(&mut one, &doc);
    let late = two.all.whole(&doc).unwrap();
    assert_eq!(one.take(late), Ok(Taken::Older));
    assert!(!one.all.is_pending(&doc));
    assert_eq!(two.pull(&one, &doc), NEW);
    assert!(!two.all.is_pending(&doc));
    // A change beside it is missing.
    let mut two = Place::new(2);
    assert_eq!(two.take(joined(&one, &doc)), Ok(NEW));
    two.set(&doc, "b", 2);
    begin_anew(&mut one, &doc);
    let late = two.all.whole(&doc).unwrap();
    assert_eq!(one.take(late), Ok(NEW));
    assert!(one.all.is_pending(&doc));
}
