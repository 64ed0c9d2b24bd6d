//! What the writer tells the main loop.

use std::{
    fmt::Debug,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// How far a writer has come, and the words in which the main loop is told.
pub(crate) trait Stage: Copy + Debug + Default + Send + 'static {
    type Error: Debug + Send;
    type Progress;

    /// What `told` does not say yet, if anything; it says it then.
    fn tell(self, told: &mut Self) -> Option<Self::Progress>;

    /// Nothing can be written now.
    fn full(why: String) -> Self::Progress;

    /// It is written again.
    fn works() -> Self::Progress;

    /// Nothing is written any more.
    fn failed(why: Self::Error) -> Self::Progress;
}

/// From the writer to the main loop. What the main loop has not heard is put together: it is told
/// where things stand, not every step.
#[derive(Debug, Default)]
pub(crate) struct Feed<S: Stage> {
    standing: Mutex<Standing<S>>,
    news: Notify,
}

#[derive(Debug)]
struct Standing<S: Stage> {
    stage: S,
    full: Option<String>,
    failed: Option<S::Error>,
    ended: bool,
    told: S,
    told_full: bool,
}

impl<S: Stage> Default for Standing<S> {
    fn default() -> Self {
        let (stage, told) = (S::default(), S::default());
        Self { stage, full: None, failed: None, ended: false, told, told_full: false }
    }
}

impl<S: Stage> Feed<S> {
    fn change(&self, change: impl FnOnce(&mut Standing<S>)) {
        change(&mut self.standing());
        self.news.notify_one();
    }

    fn standing(&self) -> MutexGuard<'_, Standing<S>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, stage: S) {
        self.change(|standing| (standing.stage, standing.told) = (stage, stage));
    }

    pub(super) fn stands(&self, stage: S) {
        self.change(|standing| (standing.full, standing.stage) = (None, stage));
    }

    pub(super) fn full(&self, why: &str) {
        self.change(|standing| standing.full = Some(why.to_owned()));
    }

    pub(super) fn failed(&self, why: S::Error) {
        self.change(|standing| standing.failed = Some(why));
    }

    pub(super) fn end(&self) {
        self.change(|standing| standing.ended = true);
    }

    /// Why nothing can be written now, if so.
    pub(super) fn why_full(&self) -> Option<String> {
        self.standing().full.clone()
    }

    /// The failure, if nobody has been told yet.
    pub(super) fn failure(&self) -> Option<S::Error> {
        self.standing().failed.take()
    }

    /// What is new, if anything is.
    pub(super) fn try_next(&self) -> Option<S::Progress> {
        self.standing().next()
    }

    /// Waits for what is new. `None` when the writer has ended and all was told.
    pub(super) async fn next(&self) -> Option<S::Progress> {
        loop {
            {
                let mut standing = self.standing();
                if let Some(news) = standing.next() {
                    return Some(news);
                }
                if standing.ended {
                    return None;
                }
            }
            self.news.notified().await;
        }
    }
}

impl<S: Stage> Standing<S> {
    fn next(&mut self) -> Option<S::Progress> {
        if let Some(why) = self.failed.take() {
            return Some(S::failed(why));
        }
        if self.full.is_some() != self.told_full {
            self.told_full = self.full.is_some();
            return Some(self.full.clone().map_or_else(S::works, S::full));
        }
        self.stage.tell(&mut self.told)
    }
}
