//! The `p2p` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    starling_cli::main()
}
