//! Where a daemon's log goes.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Config;

/// Logs to standard error as the configuration says. libp2p's own chatter is cut to warnings
/// unless the filter names it. Nothing happens when the program logs already.
pub fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::new(format!("warn,starling=info,starling_node=info,{}", config.log));
    let plain = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // The error says that a logger is set, which is what was asked for.
    if config.log_json {
        plain.json().try_init().ok();
    } else {
        plain.with_target(false).try_init().ok();
    }
}
