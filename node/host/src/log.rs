//! Where a daemon's log goes.

use std::{
    io::{IsTerminal, stderr},
    sync::OnceLock,
};

use starling_core::agent::Level;
use starling_protocols::ident::AgentId;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    config::Config,
    journal::{Journal, LogHandle, LogLayer},
};

/// What the libraries below say is cut to warnings, unless the configuration names them.
const LIBRARIES: &str = "libp2p=warn,multistream_select=warn,quinn=warn,yamux=warn,hickory=warn";

/// A program has one log, and so one way from it into the journal.
static JOURNAL: OnceLock<LogHandle> = OnceLock::new();

/// Logs to standard error as the configuration says, and into the journal once it is open. Nothing
/// happens when the program logs already.
pub fn log_to_stderr(config: &Config) {
    let filter = || EnvFilter::new(format!("{LIBRARIES},{}", config.log));
    let (journal, handle) = LogLayer::new(tracing::Level::DEBUG);
    let plain = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let screen = if config.log_json {
        plain.json().with_filter(filter()).boxed()
    } else {
        plain.with_target(false).with_filter(filter()).boxed()
    };
    let log = Registry::default().with(screen).with(journal.with_filter(filter()));
    // An error says that a logger is set, which is what was asked for.
    if log.try_init().is_ok() {
        JOURNAL.set(handle).ok();
    }
}

/// Has what the program says written into this journal as well.
pub(crate) fn log_into(journal: &Journal) {
    if let Some(handle) = JOURNAL.get() {
        journal.keep_logs(handle);
    }
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
