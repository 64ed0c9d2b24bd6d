//! Where a daemon's log goes.

use std::io::{IsTerminal, stderr};

use starling_core::agent::Level;
use starling_protocols::ident::AgentId;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Config;

/// What the libraries below say is cut to warnings, unless the configuration names them.
const LIBRARIES: &str = "libp2p=warn,multistream_select=warn,quinn=warn,yamux=warn,hickory=warn";

/// Logs to standard error as the configuration says. Nothing happens when the program logs already.
pub fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::new(format!("{LIBRARIES},{}", config.log));
    let plain = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // The error says that a logger is set, which is what was asked for.
    if config.log_json {
        plain.json().try_init().ok();
    } else {
        plain.with_target(false).try_init().ok();
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
