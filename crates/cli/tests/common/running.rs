//! `tenure run` on the lock `nightly`.

use std::process::Command;

use tenure_harness::TestServer;

use super::{Running, tenure};

pub fn run(server: &TestServer, flags: &[&str], command: &[&str]) -> Command {
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let mut run = tenure(&["run", "nightly", "--kubeconfig", kubeconfig]);
    run.args(flags).arg("--").args(command);
    run
}

pub fn sh(server: &TestServer, flags: &[&str], script: &str) -> Command {
    run(server, flags, &["sh", "-c", script])
}

/// A leader whose command has said "up".
pub fn leader(server: &TestServer, flags: &[&str], script: &str) -> Running {
    let running = Running::start(&mut sh(server, flags, script));
    assert_eq!(running.line().unwrap(), "up");
    running
}
