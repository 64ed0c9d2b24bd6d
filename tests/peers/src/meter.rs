//! Counting and timing, with a warm-up that is thrown away.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{
    procs::{self, Usage},
    report::round,
};

/// The longest latency told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// The end of any run, whatever its clock says.
const MOST: u64 = 1_000_000_000;

/// Counts operations and their latencies between the warm-up and the end.
#[derive(Debug)]
pub struct Meter {
    pids: Vec<u32>,
    begin: Instant,
    end: Instant,
    last: Instant,
    at_begin: Option<Usage>,
    count: u64,
    latencies: Histogram<u64>,
}

impl Meter {
    /// A meter whose warm-up starts now; `kids` take part in the run.
    pub fn start(seconds: f64, kids: &[u32]) -> anyhow::Result<Self> {
        let now = Instant::now();
        let begin = now + warm_up(seconds);
        let mut pids = vec![std::process::id()];
        pids.extend_from_slice(kids);
        Ok(Self {
            pids,
            begin,
            end: begin + Duration::from_secs_f64(seconds),
            last: begin,
            at_begin: None,
            count: 0,
            latencies: Histogram::new_with_bounds(1, LONGEST, 3)?,
        })
    }

    /// Counts `count` operations that ended now. True while the run goes on.
    pub fn counted(&mut self, count: u64, now: Instant) -> bool {
        if now < self.begin {
            return true;
        }
        if self.at_begin.is_none() {
            self.at_begin = Some(procs::usage(&self.pids));
            self.begin = now;
            self.last = now;
            return true;
        }
        self.count += count;
        self.last = now;
        now < self.end && self.count < MOST
    }

    /// Counts `count` operations that took from `sent` until now, each.
    pub fn timed(&mut self, count: u64, sent: Instant, now: Instant) -> bool {
        self.took(count, now.saturating_duration_since(sent), now)
    }

    /// Counts `count` operations that took `latency`, each.
    pub fn took(&mut self, count: u64, latency: Duration, now: Instant) -> bool {
        let before = self.count;
        let on = self.counted(count, now);
        if self.count > before {
            let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latencies.saturating_record_n(nanos.max(1), count);
        }
        on
    }

    /// Operations measured.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Operations a second.
    pub fn rate(&self) -> f64 {
        let seconds = self.last.duration_since(self.begin).as_secs_f64();
        if seconds > 0.0 {
            self.count as f64 / seconds
        } else {
            0.0
        }
    }

    /// A quantile of the latencies, if any were taken.
    pub fn quantile_us(&self, quantile: f64) -> Option<f64> {
        let nanos = self.latencies.value_at_quantile(quantile);
        (!self.latencies.is_empty()).then(|| round(nanos as f64 / 1000.0))
    }

    /// Processor time since the warm-up, and memory now.
    pub fn usage(&self) -> Usage {
        let now = procs::usage(&self.pids);
        let before = self.at_begin.as_ref().and_then(|usage| usage.cpu_seconds);
        let cpu_seconds = now.cpu_seconds.zip(before).map(|(now, then)| now - then);
        Usage { cpu_seconds, ..now }
    }
}

/// A quarter of the run, within 0.2 to 1 second.
fn warm_up(seconds: f64) -> Duration {
    Duration::from_secs_f64((seconds / 4.0).clamp(0.2, 1.0))
}
