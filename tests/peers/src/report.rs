//! The one line each subcommand prints.

use serde::Serialize;

use crate::{cli::Requests, meter::Meter, procs::Usage};

/// What came of a subcommand: a number, or a reason why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// The peer ran.
    Measured(Report),
    /// The peer cannot run here.
    Skipped {
        /// The subcommand.
        name: &'static str,
        /// Why, in words.
        skipped: String,
    },
}

impl Outcome {
    /// A peer that cannot run here.
    pub fn skipped(name: &'static str, reason: impl Into<String>) -> Self {
        let skipped = reason.into();
        Self::Skipped { name, skipped }
    }

    /// The outcome as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Self::Measured(report)
    }
}

/// The numbers of one run; what does not apply stays out of the line.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The subcommand.
    pub name: &'static str,
    /// The unit of `value`.
    pub unit: &'static str,
    /// The number to compare.
    pub value: f64,
    /// Median latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// Latency of the slowest hundredth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// Bytes of one message's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Requests kept under way, or messages between two waits for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding: Option<usize>,
    /// Hosts, agents of a cluster, or subscribers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<usize>,
    /// Operations measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Deliveries that never came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Resident memory one idle agent adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_agent: Option<f64>,
    /// Resident memory at the end, of all processes that took part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_kib: Option<u64>,
    /// Processor time of the measured part, of the same processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
}

impl Report {
    /// Operations a second, with latencies where the meter has any.
    pub fn rate(name: &'static str, unit: &'static str, meter: &Meter) -> Self {
        let mut report = Self::new(name, unit, meter.rate(), meter.usage());
        report.count = Some(meter.count());
        report.p50_us = meter.quantile_us(0.5);
        report.p99_us = meter.quantile_us(0.99);
        report
    }

    /// Requests a second between two processes.
    pub fn requests(name: &'static str, args: &Requests, meter: &Meter) -> Self {
        let mut report = Self::rate(name, "req/s", meter);
        report.bytes = Some(args.bytes);
        report.outstanding = Some(args.outstanding);
        report
    }

    /// A median latency in microseconds.
    pub fn latency(name: &'static str, meter: &Meter) -> Self {
        let mut report = Self::rate(name, "us", meter);
        report.value = report.p50_us.unwrap_or_default();
        report
    }

    /// A bare number.
    pub fn new(name: &'static str, unit: &'static str, value: f64, usage: Usage) -> Self {
        Self {
            name,
            unit,
            value: round(value),
            rss_kib: usage.rss_kib,
            cpu_seconds: usage.cpu_seconds.map(round),
            ..Self::default()
        }
    }
}

/// Three digits after the point are more than any of these numbers hold.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
