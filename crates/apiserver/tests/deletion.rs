//! Deletion: preconditions, grace, finalizers, the collector, namespaces.

mod common;

use std::time::Duration;

use common::{
    CRDS, LEASES, MAPS, PODS, delete, get, leader_locks, lease, map, merge, owned_map, owner, pod,
    post,
};
use http::StatusCode;
use serde_json::{Value, json};
use tenure_apiserver::{ApiServer, Gc};

async fn gone(server: &ApiServer, path: &str) -> bool {
    get(server, path).await.0 == StatusCode::NOT_FOUND
}

async fn scheduled(server: &ApiServer, name: &str) -> Value {
    let mut body = pod(name);
    body["spec"]["nodeName"] = json!("node");
    post(server, PODS, body).await.1
}

#[tokio::test]
async fn a_delete_answers_with_a_status_or_with_the_pod() {
    let server = ApiServer::new();
    let (_, made) = post(&server, LEASES, lease("a", "x")).await;
    let (code, status) = delete(&server, &format!("{LEASES}/a"), Value::Null).await;
    assert_eq!(
        (code, &status["status"]),
        (StatusCode::OK, &json!("Success"))
    );
    assert_eq!(
        status["details"],
        json!({
            "name": "a", "group": "coordination.k8s.io", "kind": "leases",
            "uid": made["metadata"]["uid"],
        })
    );
    post(&server, PODS, pod("p")).await;
    let (_, answer) = delete(&server, &format!("{PODS}/p"), Value::Null).await;
    assert_eq!(
        (&answer["kind"], &answer["metadata"]["name"]),
        (&json!("Pod"), &json!("p"))
    );
    assert!(gone(&server, &format!("{PODS}/p")).await);
}

#[tokio::test]
async fn preconditions_are_kept() {
    let server = ApiServer::new();
    let path = format!("{LEASES}/a");
    let (_, made) = post(&server, LEASES, lease("a", "x")).await;
    for wrong in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let (code, status) = delete(&server, &path, json!({"preconditions": wrong})).await;
        assert_eq!(
            (code, &status["reason"]),
            (StatusCode::CONFLICT, &json!("Conflict"))
        );
        let told = status["message"].as_str().unwrap();
        let begins = "Operation cannot be fulfilled on Lease.coordination.k8s.io \"a\": the ";
        assert!(told.starts_with(begins), "{told}");
    }
    let meta = &made["metadata"];
    let right = json!({"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]});
    let (code, _) = delete(&server, &path, json!({"preconditions": right})).await;
    assert_eq!(code, StatusCode::OK);
    assert!(gone(&server, &path).await);
}

#[tokio::test]
async fn a_scheduled_pod_waits_for_its_grace_period() {
    let server = ApiServer::new();
    let path = format!("{PODS}/p");
    scheduled(&server, "p").await;
    let (_, marked) = delete(&server, &path, Value::Null).await;
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let (_, shorter) = delete(&server, &path, json!({"gracePeriodSeconds": 5})).await;
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    let (_, same) = delete(&server, &path, json!({"gracePeriodSeconds": 20})).await;
    assert_eq!(
        same["metadata"]["deletionGracePeriodSeconds"], 5,
        "it only gets shorter"
    );
    delete(&server, &path, json!({"gracePeriodSeconds": 0})).await;
    assert!(gone(&server, &path).await);
}

#[tokio::test]
async fn finalizers_hold_an_object_and_its_name() {
    let server = ApiServer::new();
    let path = format!("{MAPS}/a");
    post(
        &server,
        MAPS,
        json!({"metadata": {"name": "a", "finalizers": ["x.y/z"]}}),
    )
    .await;
    let (_, held) = delete(&server, &path, Value::Null).await;
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    let (code, status) = post(&server, MAPS, map("a")).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("AlreadyExists"))
    );
    assert_eq!(
        status["message"],
        "object is being deleted: configmaps \"a\" already exists"
    );
    let (code, _) = merge(
        &server,
        &path,
        json!({"metadata": {"finalizers": ["x.y/z", "n.w/f"]}}),
    )
    .await;
    assert_eq!(
        code,
        StatusCode::UNPROCESSABLE_ENTITY,
        "none may be added any more"
    );
    merge(&server, &path, json!({"metadata": {"finalizers": null}})).await;
    assert!(gone(&server, &path).await);
}

#[tokio::test]
async fn dependents_go_when_all_their_owners_are_gone() {
    let server = ApiServer::new();
    let (_, one) = post(&server, PODS, pod("one")).await;
    let (_, two) = post(&server, PODS, pod("two")).await;
    post(&server, MAPS, owned_map("a", &[owner(&one, false)])).await;
    post(
        &server,
        MAPS,
        owned_map("ab", &[owner(&one, false), owner(&two, false)]),
    )
    .await;
    delete(&server, &format!("{PODS}/one"), Value::Null).await;
    assert!(gone(&server, &format!("{MAPS}/a")).await);
    let (_, left) = get(&server, &format!("{MAPS}/ab")).await;
    assert_eq!(
        left["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    delete(&server, &format!("{PODS}/two"), Value::Null).await;
    assert!(gone(&server, &format!("{MAPS}/ab")).await);
}

#[tokio::test]
async fn an_owner_is_known_by_its_uid_and_a_terminating_one_is_alive() {
    let server = ApiServer::new();
    let (_, old) = post(&server, PODS, pod("p")).await;
    delete(&server, &format!("{PODS}/p"), Value::Null).await;
    let new = scheduled(&server, "p").await;
    let (code, _) = post(&server, MAPS, owned_map("stale", &[owner(&old, false)])).await;
    assert_eq!(code, StatusCode::CREATED);
    assert!(gone(&server, &format!("{MAPS}/stale")).await);

    post(&server, MAPS, owned_map("kept", &[owner(&new, false)])).await;
    delete(&server, &format!("{PODS}/p"), Value::Null).await;
    assert!(
        !gone(&server, &format!("{MAPS}/kept")).await,
        "the pod is Terminating, not gone"
    );
    delete(
        &server,
        &format!("{PODS}/p?gracePeriodSeconds=0"),
        Value::Null,
    )
    .await;
    assert!(gone(&server, &format!("{MAPS}/kept")).await);
}

#[tokio::test]
async fn orphaned_dependents_lose_their_references() {
    let server = ApiServer::new();
    let (_, pod) = post(&server, PODS, pod("p")).await;
    post(&server, MAPS, owned_map("a", &[owner(&pod, true)])).await;
    delete(
        &server,
        &format!("{PODS}/p"),
        json!({"propagationPolicy": "Orphan"}),
    )
    .await;
    assert!(gone(&server, &format!("{PODS}/p")).await);
    let (code, left) = get(&server, &format!("{MAPS}/a")).await;
    assert_eq!(code, StatusCode::OK);
    assert!(left["metadata"]["ownerReferences"].is_null());
}

#[tokio::test]
async fn a_foreground_deletion_waits_for_those_that_block_it() {
    let server = ApiServer::new();
    let (_, pod) = post(&server, PODS, pod("p")).await;
    let mut held = owned_map("held", &[owner(&pod, true)]);
    held["metadata"]["finalizers"] = json!(["x.y/z"]);
    post(&server, MAPS, held).await;
    post(&server, MAPS, owned_map("free", &[owner(&pod, true)])).await;
    delete(
        &server,
        &format!("{PODS}/p"),
        json!({"propagationPolicy": "Foreground"}),
    )
    .await;
    assert!(gone(&server, &format!("{MAPS}/free")).await);
    let (_, waiting) = get(&server, &format!("{PODS}/p")).await;
    assert_eq!(
        waiting["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    merge(
        &server,
        &format!("{MAPS}/held"),
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    assert!(gone(&server, &format!("{MAPS}/held")).await);
    assert!(gone(&server, &format!("{PODS}/p")).await);
}

#[tokio::test(start_paused = true)]
async fn the_collector_can_be_late_or_off() {
    let delay = Duration::from_secs(3);
    for gc in [Gc::Delayed(delay), Gc::Off] {
        let server = ApiServer::builder().gc(gc).build();
        let (_, pod) = post(&server, PODS, pod("p")).await;
        post(&server, MAPS, owned_map("a", &[owner(&pod, false)])).await;
        tokio::time::sleep(delay * 2).await;
        delete(&server, &format!("{PODS}/p"), Value::Null).await;
        tokio::time::sleep(Duration::from_millis(2_999)).await;
        assert!(!gone(&server, &format!("{MAPS}/a")).await, "{gc:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(
            gone(&server, &format!("{MAPS}/a")).await,
            gc != Gc::Off,
            "{gc:?}"
        );
        server.collect_garbage();
        assert!(gone(&server, &format!("{MAPS}/a")).await, "{gc:?}");
    }
}

#[tokio::test]
async fn a_namespace_is_emptied_and_takes_nothing_new() {
    let server = ApiServer::builder().namespace("n").build();
    let maps = "/api/v1/namespaces/n/configmaps";
    let (code, status) = post(&server, "/api/v1/namespaces/no/configmaps", map("a")).await;
    assert_eq!(
        (code, &status["message"]),
        (StatusCode::NOT_FOUND, &json!("namespaces \"no\" not found"))
    );

    post(&server, maps, map("plain")).await;
    post(
        &server,
        maps,
        json!({"metadata": {"name": "held", "finalizers": ["x.y/z"]}}),
    )
    .await;
    let (_, marked) = delete(&server, "/api/v1/namespaces/n", Value::Null).await;
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert!(gone(&server, &format!("{maps}/plain")).await);
    let (code, status) = post(&server, maps, map("late")).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::FORBIDDEN, &json!("Forbidden"))
    );
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    merge(
        &server,
        &format!("{maps}/held"),
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    assert!(gone(&server, "/api/v1/namespaces/n").await);

    let (code, _) = delete(&server, "/api/v1/namespaces/default", Value::Null).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let (code, _) = delete(&server, "/api/v1/namespaces", Value::Null).await;
    assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn with_the_collector_off_namespaces_and_definitions_wait_for_it_too() {
    let server = ApiServer::builder().gc(Gc::Off).namespace("n").build();
    let definition = format!("{CRDS}/leaderlocks.coralogix.com");
    post(&server, CRDS, leader_locks()).await;
    post(&server, "/api/v1/namespaces/n/configmaps", map("a")).await;
    for path in ["/api/v1/namespaces/n", &definition] {
        delete(&server, path, Value::Null).await;
        assert!(!gone(&server, path).await, "{path}");
    }
    server.collect_garbage();
    for path in ["/api/v1/namespaces/n", &definition] {
        assert!(gone(&server, path).await, "{path}");
    }
}

#[tokio::test]
async fn a_collection_is_deleted_by_its_selector() {
    let server = ApiServer::new();
    for name in ["a", "b"] {
        post(
            &server,
            MAPS,
            json!({"metadata": {"name": name, "labels": {"l": name}}}),
        )
        .await;
    }
    let (code, _) = delete(&server, &format!("{MAPS}?labelSelector=l%3Da"), Value::Null).await;
    assert_eq!(code, StatusCode::OK);
    assert!(gone(&server, &format!("{MAPS}/a")).await);
    assert!(!gone(&server, &format!("{MAPS}/b")).await);
}
