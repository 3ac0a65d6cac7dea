//! The program `tenure`.

mod args;
mod campaign;
mod cluster;
mod console;
mod demo;
mod dev_server;
mod failure;
mod manifests;
mod names;
mod signals;
mod tasks;

use std::process::ExitCode;

use crate::{failure::Failure, tasks::Task};

fn main() -> ExitCode {
    let command_line = match tasks::parse(std::env::args_os()) {
        Ok(command_line) => command_line,
        Err(code) => return code,
    };
    let verbose = command_line.verbose;
    console::start_log(verbose);
    match tasks::check(command_line).and_then(run) {
        Ok(code) => code,
        Err(failure) => {
            console::note(&format!("tenure: {}", failure.message(verbose > 0)));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(task: Task) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::failed("cannot start threads; raise the limits of this process").because(error)
    })?;
    let code = runtime.block_on(async {
        match task {
            Task::Demo(options) => demo::run(options).await,
            Task::DemoCandidate => demo::candidate::run().await,
            Task::Campaign(options) => campaign::run(options).await,
            Task::Rbac(rights) => manifests::rbac(&rights),
            Task::Crd(install) => manifests::crd(install).await,
            Task::DevServer(options) => dev_server::run(options).await,
        }
    });
    // What still waits on a thread, such as a read of standard input, is not waited for.
    runtime.shutdown_background();
    code
}
