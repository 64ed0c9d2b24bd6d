//! What the daemon has to say goes into the journal, too.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::queue::{LogRow, Queue};
use crate::clock;

/// Messages that are kept until there is a journal. Later ones are not.
const EARLY_ROWS_MAX: usize = 512;

/// A longer message is cut, and fields are left out.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The parts of the program whose messages are about writing messages.
const OWN: [&str; 2] = ["starling_node::journal", "starling_node::database"];

/// Puts the program's messages (`tracing` events) into the journal. The fields `agent`, `kind` and
/// `host` become columns of their own. It never waits: what finds no room is counted.
///
/// It takes every event of its level and above. To say less of some libraries, give it a filter of
/// its own (`with_filter`); a filter of the whole subscriber would be one for all.
#[derive(Debug)]
pub struct LogLayer {
    level: Level,
    handle: LogHandle,
}

/// Connects a [`LogLayer`] with a journal that is opened later, and then perhaps with another.
#[derive(Clone, Debug, Default)]
pub struct LogHandle {
    sink: Arc<Mutex<Sink>>,
}

#[derive(Debug, Default)]
struct Sink {
    queue: Option<Arc<Queue>>,
    early: Vec<LogRow>,
}

impl LogLayer {
    /// A layer that takes messages of this level and more important ones.
    #[must_use]
    pub fn new(level: Level) -> (Self, LogHandle) {
        let handle = LogHandle::default();
        (Self { level, handle: handle.clone() }, handle)
    }
}

impl LogHandle {
    pub(super) fn connect(&self, queue: &Arc<Queue>) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.early.drain(..).for_each(|row| queue.put_log(row));
        sink.queue = Some(Arc::clone(queue));
    }

    fn put(&self, row: LogRow) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match &sink.queue {
            Some(queue) => queue.put_log(row),
            None if sink.early.len() < EARLY_ROWS_MAX => sink.early.push(row),
            None => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() > self.level || OWN.iter().any(|own| about.target().starts_with(own)) {
            return;
        }
        let mut taken = Taken::default();
        event.record(&mut taken);
        let fields = Value::Object(taken.fields).to_string();
        self.handle.put(LogRow {
            wall_ms: clock::wall().as_millis(),
            level: number_of(*about.level()),
            target: about.target().to_owned(),
            fields: (fields != "{}" && fields.len() <= TEXT_BYTES_MAX).then_some(fields),
            ..taken.row
        });
    }
}

/// From 1, the most important.
pub(super) const fn number_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

#[derive(Default)]
struct Taken {
    row: LogRow,
    fields: Map<String, Value>,
}

impl Taken {
    fn text(&mut self, field: &Field, mut text: String) {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        match field.name() {
            "message" => self.row.message = text,
            "agent" => self.row.agent = Some(text),
            "kind" => self.row.kind = Some(text),
            "host" => self.row.host = Some(text),
            name => drop(self.fields.insert(name.to_owned(), text.into())),
        }
    }

    fn number(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Taken {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value.into());
    }
}
