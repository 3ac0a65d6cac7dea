//! One candidate, or a crowd of them: a process of its own, which says in lines of JSON what
//! happens.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tenure::clock::{Clock as _, SystemClock};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

use crate::plane::Bench;

/// On what it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program `tenure`.
    Tenure,
    /// The least program on the library.
    Library,
    ClientGo,
    Kubert,
    KubeLeaseManager,
    KubeLeaderElection,
    /// The least program on the library, which renews every five seconds.
    OwnPace,
    /// No candidate: a program that watches one Lease, and does nothing else.
    Alone,
}

/// One line of a candidate.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) unix_ns: i64,
    pub(crate) holder: Option<String>,
}

/// Who stands, and for what.
pub(crate) struct Standing<'a> {
    pub(crate) lock: &'a str,
    /// Only the program `tenure` and client-go are told it.
    pub(crate) identity: &'a str,
    pub(crate) candidates: usize,
    pub(crate) locks: usize,
}

/// A running process, which is killed when it is dropped.
pub(crate) struct Candidate {
    pub(crate) identity: String,
    pub(crate) pid: i32,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

/// Nobody takes longer to lead, however dead the last leader is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

impl Kind {
    /// The Rust libraries that are no tenure.
    pub(crate) const OTHERS: [Self; 3] = [
        Self::Kubert,
        Self::KubeLeaseManager,
        Self::KubeLeaderElection,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Library => "tenure, library",
            Self::OwnPace => "tenure, every 5 s",
            Self::Alone => "kube 5 alone",
            other => other.slug(),
        }
    }

    /// As a part of a lock's name.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Tenure => "tenure",
            Self::Library => "library",
            Self::ClientGo => "client-go",
            Self::Kubert => "kubert",
            Self::KubeLeaseManager => "kube-lease-manager",
            Self::KubeLeaderElection => "kube-leader-election",
            Self::OwnPace => "own-pace",
            Self::Alone => "kube-alone",
        }
    }

    /// One round of it takes many seconds.
    pub(crate) fn is_slow(self) -> bool {
        Self::OTHERS.contains(&self)
    }
}

impl Candidate {
    pub(crate) fn start(bench: &Bench, kind: Kind, who: &Standing<'_>) -> Result<Self> {
        let program: &Path = bench.program(kind);
        let mut command = Command::new(program);
        match kind {
            Kind::Tenure => command.args(["campaign", who.lock, "--json", "-n", "default"]),
            _ => command
                .args(["--name", who.lock])
                .args(["--candidates", &who.candidates.to_string()]),
        };
        if !matches!(kind, Kind::Tenure | Kind::Alone) {
            command.args(["--locks", &who.locks.to_string()]);
        }
        match kind {
            Kind::Library | Kind::Alone => {}
            Kind::OwnPace => drop(command.args(["--retry-period", "5"])),
            _ => drop(command.args(["--identity", who.identity])),
        }
        command.arg("--kubeconfig").arg(bench.server.kubeconfig());
        Self::spawn(command, who.identity)
    }

    /// A process that says in lines of JSON what happens.
    pub(crate) fn spawn(mut command: Command, identity: &str) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("it has no output")?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        // Read at once, so that no candidate ever waits for us.
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut out = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = out.next_line().await {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            identity: identity.to_owned(),
            pid: pid.context("it has no pid")?,
            child,
            lines,
        })
    }

    /// Wait for a line that fits. Cancel safe.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Told) -> bool) -> Result<Told> {
        let told = async {
            while let Some(line) = self.lines.recv().await {
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

    /// When its releasing write was sent.
    pub(crate) async fn released(&mut self) -> Result<i64> {
        Ok(self.until(|told| told.event == "released").await?.unix_ns)
    }

    /// Wait until it knows of a leader that is not itself.
    pub(crate) async fn stands_by(&mut self) -> Result<()> {
        self.until(|told| told.event == "standby" && told.holder.is_some())
            .await
            .map(|_| ())
    }

    /// How many of the lines that were read and not waited for tell of `event`.
    pub(crate) fn count(&mut self, event: &str) -> usize {
        let mut count = 0;
        while let Ok(line) = self.lines.try_recv() {
            let told = serde_json::from_str::<Told>(&line);
            count += usize::from(told.is_ok_and(|told| told.event == event));
        }
        count
    }

    /// Send it a signal; the time at which that was done, in nanoseconds since 1970.
    pub(crate) fn signal(&self, signal: Signal) -> Result<i64> {
        // While the child is not waited for, its pid is nobody else's.
        self.child.id().context("it has ended")?;
        let now = unix_ns();
        kill_process(Pid::from_raw(self.pid).context("it has no pid")?, signal)?;
        Ok(now)
    }

    pub(crate) async fn ended(mut self) -> Result<()> {
        timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| anyhow!("{} does not end", self.identity))??;
        Ok(())
    }
}

/// The wall clock, by which the candidates tell when something happened.
pub(crate) fn unix_ns() -> i64 {
    SystemClock.wall().as_micros().saturating_mul(1000)
}

/// From nanoseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "differences of times within a run"
)]
pub(crate) fn millis(ns: i64) -> f64 {
    ns as f64 / 1e6
}
