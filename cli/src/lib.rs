//! `p2p`, the command line of Starling: starts and stops the daemon of this machine, and talks to
//! it over its control socket.

mod args;
mod client;
mod commands;
mod daemon;
mod demo;
mod failure;
mod json;
mod launch;
mod moment;
mod output;
mod progress;
mod session;
mod source;
mod table;
mod text;

use std::process::ExitCode;

use args::Cli;
use failure::{Exit, Failure};
use output::Output;
use session::Session;

/// Runs `p2p` with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { globals, command } = match args::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let session = Session::new(Output::new(&globals), globals);
    let done = run(command, &session);
    session.out.conclude(done).into()
}

fn run(command: args::Command, session: &Session) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::told(Exit::Failure, format!("cannot start: {e}")))?;
    let done = runtime.block_on(commands::run(command, session));
    // A thread that reads standard input cannot be interrupted: do not wait for it.
    runtime.shutdown_background();
    done
}
