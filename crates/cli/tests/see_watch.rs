//! `tenure watch` and `tenure timeline`: what changes is said, written down, and drawn.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{Running, ago, output, refusal, tenure, text};
use rustix::process::Signal;
use serde_json::{Value, json};
use tenure_harness::TestServer;

fn watch(server: &TestServer, words: &[&str]) -> Command {
    let mut command = tenure(&["watch", "-n", "default", "--kubeconfig"]);
    command.arg(server.kubeconfig()).args(words);
    command
}

/// Renewed so many seconds ago, for ten minutes.
async fn hold(server: &TestServer, holder: &str, seconds: i64) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "nightly"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 600, "renewTime": ago(seconds)},
    });
    server.apply("default", lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_said_written_down_and_drawn() {
    let server = TestServer::embedded().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("nightly.jsonl");
    hold(&server, "a", 9).await;
    let words = ["nightly", "--json", "--record", record.to_str().unwrap()];
    let mut running = Running::start(&mut watch(&server, &words));
    running.event("begin");
    assert_eq!(running.event("held")["holder"], "a");
    hold(&server, "", 8).await;
    assert_eq!(running.event("free")["name"], "nightly");
    hold(&server, "b", 7).await;
    assert_eq!(running.event("held")["holder"], "b");
    // Ten minutes before b's time is over.
    hold(&server, "c", 6).await;
    assert_eq!(running.event("overlap")["holder"], "c");
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
    server
        .call(http::Method::DELETE, path, &Value::Null)
        .await
        .unwrap()
        .ok()
        .unwrap();
    running.event("gone");
    running.signal(Signal::INT);
    running.event("end");
    assert_eq!(running.wait().code(), Some(130));
    let written = std::fs::read_to_string(&record).unwrap();
    assert!(
        written.lines().last().unwrap().contains("\"end\""),
        "{written}"
    );

    let svg = directory.path().join("nightly.svg");
    let args = [
        "timeline",
        record.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
    ];
    let drawn = output(&args);
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg "), "{picture}");
    for words in [
        "nightly: a",
        "nightly: b",
        "nightly: c",
        "1 taken before their time was over",
    ] {
        assert!(picture.contains(words), "{words}: {picture}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_dead_before_is_not_said_to_be_held() {
    let server = TestServer::embedded().await.unwrap();
    hold(&server, "a", 3600).await;
    let mut running = Running::start(&mut watch(&server, &["--json"]));
    running.event("begin");
    let first: Value = serde_json::from_str(&running.line().unwrap()).unwrap();
    let found = (&first["event"], &first["holder"]);
    assert_eq!(found, (&json!("expired"), &json!("a")));
    running.signal(Signal::INT);
    running.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_its_watches_are_cut_and_says_what_it_may_not_see() {
    let server = TestServer::embedded().await.unwrap();
    let api = server.embedded_server().unwrap();
    api.deny("list", "configmaps");
    let mut running = Running::start(&mut watch(&server, &["--json"]));
    hold(&server, "a", 9).await;
    running.event("held");
    // What a watch has not yet begun to follow is in the list before it.
    let opened = || {
        let requests = api.requests();
        let mut watches = requests.keys();
        watches.any(|key| key.verb == "watch" && key.resource.starts_with("leases"))
    };
    let follows = async {
        while !opened() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::LIMIT, follows).await.unwrap();
    api.end_watches();
    hold(&server, "b", 7).await;
    // What a stretch without a watch has hidden is not called an overlap.
    let line = running.line().unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&event["event"], &event["holder"]),
        (&json!("held"), &json!("b")),
        "{line}"
    );
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_watch_it_polls_and_says_so() {
    let server = TestServer::embedded().await.unwrap();
    let api = server.embedded_server().unwrap();
    api.deny("watch", "leases.coordination.k8s.io");
    hold(&server, "a", 9).await;
    let mut command = watch(&server, &["--json"]);
    let mut running = Running::start(command.stderr(std::process::Stdio::piped()));
    let told = running.error_lines().recv_timeout(common::LIMIT).unwrap();
    assert!(
        told.contains("leases are shown late, for want of a watch"),
        "{told}"
    );
    hold(&server, "b", 7).await;
    while running.event("held")["holder"] != "b" {}
    running.signal(Signal::INT);
    running.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_missed_once_and_greeted_when_it_is_back() {
    let server = TestServer::embedded().await.unwrap();
    let api = server.embedded_server().unwrap();
    hold(&server, "a", 9).await;
    let mut command = watch(&server, &["--json"]);
    let mut running = Running::start(command.stderr(std::process::Stdio::piped()));
    running.event("held");
    let told = running.error_lines();
    api.set_reachable(false);
    let line = told.recv_timeout(common::LIMIT).unwrap();
    assert!(line.contains("cannot be reached"), "{line}");
    api.set_reachable(true);
    let line = told.recv_timeout(common::LIMIT).unwrap();
    assert!(line.contains("answers again"), "{line}");
    hold(&server, "b", 7).await;
    assert_eq!(running.event("held")["holder"], "b");
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_at_once_even_where_nobody_reads() {
    let server = TestServer::embedded().await.unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    // A pipe that is full: the first line waits until somebody reads.
    let full = rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&writer, full).unwrap();
    let mut filled = &writer;
    while std::io::Write::write(&mut filled, &[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
    hold(&server, "a", 9).await;
    let mut child = watch(&server, &[]).stdout(writer).spawn().unwrap();
    let asked = || {
        let requests = server.embedded_server().unwrap().requests();
        requests.keys().any(|key| key.verb == "watch")
    };
    let opened = async {
        while !asked() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::LIMIT, opened).await.unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let ended = tokio::time::timeout(common::LIMIT, ended).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_for_people_and_it_ends_when_it_was_asked_to() {
    let server = TestServer::embedded().await.unwrap();
    hold(&server, "evil\x1b[2J", 9).await;
    let done = watch(&server, &["--for", "1s"]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let told = text(&done.stdout);
    assert!(
        told.contains("default/nightly (Lease) held by evil\\u{1b}[2J"),
        "{told}"
    );
    assert!(
        told.lines().last().unwrap().contains("ended after 1"),
        "{told}"
    );
}

#[test]
fn files_that_hold_nothing_of_the_kind_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f");
    let (file_name, out) = (file.to_str().unwrap(), directory.path().join("o.svg"));
    let draw = ["timeline", file_name, "--svg", out.to_str().unwrap()];
    assert!(refusal(&draw, 1).contains("cannot read"));
    std::fs::write(&file, "").unwrap();
    assert!(refusal(&draw, 1).contains("there is nothing in"));
    std::fs::write(&file, "{\"at\":1,\"event\":\"begin\"}\n\u{0}\n").unwrap();
    assert!(refusal(&draw, 1).contains("line 2 of"));
    let endless = format!(
        "{{\"at\":1,\"event\":\"begin\"}}\n{}\n",
        "x".repeat(3 << 20)
    );
    std::fs::write(&file, endless).unwrap();
    assert!(refusal(&draw, 1).contains("line 2 of"));
    let itself = ["timeline", file_name, "--svg", file_name];
    assert!(refusal(&itself, 2).contains("would be written over"));
    // Times at the ends of what a number holds, and half a line at the end.
    let lines = format!(
        "{{\"at\":{},\"event\":\"held\",\"name\":\"<&\"}}\n{{\"at\":{},\"event\":\"overlap\",\"until\":7}}\n{{\"at",
        i64::MIN,
        i64::MAX
    );
    std::fs::write(&file, lines).unwrap();
    assert!(output(&draw).status.success());
    assert!(refusal(&["timeline", file_name], 2).contains("--svg"));
}

#[test]
fn a_recording_outlives_a_cluster_that_cannot_be_seen() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = common::nowhere(directory.path());
    let record = directory.path().join("nightly.jsonl");
    std::fs::write(&record, "of last night\n").unwrap();
    let record_name = record.to_str().unwrap();
    refusal(
        &["watch", "--record", record_name, "--kubeconfig", &nowhere],
        1,
    );
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "of last night\n");
}
