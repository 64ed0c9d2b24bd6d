use std::collections::{BTreeMap, BTreeSet};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};
use starling_protocols::journal::{Effects, Letter, LetterId, Life, Record};

use super::{
    super::{Told, store::life_of},
    Archive, Sink, Who,
    entries::RowWriter,
    pick,
};
use crate::api::{Problem, journal::LetterRow};

/// What an export needs to know of each life.
struct Exporting {
    writer: RowWriter,
    kind: String,
}

impl Archive {
    /// Gives an object for each record, in order. With `bytes`, what is encoded is there in base64
    /// too, and the seed of the agents' randomness: all that a replay elsewhere needs.
    ///
    /// # Errors
    /// [`Problem`] when there is no such life or nothing can be read. What is damaged within is an
    /// object.
    pub fn export(&self, who: &Who, bytes: bool, put: Sink<'_, Value>) -> Result<(), Problem> {
        let wanted: BTreeSet<Life> = match who {
            Who::All => BTreeSet::new(),
            who => self.lives(who)?.into_iter().map(|row| Life(row.life)).collect(),
        };
        let mut lives = BTreeMap::new();
        for told in self.reader.records() {
            let object = match told {
                Err(why) => json!({ "record": "damaged", "why": why.to_string() }),
                Ok(told) => {
                    let about = life_of(&told.record);
                    if *who != Who::All && !about.is_some_and(|life| wanted.contains(&life)) {
                        continue;
                    }
                    self.object(&mut lives, told, bytes)
                }
            };
            if put(object).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn object(&self, lives: &mut BTreeMap<Life, Exporting>, told: Told, bytes: bool) -> Value {
        let mut object = Map::new();
        object.insert("sequence".into(), told.sequence.0.into());
        object.insert("at_ms".into(), told.moment.wall.as_millis().into());
        object.insert("time_ns".into(), told.moment.time.as_nanos().into());
        let (name, fields) = match &told.record {
            Record::Entry(entry) => {
                let known = lives.get_mut(&entry.life);
                ("entry", entry_fields(&self.kinds, known, &told, bytes))
            }
            Record::Snapshot(snapshot) => {
                let ball = bytes.then(|| BASE64.encode(&snapshot.ball));
                let state = lives.get(&snapshot.life).and_then(|life| self.shown(life, &told));
                let size = snapshot.ball.len();
                let (life, number) = (snapshot.life.0, snapshot.number);
                let fields = json!({ "life": life, "number": number, "state": state,
                                     "topics": snapshot.topics, "size": size, "ball": ball });
                ("snapshot", fields)
            }
            Record::Life(head) => {
                let writer = RowWriter::new(&self.kinds, &head.kind);
                lives.insert(head.life, Exporting { writer, kind: head.kind.to_string() });
                let fields = json!({ "life": head.life.0, "agent": head.agent.to_string(),
                                     "name": head.name, "kind": head.kind,
                                     "version": head.version, "durability": head.durability });
                ("life", fields)
            }
            other => rest(other, bytes),
        };
        object.insert("record".into(), name.into());
        let fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
        object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        Value::Object(object)
    }

    /// The state in a snapshot, where its kind is known.
    fn shown(&self, life: &Exporting, told: &Told) -> Option<Value> {
        let Record::Snapshot(snapshot) = &told.record else { return None };
        self.kinds.show_snapshot(&life.kind, &snapshot.ball)
    }
}

fn entry_fields(
    kinds: &starling_core::engine::Kinds,
    known: Option<&mut Exporting>,
    told: &Told,
    bytes: bool,
) -> Value {
    let Record::Entry(entry) = &told.record else { return Value::Null };
    let mut unknown = RowWriter::new(kinds, "");
    let writer = known.map_or(&mut unknown, |life| &mut life.writer);
    let row = writer.row(told.sequence, told.moment, entry);
    let mut fields = serde_json::to_value(&row).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut().filter(|_| bytes) {
        fields.insert("input_bytes".into(), BASE64.encode(&entry.input).into());
        if let Effects::Whole(effects) = &entry.effects {
            fields.insert("effects_bytes".into(), BASE64.encode(effects).into());
        }
    }
    fields
}

fn rest(record: &Record<'_>, bytes: bool) -> (&'static str, Value) {
    match record {
        Record::Era(era) => {
            let seed = bytes.then(|| HEXLOWER.encode(&era.seed));
            let fields = json!({ "host": era.host.to_string(), "name": era.name,
                                 "mesh": era.mesh.to_string(), "incarnation": era.incarnation.0,
                                 "software": era.software, "seed": seed });
            ("era", fields)
        }
        Record::At { .. } => ("at", Value::Null),
        Record::End { life, how } => ("end", json!({ "life": life.0, "how": pick::word(*how) })),
        Record::Post(letter) => ("post", post_fields(letter)),
        Record::Delivered { to, upto } => {
            ("delivered", json!({ "to": to.to_string(), "upto": upto }))
        }
        Record::Took(letter) => ("took", json!({ "letter": letter_row(letter) })),
        Record::Numbering { to, epoch, next } => {
            ("numbering", json!({ "to": to.to_string(), "epoch": epoch.0, "next": next }))
        }
        Record::Gap { life, from, until } => {
            ("gap", json!({ "life": life.0, "from": from, "until": until }))
        }
        Record::Entry(_) | Record::Snapshot(_) | Record::Life(_) => ("", Value::Null),
    }
}

fn post_fields(letter: &Letter<'_>) -> Value {
    json!({ "host": letter.host.to_string(), "epoch": letter.epoch.0, "number": letter.number,
            "from": letter.from.to_string(), "to": letter.to.to_string(), "name": letter.name,
            "codec": format!("{:?}", letter.codec).to_lowercase(),
            "body_bytes": BASE64.encode(&letter.body) })
}

fn letter_row(letter: &LetterId) -> LetterRow {
    let LetterId { origin, epoch, number } = *letter;
    LetterRow { origin: origin.to_string(), epoch: epoch.0, number }
}
