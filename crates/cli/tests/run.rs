//! `tenure run` over the embedded server: codes, environment, waiting, hooks, restarts.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{process::Command, time::Duration};

use common::{
    Running, refusal,
    running::{leader, run, sh},
    text,
};
use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tenure_harness::{PodOptions, TestServer};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

/// What it ends with, and what it says.
async fn outcome(command: Command) -> (i32, String, String) {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(common::LIMIT, output)
        .await
        .unwrap()
        .unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

async fn holder(server: &TestServer) -> Value {
    let path = format!("{LEASES}/nightly");
    let answer = server.call(Method::GET, &path, &Value::Null).await.unwrap();
    answer.body["spec"]["holderIdentity"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_as_the_command_did_and_the_lock_is_free() {
    let server = server().await;
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
    ] {
        let (ended, _, told) = outcome(sh(&server, &[], script)).await;
        assert_eq!(ended, code, "{script}: {told}");
        assert_eq!(told, "", "{script}");
        assert_eq!(holder(&server).await, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_ends_as_in_a_shell() {
    let server = server().await;
    let (code, _, told) = outcome(run(&server, &[], &["/no/such/program"])).await;
    assert_eq!(code, 127);
    assert!(told.contains("/no/such/program is not there"), "{told}");
    assert_eq!(told.lines().count(), 1);
    let (code, _, told) = outcome(run(&server, &[], &["/etc/passwd"])).await;
    assert_eq!(code, 126);
    assert!(told.contains("/etc/passwd cannot be run"), "{told}");
    assert_eq!(holder(&server).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_knows_its_term_and_has_tenures_own_input_and_output() {
    let server = server().await;
    let script = "echo $TENURE_LOCK/$TENURE_IDENTITY/$TENURE_TERM/$TENURE_TOKEN; cat; echo e >&2";
    let mut command = sh(&server, &["--identity", "me"], script);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"hello\n").unwrap();
    drop(stdin);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let told = text(&output.stdout);
    let (term, rest) = told.split_once('\n').unwrap();
    assert!(term.starts_with("nightly/me/"), "{told}");
    let numbers: Vec<u64> = term
        .split('/')
        .skip(2)
        .map(|n| n.parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), 2, "{term}");
    assert_eq!(rest, "hello\n");
    assert_eq!(text(&output.stderr), "e\n");
    assert!(output.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_shell_the_command_is_a_line_of_shell() {
    let server = server().await;
    let line = ["echo a | tr a b; exit 4"];
    let (code, told, _) = outcome(run(&server, &["--shell"], &line)).await;
    assert_eq!((code, told.as_str()), (4, "b\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_leaves_behind_is_gone_before_the_lock_is_free() {
    let server = server().await;
    // One that leaves on request, and one that has to be killed; each says when it began.
    let script =
        "sleep 400.125 & setsid sh -c 'trap \"\" TERM; echo up; sleep 400.125' & sleep 0.2";
    for containment in ["auto", "process-group"] {
        let flags = ["--stop-timeout", "300ms", "--containment", containment];
        let (code, told, _) = outcome(sh(&server, &flags, script)).await;
        assert_eq!((code, told.as_str()), (0, "up\n"));
        assert_eq!(holder(&server).await, "");
        let left = Command::new("pgrep")
            .args(["-f", "^sleep 400.125"])
            .output();
        assert_eq!(text(&left.unwrap().stdout), "", "{containment}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_must_not_wait_gives_up_with_124() {
    let server = server().await;
    let mut one = leader(&server, &["--identity", "one"], "echo up; exec sleep 60");
    for flags in [&["--nonblock"][..], &["-w", "3s"]] {
        let (code, _, told) = outcome(sh(&server, flags, "echo never")).await;
        assert_eq!(code, 124);
        assert!(told.contains("one leads"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let mut waiting = sh(&server, &[], "exit 5");
    waiting.env("TENURE_NONBLOCK", "true");
    assert_eq!(outcome(waiting).await.0, 124, "by the environment too");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(143));
    // Nobody leads: there is nothing to wait for.
    assert_eq!(outcome(sh(&server, &["--nonblock"], "exit 5")).await.0, 5);
    assert_eq!(outcome(sh(&server, &["-w", "30"], "exit 6")).await.0, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_the_other_runs_and_never_two() {
    let server = server().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    // Two at once would make two lines in a row that are equal.
    let script = format!("echo in >> {0}; sleep 0.2; echo out >> {0}", file.display());
    let all = (0..4).map(|_| outcome(sh(&server, &[], &script)));
    let codes = futures::future::join_all(all).await;
    assert!(codes.iter().all(|(code, ..)| *code == 0), "{codes:?}");
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        "in\nout\n".repeat(4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_ends_with_75_where_that_is_asked_for() {
    let server = server().await;
    let flags = ["--on-loss", "exit", "--lease-duration", "3s"];
    let mut one = leader(
        &server,
        &flags,
        "trap '' TERM; echo up; while :; do sleep 60; done",
    );
    let path = format!("{LEASES}/nightly");
    let gone = server.call(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(gone.unwrap().code, 200);
    assert_eq!(one.wait().code(), Some(75));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foretold_loss_asks_first_and_stands_again() {
    let server = server().await;
    let flags = ["--lease-duration", "3s"];
    let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done";
    let mut one = leader(&server, &flags, script);
    server.embedded_server().unwrap().deny("update", "leases");
    assert_eq!(one.line().unwrap(), "bye", "asked, not killed");
    server.embedded_server().unwrap().allow_all();
    assert_eq!(one.line().unwrap(), "up", "it leads again");
    one.signal(Signal::TERM);
    assert_eq!(one.line().unwrap(), "bye");
    assert_eq!(one.wait().code(), Some(0), "the command's own code");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_are_within_the_term() {
    let server = server().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    let script = format!(
        "echo $TENURE_TOKEN >> {0}; test $(wc -l < {0}) -ge 3 && exit 0; exit 9",
        file.display()
    );
    let flags = ["--restart", "on-failure", "--restart-pause", "10ms"];
    assert_eq!(outcome(sh(&server, &flags, &script)).await.0, 0);
    let tokens = std::fs::read_to_string(&file).unwrap();
    let tokens: Vec<_> = tokens.lines().collect();
    assert_eq!(tokens.len(), 3);
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");

    let flags = ["--restart", "always", "--restart-pause", "10ms"];
    let always = Running::start(&mut sh(&server, &flags, "echo again"));
    for _ in 0..3 {
        assert_eq!(always.line().unwrap(), "again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_around_the_command_in_their_order() {
    let server = server().await;
    let hooks = [
        ["--on-start", "echo $TENURE_HOOK $TENURE_LOCK"],
        ["--on-stop", "echo $TENURE_HOOK; exit 1"],
        ["--pre-release", "echo $TENURE_HOOK"],
        ["--hook-timeout", "500ms"],
    ]
    .concat();
    let (code, told, _) = outcome(sh(&server, &hooks, "echo work; exit 7")).await;
    assert_eq!(told, "on-start nightly\nwork\non-stop\npre-release\n");
    assert_eq!(code, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_hook_that_fails_or_takes_too_long_starts_nothing() {
    let server = server().await;
    for (hook, why) in [
        ("echo hook; exit 3", "ended with 3"),
        ("echo hook; sleep 400.25 & setsid sleep 400.25", "killed"),
    ] {
        let flags = ["--on-start", hook, "--hook-timeout", "300ms"];
        let (code, told, error) = outcome(sh(&server, &flags, "echo never")).await;
        assert_eq!((code, told.as_str()), (125, "hook\n"), "{error}");
        assert!(error.contains("--on-start"), "{error}");
        assert!(why == "killed" || error.contains(why), "{error}");
        assert_eq!(holder(&server).await, "");
    }
    let left = Command::new("pgrep").args(["-f", "^sleep 400.25"]).output();
    assert_eq!(text(&left.unwrap().stdout), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_for_life_runs_a_command_too() {
    let server = server().await;
    let pod = PodOptions::default();
    server
        .create_pod("default", "worker-0", &pod)
        .await
        .unwrap();
    let flags = ["--lock", "config-map", "--pod", "worker-0"];
    let (code, told, error) = outcome(sh(&server, &flags, "echo $TENURE_TERM; exit 3")).await;
    assert_eq!((code, told.as_str()), (3, "0\n"), "{error}");
    let path = "/api/v1/namespaces/default/configmaps/nightly";
    let lock = server.call(Method::GET, path, &Value::Null).await.unwrap();
    assert_eq!(lock.code, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_containment_that_the_place_allows_works() {
    let server = server().await;
    for containment in ["pid-namespace", "cgroup", "process-group"] {
        let flags = ["-v", "--containment", containment];
        let (code, told, error) = outcome(sh(&server, &flags, "echo work")).await;
        if containment != "process-group" && error.contains("does not allow") {
            assert_eq!(code, 125);
            println!("left out: {error}");
            continue;
        }
        assert_eq!((code, told.as_str()), (0, "work\n"), "{error}");
        assert!(error.contains(containment), "it is shown: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_and_the_command_is_not_asked_to() {
    let server = server().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(common::LIMIT)).unwrap();
    let mut command = sh(&server, &[], "echo ${NOTIFY_SOCKET-none}");
    command.env("NOTIFY_SOCKET", &path);
    assert_eq!(outcome(command).await.1, "none\n");
    let mut told = String::new();
    while !told.contains("STOPPING=1") {
        let mut buffer = [0; 512];
        let read = socket.recv(&mut buffer).unwrap();
        told.push_str(&text(&buffer[..read]));
        told.push('\n');
    }
    let ready = told.find("READY=1").unwrap();
    let leading = told.find("STATUS=leading").unwrap();
    assert!(ready < leading && leading < told.find("STOPPING=1").unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_signal_only_the_command_runs_on_and_is_told() {
    let server = server().await;
    let flags = ["--signal-only", "USR1", "--lease-duration", "3s"];
    let script = "\
        trap 'cat $TENURE_STATE_FILE' USR1; trap 'echo bye; exit 4' TERM; \
        cat $TENURE_STATE_FILE; while :; do sleep 0.02; done";
    let mut holder_first = leader(
        &server,
        &["--lease-duration", "3s"],
        "echo up; exec sleep 60",
    );
    let mut one = Running::start(&mut sh(&server, &flags, script));
    assert_eq!(one.line().unwrap(), "standby", "it runs before it leads");
    holder_first.signal(Signal::TERM);
    let leading = one.line().unwrap();
    assert!(leading.starts_with("leading "), "{leading}");
    server.embedded_server().unwrap().deny("update", "leases");
    assert_eq!(one.line().unwrap(), "standby");
    server.embedded_server().unwrap().allow_all();
    let again = one.line().unwrap();
    assert!(again.starts_with("leading ") && again != leading, "{again}");
    one.signal(Signal::TERM);
    assert_eq!(one.line().unwrap(), "bye");
    assert_eq!(one.wait().code(), Some(4));
    assert_eq!(holder(&server).await, "");
    assert_eq!(holder_first.wait().code(), Some(143));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_signal_only_a_command_that_cannot_be_told_is_killed() {
    let server = server().await;
    let flags = [
        "--signal-only",
        "USR1",
        "--lease-duration",
        "3s",
        "--restart-pause",
        "0s",
    ];
    let script = "trap 'echo told' USR1; echo up; while :; do sleep 0.02; done";
    let mut one = leader(&server, &flags, script);
    assert_eq!(one.line().unwrap(), "told");
    one.signal(Signal::STOP);
    let end = tokio::time::Instant::now() + common::LIMIT;
    let children = format!("/proc/{0}/task/{0}/children", one.pid());
    let guard = std::fs::read_to_string(children).unwrap().trim().to_owned();
    let below = format!("/proc/{guard}/task/{guard}/children");
    while std::fs::read_to_string(&below).is_ok_and(|init| !init.is_empty()) {
        assert!(tokio::time::Instant::now() < end, "it still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    one.signal(Signal::CONT);
    assert_eq!(one.line().unwrap(), "up", "it runs again");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(143));
}

#[test]
fn what_makes_no_sense_is_refused_with_125_in_one_line() {
    for (args, told) in [
        (&["run", "nightly"][..], "COMMAND"),
        (&["run", "nightly", "true"], "put `--` before COMMAND"),
        (&["run", "Nightly_1", "--", "true"], "name of a lock"),
        (&["run", "a", "--restart", "maybe", "--", "true"], "maybe"),
        (&["run", "a", "--stop-signal", "KILL", "--", "true"], "TERM"),
        (
            &["run", "a", "--signal-only", "USR1", "-w", "1", "--", "true"],
            "--wait",
        ),
        (&["run", "a", "--shell", "--", "echo", "a"], "one string"),
        (&["run", "a", "--grace", "9s", "--", "true"], "rule L3"),
        (
            &["run", "a", "--grace", "0s", "--", "true"],
            "no time to end",
        ),
        (
            &[
                "run",
                "a",
                "--on-stop",
                "x",
                "--hook-timeout",
                "5s",
                "--",
                "true",
            ],
            "--hook-timeout",
        ),
        (
            &[
                "run",
                "a",
                "--lock",
                "config-map",
                "--grace",
                "0",
                "--",
                "true",
            ],
            "no time to end",
        ),
        (
            &[
                "run",
                "a",
                "--lock",
                "config-map",
                "--on-stop",
                "y",
                "--hook-timeout",
                "60s",
                "--",
                "true",
            ],
            "longer --grace, or a shorter --hook-timeout",
        ),
        (
            &["run", "a", "--kubeconfig", "/nonexistent", "--", "true"],
            "kubeconfig",
        ),
    ] {
        let line = refusal(args, 125);
        assert!(line.contains(told), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_does_not_answer_holds_up_no_end() {
    let server = server().await;
    let flags = ["--stop-timeout", "100ms"];
    let script = "trap '' TERM; echo up; while :; do sleep 60; done";
    let mut one = leader(&server, &flags, script);
    server.freeze().await.unwrap();
    let since = tokio::time::Instant::now();
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(137));
    // The release is given up after its calls' limits: 2 s each by default.
    assert!(
        since.elapsed() < Duration::from_secs(8),
        "{:?}",
        since.elapsed()
    );
    server.thaw().await.unwrap();
}
