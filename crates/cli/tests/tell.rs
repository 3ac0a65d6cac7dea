//! What the program tells besides leading (Events, labels, the log), and where its settings come from.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Stdio};

use common::{Running, output, refusal, running, tenure, text};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tenure_apiserver::{Fault, FaultAction};
use tenure_harness::{PodOptions, TestServer};

async fn server() -> TestServer {
    let server = TestServer::embedded().await.unwrap();
    server
        .create_pod("default", "a", &PodOptions::default())
        .await
        .unwrap();
    server
}

/// A candidate of the Pod `a`.
fn campaign(server: &TestServer, more: &[&str]) -> Command {
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let mut command = tenure(&["campaign", "nightly", "--kubeconfig", kubeconfig]);
    command.args(["--pod", "a"]).args(more);
    command
}

async fn get(server: &TestServer, path: &str) -> Value {
    server
        .call(Method::GET, path, &Value::Null)
        .await
        .unwrap()
        .body
}

async fn events(server: &TestServer) -> Vec<Value> {
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let mut events = get(server, path).await["items"].as_array().unwrap().clone();
    events.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
    events
}

async fn label(server: &TestServer, key: &str) -> Value {
    server.get_pod("default", "a").await.unwrap()["metadata"]["labels"][key].clone()
}

/// Waits until it is so; how long that takes is nobody's business here.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(common::LIMIT, wait).await;
    waited.unwrap_or_else(|_| panic!("it never came to be that {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_tells_of_its_term_and_labels_its_pod() {
    let server = server().await;
    let mut one = Running::start(&mut campaign(&server, &["--events", "--label-pod"]));
    one.event("leading");
    until("the Pod has the role", || async {
        label(&server, "tenure.dev/role").await == "leader"
            && label(&server, "tenure.dev/candidate").await == "nightly"
    })
    .await;
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
    // All of it has happened before the end.
    assert_eq!(label(&server, "tenure.dev/role").await, Value::Null);
    assert_eq!(label(&server, "tenure.dev/candidate").await, Value::Null);
    let events = events(&server).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (&event["reason"], &event["related"]["name"]))
        .collect();
    let (became, stopped, a) = (json!("BecameLeader"), json!("StoppedLeading"), json!("a"));
    assert_eq!(told, [(&became, &a), (&stopped, &a)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_run_has_its_events_too() {
    let server = server().await;
    let flags = ["--events", "--label-pod", "--pod", "a"];
    let mut run = Running::start(&mut running::sh(&server, &flags, "echo up; read -r line"));
    assert_eq!(run.line().unwrap(), "up");
    assert_eq!(run.wait().code(), Some(1));
    assert_eq!(label(&server, "tenure.dev/role").await, Value::Null);
    let reasons: Vec<_> = events(&server)
        .await
        .into_iter()
        .map(|event| event["reason"].clone())
        .collect();
    assert_eq!(reasons, ["BecameLeader", "StoppedLeading"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_told_once_and_leading_goes_on() {
    let server = server().await;
    let embedded = server.embedded_server().unwrap();
    embedded.deny("create", "events");
    embedded.deny("patch", "pods");
    let flags = ["--events", "--label-pod", "--lease-duration", "3s"];
    let mut command = campaign(&server, &flags);
    let mut one = Running::start(command.stderr(Stdio::piped()));
    one.event("leading");
    // Every second or so the labels are tried again.
    until("it was tried often", || async {
        let refused = |verb: &str| {
            let requests = embedded.requests().into_iter();
            let of_verb = requests.filter(|(key, _)| key.verb == verb && key.code == 403);
            of_verb.map(|(_, count)| count).sum::<u64>()
        };
        refused("create") >= 1 && refused("patch") >= 4
    })
    .await;
    one.signal(Signal::TERM);
    assert_eq!(one.event("released")["event"], "released");
    assert_eq!(one.wait().code(), Some(0));
    let told = one.errors();
    let of = |what: &str| told.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert_eq!(of("The right to create events"), 1, "{told}");
    assert_eq!(of("The right to patch pods"), 1, "{told}");
    assert!(told.contains("kubectl create role"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_without_a_pod_are_refused_with_what_to_do() {
    let server = server().await;
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let campaign = ["campaign", "x", "--kubeconfig", kubeconfig, "--label-pod"];
    let told = refusal(&campaign, 1);
    assert!(told.contains("--pod NAME"), "{told}");
    let told = refusal(&[&campaign[..], &["--pod", "nobody"]].concat(), 1);
    assert!(told.contains("none of that name"), "{told}");
    let long = "a".repeat(64);
    let told = refusal(
        &[
            "campaign",
            &long,
            "--kubeconfig",
            kubeconfig,
            "--label-pod",
            "--pod",
            "a",
        ],
        2,
    );
    assert!(told.contains("value of the label"), "{told}");
}

#[test]
fn the_rights_for_it_are_printed() {
    let rights = |more: &[&str]| {
        let args = [
            &[
                "rbac",
                "nightly",
                "-n",
                "shop",
                "--service-account",
                "worker",
            ][..],
            more,
        ]
        .concat();
        let output = output(&args);
        assert_eq!(output.status.code(), Some(0));
        text(&output.stdout)
    };
    let plain = rights(&[]);
    assert!(
        !plain.contains("events") && !plain.contains("pods"),
        "{plain}"
    );
    let all = rights(&["--events", "--label-pod"]);
    assert!(
        all.contains("events.k8s.io") && all.contains("patch"),
        "{all}"
    );
    let told = refusal(
        &[
            "rbac",
            "-n",
            "shop",
            "--service-account",
            "other:worker",
            "--label-pod",
        ],
        2,
    );
    assert!(told.contains("beside the lock"), "{told}");
    refusal(
        &[
            "rbac",
            "-n",
            "shop",
            "--service-account",
            "w",
            "--steer",
            "--events",
        ],
        2,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_json_line_by_line_where_that_is_asked_for() {
    let server = server().await;
    let flags = ["--log-format", "json", "-v"];
    let mut command = campaign(&server, &flags);
    let mut one = Running::start(command.stderr(Stdio::piped()));
    one.event("leading");
    one.signal(Signal::TERM);
    one.wait();
    let told = one.errors();
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let acquired = lines
        .iter()
        .find(|line| line["fields"]["message"] == "acquired leadership")
        .unwrap_or_else(|| panic!("{told}"));
    assert_eq!(acquired["fields"]["lock"], "nightly");
    assert_eq!(acquired["level"], "INFO");
    assert!(acquired["timestamp"].is_string());

    // So are the program's own last words, and those of what it starts.
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let words = [
        "run",
        "x",
        "--kubeconfig",
        kubeconfig,
        "--log-format=json",
        "--",
        "/no/such/command",
    ];
    let ended = output(&words);
    assert_eq!(ended.status.code(), Some(127));
    let told = text(&ended.stderr);
    let line: Value = serde_json::from_str(told.trim()).unwrap_or_else(|_| panic!("{told}"));
    assert!(
        line["fields"]["message"]
            .as_str()
            .unwrap()
            .contains("/no/such/command")
    );
    let ended = output(&[
        "campaign",
        "x",
        "--kubeconfig",
        "/no/such/file",
        "--log-format=json",
    ]);
    let line: Value = serde_json::from_str(text(&ended.stderr).trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_does_not_inherit_what_configures_its_tenure() {
    let server = server().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "run:\n  stop-timeout: 5s\n").unwrap();
    let mut run = running::sh(
        &server,
        &[],
        "env | grep ^TENURE_ | sort | cut -d= -f1; echo $MINE",
    );
    run.env("TENURE_CONFIG", file.path())
        .env("TENURE_LEASE_DURATION", "20s")
        .env("TENURE_EVENTS", "false")
        .env("TENURE_CANDIDATE_OF_SOMEBODY", "theirs")
        .env("TENURE_HOOK", "of an outer tenure")
        .env("TENURE_TOKEN", "of an outer tenure")
        .env("MINE", "kept");
    let mut run = Running::start(&mut run);
    let seen = run.rest();
    assert_eq!(run.wait().code(), Some(0));
    assert_eq!(
        seen,
        [
            "TENURE_CANDIDATE_OF_SOMEBODY",
            "TENURE_IDENTITY",
            "TENURE_LOCK",
            "TENURE_TERM",
            "TENURE_TOKEN",
            "kept",
        ]
    );
    // One that is told by a signal has no term, and none of an outer tenure's either.
    let script = "env | grep ^TENURE_T; echo none";
    let mut run = running::sh(&server, &["--signal-only", "WINCH"], script);
    let mut run = Running::start(run.env("TENURE_TOKEN", "1").env("TENURE_TERM", "1"));
    assert_eq!(run.rest(), ["none"]);
    run.wait();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_the_environment_and_the_flags_speak_in_turn() {
    let server = server().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    std::fs::write(
        file.path(),
        format!("kubeconfig: {kubeconfig}\nlease-duration: 7s\ncampaign:\n  identity: by-file\n"),
    )
    .unwrap();
    let config = file.path().to_str().unwrap();
    for (variable, flag, expected) in [
        (None, None, "by-file"),
        (Some("by-variable"), None, "by-variable"),
        (Some("by-variable"), Some("by-flag"), "by-flag"),
    ] {
        let mut command = tenure(&["campaign", "nightly", "--config", config]);
        command.args(flag.map(|flag| format!("--identity={flag}")));
        command.envs(variable.map(|variable| ("TENURE_STAND_AS", variable)));
        let mut one = Running::start(&mut command);
        assert_eq!(one.event("leading")["identity"], expected);
        let lease = get(
            &server,
            "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly",
        )
        .await;
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 7);
        one.signal(Signal::TERM);
        one.wait();
    }
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_with_its_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = file.path().to_str().unwrap();
    for (text, told) in [
        (
            "wait: 5s\nrun:\n  on-lost: exit\n",
            ":3: there is no setting \"on-lost\" of run",
        ),
        ("lease-duration: often\n", ":1: invalid value 'often'"),
        ("wait: [\n", config),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let line = refusal(&["run", "x", "--config", config, "--", "true"], 125);
        assert!(line.contains(told), "{line}");
        let line = refusal(&["--config", config, "campaign", "x"], 2);
        assert!(line.contains(told), "{line}");
    }
    let line = refusal(&["campaign", "x", "--config", "/no/such/file"], 2);
    assert!(line.contains("/no/such/file cannot be read"), "{line}");
    // So is what makes no sense together.
    std::fs::write(file.path(), "lock: config-map\nlease-duration: 5s\n").unwrap();
    let line = refusal(&["campaign", "x", "--config", config], 2);
    let both = format!("(--lease-duration by {config}:2, --lock by {config}:1)");
    assert!(line.contains(&both), "{line}");
    let line = refusal(
        &[
            "campaign",
            "x",
            "--config",
            config,
            "--lease-duration",
            "5s",
        ],
        2,
    );
    assert!(line.contains(&format!("(--lock by {config}:1)")), "{line}");
    // A variable is named where it is what is wrong.
    let output = tenure(&["campaign", "x"])
        .env("TENURE_LEASE_DURATION", "often")
        .output()
        .unwrap();
    let line = text(&output.stderr);
    assert!(line.contains("TENURE_LEASE_DURATION"), "{line}");
    assert_eq!(text(&output.stdout), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_over_events_and_labels_holds_nobody_up() {
    let server = server().await;
    let embedded = server.embedded_server().unwrap();
    for (verb, resource) in [("create", "events"), ("patch", "pods"), ("list", "pods")] {
        let hang = Fault::new(FaultAction::Hang);
        embedded.inject(hang.verb(verb).resource(resource));
    }
    let flags = ["--events", "--label-pod", "--lease-duration", "2s"];
    let mut one = Running::start(&mut campaign(&server, &flags));
    one.event("leading");
    let renewed = || {
        let writes = embedded.writes().into_iter();
        writes
            .filter(|write| write.resource.starts_with("leases"))
            .count()
    };
    // Several lease durations.
    until("it was renewed many times", || async { renewed() > 20 }).await;
    one.signal(Signal::TERM);
    assert_eq!(one.event("released")["event"], "released");
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(one.rest(), [""; 0], "it was neither lost nor in jeopardy");
}
