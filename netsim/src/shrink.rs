//! Finds the few faults that matter in a run that failed.

use starling_protocols::time::Time;

use crate::{
    run::{Options, Outcome, run_seed_watched},
    scenario::Make,
};

/// Runs that shrinking may take.
const RUNS_MAX: usize = 200;

/// A run that fails as another did, with as little going wrong as was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// What repeats it.
    pub options: Options,
    /// What came of it.
    pub outcome: Outcome,
    /// How many runs were tried.
    pub runs: usize,
}

/// Takes steps out of the schedule of a failed run for as long as the same invariant breaks, then
/// minutes. `None` when the run did not fail.
#[must_use]
pub fn shrink(make: Make, options: &Options, failed: &Outcome) -> Option<Shrunk> {
    shrink_watched(make, options, failed, &mut |_| true)
}

/// The same, with somebody who is told the time of each run after every virtual second, and says
/// whether to go on. When stopped, it gives the best that it has found by then.
#[must_use]
pub fn shrink_watched(
    make: Make,
    options: &Options,
    failed: &Outcome,
    watch: &mut dyn FnMut(Time) -> bool,
) -> Option<Shrunk> {
    let invariant = failed.broken.as_ref()?.invariant.clone();
    let numbers = failed.schedule.numbers();
    let options =
        Options { seed: failed.seed, seeds: 1, only: Some(numbers.clone()), ..options.clone() };
    let best = Shrunk { options, outcome: failed.clone(), runs: 0 };
    let mut search = Search { make, invariant, best, watch };
    search.take_out_steps(numbers);
    Some(search.best)
}

impl Shrunk {
    /// A failed run as it is, for those who do not want to wait for less.
    #[must_use]
    pub fn not(options: &Options, failed: &Outcome) -> Self {
        let options = Options { seed: failed.seed, seeds: 1, ..options.clone() };
        Self { options, outcome: failed.clone(), runs: 0 }
    }
}

struct Search<'a> {
    make: Make,
    invariant: String,
    best: Shrunk,
    watch: &'a mut dyn FnMut(Time) -> bool,
}

impl Search<'_> {
    /// Whether a run with these steps only breaks the same invariant; it is the best so far then.
    fn still_fails(&mut self, only: &[usize]) -> bool {
        if self.best.runs >= RUNS_MAX {
            return false;
        }
        self.best.runs += 1;
        let options = Options { only: Some(only.to_vec()), ..self.best.options.clone() };
        let run = run_seed_watched(self.make, &options, options.seed, None, self.watch);
        let Some(outcome) = run else {
            self.best.runs = RUNS_MAX;
            return false;
        };
        let fails =
            outcome.broken.as_ref().is_some_and(|broken| broken.invariant == self.invariant);
        if fails {
            self.best = Shrunk { options, outcome, runs: self.best.runs };
        }
        fails
    }

    /// Takes out halves, then quarters and so on, down to single steps.
    fn take_out_steps(&mut self, mut steps: Vec<usize>) {
        if steps.is_empty() || self.still_fails(&[]) {
            return;
        }
        let mut size = steps.len().div_ceil(2);
        loop {
            let mut at = 0;
            while at < steps.len() {
                let mut without = steps.clone();
                without.drain(at..(at + size).min(steps.len()));
                if !without.is_empty() && self.still_fails(&without) {
                    steps = without;
                } else {
                    at += size;
                }
            }
            if size == 1 {
                return;
            }
            size = size.div_ceil(2);
        }
    }
}
