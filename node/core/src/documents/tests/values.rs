use std::collections::BTreeMap;

use automerge::{AutoCommit, ObjType, ROOT, ReadDoc, ScalarValue, transaction::Transactable};
use autosurgeon::{Hydrate, Reconcile};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use starling_protocols::limits::{
    DOCUMENT_DEPTH_MAX, DOCUMENT_LIST_ITEMS_MAX, DOCUMENT_TEXT_BYTES_MAX, DOCUMENT_VALUES_MAX,
};

use super::{
    super::{
        PathError, ReconcileError, SetError, Step, Unreadable,
        align::{Edit, align},
        at, conflicts, get, remove, set, to_json,
    },
    *,
};

/// JSON with few keys, so that two of them often have something in common.
fn anything() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-c]{0,3}", "\\PC{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4i64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        text.prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..4)
            .prop_map(|bytes| json!({ "base64": data_encoding::BASE64.encode(&bytes) })),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from), map_of(inner)]
    })
}

fn map_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let key = prop_oneof![Just(String::new()), "[a-c]", Just("id".into()), Just("base64".into())];
    let entries = prop::collection::btree_map(key, inner, 0..5);
    entries.prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

fn a_document() -> impl Strategy<Value = Value> {
    map_of(anything())
}

proptest! {
    #[test]
    fn a_document_says_what_it_was_made_to_say(first in a_document(), second in a_document()) {
        let mut doc = empty(1);
        prop_assert_eq!(reconcile_json(&mut doc, &first).unwrap(), first != json!({}));
        prop_assert_eq!(to_json(&doc).unwrap(), first);
        reconcile_json(&mut doc, &second).unwrap();
        doc.commit();
        prop_assert_eq!(&to_json(&doc).unwrap(), &second);
        prop_assert!(!reconcile_json(&mut doc, &second).unwrap());
        prop_assert_eq!(doc.pending_ops(), 0);
        let heads = doc.get_heads();
        prop_assert_eq!(at(doc.document(), &heads).unwrap(), second);
    }

    #[test]
    fn edits_lead_from_the_old_list_to_the_new(
        old in prop::collection::vec(anything(), 0..12),
        new in prop::collection::vec(anything(), 0..12),
    ) {
        let (mut from, mut made) = (0, Vec::new());
        for edit in align(&old, &new) {
            match edit {
                Edit::Keep(i, j) => {
                    prop_assert_eq!((i, j, &old[i]), (from, made.len(), &new[j]));
                    (from, made) = (from + 1, [made, vec![old[i].clone()]].concat());
                }
                Edit::Change(i, j) => {
                    prop_assert_eq!((i, j), (from, made.len()));
                    (from, made) = (from + 1, [made, vec![new[j].clone()]].concat());
                }
                Edit::Delete(i) => {
                    prop_assert_eq!(i, from);
                    from += 1;
                }
                Edit::Insert(j) => {
                    prop_assert_eq!(j, made.len());
                    made.push(new[j].clone());
                }
            }
        }
        prop_assert_eq!((from, made), (old.len(), new));
    }

    #[test]
    fn a_path_is_read_as_it_is_written(steps in prop::collection::vec(
        prop_oneof![
            "\\PC{0,5}".prop_map(Step::Key),
            "[a.\\[\"\\\\]{0,3}".prop_map(Step::Key),
            any::<usize>().prop_map(Step::Index),
        ], 0..6))
    {
        let path = Path::new(steps);
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn no_text_is_more_than_a_wrong_path(text in "[a\\.\\[\\]\"0\\\\é ]{0,12}") {
        if let Ok(path) = text.parse::<Path>() {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn what_was_set_is_got(first in a_document(), value in anything()) {
        let mut doc = saying(&first);
        let place = path("new.rooms[0]");
        set(&mut doc, &place, &value).unwrap();
        prop_assert_eq!(get(&doc, &place).unwrap(), Some(value.clone()));
        let mut expected = first;
        expected["new"] = json!({ "rooms": [value] });
        prop_assert_eq!(to_json(&doc).unwrap(), expected);
    }
}

#[test]
fn every_scalar_has_its_json() {
    let mut doc = empty(1);
    let scalars = [
        ("bytes", ScalarValue::Bytes(vec![1, 2])),
        ("counter", ScalarValue::counter(-3)),
        ("int", ScalarValue::Int(5)),
        ("nan", ScalarValue::F64(f64::NAN)),
        ("time", ScalarValue::Timestamp(1234)),
        ("uint", ScalarValue::Uint(u64::MAX)),
        ("unknown", ScalarValue::Unknown { type_code: 12, bytes: vec![0] }),
    ];
    for (key, scalar) in scalars {
        doc.put(ROOT, key, scalar).unwrap();
    }
    doc.increment(ROOT, "counter", 10).unwrap();
    let text = doc.put_object(ROOT, "text", ObjType::Text).unwrap();
    doc.splice_text(&text, 0, 0, "tea").unwrap();
    doc.commit();
    let shown = json!({
        "bytes": {"base64": "AQI="}, "counter": 7, "int": 5, "nan": null, "text": "tea",
        "time": 1234, "uint": u64::MAX, "unknown": {"base64": "AA=="},
    });
    assert_eq!(to_json(&doc).unwrap(), shown);
    assert!(!reconcile_json(&mut doc, &shown).unwrap(), "nothing to do");
    assert_eq!(doc.pending_ops(), 0);
}

#[test]
fn what_stands_keeps_its_kind() {
    let mut doc = empty(1);
    doc.put(ROOT, "counter", ScalarValue::counter(3)).unwrap();
    doc.put(ROOT, "time", ScalarValue::Timestamp(1)).unwrap();
    doc.put(ROOT, "int", 1i64).unwrap();
    let text = doc.put_object(ROOT, "text", ObjType::Text).unwrap();
    doc.splice_text(&text, 0, 0, "the té is hot").unwrap();
    doc.commit();
    let mut other = doc.fork().with_actor([2u8; 16].as_slice().into());
    other.increment(ROOT, "counter", 1).unwrap();
    other.splice_text(&text, 0, 0, "Now ").unwrap();

    let new = json!({"counter": 10, "time": 2, "int": 2, "text": "the té is cold", "new": 2});
    reconcile_json(&mut doc, &new).unwrap();
    doc.merge(&mut other).unwrap();
    let scalar = |key: &str| match doc.get(ROOT, key).unwrap().unwrap().0 {
        automerge::Value::Scalar(scalar) => scalar.into_owned(),
        object @ automerge::Value::Object(_) => panic!("{object:?}"),
    };
    assert_eq!(scalar("counter"), ScalarValue::counter(11));
    assert_eq!(scalar("time"), ScalarValue::Timestamp(2));
    assert_eq!(scalar("int"), ScalarValue::Int(2));
    assert_eq!(scalar("new"), ScalarValue::Uint(2));
    assert_eq!(doc.text(&text).unwrap(), "Now the té is cold");
}

/// Operations that lead from one value to another.
fn operations(old: &Value, new: &Value) -> usize {
    let mut doc = saying(old);
    reconcile_json(&mut doc, new).unwrap();
    doc.pending_ops()
}

#[test]
fn few_operations_are_made() {
    let rooms = |rooms: Value| json!({ "rooms": rooms });
    let cases = [
        (rooms(json!([1, 2, 3])), rooms(json!([0, 1, 2, 3])), 1),
        (rooms(json!([1, 2, 3, 4])), rooms(json!([1, 9, 2, 4])), 2),
        (rooms(json!([1, 2, 3])), rooms(json!([1, 7, 3])), 1),
        (rooms(json!([1, 2, 3])), rooms(json!([])), 3),
        // The map that is known again is changed, the other goes.
        (
            rooms(json!([{"id": 1, "heads": 3}, {"id": 2, "heads": 4}])),
            rooms(json!([{"id": 2, "heads": 5}])),
            2,
        ),
        (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1, "c": 3}}), 1),
        (json!({"a": 1, "b": 2}), json!({"b": 2}), 1),
        (json!({"a": {}}), json!({"a": {"base64": "AQI="}}), 1),
    ];
    for (old, new, expected) in cases {
        assert_eq!(operations(&old, &new), expected, "{old} -> {new}");
    }
}

#[test]
fn long_lists_are_matched_by_what_stands_once_in_them() {
    let old: Vec<Value> = (0..3000).map(Value::from).collect();
    let mut new = old.clone();
    new.remove(2900);
    new.insert(1500, "here".into());
    new[10] = "there".into();
    let edits = align(&old, &new);
    let other = |edit: &&Edit| !matches!(edit, Edit::Keep(..));
    let others: Vec<_> = edits.iter().filter(other).collect();
    assert_eq!(others, [&Edit::Change(10, 10), &Edit::Insert(1500), &Edit::Delete(2900)]);
    // The last ten go to the front.
    let mut moved = old.clone();
    moved.rotate_right(10);
    let edits = align(&old, &moved);
    assert_eq!(edits.iter().filter(|edit| matches!(edit, Edit::Keep(..))).count(), 2990);
}

#[test]
fn concurrent_changes_of_other_items_are_both_kept() {
    let old = json!({"rooms": [{"id": "tea", "heads": 1}, {"id": "rum", "heads": 1}]});
    let mut one = saying(&old);
    let mut other = one.fork().with_actor([2u8; 16].as_slice().into());
    let new =
        json!({"rooms": [{"id": "gin"}, {"id": "tea", "heads": 2}, {"id": "rum", "heads": 1}]});
    reconcile_json(&mut one, &new).unwrap();
    let new = json!({"rooms": [{"id": "rum", "heads": 5}]});
    reconcile_json(&mut other, &new).unwrap();
    one.merge(&mut other).unwrap();
    assert_eq!(
        to_json(&one).unwrap(),
        json!({"rooms": [{"id": "gin"}, {"id": "rum", "heads": 5}]})
    );
}

#[derive(Clone, Debug, PartialEq, Reconcile, Hydrate)]
struct Derived {
    name: String,
    heads: u32,
    shift: i32,
    rate: f64,
    rooms: Vec<String>,
    labels: BTreeMap<String, bool>,
    none: Option<String>,
    sort: Sort,
}

#[derive(Clone, Debug, PartialEq, Reconcile, Hydrate)]
enum Sort {
    Plain,
    Named { name: String },
}

#[test]
fn what_autosurgeon_writes_and_reads_is_the_same() {
    let derived = Derived {
        name: "tea ".repeat(1000),
        heads: 3,
        shift: -4,
        rate: 0.5,
        rooms: vec!["a".into(), "b".into()],
        labels: [("x".into(), true)].into(),
        none: None,
        sort: Sort::Named { name: "n".into() },
    };
    let mut doc = empty(1);
    autosurgeon::reconcile_prop(&mut doc, ROOT, "fields", &derived).unwrap();
    let shown = json!({
        "name": "tea ".repeat(1000), "heads": 3, "shift": -4, "rate": 0.5, "rooms": ["a", "b"],
        "labels": {"x": true}, "none": null, "sort": {"Named": {"name": "n"}},
    });
    let fields = path("fields");
    assert_eq!(get(&doc, &fields).unwrap(), Some(shown.clone()));

    let mut fresh = empty(2);
    set(&mut fresh, &fields, &shown).unwrap();
    let hydrated: Derived = autosurgeon::hydrate_prop(&fresh, ROOT, "fields").unwrap();
    assert_eq!(hydrated, derived);

    for (place, value) in [
        ("fields.name", json!("rum")),
        ("fields.sort", json!("Plain")),
        ("fields.rooms[2]", json!("c")),
        ("fields.shift", json!(4)),
    ] {
        set(&mut doc, &path(place), &value).unwrap();
    }
    let hydrated: Derived = autosurgeon::hydrate_prop(&doc, ROOT, "fields").unwrap();
    let rooms = vec!["a".into(), "b".into(), "c".into()];
    let changed =
        Derived { name: "rum".into(), sort: Sort::Plain, shift: 4, rooms, ..derived.clone() };
    assert_eq!(hydrated, changed);
    doc.commit();
    autosurgeon::reconcile_prop(&mut doc, ROOT, "fields", &derived).unwrap();
    assert_eq!(get(&doc, &fields).unwrap(), Some(shown));
}

/// A document that others may have made: maps in maps in a list.
fn deep(levels: usize) -> AutoCommit {
    let mut doc = empty(1);
    let mut at = doc.put_object(ROOT, "a", ObjType::List).unwrap();
    at = doc.insert_object(&at, 0, ObjType::Map).unwrap();
    for _ in 0..levels {
        at = doc.put_object(&at, "a", ObjType::Map).unwrap();
    }
    doc.commit();
    doc
}

#[test]
fn deep_documents_are_refused_everywhere() {
    let fits = DOCUMENT_DEPTH_MAX - 3;
    assert!(to_json(&deep(fits)).is_ok());
    for levels in [fits + 1, 20_000] {
        let mut doc = deep(levels);
        let heads = doc.get_heads();
        assert_eq!(to_json(&doc), Err(Unreadable::TooDeep));
        assert_eq!(at(doc.document(), &heads), Err(Unreadable::TooDeep));
        assert_eq!(conflicts(doc.document()), Err(Unreadable::TooDeep));
        assert_eq!(get(&doc, &path("a")), Err(Unreadable::TooDeep));
        let refused = Err(ReconcileError::Unreadable(Unreadable::TooDeep));
        assert_eq!(reconcile_json(&mut doc, &json!({})), refused);
        assert_eq!(remove(&mut doc, &path("a")), Ok(true), "so it can be mended");
        assert_eq!(to_json(&doc), Ok(json!({})));
    }
}

#[test]
fn nothing_is_written_that_cannot_be_read() {
    let deep = (0..DOCUMENT_DEPTH_MAX).fold(json!(1), |value, _| json!([value]));
    let long = "x".repeat(DOCUMENT_TEXT_BYTES_MAX);
    let many: Map<_, _> = (1..DOCUMENT_VALUES_MAX).map(|n| (format!("{n}"), json!(n))).collect();
    let list = json!([vec![0; DOCUMENT_LIST_ITEMS_MAX / 2], vec![0; DOCUMENT_LIST_ITEMS_MAX / 2]]);
    for (value, why) in [
        (json!({ "a": deep }), Unreadable::TooDeep),
        (json!({ "a": long }), Unreadable::TooLong),
        (json!({ "a": many }), Unreadable::TooManyValues),
        (json!({ "a": list }), Unreadable::TooManyItems),
    ] {
        let mut doc = empty(1);
        let refused = ReconcileError::TooLarge(why.clone());
        assert_eq!(reconcile_json(&mut doc, &value), Err(refused.clone()));
        assert_eq!(set(&mut doc, &path("a"), &value["a"]), Err(SetError::Value(refused)));
        assert_eq!(doc.pending_ops(), 0);
    }
    // Two halves that each fit.
    let mut doc = empty(1);
    let half = json!("x".repeat(DOCUMENT_TEXT_BYTES_MAX / 2 + 1));
    set(&mut doc, &path("a"), &half).unwrap();
    let refused = ReconcileError::TooLarge(Unreadable::TooLong);
    assert_eq!(set(&mut doc, &path("b"), &half), Err(SetError::Value(refused)));
    assert_eq!(set(&mut doc, &path("a"), &half), Ok(false));
    assert_eq!(reconcile_json(&mut doc, &json!([])), Err(ReconcileError::NotAMap));
    let endless = Path::new((0..100_000).map(|_| Step::Key("a".into())));
    let refused = ReconcileError::TooLarge(Unreadable::TooDeep);
    assert_eq!(set(&mut doc, &endless, &json!(1)), Err(SetError::Value(refused)));
}

#[test]
fn large_documents_of_others_are_refused() {
    let mut doc = empty(1);
    let list = doc.put_object(ROOT, "a", ObjType::List).unwrap();
    let nulls = vec![ScalarValue::Null; DOCUMENT_VALUES_MAX];
    doc.splice(&list, 0, 0, nulls).unwrap();
    assert_eq!(to_json(&doc), Err(Unreadable::TooManyValues));

    let long = "x".repeat(DOCUMENT_TEXT_BYTES_MAX + 1);
    let mut doc = empty(1);
    let text = doc.put_object(ROOT, "a", ObjType::Text).unwrap();
    doc.splice_text(&text, 0, 0, &long).unwrap();
    assert_eq!(to_json(&doc), Err(Unreadable::TooLong));
    doc.put(ROOT, "a", long.as_str()).unwrap();
    assert_eq!(to_json(&doc), Err(Unreadable::TooLong));
    doc.put(ROOT, "a", long.into_bytes()).unwrap();
    assert_eq!(to_json(&doc), Err(Unreadable::TooLong));
}

#[test]
fn a_counter_that_runs_over_is_no_panic() {
    let mut doc = empty(1);
    doc.put(ROOT, "a", ScalarValue::counter(i64::MAX)).unwrap();
    doc.commit();
    let wanted = json!({ "a": i64::MIN });
    reconcile_json(&mut doc, &wanted).unwrap();
    assert_eq!(to_json(&doc), Ok(wanted));
    doc.put(ROOT, "a", ScalarValue::counter(i64::MAX)).unwrap();
    doc.increment(ROOT, "a", 1).unwrap();
    // The library adds without a check: an error where sums are checked, and else a number.
    match to_json(&doc) {
        Ok(value) => assert!(value["a"].is_i64(), "{value}"),
        Err(why) => assert!(matches!(why, Unreadable::Damaged(_)), "{why}"),
    }
}

#[test]
fn people_are_told_where_a_path_is_wrong() {
    let wrong = |text: &str| text.parse::<Path>().unwrap_err();
    let error = |at, wrong: &str| PathError { at, wrong: wrong.into() };
    assert_eq!(
        wrong("fields.rooms[x]"),
        error(14, "an index is a number, as in rooms[2]; here is 'x'"),
    );
    assert_eq!(wrong("é[2"), error(4, "`]` is missing, the path ends"));
    assert_eq!(
        wrong("a[1]b"),
        error(5, "`.` and a key, or `[` and an index, can follow; here is 'b'"),
    );
    assert_eq!(
        wrong("a..b"),
        error(
            3,
            "a key is missing, here is '.'; a key with such characters is quoted, as in \"a.b\"",
        ),
    );
    assert_eq!(
        wrong("a.\"b").to_string(),
        "at character 3 of the path: a quoted key is a text as in JSON, and this does not end or \
         has a wrong escape",
    );
    assert_eq!(wrong("a[99999999999999999999999]").at, 3);
    assert_eq!(wrong(&"a".repeat(5000)).wrong, "it is longer than 4096 bytes");
    assert_eq!(wrong(&"a.".repeat(100)).at, 128);
    let steps = [Step::Key("a.b".into()), Step::Index(2), Step::Key("c".into())];
    assert_eq!(path(r#""a.b"[2]["c"]"#).steps(), steps);
    assert_eq!(path(""), Path::default());
}

#[test]
fn places_are_got_set_and_removed() {
    let mut doc =
        saying(&json!({"fields": {"rooms": [{"name": "tea"}], "raw": {"base64": "AQI="}}}));
    assert_eq!(get(&doc, &path("fields.rooms[0].name")), Ok(Some("tea".into())));
    for nowhere in ["x", "fields[0]", "fields.rooms[1]", "fields.rooms.x", "fields.rooms[0].name.x"]
    {
        assert_eq!(get(&doc, &path(nowhere)), Ok(None), "{nowhere}");
        assert_eq!(remove(&mut doc, &path(nowhere)), Ok(false), "{nowhere}");
    }
    let other =
        |at: &str, expected, found| Err(SetError::OtherKind { at: path(at), expected, found });
    for (place, refused) in [
        ("fields[0]", other("fields", "a list", "a map")),
        ("fields.rooms.x", other("fields.rooms", "a map", "a list")),
        ("fields.rooms[0].name.x", other("fields.rooms[0].name", "a map", "a text")),
        ("fields.raw.x", other("fields.raw", "a map", "bytes")),
        ("fields.raw.base64", other("fields.raw", "a map", "bytes")),
        ("fields.rooms[2]", Err(SetError::TooShort { at: path("fields.rooms"), length: 1 })),
        ("fields.new[1].x", Err(SetError::TooShort { at: path("fields.new"), length: 0 })),
    ] {
        assert_eq!(set(&mut doc, &path(place), &json!(1)), refused, "{place}");
    }
    assert_eq!(doc.pending_ops(), 0);
    assert_eq!(
        set(&mut doc, &path("fields.rooms[2]"), &json!(1)).unwrap_err().to_string(),
        "fields.rooms has 1 items; [1] would append one",
    );
    assert_eq!(set(&mut doc, &path("fields.rooms[1].name"), &json!("rum")), Ok(true));
    assert_eq!(remove(&mut doc, &path("fields.rooms[0]")), Ok(true));
    assert_eq!(remove(&mut doc, &path("fields.raw")), Ok(true));
    assert_eq!(to_json(&doc), Ok(json!({"fields": {"rooms": [{"name": "rum"}]}})));
    assert_eq!(remove(&mut doc, &Path::default()), Ok(true));
    assert_eq!(to_json(&doc), Ok(json!({})));
}
