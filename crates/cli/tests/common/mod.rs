//! Running the program and reading what it says.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test program uses a part of it

#[cfg(unix)]
pub mod http;
#[cfg(unix)]
pub mod running;
#[cfg(unix)]
pub mod steering;
#[cfg(unix)]
pub mod terminal;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;
use tenure::clock::{Clock as _, SystemClock};

/// The longest that anything here may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A kubeconfig file for a server without TLS, whatever that answers.
pub fn kubeconfig_of(server: &std::net::TcpListener) -> tempfile::NamedTempFile {
    let url = format!("http://{}", server.local_addr().unwrap());
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": url}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    file
}

/// The program, in an environment in which it finds no cluster by itself.
pub fn tenure(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    command.args(args).stdin(Stdio::null());
    for name in [
        "KUBECONFIG",
        "POD_NAME",
        "POD_UID",
        "NAMESPACE",
        "POD_NAMESPACE",
        "CONTAINER_NAME",
        "KUBERNETES_SERVICE_HOST",
        "RUST_LOG",
        "TENURE_BROKEN_FOR_TESTS",
    ] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"TENURE_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", "/nonexistent");
    command
}

pub fn output(args: &[&str]) -> Output {
    tenure(args).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A kubeconfig in that directory, of a server that is not there.
pub fn nowhere(directory: &std::path::Path) -> String {
    let file = directory.join("nowhere");
    let yaml = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n\
         contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n";
    std::fs::write(&file, yaml).unwrap();
    file.to_str().unwrap().to_owned()
}

/// A terminal: the person's side of it, and the program's.
#[cfg(unix)]
pub fn terminal() -> (rustix::fd::OwnedFd, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let inside = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    (terminal, inside)
}

/// So many seconds ago, as Kubernetes writes it.
pub fn ago(seconds: i64) -> String {
    let micros = SystemClock.wall().as_micros() - seconds * 1_000_000;
    let time = jiff::Timestamp::from_microsecond(micros).unwrap();
    format!("{time:.6}")
}

/// What a refusal says: one line, with this exit code, and nothing on standard output.
pub fn refusal(args: &[&str], code: i32) -> String {
    let output = output(args);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{args:?}: {told}");
    assert!(told.starts_with("tenure: "), "{told}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    told
}

/// A program that runs, and the lines that it writes. It is killed with this.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line; none at the end.
    pub fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no line within {LIMIT:?}"),
        }
    }

    /// The next event of that name, with those before it passed over.
    pub fn event(&self, name: &str) -> Value {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("ended before {name}"));
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    /// All lines until the end.
    pub fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What it has written to standard error, where that is piped, until its end.
    pub fn errors(&mut self) -> String {
        let mut stderr = self.child.stderr.take().unwrap();
        let mut told = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
        told
    }

    /// The lines of standard error, where that is piped, as they come.
    pub fn error_lines(&mut self) -> mpsc::Receiver<String> {
        lines_of(self.child.stderr.take().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(tokio::time::Instant::now() < end, "still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
