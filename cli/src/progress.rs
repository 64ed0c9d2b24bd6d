//! A bar for what takes long, on a terminal only.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::output::Output;

/// What is done within this time shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far something is.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    wanted: bool,
    what: &'static str,
}

impl Progress {
    pub(crate) fn new(out: &Output, what: &'static str) -> Self {
        let wanted = std::io::stderr().is_terminal() && !out.quiet;
        Self { bar: None, begun: Instant::now(), wanted, what }
    }

    pub(crate) fn tell(&mut self, done: u64, of: u64) {
        if !self.wanted || self.begun.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(of), target);
            let style = "{msg} {bar:30} {human_pos}/{human_len} {per_sec} {eta} left";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(self.what);
            bar
        });
        bar.set_length(of.max(done));
        bar.set_position(done);
    }

    /// Takes the bar away, before something is printed.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.wanted = false;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
