//! The kinds of patches, and what they may not do.

mod common;

use common::{MAPS, PODS, get, map, merge, pod, post, send_as};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tenure_apiserver::ApiServer;

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";

async fn patch(server: &ApiServer, path: &str, kind: &str, body: Value) -> (StatusCode, Value) {
    send_as(server, Method::PATCH, path, kind, body).await
}

#[tokio::test]
async fn merge_and_json_patches_are_applied() {
    let server = ApiServer::new();
    let path = format!("{MAPS}/m");
    post(&server, MAPS, map("m")).await;
    let (_, merged) = merge(&server, &path, json!({"data": {"a": null, "c": "d"}})).await;
    assert_eq!(merged["data"], json!({"c": "d"}));
    let add = json!([{"op": "add", "path": "/data/e", "value": "f"}]);
    let (_, added) = patch(&server, &path, JSON, add).await;
    assert_eq!(added["data"], json!({"c": "d", "e": "f"}));
    let test = json!([{"op": "test", "path": "/data/e", "value": "no"}]);
    assert_eq!(
        patch(&server, &path, JSON, test).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn a_strategic_patch_merges_lists_by_their_key() {
    let server = ApiServer::new();
    let path = format!("{PODS}/p/status");
    post(&server, PODS, pod("p")).await;
    for kind in ["Ready", "Other", "Ready"] {
        let body = json!({"status": {"conditions": [{"type": kind, "status": "True"}]}});
        assert_eq!(
            patch(&server, &path, STRATEGIC, body).await.0,
            StatusCode::OK
        );
    }
    let (_, pod) = get(&server, &format!("{PODS}/p")).await;
    let kinds: Vec<&Value> = pod["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["type"])
        .collect();
    assert_eq!(kinds, ["Other", "Ready"]);
}

#[tokio::test]
async fn a_status_patch_leaves_the_spec_alone_and_the_other_way_round() {
    let server = ApiServer::new();
    post(&server, PODS, pod("p")).await;
    let body = json!({"status": {"phase": "Running"}, "spec": {"nodeName": "elsewhere"}});
    let (_, pod) = merge(&server, &format!("{PODS}/p/status"), body).await;
    assert_eq!(
        (&pod["status"]["phase"], &pod["spec"]["nodeName"]),
        (&json!("Running"), &Value::Null)
    );
    let body = json!({"status": {"phase": "Failed"}, "spec": {"activeDeadlineSeconds": 9}});
    let (_, pod) = merge(&server, &format!("{PODS}/p"), body).await;
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["metadata"]["generation"], 2, "the spec changed");
}

#[tokio::test]
async fn a_patch_cannot_change_who_an_object_is() {
    let server = ApiServer::new();
    let path = format!("{MAPS}/m");
    post(&server, MAPS, map("m")).await;
    let (code, _) = merge(&server, &path, json!({"metadata": {"uid": "other"}})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let (code, _) = merge(&server, &path, json!({"metadata": {"name": "other"}})).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    let (code, status) = merge(
        &server,
        &path,
        json!({"metadata": {"resourceVersion": "1"}}),
    )
    .await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("Conflict"))
    );
    assert_eq!(
        merge(&server, &format!("{MAPS}/none"), json!({})).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn server_side_apply_is_refused_in_plain_words() {
    let server = ApiServer::new();
    let path = format!("{MAPS}/m?fieldManager=me");
    let (code, status) = patch(&server, &path, "application/apply-patch+yaml", map("m")).await;
    assert_eq!(code, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let told = status["message"].as_str().unwrap();
    assert!(
        told.starts_with("server-side apply is not supported by this server"),
        "{told}"
    );
}
