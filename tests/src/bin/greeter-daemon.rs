//! A daemon that carries greeters: those of the newer program, when `GREETER_VERSION` is 2.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let newer = env::var("GREETER_VERSION").is_ok_and(|version| version == "2");
    starling_node::main(starling_tests::greeters::kinds(newer))
}
