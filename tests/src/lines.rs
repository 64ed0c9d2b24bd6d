use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::Value;

use crate::PATIENCE;

/// A `p2p` that goes on writing lines of JSON, as `subscribe` and `events -f`. Dropped, it ends.
#[derive(Debug)]
pub struct Lines {
    child: Child,
    lines: Receiver<Value>,
}

impl Lines {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn of(mut command: Command) -> Self {
        let command = command.args(["--format", "json"]).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("p2p starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            let texts = out.lines().map_while(Result::ok);
            let values = texts.map(|text| serde_json::from_str(&text).expect("a line of JSON"));
            // It fails when the test has seen enough.
            values.map_while(|value| sender.send(value).ok()).for_each(drop);
        });
        Self { child, lines }
    }

    /// The next line.
    ///
    /// # Panics
    /// When there is none for too long.
    #[must_use]
    pub fn wait(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("one more line")
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
