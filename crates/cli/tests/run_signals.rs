//! Signals to `tenure run`: each in each state of the command, and as process 1.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{
    Running,
    running::{leader, sh},
};
use rustix::process::Signal;
use tenure_harness::TestServer;

/// Says which signals come, and ends with 5 after TERM.
const LISTENER: &str = "\
    for s in HUP INT QUIT USR1 USR2 ALRM CONT WINCH; do trap \"echo $s\" $s; done; \
    trap 'echo TERM; exit 5' TERM; echo up; while :; do sleep 0.02; done";

/// Does not care.
const DEAF: &str = "trap '' TERM; echo up; while :; do sleep 0.02; done";

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_about_tenure_itself_is_handed_on() {
    let server = server().await;
    let mut one = leader(&server, &[], LISTENER);
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::ALARM, "ALRM"),
        (Signal::CONT, "CONT"),
        (Signal::WINCH, "WINCH"),
    ] {
        one.signal(signal);
        assert_eq!(one.line().unwrap(), name);
    }
    one.signal(Signal::TERM);
    assert_eq!(one.line().unwrap(), "TERM");
    assert_eq!(one.wait().code(), Some(5), "the command's own code");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_asks_to_end_and_a_second_one_kills() {
    let server = server().await;
    let mut one = leader(&server, &[], LISTENER);
    one.signal(Signal::INT);
    assert_eq!(one.line().unwrap(), "TERM", "the stop signal");
    assert_eq!(one.wait().code(), Some(5));

    let mut deaf = leader(&server, &["--stop-timeout", "1h"], DEAF);
    deaf.signal(Signal::INT);
    // Two signals that come together are one: the first must have been taken.
    let status = loop {
        std::thread::sleep(std::time::Duration::from_millis(50));
        deaf.signal(Signal::INT);
        if let Some(status) = deaf.ended() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(137));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_stop_signal_can_be_named() {
    let server = server().await;
    let script = "trap 'echo QUIT; exit 6' QUIT; echo up; while :; do sleep 0.02; done";
    let mut one = leader(&server, &["--stop-signal", "QUIT"], script);
    one.signal(Signal::TERM);
    assert_eq!(one.line().unwrap(), "QUIT");
    assert_eq!(one.wait().code(), Some(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_end_when_asked_is_killed() {
    let server = server().await;
    let mut deaf = leader(&server, &["--stop-timeout", "200ms"], DEAF);
    deaf.signal(Signal::TERM);
    assert_eq!(deaf.wait().code(), Some(137));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_command_hears_that_it_is_to_end() {
    let server = server().await;
    let script =
        "trap 'echo TERM; exit 5' TERM; echo up; kill -STOP $$; while :; do sleep 0.02; done";
    let mut one = leader(&server, &["--stop-timeout", "1h"], script);
    one.signal(Signal::TERM);
    assert_eq!(one.line().unwrap(), "TERM");
    assert_eq!(one.wait().code(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_ends_at_once_and_what_is_for_the_command_is_dropped() {
    let server = server().await;
    let mut leader = leader(&server, &[], LISTENER);
    for (signal, code) in [
        (Signal::TERM, 143),
        (Signal::INT, 130),
        (Signal::HUP, 129),
        (Signal::QUIT, 131),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(common::LIMIT)).unwrap();
        let mut command = sh(&server, &[], "echo never");
        let mut waiting = Running::start(command.env("NOTIFY_SOCKET", &path));
        let mut buffer = [0; 64];
        // Now it stands.
        socket.recv(&mut buffer).unwrap();
        waiting.signal(Signal::USR1);
        waiting.signal(signal);
        assert_eq!(waiting.wait().code(), Some(code));
        assert_eq!(waiting.rest(), [""; 0]);
    }
    leader.signal(Signal::TERM);
    assert_eq!(leader.wait().code(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_at_any_moment_of_the_start_is_not_lost() {
    let server = server().await;
    // From before it stands until the command runs.
    for pause in (0..60).step_by(3) {
        let mut one = Running::start(&mut sh(&server, &[], "exec sleep 60"));
        std::thread::sleep(std::time::Duration::from_millis(pause * 4));
        one.signal(Signal::TERM);
        let status = one.wait();
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert!(
            status.code() == Some(143) || by_signal == Some(15),
            "after {pause}: {status}"
        );
    }
}

/// `tenure run` as process 1 of a PID namespace, as in a container. None where that is not allowed.
#[cfg(target_os = "linux")]
fn as_process_1(server: &TestServer, flags: &[&str], script: &str) -> Option<Command> {
    const ENTER: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let allowed = Command::new("unshare").args(ENTER).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("left out: no new PID namespace is allowed here");
        return None;
    }
    let inner = sh(server, flags, script);
    let mut command = Command::new("unshare");
    command.args(ENTER).arg(inner.get_program());
    command.args(inner.get_args()).env("HOME", "/nonexistent");
    Some(command)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_process_1_it_hands_signals_on_and_leaves_no_zombies() {
    let server = server().await;
    // Orphans of a session of their own, whose parent is gone before they are. Then those that
    // are left over from somebody else: their parent ends in a namespace whose init is tenure.
    let script = "\
        for i in 1 2 3; do (setsid sleep 0.05 &); done; sleep 0.4; \
        grep -s '^State:.Z' /proc/[0-9]*/status | wc -l; \
        trap 'echo TERM; exit 5' TERM; echo up; while :; do sleep 0.02; done";
    for containment in ["auto", "process-group"] {
        let flags = ["--containment", containment];
        let Some(mut command) = as_process_1(&server, &flags, script) else {
            return;
        };
        let mut one = Running::start(&mut command);
        assert_eq!(one.line().unwrap(), "0", "zombies");
        assert_eq!(one.line().unwrap(), "up");
        // unshare(1) does not hand signals on: process 1 is its child.
        let children = format!("/proc/{0}/task/{0}/children", one.pid());
        let children = std::fs::read_to_string(children).unwrap();
        let init: i32 = children.trim().parse().unwrap();
        let init = rustix::process::Pid::from_raw(init).unwrap();
        rustix::process::kill_process(init, Signal::TERM).unwrap();
        assert_eq!(one.line().unwrap(), "TERM");
        assert_eq!(one.wait().code(), Some(5));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_process_1_it_reaps_what_others_leave_to_it() {
    let server = server().await;
    let flags = ["--containment", "process-group"];
    let script = "echo up; while :; do sleep 0.02; done";
    let Some(mut command) = as_process_1(&server, &flags, script) else {
        return;
    };
    let mut one = Running::start(&mut command);
    assert_eq!(one.line().unwrap(), "up");
    let children = format!("/proc/{0}/task/{0}/children", one.pid());
    let init = std::fs::read_to_string(children).unwrap().trim().to_owned();
    // As `kubectl exec` does: a process of the namespace that is no child of tenure's, and whose
    // own child is left to process 1.
    let left = Command::new("nsenter")
        .args(["--target", &init, "--pid", "--mount", "sh", "-c"])
        .arg("(sleep 0.1 &); true")
        .status();
    if !left.is_ok_and(|status| status.success()) {
        println!("left out: no nsenter here");
        return;
    }
    let end = tokio::time::Instant::now() + common::LIMIT;
    let path = format!("/proc/{init}/task/{init}/children");
    // The guard alone is left in the end.
    loop {
        let children = std::fs::read_to_string(&path).unwrap();
        if children.split_whitespace().count() == 1 {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{children}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let init = rustix::process::Pid::from_raw(init.parse().unwrap()).unwrap();
    rustix::process::kill_process(init, Signal::TERM).unwrap();
    assert_eq!(one.wait().code(), Some(143));
}
