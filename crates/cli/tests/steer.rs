//! The steering verbs over the embedded server, with candidates of this program as the holders.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Output;

use common::{Running, output, refusal, tenure, text};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tenure_harness::{PodOptions, TestServer};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

fn with<'a>(server: &'a TestServer, args: &[&'a str]) -> Vec<&'a str> {
    let mut args = args.to_vec();
    args.extend(["--kubeconfig", server.kubeconfig().to_str().unwrap()]);
    args
}

fn steer(server: &TestServer, args: &[&str]) -> Output {
    output(&with(server, args))
}

/// It succeeds, and says this.
fn says(output: &Output, expected: &str) {
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(told.contains(expected), "{told}{errors}");
}

fn candidate(server: &TestServer, identity: &str) -> Running {
    let args = with(server, &["campaign", "nightly", "--identity", identity]);
    Running::start(&mut tenure(&args))
}

async fn lease(server: &TestServer) -> Value {
    server
        .call(Method::GET, LEASE, &Value::Null)
        .await
        .unwrap()
        .body
}

async fn held_by_a_stranger(server: &TestServer) {
    let lease = json!({
        "metadata": {"name": "nightly"},
        "spec": {
            "holderIdentity": "stranger", "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "acquireTime": "2026-03-01T09:12:41.000871Z", "renewTime": "2026-03-01T09:30:00.123456Z",
        },
    });
    assert_eq!(
        server
            .call(Method::POST, LEASES, &lease)
            .await
            .unwrap()
            .code,
        201
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l25_a_leader_steps_down_and_hands_over_when_it_is_asked() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    let two = candidate(&server, "two");
    while two.event("standby")["holder"] != "one" {}

    let told = steer(&server, &["hand-over", "nightly", "--to", "two", "--wait"]);
    says(&told, "asked one to hand over to two\ntwo leads now");
    let lost = one.event("lost");
    let why = lost["reason"].as_str().unwrap();
    assert!(why.starts_with("asked to step down by"), "{lost}");
    two.event("leading");
    assert_eq!(
        lease(&server).await["metadata"]["annotations"].get("tenure.dev/step-down"),
        None
    );
    while one.event("standby")["holder"] != "two" {}

    // Both have just left a Lease to others (L23): either may be the next.
    let told = steer(&server, &["step-down", "nightly", "--wait=20s"]);
    says(&told, "asked two to step down");
    says(&told, "leads now");
    two.event("lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l26_a_paused_lease_has_no_leader_until_it_is_resumed() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    let told = steer(
        &server,
        &["pause", "nightly", "--reason", "moving house", "--wait"],
    );
    says(
        &told,
        "paused the Lease default/nightly; one steps down\nnobody leads now",
    );
    one.event("lost");
    let standby = one.event("standby");
    assert!(
        standby["reason"].as_str().unwrap().contains("moving house"),
        "{standby}"
    );
    let paused = lease(&server).await;
    let text = paused["metadata"]["annotations"]["tenure.dev/paused"]
        .as_str()
        .unwrap();
    let pause: Value = serde_json::from_str(text).unwrap();
    assert_eq!(pause["reason"], "moving house");
    assert!(pause["since"].as_str().unwrap().ends_with('Z'), "{pause}");

    says(&steer(&server, &["resume", "nightly"]), "resumed");
    one.event("leading");
    says(&steer(&server, &["resume", "nightly"]), "is not paused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_changes_nothing() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    for args in [
        &["step-down", "nightly", "--dry-run"][..],
        &["hand-over", "nightly", "--to", "two", "--dry-run"],
        &["pause", "nightly", "--dry-run"],
        &["release", "--force", "nightly", "--dry-run"],
    ] {
        says(&steer(&server, args), "nothing was changed");
    }
    let lease = lease(&server).await;
    assert_eq!(lease["spec"]["holderIdentity"], "one");
    let annotations = lease["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["tenure.dev/write"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_no_tenure_is_not_asked_unless_it_is_said() {
    let server = server().await;
    held_by_a_stranger(&server).await;
    for args in [&["step-down", "nightly"][..], &["pause", "nightly"]] {
        let told = refusal(&with(&server, args), 1);
        assert!(told.contains("will not listen"), "{told}");
    }
    assert_eq!(lease(&server).await["metadata"].get("annotations"), None);
    says(
        &steer(&server, &["step-down", "nightly", "--anyway"]),
        "asked stranger",
    );
    let asks = ["step-down", "nightly", "--anyway", "--wait=1s"];
    let told = steer(&server, &asks);
    assert_eq!(told.status.code(), Some(1));
    let why = text(&told.stderr);
    assert!(why.contains("stranger leads now"), "{why}");
}

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
    server
        .create_pod("default", "worker-0", &PodOptions::default())
        .await
        .unwrap();
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
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let inside = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
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

#[test]
fn the_help_of_each_verb_shows_how_it_is_used() {
    for verb in ["step-down", "hand-over", "pause", "resume", "release"] {
        let help = text(&output(&[verb, "--help"]).stdout);
        let (_, examples) = help.split_once("Examples:").unwrap();
        assert!(examples.contains(&format!("tenure {verb} ")), "{help}");
        for example in examples.lines().filter(|line| !line.is_empty()) {
            let typed = example.trim().split("  ").next().unwrap();
            let words: Vec<&str> = typed.split(' ').skip(1).collect();
            // What clap or tenure does not understand ends with 2; these fail for want of a cluster.
            let words: Vec<&str> = words.iter().map(|word| word.trim_matches('"')).collect();
            let words: Vec<&str> = words.into_iter().filter(|word| *word != "house").collect();
            let none = ["--kubeconfig", "/no/such/file"];
            let told = output(&[&words[..], &none].concat());
            assert_eq!(
                told.status.code(),
                Some(1),
                "{typed}: {}",
                text(&told.stderr)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dry_run_of_a_delete_says_what_would_be_deleted_and_in_which_state() {
    const LOCKS: &str = "/api/v1/namespaces/default/configmaps";
    let server = server().await;
    let options = PodOptions::default();
    let pod = server.create_pod("default", "worker-0", &options).await;
    let uid = &pod.unwrap()["metadata"]["uid"];
    let owner = json!({"podName": "worker-0", "podUid": uid, "term": "n-1"}).to_string();
    let lock = json!({"metadata": {
        "name": "nightly",
        "annotations": {"tenure.dev/owner": owner},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "worker-0", "uid": uid}],
    }});
    let made = server.call(Method::POST, LOCKS, &lock).await.unwrap();
    assert_eq!(made.code, 201, "{}", made.body);
    let mut args = vec!["release", "--force", "nightly", "--dry-run"];
    args.extend(["--lock", "config-map"]);
    let told = steer(&server, &args);
    says(&told, "nothing was changed");
    let shown = text(&told.stdout);
    let (what, options) = shown.lines().next().unwrap().split_once(": ").unwrap();
    assert_eq!(what, "delete the ConfigMap default/nightly");
    let options: Value = serde_json::from_str(options).unwrap();
    for name in ["uid", "resourceVersion"] {
        assert_eq!(options["preconditions"][name], made.body["metadata"][name]);
    }
    let path = format!("{LOCKS}/nightly");
    let after = server.call(Method::GET, &path, &Value::Null).await.unwrap();
    assert_eq!(after.body["metadata"], made.body["metadata"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_refused_in_one_line() {
    let server = server().await;
    for args in [
        &["step-down", "nightly"][..],
        &["hand-over", "nightly", "--to", "b"],
        &["pause", "nightly"],
        &["release", "--force", "nightly", "--yes"],
    ] {
        let told = refusal(&with(&server, args), 1);
        assert!(told.contains("there is no Lease default/nightly"), "{told}");
    }
    for args in [
        &["pause", "nightly", "--lock", "config-map"][..],
        &["resume", "nightly", "--lock", "leader-lock"],
        &["hand-over", "nightly", "--to", "b", "--lock", "config-map"],
        &["hand-over", "nightly", "--to", " "],
        &["hand-over", "nightly", "--to", "a\u{1b}b"],
        &["hand-over", "nightly"],
        &["release", "nightly"],
        &["step-down", "No Name"],
        &["step-down", "nightly", "-n", "No Name"],
    ] {
        refusal(args, 2);
    }
}

#[test]
fn the_rights_to_steer_are_printed_verb_by_verb() {
    let rbac = [
        "rbac",
        "--steer",
        "nightly",
        "-n",
        "shop",
        "--service-account",
        "ops:eve",
    ];
    let told = output(&rbac);
    says(&told, "# step-down, hand-over, pause, resume");
    let yaml = text(&told.stdout);
    let documents: Vec<Value> = yaml
        .split("---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect();
    assert_eq!(documents[0]["rules"][0]["verbs"], json!(["get", "patch"]));
    assert_eq!(
        documents[0]["rules"][0]["resourceNames"],
        json!(["nightly"])
    );
    assert_eq!(documents[1]["subjects"][0]["namespace"], "ops");
}
