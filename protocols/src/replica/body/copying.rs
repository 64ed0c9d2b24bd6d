//! Copies the value of a document, with those values that stand in conflict in it.

use std::{collections::VecDeque, mem};

use automerge::{
    ActorId, AutoCommit, ChangeHash, ObjId, ObjType, Prop, ReadDoc as _, ScalarValue, Value,
    marks::ExpandMark,
    transaction::{CommitOptions, Transactable as _},
};

use super::{
    Head,
    anew::{Done, derive},
};

/// Who makes a change, when, and what is said of it.
pub(in crate::replica) struct Maker {
    pub(in crate::replica) actor: [u8; 16],
    pub(in crate::replica) time: i64,
    pub(in crate::replica) message: String,
}

/// Copies what one document holds into another.
pub(super) struct Copying<'a> {
    from: &'a AutoCommit,
    pub(super) to: &'a mut AutoCommit,
    /// The places that were left out, because several values stand there.
    left_out: Vec<Place>,
    /// How many values may be left out yet, to be written later.
    room: usize,
}

/// Where several values stand, the one that is shown last.
struct Place {
    object: ObjId,
    prop: Prop,
    values: Vec<Standing>,
}

struct Standing {
    value: Value<'static>,
    id: ObjId,
    writer: ChangeHash,
}

/// What is to be put where.
#[derive(PartialEq)]
enum Put {
    Object(ObjType),
    Scalar(ScalarValue),
}

impl<'a> Copying<'a> {
    /// Of values in conflict those that are shown are copied.
    pub(super) fn shown(from: &'a AutoCommit, to: &'a mut AutoCommit) -> Self {
        Self::with_conflicts(from, to, 0)
    }

    /// Places in conflict are left out, up to so many values, for [`stand`](Self::stand).
    pub(super) fn with_conflicts(
        from: &'a AutoCommit,
        to: &'a mut AutoCommit,
        room: usize,
    ) -> Self {
        Self { from, to, left_out: Vec::new(), room }
    }

    /// Copies all that an object holds.
    pub(super) fn object(&mut self, object: &ObjId, into: &ObjId) -> Done {
        match self.from.object_type(object)? {
            ObjType::Map | ObjType::Table => self.map(object, into),
            ObjType::List => self.list(object, into),
            ObjType::Text => {
                self.to.splice_text(into, 0, 0, &self.from.text(object)?)?;
                for mark in self.from.marks(object)? {
                    self.to.mark(into, mark, ExpandMark::Both)?;
                }
                Ok(())
            }
        }
    }

    fn map(&mut self, object: &ObjId, into: &ObjId) -> Done {
        for key in self.keys(object) {
            let Some((value, id)) = self.from.get(object, key.as_str())? else { continue };
            if !self.leaves_out(object, Prop::Map(key.clone()), into)? {
                self.entry(&value, &id, into, key.as_str())?;
            }
        }
        Ok(())
    }

    fn list(&mut self, object: &ObjId, into: &ObjId) -> Done {
        for at in 0..self.from.length(object) {
            let Some((value, id)) = self.from.get(object, at)? else { continue };
            let end = self.to.length(into);
            if self.leaves_out(object, Prop::Seq(at), into)? {
                // Its place among the others is kept, by what none of its values is.
                self.to.insert_object(into, end, ObjType::Map)?;
                continue;
            }
            match put(&value) {
                Put::Scalar(value) => self.to.insert(into, end, value)?,
                Put::Object(sort) => {
                    let made = self.to.insert_object(into, end, sort)?;
                    self.object(&id, &made)?;
                }
            }
        }
        Ok(())
    }

    fn keys(&self, object: &ObjId) -> Vec<String> {
        let mut keys: Vec<String> = self.from.keys(object).collect();
        keys.sort_unstable();
        keys
    }

    /// Puts one value into a place, with all that it holds.
    pub(super) fn entry(
        &mut self,
        value: &Value<'_>,
        id: &ObjId,
        into: &ObjId,
        prop: impl Into<Prop>,
    ) -> Done {
        match put(value) {
            Put::Scalar(value) => self.to.put(into, prop, value),
            Put::Object(sort) => {
                let made = self.to.put_object(into, prop, sort)?;
                self.object(id, &made)
            }
        }
    }

    /// Copies those entries that another version of the document does not have yet, in maps within
    /// maps, too.
    pub(super) fn missing(&mut self, version: &AutoCommit, object: &ObjId, into: &ObjId) -> Done {
        for key in self.keys(object) {
            let Some((value, id)) = self.from.get(object, key.as_str())? else { continue };
            match (&value, version.get(into, key.as_str())?) {
                (Value::Object(ObjType::Map), Some((Value::Object(ObjType::Map), there))) => {
                    // That version may have made it, and not this one.
                    if self.to.object_type(&there).is_ok() {
                        self.missing(version, &id, &there)?;
                    }
                }
                (_, Some(_)) => {}
                (_, None) => self.entry(&value, &id, into, key.as_str())?,
            }
        }
        Ok(())
    }

    fn leaves_out(&mut self, object: &ObjId, prop: Prop, into: &ObjId) -> Done<bool> {
        if self.room == 0 {
            return Ok(false);
        }
        let mut values: Vec<Standing> = Vec::new();
        for (value, id) in self.from.get_all(object, prop.clone())? {
            let Some(writer) = self.from.hash_for_opid(&id) else { continue };
            // Who wrote the same does not contradict.
            values.retain(|other| value.is_object() || put(&other.value) != put(&value));
            values.push(Standing { value: value.into_owned(), id, writer });
        }
        if values.len() < 2 || values.len() > self.room {
            return Ok(false);
        }
        self.room -= values.len();
        self.left_out.push(Place { object: into.clone(), prop, values });
        Ok(true)
    }

    /// Writes the values of the places that were left out, on what holds the rest: each by a change
    /// of its own, so that they stand in conflict again, and the same one is shown.
    pub(super) fn stand(mut self, maker: impl Fn(Head) -> Maker) -> Done {
        let mut open = VecDeque::from([(self.to.clone(), mem::take(&mut self.left_out))]);
        while let Some((base, places)) = open.pop_front() {
            for place in places {
                for (standing, actor) in place.values.iter().zip(self.actors(&base, &place)?) {
                    let maker = Maker { actor, ..maker(Head(standing.writer.0)) };
                    let (mut fork, _, within) = self.value(&base, &place, standing, maker)?;
                    self.to.merge(&mut fork)?;
                    open.extend((!within.is_empty()).then_some((fork, within)));
                }
            }
        }
        Ok(())
    }

    /// Who writes the values of a place. Each begins with the operation that puts the value there,
    /// all of which have the same number: what is shown is that of the actor with the greatest id,
    /// so that is the last.
    ///
    /// No actor ever writes anything else. Two hosts with the same heads may see other values:
    /// automerge does not say the same everywhere of a counter that was increased beside other
    /// values.
    fn actors(&mut self, base: &AutoCommit, place: &Place) -> Done<Vec<[u8; 16]>> {
        let room = self.room;
        let mut heads = Vec::new();
        for standing in &place.values {
            let anybody = Maker { actor: [0; 16], time: 0, message: String::new() };
            let (_, head, _) = self.value(base, place, standing, anybody)?;
            heads.push(head);
        }
        self.room = room;
        let numbers = 0..heads.len();
        let mut actors: Vec<_> =
            numbers.map(|number| derive("starling standing 1", &(&heads, number))).collect();
        actors.sort_unstable();
        Ok(actors)
    }

    /// Writes one value of a place. Gives the document, the change, and the places within the value
    /// that were left out.
    fn value(
        &mut self,
        base: &AutoCommit,
        place: &Place,
        standing: &Standing,
        maker: Maker,
    ) -> Done<(AutoCommit, Option<Head>, Vec<Place>)> {
        let mut fork = base.clone();
        fork.set_actor(ActorId::from(maker.actor));
        let mut copying = Copying::with_conflicts(self.from, &mut fork, self.room);
        copying.entry(&standing.value, &standing.id, &place.object, place.prop.clone())?;
        self.room = copying.room;
        let left_out = copying.left_out;
        let options = CommitOptions::default().with_time(maker.time).with_message(maker.message);
        let made = fork.commit_with(options).map(|made| Head(made.0));
        Ok((fork, made, left_out))
    }
}

fn put(value: &Value<'_>) -> Put {
    match value {
        Value::Object(ObjType::Table) => Put::Object(ObjType::Map),
        Value::Object(sort) => Put::Object(*sort),
        Value::Scalar(value) => Put::Scalar(fresh(value)),
    }
}

/// A counter begins with what it has come to.
pub(super) fn fresh(value: &ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Counter(counter) => ScalarValue::counter(counter.into()),
        other => other.clone(),
    }
}
