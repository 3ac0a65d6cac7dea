//! `tenure release --force`: what it says, what it asks, what it takes away and what it leaves alone.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Output;

use common::{
    Running, refusal,
    steering::{held_by, held_by_a_stranger, lease, made, says, server, steer, with},
    tenure, terminal, text,
};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tenure_harness::{PodOptions, TestServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_lease_is_released_only_when_it_is_certain() {
    let server = server().await;
    held_by_a_stranger(&server).await;
    let told = steer(&server, &["release", "--force", "nightly"]);
    assert_eq!(told.status.code(), Some(1));
    let shown = text(&told.stderr);
    assert!(
        shown.contains("held by stranger") && shown.contains("is gone"),
        "{shown}"
    );
    assert!(shown.contains("give --yes"), "{shown}");
    assert_eq!(lease(&server).await["spec"]["holderIdentity"], "stranger");

    says(
        &steer(&server, &["release", "--force", "nightly", "--yes"]),
        "released",
    );
    let after = lease(&server).await;
    assert_eq!(after["spec"]["holderIdentity"], "");
    assert_eq!(
        after["spec"]["leaseDurationSeconds"], 15,
        "who sees it waits that long"
    );
    let again = steer(&server, &["release", "--force", "nightly", "--yes"]);
    says(&again, "nobody holds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_a_leader_for_life_steps_down_and_a_dead_lock_is_deleted() {
    const LOCK: &str = "/api/v1/namespaces/default/configmaps/nightly";
    let server = server().await;
    worker(&server).await;
    let standing = [
        "campaign",
        "nightly",
        "--lock",
        "config-map",
        "--pod",
        "worker-0",
    ];
    let mut one = Running::start(&mut tenure(&with(&server, &standing)));
    one.event("leading");
    let lock = ["--lock", "config-map"];
    let told = steer(&server, &[&["step-down", "nightly"][..], &lock].concat());
    says(&told, "asked worker-0 to step down");
    one.event("lost");
    one.event("leading");
    one.signal(Signal::KILL);
    one.wait();
    let breaks = ["release", "--force", "nightly", "--yes"];
    says(&steer(&server, &[&breaks[..], &lock].concat()), "released");
    assert_eq!(
        server
            .call(Method::GET, LOCK, &Value::Null)
            .await
            .unwrap()
            .code,
        404
    );
}

/// The program with a terminal as its standard input, on which somebody has typed this.
fn typed(args: &[&str], answer: &str) -> Output {
    let (terminal, inside) = terminal();
    rustix::io::write(&terminal, answer.as_bytes()).unwrap();
    tenure(args).stdin(inside).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_release_asks_and_takes_nothing_but_yes_for_an_answer() {
    let server = server().await;
    held_by_a_stranger(&server).await;
    let args = with(&server, &["release", "--force", "nightly"]);
    for answer in ["\n", "no\n", "y\n", "\u{4}"] {
        let told = typed(&args, answer);
        let shown = text(&told.stderr);
        assert_eq!(told.status.code(), Some(1), "{answer:?}: {shown}");
        assert!(shown.contains("Type yes:"), "{shown}");
        assert!(shown.contains("nothing was done"), "{shown}");
        assert_eq!(lease(&server).await["spec"]["holderIdentity"], "stranger");
    }
    // What changes nothing is not asked about.
    let args = with(&server, &["release", "--force", "nightly", "--dry-run"]);
    let told = typed(&args, "\n");
    says(&told, "nothing was changed");
    assert!(!text(&told.stderr).contains("Type yes:"));

    let args = with(&server, &["release", "--force", "nightly"]);
    let told = typed(&args, "yes\n");
    says(&told, "released");
    assert!(text(&told.stderr).contains("held by stranger"));
    assert_eq!(lease(&server).await["spec"]["holderIdentity"], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_what_is_no_lock_is_neither_deleted_nor_written_to() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let server = server().await;
    let uid = &worker(&server).await;
    let owned =
        |kind: &str| json!([{"apiVersion": "v1", "kind": kind, "name": "worker-0", "uid": uid}]);
    let record = json!({"holderIdentity": "old", "leaseDurationSeconds": 15}).to_string();
    for (name, owners, annotations, data, told) in [
        (
            "settings",
            json!([]),
            json!({}),
            json!({"a": "b"}),
            "it has data in it (a)",
        ),
        (
            "kept",
            owned("Pod"),
            json!({}),
            json!({"a": "b"}),
            "it has data in it (a)",
        ),
        (
            "web",
            owned("ReplicaSet"),
            json!({}),
            json!({}),
            "its owner is no Pod",
        ),
        (
            "broken",
            owned("Pod"),
            json!({"tenure.dev/owner": "{"}),
            json!({}),
            "cannot be understood",
        ),
        (
            "old",
            json!([]),
            json!({"control-plane.alpha.kubernetes.io/leader": record}),
            json!({}),
            "from before Leases",
        ),
    ] {
        let map = json!({
            "metadata": {"name": name, "ownerReferences": owners, "annotations": annotations},
            "data": data,
        });
        let before = made(&server, MAPS, &map).await;
        let path = format!("{MAPS}/{name}");
        for verb in [
            &["release", "--force", "--yes"][..],
            &["release", "--force", "--dry-run"],
            &["step-down", "--anyway"],
        ] {
            let old_record_is_asked = name == "old" && verb[0] == "step-down";
            if old_record_is_asked {
                continue;
            }
            let args = [verb, &[name, "--lock", "config-map"]].concat();
            let line = refusal(&with(&server, &args), 1);
            assert!(line.contains(told), "{args:?}: {line}");
        }
        let after = server.call(Method::GET, &path, &Value::Null).await.unwrap();
        assert_eq!(after.body["metadata"], before["metadata"], "{name}");
    }
    let asked = ["step-down", "old", "--lock", "config-map"];
    let line = refusal(&with(&server, &asked), 1);
    assert!(
        line.contains("old holds the ConfigMap default/old and is no tenure"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_lease_of_68_years_is_broken_by_a_release() {
    let server = server().await;
    held_by(&server, "stranger", i64::from(i32::MAX)).await;
    let told = steer(&server, &["release", "--force", "nightly", "--yes"]);
    says(&told, "released");
    let shown = text(&told.stderr);
    assert!(shown.contains("it is left with 15 s"), "{shown}");
    assert_eq!(lease(&server).await["spec"]["leaseDurationSeconds"], 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_of_the_same_name_is_not_taken_for_the_holders() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let server = server().await;
    worker(&server).await;
    // The collector would remove it by an owner reference.
    let owner = json!({"pod": "worker-0", "podUid": "another", "term": "n-1"}).to_string();
    let annotations = json!({"tenure.dev/owner": owner});
    let map = json!({"metadata": {"name": "nightly", "annotations": annotations}});
    made(&server, MAPS, &map).await;
    let args = [
        "release",
        "--force",
        "nightly",
        "--lock",
        "config-map",
        "--dry-run",
    ];
    let told = text(&steer(&server, &args).stderr);
    assert!(told.contains("is gone, and another has its name"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dry_run_of_a_delete_says_what_would_be_deleted_and_in_which_state() {
    const LOCKS: &str = "/api/v1/namespaces/default/configmaps";
    let server = server().await;
    let uid = &worker(&server).await;
    let owner = json!({"pod": "worker-0", "podUid": uid, "term": "n-1"}).to_string();
    let lock = json!({"metadata": {
        "name": "nightly",
        "annotations": {"tenure.dev/owner": owner},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "worker-0", "uid": uid}],
    }});
    let made = made(&server, LOCKS, &lock).await;
    let mut args = vec!["release", "--force", "nightly", "--dry-run"];
    args.extend(["--lock", "config-map"]);
    let told = steer(&server, &args);
    says(&told, "nothing was changed");
    let shown = text(&told.stdout);
    let (what, options) = shown.lines().next().unwrap().split_once(": ").unwrap();
    assert_eq!(what, "delete the ConfigMap default/nightly");
    let options: Value = serde_json::from_str(options).unwrap();
    for name in ["uid", "resourceVersion"] {
        assert_eq!(options["preconditions"][name], made["metadata"][name]);
    }
    let path = format!("{LOCKS}/nightly");
    let after = server.call(Method::GET, &path, &Value::Null).await.unwrap();
    assert_eq!(after.body["metadata"], made["metadata"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_a_finalizer_holds_back_is_not_said_to_be_released() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let server = server().await;
    let owner = json!({"pod": "worker-0", "podUid": "u", "term": "n-1"}).to_string();
    let map = json!({"metadata": {
        "name": "nightly",
        "annotations": {"tenure.dev/owner": owner},
        "finalizers": ["example.com/kept"],
    }});
    made(&server, MAPS, &map).await;
    let args = [
        "release",
        "--force",
        "nightly",
        "--lock",
        "config-map",
        "--yes",
    ];
    let told = steer(&server, &args);
    assert_eq!(told.status.code(), Some(1));
    let why = text(&told.stderr);
    assert!(
        why.contains("stays until its finalizers are gone (example.com/kept)"),
        "{why}"
    );
}

/// A Pod `worker-0`: its uid.
async fn worker(server: &TestServer) -> Value {
    let options = PodOptions::default();
    let pod = server.create_pod("default", "worker-0", &options).await;
    pod.unwrap()["metadata"]["uid"].clone()
}
