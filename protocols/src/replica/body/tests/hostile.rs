//! Bytes made by hand to harm who reads them.

use automerge::{
    ExpandedChange, ObjType, ROOT, ReadDoc as _, ScalarValue,
    marks::{ExpandMark, Mark},
    transaction::Transactable as _,
};

use super::{
    super::{
        columns::{Reader, Table},
        rows::{IN_CHANGE, IN_DOCUMENT},
        scan::{OF_CHANGES, scan},
    },
    *,
};
use crate::limits::{DOCUMENT_ACTORS_MAX, DOCUMENT_CHANGES_MAX, DOCUMENT_OPS_MAX};

pub(super) fn unsigned(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn signed(mut value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    while !(-64..64).contains(&value) {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
    out
}

/// A chunk with a good checksum.
pub(super) fn chunk(sort: u8, data: &[u8]) -> Vec<u8> {
    let length = unsigned(data.len() as u64);
    let sum = Sha256::new().chain_update([sort]).chain_update(&length).chain_update(data);
    let sum = sum.finalize();
    [&[0x85, 0x6f, 0x4a, 0x83], &sum[..4], &[sort], &length, data].concat()
}

/// The chunks of some bytes, as far as there are whole ones.
pub(super) fn chunks(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut from = Reader::new(bytes);
    let mut all = Vec::new();
    while from.take(8).is_ok() {
        let (Ok(sort), Ok(data)) = (from.byte(), from.prefixed()) else { break };
        all.push((sort, data.to_vec()));
    }
    all
}

/// A chunk taken apart: the bytes before its columns, its columns in one or two tables, the rest.
#[derive(Clone)]
pub(super) struct Parts {
    sort: u8,
    head: Vec<u8>,
    pub(super) tables: Vec<Vec<(u64, Vec<u8>)>>,
    tail: Vec<u8>,
}

impl Parts {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (sort, data) = chunks(bytes).remove(0);
        let mut from = Reader::new(&data);
        let known: &[&[u64]] = match sort {
            0 => {
                skip_list(&mut from, None);
                skip_list(&mut from, Some(32));
                &[&OF_CHANGES, &IN_DOCUMENT]
            }
            _ => {
                skip_list(&mut from, Some(32));
                from.prefixed().expect("an actor");
                (0..3).for_each(|_| _ = from.signed().expect("a number"));
                from.text().expect("a message");
                skip_list(&mut from, None);
                &[&IN_CHANGE]
            }
        };
        let head = data[..data.len() - from.rest().len()].to_vec();
        let lengths: Vec<_> =
            known.iter().map(|known| Table::lengths(&mut from, known).expect("columns")).collect();
        let tables = lengths.iter().map(|lengths| {
            let column = |(number, length): &(u64, usize)| {
                (*number, from.take(*length).expect("a column").to_vec())
            };
            lengths.iter().map(column).collect()
        });
        let tables = tables.collect();
        Self { sort, head, tables, tail: from.rest().to_vec() }
    }

    pub(super) fn whole(&self) -> Vec<u8> {
        let mut data = self.head.clone();
        for table in &self.tables {
            data.extend(unsigned(table.len() as u64));
            for (number, column) in table {
                data.extend(unsigned(*number));
                data.extend(unsigned(column.len() as u64));
            }
        }
        data.extend(self.tables.iter().flatten().flat_map(|(_, column)| column));
        data.extend(&self.tail);
        chunk(self.sort, &data)
    }
}

fn skip_list(from: &mut Reader<'_>, length: Option<usize>) {
    for _ in 0..from.unsigned().expect("a length") {
        match length {
            Some(length) => from.take(length).expect("an item"),
            None => from.prefixed().expect("an item"),
        };
    }
}

/// One change to a document, and the document before and after it.
pub(super) fn one_change() -> (Body, Vec<u8>, Body) {
    let before = rich();
    let mut after = before.clone();
    let made = after.change(&author(6), |document| {
        document.put(ROOT, "kind", "other")?;
        document.put(ROOT, "load", 0.75_f64)?;
        let list = document.put_object(ROOT, "list", ObjType::List)?;
        document.insert(&list, 0, "one")?;
        document.insert(&list, 1, "two")?;
        document.increment(ROOT, "count", -2)
    });
    made.expect("it may be made");
    let sent = after.since(&before.heads()).expect("it has those heads");
    (before, sent, after)
}

/// The error for bytes that must not change anything.
pub(super) fn refusal(body: &Body, bytes: &[u8]) -> BodyError {
    let mut copy = body.clone();
    let error = copy.take(bytes).expect_err("it is to be refused");
    assert_eq!(state(&copy), state(body));
    error
}

fn raw(actor: &[u8], make: impl FnOnce(&mut AutoCommit)) -> AutoCommit {
    let mut document = AutoCommit::new().with_actor(ActorId::from(actor));
    make(&mut document);
    document.commit();
    document
}

/// Columns of a few bytes that stand for very many rows, or for numbers that are out of bounds.
fn bombs() -> Vec<Vec<u8>> {
    vec![
        [signed(1 << 40), vec![1]].concat(),
        [signed(i64::MAX), vec![1]].concat(),
        [vec![0], unsigned(1 << 62)].concat(),
        [vec![0], unsigned(u64::MAX)].concat(),
        [signed(-(1 << 40)), vec![1, 1, 1]].concat(),
        [signed(i64::MIN), vec![1, 1, 1]].concat(),
        [signed(-2), signed(i64::MAX), signed(i64::MAX)].concat(),
        unsigned(1 << 60),
        [vec![0], unsigned(1 << 60)].concat(),
        [0, 0].repeat(5000),
        vec![0xff; 200],
        [signed(DOCUMENT_OPS_MAX as i64), vec![1]].concat(),
        Vec::new(),
    ]
}

#[test]
fn what_is_taken_apart_is_put_together_again() {
    let (_, sent, after) = one_change();
    assert_eq!(Parts::of(&sent).whole(), sent);
    assert_eq!(Parts::of(&after.save()).whole(), after.save());
}

#[test]
fn a_column_that_stands_for_too_much_is_refused_unread() {
    let (body, sent, after) = one_change();
    for good in [sent, after.save()] {
        let parts = Parts::of(&good);
        for (table, columns) in parts.tables.iter().enumerate() {
            for (at, (number, column)) in columns.iter().enumerate() {
                for bomb in bombs() {
                    let mut parts = parts.clone();
                    parts.tables[table][at].1.clone_from(&bomb);
                    let bytes = parts.whole();
                    refusal(&body, &bytes);
                    // A column that is left out is one of defaults, which automerge has to judge;
                    // and 0x57 holds the values themselves.
                    let judged = bomb.is_empty() || *number == 0x57;
                    let seen = scan(&bytes).is_ok();
                    assert!(!seen || judged, "{number:#x} was {column:?}, is {bomb:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_compressed_is_refused_unread() {
    let long = "all work and no play ".repeat(5000);
    let mut document = raw(&[7; 16], |document| {
        document.put(ROOT, "a", long.as_str()).expect("it may be put");
    });
    let body = rich();
    let deflated = document.save();
    assert!(deflated.len() < 2000);
    let compressed = BodyError::Malformed("it has a compressed or unknown column");
    assert_eq!(refusal(&body, &deflated), compressed);
    let mut change = document.get_last_local_change().expect("there is one");
    assert_eq!(refusal(&body, &change.bytes()), BodyError::Malformed("it is compressed"));
    let heads: Vec<_> = document.get_heads();
    let bundle = document.bundle(heads).expect("it has them");
    assert_eq!(refusal(&body, bundle.bytes()), BodyError::Malformed("it is compressed"));
    assert_eq!(body.clone().take(&document.save_nocompress()), Ok(true));
}

#[test]
fn lengths_that_are_not_there_are_refused() {
    let body = rich();
    let header = [0x85, 0x6f, 0x4a, 0x83, 1, 2, 3, 4];
    for sort in 0..=255_u8 {
        for length in [0, 1, 1 << 40, u64::MAX] {
            refusal(&body, &[&header[..], &[sort], &unsigned(length), &[0]].concat());
        }
        refusal(&body, &[&header[..], &[sort], &[0xff; 30]].concat());
        for count in [1 << 40, u64::MAX] {
            refusal(&body, &chunk(sort, &unsigned(count)));
            refusal(&body, &chunk(sort, &[vec![1], unsigned(count)].concat()));
            refusal(&body, &chunk(sort, &[vec![0, 0], unsigned(count)].concat()));
            refusal(&body, &chunk(sort, &[vec![0, 0, 1], unsigned(count)].concat()));
        }
    }
    let long = vec![0; crate::limits::DOCUMENT_BYTES_MAX + 1];
    assert_eq!(refusal(&body, &long), too_large(long.len(), long.len() - 1, "bytes"));
    assert!(Body::load(&[]).is_err());
}

fn too_large(found: usize, most: usize, what: &'static str) -> BodyError {
    BodyError::TooLarge { what, found: found as u64, most }
}

fn nest(document: &mut AutoCommit, levels: usize) {
    let mut within = ROOT;
    for _ in 0..levels {
        within = document.put_object(&within, "a", ObjType::Map).expect("it may be put");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = too_large(65, 64, "levels");
    let mut body = rich();
    let heads = body.heads();
    let mut changes = |levels| {
        body.change::<()>(&author(9), |document| {
            nest(document, levels);
            Ok(())
        })
    };
    assert_eq!(changes(65), Err(ChangeError::Body(deep.clone())));
    assert!(changes(64).expect("it may be made").is_some());
    assert_ne!(body.heads(), heads);
    let mut document = raw(&[7; 16], |document| nest(document, 10_000));
    assert_eq!(refusal(&body, &document.save_nocompress()), deep);
    assert_eq!(refusal(&body, &document.save_after(&[])), deep);
}

#[test]
fn actors_are_of_sixteen_bytes_and_not_too_many() {
    let body = rich();
    for actor in [&[][..], &[1; 15], &[1; 17], &[1; 5000]] {
        let mut document = raw(actor, |document| {
            document.put(ROOT, "a", 1_i64).expect("it may be put");
        });
        let refused = BodyError::Malformed("an actor is not of 16 bytes");
        assert_eq!(refusal(&body, &document.save_nocompress()), refused);
        assert_eq!(refusal(&body, &document.save_after(&[])), refused);
    }
    let mut many = AutoCommit::new();
    for number in 0..=DOCUMENT_ACTORS_MAX {
        let mut actor = [1; 16];
        actor[..8].copy_from_slice(&(number as u64).to_be_bytes());
        many.set_actor(ActorId::from(actor));
        many.put(ROOT, "a", number as u64).expect("it may be put");
        many.commit();
    }
    let refused = too_large(DOCUMENT_ACTORS_MAX + 1, DOCUMENT_ACTORS_MAX, "actors");
    assert_eq!(refusal(&body, &many.save_nocompress()), refused);
    // Those that are here already are counted, too.
    let refused = too_large(DOCUMENT_ACTORS_MAX + 5, DOCUMENT_ACTORS_MAX, "actors");
    assert_eq!(refusal(&body, &many.save_after(&[])), refused);
}

#[test]
fn histories_that_are_too_long_are_refused() {
    let body = rich();
    let mut document = AutoCommit::new().with_actor(ActorId::from([7; 16]));
    for number in 0..=DOCUMENT_CHANGES_MAX {
        document.put(ROOT, "a", number as u64).expect("it may be put");
        document.commit();
    }
    let refused = too_large(DOCUMENT_CHANGES_MAX + 1, DOCUMENT_CHANGES_MAX, "changes");
    assert_eq!(refusal(&body, &document.save_nocompress()), refused);
}

/// The same change with other numbers; whose checksum is good.
fn renumbered(sent: &[u8], seq: u64, start: u64) -> Vec<u8> {
    let (_, data) = chunks(sent).remove(0);
    let mut from = Reader::new(&data);
    skip_list(&mut from, Some(32));
    from.prefixed().expect("an actor");
    let head = &data[..data.len() - from.rest().len()];
    from.unsigned().expect("its place");
    from.unsigned().expect("its first number");
    chunk(1, &[head, &unsigned(seq), &unsigned(start), from.rest()].concat())
}

#[test]
fn numbers_that_leave_some_out_are_refused() {
    let (body, sent, after) = one_change();
    let (_, data) = chunks(&sent).remove(0);
    let mut from = Reader::new(&data);
    skip_list(&mut from, Some(32));
    from.prefixed().expect("an actor");
    let (seq, start) = (from.unsigned().expect("one"), from.unsigned().expect("one"));
    assert_eq!(renumbered(&sent, seq, start), sent);
    for seq in [0, seq + 1, 4000, 1 << 40, u64::MAX] {
        refusal(&body, &renumbered(&sent, seq, start));
    }
    let wrong = BodyError::Malformed("operations are counted wrongly");
    assert_eq!(refusal(&body, &renumbered(&sent, seq, start + 1)), wrong);
    assert_eq!(refusal(&body, &renumbered(&sent, seq, 90_000)), wrong);
    for start in [0, 1, 1 << 31, 1 << 32, i64::MAX as u64, u64::MAX] {
        refusal(&body, &renumbered(&sent, seq, start));
    }
    let mut body = body;
    assert_eq!(body.take(&sent), Ok(true));
    assert_eq!(body.heads(), after.heads());
}

#[test]
fn a_wrong_checksum_is_refused() {
    let (body, sent, after) = one_change();
    for good in [sent, after.save()] {
        let mut bytes = good.clone();
        bytes[5] ^= 1;
        refusal(&body, &bytes);
        let mut copy = body.clone();
        assert_eq!(copy.take(&good), Ok(true));
    }
}

#[test]
fn marks_that_end_before_they_begin_are_refused() {
    let body = rich();
    let mut after = body.clone();
    let marked = after.change(&author(6), |document| {
        let (_, text) = document.get(ROOT, "text")?.expect("it was put");
        document.mark(&text, Mark::new("bold".into(), true, 0, 4), ExpandMark::Both)
    });
    marked.expect("it may be marked");
    let sent = after.since(&body.heads()).expect("it has those heads");
    assert_eq!(body.clone().take(&sent), Ok(true));
    let change = Change::try_from(sent.as_slice()).expect("it is good");
    let mut change: ExpandedChange = change.decode();
    let [begin, end] = change.operations.as_mut_slice() else { panic!("a mark is two operations") };
    std::mem::swap(&mut begin.key, &mut end.key);
    change.hash = None;
    let why = refusal(&body, Change::from(change).raw_bytes());
    assert!(matches!(why, BodyError::Refused(_)), "{why}");
}

#[test]
fn values_at_the_ends_of_their_types_do_no_harm() {
    let mut body = rich();
    let edges = body.change(&author(9), |document| {
        document.put(ROOT, "least", i64::MIN)?;
        document.put(ROOT, "most", i64::MAX)?;
        document.put(ROOT, "unsigned", u64::MAX)?;
        document.put(ROOT, "nan", f64::NAN)?;
        document.put(ROOT, "when", ScalarValue::Timestamp(i64::MIN))?;
        document.put(ROOT, "", "")?;
        document.put(ROOT, "counter", ScalarValue::counter(i64::MAX))
    });
    edges.expect("it may be made");
    let last = Author { wall: WallTime::from_millis(u64::MAX), ..author(9) };
    let kept = state(&body);
    let over = body.change(&last, |document| document.increment(ROOT, "counter", 1));
    if over.is_err() {
        assert_eq!(state(&body), kept);
    }
    let again = Body::load(&body.save()).expect("it is good");
    assert_eq!(again.heads(), body.heads());
    assert_eq!(get(&again, ""), Some(String::new()));
}
