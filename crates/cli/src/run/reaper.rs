//! Zombies: as process 1 of a container tenure inherits what others leave behind.

use std::{collections::HashSet, time::Duration};

use rustix::process::{Pid, WaitOptions};
use tokio::signal::unix::{SignalKind, signal};

use super::{child, containment::group};
use crate::failure::Failure;

/// How long a child may be dead before it counts as nobody's. Whoever started one itself, as those
/// who get credentials for the cluster do, has asked after it by then.
const NOBODYS_AFTER: Duration = Duration::from_secs(1);

/// Reaps, for as long as the program runs, what nobody else here waits for.
pub(super) fn start() -> Result<(), Failure> {
    let failed =
        |error| Failure::failed("cannot catch signals; nothing was started").because(error);
    let mut ended = signal(SignalKind::child()).map_err(failed)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| {
        Failure::failed("this system has no child subreapers; Linux 3.4 has").because(error)
    })?;
    tokio::spawn(async move {
        while ended.recv().await.is_some() {
            let mut seen = HashSet::new();
            loop {
                tokio::time::sleep(NOBODYS_AFTER).await;
                let zombies = zombies();
                for pid in zombies.intersection(&seen) {
                    if let Some(pid) = Pid::from_raw(*pid) {
                        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
                    }
                }
                if zombies.is_empty() {
                    break;
                }
                seen = zombies;
            }
        }
    });
    Ok(())
}

fn zombies() -> HashSet<i32> {
    let own = rustix::process::getpid().as_raw_pid();
    group::processes()
        .into_iter()
        .filter(|process| process.zombie && process.parent == own && !child::is_guard(process.pid))
        .map(|process| process.pid)
        .collect()
}
