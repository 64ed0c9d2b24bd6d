//! What the journal's writer tells the main loop.

use starling_protocols::journal::Sequence;

use super::JournalError;
use crate::database;

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

/// How far a journal's writer has come: what is written, and what of it is durable.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stage {
    pub(super) written: Sequence,
    pub(super) durable: Sequence,
}

impl database::Stage for Stage {
    type Error = JournalError;
    type Progress = Progress;

    fn tell(self, told: &mut Self) -> Option<Progress> {
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

    fn full(why: String) -> Progress {
        Progress::Full { why }
    }

    fn works() -> Progress {
        Progress::Works
    }

    fn failed(why: JournalError) -> Progress {
        Progress::Failed(why)
    }
}
