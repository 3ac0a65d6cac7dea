//! `tenure run` where people ask its leader to step down, or pause the Lease.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Running, output, running::leader, text};
use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tenure_harness::TestServer;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";

/// It says when it begins and when it is told to end, and ends then.
const WORK: &str = "trap 'echo told; exit 7' TERM; echo up; while :; do sleep 0.05; done";

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

fn one(server: &TestServer) -> Running {
    leader(server, &["--identity", "one"], WORK)
}

fn says(server: &TestServer, args: &[&str], expected: &str) {
    let cluster = ["--kubeconfig", server.kubeconfig().to_str().unwrap()];
    let told = output(&[args, &cluster].concat());
    let (out, errors) = (text(&told.stdout), text(&told.stderr));
    assert!(
        told.status.success() && out.contains(expected),
        "{out}{errors}"
    );
}

async fn lease(server: &TestServer) -> Value {
    let answer = server.call(Method::GET, LEASE, &Value::Null).await.unwrap();
    answer.body
}

/// It leads, and ends with its command's code when it is told to.
fn ends(mut running: Running) {
    running.signal(Signal::TERM);
    assert_eq!(running.rest(), ["told"]);
    assert_eq!(running.wait().code(), Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l25_a_command_whose_leader_is_asked_to_step_down_is_stopped_and_run_again_in_another_term()
{
    let server = server().await;
    let running = one(&server);
    let before = lease(&server).await;
    says(&server, &["step-down", "nightly"], "asked one to step down");
    assert_eq!(running.line().unwrap(), "told");
    // Nobody else stands: it comes back after its cooldown (L23), in a term that was not asked.
    assert_eq!(running.line().unwrap(), "up");
    let after = lease(&server).await;
    assert_eq!(after["spec"]["holderIdentity"], "one");
    let transitions = |lease: &Value| lease["spec"]["leaseTransitions"].as_i64().unwrap();
    assert!(transitions(&after) > transitions(&before), "{after}");
    assert_eq!(
        after["metadata"]["annotations"].get("tenure.dev/step-down"),
        None
    );
    ends(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l25_who_is_named_runs_the_command_next() {
    let server = server().await;
    let running = one(&server);
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let mut two = common::tenure(&["run", "nightly", "--kubeconfig", kubeconfig]);
    two.args(["--identity", "two", "--", "sh", "-c", WORK]);
    let two = Running::start(&mut two);
    let args = ["hand-over", "nightly", "--to", "two", "--wait"];
    says(&server, &args, "two leads now");
    assert_eq!(running.line().unwrap(), "told");
    assert_eq!(two.line().unwrap(), "up");
    assert_eq!(lease(&server).await["spec"]["holderIdentity"], "two");
    ends(two);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l26_a_command_is_stopped_by_a_pause_and_waits_until_it_is_resumed() {
    let server = server().await;
    let running = one(&server);
    let args = ["pause", "nightly", "--reason", "moving house", "--wait"];
    says(&server, &args, "nobody leads now");
    assert_eq!(running.line().unwrap(), "told");
    let paused = lease(&server).await;
    assert_eq!(paused["spec"]["holderIdentity"], "");
    assert!(paused["metadata"]["annotations"]["tenure.dev/paused"].is_string());

    says(&server, &["resume", "nightly"], "resumed");
    assert_eq!(running.line().unwrap(), "up");
    let resumed = lease(&server).await;
    assert_eq!(resumed["spec"]["holderIdentity"], "one");
    // Nothing was written between the two: nobody took it meanwhile.
    let transitions = |lease: &Value| lease["spec"]["leaseTransitions"].as_i64().unwrap();
    assert_eq!(transitions(&resumed), transitions(&paused) + 1);
    ends(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l26_who_begins_under_a_pause_waits_for_its_end() {
    let server = server().await;
    let running = one(&server);
    says(&server, &["pause", "nightly", "--wait"], "nobody leads now");
    assert_eq!(running.line().unwrap(), "told");
    drop(running);
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let cluster = ["run", "nightly", "--kubeconfig", kubeconfig];
    let told = output(&[&cluster[..], &["-w", "3s", "--", "echo", "never"]].concat());
    assert_eq!(
        (told.status.code(), text(&told.stdout)),
        (Some(124), String::new())
    );
    assert_eq!(lease(&server).await["spec"]["holderIdentity"], "");
    says(&server, &["resume", "nightly"], "resumed");
    let told = output(&[&cluster[..], &["--", "echo", "now"]].concat());
    assert_eq!(
        (told.status.code(), text(&told.stdout)),
        (Some(0), "now\n".to_owned())
    );
}
