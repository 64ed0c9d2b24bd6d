use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_protocols::{
    limits::{BUDGET_DEFAULT, BUDGET_MAX},
    time::Time,
};

use super::{apart, is_open};
use crate::agent::{Agent, Cx, Task, WaitId};

/// Something that runs once at a time, and not too often (FEAT: `Singleton`). Part of an agent's
/// state.
///
/// To start it again while it runs, or while a run is scheduled, does nothing. Started too soon
/// after the last run, it is scheduled for the moment when it may run again.
///
/// Each run begins with the agent's continuation, which asks [`due`](Self::due) for the run's task:
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use starling_core::agent::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// struct Changed;
/// impl Notification for Changed {
///     const NAME: &'static str = "example/changed";
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Writer {
///     save: Singleton,
///     saved: u32,
/// }
///
/// impl Default for Writer {
///     fn default() -> Self {
///         Self { save: Singleton::new(Duration::from_secs(5)), saved: 0 }
///     }
/// }
///
/// #[derive(Serialize, Deserialize)]
/// enum Then {
///     Save,
///     TooLong,
/// }
///
/// impl Continuation<Writer> for Then {
///     fn resume(self, agent: &mut Writer, cx: &mut Cx<'_, Writer>) {
///         let Self::Save = self else { return cx.log(Level::Warn, "saving takes too long") };
///         let Some(run) = agent.save.due(cx, Self::TooLong) else { return };
///         agent.saved += 1; // or requests, during the run
///         agent.save.finished(cx, run);
///     }
/// }
///
/// impl Agent for Writer {
///     const KIND: &'static str = "writer";
///     type Then = Then;
///     fn interests(interests: &mut Interests<Self>) {
///         interests.collects::<Changed>();
///     }
/// }
/// impl Collects<Changed> for Writer {
///     fn collect(&mut self, cx: &mut Cx<'_, Self>, _: Changed) {
///         self.save.start(cx, Then::Save);
///     }
/// }
///
/// let mut cage = Cage::new(Writer::default());
/// for _ in 0..30 {
///     cage.tell(Changed);
///     cage.advance(Duration::from_secs(1));
/// }
/// assert_eq!(cage.state().saved, 7); // after 0, 5, 10, … 30 seconds
/// cage.replay();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Singleton {
    min_delay: Duration,
    limit: Duration,
    phase: Phase,
    /// When the last run ended.
    ended: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Idle,
    Scheduled(WaitId),
    Running { run: Task, until: Time },
}

/// What came of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// The run comes at once, as an input of its own.
    Now,
    /// The last run was too short a time ago; the next one comes then.
    At(Time),
    /// One is running or scheduled already; the continuation that was given is dropped.
    Ignored,
}

impl Singleton {
    /// Not running. Between the end of a run and the beginning of the next one there is at least
    /// `min_delay`. A run may take ten seconds.
    #[must_use]
    pub const fn new(min_delay: Duration) -> Self {
        Self { min_delay, limit: BUDGET_DEFAULT, phase: Phase::Idle, ended: None }
    }

    /// How long a run may take, at most [`BUDGET_MAX`]. After that it is ended.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit.min(BUDGET_MAX);
        self
    }

    /// Has it run, by `then`: as soon as it may, unless it is running or scheduled already.
    ///
    /// # Panics
    /// When the agent waits for too many things.
    pub fn start<A: Agent>(&mut self, cx: &mut Cx<'_, A>, then: A::Then) -> Started {
        self.look(cx);
        if self.phase != Phase::Idle {
            return Started::Ignored;
        }
        let now = cx.now();
        let may = self.ended.map_or(now, |ended| ended + self.min_delay).max(now);
        let wait = apart(cx, |cx| cx.after(may - now, then));
        self.phase = Phase::Scheduled(wait);
        if may == now { Started::Now } else { Started::At(may) }
    }

    /// To be asked first by the continuation: begins the run, as a task. `expired` comes back when
    /// it is not [`finished`](Self::finished) within its limit; it is over then. There is none when
    /// no run was to come.
    ///
    /// # Panics
    /// When the agent waits for too many things.
    pub fn due<A: Agent>(&mut self, cx: &mut Cx<'_, A>, expired: A::Then) -> Option<Task> {
        let Phase::Scheduled(wait) = self.phase else { return None };
        if is_open(cx, wait) {
            return None;
        }
        let limit = self.limit;
        let run = apart(cx, |cx| cx.begin(limit, expired));
        self.phase = Phase::Running { run, until: cx.now() + limit };
        Some(run)
    }

    /// Ends a run, well or badly, with all that it still waits for. Nothing happens when `run` is
    /// not the one that is running.
    pub fn finished<A: Agent>(&mut self, cx: &mut Cx<'_, A>, run: Task) {
        self.look(cx);
        if matches!(self.phase, Phase::Running { run: running, .. } if running == run) {
            cx.end(run);
            self.phase = Phase::Idle;
            self.ended = Some(cx.now());
        }
    }

    /// Takes a start back that has not come yet. Gives whether there was one.
    pub fn cancel<A: Agent>(&mut self, cx: &mut Cx<'_, A>) -> bool {
        let Phase::Scheduled(wait) = self.phase else { return false };
        self.phase = Phase::Idle;
        cx.cancel(wait).is_some()
    }

    /// Whether a run is running.
    #[must_use]
    pub fn is_running<A: Agent>(&self, cx: &Cx<'_, A>) -> bool {
        matches!(self.phase, Phase::Running { run, .. } if cx.is_running(run))
    }

    /// A run whose task has ended without us is over.
    fn look<A: Agent>(&mut self, cx: &Cx<'_, A>) {
        if let Phase::Running { run, until } = self.phase
            && !cx.is_running(run)
        {
            self.phase = Phase::Idle;
            self.ended = Some(until.min(cx.now()));
        }
    }
}
