//! The program `tenure`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenure_cli::run(std::env::args_os())
}
