//! A control plane as a child process: how it is started, told what to do, and ended.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tokio::sync::oneshot;

/// The environment variable that names the control plane's program.
pub(crate) const PROGRAM: &str = "TENURE_CONTROL_PLANE";

/// How a control plane is started.
#[derive(Debug, Clone)]
pub struct PlaneOptions {
    feature_gates: Option<String>,
    runtime_config: Option<String>,
    fsync: bool,
    audit: bool,
    max_lifetime: Duration,
}

/// A running control plane. Dropping it ends its processes and waits for that.
pub(crate) struct Plane {
    /// `None` once it is told to end.
    stdin: Mutex<Option<ChildStdin>>,
    child: Mutex<Child>,
    waiting: Waiting,
    ended: Mutex<mpsc::Receiver<()>>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) audit_log: Option<PathBuf>,
}

/// Those who wait for the answer to a command, in the order of the commands; `None` once the
/// control plane has ended.
type Waiting = Arc<Mutex<Option<VecDeque<oneshot::Sender<Value>>>>>;

const READY_LIMIT: Duration = Duration::from_secs(120);
const COMMAND_LIMIT: Duration = Duration::from_secs(100);
const END_LIMIT: Duration = Duration::from_secs(15);

impl Default for PlaneOptions {
    fn default() -> Self {
        Self {
            feature_gates: None,
            runtime_config: None,
            fsync: false,
            audit: true,
            max_lifetime: Duration::from_secs(20 * 60),
        }
    }
}

impl PlaneOptions {
    /// Feature gates, as `A=true,B=false`.
    #[must_use]
    pub fn feature_gates(mut self, gates: impl Into<String>) -> Self {
        self.feature_gates = Some(gates.into());
        self
    }

    /// The API server's runtime configuration, as `GROUP/VERSION=true`.
    #[must_use]
    pub fn runtime_config(mut self, config: impl Into<String>) -> Self {
        self.runtime_config = Some(config.into());
        self
    }

    /// Lets etcd wait for the disk.
    #[must_use]
    pub fn fsync(mut self) -> Self {
        self.fsync = true;
        self
    }

    /// Leaves the audit log out: then there is no [`TestServer::write_log`].
    ///
    /// [`TestServer::write_log`]: crate::TestServer::write_log
    #[must_use]
    pub fn without_audit_log(mut self) -> Self {
        self.audit = false;
        self
    }

    /// After how long it ends whatever happens; 20 minutes by default, whole seconds.
    #[must_use]
    pub fn max_lifetime(mut self, limit: Duration) -> Self {
        self.max_lifetime = limit;
        self
    }

    fn arguments(&self, dir: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["serve".into(), "--rm".into()];
        let mut switch = |name: &str, value: &str| {
            arguments.extend([OsString::from(name), OsString::from(value)]);
        };
        let lifetime = format!("{}s", self.max_lifetime.as_secs().max(1));
        switch("--max-lifetime", &lifetime);
        if let Some(gates) = &self.feature_gates {
            switch("--feature-gates", gates);
        }
        if let Some(config) = &self.runtime_config {
            switch("--runtime-config", config);
        }
        if self.audit {
            // Only this level shows the resourceVersion that a write led to.
            switch("--audit-level", "RequestResponse");
            arguments.push("--audit-log".into());
        }
        if self.fsync {
            arguments.push("--fsync".into());
        }
        arguments.push("--dir".into());
        arguments.push(dir.into());
        arguments
    }
}

impl Plane {
    /// Starts one and waits until it is ready.
    ///
    /// It needs no particular tokio runtime afterwards: threads of its own talk to the process.
    pub(crate) async fn start(program: &Path, options: &PlaneOptions) -> Result<Self> {
        // `--rm` removes it, even when this process is killed.
        let dir = tempfile::Builder::new()
            .prefix("tenure-plane-")
            .tempdir()
            .context("cannot make a directory for the control plane")?
            .keep();
        let mut child = Command::new(program)
            .args(options.arguments(&dir))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                let _ = std::fs::remove_dir(&dir);
                format!(
                    "cannot start {}: {PROGRAM} must name the program that \
                     testing/control-plane/build.sh makes",
                    program.display()
                )
            })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the control plane has no pipes");
        };
        let (first, ready) = oneshot::channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(VecDeque::from([first]))));
        let (end, ended) = mpsc::channel();
        let lines = waiting.clone();
        std::thread::Builder::new()
            .name("control plane".to_owned())
            .spawn(move || {
                read_lines(stdout, &lines);
                let _ = end.send(());
            })
            .context("cannot start a thread")?;
        let mut plane = Self {
            stdin: Mutex::new(Some(stdin)),
            child: Mutex::new(child),
            waiting,
            ended: Mutex::new(ended),
            kubeconfig: PathBuf::new(),
            audit_log: None,
        };
        let ready = tokio::time::timeout(READY_LIMIT, ready)
            .await
            .map_err(|_| anyhow!("the control plane was not ready within {READY_LIMIT:?}"))?
            .context("the control plane ended before it was ready")?;
        if ready["event"] != "ready" {
            bail!("the control plane did not start: {ready}");
        }
        let path = |field: &str| ready[field].as_str().map(PathBuf::from);
        plane.kubeconfig = path("kubeconfig").context("the control plane names no kubeconfig")?;
        plane.audit_log = path("audit_log");
        Ok(plane)
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn command(&self, command: &str) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        {
            // One lock around both: the answers come in the order of the commands.
            let mut waiting = lock(&self.waiting);
            let queue = waiting.as_mut().context("the control plane has ended")?;
            let mut stdin = lock(&self.stdin);
            let stdin = stdin.as_mut().context("the control plane is ending")?;
            writeln!(stdin, "{command}").context("the control plane reads no commands")?;
            queue.push_back(sender);
        }
        let answer = tokio::time::timeout(COMMAND_LIMIT, receiver)
            .await
            .map_err(|_| anyhow!("no answer to {command} within {COMMAND_LIMIT:?}"))?
            .with_context(|| format!("the control plane ended during {command}"))?;
        match answer["event"].as_str() {
            Some("done") => Ok(()),
            _ => bail!("{command} failed: {answer}"),
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // The end of its standard input is its sign to go.
        lock(&self.stdin).take();
        let ended = lock(&self.ended).recv_timeout(END_LIMIT).is_ok();
        let mut child = lock(&self.child);
        if !ended {
            let _ = child.kill();
        }
        let _ = child.wait();
    }
}

fn read_lines(stdout: ChildStdout, waiting: &Waiting) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { break };
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        let last = matches!(event["event"].as_str(), Some("stopped" | "failed"));
        if last && event["reason"] != "end of input" {
            eprintln!("the control plane ended: {line}");
        }
        let next = lock(waiting).as_mut().and_then(VecDeque::pop_front);
        if let Some(next) = next {
            // Whoever waited may have given up.
            let _ = next.send(event);
        }
    }
    // Wakes those who still wait, and refuses further commands.
    lock(waiting).take();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
