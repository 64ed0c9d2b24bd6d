//! What the writer tells the main loop.

use std::sync::{Mutex, MutexGuard, PoisonError};

use starling_protocols::journal::Sequence;
use tokio::sync::Notify;

use super::JournalError;

/// What has become of the batches.
#[derive(Debug)]
pub enum Progress {
    /// Every record before this one is written; a crash of the daemon does not lose it, a power
    /// cut may.
    Written(Sequence),
    /// Every record before this one is durable.
    Durable(Sequence),
    /// Nothing can be written now. Nothing is lost; it is tried again every second.
    Full {
        /// Why, and what to do.
        why: String,
    },
    /// It is written again, after [`Full`](Self::Full).
    Works,
    /// Nothing is written any more, and nothing more is ever durable. The daemon must end.
    Failed(JournalError),
}

/// From the writer to the main loop. What the main loop has not heard is put together: it is told
/// where things stand, not every step.
#[derive(Debug, Default)]
pub(super) struct Feed {
    standing: Mutex<Standing>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Standing {
    written: Sequence,
    durable: Sequence,
    full: Option<String>,
    failed: Option<JournalError>,
    ended: bool,
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    written: Sequence,
    durable: Sequence,
    full: bool,
}

impl Feed {
    fn change(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing());
        self.news.notify_one();
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, next: Sequence) {
        self.change(|standing| {
            (standing.written, standing.durable) = (next, next);
            standing.told = Told { written: next, durable: next, full: false };
        });
    }

    pub(super) fn written(&self, upto: Sequence, durable: bool) {
        self.change(|standing| {
            standing.full = None;
            standing.written = upto;
            if durable {
                standing.durable = upto;
            }
        });
    }

    pub(super) fn full(&self, why: &str) {
        self.change(|standing| standing.full = Some(why.to_owned()));
    }

    pub(super) fn failed(&self, why: JournalError) {
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
    pub(super) fn failure(&self) -> Option<JournalError> {
        self.standing().failed.take()
    }

    /// What is new, if anything is.
    pub(super) fn try_next(&self) -> Option<Progress> {
        self.standing().next()
    }

    /// Waits for what is new. `None` when the writer has ended and all was told.
    pub(super) async fn next(&self) -> Option<Progress> {
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

impl Standing {
    fn next(&mut self) -> Option<Progress> {
        let told = &mut self.told;
        if let Some(why) = self.failed.take() {
            return Some(Progress::Failed(why));
        }
        if self.full.is_some() != told.full {
            told.full = self.full.is_some();
            return Some(match &self.full {
                Some(why) => Progress::Full { why: why.clone() },
                None => Progress::Works,
            });
        }
        if self.durable > told.durable {
            told.durable = self.durable;
            told.written = told.written.max(self.durable);
            return Some(Progress::Durable(self.durable));
        }
        if self.written > told.written {
            told.written = self.written;
            return Some(Progress::Written(self.written));
        }
        None
    }
}
