//! The very `p2p` of this workspace, built with the tests that run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    starling_cli::main()
}
