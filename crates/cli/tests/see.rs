//! The verbs that look, on locks as other programs write them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{os::unix::process::CommandExt as _, process::Output};

use common::{output, refusal, tenure, text};
use serde_json::{Value, json};
use tenure::clock::{Clock as _, SystemClock};
use tenure_apiserver::ApiServer;
use tenure_harness::{PodOptions, TestServer};

const POD: &str = "worker-0";

fn ago(seconds: i64) -> String {
    let micros = SystemClock.wall().as_micros() - seconds * 1_000_000;
    let time = jiff::Timestamp::from_microsecond(micros).unwrap();
    format!("{time:.6}")
}

/// A cluster with everything that other programs write, each lock renewed `age` seconds ago.
async fn cluster(age: i64) -> TestServer {
    let server = TestServer::embedded().await.unwrap();
    server.install_leader_lock_crd().await.unwrap();
    let pod = server
        .create_pod("default", POD, &PodOptions::default())
        .await
        .unwrap();
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    for fixture in [
        include_str!("fixtures/client-go.yaml"),
        include_str!("fixtures/client-go-config-map.yaml"),
        include_str!("fixtures/operator-lib.yaml"),
        include_str!("fixtures/zio-k8s.yaml"),
        include_str!("fixtures/by-hand.yaml"),
    ] {
        let yaml = fixture
            .replace("POD", POD)
            .replace("UID", uid)
            .replace("ACQUIRED", &ago(age))
            .replace("RENEWED", &ago(age));
        server.apply_yaml("default", &yaml).await.unwrap();
    }
    server
}

fn flags<'a>(server: &'a TestServer, words: &[&'a str]) -> Vec<&'a str> {
    let mut args = words.to_vec();
    args.extend([
        "-n",
        "default",
        "--kubeconfig",
        server.kubeconfig().to_str().unwrap(),
    ]);
    args
}

fn see(server: &TestServer, words: &[&str]) -> Output {
    output(&flags(server, words))
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn item<'a>(found: &'a Value, name: &str) -> &'a Value {
    let items = found["items"].as_array().unwrap();
    items
        .iter()
        .find(|item| item["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {found}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn status_reads_the_locks_of_all_programs() {
    let server = cluster(0).await;
    let found = json_of(&see(&server, &["status", "-o", "json"]));
    for (name, kind, writer, health) in [
        (
            "kube-scheduler",
            "Lease",
            "another program",
            json!(["healthy"]),
        ),
        ("released", "Lease", "another program", json!(["free"])),
        (
            "ingress-controller-leader",
            "ConfigMap",
            "client-go, before Leases",
            json!(["expired"]),
        ),
        (
            "memcached-operator-lock",
            "ConfigMap",
            "operator-lib or alike",
            json!(["healthy"]),
        ),
        (
            "zio-config-map",
            "ConfigMap",
            "zio-k8s or alike",
            json!(["healthy"]),
        ),
        (
            "zio-leader-lock",
            "LeaderLock",
            "zio-k8s or alike",
            json!(["healthy"]),
        ),
        ("zio-lease", "Lease", "another program", json!(["healthy"])),
        ("emptied", "Lease", "another program", json!(["free"])),
        (
            "nasty",
            "Lease",
            "another program",
            json!(["paused", "odd-duration", "strange"]),
        ),
    ] {
        let item = item(&found, name);
        assert_eq!(item["kind"], kind, "{item}");
        assert_eq!(item["writtenBy"], writer, "{item}");
        assert_eq!(item["health"], health, "{item}");
    }
    assert_eq!(found["items"].as_array().unwrap().len(), 9, "{found}");
    assert_eq!(item(&found, "kube-scheduler")["transitions"], 165);
    assert_eq!(item(&found, "zio-leader-lock")["pod"], POD);
    // The embedded server sends a Date, over HTTP.
    assert!(
        found["serverAheadSeconds"].as_f64().unwrap().abs() < 5.0,
        "{found}"
    );
    assert_eq!(found["missing"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_no_longer_renews_is_expired_or_wedged() {
    let server = cluster(60).await;
    server.set_phase("default", POD, "Running").await.unwrap();
    let found = json_of(&see(&server, &["status", "-o", "json"]));
    assert_eq!(item(&found, "kube-scheduler")["health"], json!(["expired"]));
    // Its Pod was made after the term began, too.
    assert_eq!(
        item(&found, "zio-lease")["health"],
        json!(["twin", "wedged"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_is_for_its_reader() {
    let server = cluster(3).await;
    let yaml = text(&see(&server, &["status", "-o", "yaml"]).stdout);
    let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(item(&yaml, "zio-lease")["holder"], POD);
    let names = text(&see(&server, &["status", "-o", "name"]).stdout);
    assert!(
        names
            .lines()
            .any(|line| line == "leaderlock.coralogix.com/zio-leader-lock"),
        "{names}"
    );
    for words in [
        &["status"][..],
        &["status", "-o", "wide"],
        &["explain", "nasty"],
    ] {
        let shown = see(&server, words);
        assert!(shown.status.success());
        let shown = text(&shown.stdout);
        // Nothing of others reaches the terminal, and no colour without one.
        assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
        assert!(shown.contains("evil\\u{1b}[2J\\u{202e}"), "{shown}");
    }
    let one = json_of(&see(
        &server,
        &["status", "leaderlock/zio-leader-lock", "-o", "json"],
    ));
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_columns_are_enough() {
    let server = cluster(3).await;
    for width in ["40", "60", "80", "200"] {
        let shown = tenure(&flags(&server, &["status"]))
            .env("COLUMNS", width)
            .output()
            .unwrap();
        let shown = text(&shown.stdout);
        let width: usize = width.parse().unwrap();
        for line in shown.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(
            shown.contains("kube-scheduler") && shown.contains("healthy"),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_leader_answers_with_its_exit_code() {
    let server = cluster(3).await;
    let code = |name: &str, id: &str| {
        see(&server, &["status", name, "--is-leader", id])
            .status
            .code()
    };
    assert_eq!(code("zio-lease", POD), Some(0));
    assert_eq!(code("zio-leader-lock", POD), Some(0));
    assert_eq!(
        code(
            "kube-scheduler",
            "node-1_293eaef2-fd7e-4ae9-aae7-e78615454881"
        ),
        Some(0)
    );
    assert_eq!(code("zio-lease", "worker-1"), Some(3));
    assert_eq!(code("released", POD), Some(3));
    assert_eq!(
        code(
            "ingress-controller-leader",
            "ingress-nginx-controller-646d5d4d67-7nx7r"
        ),
        Some(3)
    );
    assert_eq!(code("not-there", POD), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_said_and_the_rest_is_shown() {
    let api = ApiServer::new();
    api.deny("list", "pods");
    api.deny("list", "configmaps");
    let server = TestServer::embedded_with(api).await.unwrap();
    let lease = include_str!("fixtures/client-go.yaml").replace("RENEWED", &ago(1));
    let lease = lease.replace("ACQUIRED", &ago(1));
    server.apply_yaml("default", &lease).await.unwrap();
    let shown = see(&server, &["status"]);
    assert!(shown.status.success());
    assert!(text(&shown.stdout).contains("kube-scheduler"));
    let told = text(&shown.stderr);
    assert!(
        told.contains("lacks the right to list pods in the namespace default"),
        "{told}"
    );
    assert!(
        told.contains("lacks the right to list configmaps"),
        "{told}"
    );

    let api = server.embedded_server().unwrap();
    api.deny("list", "leases");
    api.deny("list", "leaderlocks.coralogix.com");
    let told = text(&see(&server, &["status"]).stderr);
    assert!(
        told.contains("no lock can be seen") && told.contains("cannot list resource \"leases\""),
        "{told}"
    );
    // By name it may still be seen.
    assert!(see(&server, &["status", "kube-scheduler"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_leases_are_shown_to_whoever_asks_for_them() {
    let server = cluster(3).await;
    let node = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "node-1", "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": "node-1", "leaseDurationSeconds": 40, "renewTime": ago(2)},
    });
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-node-lease"}});
    server.apply("", namespace).await.unwrap();
    server.apply("kube-node-lease", node).await.unwrap();
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let shown = |words: &[&str]| {
        let mut args = words.to_vec();
        args.extend(["--kubeconfig", kubeconfig]);
        text(&output(&args).stdout)
    };
    let all = shown(&["status", "-A"]);
    assert!(all.contains("default") && !all.contains("node-1 "), "{all}");
    assert!(shown(&["status", "-n", "kube-node-lease"]).contains("node-1"));
    assert!(shown(&["status", "node-1", "-A"]).contains("node-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_why_and_what_helps() {
    let server = cluster(60).await;
    let told = |name: &str| text(&see(&server, &["explain", name]).stdout);
    let expired = told("kube-scheduler");
    assert!(
        expired.contains("is not known to lead") && expired.contains("any candidate may take it"),
        "{expired}"
    );
    assert!(expired.contains("This user has the rights"), "{expired}");
    let absent = told("nobody");
    assert!(
        absent.contains("Nobody leads: there is no lock nobody in the namespace default"),
        "{absent}"
    );
    server
        .embedded_server()
        .unwrap()
        .deny("update", "leases.coordination.k8s.io");
    let lacking = told("kube-scheduler");
    assert!(lacking.contains("lacks update on leases"), "{lacking}");
    assert!(
        lacking.contains("$ tenure rbac --lock lease kube-scheduler -n default"),
        "{lacking}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_good_cluster_good_and_says_what_is_missing() {
    let server = cluster(3).await;
    let good = see(&server, &["doctor"]);
    let told = text(&good.stdout);
    assert!(good.status.success(), "{told}");
    for line in [
        "Leases are served",
        "LeaderLocks are served",
        "watches work",
        "answers take",
        "Fit for",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    server
        .embedded_server()
        .unwrap()
        .deny("update", "leases.coordination.k8s.io");
    let bad = see(&server, &["doctor"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        text(&bad.stdout).contains("BAD  this user may not update leases"),
        "{}",
        text(&bad.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_told_from_events() {
    let server = cluster(3).await;
    for (name, reason, at, note) in [
        ("e1", "BecameLeader", 70, "took over"),
        ("e2", "StoppedLeading", 10, "stepped down"),
    ] {
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": name, "namespace": "default"},
            "eventTime": ago(at), "reportingController": "tenure.dev/tenure",
            "reportingInstance": POD, "action": "Elect", "reason": reason, "type": "Normal",
            "note": note,
            "regarding": {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": "nightly", "namespace": "default"},
            "related": {"apiVersion": "v1", "kind": "Pod", "name": POD, "namespace": "default"},
        });
        server.apply("default", event).await.unwrap();
    }
    let told = text(&see(&server, &["history", "nightly"]).stdout);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(
        told.lines().next().unwrap().contains("BecameLeader"),
        "{told}"
    );
    assert!(told.contains("stepped down  [led for "), "{told}");
    let lines = text(&see(&server, &["history", "lease/nightly", "--json"]).stdout);
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["reason"], "StoppedLeading");
    assert_eq!(
        text(&see(&server, &["history", "configmap/nightly"]).stdout),
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_its_usage_and_its_completions() {
    let server = cluster(3).await;
    let help = tenure(&["status", "--help"])
        .arg0("kubectl-tenure")
        .output()
        .unwrap();
    assert!(text(&help.stdout).contains("Usage: kubectl tenure status"));
    let mut complete = tenure(&flags(&server, &["status"]));
    let told = complete
        .arg("zio-l")
        .arg0("kubectl_complete-tenure")
        .output()
        .unwrap();
    assert_eq!(text(&told.stdout), "zio-leader-lock\nzio-lease\n:4\n");
    let verbs = tenure(&["expl"])
        .arg0("kubectl_complete-tenure")
        .output()
        .unwrap();
    assert!(text(&verbs.stdout).starts_with("explain\t"));
}

#[test]
fn shells_and_man_get_their_files() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&output(&["completions", shell]).stdout);
        assert!(script.contains("explain"), "{shell}");
    }
    assert!(text(&output(&["man"]).stdout).contains(".TH tenure"));
    let directory = tempfile::tempdir().unwrap();
    assert!(
        output(&["man", directory.path().to_str().unwrap()])
            .status
            .success()
    );
    let page = std::fs::read_to_string(directory.path().join("tenure-status.1")).unwrap();
    assert!(page.contains("tenure status"), "{page}");
    // Whatever is set where they are made.
    let mut elsewhere = tenure(&["man", directory.path().to_str().unwrap()]);
    elsewhere
        .env("TENURE_ON_LOSS", "")
        .env("TENURE_EVENTS", "1");
    assert!(elsewhere.status().unwrap().success());
    let page = std::fs::read_to_string(directory.path().join("tenure-run.1")).unwrap();
    for variable in ["TENURE_ON_LOSS", "TENURE_EVENTS", "TENURE_LOCK_KIND"] {
        assert!(page.contains(variable), "{variable}: {page}");
    }
    assert!(!page.contains("TENURE_EVENTS=1"), "{page}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (args, told) in [
        (&["status", "Not_A_Name"][..], "name of a lock"),
        (&["status", "secret/a"], "no kind of lock"),
        (&["status", "-n", "Shop"], "namespace"),
        (&["status", "--is-leader", "a"], "<NAME>"),
        (&["status", "-A", "-n", "a"], "cannot be used with"),
        (&["explain"], "<NAME>"),
        (&["man", "/no/such/directory"], "no directory"),
        (&["completions", "tcsh"], "tcsh"),
    ] {
        let line = refusal(args, 2);
        assert!(line.contains(told), "{args:?}: {line}");
    }
    assert!(refusal(&["status"], 1).contains("no cluster is configured"));
}
