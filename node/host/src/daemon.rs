//! A whole daemon in one call.

use std::{env, ffi::OsString, io::Write, process::ExitCode};

use starling_core::engine::Kinds;

use crate::{Config, NodeError, Overrides, log_to_stderr, run};

/// The `main` of an application that is a daemon of its own: reads the configuration (files and
/// `STARLING_*`), logs to standard error, and runs until a signal or `p2p down`. It takes no
/// arguments: with any it ends at once, with 2 unless they ask for help.
///
/// For flags of your own, or a runtime of your own, call [`run`].
#[must_use]
pub fn main(agents: Kinds) -> ExitCode {
    if let Some(word) = env::args_os().nth(1) {
        return refuse(&word);
    }
    match daemon(agents) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// A daemon that passed over `--data-dir` would write to the wrong one.
fn refuse(word: &OsString) -> ExitCode {
    let help = "It is a daemon of Starling and takes no arguments. It is set up by files and by the \
                environment: STARLING_DATA_DIR, STARLING_LISTEN, STARLING_NAME and so on, one for \
                each setting.";
    if word == "--help" || word == "-h" {
        let _ = writeln!(std::io::stdout(), "{help}");
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr(), "error: {word:?} is not understood\n{help}");
    ExitCode::from(2)
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
