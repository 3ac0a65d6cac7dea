//! `tenure run` that must not wait, or not for long: 124, what is said of it, and what helps.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{
    Running,
    running::{leader, sh},
    steering::{LEASES, held_by_a_stranger, made, says, server, steer},
    text,
};
use rustix::process::Signal;
use serde_json::json;
use tenure_harness::TestServer;

/// What it ends with, and what it says.
async fn outcome(command: Command) -> (i32, String) {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(common::LIMIT, output).await;
    let output = output.unwrap().unwrap();
    let told = text(&output.stderr);
    (output.status.code().unwrap(), told)
}

/// What it says when it gives up.
async fn gives_up(server: &TestServer, flags: &[&str]) -> String {
    let (code, told) = outcome(sh(server, flags, "echo never")).await;
    assert_eq!(code, 124, "{flags:?}: {told}");
    // Among what the election's log says of a pause.
    let words = told.lines().find(|line| line.starts_with("tenure: "));
    let words = words.unwrap_or_else(|| panic!("{told}"));
    assert!(words.starts_with("tenure: gave up the lock"), "{told}");
    words.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_whoever_does_not_wait_is_told_that_longer_helps_and_longer_does() {
    let server = server().await;
    let flags = ["--identity", "one", "--lease-duration", "3s"];
    let mut one = leader(&server, &flags, "echo up; exec sleep 60");
    one.signal(Signal::KILL);
    one.wait();
    for short in [&["--nonblock"][..], &["-w", "2s"]] {
        let flags = [short, &["--lease-duration", "3s"]].concat();
        let told = gives_up(&server, &flags).await;
        assert!(told.contains("one leads by what stands there"), "{told}");
        assert!(told.contains("was not seen to renew it"), "{told}");
        for help in [
            "(-w 4s)",
            "--trust-remote-clock",
            "`tenure release --force nightly`",
        ] {
            assert!(told.contains(help), "{told}");
        }
    }
    let long = ["-w", "30s", "--lease-duration", "3s"];
    let (code, told) = outcome(sh(&server, &long, "exit 6")).await;
    assert_eq!((code, told.as_str()), (6, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_lives_is_told_from_one_that_was_not_heard_of() {
    let server = server().await;
    let flags = ["--identity", "one", "--lease-duration", "3s"];
    let _one = leader(&server, &flags, "echo up; exec sleep 60");
    let told = gives_up(&server, &["-w", "5s"]).await;
    assert!(told.contains("one leads, and was seen to renew"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_renewed_for_days_is_taken_at_once_where_clocks_are_trusted() {
    for wait in [&["--nonblock"][..], &["-w", "5s"]] {
        let server = server().await;
        held_by_a_stranger(&server).await;
        let told = gives_up(&server, &["--nonblock"]).await;
        assert!(told.contains("stranger leads"), "{told}");
        let flags = [wait, &["--trust-remote-clock", "10s"]].concat();
        let (code, told) = outcome(sh(&server, &flags, "exit 5")).await;
        assert_eq!((code, told.as_str()), (5, ""), "{wait:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_lock_that_is_paused_is_no_reason_to_wait_for_ever() {
    let server = server().await;
    let lease = json!({"metadata": {"name": "nightly"}, "spec": {"holderIdentity": ""}});
    made(&server, LEASES, &lease).await;
    let paused = steer(&server, &["pause", "nightly", "--reason", "moving house"]);
    says(&paused, "paused the Lease");
    for flags in [&["--nonblock"][..], &["-w", "3s"], &["-w", "0"]] {
        let told = gives_up(&server, flags).await;
        assert!(told.contains("the lock is paused by "), "{told}");
        assert!(told.contains(": moving house; `tenure resume`"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_wait_for_no_time_is_not_to_block() {
    let server = server().await;
    let (code, told) = outcome(sh(&server, &["-w", "0"], "exit 5")).await;
    assert_eq!((code, told.as_str()), (5, ""), "nobody leads");
    let one = leader(&server, &["--identity", "one"], "echo up; exec sleep 60");
    let told = gives_up(&server, &["-w", "0"]).await;
    assert!(told.contains("one leads"), "{told}");
    drop(one);
}

/// A guard that is killed, and a tenure that is frozen until it leads no more.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_a_term_that_nobody_took_is_said() {
    let server = server().await;
    let flags = ["--on-loss", "exit", "--lease-duration", "3s"];
    for (strike, why) in [
        (true, "the watchdog had ended"),
        (false, "leadership was over before tenure could act"),
    ] {
        let mut command = sh(&server, &flags, "echo up; exec sleep 60");
        command.stderr(std::process::Stdio::piped());
        let mut one = Running::start(&mut command);
        assert_eq!(one.line().unwrap(), "up");
        let children = format!("/proc/{0}/task/{0}/children", one.pid());
        let guard = std::fs::read_to_string(children).unwrap();
        let guard: i32 = guard.trim().parse().unwrap();
        if strike {
            let guard = rustix::process::Pid::from_raw(guard).unwrap();
            rustix::process::kill_process(guard, Signal::KILL).unwrap();
        } else {
            one.signal(Signal::STOP);
            let below = format!("/proc/{guard}/task/{guard}/children");
            let end = tokio::time::Instant::now() + common::LIMIT;
            while std::fs::read_to_string(&below).is_ok_and(|init| !init.is_empty()) {
                assert!(tokio::time::Instant::now() < end, "it still runs");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            // Nor does it lead when it goes on.
            let is_over = |lease: &serde_json::Value| {
                let renewed = lease["spec"]["renewTime"].as_str();
                renewed.is_some_and(|renewed| *renewed < *common::ago(3))
            };
            while !is_over(&common::steering::lease(&server).await) {
                assert!(tokio::time::Instant::now() < end, "it still renews");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            one.signal(Signal::CONT);
        }
        let told = one.errors();
        assert_eq!(one.wait().code(), Some(75), "{told}");
        let words = told.lines().find(|line| line.starts_with("tenure: "));
        assert!(words.is_some_and(|words| words.contains(why)), "{told}");
    }
}
