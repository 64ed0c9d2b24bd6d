//! Histories that are begun anew: what they show, and what stands in conflict there.

use automerge::{ObjId, ObjType, Prop, ReadDoc as _, ScalarValue, Value};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::limits::DOCUMENT_CONFLICTS_KEPT_MAX;

/// Each value in conflict is written by an actor of its own, who says who wrote it first.
fn anew(body: &mut Body, message: &str) -> (Body, Head) {
    let maker = |head: Head| Maker { actor: [0; 16], time: 7, message: head.to_string() };
    let root = Maker { actor: [99; 16], time: 5, message: message.into() };
    body.anew(root, DOCUMENT_CONFLICTS_KEPT_MAX, maker).expect("it is a good one")
}

/// All values of all places, in all values: the one that is shown last.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Scalar(ScalarValue),
    Text(String),
    Map(Vec<(String, Vec<Self>)>),
    List(Vec<Vec<Self>>),
}

fn tree(doc: &automerge::Automerge, value: &Value<'_>, id: &ObjId) -> Tree {
    let place = |prop: Prop| {
        let mut values: Vec<Tree> = Vec::new();
        for (value, id) in doc.get_all(id, prop).expect("it is there") {
            let value = tree(doc, &value, &id);
            // Of those who wrote the same the last one counts.
            values.retain(|other| !matches!(value, Tree::Scalar(_)) || *other != value);
            values.push(value);
        }
        values
    };
    match value {
        Value::Scalar(value) => match value.as_ref() {
            ScalarValue::Counter(counter) => Tree::Scalar(ScalarValue::Int(counter.into())),
            value => Tree::Scalar(value.clone()),
        },
        Value::Object(ObjType::Text) => Tree::Text(doc.text(id).expect("it is a text")),
        Value::Object(ObjType::List) => {
            Tree::List((0..doc.length(id)).map(|at| place(at.into())).collect())
        }
        Value::Object(_) => {
            Tree::Map(doc.keys(id).map(|key| (key.clone(), place(key.into()))).collect())
        }
    }
}

fn all(body: &Body) -> Tree {
    let root = Value::Object(ObjType::Map);
    body.clone().read(|doc| tree(doc, &root, &ROOT)).expect("it can be read")
}

#[test]
fn begun_anew_it_says_the_same_and_is_the_same_everywhere() {
    let mut body = rich();
    // Nothing was written at the same time.
    put(&mut body, 5, "kind", "keeper");
    let (mut new, root) = anew(&mut body, "begun anew");
    assert_eq!((new.heads(), new.len_changes()), (vec![root], 1));
    let value =
        |body: &mut Body| body.read(|document| document.hydrate(None)).expect("it can be read");
    assert_eq!(value(&mut new), value(&mut body));
    let steps = new.steps().expect("it can be read");
    assert_eq!((steps[0].time, steps[0].message.as_str()), (5, "begun anew"));
    let order: Vec<u8> = (1..60).collect();
    let reverse: Vec<u8> = (1..60).rev().collect();
    let made = [order, reverse].map(|order| {
        let (anew, root) = anew(&mut crowd(&order), "");
        (root, anew.len_changes(), anew.save())
    });
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0].1, 1, "all have written the same there");
    anew(&mut Body::empty(), "");
}

#[test]
fn what_stands_in_conflict_stands_in_conflict_there_by_who_wrote_it() {
    let mut body = rich();
    let mut other = body.clone();
    let ours = put(&mut body, 6, "kind", "keeper");
    let theirs = put(&mut other, 7, "kind", "seeker");
    assert_eq!(body.take(&other.save()), Ok(true));
    let (mut new, root) = anew(&mut body, "begun anew");
    assert_eq!(all(&new), all(&body));
    let steps = new.steps().expect("it can be read");
    // A root, both values and one head.
    assert_eq!((steps.len(), new.heads().len(), new.len_firsts()), (4, 1, 1));
    let mut told: Vec<(String, i64)> =
        steps[1..3].iter().map(|step| (step.message.clone(), step.time)).collect();
    let mut writers = vec![(ours.to_string(), 7), (theirs.to_string(), 7)];
    told.sort_unstable();
    writers.sort_unstable();
    assert_eq!(told, writers);
    assert!(steps[1..3].iter().all(|step| step.deps == [root]));
}

#[test]
fn of_more_conflicts_than_are_kept_what_is_shown_is_kept() {
    let count = DOCUMENT_CONFLICTS_KEPT_MAX / 2 + 3;
    let mut body = Body::empty();
    put(&mut body, 1, "a", "first");
    let mut other = body.clone();
    for number in 0..count {
        let key = format!("key {number:02}");
        put(&mut body, 2, &key, "ours");
        put(&mut other, 3, &key, "theirs");
    }
    assert_eq!(body.take(&other.save()), Ok(true));
    let (new, _) = anew(&mut body, "");
    let places = |body: &Body| {
        let Tree::Map(all) = all(body) else { panic!("a document is a map") };
        let standing = all.iter().filter(|(_, values)| values.len() > 1).count();
        let shown: Vec<_> = all.into_iter().map(|(key, mut all)| (key, all.pop())).collect();
        (standing, shown)
    };
    let ((before, was), (after, is)) = (places(&body), places(&new));
    assert_eq!((before, after, was), (count, DOCUMENT_CONFLICTS_KEPT_MAX / 2, is));
    assert!(new.len_changes() <= DOCUMENT_CONFLICTS_KEPT_MAX + 2);
}

#[test]
fn nothing_is_a_value_too() {
    for (one, two) in [(2, 3), (3, 2)] {
        let mut body = Body::empty();
        let made = body.change(&author(1), |doc| {
            let list = doc.put_object(ROOT, "list", ObjType::List)?;
            doc.insert(&list, 0, 5)
        });
        made.expect("it may be made");
        let mut other = body.clone();
        for (body, actor, value) in
            [(&mut body, one, ScalarValue::Null), (&mut other, two, 6.into())]
        {
            let change = body.change(&author(actor), |doc| {
                let (_, list) = doc.get(ROOT, "list")?.expect("it was put");
                doc.put(&list, 0, value)
            });
            change.expect("it may be changed");
        }
        assert_eq!(body.take(&other.save()), Ok(true));
        let (new, _) = anew(&mut body, "");
        assert_eq!(all(&new), all(&body));
    }
}

#[test]
fn many_values_of_one_place_take_no_more_room_than_before() {
    let mut base = Body::empty();
    put(&mut base, 99, "a", "first");
    let (mut body, key) = (base.clone(), "k".repeat(600));
    for number in 0..40 {
        let mut one = base.clone();
        put(&mut one, number, &key, &format!("value {number}"));
        assert_eq!(body.take(&one.save()), Ok(true));
    }
    let (mut new, _) = anew(&mut body, "");
    assert_eq!((all(&new), new.size.ops), (all(&body), body.size.ops));
    put(&mut new, 50, &key, "chosen");
    assert_eq!(get(&new, &key).as_deref(), Some("chosen"));
}

/// Of a counter that is increased beside other values automerge does not say the same everywhere.
#[test]
fn who_sees_other_values_with_the_same_heads_makes_what_can_be_merged() {
    let mut base = Body::empty();
    put(&mut base, 1, "z", "first");
    let mut hosts = [base.clone(), base.clone(), base];
    let edit = |hosts: &mut [Body; 3], host: usize, value: ScalarValue| {
        let number = 10 + u8::try_from(host).expect("there are three");
        let made = hosts[host].change(&author(number), |doc| doc.put(ROOT, "c", value));
        made.expect("it may be made");
    };
    let take = |hosts: &mut [Body; 3], host: usize, from: usize| {
        let saved = hosts[from].save();
        hosts[host].take(&saved).expect("it is good");
    };
    edit(&mut hosts, 1, ScalarValue::counter(1));
    edit(&mut hosts, 2, ScalarValue::Null);
    take(&mut hosts, 2, 1);
    edit(&mut hosts, 0, ScalarValue::counter(1));
    take(&mut hosts, 2, 0);
    let raised = hosts[2].change(&author(12), |doc| doc.increment(ROOT, "c", 2));
    raised.expect("it may be made");
    let map = hosts[1].change(&author(11), |doc| doc.put_object(ROOT, "c", ObjType::Map).map(drop));
    map.expect("it may be made");
    for (host, from) in [(0, 1), (0, 2), (2, 1), (2, 0)] {
        take(&mut hosts, host, from);
    }
    assert_eq!(hosts[0].heads(), hosts[2].heads());
    let [mut one, _, mut two] = hosts;
    let (mut one, mut two) = (anew(&mut one, "").0, anew(&mut two, "").0);
    let saved = one.save();
    one.take(&two.save()).expect("nobody has written two changes by one number");
    two.take(&saved).expect("nobody has written two changes by one number");
    assert_eq!(one.heads(), two.heads());
}

/// What one of three hosts does next.
#[derive(Clone, Debug)]
enum Act {
    /// Puts a value into the map or list that the first byte leads to.
    Put { host: usize, path: Vec<u8>, value: u8 },
    /// Takes what another has.
    Take { host: usize, from: usize },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_usize, vec(0..6_u8, 1..4), 0..8_u8)
            .prop_map(|(host, path, value)| Act::Put { host, path, value }),
        1 => (0..3_usize, 0..3_usize).prop_map(|(host, from)| Act::Take { host, from }),
    ]
}

const KEYS: [&str; 3] = ["a", "b", "c"];

/// Puts a value at the place that the path leads to, as far as it leads.
fn write(doc: &mut AutoCommit, path: &[u8], value: u8) -> Result<(), AutomergeError> {
    let (mut object, mut sort) = (ROOT, ObjType::Map);
    for (at, step) in path.iter().enumerate() {
        let prop: Prop = match sort {
            ObjType::Map => KEYS[usize::from(step % 3)].into(),
            _ if doc.length(&object) == 0 => return doc.insert(&object, 0, 5),
            _ => (usize::from(*step) % doc.length(&object)).into(),
        };
        let last = at + 1 == path.len();
        match doc.get(&object, prop.clone())? {
            Some((Value::Object(inner), id)) if !last && inner != ObjType::Text => {
                (object, sort) = (id, inner);
            }
            _ => return set(doc, &object, prop, value),
        }
    }
    Ok(())
}

fn set(doc: &mut AutoCommit, object: &ObjId, prop: Prop, value: u8) -> Result<(), AutomergeError> {
    match value {
        0 => {
            let map = doc.put_object(object, prop, ObjType::Map)?;
            doc.put(&map, "a", 1)
        }
        1 => {
            let list = doc.put_object(object, prop, ObjType::List)?;
            (0..3).try_for_each(|at| doc.insert(&list, at, 0))
        }
        2 => {
            let text = doc.put_object(object, prop, ObjType::Text)?;
            doc.splice_text(&text, 0, 0, "good morning")
        }
        3 if matches!(prop, Prop::Map(_)) => doc.put(object, prop, ScalarValue::counter(1)),
        4 => doc.put(object, prop, ()),
        value => doc.put(object, prop, u64::from(value)),
    }
}

fn hosts(acts: &[Act]) -> Vec<Body> {
    let mut base = Body::empty();
    put(&mut base, 1, "z", "first");
    let mut hosts = vec![base.clone(), base.clone(), base];
    for act in acts {
        match act {
            Act::Put { host, path, value } => {
                let number = 10 + u8::try_from(*host).expect("there are three");
                let body = &mut hosts[*host];
                let _ = body.change(&author(number), |doc| write(doc, path, *value));
            }
            Act::Take { host, from } => {
                let saved = hosts[*from].save();
                let _ = hosts[*host].take(&saved);
            }
        }
    }
    hosts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_written_at_once_all_of_it_stands_there(acts in vec(act(), 1..40)) {
        let mut hosts = hosts(&acts);
        let saved: Vec<Vec<u8>> = hosts.iter().map(Body::save).collect();
        // Two hosts have heard of it all in another order.
        for (host, order) in [(0, [1, 2]), (2, [1, 0])] {
            for from in order {
                let _ = hosts[host].take(&saved[from]);
            }
        }
        prop_assert_eq!(hosts[0].heads(), hosts[2].heads());
        let (new, root) = anew(&mut hosts[0], "");
        prop_assert_eq!(all(&new), all(&hosts[0]));
        let (other, its) = anew(&mut hosts[2], "");
        prop_assert_eq!((root, new.save()), (its, other.save()));
        prop_assert_eq!((new.len_firsts(), new.heads().len()), (1, 1));
    }
}
