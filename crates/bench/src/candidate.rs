//! One candidate: a process of its own, which says in lines of JSON what happens to it.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// On what it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tenure,
    ClientGo,
}

/// One line of a candidate.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) unix_ns: i64,
    pub(crate) holder: Option<String>,
}

/// A running candidate, which is killed when it is dropped.
pub(crate) struct Candidate {
    pub(crate) identity: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Nobody takes longer to lead, however dead the last leader is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tenure => "tenure",
            Self::ClientGo => "client-go",
        }
    }
}

impl Candidate {
    pub(crate) fn start(
        program: &Path,
        kind: Kind,
        kubeconfig: &Path,
        lock: &str,
        identity: &str,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        match kind {
            Kind::Tenure => command.args(["campaign", lock, "--json", "--namespace", "default"]),
            Kind::ClientGo => command.args(["--name", lock]),
        };
        let mut child = command
            .arg("--identity")
            .arg(identity)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("it has no output")?;
        Ok(Self {
            identity: identity.to_owned(),
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Wait for a line that fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Told) -> bool) -> Result<Told> {
        let told = async {
            while let Some(line) = self.lines.next_line().await? {
                let told: Told = serde_json::from_str(&line)
                    .with_context(|| format!("{} says {line:?}", self.identity))?;
                if fits(&told) {
                    return Ok(told);
                }
            }
            bail!("{} has ended", self.identity)
        };
        timeout(PATIENCE, told)
            .await
            .map_err(|_| anyhow!("{} did not say it within {PATIENCE:?}", self.identity))?
    }

    pub(crate) async fn leads(&mut self) -> Result<i64> {
        Ok(self.until(|told| told.event == "leading").await?.unix_ns)
    }

    /// Wait until it knows of a leader that is not itself.
    pub(crate) async fn stands_by(&mut self) -> Result<()> {
        self.until(|told| told.event == "standby" && told.holder.is_some())
            .await
            .map(|_| ())
    }

    /// Send it a signal; the time at which that was done, in nanoseconds since 1970.
    pub(crate) fn signal(&self, signal: Signal) -> Result<i64> {
        let id = self.child.id().context("it has ended")?;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let now = unix_ns();
        kill_process(pid.context("it has no pid")?, signal)?;
        Ok(now)
    }

    pub(crate) async fn ended(mut self) -> Result<()> {
        timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| anyhow!("{} does not end", self.identity))??;
        Ok(())
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let id = self.child.id().context("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|kib| kib.parse::<f64>().ok());
        Ok(kib.context("no VmRSS")? / 1024.0)
    }
}

pub(crate) fn unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// From nanoseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "differences of times within a run"
)]
pub(crate) fn millis(ns: i64) -> f64 {
    ns as f64 / 1e6
}
