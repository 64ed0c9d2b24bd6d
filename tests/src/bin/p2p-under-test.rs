//! `p2p` as the tests run it: built with them, so that it is never an old one.

use std::process::ExitCode;

fn main() -> ExitCode {
    starling_cli::main()
}
