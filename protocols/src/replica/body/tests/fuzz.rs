//! Good bytes that are damaged at random, with checksums that are good again.

use automerge::ReadDoc as _;
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
