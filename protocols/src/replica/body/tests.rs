//! Documents that hosts change and send one another.

mod anew;
mod fuzz;
mod hostile;

use std::collections::BTreeSet;

use automerge::{ROOT, ReadDoc as _, transaction::Transactable as _};
use sha2::{Digest as _, Sha256};

use super::*;

pub(super) fn author(number: u8) -> Author {
    let wall = WallTime::from_millis(1_790_000_000_000 + u64::from(number));
    Author { actor: [number; 16], wall, message: String::new() }
}

pub(super) fn put(body: &mut Body, actor: u8, key: &str, value: &str) -> Head {
    let put = body.change(&author(actor), |document| document.put(ROOT, key, value));
    put.expect("it may be put").expect("it is another value")
}

pub(super) fn get(body: &Body, key: &str) -> Option<String> {
    let read = |document: &automerge::Automerge| {
        let (value, _) = document.get(ROOT, key).expect("the root is a map")?;
        Some(value.into_string().expect("only texts are put"))
    };
    body.clone().read(read).expect("it can be read")
}

/// All that may not change when something is refused.
pub(super) fn state(body: &Body) -> (Vec<Head>, Vec<u8>, Vec<u8>) {
    let mut document = body.document.clone();
    (body.heads(), body.save(), document.save_nocompress())
}

/// A document with all sorts of values.
pub(super) fn rich() -> Body {
    let mut body = Body::empty();
    let made = body.change(&author(1), |document| {
        document.put(ROOT, "id", 7_i64)?;
        document.put(ROOT, "kind", "worker")?;
        document.put(ROOT, "host", vec![9_u8; 32])?;
        document.put(ROOT, "load", 0.5_f64)?;
        document.put(ROOT, "up", true)?;
        document.put(ROOT, "count", automerge::ScalarValue::counter(1))?;
        let list = document.put_object(ROOT, "list", automerge::ObjType::List)?;
        for at in 0..5 {
            document.insert(&list, at, at as u64)?;
        }
        let inner = document.insert_object(&list, 2, automerge::ObjType::Map)?;
        document.put(&inner, "deep", ())?;
        let text = document.put_object(ROOT, "text", automerge::ObjType::Text)?;
        document.splice_text(&text, 0, 0, "good morning")
    });
    made.expect("it may be made");
    let mut other = body.clone();
    put(&mut body, 2, "kind", "waiter");
    put(&mut other, 3, "kind", "writer");
    assert_eq!(body.take(&other.save()), Ok(true));
    let changed = body.change(&author(4), |document| {
        document.delete(ROOT, "up")?;
        document.increment(ROOT, "count", 5)?;
        let (_, list) = document.get(ROOT, "list")?.expect("it was put");
        document.delete(&list, 0)
    });
    changed.expect("it may be changed");
    body
}

#[test]
fn a_change_is_the_same_in_every_process() {
    let body = rich();
    let head = body.heads()[0].0;
    let saved = Sha256::digest(body.save());
    assert_eq!(data_encoding::HEXLOWER.encode(&head[..8]), "29ff83f2824a930b");
    assert_eq!(data_encoding::HEXLOWER.encode(&saved[..8]), "d8236758aa932de7");
}

/// What many hosts have written at the same time, taken in this order.
pub(super) fn crowd(order: &[u8]) -> Body {
    let mut base = Body::empty();
    put(&mut base, 0, "a", "first");
    let mut all = base.clone();
    for number in order {
        let mut one = base.clone();
        put(&mut one, *number, "a", "mine");
        put(&mut one, *number, &format!("key {number}"), "also mine");
        let sent = one.since(&base.heads()).expect("it has those heads");
        assert_eq!(all.take(&sent), Ok(true));
    }
    all
}

#[test]
fn no_order_of_hash_maps_shows() {
    let order: Vec<u8> = (1..60).collect();
    let mut first = crowd(&order);
    assert_eq!(first.heads().len(), 59);
    assert!(first.heads().is_sorted());
    put(&mut first, 99, "a", "last");
    for _ in 0..3 {
        let mut next = crowd(&order);
        put(&mut next, 99, "a", "last");
        assert_eq!(next.heads(), first.heads());
        assert_eq!(next.save(), first.save());
        let (before, other) = (crowd(&order[..7]).heads(), crowd(&order[..7]).heads());
        assert_eq!(next.since(&before), first.since(&other));
    }
}

#[test]
fn who_has_the_same_heads_reads_the_same_though_not_the_same_bytes() {
    let order: Vec<u8> = (1..20).collect();
    let reverse: Vec<u8> = (1..20).rev().collect();
    let (mut one, mut other) = (crowd(&order), crowd(&reverse));
    assert_eq!(one.heads(), other.heads());
    assert_ne!(one.save(), other.save());
    assert_eq!(get(&one, "a"), get(&other, "a"));
    assert_eq!(one.take(&other.save()), Ok(false));
    assert_eq!(put(&mut one, 99, "b", "x"), put(&mut other, 99, "b", "x"));
}

#[test]
fn what_is_saved_is_loaded() {
    let body = rich();
    let mut again = Body::load(&body.save()).expect("it is good");
    assert_eq!(again.heads(), body.heads());
    assert_eq!(again.save(), body.save());
    assert_eq!(again.len_changes(), 4);
    assert_eq!(get(&again, "kind"), get(&body, "kind"));
    assert!(again.knows(body.heads()[0]));
    assert!(!again.knows(Head([3; 32])));
    let empty = Body::empty();
    assert_eq!(Body::load(&empty.save()).expect("it is good").heads(), []);
}

#[test]
fn a_change_that_does_nothing_is_none() {
    let mut body = rich();
    let before = state(&body);
    let changed = body.change::<()>(&author(5), |_| Ok(()));
    assert_eq!(changed, Ok(None));
    let changed = body.change(&author(5), |document| document.put(ROOT, "id", 7_i64));
    assert_eq!(changed.expect("it may be put"), None);
    assert_eq!(state(&body), before);
    put(&mut body, 5, "kind", "other");
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let mut body = rich();
    let before = state(&body);
    let failed = body.change(&author(5), |document| {
        document.put(ROOT, "kind", "gone").expect("it may be put");
        Err("no")
    });
    assert_eq!(failed, Err(ChangeError::Given("no")));
    let failed = body.change::<()>(&author(5), |document| {
        document.put(ROOT, "kind", "gone").expect("it may be put");
        panic!("on purpose");
    });
    assert_eq!(failed, Err(ChangeError::Body(BodyError::Panicked)));
    let failed = body.change::<()>(&author(5), |document| {
        document.put(ROOT, "kind", "x".repeat(900_000)).expect("it may be put");
        Ok(())
    });
    let Err(ChangeError::Body(BodyError::TooLarge { what: "bytes", found, most })) = failed else {
        panic!("{failed:?}");
    };
    assert!(found > 900_000 && most == crate::limits::DOCUMENT_BYTES_MAX, "{found} of {most}");
    let long = Author { message: "x".repeat(257), ..author(5) };
    assert_eq!(body.change::<()>(&long, |_| Ok(())), Err(ChangeError::Message));
    assert_eq!(state(&body), before);
    assert_eq!(body.read(|_| panic!("on purpose")), Err::<(), _>(BodyError::Panicked));
    put(&mut body, 5, "kind", "other");
}

#[test]
fn a_change_may_not_commit_or_take_another_name() {
    let mut body = rich();
    let before = state(&body);
    let meddles: [fn(&mut AutoCommit); 3] = [
        |document| {
            document.commit();
        },
        |document| {
            document.set_actor(ActorId::from([66; 16]));
        },
        |document| {
            document.commit();
            document.put(ROOT, "more", 1_i64).expect("it may be put");
        },
    ];
    for meddle in meddles {
        let failed = body.change::<()>(&author(5), |document| {
            document.put(ROOT, "kind", "gone").expect("it may be put");
            meddle(document);
            Ok(())
        });
        assert_eq!(failed, Err(ChangeError::Meddled));
        assert_eq!(state(&body), before);
    }
}

#[test]
fn who_has_written_before_may_write_after_others() {
    let mut body = Body::empty();
    for (number, actor) in [1, 2, 1, 3, 2, 1].into_iter().enumerate() {
        put(&mut body, actor, "a", &number.to_string());
    }
    assert_eq!((body.len_changes(), body.heads().len()), (6, 1));
    assert_eq!(Body::load(&body.save()).expect("it is good").heads(), body.heads());
}

#[test]
fn a_change_says_who_when_and_why() {
    let mut body = Body::empty();
    let author = Author { message: "moved".into(), ..author(5) };
    let made = body.change(&author, |document| document.put(ROOT, "a", 1_i64));
    let head = made.expect("it may be put").expect("it is a change");
    let document = AutoCommit::load(&body.save()).expect("it is good");
    let change = document.get_change_by_hash(&hash(head)).expect("it is there");
    assert_eq!(change.actor_id().to_bytes(), [5; 16]);
    assert_eq!(change.timestamp(), 1_790_000_000_005);
    assert_eq!(change.message(), Some("moved"));
}

#[test]
fn what_somebody_lacks_is_small_and_brings_the_same() {
    let mut body = rich();
    let mut copy = body.clone();
    let before = body.heads();
    assert_eq!(body.since(&before), Some(Vec::new()));
    assert_eq!(copy.take(&[]), Ok(false));
    put(&mut body, 5, "kind", "other");
    let sent = body.since(&before).expect("it has those heads");
    assert!(sent.len() < 150, "{}", sent.len());
    assert_eq!(copy.take(&sent), Ok(true));
    assert_eq!(copy.take(&sent), Ok(false));
    assert_eq!(state(&copy), state(&body));
    assert_eq!(copy.since(&[Head([1; 32])]), None);

    for number in 0..40 {
        put(&mut body, 5, "kind", &format!("it {number}"));
    }
    assert_eq!(body.since(&before).expect("it has those heads"), body.save());
    assert_eq!(copy.take(&body.save()), Ok(true));
    assert_eq!(copy.heads(), body.heads());
    assert_eq!(Body::empty().take(&body.save()), Ok(true));
}

#[test]
fn a_change_without_those_before_it_is_a_gap() {
    let (mut body, mut copy) = (rich(), rich());
    put(&mut body, 5, "a", "first");
    let before = body.heads();
    put(&mut body, 5, "b", "second");
    let sent = body.since(&before).expect("it has those heads");
    let old = state(&copy);
    assert_eq!(copy.take(&sent), Err(BodyError::Gap));
    assert_eq!(state(&copy), old);
    let all = body.since(&old.0).expect("it has those heads");
    let first = &all[..all.len() - sent.len()];
    assert_eq!(copy.take(&[&sent, first].concat()), Err(BodyError::Gap));
    assert_eq!(copy.take(first), Ok(true));
    assert_eq!(copy.take(&sent), Ok(true));
    assert_eq!(copy.heads(), body.heads());
}

#[test]
fn two_changes_under_one_name_are_refused() {
    let mut body = rich();
    let before = body.heads();
    let mut other = body.clone();
    put(&mut body, 5, "a", "one");
    put(&mut other, 5, "a", "another");
    let kept = state(&body);
    let sent = other.since(&before).expect("it has those heads");
    assert_eq!(body.take(&sent), Err(BodyError::Forked));
    assert_eq!(body.take(&other.save()), Err(BodyError::Forked));
    assert_eq!(state(&body), kept);
}

#[test]
fn heads_are_shown_short() {
    let heads = BTreeSet::from([Head([0xab; 32])]);
    assert_eq!(format!("{heads:?}"), "{abababab…}");
    assert_eq!(Head([1; 32]).to_string(), "01010101");
}
