//! What the tests share: raw requests to a server in process.
#![allow(dead_code, clippy::unwrap_used)] // each test program uses a part of it

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tenure_apiserver::{ApiServer, ResponseBody};
use tower::ServiceExt;

/// Sends a request and gives the code and the JSON of its answer; text becomes a JSON string.
pub(crate) async fn send(
    server: &ApiServer,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    send_as(server, method, path, "application/json", body).await
}

/// As [`send`], with a content type.
pub(crate) async fn send_as(
    server: &ApiServer,
    method: Method,
    path: &str,
    content_type: &str,
    body: Value,
) -> (StatusCode, Value) {
    let bytes = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(Full::new(bytes::Bytes::from(bytes)))
        .unwrap();
    let response = server.service().oneshot(request).await.unwrap();
    let code = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (
        code,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// `GET`.
pub(crate) async fn get(server: &ApiServer, path: &str) -> (StatusCode, Value) {
    send(server, Method::GET, path, Value::Null).await
}

/// `POST`.
pub(crate) async fn post(server: &ApiServer, path: &str, body: Value) -> (StatusCode, Value) {
    send(server, Method::POST, path, body).await
}

/// `PUT`.
pub(crate) async fn put(server: &ApiServer, path: &str, body: Value) -> (StatusCode, Value) {
    send(server, Method::PUT, path, body).await
}

/// `DELETE`, with options in the body unless they are null.
pub(crate) async fn delete(server: &ApiServer, path: &str, options: Value) -> (StatusCode, Value) {
    send(server, Method::DELETE, path, options).await
}

/// `PATCH` with a merge patch.
pub(crate) async fn merge(server: &ApiServer, path: &str, patch: Value) -> (StatusCode, Value) {
    send_as(
        server,
        Method::PATCH,
        path,
        "application/merge-patch+json",
        patch,
    )
    .await
}

/// An open watch.
pub(crate) struct Events {
    body: ResponseBody,
}

/// Opens a watch.
pub(crate) async fn watch(server: &ApiServer, path: &str) -> Events {
    let request = Request::get(path)
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let response = server.service().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    Events {
        body: response.into_body(),
    }
}

impl Events {
    /// The next event; `None` at the watch's end. Panics when none comes within ten seconds.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame())
            .await
            .expect("no event came within ten seconds")?;
        let data = frame.unwrap().into_data().unwrap();
        Some(serde_json::from_slice(&data).unwrap())
    }

    /// The next event's type and its object's name.
    pub(crate) async fn next_short(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch ended");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }

    /// Asserts that nothing is waiting to be read.
    pub(crate) async fn silent(&mut self) {
        let waited = tokio::time::timeout(Duration::from_millis(20), self.body.frame()).await;
        assert!(waited.is_err(), "unexpected: {waited:?}");
    }
}

pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(crate) const LOCKS: &str = "/apis/coralogix.com/v1/namespaces/default/leaderlocks";

pub(crate) fn lease(name: &str, holder: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0,
        "acquireTime": "2024-01-02T03:04:05.000006Z", "renewTime": "2024-01-02T03:04:05.000006Z",
    }})
}

pub(crate) fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "b"}})
}

pub(crate) fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}})
}

/// An owner reference to an object of the API.
pub(crate) fn owner(object: &Value, block: bool) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "blockOwnerDeletion": block,
    })
}

/// A config map that `owners` own.
pub(crate) fn owned_map(name: &str, owners: &[Value]) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}

/// The definition of LeaderLocks, with and without a status subresource.
pub(crate) fn leader_locks() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "leaderlocks.coralogix.com"},
        "spec": {
            "group": "coralogix.com", "scope": "Namespaced",
            "names": {"kind": "LeaderLock", "plural": "leaderlocks", "singular": "leaderlock",
                      "shortNames": ["ll"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {}},
                }},
            }}],
        },
    })
}
