//! Lists that somebody changes who has not heard that their history begins anew.

use automerge::{AutomergeError, ObjType, Value};

use super::{
    anew::{begin_anew, short},
    *,
};

/// A list of these items, on two hosts.
fn begun(doc: &DocName, items: &[&str]) -> [Place; 2] {
    let (mut one, mut two) = (short(1), Place::new(2));
    one.edit(doc, |doc| {
        let list = doc.put_object(ROOT, "list", ObjType::List)?;
        items.iter().enumerate().try_for_each(|(at, item)| doc.insert(&list, at, *item))
    });
    two.pull(&one, doc);
    [one, two]
}

fn edit(
    place: &mut Place,
    doc: &DocName,
    edit: impl FnOnce(&mut AutoCommit, &automerge::ObjId) -> Result<(), AutomergeError>,
) {
    place.edit(doc, |doc| {
        let (_, list) = doc.get(ROOT, "list")?.expect("it is there");
        edit(doc, &list)
    });
}

fn fields(doc: &Automerge, map: &automerge::ObjId) -> String {
    let of = |key: String| format!("{key} {}", doc.get(map, &key).unwrap().expect("it is there").0);
    doc.keys(map).map(of).collect::<Vec<_>>().join(" ").replace('"', "")
}

/// What stands in each place of the list, several values in the order of the letters.
fn items(place: &mut Place, doc: &DocName) -> Vec<String> {
    let read = place.all.read(doc, |doc| {
        let (_, list) = doc.get(ROOT, "list").unwrap().expect("it is there");
        let of = |at| {
            let all = doc.get_all(&list, at).unwrap();
            let all = all.iter().map(|(value, id)| match value {
                Value::Object(_) => fields(doc, id),
                Value::Scalar(value) => value.to_string().replace('"', ""),
            });
            let mut all: Vec<String> = all.collect();
            all.sort_unstable();
            all.join("|")
        };
        (0..doc.length(&list)).map(of).collect()
    });
    read.expect("it is there")
}

/// The one begins it anew, and the other's changes come late. Gives what the list is then, on both.
fn late(one: &mut Place, two: &mut Place, doc: &DocName) -> Vec<String> {
    begin_anew(one, doc);
    assert_eq!(two.pull(one, doc), NEW);
    assert_eq!(two.carry(doc).dropped, []);
    one.pull(two, doc);
    assert_eq!(one.all.print(doc), two.all.print(doc));
    let all = items(two, doc);
    assert_eq!(items(one, doc), all);
    all
}

#[test]
fn late_changes_of_a_list_find_their_items_where_they_stand_by_then() {
    let doc = name("conf/echo");
    let [mut one, mut two] = begun(&doc, &["a", "b", "c", "d", "e"]);
    edit(&mut one, &doc, |doc, list| {
        doc.insert(list, 0, "new")?;
        doc.delete(list, 4)?;
        doc.insert(list, 5, "last")
    });
    assert_eq!(items(&mut one, &doc), ["new", "a", "b", "c", "e", "last"]);
    // In one change and in several.
    edit(&mut two, &doc, |doc, list| {
        doc.delete(list, 0)?;
        doc.put(list, 1, "C")?;
        doc.insert(list, 2, "after C")
    });
    edit(&mut two, &doc, |doc, list| doc.put(list, 4, "E"));
    edit(&mut two, &doc, |doc, list| doc.insert(list, 0, "first"));
    assert_eq!(items(&mut two, &doc), ["first", "b", "C", "after C", "d", "E"]);
    let all = late(&mut one, &mut two, &doc);
    assert_eq!(all, ["first", "new", "b", "C", "after C", "E", "last"]);
}

#[test]
fn of_an_item_that_was_replaced_by_two_both_values_stand() {
    let doc = name("conf/echo");
    let [mut one, mut two] = begun(&doc, &["a", "b", "c"]);
    edit(&mut one, &doc, |doc, list| {
        doc.insert(list, 0, "new")?;
        doc.put(list, 2, "one")
    });
    edit(&mut two, &doc, |doc, list| doc.put(list, 1, "two"));
    let all = late(&mut one, &mut two, &doc);
    assert_eq!(all, ["new", "a", "one|two", "c"]);
    // Who deletes an item without having known what it says by then deletes nothing.
    let [mut one, mut two] = begun(&doc, &["a", "b", "c"]);
    edit(&mut one, &doc, |doc, list| doc.put(list, 1, "one"));
    edit(&mut two, &doc, |doc, list| {
        doc.delete(list, 1)?;
        doc.delete(list, 1)
    });
    assert_eq!(late(&mut one, &mut two, &doc), ["a", "one"]);
}

#[test]
fn what_was_taken_out_stays_if_somebody_changes_it() {
    let doc = name("conf/echo");
    let [mut one, mut two] = begun(&doc, &["a", "b", "c", "d"]);
    edit(&mut one, &doc, |doc, list| doc.delete(list, 1));
    edit(&mut two, &doc, |doc, list| doc.put(list, 1, "B"));
    assert_eq!(late(&mut one, &mut two, &doc), ["a", "B", "c", "d"]);
}

#[test]
fn late_changes_within_an_item_find_it_where_it_stands_by_then() {
    let doc = name("conf/echo");
    let [mut one, mut two] = begun(&doc, &["a"]);
    edit(&mut one, &doc, |doc, list| {
        for (at, host) in ["alpha", "beta"].into_iter().enumerate() {
            let item = doc.insert_object(list, at, ObjType::Map)?;
            doc.put(&item, "host", host)?;
        }
        Ok(())
    });
    two.pull(&one, &doc);
    edit(&mut one, &doc, |doc, list| {
        doc.insert(list, 0, "new")?;
        let (_, beta) = doc.get(list, 2)?.expect("it is there");
        doc.put(beta, "ttl", 60)
    });
    edit(&mut two, &doc, |doc, list| {
        let (_, beta) = doc.get(list, 1)?.expect("it is there");
        doc.put(beta, "port", 53)
    });
    let all = late(&mut one, &mut two, &doc);
    assert_eq!(all, ["new", "host alpha", "host beta port 53 ttl 60", "a"]);
}
