//! The demo on a real control plane, for each lock: it measures, and leaves nothing behind.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{tenure, text};
use http::Method;
use serde_json::Value;
use tenure_harness::TestServer;

async fn runs_and_leaves_nothing(lock: &str, locks: &str) {
    let Some(server) = TestServer::shared_real_if_any().await.unwrap() else {
        return;
    };
    if lock == "leader-lock" {
        server.install_leader_lock_crd().await.unwrap();
    }
    let namespace = server.namespace("demo").await.unwrap();
    let kubeconfig = server.kubeconfig().to_str().unwrap().to_owned();
    let mut command = tenure(&["demo", "--json", "--lead-for", "500ms", "--lock", lock]);
    command.args(["--kubeconfig", &kubeconfig, "--namespace", &namespace]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(summary["overlaps"], 0, "{summary}");
    assert!(
        summary["leaders"].as_array().unwrap().len() >= 3,
        "{summary}"
    );
    assert!(summary["takeover_ms"].is_f64() && summary["handover_ms"].is_f64());

    for path in [
        format!("/api/v1/namespaces/{namespace}/pods"),
        format!("{locks}/namespaces/{namespace}/{}", plural(lock)),
    ] {
        let list = server.call(Method::GET, &path, &Value::Null).await.unwrap();
        let items = list.ok().unwrap()["items"].clone();
        let ours = |item: &&Value| {
            let name = item["metadata"]["name"].as_str();
            name.is_some_and(|name| name.starts_with("tenure-demo-"))
        };
        let left: Vec<_> = items.as_array().unwrap().iter().filter(ours).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn plural(lock: &str) -> &str {
    match lock {
        "lease" => "leases",
        "config-map" => "configmaps",
        _ => "leaderlocks",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease() {
    runs_and_leaves_nothing("lease", "/apis/coordination.k8s.io/v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map() {
    runs_and_leaves_nothing("config-map", "/api/v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_lock() {
    runs_and_leaves_nothing("leader-lock", "/apis/coralogix.com/v1").await;
}
