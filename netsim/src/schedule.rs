//! What goes wrong when, as a plain list: a part of it can be played again.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::time::Time;

use crate::{faults::Fault, sim::Sim, trace::clock};

/// One fault at a time, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds since the beginning of the run.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds; zero for what is over at once.
    pub lasts_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

/// All that goes wrong in a run, in the order of time. Each step has a number, by which a part of
/// the schedule is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule {
    steps: Vec<(usize, Step)>,
}

impl Schedule {
    /// A schedule of these steps, numbered in the order of time.
    #[must_use]
    pub fn new(mut steps: Vec<Step>) -> Self {
        steps.sort_by_key(|step| step.at_ms);
        Self { steps: steps.into_iter().enumerate().collect() }
    }

    /// The steps with these numbers.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        let wanted = self.steps.iter().filter(|(number, _)| numbers.contains(number));
        Self { steps: wanted.cloned().collect() }
    }

    /// The numbers of its steps.
    #[must_use]
    pub fn numbers(&self) -> Vec<usize> {
        self.steps.iter().map(|(number, _)| *number).collect()
    }

    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|(_, step)| step)
    }

    /// How many steps it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing goes wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Plans all its steps, counted from now.
    pub(crate) fn impose(&self, sim: &mut Sim) {
        for step in self.steps() {
            let (after, lasts) =
                (Duration::from_millis(step.at_ms), Duration::from_millis(step.lasts_ms));
            sim.impose_later(after, step.fault.clone(), lasts);
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", clock(Time::ZERO + Duration::from_millis(self.at_ms)))?;
        if self.lasts_ms > 0 {
            write!(f, "for {} ms: ", self.lasts_ms)?;
        }
        write!(f, "{}", self.fault)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in &self.steps {
            writeln!(f, "{number:4}  {step}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::HostNo;

    #[test]
    fn a_part_keeps_its_numbers_and_reads_back() {
        let step = |at_ms| Step { at_ms, lasts_ms: 5, fault: Fault::Pause { host: HostNo(1) } };
        let schedule = Schedule::new(vec![step(30), step(10), step(20)]);
        let part = schedule.only(&[0, 2]);
        assert_eq!(
            part.to_string(),
            "   0  00:00.010 for 5 ms: 1 is suspended\n   2  00:00.030 for 5 ms: 1 is suspended\n"
        );
        let text = serde_json::to_string(&part).expect("JSON");
        assert_eq!(serde_json::from_str::<Schedule>(&text).expect("the same"), part);
    }
}
