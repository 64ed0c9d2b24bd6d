//! `netsim`: runs simulations from the command line, as `p2p sim` does.

use std::{process::ExitCode, sync::Arc};

use clap::{Parser, ValueEnum};
use starling_netsim::program::{Flags, Progress, Teller};

/// Runs whole meshes of real engines under virtual time; one seed decides everything
#[derive(Parser)]
#[command(name = "netsim", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    /// Text for people, JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn main() -> ExitCode {
    let Cli { flags, format } = Cli::parse();
    let teller: Option<Teller> = flags.trace.then(|| {
        let tell: Teller = Arc::new(|_, sentence| say(sentence));
        tell
    });
    match flags.simulate(&Progress::default(), teller.as_ref()) {
        Ok(simulated) => {
            match format {
                Format::Json => say(&simulated.json().to_string()),
                Format::Table => say(simulated.to_string().trim_end()),
            }
            if simulated.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            say_error(&why.to_string());
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "it is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "it is what this program is for")]
fn say_error(why: &str) {
    eprintln!("netsim: {why}");
}
