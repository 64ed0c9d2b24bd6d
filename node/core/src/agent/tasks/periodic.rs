use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_protocols::limits::{BUDGET_DEFAULT, BUDGET_MAX};

use super::{apart, is_open};
use crate::agent::{Agent, Cx, Task, WaitId};

/// Something that is done again and again (FEAT: `StealthPeriodicTask`): at once when it is
/// started, and then each time a period after the last run has finished. Part of an agent's state.
///
/// Two runs never overlap. A run is ended by [`finished`](Self::finished) and not by [`Cx::end`],
/// which would leave nothing that brings the next one. A run that nobody finishes is ended when its
/// limit has passed, and the next one comes a period later: whatever goes wrong in one of them, the
/// next one comes.
///
/// Each run begins with the agent's continuation, which asks [`due`](Self::due) for the run's task:
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use starling_core::agent::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// struct Cleaner {
///     rounds: Periodic,
///     done: u32,
/// }
///
/// impl Default for Cleaner {
///     fn default() -> Self {
///         Self { rounds: Periodic::new(Duration::from_secs(30)), done: 0 }
///     }
/// }
///
/// #[derive(Serialize, Deserialize)]
/// enum Then {
///     Round,
///     Swept(Task),
/// }
///
/// impl Continuation<Cleaner> for Then {
///     fn resume(self, agent: &mut Cleaner, cx: &mut Cx<'_, Cleaner>) {
///         match self {
///             Self::Round => {
///                 let Some(run) = agent.rounds.due(cx, Self::Round) else { return };
///                 // What the run waits for is given up with it.
///                 cx.during(run, |cx| cx.after(Duration::from_secs(2), Self::Swept(run)));
///             }
///             Self::Swept(run) => {
///                 agent.done += 1;
///                 agent.rounds.finished(cx, run, Self::Round);
///             }
///         }
///     }
/// }
///
/// impl Agent for Cleaner {
///     const KIND: &'static str = "cleaner";
///     type Then = Then;
///     fn interests(_: &mut Interests<Self>) {}
///     fn started(&mut self, cx: &mut Cx<'_, Self>) {
///         self.rounds.start(cx, Then::Round);
///     }
/// }
///
/// let mut cage = Cage::new(Cleaner::default());
/// cage.start();
/// cage.advance(Duration::from_secs(70)); // runs begin after 0, 32 and 64 seconds
/// assert_eq!(cage.state().done, 3);
/// cage.replay();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periodic {
    period: Duration,
    limit: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Stopped,
    Waiting(WaitId),
    Running(Task),
}

impl Periodic {
    /// Not started yet. A run may take as long as a period, and ten seconds in any case.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self { period, limit: period.max(BUDGET_DEFAULT), phase: Phase::Stopped }
    }

    /// How long a run may take, at most [`BUDGET_MAX`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit.min(BUDGET_MAX);
        self
    }

    /// Starts: the first run comes at once, as an input of its own, by `then`. Gives whether it had
    /// not been started before; otherwise nothing happens.
    ///
    /// # Panics
    /// When the agent waits for too many things.
    pub fn start<A: Agent>(&mut self, cx: &mut Cx<'_, A>, then: A::Then) -> bool {
        let is_new = match self.phase {
            Phase::Stopped => true,
            Phase::Waiting(wait) => !is_open(cx, wait),
            Phase::Running(run) => !cx.is_running(run),
        };
        if is_new {
            self.wait(cx, Duration::ZERO, then);
        }
        is_new
    }

    /// To be asked first by the continuation: whether a run begins, and as which task. `then` is
    /// the same continuation again. There is none when what came was the end of the last run's
    /// limit: then that run was ended, and the next one comes after a period.
    ///
    /// # Panics
    /// When the agent waits for too many things.
    pub fn due<A: Agent>(&mut self, cx: &mut Cx<'_, A>, then: A::Then) -> Option<Task> {
        match self.phase {
            Phase::Waiting(wait) if !is_open(cx, wait) => {
                let limit = self.limit;
                let run = apart(cx, |cx| cx.begin(limit, then));
                self.phase = Phase::Running(run);
                Some(run)
            }
            Phase::Running(run) if !cx.is_running(run) => {
                self.wait(cx, self.period, then);
                None
            }
            _ => None,
        }
    }

    /// Ends a run, well or badly, with all that it still waits for; the next one comes after a
    /// period, by `then`. Nothing happens when `run` is not the one that is running: it has
    /// exceeded its limit.
    pub fn finished<A: Agent>(&mut self, cx: &mut Cx<'_, A>, run: Task, then: A::Then) {
        if self.phase == Phase::Running(run) {
            cx.end(run);
            self.wait(cx, self.period, then);
        }
    }

    /// Ends it all, also a run that is running.
    pub fn stop<A: Agent>(&mut self, cx: &mut Cx<'_, A>) {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Stopped => {}
            Phase::Waiting(wait) => drop(cx.cancel(wait)),
            Phase::Running(run) => cx.end(run),
        }
    }

    /// Whether a run is running.
    #[must_use]
    pub fn is_running<A: Agent>(&self, cx: &Cx<'_, A>) -> bool {
        matches!(self.phase, Phase::Running(run) if cx.is_running(run))
    }

    fn wait<A: Agent>(&mut self, cx: &mut Cx<'_, A>, delay: Duration, then: A::Then) {
        self.phase = Phase::Waiting(apart(cx, |cx| cx.after(delay, then)));
    }
}
