//! What the local peers share: one thread, and agents counted in memory.

use std::{future::Future, time::Instant};

use anyhow::{Context as _, Result};

use crate::{
    meter::Meter,
    pipeline::BATCH,
    procs,
    report::{Report, round},
    run,
};

/// Bytes of what the local peers send: one number.
const BODY: usize = size_of::<u64>();

/// Runs a client as one task beside its actor, on one thread.
pub fn on_one_thread<F, T>(client: F) -> Result<T>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    run::as_task(1, client)
}

/// Requests a second.
pub fn asked(name: &'static str, outstanding: usize, meter: &Meter) -> Report {
    let mut report = Report::rate(name, "asks/s", meter);
    report.outstanding = Some(outstanding);
    report.bytes = Some(BODY);
    report
}

/// Messages a second.
pub fn told(name: &'static str, meter: &Meter) -> Report {
    let mut report = Report::rate(name, "tells/s", meter);
    report.outstanding = Some(BATCH);
    report.bytes = Some(BODY);
    report
}

/// How long agents took to start and stop, and what they held between.
pub struct Lives {
    began: Instant,
    before: Option<u64>,
    between: Option<u64>,
    looking: f64,
    cpu: Option<f64>,
}

impl Lives {
    /// Before the first agent starts.
    pub fn begin() -> Self {
        let before = procs::usage(&[std::process::id()]);
        Self {
            before: before.rss_kib,
            cpu: before.cpu_seconds,
            between: None,
            looking: 0.0,
            began: Instant::now(),
        }
    }

    /// When all agents have started and idle.
    pub fn all_idle(&mut self) {
        let looking = Instant::now();
        self.between = procs::rss_kib(std::process::id());
        self.looking = looking.elapsed().as_secs_f64();
    }

    /// When all agents have stopped.
    pub fn report(self, name: &'static str, count: usize) -> Report {
        let seconds = self.began.elapsed().as_secs_f64() - self.looking;
        let mut usage = procs::usage(&[std::process::id()]);
        usage.cpu_seconds = usage
            .cpu_seconds
            .zip(self.cpu)
            .map(|(now, then)| now - then);
        usage.rss_kib = self.between;
        let held = self.between.zip(self.before);
        let held = held.map(|(now, then)| now.saturating_sub(then) as f64 * 1024.0);
        let mut report = Report::new(name, "agents/s", count as f64 / seconds, usage);
        report.count = Some(count as u64);
        report.bytes_per_agent = held.map(|bytes| round(bytes / count as f64));
        report
    }
}

/// Starts and stops a few agents, then all of them.
pub async fn lives<F, Fut>(name: &'static str, count: usize, mut live: F) -> Result<Report>
where
    F: FnMut(usize, Lives) -> Fut,
    Fut: Future<Output = Result<Lives>>,
{
    live(count / 100, Lives::begin())
        .await
        .context("warming up")?;
    let lives = live(count, Lives::begin()).await?;
    Ok(lives.report(name, count))
}
