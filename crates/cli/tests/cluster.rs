//! Where a cluster's configuration comes from: files, pipes, a command for credentials that hangs; and the
//! namespace where none is named.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{io::Write as _, path::Path, process::Stdio};

use common::{
    Running, refusal,
    steering::{candidate, server},
    tenure, text,
};
use rustix::process::Signal;
use serde_json::json;

/// A command that never tells credentials. What is left of it ends with this.
struct Hanging {
    directory: tempfile::TempDir,
}

impl Hanging {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let begun = directory.path().join("begun");
        let script = format!("echo $$ >> {}; exec sleep 60", begun.display());
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "a", "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
                "command": "sh", "args": ["-c", script],
            }}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        });
        std::fs::write(directory.path().join("config"), kubeconfig.to_string()).unwrap();
        Self { directory }
    }

    fn kubeconfig(&self) -> String {
        let path = self.directory.path().join("config");
        path.to_str().unwrap().to_owned()
    }

    fn pids(&self) -> Vec<i32> {
        let begun = std::fs::read_to_string(self.directory.path().join("begun"));
        let begun = begun.unwrap_or_default();
        begun.lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    fn until_it_hangs(&self) {
        let end = tokio::time::Instant::now() + common::LIMIT;
        while self.pids().is_empty() {
            assert!(tokio::time::Instant::now() < end, "it was never asked");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        for pid in self.pids() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

#[test]
fn a_command_for_credentials_that_hangs_holds_up_no_signal() {
    for (verb, more, code) in [
        ("campaign", &[][..], 0),
        ("sidecar", &["--http", "127.0.0.1:0"], 0),
        ("run", &["--", "true"], 143),
    ] {
        let hanging = Hanging::new();
        let kubeconfig = hanging.kubeconfig();
        let args = [&[verb, "nightly", "--kubeconfig", &kubeconfig], more].concat();
        let mut one = Running::start(&mut tenure(&args));
        hanging.until_it_hangs();
        one.signal(Signal::TERM);
        assert_eq!(one.wait().code(), Some(code), "{verb}");
    }
}

#[test]
fn a_command_for_credentials_that_hangs_holds_up_no_limit() {
    let hanging = Hanging::new();
    let kubeconfig = hanging.kubeconfig();
    let args = ["run", "nightly", "-w", "1s", "--kubeconfig", &kubeconfig];
    let told = refusal(&[&args[..], &["--", "true"]].concat(), 124);
    assert!(told.contains("a command for credentials"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_may_come_through_a_pipe() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    let kubeconfig = std::fs::read(server.kubeconfig()).unwrap();
    for by_flag in [true, false] {
        let mut status = tenure(&["status", "nightly", "-o", "name"]);
        if by_flag {
            status.args(["--kubeconfig", "/dev/stdin"]);
        } else {
            status.env("KUBECONFIG", "/dev/stdin");
        }
        status.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut status = status.spawn().unwrap();
        let mut input = status.stdin.take().unwrap();
        input.write_all(&kubeconfig).unwrap();
        drop(input);
        let output = tokio::task::spawn_blocking(move || status.wait_with_output().unwrap());
        let told = text(&output.await.unwrap().stdout);
        assert_eq!(told, "lease.coordination.k8s.io/nightly\n");
    }
}

#[test]
fn a_kubeconfig_without_an_end_is_refused() {
    let told = refusal(&["status", "--kubeconfig", "/dev/zero"], 1);
    assert!(told.contains("it is longer than 4 MiB"), "{told}");
}

/// What `tenure status` says, with that in the environment.
fn says(name: &str, value: &Path, more: &[&str]) -> String {
    let output = tenure(&[&["status"], more].concat())
        .env(name, value)
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

#[test]
fn what_is_wrong_with_a_kubeconfig_that_was_found_is_said() {
    let home = tempfile::tempdir().unwrap();
    let kube = home.path().join(".kube");
    std::fs::create_dir(&kube).unwrap();
    let told = says("HOME", home.path(), &[]);
    assert!(told.contains("no cluster is configured here"), "{told}");
    let told = says("HOME", home.path(), &["--context", "a"]);
    assert!(told.contains("there is none here"), "{told}");

    let config = kube.join("config");
    std::fs::write(&config, "clusters: [\n\n").unwrap();
    for more in [&[][..], &["--context", "a"]] {
        for (name, value) in [("HOME", home.path()), ("KUBECONFIG", config.as_path())] {
            let told = says(name, value, more);
            assert!(told.contains(config.to_str().unwrap()), "{told}");
            assert!(
                told.contains("cannot be used (") && told.contains("correct it"),
                "{told}"
            );
        }
    }
    let told = says("KUBECONFIG", &kube.join("nothing"), &[]);
    assert!(
        told.contains("No such file") && told.contains("KUBECONFIG names"),
        "{told}"
    );
    let told = says("KUBECONFIG", &kube, &[]);
    assert!(told.contains("Is a directory"), "{told}");
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    let told = says("HOME", home.path(), &[]);
    assert!(told.contains("Is a directory"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_namespace_is_found_in_the_same_order_by_all_verbs() {
    let server = server().await;
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let told = |args: &[&str], set: &[(&str, &str)]| {
        let mut command = tenure(args);
        command.args(["--kubeconfig", kubeconfig]);
        let output = command.envs(set.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        text(&output.stderr)
    };
    let verbs = [
        &["campaign", "nightly"][..],
        &["status", "nightly"],
        &["step-down", "nightly"],
    ];
    for verb in verbs {
        let told = |set: &[(&str, &str)]| told(verb, set);
        let first = told(&[("NAMESPACE", "first"), ("POD_NAMESPACE", "second")]);
        assert!(first.contains("first"), "{verb:?}: {first}");
        let second = told(&[("POD_NAMESPACE", "second")]);
        assert!(second.contains("second"), "{verb:?}: {second}");
        let none = told(&[("NAMESPACE", "My App")]);
        assert!(
            none.contains(
                "\"My App\", from NAMESPACE, cannot be a namespace; correct it, or name one"
            ),
            "{verb:?}: {none}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_names_the_namespace_need_not_mind_what_others_call_so() {
    let server = server().await;
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    for name in ["NAMESPACE", "POD_NAMESPACE"] {
        let place = ["-n", "default", "--kubeconfig", kubeconfig];
        let run = [
            &["run", "nightly"][..],
            &place,
            &["--", "sh", "-c", "exit 5"],
        ]
        .concat();
        let output = tenure(&run).env(name, "My App").output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{name}: {told}");
        let status = [&["status", "nightly"][..], &place].concat();
        let output = tenure(&status).env(name, "My App").output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    }
}
