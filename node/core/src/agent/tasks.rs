//! Activities that take more than one handler: tried again until they succeed ([`Retry`]), repeated
//! ([`Periodic`]), run once at a time ([`Singleton`]), or waiting for something that happens in the
//! agent itself ([`Events`]).
//!
//! Each is a value in the agent's state, made of what [`Cx`] offers: [`after`](Cx::after),
//! [`begin`](Cx::begin), [`during`](Cx::during), [`end`](Cx::end) and [`cancel`](Cx::cancel). None
//! of them calls the agent: what is due comes back as a continuation of the agent's own.
//!
//! What [`Periodic`] and [`Singleton`] set in motion is no part of the [`Task`] in which it was
//! started: it goes on when that ends, until it is stopped itself.

mod events;
mod periodic;
mod retry;
mod singleton;

pub use events::{EventWait, Events, News};
pub use periodic::Periodic;
pub use retry::{Failed, Next, Retry};
pub use singleton::{Singleton, Started};

use super::{Agent, Cx, Task, WaitId};

/// Runs `body` as a part of no task, whatever the handler is a part of.
fn apart<A: Agent, T>(cx: &mut Cx<'_, A>, body: impl FnOnce(&mut Cx<'_, A>) -> T) -> T {
    // Of the task that is named nothing becomes a part: it only brings the outer one back.
    cx.during(Task(WaitId(u64::MAX)), |cx| {
        cx.go_on_with(None);
        body(cx)
    })
}

/// Whether something is still waited for.
fn is_open<A: Agent>(cx: &Cx<'_, A>, wait: WaitId) -> bool {
    cx.is_running(Task(wait))
}

#[cfg(test)]
mod tests;
