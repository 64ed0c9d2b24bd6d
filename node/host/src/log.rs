//! Where a daemon's log goes.

use std::{
    io::{IsTerminal, stderr},
    sync::OnceLock,
};

use starling_core::agent::Level;
use starling_protocols::ident::AgentId;
use tracing::Level as Importance;
use tracing_subscriber::{
    EnvFilter, Layer, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

use crate::{
    config::Config,
    journal::{LogHandle, LogLayer},
};

/// What connects the log with the journal that is opened later.
static JOURNAL: OnceLock<LogHandle> = OnceLock::new();

/// What the libraries below say is cut to warnings, unless the configuration names them.
const LIBRARIES: &str = "libp2p=warn,multistream_select=warn,quinn=warn,yamux=warn,hickory=warn";

/// Logs to standard error as the configuration says, and to the journal of the daemon that this
/// process runs. Nothing happens when the program logs already.
pub fn log_to_stderr(config: &Config) {
    let filter = || EnvFilter::new(format!("{LIBRARIES},{}", config.log));
    let plain = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let plain = if config.log_json {
        plain.json().with_filter(filter()).boxed()
    } else {
        plain.with_target(false).with_filter(filter()).boxed()
    };
    let (kept, handle) = LogLayer::new(Importance::TRACE);
    let both = registry().with(plain).with(kept.with_filter(filter()));
    // The error says that a logger is set, which is what was asked for.
    if both.try_init().is_ok() {
        let _ = JOURNAL.set(handle);
    }
}

/// What connects the log with a journal, if [`log_to_stderr`] made the logger of this process.
pub(crate) fn journal_handle() -> Option<&'static LogHandle> {
    JOURNAL.get()
}

/// What an agent says to people.
pub(crate) fn say(agent: AgentId, kind: &str, level: Level, text: &str) {
    match level {
        Level::Error => tracing::error!(target: "agent", %agent, kind, "{text}"),
        Level::Warn => tracing::warn!(target: "agent", %agent, kind, "{text}"),
        Level::Info => tracing::info!(target: "agent", %agent, kind, "{text}"),
        Level::Debug => tracing::debug!(target: "agent", %agent, kind, "{text}"),
    }
}
