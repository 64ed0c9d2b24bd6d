use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_protocols::limits::{RETRY_CEILING, RETRY_DELAY_MIN, RETRY_FIRST};

use crate::agent::{Agent, Cx};

/// Tries something again until it succeeds, with growing delays (FEAT: `RetryingProtocolFactory`).
/// Part of an agent's state.
///
/// The first delay is a second, and each further one twice as long, up to a minute; of each between
/// half and all is waited, by chance, so that many who failed together do not come back together.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use starling_core::agent::{prelude::*, tasks::{Next, Retry}};
///
/// #[derive(Serialize, Deserialize)]
/// struct Register;
/// impl Request for Register {
///     const NAME: &'static str = "example/register";
///     type Reply = ();
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Member {
///     retry: Retry,
///     registered: bool,
/// }
///
/// impl Default for Member {
///     fn default() -> Self {
///         Self { retry: Retry::new().attempts(5).alert_after(3), registered: false }
///     }
/// }
///
/// #[derive(Serialize, Deserialize)]
/// enum Then {
///     Try,
///     Registered(Await<Register>),
/// }
///
/// impl Member {
///     fn register(&mut self, cx: &mut Cx<'_, Self>) {
///         cx.request(Cage::<Self>::ASKER, &Register, Then::Registered);
///     }
/// }
///
/// impl Continuation<Member> for Then {
///     fn resume(self, agent: &mut Member, cx: &mut Cx<'_, Member>) {
///         let Self::Registered(reply) = self else { return agent.register(cx) };
///         if cx.take(reply).is_ok() {
///             agent.registered = true;
///             if agent.retry.succeeded() {
///                 cx.log(Level::Info, "registered at last");
///             }
///             return;
///         }
///         let failed = agent.retry.failed(cx);
///         if failed.alert {
///             cx.log(Level::Warn, "cannot register");
///         }
///         match failed.next {
///             Next::Again(delay) => drop(cx.after(delay, Self::Try)),
///             Next::GiveUp => cx.stop(),
///         }
///     }
/// }
///
/// impl Agent for Member {
///     const KIND: &'static str = "member";
///     type Then = Then;
///     fn interests(_: &mut Interests<Self>) {}
///     fn started(&mut self, cx: &mut Cx<'_, Self>) {
///         self.register(cx);
///     }
/// }
///
/// let mut cage = Cage::new(Member::default());
/// cage.start();
/// cage.fail(cage.waits()[0], Failure::Gone);
/// cage.advance(std::time::Duration::from_secs(1));
/// cage.answer::<Register>(cage.waits()[0], &());
/// assert!(cage.state().registered && cage.waits().is_empty());
/// cage.replay();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    initial: Duration,
    ceiling: Duration,
    attempts_max: Option<u32>,
    alert_after: Option<u32>,
    pub(super) failures: u32,
    is_alerting: bool,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whoever does not try again has given up"]
pub struct Failed {
    /// Whether to try again, and when.
    pub next: Next,
    /// Whether an alert is to be raised now.
    pub alert: bool,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// After so long.
    Again(Duration),
    /// No more: there were as many attempts as there may be.
    GiveUp,
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Retry {
    /// Delays from a second to a minute, without an end and without an alert.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            initial: RETRY_FIRST,
            ceiling: RETRY_CEILING,
            attempts_max: None,
            alert_after: None,
            failures: 0,
            is_alerting: false,
        }
    }

    /// The delay after the first failure, at least [`RETRY_DELAY_MIN`].
    #[must_use]
    pub const fn initial(mut self, initial: Duration) -> Self {
        self.initial = initial;
        self
    }

    /// The longest delay, at least [`RETRY_DELAY_MIN`]; the first delay is not longer either.
    #[must_use]
    pub const fn ceiling(mut self, ceiling: Duration) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// How many attempts there may be in all; of none, and of one, the first failure is the end.
    #[must_use]
    pub const fn attempts(mut self, max: u32) -> Self {
        self.attempts_max = Some(max);
        self
    }

    /// Raises an alert at this failure in a row, and at each after it.
    #[must_use]
    pub const fn alert_after(mut self, failures: u32) -> Self {
        self.alert_after = Some(failures);
        self
    }

    /// An attempt has failed.
    pub fn failed<A: Agent>(&mut self, cx: &mut Cx<'_, A>) -> Failed {
        self.failures = self.failures.saturating_add(1);
        let alert = self.alert_after.is_some_and(|after| self.failures >= after);
        self.is_alerting |= alert;
        let is_last = self.attempts_max.is_some_and(|max| self.failures >= max);
        let next =
            if is_last { Next::GiveUp } else { Next::Again(cx.entropy().jitter(self.delay())) };
        Failed { next, alert }
    }

    /// An attempt has succeeded: the next failure is the first again. Gives whether an alert was
    /// raised and is to be resolved.
    pub const fn succeeded(&mut self) -> bool {
        self.failures = 0;
        std::mem::replace(&mut self.is_alerting, false)
    }

    /// How many attempts have failed in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Before jitter.
    pub(super) fn delay(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(31);
        let delay = self.initial.max(RETRY_DELAY_MIN).saturating_mul(1 << doublings);
        delay.min(self.ceiling.max(RETRY_DELAY_MIN))
    }
}
