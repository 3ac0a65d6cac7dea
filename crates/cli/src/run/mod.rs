//! `tenure run`: a command that runs only while this process leads, and of which nothing is left
//! before another leads.
//!
//! ```text
//! tenure ──► guard ──► init ──► the command ──► whatever it starts
//! ```
//!
//! tenure stands for election and decides ([`supervisor`]). The guard kills all that is below it at
//! the moment that it was last given, or when tenure is gone. The init reaps, and in a PID namespace
//! takes everything along when it dies. Each is this program, started anew with a hidden name.

mod args;
mod begin;
mod child;
mod containment;
mod driver;
mod exit;
mod guard;
mod hearing;
mod hooks;
mod init;
mod notify;
mod options;
mod reaper;
mod saying;
mod signals;
mod stage;
mod state_file;
mod supervisor;
mod telling;
mod wire;

use std::{ffi::OsString, process::ExitCode};

pub(crate) use args::RunArgs;
pub(crate) use begin::run;
pub(crate) use exit::FAILED;
pub(crate) use options::{RunOptions, check};

/// The hidden stage that these arguments, the program's name first, ask for.
pub(crate) fn stage(arguments: &[OsString]) -> Option<ExitCode> {
    let (name, rest) = arguments.get(1..)?.split_first()?;
    match name.to_str()? {
        guard::STAGE => Some(guard::run(rest)),
        init::STAGE => Some(init::run(rest)),
        init::EXEC_STAGE => Some(init::exec(rest)),
        _ => None,
    }
}

/// What stands before `--`, and after.
fn split(arguments: &[OsString]) -> Option<(&[OsString], &[OsString])> {
    let at = arguments.iter().position(|argument| argument == "--")?;
    Some((arguments.get(..at)?, arguments.get(at + 1..)?))
}
