//! From what was asked for to a candidate that stands, with a guard that is ready.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::ExitCode,
    time::Duration,
};

use tenure::LeaderElection;

use super::{
    child::{self, Guarded},
    containment::Containment,
    driver::{self, Driver, Held},
    exit, notify,
    options::RunOptions,
    reaper, signals,
    wire::Report,
};
use crate::{console, failure::Failure, standing};

/// How long the first guard may take to get ready.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// Stands for election, and runs the command while leading.
pub(crate) async fn run(options: RunOptions) -> Result<ExitCode, Failure> {
    let began = tenure::now();
    let mut signals = signals::catch()?;
    reaper::start()?;
    // Whoever waits does so from the start.
    let patience = options.policy.wait.map(|wait| began.after(wait));
    let begun = {
        let begun = begin(&options);
        tokio::pin!(begun);
        loop {
            tokio::select! {
                begun = &mut begun => break begun?,
                // Before anything is begun all of the signals that end a program end it.
                Some(signal) = signals.recv() => if matches!(signal, 1 | 2 | 3 | 15) {
                    return Ok(ExitCode::from(exit::of_signal(signal)));
                },
                () = driver::sleep_until(patience) => {
                    let name = &options.stand.name;
                    console::fail(&format!(
                        "tenure: gave up the lock {name:?}: the API server has not answered, or a \
                         command for credentials has not"
                    ));
                    return Ok(ExitCode::from(exit::WAITED));
                }
            }
        }
    };
    let (containment, command, election) = begun;
    let held = Held {
        containment,
        command,
    };
    let mut driver = Driver::new(options, held, election, signals, began)?;
    notify::tell("READY=1\nSTATUS=standing by");
    let code = driver.drive().await;
    notify::tell("STOPPING=1");
    driver.leave().await;
    Ok(ExitCode::from(code))
}

async fn begin(options: &RunOptions) -> Result<(Containment, Guarded, LeaderElection), Failure> {
    let (containment, command) = ready(options).await?;
    tracing::info!(target: "tenure", containment = containment.name(), "the command is held by");
    let election = standing::election(&options.stand).await?;
    Ok((containment, command, election))
}

/// The first containment that the place allows, with a guard that is ready.
async fn ready(options: &RunOptions) -> Result<(Containment, Guarded), Failure> {
    let mut refused = Vec::new();
    for containment in &options.containments {
        let mut guarded = arm(*containment, &options.command, child::stdin())?;
        let report = tokio::time::timeout(READY_LIMIT, guarded.next()).await;
        let why = match report {
            Ok(Report::Ready { .. }) => return Ok((*containment, guarded)),
            Ok(Report::Refused { why }) => why,
            Ok(_) => "its guard has ended".to_owned(),
            Err(_) => format!("its guard was not ready within {READY_LIMIT:?}"),
        };
        refused.push(format!("{}: {why}", containment.name()));
    }
    Err(Failure::failed(format!(
        "this place does not allow the containment that was asked for ({}); leave --containment out, \
         or grant what it needs",
        refused.join("; ")
    )))
}

/// With `stdin` for the command.
pub(super) fn arm(
    containment: Containment,
    command: &[OsString],
    stdin: io::Result<OwnedFd>,
) -> Result<Guarded, Failure> {
    let failed = |error| {
        Failure::failed("cannot start a guard; raise the limits of this process").because(error)
    };
    let stdin = stdin.map_err(failed)?;
    Guarded::arm(containment, command, stdin.as_fd()).map_err(failed)
}
