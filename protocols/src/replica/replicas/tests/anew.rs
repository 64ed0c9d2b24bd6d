//! Histories that are begun anew, what becomes of changes elsewhere, and deletions.

use automerge::{ObjType, ScalarValue};

use super::{
    super::super::{Base, Covered, Stamp},
    *,
};
use crate::limits::{
    DOCUMENT_BASES_MAX, DOCUMENT_PASTS_PENDING_MAX, LINEAGE_ACTORS_MAX, LINEAGE_HISTORIES_MAX,
    TOMBSTONE_KEPT,
};

pub(super) fn short(number: u8) -> Place {
    let mut place = Place::new(number);
    place.all.set_changes_max(3);
    place
}

impl Place {
    pub(super) fn changes(&mut self, name: &DocName) -> usize {
        self.all.read(name, |doc| doc.get_changes(&[]).len()).expect("it is there")
    }

    pub(super) fn carry(&mut self, name: &DocName) -> Carried {
        assert!(self.all.is_pending(name));
        let Self { key, all, writes } = self;
        let carried = all.carry(name, &Self::pen(key, *writes));
        assert!(!all.is_pending(name) && carried.changed);
        carried
    }

    pub(super) fn edit(
        &mut self,
        name: &DocName,
        edit: impl FnOnce(&mut automerge::AutoCommit) -> Result<(), automerge::AutomergeError>,
    ) {
        self.writes += 1;
        let Self { key, all, writes } = self;
        all.write(name, &Self::pen(key, *writes), edit)
            .expect("it may")
            .expect("it does something");
    }

    pub(super) fn number(&self, name: &DocName) -> u64 {
        self.all.base(name).expect("it is there").number
    }
}

/// Writes until the history is begun anew.
pub(super) fn begin_anew(place: &mut Place, doc: &DocName) {
    let before = place.number(doc);
    for number in 0..9 {
        if place.number(doc) > before {
            return;
        }
        place.set(doc, &format!("more-{}", place.key.host().0[0]), number + place.writes as i64);
    }
    panic!("it goes on");
}

#[test]
fn a_long_history_is_begun_anew_with_its_value() {
    let (mut one, mut two) = (short(1), short(2));
    let doc = name("conf/echo");
    for number in 0..3 {
        one.set(&doc, "limit", number);
    }
    assert_eq!((one.number(&doc), one.changes(&doc)), (0, 3));
    two.pull(&one, &doc);
    let head = one.set(&doc, "size", 7);
    assert_eq!((one.number(&doc), one.changes(&doc)), (1, 1));
    assert_eq!(one.all.base(&doc).unwrap().root, Some(head));
    assert_eq!(two.pull(&one, &doc), NEW);
    assert!(!two.all.is_pending(&doc));
    assert_eq!((two.get(&doc, "limit"), two.get(&doc, "size")), (Some(2), Some(7)));
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
    // Descriptors, too.
    let (agent, _) = one.born(7);
    for number in 0..9 {
        one.set(&agent, "load", number);
        two.pull(&one, &agent);
    }
    assert!(one.changes(&agent) <= 3 && one.number(&agent) > 0);
    assert_eq!(two.get(&agent, "load"), Some(8));
}

#[test]
fn who_begins_the_same_heads_anew_makes_the_same() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    for number in 0..5 {
        one.set(&doc, "limit", number);
    }
    two.pull(&one, &doc);
    let made = [&mut one, &mut two].map(|place| {
        place.all.set_changes_max(3);
        let mut revision = place.all.whole(&doc).unwrap();
        let mut body = Body::load(&content(&revision)).unwrap();
        place.all.begin_anew(&mut revision, &mut body).expect("it is long");
        (revision.base, revision.lineage, body.save())
    });
    assert_eq!(made[0], made[1]);
}

#[test]
fn what_was_done_at_the_same_time_is_repeated_on_the_new_history() {
    let (mut one, mut two) = (short(1), Place::new(2));
    let doc = name("conf/echo");
    one.edit(&doc, |doc| {
        doc.put(ROOT, "limit", 1)?;
        doc.put(ROOT, "old", 1)?;
        doc.put(ROOT, "count", ScalarValue::counter(10))?;
        let list = doc.put_object(ROOT, "list", ObjType::List)?;
        (0..3).try_for_each(|at| doc.insert(&list, at, at as i64))
    });
    two.pull(&one, &doc);
    two.edit(&doc, |doc| {
        doc.increment(ROOT, "count", 5)?;
        doc.delete(ROOT, "old")?;
        let (_, list) = doc.get(ROOT, "list")?.expect("it is there");
        doc.insert(&list, 3, 30)?;
        let map = doc.put_object(ROOT, "map", ObjType::Map)?;
        let text = doc.put_object(&map, "text", ObjType::Text)?;
        doc.splice_text(&text, 0, 0, "hello")
    });
    two.set(&doc, "mine", 4);
    let late = two.all.whole(&doc).unwrap();
    one.set(&doc, "limit", 2);
    begin_anew(&mut one, &doc);
    let mut three = Place::new(3);
    three.pull(&one, &doc);
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(two.carry(&doc).dropped, []);
    // Another host has taken the changes of the old history, and repeats them, too.
    assert_eq!(three.take(late.clone()), Ok(NEW));
    assert_eq!(three.carry(&doc).dropped, []);
    assert_eq!(three.all.heads(&doc), two.all.heads(&doc));
    assert_eq!(one.pull(&two, &doc), NEW);
    assert_eq!(one.take(late.clone()), Ok(Taken::Older), "it is all there");
    for place in [&mut one, &mut two, &mut three] {
        assert_eq!((place.get(&doc, "limit"), place.get(&doc, "mine")), (Some(2), Some(4)));
        let (count, old, list, text) = place
            .all
            .read(&doc, |doc| {
                let get = |object: &automerge::ObjId, key: &str| doc.get(object, key).unwrap();
                let list = get(&ROOT, "list").unwrap().1;
                let text = get(&get(&ROOT, "map").unwrap().1, "text").unwrap().1;
                let list: Vec<_> = (0..doc.length(&list))
                    .map(|at| doc.get(&list, at).unwrap().unwrap().0.as_i64().unwrap())
                    .collect();
                let count = get(&ROOT, "count").unwrap().0.as_i64();
                (count, get(&ROOT, "old").is_some(), list, doc.text(&text).unwrap())
            })
            .unwrap();
        assert_eq!((count, old), (Some(15), false));
        assert_eq!((list, text.as_str()), (vec![0, 1, 2, 30], "hello"));
    }
    // Nor is it done again when that history has been begun anew in its turn.
    one.set(&doc, "mine", 5);
    begin_anew(&mut one, &doc);
    assert_eq!(one.take(late), Ok(Taken::Older));
    assert_eq!(one.get(&doc, "mine"), Some(5));
}

#[test]
fn long_splits_with_large_changes_lose_no_value() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    two.pull(&one, &doc);
    for (place, who) in [(&mut one, "one"), (&mut two, "two")] {
        place.set(&doc, &format!("first-{who}"), 1);
        for number in 0..200 {
            let text = format!("{who}{number:010000}");
            place.edit(&doc, |doc| doc.put(ROOT, "pad", text));
        }
        place.set(&doc, &format!("last-{who}"), 1);
    }
    assert!(one.number(&doc) > 3 && two.number(&doc) > 3);
    // All that the last history of one part holds has no place beside that of the other.
    let old = two.all.whole(&doc).unwrap();
    assert_eq!(two.pull(&one, &doc), NEW);
    assert!(two.carry(&doc).dropped.is_empty());
    assert_eq!(one.pull(&two, &doc), NEW);
    for place in [&mut one, &mut two] {
        for field in ["a", "first-one", "last-one", "first-two", "last-two"] {
            assert_eq!(place.get(&doc, field), Some(1), "{field}");
        }
    }
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
    // Nor does it come back by one who has only that, whatever has become of it since.
    for field in ["first-two", "last-two"] {
        one.edit(&doc, |doc| doc.delete(ROOT, field));
    }
    let before = one.number(&doc);
    for number in 0..80 {
        let text = format!("later{number:010000}");
        one.edit(&doc, |doc| doc.put(ROOT, "pad", text));
    }
    assert!(one.number(&doc) > before);
    let mut three = Place::new(3);
    assert_eq!(three.take(old), Ok(NEW));
    assert_eq!(three.pull(&one, &doc), NEW);
    if three.all.is_pending(&doc) {
        assert!(three.carry(&doc).dropped.is_empty());
    }
    assert_eq!((three.get(&doc, "first-two"), three.get(&doc, "last-two")), (None, None));
}

#[test]
fn two_who_begin_anew_at_the_same_time_lose_nothing_and_bring_nothing_back() {
    let (mut one, mut two) = (short(1), short(2));
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    one.set(&doc, "b", 1);
    two.pull(&one, &doc);
    one.set(&doc, "a", 2);
    two.set(&doc, "b", 2);
    begin_anew(&mut one, &doc);
    begin_anew(&mut two, &doc);
    // The first one counts more: it has begun anew twice.
    one.set(&doc, "c", 3);
    begin_anew(&mut one, &doc);
    two.set(&doc, "d", 4);
    let before = two.all.whole(&doc).unwrap();
    assert_eq!(one.take(before), Ok(Taken::Older), "only the other knows what its root is made of");
    // A crash between the two changes nothing.
    two.pull(&one, &doc);
    let kept = two.all.kept(&doc).unwrap();
    two = short(2);
    two.all.restore(&kept).unwrap();
    assert_eq!(two.all.pending().collect::<Vec<_>>(), [&doc]);
    assert_eq!(two.carry(&doc).dropped, []);
    assert_eq!(one.pull(&two, &doc), NEW);
    for place in [&mut one, &mut two] {
        let all = ["a", "b", "c", "d"].map(|field| place.get(&doc, field));
        assert_eq!(all, [Some(2), Some(2), Some(3), Some(4)]);
    }
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
}

#[test]
fn a_deletion_is_final_for_what_went_on_from_there_but_not_for_another_document() {
    let (mut one, mut two, mut three) = (short(1), short(2), Place::new(3));
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    two.pull(&one, &doc);
    one.delete(&doc);
    begin_anew(&mut two, &doc);
    begin_anew(&mut two, &doc);
    assert!(two.number(&doc) > one.number(&doc));
    let (deletion, live) = (one.all.whole(&doc).unwrap(), two.all.whole(&doc).unwrap());
    assert_eq!(two.take(deletion.clone()), Ok(NEW));
    assert_eq!(two.carry(&doc).dropped.len(), 1);
    assert_eq!(one.take(live), Ok(NEW));
    let _ = one.carry(&doc);
    for place in [&mut one, &mut two] {
        assert_eq!(place.all.read(&doc, |_| ()), Err(ReadError::Unknown));
    }
    assert_eq!(one.all.base(&doc), two.all.base(&doc));
    // Whoever never had it has made another one.
    three.set(&doc, "b", 1);
    assert_eq!(three.take(deletion), Ok(NEW));
    assert_eq!(three.carry(&doc).dropped, []);
    assert_eq!((three.get(&doc, "b"), three.number(&doc)), (Some(1), 2));
}

#[test]
fn a_hostile_member_cannot_make_up_histories() {
    let (mut one, mut two) = (short(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    begin_anew(&mut one, &doc);
    let good = one.all.whole(&doc).unwrap();
    let mut try_it = |change: &dyn Fn(&mut Revision)| {
        let mut revision = good.clone();
        change(&mut revision);
        if revision.stamps == good.stamps {
            revision.sign(&key(1), MESH);
        }
        two.take(revision)
    };
    assert_eq!(try_it(&|it| it.base.number = u64::MAX), Err(Refused::Base));
    assert_eq!(try_it(&|it| it.base.number = DOCUMENT_BASES_MAX + 1), Err(Refused::Base));
    assert_eq!(try_it(&|it| it.base.number = 7), Err(Refused::Heads));
    assert_eq!(try_it(&|it| it.base.root = Some(Head([1; 32]))), Err(Refused::Heads));
    assert_eq!(try_it(&|it| it.lineage.covered.clear()), Err(Refused::Heads));
    let clock = (0..2000_u64).map(|number| ([1; 16], number)).collect::<Vec<_>>();
    let covered = Covered { number: 0, base: 0, heads: Vec::new(), clock };
    assert_eq!(try_it(&|it| it.lineage.covered = vec![covered.clone()]), Err(Refused::Heads));
    assert_eq!(try_it(&|it| it.heads.push(it.heads[0])), Err(Refused::Heads));
    assert_eq!(try_it(&|it| it.heads.insert(0, Head([255; 32]))), Err(Refused::Heads));
    let stamps = vec![good.stamps[0].clone(); 65];
    assert_eq!(try_it(&|it| it.stamps = stamps.clone()), Err(Refused::TooManyHeads(65)));
    let since = |it: &mut Revision| it.content = Content::Since(content(it));
    assert_eq!(try_it(&since), Ok(Taken::Lacking(Vec::new())));
    assert_eq!(two.all.len(), 0);
    // A second beginning beside the root.
    let mut body = Body::load(&content(&good)).unwrap();
    two.set(&doc, "a", 9);
    body.take(&content(&two.all.whole(&doc).unwrap())).unwrap();
    let mut forged = good.clone();
    forged.heads = body.heads();
    forged.content = Content::Whole(body.save());
    forged.sign(&key(1), MESH);
    assert_eq!(Place::new(3).take(forged.clone()), Err(Refused::Heads));
    assert_eq!(one.take(forged), Err(Refused::Heads));
    assert_eq!(one.take(good), Ok(Taken::Same));
}

#[test]
fn what_says_more_than_it_may_is_refused_whatever_it_holds() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    let head = one.set(&doc, "a", 1);
    two.pull(&one, &doc);
    let mut twice = one.all.whole(&doc).unwrap();
    twice.heads.push(head);
    twice.sign(&key(1), MESH);
    assert_eq!(two.take(twice), Err(Refused::Heads), "one head twice");
    one.delete(&doc);
    let deletion = one.all.whole(&doc).unwrap();
    let mut rooted = deletion.clone();
    rooted.base.root = Some(Head([1; 32]));
    rooted.sign(&key(1), MESH);
    assert_eq!(two.take(rooted), Err(Refused::Heads), "a deletion with a root");
    let covered = |number| Covered { number, base: 0, heads: Vec::new(), clock: Vec::new() };
    let mut long = deletion.clone();
    long.lineage.covered = (0..=LINEAGE_HISTORIES_MAX as u64).map(covered).collect();
    assert_eq!(two.take(long), Err(Refused::Heads), "too many histories");
    let mut crowded = deletion.clone();
    let clock = vec![([1; 16], 1); LINEAGE_ACTORS_MAX + 1];
    crowded.lineage.covered = vec![Covered { clock, ..covered(0) }];
    assert_eq!(two.take(crowded), Err(Refused::Heads), "too many actors");
    assert_eq!(two.get(&doc, "a"), Some(1));
    assert!(matches!(two.take(deletion), Ok(Taken::New { .. })));
}

/// What somebody has made of an earlier history of a document.
fn late(before: &Revision, by: u8) -> Revision {
    let mut other = Place::new(by);
    other.take(before.clone()).expect("it is good");
    other.set(&before.name, &format!("late-{by}"), 1);
    other.all.whole(&before.name).unwrap()
}

#[test]
fn changes_of_an_earlier_history_are_kept_of_members_only_and_not_without_end() {
    let mut one = short(1);
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    let before = one.all.whole(&doc).unwrap();
    begin_anew(&mut one, &doc);
    assert_eq!(one.take(late(&before, 200)), Err(Refused::Unvouched));
    assert!(!one.all.is_pending(&doc));
    let pending = u8::try_from(DOCUMENT_PASTS_PENDING_MAX).expect("few");
    for by in 2..2 + pending {
        assert_eq!(one.take(late(&before, by)), Ok(NEW), "host {by}");
    }
    // Whoever is told that it is older repeats it by itself.
    let one_more = late(&before, 2 + pending);
    assert_eq!(one.take(one_more.clone()), Ok(Taken::Older));
    assert_eq!(one.carry(&doc).dropped, []);
    assert_eq!(one.get(&doc, "late-2"), Some(1));
    assert_eq!(one.take(one_more), Ok(NEW));
}

#[test]
fn a_descriptor_does_not_go_on_from_an_earlier_history() {
    let mut one = short(1);
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 1);
    let mut lost = Replicas::new(MESH);
    let _ = lost.restore(&one.all.kept(&doc).unwrap()).expect("it was kept so");
    begin_anew(&mut one, &doc);
    // In a life that ended in a crash its host had written something else.
    let author = Author { actor: [7; 16], wall: WallTime::from_millis(1), message: String::new() };
    let pen = Pen { key: &key(1), author };
    let written = lost.write(&doc, &pen, |doc| doc.put(ROOT, "load", 9));
    assert!(written.is_ok_and(|head| head.is_some()));
    assert_eq!(one.take(lost.whole(&doc).unwrap()), Ok(Taken::Older));
    assert_eq!((one.get(&doc, "load"), one.all.is_pending(&doc)), (Some(1), false));
}

#[test]
fn the_last_history_there_may_be_ends_in_nothing_worse_than_an_error() {
    let last = Base { number: u64::MAX, gone: false, root: None };
    assert_eq!(last.deleted(), Base { gone: true, ..last });
    assert_eq!(last.after(None), last);
    let mut one = Place::new(1);
    let doc = name("conf/echo");
    let mut revision = Revision::nothing(doc.clone());
    revision.base = Base { number: DOCUMENT_BASES_MAX, gone: true, root: None };
    revision.sign(&key(2), MESH);
    assert_eq!(one.take(revision), Ok(NEW));
    assert_eq!(one.try_set(&doc, "a", 1), Err(WriteError::Bases));
}

#[test]
fn a_descriptor_is_small_on_both_sides() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    let large = |doc: &mut automerge::AutoCommit| doc.put(ROOT, "text", "x".repeat(70_000));
    let is_too_large = |why: &BodyError| {
        let BodyError::TooLarge { what, found, most } = why else { return false };
        *what == "bytes of a descriptor" && *found > 70_000 && *most == 64 * 1024
    };
    let made = one.all.write(&doc, &Place::pen(&key(1), 9), large);
    let Err(WriteError::Change(ChangeError::Body(why))) = made else { panic!("{made:?}") };
    assert!(is_too_large(&why), "{why:?}");
    assert_eq!(one.get(&doc, "load"), Some(5));
    // What somebody else has made so.
    let mut forged = one.all.whole(&doc).unwrap();
    let mut body = Body::load(&content(&forged)).unwrap();
    let head = body.change(&Place::pen(&key(1), 10).author, large).unwrap().unwrap();
    forged.heads = vec![head];
    forged.content = Content::Whole(body.save());
    forged.sign(&key(1), MESH);
    assert_eq!(two.take(forged.clone()), Err(Refused::Body(why.clone())));
    assert_eq!(Place::new(3).take(forged), Err(Refused::Body(why)));
    assert_eq!(two.get(&doc, "load"), Some(5));
}

#[test]
fn who_deletes_what_all_have_loses_nothing_that_was_not_known() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    assert!(one.delete(&doc));
    let Taken::New { dropped: Some(dropped) } = two.pull(&one, &doc) else { panic!("it is gone") };
    assert!(two.all.knew_of(&doc, &dropped));
}

#[test]
fn a_deletion_is_forgotten_when_it_is_old() {
    let mut one = Place::new(1);
    let (doc, other) = (name("conf/echo"), name("zone"));
    one.set(&doc, "a", 1);
    one.set(&other, "a", 1);
    one.delete(&doc);
    let day = |day: u64| WallTime::from_millis(day * 24 * 3_600_000);
    assert_eq!(one.all.collect(day(100)), (vec![doc.clone()], Vec::new()));
    let kept = one.all.kept(&doc).unwrap();
    let mut again = Place::new(1);
    again.all.restore(&kept).unwrap();
    assert_eq!(again.all.collect(day(129)), (Vec::new(), Vec::new()));
    assert_eq!(again.all.collect(day(130)), (Vec::new(), vec![doc.clone()]));
    assert_eq!(again.all.len(), 0);
    assert_eq!(day(0) + TOMBSTONE_KEPT, day(30));
    // The clock was set back: it begins anew, and does not last for ever.
    assert_eq!(one.all.collect(day(1)), (vec![doc.clone()], Vec::new()));
    assert_eq!(one.all.collect(day(31)), (Vec::new(), vec![doc]));
    assert_eq!(one.all.sums().len(), 1);
}

#[test]
fn who_was_away_doubts_all_but_what_only_it_can_have() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (old, new, shared) = (name("old"), name("new"), name("shared"));
    let (agent, _) = one.born(7);
    one.set(&agent, "a", 1);
    one.set(&shared, "a", 1);
    one.set(&old, "a", 1);
    let contact = WallTime::from_millis(1000 + one.writes);
    one.set(&new, "a", 1);
    two.pull(&one, &shared);
    one.all.doubt(key(1).host(), contact);
    assert_eq!(one.all.doubtful().collect::<Vec<_>>(), [&old, &shared]);
    assert_eq!((one.all.print(&old), one.all.sums().len()), (None, 2));
    assert_eq!(one.get(&old, "a"), Some(1));
    assert_eq!(one.try_set(&old, "a", 2), Err(WriteError::Doubtful));
    assert_eq!(one.all.since(&old, Base::default(), &[]), None);
    assert_eq!(one.all.wish(&two.all.offer(&shared).unwrap()), None);
    assert_eq!(one.all.doubtful().collect::<Vec<_>>(), [&old]);
    assert_eq!(one.all.print(&shared), two.all.print(&shared));
    let mut sure = Place::new(1);
    sure.all.restore(&one.all.kept(&old).unwrap()).unwrap();
    sure.all.doubt(key(1).host(), contact);
    assert_eq!(sure.all.decide(false), []);
    assert_eq!((sure.all.sums().len(), sure.all.doubtful().count()), (1, 0));
    assert_eq!(one.all.decide(true).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [old]);
    assert_eq!(one.all.len(), 3);
}

#[test]
fn what_counts_less_is_not_wished_for_and_ends_doubt() {
    let mut one = short(1);
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    let old = one.all.offer(&doc).expect("it is there");
    begin_anew(&mut one, &doc);
    one.all.doubt(key(9).host(), WallTime::from_millis(1_000_000));
    assert_eq!(one.all.doubtful().count(), 1);
    assert_eq!(one.all.wish(&old), None);
    assert_eq!(one.all.doubtful().count(), 0);
}

#[test]
fn what_a_former_owner_has_begun_anew_is_not_kept() {
    let (mut one, mut two) = (short(1), Place::new(2));
    let (doc, title) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    begin_anew(&mut one, &doc);
    let mut three = Place::new(3);
    three.all.restore(&two.all.kept(&doc).unwrap()).unwrap();
    assert!(matches!(three.pull(&one, &doc), Taken::New { .. }));
    assert_eq!(three.all.held[&doc].pasts.len(), 1);
    two.all.entitle(&given(&title, 2), is_member, &Place::pen(&key(2), 0)).unwrap();
    assert!(matches!(three.pull(&two, &doc), Taken::New { .. }));
    assert_eq!(three.all.held[&doc].pasts, []);
}

#[test]
fn whoever_has_a_copy_vouches_for_what_those_have_written_who_left() {
    let (mut one, mut left) = (Place::new(1), Place::new(5));
    let doc = name("conf/echo");
    left.set(&doc, "a", 1);
    one.pull(&left, &doc);
    // For a descriptor only the word of its owner counts.
    let (descriptor, _) = left.born(7);
    left.set(&descriptor, "load", 1);
    one.pull(&left, &descriptor);
    let still_there = |of: HostId| is_member(of) && of != key(5).host();
    let mut newcomer = Place::new(3);
    let whole = one.all.whole(&doc).unwrap();
    assert_eq!(newcomer.all.take(whole, still_there), Err(Refused::Unvouched));
    assert_eq!(one.all.vouch(&Place::pen(&key(1), 0), is_member), []);
    assert_eq!(one.all.vouch(&Place::pen(&key(5), 0), still_there), [], "it has left itself");
    let print = one.all.print(&doc);
    one.all.doubt(key(1).host(), WallTime::from_millis(1_000_000));
    assert_eq!(one.all.vouch(&Place::pen(&key(1), 0), still_there), [], "it may be deleted");
    assert_eq!(one.all.decide(false), []);
    assert_eq!(one.all.vouch(&Place::pen(&key(1), 0), still_there), std::slice::from_ref(&doc));
    assert_eq!(one.all.vouch(&Place::pen(&key(1), 0), still_there), []);
    assert_eq!(one.all.print(&doc), print);
    let whole = one.all.whole(&doc).unwrap();
    assert_eq!(newcomer.all.take(whole, still_there), Ok(NEW));
    let stamp: Stamp = newcomer.all.whole(&doc).unwrap().stamps[0].open(MESH).unwrap();
    assert_eq!(stamp.heads, one.all.heads(&doc));
}

#[test]
fn the_end_of_an_agent_does_not_count_for_who_has_taken_it_up() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, title) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    let before = two.all.offer(&doc).expect("it is there");
    two.all.entitle(&given(&title, 2), is_member, &Place::pen(&key(2), 0)).unwrap();
    assert!(one.delete(&doc));
    assert_eq!(one.all.deletion_of(&before), one.all.whole(&doc));
    let offer = two.all.offer(&doc).expect("it is there");
    assert_eq!(one.all.deletion_of(&offer), None);
    assert_eq!(one.all.wish(&offer), Some(Want::whole(doc.clone())));
    assert!(matches!(one.pull(&two, &doc), Taken::New { .. }));
    assert_eq!(one.get(&doc, "load"), Some(5));
}

#[test]
fn a_damaged_descriptor_is_not_taken_from_a_former_owner() {
    let (mut one, mut two, mut three) = (Place::new(1), Place::new(2), Place::new(3));
    let (doc, title) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    two.all.entitle(&given(&title, 2), is_member, &Place::pen(&key(2), 0)).unwrap();
    three.pull(&two, &doc);
    three.all.set_aside(&doc, "its disk says so");
    assert_eq!(three.pull(&one, &doc), Taken::Older);
    assert!(matches!(three.pull(&two, &doc), Taken::New { .. }));
}
