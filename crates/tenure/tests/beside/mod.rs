//! Candidates of Pods on the embedded server, on virtual time, and what is seen of them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use kube::Client;
use serde_json::{Value, json};
use tenure::{Builder, ContextInfo, LeaderElection, clock, context_info::OwnPod};
use tenure_apiserver::ApiServer;

use crate::embedded::{POD_LIST, call};

pub(crate) const PODS: &str = "pods";
pub(crate) const EVENTS: &str = "events";

/// A Pod with these labels; its uid.
pub(crate) async fn pod(server: &ApiServer, name: &str, labels: Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    });
    let pod = call(server, "POST", POD_LIST, &pod).await;
    pod["metadata"]["uid"].as_str().unwrap().to_owned()
}

pub(crate) async fn patch_labels(server: &ApiServer, pod: &str, labels: Value) {
    let path = format!("{POD_LIST}/{pod}");
    let patch = json!({"metadata": {"labels": labels}});
    call(server, "PATCH", &path, &patch).await;
}

pub(crate) fn lease() -> Builder {
    LeaderElection::lease_lock("nightly")
}

/// A candidate of the Pod of that name.
pub(crate) fn candidate(
    server: &ApiServer,
    name: &str,
    uid: &str,
    builder: Builder,
    seed: u64,
) -> LeaderElection {
    let context = ContextInfo::outside("default", name).with_pod(OwnPod::new("default", name, uid));
    builder
        .clock(clock::tokio_clock())
        .seed(seed)
        .build_over(Client::new(server.service(), "default"), context)
        .unwrap()
}

/// All Events, in the order of their own times.
pub(crate) async fn events(server: &ApiServer) -> Vec<Value> {
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let list = call(server, "GET", path, &Value::Null).await;
    let mut events = list["items"].as_array().unwrap().clone();
    events.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
    events
}

pub(crate) fn labels_of(server: &ApiServer, pod: &str) -> (Option<String>, Option<String>) {
    let pod = server.object(PODS, "default", pod).unwrap();
    let label = |key: &str| pod["metadata"]["labels"][key].as_str().map(str::to_owned);
    (label("tenure.dev/candidate"), label("tenure.dev/role"))
}

pub(crate) const NONE: (Option<String>, Option<String>) = (None, None);

pub(crate) fn waits() -> (Option<String>, Option<String>) {
    (Some("nightly".to_owned()), None)
}

pub(crate) fn leads() -> (Option<String>, Option<String>) {
    (Some("nightly".to_owned()), Some("leader".to_owned()))
}
