use std::fmt;

use serde_json::{Value, json};
use starling_protocols::words::count;

use crate::{
    run::{Broken, Options, Outcome, Report},
    shrink::Shrunk,
};

impl Report {
    /// The report for programs: its fields, `good`, and what was left of the first failure.
    #[must_use]
    pub fn json(&self, shrunk: Option<&Shrunk>) -> Value {
        let mut report = json!(self);
        report["good"] = json!(self.is_good());
        report["shrunk"] = shrunk.map_or(Value::Null, |shrunk| {
            json!({
                "command": shrunk.options.command(),
                "schedule": shrunk.outcome.schedule,
                "broken": shrunk.outcome.broken,
                "runs": shrunk.runs,
            })
        });
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, seeds, digest, events, .. } = self;
        let minutes = count(self.virtual_ms / 60_000, "virtual minute");
        let (seeds, events) = (count(*seeds, "seed"), count(*events, "event"));
        writeln!(f, "{scenario}: {seeds}, {minutes}, {events}")?;
        match self.replayed {
            1 => writeln!(f, "1 entry replayed as it was recorded")?,
            many => writeln!(f, "{many} entries replayed as they were recorded")?,
        }
        writeln!(f, "settled at most {} ms after healing", self.settled_after_ms)?;
        for (kind, times) in self.fired.iter() {
            writeln!(f, "  {:18} {times}", kind.name())?;
        }
        writeln!(f, "digest {digest}")?;
        for kind in &self.never_fired {
            writeln!(f, "FAILED: no {} ever had an effect", kind.name())?;
        }
        for failure in &self.failures {
            if let Some(broken) = &failure.broken {
                writeln!(f, "FAILED: seed {}: {broken}", failure.seed)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, source, why, at_ms } = self;
        write!(f, "{invariant} ({source}) at {at_ms} ms: {why}")
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { seed, schedule, broken, .. } = &self.outcome;
        let (steps, runs) = (schedule.len(), count(self.runs, "run"));
        let how = match self.runs {
            0 => format!("fails with all {steps} of its steps:"),
            _ => format!("still fails with {steps} of its steps ({runs}):"),
        };
        writeln!(f, "seed {seed} {how}")?;
        write!(f, "{schedule}")?;
        if let Some(broken) = broken {
            writeln!(f, "{broken}")?;
        }
        writeln!(f, "repeat it: {}", self.options.command())
    }
}

impl Options {
    /// What to type to run the same again.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { scenario, hosts, seed, minutes, .. } = self;
        let journals = if self.journals { "" } else { " --no-journals" };
        let only = match self.only.as_deref() {
            None => String::new(),
            Some([]) => " --only none".into(),
            Some(steps) => {
                let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
                format!(" --only {}", steps.join(","))
            }
        };
        format!(
            "p2p sim --scenario {scenario} --hosts {hosts} --seed {seed} --minutes \
             {minutes}{journals}{only}"
        )
    }
}
