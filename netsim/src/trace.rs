use starling_protocols::time::Time;

use crate::faults::HostNo;

/// Takes the lines of a story, one at a time.
pub type Sink = Box<dyn FnMut(&str) + Send>;

const BUFFER_BYTES: usize = 64 * 1024;

/// What a run leaves behind: a digest of everything that happened, and a story for people where
/// one is asked for.
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    entries: u64,
    sink: Option<Sink>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            entries: 0,
            sink: None,
        }
    }

    pub(crate) fn tell_to(&mut self, sink: Sink) {
        self.sink = Some(sink);
    }

    /// Whether somebody wants to hear the story.
    pub(crate) const fn is_told(&self) -> bool {
        self.sink.is_some()
    }

    /// Notes one thing that happened at a host.
    pub(crate) fn note(&mut self, now: Time, host: HostNo, what: &str, bytes: &[u8]) {
        self.entries += 1;
        self.buffer.extend_from_slice(&now.as_nanos().to_le_bytes());
        self.buffer.extend_from_slice(&host.0.to_le_bytes());
        self.buffer.extend_from_slice(what.as_bytes());
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Tells a sentence, with the time before it.
    pub(crate) fn say(&mut self, now: Time, sentence: &str) {
        if let Some(sink) = &mut self.sink {
            sink(&format!("{} {sentence}", clock(now)));
        }
    }

    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    /// The digest of all that was noted so far.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.buffer);
        hasher.finalize().to_hex().to_string()
    }
}

/// Virtual time as people read it: minutes, seconds, milliseconds.
pub(crate) fn clock(now: Time) -> String {
    let millis = now.as_nanos() / 1_000_000;
    format!("{:02}:{:02}.{:03}", millis / 60_000, millis / 1000 % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_digest_depends_on_every_entry_and_its_place() {
        let digest = |entries: &[(u64, &str)]| {
            let mut trace = Trace::new();
            for (at, what) in entries {
                trace.note(Time::from_nanos(*at), HostNo(1), what, b"x");
            }
            trace.digest()
        };
        assert_eq!(digest(&[(1, "a"), (2, "b")]), digest(&[(1, "a"), (2, "b")]));
        assert_ne!(digest(&[(1, "a"), (2, "b")]), digest(&[(1, "b"), (2, "a")]));
        assert_ne!(digest(&[(1, "a")]), digest(&[(2, "a")]));
    }

    #[test]
    fn a_story_has_the_time_before_each_sentence() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut trace = Trace::new();
        let sink = Arc::clone(&heard);
        trace.tell_to(Box::new(move |line| sink.lock().expect("lock").push(line.to_owned())));
        trace.say(Time::from_nanos(61_002_000_000), "a starts");
        assert_eq!(*heard.lock().expect("lock"), ["01:01.002 a starts"]);
    }
}
