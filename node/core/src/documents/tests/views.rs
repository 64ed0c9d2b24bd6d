use automerge::{AutoCommit, ObjType, ROOT, ReadDoc, ScalarValue, transaction::Transactable};
use serde_json::json;
use starling_protocols::{
    limits::{DOCUMENT_CONFLICTS_MAX, DOCUMENT_DIFFERENCES_MAX},
    time::WallTime,
};

use super::{
    super::{
        Differences, HeadError, ResolveError, Unreadable, at, conflicts, diff, diff_values,
        find_head, history, resolve, to_json,
    },
    *,
};

/// Three changes, of which the last two are concurrent.
fn branched() -> (AutoCommit, [ChangeHash; 3]) {
    let mut doc = saying(&json!({"limit": 1}));
    let first = doc.get_heads()[0];
    let mut other = doc.fork().with_actor([2u8; 16].as_slice().into());
    reconcile_json(&mut doc, &json!({"limit": 2, "a": 1})).unwrap();
    let second = commit(&mut doc, 3000, "second");
    reconcile_json(&mut other, &json!({"limit": 3})).unwrap();
    let third = commit(&mut other, 2000, "third");
    doc.merge(&mut other).unwrap();
    (doc, [first, second, third])
}

#[test]
fn the_history_is_told_newest_first_in_pages() {
    let (mut doc, [first, second, third]) = branched();
    let page = history(doc.document(), None, 2).unwrap();
    let heads: Vec<_> = page.changes.iter().map(|change| change.head.clone()).collect();
    assert_eq!(heads, [second.to_string(), third.to_string()]);
    let newest = &page.changes[0];
    assert_eq!(newest.at, Some(WallTime::from_millis(3000)));
    assert_eq!(newest.message.as_deref(), Some("second"));
    assert_eq!((newest.actor.as_str(), newest.operations), ("01".repeat(16).as_str(), 2));
    assert_eq!(newest.parents, [first.to_string()]);
    assert_eq!(newest.short(), &second.to_string()[..8]);
    assert_eq!(page.older_than, Some(third.to_string()));

    let page = history(doc.document(), page.older_than.as_deref(), 2).unwrap();
    assert_eq!(page.changes.len(), 1);
    assert_eq!((page.changes[0].head.clone(), page.older_than), (first.to_string(), None));
    assert_eq!(history(doc.document(), None, 0).unwrap().changes.len(), 1, "at least one");
}

#[test]
fn a_change_that_was_carried_over_is_told_as_it_was_made_first() {
    let mut doc = saying(&json!({"limit": 1}));
    reconcile_json(&mut doc, &json!({"limit": 2})).unwrap();
    let first = "07".repeat(16);
    commit(&mut doc, 2000, &format!("carried over from 3 2f {first} 4 a9|raise the limit"));
    reconcile_json(&mut doc, &json!({"limit": 3})).unwrap();
    commit(&mut doc, 3000, &format!("carried over from 3 2f {first} 5 a9|"));
    let page = history(doc.document(), None, 2).unwrap();
    let told: Vec<_> = page.changes.iter().map(|it| (&*it.actor, it.message.as_deref())).collect();
    assert_eq!(told, [(&*first, None), (&*first, Some("raise the limit"))]);
}

#[test]
fn the_history_is_the_same_in_whatever_order_changes_arrive() {
    let (mut doc, _) = branched();
    let mut changes = doc.get_changes(&[]);
    changes.swap(1, 2);
    let mut other = empty(9);
    other.apply_changes(changes).unwrap();
    let (one, two) = (history(doc.document(), None, 9), history(other.document(), None, 9));
    assert_eq!(one, two);
    assert_eq!(one.unwrap().changes.len(), 3);
}

#[test]
fn a_change_without_a_time_and_with_a_long_message_is_told() {
    let mut doc = empty(1);
    doc.put(ROOT, "a", 1).unwrap();
    commit(&mut doc, 0, &"é".repeat(5000));
    doc.put(ROOT, "a", 2).unwrap();
    commit(&mut doc, -5, "x");
    let changes = history(doc.document(), None, 9).unwrap().changes;
    assert_eq!((changes[0].at, changes[1].at), (None, None));
    assert_eq!(changes[1].message, Some("é".repeat(1024) + "…"));
}

#[test]
fn heads_are_found_by_their_first_digits() {
    let mut doc = empty(1);
    let mut heads: Vec<_> = (0..40)
        .map(|n| {
            doc.put(ROOT, "a", n).unwrap();
            commit(&mut doc, 1000, "")
        })
        .collect();
    let head = heads[7];
    let digits = head.to_string();
    assert_eq!(find_head(doc.document(), &digits), Ok(head));
    assert_eq!(find_head(doc.document(), &digits[..16].to_ascii_uppercase()), Ok(head));
    heads.retain(|head| head.to_string().starts_with(&digits[..1]));
    heads.sort_unstable();
    // Forty hashes and sixteen digits: one of the digits begins several.
    let common = (0..16).map(|digit| format!("{digit:x}"));
    let several = common.into_iter().find_map(|digit| match find_head(doc.document(), &digit) {
        Err(why @ HeadError::Ambiguous { .. }) => Some(why),
        _ => None,
    });
    let Some(HeadError::Ambiguous { prefix, count, heads }) = several else {
        panic!("no digit begins several hashes");
    };
    assert!(count > 1 && heads.len() == count.min(8), "{count} {heads:?}");
    assert!(heads.iter().all(|head| head.starts_with(&prefix) && head.len() == 16), "{heads:?}");
    let unknown = "0".repeat(64);
    assert_eq!(find_head(doc.document(), &unknown), Err(HeadError::Unknown(unknown)));
    for wrong in ["", "xyz", "é", &"0".repeat(65)] {
        assert_eq!(find_head(doc.document(), wrong), Err(HeadError::NotHex(wrong.into())));
    }
}

#[test]
fn a_document_is_read_as_it_was() {
    let (mut doc, [first, second, third]) = branched();
    let doc = doc.document();
    assert_eq!(at(doc, &[]), Ok(json!({})));
    assert_eq!(at(doc, &[first]), Ok(json!({"limit": 1})));
    assert_eq!(at(doc, &[second]), Ok(json!({"limit": 2, "a": 1})));
    assert_eq!(at(doc, &[second, third]), Ok(to_json(doc).unwrap()));
    let unknown = ChangeHash([7; 32]);
    assert_eq!(at(doc, &[first, unknown]), Err(Unreadable::UnknownHead(unknown)));
}

fn lines(differences: &Differences) -> Vec<String> {
    differences.lines.iter().map(ToString::to_string).collect()
}

#[test]
fn differences_are_told_line_by_line() {
    let old = json!({
        "gone": {"x": 1}, "same": 1, "limit": 3, "kind": "a",
        "rooms": [{"id": "tea", "heads": 1}, {"id": "rum", "heads": 1}, {"id": "gin"}],
    });
    let new = json!({
        "a.b": 1, "same": 1, "limit": 5, "kind": ["a"],
        "rooms": [{"id": "ale"}, {"id": "tea", "heads": 2}, {"id": "gin"}],
    });
    let told = [
        r#""a.b": added 1"#,
        r#"gone: removed {"x":1}"#,
        r#"kind: "a" -> ["a"]"#,
        "limit: 3 -> 5",
        r#"rooms[0]: inserted {"id":"ale"}"#,
        "rooms[1].heads: 1 -> 2",
        r#"rooms[1]: deleted {"heads":1,"id":"rum"}"#,
    ];
    assert_eq!(lines(&diff_values(&old, &new)), told);
    let mut doc = saying(&old);
    let was = doc.get_heads();
    reconcile_json(&mut doc, &new).unwrap();
    let is = doc.get_heads();
    let found = diff(doc.document(), &was, &is).unwrap();
    assert_eq!(lines(&found), told);
    let sent = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Differences>(&sent).unwrap(), found);
    assert_eq!(diff(doc.document(), &is, &is), Ok(Differences::default()));
    assert_eq!(lines(&diff(doc.document(), &[], &was).unwrap())[1], "kind: added \"a\"");
}

#[test]
fn what_is_told_of_differences_is_bounded() {
    let more = DOCUMENT_DIFFERENCES_MAX + 5;
    let found = diff_values(&json!([]), &json!(vec![0; more]));
    assert_eq!((found.lines.len(), found.more), (DOCUMENT_DIFFERENCES_MAX, 5));
    let found = diff_values(&json!("x".repeat(1000)), &json!(1));
    assert_eq!(lines(&found), [format!(": \"{}… -> 1", "x".repeat(199))]);
}

/// Two hosts that write the same places at once.
fn divided() -> (AutoCommit, ChangeHash, ChangeHash) {
    let mut one = saying(&json!({"rooms": [{"topic": "x"}], "same": 1}));
    let mut two = one.fork().with_actor([2u8; 16].as_slice().into());
    reconcile_json(&mut one, &json!({"rooms": [{"topic": "tea"}], "same": 1, "new": 5})).unwrap();
    let first = commit(&mut one, 2000, "one");
    let new = json!({"rooms": [{"topic": "rum"}], "same": 1, "new": {"n": 1}});
    reconcile_json(&mut two, &new).unwrap();
    let map = two.get(ROOT, "new").unwrap().unwrap().1;
    two.put(&map, "n", ScalarValue::counter(1)).unwrap();
    let second = commit(&mut two, 3000, "two");
    one.merge(&mut two).unwrap();
    (one, first, second)
}

#[test]
fn conflicts_are_told_with_who_wrote_what() {
    let (mut doc, first, second) = divided();
    let found = conflicts(doc.document()).unwrap();
    assert_eq!(found.more, 0);
    let places: Vec<_> = found.places.iter().map(|place| place.path.to_string()).collect();
    assert_eq!(places, ["new", "rooms[0].topic"]);
    let shown = to_json(&doc).unwrap();
    for (place, values) in
        found.places.iter().zip([[json!({"n": 1}), json!(5)], [json!("rum"), json!("tea")]])
    {
        assert_eq!((place.values.len(), place.more), (2, 0));
        let by = |change: ChangeHash| {
            let change = change.to_string();
            place.values.iter().find(|value| value.change.as_ref() == Some(&change)).unwrap()
        };
        assert_eq!(by(second).value.as_ref(), Some(&values[0]));
        assert_eq!(by(first).value.as_ref(), Some(&values[1]));
        assert_eq!(by(first).actor, Some("01".repeat(16)));
        assert_eq!(by(second).actor, Some("02".repeat(16)));
        assert_eq!(by(second).at, Some(WallTime::from_millis(3000)));
        assert!(place.values[0].shown && !place.values[1].shown);
        assert_eq!(place.values[0].value.as_ref(), place.path.of(&shown));
    }
}

#[test]
fn who_wrote_the_same_does_not_contradict() {
    let mut one = saying(&json!({}));
    let mut two = one.fork().with_actor([2u8; 16].as_slice().into());
    let mut three = one.fork().with_actor([3u8; 16].as_slice().into());
    for (doc, value) in [(&mut one, 5), (&mut two, 5), (&mut three, 6)] {
        reconcile_json(doc, &json!({"limit": value})).unwrap();
        commit(doc, 2000, "at once");
    }
    one.merge(&mut two).unwrap();
    assert!(conflicts(one.document()).unwrap().places.is_empty());
    one.merge(&mut three).unwrap();
    let found = conflicts(one.document()).unwrap().places;
    let values: Vec<_> = found[0].values.iter().map(|value| value.value.clone()).collect();
    assert_eq!((found.len(), values), (1, vec![Some(json!(6)), Some(json!(5))]));
}

#[test]
fn a_conflict_is_resolved_by_a_choice() {
    let (mut doc, first, second) = divided();
    resolve(&mut doc, &path("rooms[0].topic"), &first).unwrap();
    resolve(&mut doc, &path("new"), &second).unwrap();
    commit(&mut doc, 4000, "resolved");
    assert_eq!(
        to_json(&doc).unwrap(),
        json!({"rooms": [{"topic": "tea"}], "same": 1, "new": {"n": 1}}),
    );
    assert!(conflicts(doc.document()).unwrap().places.is_empty());
    let map = doc.get(ROOT, "new").unwrap().unwrap().1;
    assert!(doc.get(&map, "n").unwrap().unwrap().0.is_counter(), "a copy has what it had");

    let (mut doc, first, second) = divided();
    resolve(&mut doc, &path("new"), &first).unwrap();
    resolve(&mut doc, &path("rooms[0].topic"), &second).unwrap();
    let chosen = json!({"rooms": [{"topic": "rum"}], "same": 1, "new": 5});
    assert_eq!(to_json(&doc).unwrap(), chosen);
    let again = resolve(&mut doc, &path("new"), &first);
    assert_eq!(again, Err(ResolveError::NoConflict(path("new"))));
}

#[test]
fn what_is_no_choice_is_refused() {
    let (mut doc, first, _) = divided();
    let unknown = ChangeHash([7; 32]);
    for (at, choice, refused) in [
        ("x", first, ResolveError::Nothing(path("x"))),
        ("", first, ResolveError::Nothing(path(""))),
        ("same", first, ResolveError::NoConflict(path("same"))),
        ("new", unknown, ResolveError::NoCandidate { at: path("new"), change: unknown }),
    ] {
        assert_eq!(resolve(&mut doc, &path(at), &choice), Err(refused));
    }
    assert_eq!(doc.pending_ops(), 0);
}

#[test]
fn what_is_told_of_conflicts_is_bounded() {
    let mut doc = saying(&json!({}));
    let mut others: Vec<_> =
        (2..5u8).map(|n| doc.fork().with_actor([n; 16].as_slice().into())).collect();
    for (value, other) in others.iter_mut().enumerate() {
        let list = other.put_object(ROOT, "big", ObjType::List).unwrap();
        other.splice(&list, 0, 0, vec![ScalarValue::Uint(value as u64); 45_000]).unwrap();
        for n in 0..DOCUMENT_CONFLICTS_MAX + 3 {
            other.put(ROOT, format!("k{n}"), value as u64).unwrap();
        }
        other.commit();
        doc.merge(other).unwrap();
    }
    let found = conflicts(doc.document()).unwrap();
    assert_eq!((found.places.len(), found.more), (DOCUMENT_CONFLICTS_MAX, 4));
    let big: Vec<_> = found.places[0].values.iter().map(|value| value.value.is_some()).collect();
    assert_eq!(big, [true, true, false], "the third has no room beside the others");
}
