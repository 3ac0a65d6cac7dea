//! `tenure campaign` over the embedded server: what it tells, and that it ends cleanly.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{Running, refusal, tenure};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tenure_harness::{PodOptions, TestServer};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
const CONFIG_MAP: &str = "/api/v1/namespaces/default/configmaps/nightly";

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

fn campaign(server: &TestServer, more: &[&str]) -> Command {
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let mut command = tenure(&["campaign", "nightly", "--kubeconfig", kubeconfig]);
    command.args(more);
    command
}

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let answer = server.call(Method::GET, path, &Value::Null).await.unwrap();
    (answer.code, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_tells_its_term_and_sigterm_releases_and_ends_with_0() {
    let server = server().await;
    let mut one = Running::start(&mut campaign(&server, &["--identity", "one"]));
    let standby: Value = serde_json::from_str(&one.line().unwrap()).unwrap();
    assert_eq!(standby["event"], "standby");
    let leading = one.event("leading");
    assert_eq!(
        (&leading["identity"], &leading["holder"]),
        (&json!("one"), &json!("one"))
    );
    assert!(
        leading["term"].is_u64() && leading["token"].is_string(),
        "{leading}"
    );

    one.signal(Signal::TERM);
    let released = one.event("released");
    assert_eq!(released["token"], leading["token"]);
    assert!(released["unix_ns"].as_i64() > leading["unix_ns"].as_i64());
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(one.rest(), [""; 0]);
    let (_, lease) = get(&server, LEASE).await;
    assert_eq!(lease["spec"]["holderIdentity"], "", "{lease}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leads_after_the_release_and_never_before() {
    let server = server().await;
    let mut one = Running::start(&mut campaign(&server, &["--identity", "one"]));
    one.event("leading");
    let mut two = Running::start(&mut campaign(&server, &["--identity", "two"]));
    while two.event("standby")["holder"] != "one" {}
    one.signal(Signal::INT);
    let released = one.event("released");
    let leading = two.event("leading");
    assert!(
        released["unix_ns"].as_i64() <= leading["unix_ns"].as_i64(),
        "{released} {leading}"
    );
    assert!(leading["term"].as_u64() > released["term"].as_u64());
    assert_eq!(one.wait().code(), Some(0));
    two.signal(Signal::TERM);
    assert_eq!(two.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_lock_was_taken_says_so_and_stands_again() {
    let server = server().await;
    let mut one = Running::start(&mut campaign(&server, &["--identity", "one"]));
    one.event("leading");
    let (_, mut lease) = get(&server, LEASE).await;
    loop {
        lease["spec"]["holderIdentity"] = json!("thief");
        let answer = server.call(Method::PUT, LEASE, &lease).await.unwrap();
        if answer.code == 200 {
            break;
        }
        lease = get(&server, LEASE).await.1;
    }
    let lost = one.event("lost");
    assert_eq!(lost["holder"], "thief", "{lost}");
    assert!(lost["reason"].as_str().unwrap().contains("thief"), "{lost}");
    assert_eq!(one.event("standby")["holder"], "thief");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(
        get(&server, LEASE).await.1["spec"]["holderIdentity"],
        "thief"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_renewals_are_told_and_their_end_too() {
    let server = server().await;
    let mut one = Running::start(&mut campaign(&server, &["--lease-duration", "6s"]));
    one.event("leading");
    server.embedded_server().unwrap().deny("update", "leases");
    let jeopardy = one.event("jeopardy");
    assert!(jeopardy["reason"].is_string(), "{jeopardy}");
    server.embedded_server().unwrap().allow_all();
    let leading = one.event("leading");
    assert_eq!(leading["token"], jeopardy["token"], "the same term goes on");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_nobody_reads_ends_it_after_a_release() {
    let server = server().await;
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = campaign(&server, &["--identity", "one"]);
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    let held = async {
        while get(&server, LEASE).await.1["spec"]["holderIdentity"] != "one" {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::LIMIT, held).await.unwrap();
    drop(reader);
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let status = tokio::time::timeout(common::LIMIT, status)
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(get(&server, LEASE).await.1["spec"]["holderIdentity"], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacancy_that_lasts_is_told() {
    let server = server().await;
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "nightly"},
        "spec": {"holderIdentity": "stranger", "leaseDurationSeconds": 600},
    });
    let (all, _) = LEASE.rsplit_once('/').unwrap();
    let made = server.call(Method::POST, all, &lease).await.unwrap();
    assert_eq!(made.code, 201);
    let mut one = Running::start(&mut campaign(&server, &["--identity", "one"]));
    while one.event("standby")["holder"] != "stranger" {}
    // Not given up by whoever held it, so that it has to be waited out (L13).
    lease = made.body;
    lease["spec"]["holderIdentity"] = json!("");
    let cleared = server.call(Method::PUT, LEASE, &lease).await.unwrap();
    assert_eq!(cleared.code, 200);
    assert_eq!(one.event("standby")["holder"], Value::Null);
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
}

/// A pipe of Linux has room for so much.
#[cfg(target_os = "linux")]
const FULL: usize = 64 << 10;

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_keeps_nobody_from_leading() {
    use std::io::Write as _;
    let server = server().await;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&vec![b' '; FULL]).unwrap();
    let mut command = campaign(&server, &["--identity", "one", "-vvv"]);
    let mut one = Running::start(command.stderr(writer));
    one.event("leading");
    one.signal(Signal::TERM);
    one.event("released");
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(get(&server, LEASE).await.1["spec"]["holderIdentity"], "");
    drop(reader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let server = server().await;
    let mut one = Running::start(&mut campaign(&server, &["--lease-duration", "60s"]));
    one.event("leading");
    server.freeze().await.unwrap();
    one.signal(Signal::TERM);
    // Two signals that come together are one: the first must have been taken.
    let status = loop {
        std::thread::sleep(std::time::Duration::from_millis(50));
        one.signal(Signal::INT);
        if let Some(status) = one.ended() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
    server.thaw().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_for_life_belongs_to_the_pod_that_is_named() {
    let server = server().await;
    server
        .create_pod("default", "worker-0", &PodOptions::default())
        .await
        .unwrap();
    let life = ["--lock", "config-map", "--pod", "worker-0"];
    let mut one = Running::start(&mut campaign(&server, &life));
    assert_eq!(one.event("leading")["holder"], "worker-0");
    let (_, lock) = get(&server, CONFIG_MAP).await;
    assert_eq!(
        lock["metadata"]["ownerReferences"][0]["name"], "worker-0",
        "{lock}"
    );
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(get(&server, CONFIG_MAP).await.0, 404);

    let kept = [&life[..], &["--keep-lock"]].concat();
    let mut one = Running::start(&mut campaign(&server, &kept));
    one.event("leading");
    one.signal(Signal::TERM);
    let released = one.event("released");
    assert!(
        released["reason"].as_str().unwrap().contains("kept"),
        "{released}"
    );
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(get(&server, CONFIG_MAP).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_in_one_line() {
    let server = server().await;
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let base = ["campaign", "nightly", "--kubeconfig", kubeconfig];
    for (more, told) in [
        (&["--namespace", "nope"][..], "no namespace \"nope\""),
        (&["--lock", "config-map"], "--pod NAME"),
        (
            &["--lock", "config-map", "--pod", "nope"],
            "no Pod \"nope\"",
        ),
        (&["--context", "nope"], "cannot be used"),
    ] {
        let line = refusal(&[&base[..], more].concat(), 1);
        assert!(line.contains(told), "{line}");
    }
    let line = refusal(&["demo", "--kubeconfig", kubeconfig, "-n", "nope"], 1);
    assert!(line.contains("no namespace"), "{line}");
    let line = refusal(
        &["demo", "--kubeconfig", kubeconfig, "--lock", "leader-lock"],
        1,
    );
    assert!(line.contains("tenure crd"), "{line}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_say_what_happens_gives_the_lock_up_and_ends_with_1() {
    let server = server().await;
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = campaign(&server, &["--identity", "one"]);
    command.stdout(full.unwrap());
    command.stderr(std::process::Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let one = command.kill_on_drop(true).spawn().unwrap();
    let output = tokio::time::timeout(common::LIMIT, one.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    let told = common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("cannot write to standard output (No space left"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    let (code, lease) = get(&server, LEASE).await;
    assert!(
        code == 404 || lease["spec"]["holderIdentity"] == "",
        "{lease}"
    );
}
