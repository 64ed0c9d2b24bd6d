//! A daemon that carries the load-making agents, for benchmarks.

use std::process::ExitCode;

fn main() -> ExitCode {
    starling_node::main(starling_tests::load::kinds())
}
