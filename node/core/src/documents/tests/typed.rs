use std::collections::BTreeMap;

use automerge::{AutoCommit, ROOT, ScalarValue, transaction::Transactable};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{
        Document, Migration, ReadError, Refused, Schema, StepError, Unreadable, Update,
        UpdateError, WriteError, read, set, to_json, type_of, update, write,
    },
    *,
};

/// The first program: one greeting, a limit for all rooms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ConfigV1 {
    greeting: String,
    limit: u32,
}

impl Document for ConfigV1 {
    const TYPE: &'static str = "chat/config";
}

/// The second: several greetings, of which older programs use the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ConfigV2 {
    greetings: Vec<String>,
    limit: u32,
}

impl Document for ConfigV2 {
    const TYPE: &'static str = "chat/config";
    const VERSION: u32 = 2;
    const STEPS: &'static [Migration] = &[Migration::between::<ConfigV1, ConfigV2>()];
}

impl From<ConfigV1> for ConfigV2 {
    fn from(old: ConfigV1) -> Self {
        Self { greetings: vec![old.greeting], limit: old.limit }
    }
}

impl TryFrom<ConfigV2> for ConfigV1 {
    type Error = &'static str;
    fn try_from(new: ConfigV2) -> Result<Self, &'static str> {
        let greeting = new.greetings.into_iter().next().ok_or("there is no greeting")?;
        Ok(Self { greeting, limit: new.limit })
    }
}

/// The third: a limit for each room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ConfigV3 {
    greetings: Vec<String>,
    limits: BTreeMap<String, u32>,
}

impl Document for ConfigV3 {
    const TYPE: &'static str = "chat/config";
    const VERSION: u32 = 3;
    const STEPS: &'static [Migration] = &[
        Migration::between::<ConfigV1, ConfigV2>(),
        Migration::of_values(limits_by_room, one_limit),
    ];
}

fn limits_by_room(mut old: Value) -> Result<Value, String> {
    let fields = old.as_object_mut().ok_or("no map")?;
    let limit = fields.remove("limit").ok_or("there is no limit")?;
    fields.insert("limits".into(), json!({ "*": limit }));
    Ok(old)
}

fn one_limit(mut new: Value) -> Result<Value, String> {
    let fields = new.as_object_mut().ok_or("no map")?;
    let limits = fields.remove("limits").ok_or("there are no limits")?;
    fields.insert("limit".into(), limits["*"].clone());
    Ok(new)
}

/// Reads only what the second program wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ConfigLater {
    greetings: Vec<String>,
    limits: BTreeMap<String, u32>,
}

impl Document for ConfigLater {
    const TYPE: &'static str = "chat/config";
    const VERSION: u32 = 3;
    const STEPS: &'static [Migration] = &[Migration::of_values(limits_by_room, one_limit)];
}

fn v1(greeting: &str, limit: u32) -> ConfigV1 {
    ConfigV1 { greeting: greeting.into(), limit }
}

fn v3(greetings: &[&str], limits: &[(&str, u32)]) -> ConfigV3 {
    let limits = limits.iter().map(|(room, limit)| ((*room).to_owned(), *limit)).collect();
    ConfigV3 { greetings: greetings.iter().map(|text| (*text).into()).collect(), limits }
}

fn written<D: Document>(value: &D) -> AutoCommit {
    let mut doc = empty(1);
    assert_eq!(write(&mut doc, value, D::VERSION), Ok(true));
    doc.commit();
    doc
}

#[test]
fn what_is_written_is_read() {
    let mut doc = written(&v1("Hello", 3));
    let stands = json!({
        "type": "chat/config", "version": 1, "fields": {"greeting": "Hello", "limit": 3},
    });
    assert_eq!(to_json(&doc), Ok(stands));
    assert_eq!(type_of(&doc), Ok(Some("chat/config".into())));
    assert_eq!(read(&doc), Ok(v1("Hello", 3)));
    assert_eq!(write(&mut doc, &v1("Hello", 3), 1), Ok(false));
    assert_eq!(write(&mut doc, &v1("Hello", 4), 1), Ok(true));
    assert_eq!(doc.pending_ops(), 1);
}

#[test]
fn a_newer_program_reads_and_writes_the_older_document() {
    let mut doc = written(&v1("Hello", 3));
    let mut new: ConfigV3 = read(&doc).unwrap();
    assert_eq!(new, v3(&["Hello"], &[("*", 3)]));

    new.greetings.push("Ahoy".into());
    new.limits.insert("*".into(), 5);
    new.limits.insert("tea".into(), 1);
    assert_eq!(write(&mut doc, &new, 1), Ok(true));
    assert_eq!(read(&doc), Ok(v1("Hello", 5)), "the older program goes on");
    assert_eq!(read(&doc), Ok(v3(&["Hello"], &[("*", 5)])), "what it did not know is not there");

    // The host in between may read it, not yet the newest form.
    assert_eq!(write(&mut doc, &new, 2), Ok(true));
    assert_eq!(to_json(&doc).unwrap()["version"], 2);
    let greetings = vec!["Hello".into(), "Ahoy".into()];
    assert_eq!(read(&doc), Ok(ConfigV2 { greetings, limit: 5 }));
    assert_eq!(write(&mut doc, &new, 9), Ok(true));
    assert_eq!(
        to_json(&doc).unwrap(),
        json!({"type": "chat/config", "version": 3, "fields": {
            "greetings": ["Hello", "Ahoy"], "limits": {"*": 5, "tea": 1},
        }}),
    );
    assert_eq!(read(&doc), Ok(new.clone()));
    // It does not go back.
    assert_eq!(write(&mut doc, &new, 1), Ok(false));
}

#[test]
fn an_older_program_says_that_it_is_older() {
    let mut doc = written(&v3(&["Hello"], &[("*", 3)]));
    let newer = ReadError::Newer { document: 3, program: 1 };
    assert_eq!(read::<ConfigV1>(&doc), Err(newer.clone()));
    assert_eq!(write(&mut doc, &v1("x", 1), 9), Err(WriteError::Stands(newer.clone())));
    assert_eq!(doc.pending_ops(), 0);
    assert_eq!(
        newer.to_string(),
        "the document is written in version 3 of its type, this program reads up to version 1: \
         update the program",
    );
}

#[test]
fn a_program_that_forgot_the_oldest_version_says_so() {
    let doc = written(&v1("Hello", 3));
    let older = ReadError::Older { document: 1, oldest: 2 };
    assert_eq!(read::<ConfigLater>(&doc), Err(older));
    let later = ConfigLater { greetings: Vec::new(), limits: [("*".into(), 1)].into() };
    let mut new = empty(1);
    let refused = Err(WriteError::NotForAll { read: 1, oldest: 2 });
    assert_eq!(write(&mut new, &later, 1), refused);
    assert_eq!(write(&mut new, &later, 2), Ok(true));
    assert_eq!(read(&new), Ok(ConfigV2 { greetings: Vec::new(), limit: 1 }));
}

#[test]
fn down_after_up_keeps_what_the_older_version_knew() {
    for old in [v1("Hello", 3), v1("", 0), v1("é", u32::MAX)] {
        let mut doc = written(&old);
        doc.put(ROOT, "by-hand", 1).unwrap();
        set(&mut doc, &path("fields.by-hand"), &json!({"x": 1})).unwrap();
        doc.commit();
        let stood = to_json(&doc).unwrap();
        let new: ConfigV3 = read(&doc).unwrap();
        assert_eq!(write(&mut doc, &new, 1), Ok(false));
        assert_eq!((to_json(&doc).unwrap(), read(&doc)), (stood, Ok(old)));
    }
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let mut doc = written(&v1("Hello", 3));
    let new = v3(&[], &[("*", 3)]);
    let failed = StepError { from: 2, to: 1, why: "there is no greeting".into() };
    assert_eq!(write(&mut doc, &new, 1), Err(WriteError::Migration(failed.clone())));
    assert_eq!(doc.pending_ops(), 0);
    assert_eq!(
        failed.to_string(),
        "the document cannot be brought from version 2 of its type to version 1: there is no \
         greeting",
    );
    set(&mut doc, &path("fields.limit"), &json!("many")).unwrap();
    let why = "fields.limit: a whole number from 0 to 4294967295 is expected".into();
    let failed = ReadError::Migration(StepError { from: 1, to: 2, why });
    assert_eq!(read::<ConfigV3>(&doc), Err(failed));
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rooms {
    rooms: Vec<Room>,
    #[serde(default)]
    visits: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Room {
    id: String,
    heads: u32,
}

impl Document for Rooms {
    const TYPE: &'static str = "chat/rooms";
    const COUNTERS: &'static [&'static str] = &["visits"];
}

fn room(id: &str, heads: u32) -> Room {
    Room { id: id.into(), heads }
}

#[test]
fn an_error_names_the_field_and_what_stands_there() {
    let rooms = Rooms { rooms: vec![room("tea", 1), room("rum", 2)], ..Rooms::default() };
    let doc = written(&rooms);
    for (place, value, told) in [
        (
            "fields.rooms[1].heads",
            json!(-1),
            "fields.rooms[1].heads: a whole number from 0 to 4294967295 is expected; there stands a \
             number: -1",
        ),
        (
            "fields.rooms[1]",
            json!({"id": "gin"}),
            "fields.rooms[1]: the field heads is missing; there stands a map: {\"id\":\"gin\"}",
        ),
        ("fields", json!("x"), "fields: a map is expected; there stands a text: \"x\""),
        ("version", json!(0), "version: a version is a number from 1 on; there stands a number: 0"),
        (
            "version",
            json!(1.5),
            "version: a version is a number from 1 on; there stands a number: 1.5",
        ),
        ("type", json!(7), "the document is of type 7, not \"chat/rooms\""),
    ] {
        let mut doc = doc.clone();
        set(&mut doc, &path(place), &value).unwrap();
        assert_eq!(read::<Rooms>(&doc).unwrap_err().to_string(), told);
        assert_eq!(Schema::of::<Rooms>().check(&doc).unwrap_err().to_string(), told);
    }
    assert_eq!(Schema::of::<Rooms>().check(&doc), Ok(()));
    assert_eq!(read::<Rooms>(&empty(1)), Err(ReadError::Empty));
    let mut long = doc.clone();
    set(&mut long, &path("fields.visits"), &json!("x".repeat(100_000))).unwrap();
    assert!(read::<Rooms>(&long).unwrap_err().to_string().len() < 1000);
    let mut other = written(&v1("x", 1));
    assert!(matches!(
        write(&mut other, &rooms, 1),
        Err(WriteError::Stands(ReadError::OtherType { .. }))
    ));
    let schema = Schema::of::<ConfigLater>();
    assert_eq!((schema.name, schema.version, schema.oldest), ("chat/config", 3, 2));
}

#[test]
fn what_the_type_does_not_know_stays() {
    let mut doc = written(&Rooms {
        rooms: vec![room("tea", 1), room("rum", 2)],
        note: Some("n".into()),
        ..Rooms::default()
    });
    // A program of the same version with more fields.
    for (place, value) in [
        ("fields.colour", json!("red")),
        ("fields.rooms[1].colour", json!("blue")),
        ("signed", json!(true)),
    ] {
        set(&mut doc, &path(place), &value).unwrap();
    }
    doc.commit();
    let mut rooms: Rooms = read(&doc).unwrap();
    rooms.rooms.insert(0, room("gin", 3));
    rooms.rooms.remove(1);
    rooms.rooms[1].heads = 5;
    rooms.note = None;
    write(&mut doc, &rooms, 1).unwrap();
    assert_eq!(
        to_json(&doc).unwrap(),
        json!({"type": "chat/rooms", "version": 1, "signed": true, "fields": {
            "colour": "red", "visits": 0,
            "rooms": [{"id": "gin", "heads": 3}, {"id": "rum", "heads": 5, "colour": "blue"}],
        }}),
    );
    // What stands there cannot be read: it is written over.
    set(&mut doc, &path("fields.visits"), &json!("x")).unwrap();
    write(&mut doc, &rooms, 1).unwrap();
    assert_eq!(read(&doc), Ok(rooms));
}

#[test]
fn counters_add_up() {
    let mut one = written(&Rooms { visits: 3, ..Rooms::default() });
    let mut two = one.fork().with_actor([2u8; 16].as_slice().into());
    for (doc, by) in [(&mut one, 1), (&mut two, 10)] {
        let mut rooms: Rooms = read(doc).unwrap();
        rooms.visits += by;
        write(doc, &rooms, 1).unwrap();
        doc.commit();
    }
    one.merge(&mut two).unwrap();
    assert_eq!(read::<Rooms>(&one).unwrap().visits, 14);
    // Somebody has made a plain number of it.
    let fields = automerge::ReadDoc::get(&one, ROOT, "fields").unwrap().unwrap().1;
    one.put(&fields, "visits", 7).unwrap();
    assert_eq!(write(&mut one, &Rooms { visits: 7, ..Rooms::default() }, 1), Ok(true));
    let stands = automerge::ReadDoc::get(&one, &fields, "visits").unwrap().unwrap().0;
    assert_eq!(stands, automerge::Value::Scalar(std::borrow::Cow::Owned(ScalarValue::counter(7))));
}

/// Closes a room, if it is empty.
#[derive(Serialize, Deserialize)]
struct Close(String);

impl Update<Rooms> for Close {
    const NAME: &'static str = "chat/close";
    fn apply(&self, to: &mut Rooms) -> Result<(), Refused> {
        let at = to.rooms.iter().position(|room| room.id == self.0);
        let room = to.rooms.remove(at.ok_or(Refused::NothingToDo)?);
        assert!(room.id != "bar", "the bar never closes");
        if room.heads > 0 { Err(Refused::because("somebody is in it")) } else { Ok(()) }
    }
}

#[test]
fn updates_are_applied_or_refused() {
    let rooms = vec![room("tea", 0), room("rum", 2), room("bar", 0)];
    let mut doc = written(&Rooms { rooms, ..Rooms::default() });
    let mut close = |id: &str| {
        let done = update(&mut doc, &Close(id.into()), 1);
        (done, doc.pending_ops())
    };
    let name = Close::NAME;
    let refused = |why: &str| Err(UpdateError::Refused { name, why: why.into() });
    assert_eq!(close("rum"), (refused("somebody is in it"), 0));
    assert_eq!(close("gin"), (Ok(false), 0));
    assert_eq!(close("bar"), (refused("the bar never closes"), 0));
    assert_eq!(close("tea"), (Ok(true), 1));
    let left = vec![room("rum", 2), room("bar", 0)];
    assert_eq!(read::<Rooms>(&doc).unwrap().rooms, left);
    let missing = update(&mut empty(1), &Close("tea".into()), 1);
    assert_eq!(missing, Err(UpdateError::Read(ReadError::Empty)));
    let told = UpdateError::Refused { name, why: "somebody is in it".into() };
    assert_eq!(told.to_string(), "chat/close was refused: somebody is in it");
}

/// Writes what it does not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lopsided {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    field: u32,
}

impl Document for Lopsided {
    const TYPE: &'static str = "lopsided";
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let mut doc = empty(1);
    let refused = write(&mut doc, &Lopsided { field: 1 }, 1);
    assert!(matches!(refused, Err(WriteError::Schema(ReadError::Field { .. }))), "{refused:?}");
    let large = Rooms { note: Some("x".repeat(2_000_000)), ..Rooms::default() };
    let refused =
        Err(WriteError::Reconcile(super::super::ReconcileError::TooLarge(Unreadable::TooLong)));
    assert_eq!(write(&mut doc, &large, 1), refused);
    assert_eq!(doc.pending_ops(), 0);
}
