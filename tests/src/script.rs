use starling_protocols::journal::Batch;

use crate::story::Story;

/// A story told to its end: most batches are waited for, some are not, and in the middle a new file
/// begins.
#[derive(Debug)]
pub struct Script {
    /// What was told so far.
    pub story: Story,
    step: u64,
    steps: u64,
}

impl Script {
    /// Tells so many batches.
    #[must_use]
    pub const fn new(story: Story, steps: u64) -> Self {
        Self { story, step: 0, steps }
    }
}

impl Iterator for Script {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.step == self.steps {
            return None;
        }
        let step = self.step;
        self.step += 1;
        if step == self.steps / 2 {
            return Some(self.story.rotate());
        }
        let mut batch = self.story.step(step);
        batch.urgent = step % 4 != 2;
        Some(batch)
    }
}
