//! Which parts of the network have something to do.
//!
//! The main loop polls the swarm and every lane in its own task, without a task in between. With
//! a waker for each of them, a wake-up costs one poll of the part that has news and not one of
//! each: polling the swarm for every message on a lane would cost more than the message.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use futures::task::AtomicWaker;
use starling_protocols::ident::HostId;

/// A part that is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Connections and everything but lanes.
    Swarm,
    /// Strangers who want to join.
    Joins,
    /// Pauses that are over.
    Clock,
    /// A lane and its generation.
    Lane(HostId, u64),
}

/// The parts that have asked to be polled, each at most once: that bounds the queue.
#[derive(Debug, Default)]
pub(crate) struct Ready(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<Arc<Flag>>>,
    task: AtomicWaker,
}

#[derive(Debug)]
struct Flag {
    source: Source,
    queued: AtomicBool,
    shared: Arc<Shared>,
}

/// The bell of one part.
#[derive(Clone, Debug)]
pub(crate) struct Bell {
    flag: Arc<Flag>,
    waker: Waker,
}

impl Ready {
    /// A bell for `source`, rung once so that it gets its first poll.
    pub(crate) fn bell(&self, source: Source) -> Bell {
        let flag =
            Arc::new(Flag { source, queued: AtomicBool::new(false), shared: Arc::clone(&self.0) });
        let bell = Bell { waker: Waker::from(Arc::clone(&flag)), flag };
        bell.waker.wake_by_ref();
        bell
    }

    /// The task to wake when a bell rings.
    pub(crate) fn register(&self, task: &Waker) {
        self.0.task.register(task);
    }

    /// The next part to poll, the one that has waited longest.
    pub(crate) fn pop(&self) -> Option<Source> {
        let flag = self.0.lock().pop_front()?;
        // Before the poll: what rings while it is polled must lead to another poll.
        flag.queued.store(false, Ordering::Release);
        Some(flag.source)
    }
}

impl Bell {
    /// The waker to poll the part with.
    pub(crate) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Asks for another poll. The task is not woken: this is for the task itself.
    pub(crate) fn again(&self) {
        self.flag.enqueue();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Flag>>> {
        // Nothing can panic while the queue is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flag {
    fn enqueue(self: &Arc<Self>) -> bool {
        let new = !self.queued.swap(true, Ordering::AcqRel);
        if new {
            self.shared.lock().push_back(Arc::clone(self));
        }
        new
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.enqueue() {
            self.shared.task.wake();
        }
    }
}
