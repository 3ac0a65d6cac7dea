//! The program `tenure`, but for its entry. Nothing here is meant to be built upon: the library is
//! the crate `tenure`.

mod args;
mod campaign;
mod cluster;
mod config;
mod console;
mod demo;
mod dev_server;
mod failure;
mod log;
mod manifests;
mod names;
#[cfg(unix)]
mod run;
mod see;
mod sidecar;
mod signals;
mod standing;
mod steer;
mod tasks;

use std::{ffi::OsString, process::ExitCode};

use crate::{failure::Failure, tasks::Task};

/// The program with these arguments, its own name first.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    #[cfg(unix)]
    if let Some(code) = run::stage(&arguments) {
        return code;
    }
    if let Some(code) = see::complete(&arguments) {
        return code;
    }
    let command_line = match tasks::parse(arguments.clone()) {
        Ok(command_line) => command_line,
        Err(code) => return code,
    };
    let verbose = command_line.verbose;
    console::start_log(
        verbose,
        command_line.log_format,
        tasks::quiet(&command_line),
    );
    let task = tasks::check(command_line).map_err(|failure| {
        match config::origin(&arguments, &failure.message(false)) {
            Some(origin) => failure.with(&origin),
            None => failure,
        }
    });
    let done = task.and_then(carry_out);
    log::finish();
    match done {
        Ok(code) => code,
        Err(failure) => {
            console::fail(&format!("tenure: {}", failure.message(verbose > 0)));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// What is wrong with these arguments: the exit code, and the line that says so. `None` where
/// there is something to do, or help to show. Nothing is tried.
#[doc(hidden)]
pub fn refusal(arguments: impl Iterator<Item = OsString>) -> Option<(u8, String)> {
    let arguments: Vec<OsString> = arguments.collect();
    let misused = tasks::misused(&arguments);
    let command_line = match tasks::read(arguments) {
        Ok(command_line) => command_line,
        Err(error) => return tasks::complaint(&error).map(|line| (misused, line)),
    };
    let verbose = command_line.verbose > 0;
    let failure = tasks::check(command_line).err()?;
    Some((failure.exit_code(), failure.message(verbose)))
}

/// The configuration that `--kubeconfig` with this file makes, or what the program would say.
#[doc(hidden)]
pub async fn config_of(kubeconfig: std::path::PathBuf) -> Result<kube::Config, String> {
    let choice = cluster::ClusterChoice {
        kubeconfig: Some(kubeconfig),
        context: None,
    };
    choice
        .config()
        .await
        .map_err(|failure| failure.message(false))
}

fn carry_out(task: Task) -> Result<ExitCode, Failure> {
    let mut runtime = match task {
        // Of many candidates on one machine each should need as few turns as possible to learn that the
        // lock is free. Whatever it says is written by other threads.
        Task::Campaign(_) => tokio::runtime::Builder::new_current_thread(),
        Task::Demo(_) | Task::DevServer(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            // An election is little work, on however large a machine.
            runtime.worker_threads(2);
            runtime
        }
    };
    let runtime = runtime.enable_all().build().map_err(|error| {
        Failure::failed("cannot start threads; raise the limits of this process").because(error)
    })?;
    let code = runtime.block_on(async {
        match task {
            Task::Demo(options) => demo::run(options).await,
            Task::DemoCandidate => demo::candidate::run().await,
            // A task of its own: each wake-up of what a runtime blocks on is a call of the kernel.
            Task::Campaign(options) => match tokio::spawn(campaign::run(*options)).await {
                Ok(code) => code,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            },
            #[cfg(unix)]
            Task::Run(options) => run::run(*options)
                .await
                .map_err(|failure| failure.with_code(run::FAILED)),
            Task::Sidecar(options) => sidecar::run(*options).await,
            Task::SteerRights(yaml) => console::print(&yaml).map(|()| ExitCode::SUCCESS),
            Task::Steer(order) => steer::run(*order).await,
            Task::See(task) => see::run(*task).await,
            Task::Rbac(rights) => manifests::rbac(&rights),
            Task::Crd(install) => manifests::crd(install).await,
            Task::DevServer(options) => dev_server::run(options).await,
        }
    });
    // What still waits on a thread, such as a read of standard input, is not waited for.
    runtime.shutdown_background();
    code
}
