use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::align::{Edit, align};

/// What `now` becomes by an edit of somebody who was shown `shown` and gave back `edited`: what the
/// edit did not touch is as it is now, whatever has changed meanwhile. Where both have changed one
/// value, that of the edit counts. `None` stands for a value that is not there.
#[must_use]
pub fn merge_values(
    shown: Option<&Value>,
    edited: Option<&Value>,
    now: Option<&Value>,
) -> Option<Value> {
    if edited == shown {
        return now.cloned();
    }
    match (edited, now) {
        _ if now == shown => edited.cloned(),
        (Some(Value::Object(edited)), Some(Value::Object(now))) => {
            let none = Map::new();
            let shown = shown.and_then(Value::as_object).unwrap_or(&none);
            Some(merge_maps(shown, edited, now).into())
        }
        (Some(Value::Array(edited)), Some(Value::Array(now))) => {
            let shown = shown.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            Some(merge_lists(shown, edited, now).into())
        }
        _ => edited.cloned(),
    }
}

fn merge_maps(
    shown: &Map<String, Value>,
    edited: &Map<String, Value>,
    now: &Map<String, Value>,
) -> Map<String, Value> {
    let keys: BTreeSet<_> = edited.keys().chain(now.keys()).collect();
    let merged = |key: &String| {
        let value = merge_values(shown.get(key), edited.get(key), now.get(key))?;
        Some((key.clone(), value))
    };
    keys.into_iter().filter_map(merged).collect()
}

/// What has become of a list.
struct Fates<'a> {
    /// Of each of its items; `None` when it is gone.
    items: Vec<Option<&'a Value>>,
    /// What was inserted before each of them, and after the last.
    before: Vec<Vec<&'a Value>>,
}

fn fates<'a>(old: &[Value], new: &'a [Value]) -> Fates<'a> {
    let mut fates = Fates { items: Vec::new(), before: vec![Vec::new(); old.len() + 1] };
    for edit in align(old, new) {
        match edit {
            Edit::Keep(_, to) | Edit::Change(_, to) => fates.items.push(Some(&new[to])),
            Edit::Delete(_) => fates.items.push(None),
            Edit::Insert(to) => fates.before[fates.items.len()].push(&new[to]),
        }
    }
    fates
}

fn merge_lists(shown: &[Value], edited: &[Value], now: &[Value]) -> Vec<Value> {
    let (edited, now) = (fates(shown, edited), fates(shown, now));
    let mut merged: Vec<Value> = Vec::new();
    for at in 0..=shown.len() {
        let (theirs, own) = (&now.before[at], &edited.before[at]);
        merged.extend(theirs.iter().map(|item| (*item).clone()));
        // What both have inserted stands there once.
        let own = own.iter().filter(|item| !theirs.contains(item));
        merged.extend(own.map(|item| (*item).clone()));
        if let Some(shown) = shown.get(at) {
            merged.extend(merge_values(Some(shown), edited.items[at], now.items[at]));
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(shown: Value, edited: Value, now: Value) -> Value {
        merge_values(Some(&shown), Some(&edited), Some(&now)).expect("something")
    }

    #[test]
    fn what_changed_meanwhile_stays_where_the_edit_did_not_touch_it() {
        let shown = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "old": true });
        let edited = json!({ "a": 1, "b": { "c": 20, "d": 3 }, "new": "by the edit" });
        let now = json!({ "a": 10, "b": { "c": 2, "d": 30, "e": 4 }, "old": true });
        let wanted = json!({ "a": 10, "b": { "c": 20, "d": 30, "e": 4 }, "new": "by the edit" });
        assert_eq!(merged(shown, edited, now), wanted);
    }

    #[test]
    fn where_both_changed_one_value_the_edit_counts() {
        let merged = merged(
            json!({ "a": 1, "b": 1, "c": 1 }),
            json!({ "a": 2, "c": 2 }),
            json!({ "a": 3, "b": 3 }),
        );
        assert_eq!(merged, json!({ "a": 2, "c": 2 }));
    }

    #[test]
    fn lists_are_merged_by_their_items() {
        let merged = merged(
            json!(["a", "b", "c", { "id": 1, "x": 1, "y": 1 }]),
            json!(["a", "edit", "b", { "id": 1, "x": 2, "y": 1 }, "both"]),
            json!(["now", "a", "b", "c", { "id": 1, "x": 1, "y": 2 }, "both"]),
        );
        let wanted = json!(["now", "a", "edit", "b", { "id": 1, "x": 2, "y": 2 }, "both"]);
        assert_eq!(merged, wanted);
    }

    #[test]
    fn two_lists_that_are_both_new_stand_behind_each_other() {
        let merged = merged(json!({}), json!({ "a": [1, 2] }), json!({ "a": [2, 3] }));
        assert_eq!(merged, json!({ "a": [2, 3, 1] }));
    }
}
