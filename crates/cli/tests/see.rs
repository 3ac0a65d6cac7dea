//! The verbs that look, on locks as other programs write them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{os::unix::process::CommandExt as _, process::Output};

use common::{ago, output, refusal, tenure, terminal, text};
use serde_json::{Value, json};
use tenure_apiserver::ApiServer;
use tenure_harness::{PodOptions, TestServer};

const POD: &str = "worker-0";

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
async fn colours_are_for_terminals_that_want_them() {
    let server = cluster(0).await;
    for (name, value, coloured) in [
        ("TERM", "xterm", true),
        ("TERM", "dumb", false),
        ("NO_COLOR", "1", false),
        ("NO_COLOR", "", true),
    ] {
        let (person, inside) = terminal();
        let mut status = tenure(&flags(&server, &["status", "zio-lease"]));
        status.env("TERM", "xterm").env_remove("NO_COLOR");
        let shown = status.env(name, value).stdout(inside).output().unwrap();
        assert!(shown.status.success(), "{}", text(&shown.stderr));
        drop(status);
        let mut seen = Vec::new();
        // The other end is closed, which Linux calls an error.
        let _ = std::io::Read::read_to_end(&mut std::fs::File::from(person), &mut seen);
        let seen = text(&seen);
        assert!(seen.contains("healthy"), "{name}={value}: {seen}");
        assert_eq!(seen.contains("\x1b["), coloured, "{name}={value}: {seen:?}");
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
async fn whether_somebody_leads_is_not_denied_where_it_cannot_be_seen() {
    let server = cluster(0).await;
    let api = server.embedded_server().unwrap();
    let is_leader = |name: &str, id: &str| see(&server, &["status", name, "--is-leader", id]);
    // Whose Pod `node-1` is, only Pods tell.
    assert_eq!(is_leader("kube-scheduler", "node-1").status.code(), Some(3));
    api.deny("list", "pods");
    let told = is_leader("kube-scheduler", "node-1");
    assert_eq!(told.status.code(), Some(1));
    assert!(
        text(&told.stderr).contains("Pods cannot be listed"),
        "{}",
        text(&told.stderr)
    );
    // That it is absent is seen all the same.
    assert_eq!(
        is_leader("lease/not-there", "node-1").status.code(),
        Some(3)
    );
    // A Lease without renewTime tells nobody until when.
    let held = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "endless"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
    });
    server.apply("default", held).await.unwrap();
    let told = is_leader("endless", "a");
    assert_eq!(told.status.code(), Some(1), "{}", text(&told.stderr));
    assert_eq!(is_leader("endless", "b").status.code(), Some(3));

    api.deny("get", "leases.coordination.k8s.io");
    for words in [
        &["status", "nightly", "--is-leader", "a"][..],
        &["status", "nightly"],
    ] {
        let told = see(&server, words);
        assert_eq!(told.status.code(), Some(1));
        let told = text(&told.stderr);
        assert!(
            told.contains("cannot be told: leases are not shown"),
            "{told}"
        );
        assert!(told.contains("lease/nightly or the like"), "{told}");
    }
    let told = text(&see(&server, &["explain", "nightly"]).stdout);
    assert!(
        told.contains("Whether anybody leads cannot be told"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_hands_a_terminal_what_it_would_obey() {
    let server = cluster(0).await;
    let nasty = "a\u{9b}2J\u{7f}\u{202e}\x1b[2J";
    let held = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "obeyed"},
        "spec": {"holderIdentity": nasty, "leaseDurationSeconds": 15, "renewTime": ago(0)},
    });
    server.apply("default", held).await.unwrap();
    for form in ["wide", "json", "yaml", "name"] {
        let shown = text(&see(&server, &["status", "-o", form]).stdout);
        let obeyed = ['\x1b', '\u{9b}', '\u{7f}', '\u{202e}'];
        assert!(!shown.contains(obeyed), "{form}: {shown:?}");
        if form == "yaml" {
            let yaml: Value = serde_saphyr::from_str(&shown).unwrap();
            assert_eq!(item(&yaml, "obeyed")["holder"], nasty);
        }
    }
    let found = json_of(&see(&server, &["status", "-o", "json"]));
    assert_eq!(item(&found, "obeyed")["holder"], nasty);
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
    let long = told("nasty");
    assert!(
        long.contains("$ tenure release --force nasty -n default"),
        "{long}"
    );
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
async fn a_kind_that_the_cluster_does_not_know_is_said_to_be_unknown() {
    let server = TestServer::embedded().await.unwrap();
    let told = text(&see(&server, &["explain", "leaderlock/nightly"]).stdout);
    assert!(
        told.starts_with("This cluster does not know LeaderLocks"),
        "{told}"
    );
    assert!(told.contains("$ tenure crd --install"), "{told}");
    server.install_leader_lock_crd().await.unwrap();
    let told = text(&see(&server, &["explain", "leaderlock/nightly"]).stdout);
    assert!(
        told.starts_with("Nobody leads: there is no LeaderLock"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_good_cluster_good_and_says_what_is_missing() {
    let server = cluster(3).await;
    let good = see(&server, &["doctor"]);
    let told = text(&good.stdout);
    assert!(good.status.success(), "{told}");
    for line in [
        "the namespace default is there",
        "Leases are served",
        "LeaderLocks are served",
        "tenure needs no feature gate",
        "fencing tokens can be compared",
        "watches work",
        "answers take",
        "Fit for",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let typo = output(&["doctor", "-n", "defautl", "--kubeconfig", kubeconfig]);
    let told = text(&typo.stdout);
    assert_eq!(typo.status.code(), Some(1), "{told}");
    assert!(
        told.contains("BAD  there is no namespace defautl: create it"),
        "{told}"
    );
    assert!(!told.contains("Fit for"), "{told}");
    server.embedded_server().unwrap().deny("get", "namespaces");
    let told = text(&see(&server, &["doctor"]).stdout);
    assert!(
        told.contains("note whether there is a namespace default cannot be seen"),
        "{told}"
    );
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
    // A refusal ends at once, too, and is no watch that works.
    server
        .embedded_server()
        .unwrap()
        .deny("watch", "leases.coordination.k8s.io");
    let told = text(&see(&server, &["doctor"]).stdout);
    assert!(told.contains("BAD  a watch of Leases fails"), "{told}");
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
    // What helps can be typed as it stands.
    let mut nobody = tenure(&flags(&server, &["explain", "nobody"]));
    let told = nobody.arg0("kubectl-tenure").output().unwrap();
    assert!(text(&told.stdout).contains("\n  $ kubectl tenure status -A\n"));
    let mut nobody = tenure(&flags(&server, &["status", "nobody"]));
    let told = text(&nobody.arg0("kubectl-tenure").output().unwrap().stderr);
    assert!(
        told.starts_with("tenure: ") && told.contains("`kubectl tenure status -A`"),
        "{told}"
    );
    let mut files = tenure(&["timeline", ""]);
    let files = files.arg0("kubectl_complete-tenure").output().unwrap();
    assert_eq!(text(&files.stdout), ":0\n");
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
