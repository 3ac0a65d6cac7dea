//! `tenure-sim`: see `tenure-sim --help`.
use std::process::ExitCode;

fn main() -> ExitCode {
    tenure_sim::command::main()
}
