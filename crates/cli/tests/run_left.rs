//! What is left of a command whose tenure, guard and init are killed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{running::leader, tenure, text};
use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tenure_harness::TestServer;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";

/// Everything below a process that is alive, the nearest first.
fn below(root: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .map(|pid| pid.parse::<i32>().unwrap()),
        );
        at += 1;
    }
    found.split_off(1)
}

/// The same, with both of those who sleep: while others come and go, /proc may leave some out.
async fn family(root: i32) -> Vec<i32> {
    let sleeps = |pid: &&i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line == b"sleep\x00600\x00"
    };
    let end = tokio::time::Instant::now() + common::LIMIT;
    loop {
        let all = below(root);
        if all.iter().filter(sleeps).count() == 2 {
            return all;
        }
        assert!(tokio::time::Instant::now() < end, "{all:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

async fn until_dead(pids: &[i32]) {
    let end = tokio::time::Instant::now() + common::LIMIT;
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(tokio::time::Instant::now() < end, "{pids:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kill(pid: i32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A command that does not mind TERM, with a child, and one more in a session of its own.
const FAMILY: &str = "trap '' TERM; sleep 600 & setsid sleep 600 & \
    sleep 0.1; echo up; while :; do sleep 0.02; done";

/// What docs/run.md says of each containment: which of tenure, guard and init are killed at one
/// instant, and whether something of the command lives on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_after_kills_is_what_the_table_says() {
    let server = TestServer::embedded().await.unwrap();
    // Far from its end: nothing here is killed by its deadline.
    let long = ["--lease-duration", "600s"];
    for containment in ["auto", "cgroup", "process-group"] {
        let probe = ["--containment", containment, "--kubeconfig", "/nonexistent"];
        let mut probe = tenure(&[&["run", "probe"][..], &probe, &["--", "true"]].concat());
        let told = text(&probe.output().unwrap().stderr);
        if told.contains("does not allow the containment") {
            println!("left out: {told}");
            continue;
        }
        for killed in 1..=3 {
            let _ = server.call(Method::DELETE, LEASE, &Value::Null).await;
            let flags = [&long[..], &["--containment", containment]].concat();
            let one = leader(&server, &flags, FAMILY);
            let all = family(i32::try_from(one.pid()).unwrap()).await;
            assert!(all.len() >= 5, "{all:?}");
            let [guard, init, first, ..] = all[..] else {
                panic!("{all:?}")
            };
            let tenure = i32::try_from(one.pid()).unwrap();
            let victims = &[tenure, guard, init][..killed];
            for pid in victims {
                kill(*pid, Signal::STOP);
            }
            // The lowest first: the kernel lets those who are stopped go on when those above them die.
            for pid in victims.iter().rev() {
                kill(*pid, Signal::KILL);
            }
            if killed < 3 || containment == "auto" {
                until_dead(&all).await;
            } else {
                until_dead(&[first]).await;
                let left: Vec<_> = all.iter().filter(|pid| lives(**pid)).collect();
                assert!(
                    left.len() >= 2,
                    "the table says that they live on: {left:?}"
                );
                for pid in left {
                    kill(*pid, Signal::KILL);
                }
            }
        }
    }
}
