//! Good bytes that are damaged at random, with checksums that are good again.

use automerge::{
    ExpandedChange, ReadDoc as _,
    legacy::{ElementId, Key, ObjectId, OpId},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    hostile::{Parts, chunk, chunks, one_change},
    *,
};

/// The same chunks with good checksums.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    chunks(bytes).iter().flat_map(|(sort, data)| chunk(*sort, data)).collect()
}

fn is_good(body: &Body) {
    let again = Body::load(&body.save()).expect("what is saved can be loaded");
    assert_eq!(again.heads(), body.heads());
    body.clone().read(|document| document.iter().count()).expect("it can be read");
}

/// What must hold of any bytes.
fn survives(bytes: &[u8]) {
    if let Ok(body) = Body::load(bytes) {
        is_good(&body);
    }
    let (before, _, _) = one_change();
    for body in [before, Body::empty()] {
        let mut copy = body.clone();
        match copy.take(bytes) {
            Ok(_) => {
                is_good(&copy);
                put(&mut copy, 9, "kind", "after it");
                is_good(&copy);
                assert!(body.heads().iter().all(|head| copy.knows(*head)));
            }
            Err(_) => assert_eq!(state(&copy), state(&body)),
        }
    }
}

/// A good document or good changes.
fn good() -> impl Strategy<Value = Vec<u8>> {
    let (before, change, mut after) = one_change();
    let changes = after.since(&[]).expect("all of them");
    let all = contained(|| after.document.save_after(&[])).expect("it can be saved");
    prop_oneof![Just(before.save()), Just(after.save()), Just(change), Just(changes), Just(all),]
}

const KEYS: [&str; 4] = ["kind", "list", "text", "up"];

/// An actor; most operations are of the first.
fn one_of_these() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(1), 1 => 2..7_u8]
}

/// A change whose operations are about something else than they were, of an actor that has made
/// none yet or of one that has.
fn about_other_things(actor: u8, changes: &[(Index, u8, u64, u8)]) -> Vec<u8> {
    let (_, sent, _) = one_change();
    let change = Change::try_from(sent.as_slice()).expect("it is good");
    let mut change: ExpandedChange = change.decode();
    let id = |number: u64, actor: u8| OpId::new(number, &ActorId::from([actor; 16]));
    for (at, what, number, actor) in changes {
        let operation = at.index(change.operations.len());
        let operation = &mut change.operations[operation];
        let of = id(*number, *actor);
        match what {
            0 => operation.obj = ObjectId::Root,
            1 => operation.obj = ObjectId::Id(of),
            2 => operation.key = Key::Seq(ElementId::Head),
            3 => operation.key = Key::Seq(ElementId::Id(of)),
            4 => operation.key = Key::Map(KEYS[*number as usize % KEYS.len()].into()),
            5 => operation.pred = vec![of].into(),
            6 => operation.pred = operation.pred.iter().cloned().chain([of]).collect(),
            7 => operation.pred = Vec::new().into(),
            8 => operation.insert = !operation.insert,
            _ => {
                let other = change.operations[(*number as usize) % change.operations.len()].clone();
                change.operations.push(other);
            }
        }
    }
    (change.actor_id, change.hash) = (ActorId::from([actor; 16]), None);
    Change::from(change).raw_bytes().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300), sort in 0..5_u8) {
        survives(&bytes);
        survives(&chunk(sort, &bytes));
    }

    #[test]
    fn what_is_cut_off(good in good(), at in any::<Index>()) {
        let cut = &good[..at.index(good.len())];
        survives(cut);
        survives(&repaired(cut));
        let (sort, data) = chunks(&good).remove(0);
        survives(&chunk(sort, &data[..at.index(data.len())]));
    }

    #[test]
    fn flipped_bits(good in good(), flips in vec((any::<Index>(), 0..8_u8), 1..4)) {
        let mut bytes = good;
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        survives(&bytes);
        survives(&repaired(&bytes));
    }

    #[test]
    fn bytes_a_little_off(good in good(), at in any::<Index>(), by in -3..4_i8) {
        let mut bytes = good;
        let at = at.index(bytes.len());
        bytes[at] = bytes[at].wrapping_add_signed(by);
        survives(&repaired(&bytes));
    }

    #[test]
    fn other_columns(
        good in good(),
        table in any::<Index>(),
        at in any::<Index>(),
        from in any::<Index>(),
        put in vec(any::<u8>(), 0..8),
    ) {
        let mut parts = Parts::of(&good);
        let table = table.index(parts.tables.len());
        let at = at.index(parts.tables[table].len());
        let column = &mut parts.tables[table][at].1;
        let from = from.index(column.len() + 1);
        let to = (from + put.len()).min(column.len());
        column.splice(from..to, put);
        survives(&parts.whole());
    }

    #[test]
    fn operations_about_other_things(
        actor in 5..8_u8,
        changes in vec((any::<Index>(), 0..10_u8, 1..36_u64, one_of_these()), 1..3),
    ) {
        survives(&about_other_things(actor, &changes));
    }

    #[test]
    fn columns_of_others(
        good in good(),
        table in any::<Index>(),
        a in any::<Index>(),
        b in any::<Index>(),
    ) {
        let mut parts = Parts::of(&good);
        let table = table.index(parts.tables.len());
        let columns = &mut parts.tables[table];
        let (a, b) = (a.index(columns.len()), b.index(columns.len()));
        columns[a].1 = columns[b].1.clone();
        survives(&parts.whole());
    }
}
