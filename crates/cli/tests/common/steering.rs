//! The steering verbs over the embedded server.

use std::process::Output;

use http::Method;
use serde_json::{Value, json};
use tenure_harness::TestServer;

use super::{Running, output, tenure, text};

pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

pub async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

pub fn with<'a>(server: &'a TestServer, args: &[&'a str]) -> Vec<&'a str> {
    let mut args = args.to_vec();
    args.extend(["--kubeconfig", server.kubeconfig().to_str().unwrap()]);
    args
}

pub fn steer(server: &TestServer, args: &[&str]) -> Output {
    output(&with(server, args))
}

/// It succeeds, and says this.
pub fn says(output: &Output, expected: &str) {
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(told.contains(expected), "{told}{errors}");
}

pub fn candidate(server: &TestServer, identity: &str) -> Running {
    let args = with(server, &["campaign", "nightly", "--identity", identity]);
    Running::start(&mut tenure(&args))
}

pub async fn lease(server: &TestServer) -> Value {
    server
        .call(Method::GET, LEASE, &Value::Null)
        .await
        .unwrap()
        .body
}

pub async fn held_by_a_stranger(server: &TestServer) {
    held_by(server, "stranger", 15).await;
}

pub async fn held_by(server: &TestServer, holder: &str, seconds: i64) {
    let lease = json!({
        "metadata": {"name": "nightly"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 3,
            "acquireTime": "2026-03-01T09:12:41.000871Z", "renewTime": "2026-03-01T09:30:00.123456Z",
        },
    });
    made(server, LEASES, &lease).await;
}

pub async fn made(server: &TestServer, collection: &str, object: &Value) -> Value {
    let made = server.call(Method::POST, collection, object).await.unwrap();
    assert_eq!(made.code, 201, "{}", made.body);
    made.body
}
