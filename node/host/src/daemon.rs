//! A whole daemon in one call.

use std::process::ExitCode;

use starling_core::engine::Kinds;

use crate::{Config, NodeError, Overrides, log_to_stderr, run};

/// The `main` of an application that is a daemon of its own: reads the configuration (files and
/// `STARLING_*`), logs to standard error, and runs until a signal or `p2p down`.
///
/// For flags of your own, or a runtime of your own, call [`run`].
#[must_use]
pub fn main(agents: Kinds) -> ExitCode {
    match daemon(agents) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn daemon(agents: Kinds) -> Result<(), Box<dyn std::error::Error>> {
    let fallback = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let config = match Config::load(&Overrides::default()) {
        Ok(config) => config,
        Err(why) => {
            fallback.try_init().ok();
            return Err(why.into());
        }
    };
    log_to_stderr(&config);
    // One thread: the loop and the connections wake each other for every message, and waking
    // another thread costs more than a message does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(NodeError::System)?.block_on(run(config, agents))?)
}
