//! Asking leaders to step down, to hand over and to pause, with candidates of this program as the
//! holders.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    nowhere, output, refusal,
    steering::{
        LEASES, candidate, held_by, held_by_a_stranger, lease, made, says, server, steer, with,
    },
    text,
};
use serde_json::{Value, json};

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

    // Whoever pauses it once more changes nothing.
    for more in [&[][..], &["--dry-run"], &["--wait"]] {
        let again = ["pause", "nightly", "--reason", "another"];
        let told = steer(&server, &[&again[..], more].concat());
        says(&told, "the Lease default/nightly is already paused by ");
        says(&told, ": moving house");
        let note = common::text(&told.stderr);
        assert!(note.contains("it keeps its own reason"), "{note}");
    }
    assert_eq!(lease(&server).await, paused);

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
async fn what_a_holder_is_called_does_not_reach_a_terminal_as_it_is() {
    let server = server().await;
    held_by(&server, "x?y/../evil\x1b[2J\u{9b}2J\n\u{202e}", 15).await;
    for args in [
        &["step-down", "nightly"][..],
        &["hand-over", "nightly", "--to", "b"],
        &["step-down", "nightly", "--anyway", "--dry-run"],
        &["step-down", "nightly", "--anyway", "--wait=1s"],
        &["release", "--force", "nightly", "--dry-run"],
    ] {
        let told = steer(&server, args);
        let shown = format!("{}{}", text(&told.stdout), text(&told.stderr));
        assert!(
            !shown.contains(['\x1b', '\u{9b}', '\u{202e}']),
            "{args:?}: {shown}"
        );
        assert!(
            shown.contains("evil\\u{1b}[2J") || shown.contains("dry run"),
            "{shown}"
        );
        // Nor is it asked for as a Pod.
        let requests = server.embedded_server().unwrap().requests();
        assert!(
            !requests.keys().any(|key| key.resource.starts_with("pods")),
            "{requests:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_who_was_named_and_does_not_come_is_told_from_who_does() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    let own = ["hand-over", "nightly", "--to", "one"];
    says(
        &steer(&server, &own),
        "one holds the Lease default/nightly already",
    );
    let two = candidate(&server, "two");
    while two.event("standby")["holder"] != "one" {}
    let told = steer(
        &server,
        &["hand-over", "nightly", "--to", "three", "--wait"],
    );
    assert_eq!(told.status.code(), Some(1));
    let why = text(&told.stderr);
    assert!(
        why.contains("there is no Pod \"three\" in the namespace default"),
        "{why}"
    );
    assert!(
        why.contains("two leads now, and by its identity that is not three"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_be_dead_is_not_said_to_have_heard_it() {
    let server = server().await;
    let renewed = "2026-03-01T09:30:00.123456Z";
    let mark =
        json!({"holder": "one", "renewTime": renewed, "process": "p", "write": 1}).to_string();
    let lease = json!({
        "metadata": {"name": "nightly", "annotations": {"tenure.dev/write": mark}},
        "spec": {
            "holderIdentity": "one", "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "renewTime": renewed,
        },
    });
    made(&server, LEASES, &lease).await;
    let told = steer(&server, &["step-down", "nightly"]);
    says(&told, "asked one to step down");
    let doubt = text(&told.stderr);
    assert!(
        doubt.contains("doubtful") && doubt.contains("any candidate may take it"),
        "{doubt}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_is_there_or_may_be_is_not_doubted() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    let pod = tenure_harness::PodOptions::default();
    let made = server
        .create_pod("default", "worker-0", &pod)
        .await
        .unwrap();
    let told = |to: &str| {
        let told = steer(&server, &["hand-over", "nightly", "--to", to, "--dry-run"]);
        says(&told, "asked one to hand over");
        text(&told.stderr)
    };
    assert_eq!(told("worker-0"), "");
    let uid = made["metadata"]["uid"].as_str().unwrap();
    assert_eq!(told(uid), "");
    assert_eq!(told("worker-0_0_7"), "", "an identity");
    let doubt = told("worker-O");
    assert_eq!(doubt, "", "no Pod can be called so");
    let doubt = told("worker-00");
    assert!(doubt.contains("there is no Pod \"worker-00\""), "{doubt}");
    server.embedded_server().unwrap().deny("get", "pods");
    assert_eq!(told("worker-00"), "", "Pods cannot be read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_named_as_status_prints_it() {
    let server = server().await;
    let one = candidate(&server, "one");
    one.event("leading");
    let names = text(&steer(&server, &["status", "-o", "name"]).stdout);
    assert_eq!(names, "lease.coordination.k8s.io/nightly\n");
    for name in [names.trim(), "lease/nightly", "leases/nightly"] {
        says(
            &steer(&server, &["pause", name, "--dry-run"]),
            "paused the Lease default/nightly",
        );
    }
    let told = refusal(&with(&server, &["step-down", "cm/nightly"]), 1);
    assert!(
        told.contains("there is no ConfigMap default/nightly"),
        "{told}"
    );
    for args in [
        &["step-down", "lease/nightly", "--lock", "config-map"][..],
        &["step-down", "pod/nightly"],
        &["step-down", "lease/No Name"],
        &["pause", "cm/nightly"],
        &["hand-over", "ll/nightly", "--to", "b"],
    ] {
        refusal(args, 2);
    }
    let told = refusal(&["release", "--force", "cm/a", "--lock", "lease"], 2);
    assert!(
        told.contains("is a ConfigMap, and --lock says lease"),
        "{told}"
    );
}

#[test]
fn a_server_that_does_not_answer_is_named_with_its_causes() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = nowhere(directory.path());
    let nowhere = ["--kubeconfig", nowhere.as_str()];
    for verb in [
        &["step-down", "nightly"][..],
        &["status"],
        &["history", "nightly"],
    ] {
        let line = refusal(&[verb, &nowhere].concat(), 1);
        assert!(line.contains("127.0.0.1:1 cannot be reached"), "{line}");
        assert!(line.contains("`tenure doctor`"), "{line}");
        let verbose = text(&output(&[verb, &nowhere, &["-v"]].concat()).stderr);
        assert!(verbose.contains("\n  because: "), "{verbose}");
    }
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
    let unknown = ["step-down", "nightly", "--lock", "leader-lock"];
    let told = refusal(&with(&server, &unknown), 1);
    assert!(told.contains("`tenure crd --install`"), "{told}");
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
    let role = &documents[0]["metadata"]["name"];
    assert_eq!(&documents[1]["metadata"]["name"], role);
    assert_eq!(&documents[1]["roleRef"]["name"], role);
    // Another's do not replace them.
    let other = rbac.map(|word| if word == "ops:eve" { "bob" } else { word });
    let other = text(&output(&other).stdout);
    assert!(
        other.contains("name: \"tenure-steer-lease-nightly-bob\""),
        "{other}"
    );
    assert!(!other.contains(role.as_str().unwrap()), "{other}");
}
