//! `tenure sidecar` over the embedded server: what it answers, and how it ends.
//!
//! Reading the program's lines blocks the test's own thread: the server is on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use common::{Running, http::Sidecar, refusal, tenure};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tenure_harness::{PodOptions, TestServer};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
const CONFIG_MAP: &str = "/api/v1/namespaces/default/configmaps/nightly";

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let answer = server.call(Method::GET, path, &Value::Null).await.unwrap();
    (answer.code, answer.body)
}

fn token(said: &Value) -> u64 {
    said["token"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_leads_and_hands_over_when_what_it_promised_is_over() {
    let server = server().await;
    let one = Sidecar::start(&server, &["--identity", "one"]);
    let said = one.leads();
    assert_eq!(
        (&said["holder"], &said["phase"]),
        (&json!("one"), &json!("leading"))
    );
    let two = Sidecar::start(&server, &["--identity", "two"]);
    two.until("/v1/status", |_, said| said["holder"] == "one");
    assert_eq!(two.get("/leader").0, 503);
    assert_eq!((one.get("/replica").0, two.get("/replica").0), (503, 200));
    for sidecar in [&one, &two] {
        assert_eq!(sidecar.get("/").1, json!({"name": "one"}));
        assert_eq!(sidecar.get("/healthz").0, 200);
        assert_eq!(sidecar.get("/readyz").0, 200);
    }
    let (code, told) = two.post("/v1/step-down", "");
    assert_eq!(code, 409, "{told}");

    let asked = tenure::now();
    let (_, said) = one.get("/leader");
    let valid = Duration::from_millis(said["valid_for_ms"].as_u64().unwrap());
    let (code, left) = one.post("/v1/hand-over", r#"{"to":"two"}"#);
    assert_eq!(
        (code, &left["released"], &left["to"]),
        (200, &json!(true), &json!("two"))
    );
    assert!(
        tenure::now() >= asked.after(valid),
        "L10: promised is promised"
    );
    let next = two.leads();
    assert!(token(&next) > token(&said), "{next} {said}");
    one.until("/", |_, said| *said == json!({"name": "two"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_releases_and_ends_with_0() {
    let server = server().await;
    let mut one = Sidecar::start(&server, &["--identity", "one"]);
    one.leads();
    let mut watch = one.connect();
    watch
        .write_all(b"GET /v1/watch HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut first = [0; 1024];
    assert_ne!(watch.read(&mut first).unwrap(), 0);
    one.running.signal(Signal::TERM);
    // A reader of events does not keep it from ending, and hears of the end.
    let mut rest = String::new();
    watch.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("asked to end by SIGTERM"), "{rest}");
    assert_eq!(one.running.wait().code(), Some(0));
    let (_, lease) = get(&server, LEASE).await;
    assert_eq!(lease["spec"]["holderIdentity"], "", "{lease}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_ctrl_c_waits_for_nothing() {
    let server = server().await;
    let flags = ["--identity", "one", "--lease-duration", "60s"];
    let mut one = Sidecar::start(&server, &flags);
    one.leads();
    one.running.signal(Signal::INT);
    one.until("/v1/status", |_, said| said["phase"] == "leaving");
    one.running.signal(Signal::INT);
    assert_eq!(one.running.wait().code(), Some(130));
    // What it promised still holds: it runs out by itself.
    let (_, lease) = get(&server, LEASE).await;
    assert_eq!(lease["spec"]["holderIdentity"], "one", "{lease}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_server_does_not_answer_leads_no_more_and_ends_all_the_same() {
    let server = server().await;
    let mut one = Sidecar::start(&server, &["--lease-duration", "3s"]);
    one.leads();
    server.embedded_server().unwrap().set_reachable(false);
    let said = one.until("/leader", |code, _| code == 503);
    assert_eq!(said["valid_for_ms"], Value::Null);
    assert_eq!(one.get("/").1, json!({"name": ""}));
    assert_eq!(one.get("/healthz").0, 200, "an outage does not wedge it");
    assert_eq!(one.get("/readyz").0, 200);
    server.embedded_server().unwrap().set_reachable(true);
    let again = one.leads();
    server.embedded_server().unwrap().set_reachable(false);
    one.running.signal(Signal::TERM);
    assert_eq!(one.running.wait().code(), Some(0), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l9_a_thief_ends_it_at_once() {
    let server = server().await;
    let one = Sidecar::start(&server, &["--identity", "one"]);
    one.leads();
    loop {
        let (_, mut lease) = get(&server, LEASE).await;
        lease["spec"]["holderIdentity"] = json!("thief");
        if server.call(Method::PUT, LEASE, &lease).await.unwrap().code == 200 {
            break;
        }
    }
    one.until("/", |_, said| *said == json!({"name": "thief"}));
    assert_eq!(one.get("/leader").0, 503);
    // The end of the term is counted a moment after it has ended.
    one.until("/metrics", |_, figures| {
        let figures = figures.as_str();
        figures.is_some_and(|figures| figures.contains("reason=\"taken\"} 1"))
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_for_life_is_answered_for_as_well() {
    let server = server().await;
    let pod = server
        .create_pod("default", "one", &PodOptions::default())
        .await
        .unwrap();
    let flags = ["--lock", "config-map", "--pod", "one", "--grace", "200ms"];
    let mut one = Sidecar::start(&server, &flags);
    let said = one.leads();
    assert_eq!(
        (
            &said["kind"],
            &said["valid_for_ms"],
            &said["expires_in_ms"],
            &said["term"]
        ),
        (&json!("config-map"), &json!(150), &Value::Null, &json!(0))
    );
    assert_eq!(one.get("/").1, json!({"name": "one"}));
    assert_eq!(one.post("/v1/step-down", "{}").0, 200);
    one.leads();
    one.running.signal(Signal::TERM);
    assert_eq!(one.running.wait().code(), Some(0));
    assert_eq!(get(&server, CONFIG_MAP).await.0, 404, "{pod}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_token_is_answered_from_anywhere_and_nobody_else() {
    let server = server().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    let path = file.path().to_str().unwrap();
    let one = Sidecar::start(&server, &["--http", "127.0.0.2:0", "--token-file", path]);
    assert_eq!(one.get("/v1/status").0, 401);
    assert_eq!(one.get("/healthz").0, 200);
    let (code, _) = one.send(
        "GET /v1/status HTTP/1.1\r\nhost: side.shop.svc\r\n\
         authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n",
    );
    assert_eq!(code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kubelet_is_answered_where_nothing_else_is() {
    let server = server().await;
    let mut one = Sidecar::start(&server, &["--probes", "127.0.0.2:0"]);
    let line = one.running.line().unwrap();
    one.leads();
    let main = std::mem::replace(
        &mut one.address,
        line.strip_prefix("probes on http://").unwrap().to_owned(),
    );
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: 10.1.2.3:4041\r\n\r\n");
    assert_eq!(one.send(&ask("/healthz")).0, 200);
    assert_eq!(one.send(&ask("/readyz")).0, 200);
    assert_eq!(one.send(&ask("/leader")).0, 404);
    assert_eq!(one.post("/v1/step-down", "").0, 404);
    // Whoever fills one of the two keeps nobody from the other.
    one.address = main;
    let silent: Vec<_> = (0..256).map(|_| one.connect()).collect();
    one.address = line.strip_prefix("probes on http://").unwrap().to_owned();
    assert_eq!(one.get("/healthz").0, 200);
    drop(silent);
    one.running.signal(Signal::TERM);
    assert_eq!(one.running.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_are_refused_and_hold_up_nobody() {
    let server = server().await;
    let one = Sidecar::start(&server, &[]);
    let mut silent: Vec<_> = (0..100).map(|_| one.connect()).collect();
    let mut half = one.connect();
    half.write_all(b"GET /leader HTTP/1.1\r\nhost: loc")
        .unwrap();
    one.leads();
    let many = "x: y\r\n".repeat(100);
    assert_eq!(one.send(&format!("GET / HTTP/1.1\r\n{many}\r\n")).0, 431);
    let long = "x".repeat(20_000);
    let (code, _) = one.send(&format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    assert!(matches!(code, 414 | 431), "{code}");
    assert_eq!(one.send("nonsense\r\n\r\n").0, 400);
    assert_eq!(one.send("GET / HTTP/1.0\r\n\r\n").0, 403);
    let rebound = "POST /v1/step-down HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(one.send(rebound).0, 403);
    let page = "POST /v1/step-down HTTP/1.1\r\nhost: localhost\r\norigin: null\r\n\r\n";
    assert_eq!(one.send(page).0, 403);
    assert_eq!(one.get("/leader").0, 200, "it still leads");
    // Those that say nothing are let go in time.
    silent.push(half);
    for mut stream in silent {
        let mut told = Vec::new();
        let ended = stream.read_to_end(&mut told);
        assert!(ended.is_ok() || !told.is_empty(), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_fit_wait_until_another_ends() {
    let server = server().await;
    let one = Sidecar::start(&server, &[]);
    let mut silent: Vec<_> = (0..256).map(|_| one.connect()).collect();
    let mut next = one.connect();
    next.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    next.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut first = [0; 12];
    next.read_exact(&mut first).unwrap_err();
    silent.pop();
    next.set_read_timeout(Some(common::LIMIT)).unwrap();
    next.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[test]
fn what_cannot_be_listened_on_is_refused_in_one_line_with_what_to_do() {
    let open = refusal(&["sidecar", "nightly", "--http", "0.0.0.0:0"], 2);
    assert!(open.contains("--token-file FILE"), "{open}");
    let bad = refusal(&["sidecar", "nightly", "--http", "nowhere"], 2);
    assert!(bad.contains("such as 127.0.0.1:4040"), "{bad}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = refusal(&["sidecar", "nightly", "--http", &address], 1);
    assert!(told.contains("another program has that port"), "{told}");
    let probes = ["sidecar", "nightly", "--http", "127.0.0.1:0", "--probes"];
    let told = refusal(&[&probes[..], &[&address]].concat(), 1);
    assert!(told.contains("choose another with --probes"), "{told}");
    let told = refusal(&[&probes[..], &["4041"]].concat(), 2);
    assert!(told.contains("--probes \"4041\" is no address"), "{told}");
    let missing = [
        "sidecar",
        "nightly",
        "--http",
        "127.0.0.1:0",
        "--token-file",
    ];
    let told = refusal(&[&missing[..], &["/no/such/file"]].concat(), 1);
    assert!(told.contains("/no/such/file: cannot be read"), "{told}");
    let host = ["sidecar", "nightly", "--allow-host", "side:4040"];
    assert!(refusal(&host, 2).contains("the name of a host"));
    let short = ["sidecar", "nightly", "--grace", "1ms"];
    assert!(refusal(&short, 2).contains("too short to act by"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_is_answered_before_there_is_an_election() {
    // A server that takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = common::kubeconfig_of(&silent);
    let path = file.path().to_str().unwrap();
    let args = [
        "sidecar",
        "nightly",
        "--http",
        "127.0.0.1:0",
        "--kubeconfig",
        path,
    ];
    let mut one = Running::start(&mut tenure(&args));
    let (_stream, _) = silent.accept().unwrap();
    one.signal(Signal::INT);
    assert_eq!(one.wait().code(), Some(0));
}
