//! The embedded server on virtual time, what people send to it, and who stands on it.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tenure::{LeaderElection, Leadership};
use tenure_apiserver::{ApiServer, Builder, TokioClock};
use tokio::task::JoinHandle;

pub(crate) const S: Duration = Duration::from_secs(1);
pub(crate) const LEASES: &str = "leases.coordination.k8s.io";
pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
pub(crate) const POD_LIST: &str = "/api/v1/namespaces/default/pods";

pub(crate) fn server() -> ApiServer {
    builder().build()
}

/// The same, where a test has more to say about it.
pub(crate) fn builder() -> Builder {
    ApiServer::builder()
        .clock(TokioClock::new(std::time::UNIX_EPOCH + 1_767_225_600 * S))
        .seed(1)
}

/// A request by people, who may do anything, and what is answered; a PATCH is a merge.
pub(crate) async fn call(server: &ApiServer, method: &str, path: &str, body: &Value) -> Value {
    let kind = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.to_string().into_bytes())
        .unwrap();
    let people = Client::new(server.service(), "default");
    people.request(request).await.unwrap()
}

/// Stands until it leads.
pub(crate) fn stands(candidate: &LeaderElection) -> JoinHandle<Leadership> {
    let candidate = candidate.clone();
    tokio::spawn(async move { candidate.acquire().await.unwrap() })
}
