//! Deletions: preconditions, finalizers, grace.

use http::Method;
use serde_json::{Value, json};

use super::{NO_UID, lease, lock, map, pod, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    let kinds = [
        ("Lease", talk.leases(""), lease("x", "a")),
        ("ConfigMap", talk.maps(""), map("x")),
        ("Pod", talk.pods(""), pod("x")),
        ("LeaderLock", talk.locks(""), lock("x")),
    ];
    for (kind, all, object) in &kinds {
        preconditions(talk, kind, all, object).await;
        finalizers(talk, kind, all, object).await;
    }
    grace(talk).await;
    options(talk).await;
    other_options(talk).await;
    collections(talk).await;
}

async fn preconditions(talk: &mut Talk, kind: &str, all: &str, object: &Value) {
    let path = format!("{all}/x");
    talk.case(&format!("{kind}: a deletion's preconditions"));
    talk.delete(&path, Value::Null).await;
    let created = talk.post(all, object.clone()).await;
    let uid = created["metadata"]["uid"].clone();
    let version = created["metadata"]["resourceVersion"].clone();
    let options = |uid: &Value, version: &Value| {
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": version}})
    };
    for (uid, version) in [
        (json!(NO_UID), version.clone()),
        (uid.clone(), json!("1")),
        (json!(NO_UID), json!("1")),
        (json!(NO_UID), Value::Null),
        (Value::Null, json!("1")),
        (uid.clone(), json!("abc")),
    ] {
        talk.delete(&path, options(&uid, &version)).await;
    }
    talk.get(&path).await;
    talk.note("met");
    talk.delete(&path, options(&uid, &version)).await;
    talk.gone(&path).await;
    talk.note("again");
    talk.delete(&path, options(&uid, &version)).await;
}

async fn finalizers(talk: &mut Talk, kind: &str, all: &str, object: &Value) {
    let path = format!("{all}/f");
    talk.case(&format!("{kind}: finalizers"));
    let held = with(object, |o| {
        o["metadata"]["name"] = json!("f");
        o["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
    });
    talk.post(all, held.clone()).await;
    talk.delete(&path, Value::Null).await;
    let now = talk.get(&path).await;
    talk.note("a second deletion");
    talk.delete(&path, Value::Null).await;
    talk.note("a create meanwhile");
    talk.post(all, held).await;
    talk.note("a change meanwhile");
    let now = with(&now, |o| o["metadata"]["annotations"] = json!({"x": "y"}));
    let now = talk.put(&path, &now).await;
    talk.note("one more finalizer");
    let more = json!(["example.com/one", "example.com/two", "example.com/three"]);
    talk.put(&path, &with(&now, |o| o["metadata"]["finalizers"] = more))
        .await;
    talk.note("no deletionTimestamp any more");
    let now = talk.get(&path).await;
    talk.put(
        &path,
        &with(&now, |o| {
            o["metadata"]["deletionTimestamp"] = Value::Null;
            o["metadata"]["labels"] = json!({"x": "y"});
        }),
    )
    .await;
    talk.note("fewer finalizers");
    talk.merge(
        &path,
        json!({"metadata": {"finalizers": ["example.com/two"]}}),
    )
    .await;
    talk.note("none left");
    let now = talk.get(&path).await;
    talk.put(
        &path,
        &with(&now, |o| o["metadata"]["finalizers"] = json!([])),
    )
    .await;
    talk.gone(&path).await;
    talk.get(&path).await;
}

async fn grace(talk: &mut Talk) {
    let all = talk.pods("");
    let on_node = |name: &str| with(&pod(name), |p| p["spec"]["nodeName"] = json!("n"));
    talk.case("a Pod on a node goes gracefully");
    talk.post(&all, on_node("graceful")).await;
    let path = talk.pods("/graceful");
    talk.delete(&path, Value::Null).await;
    talk.get(&path).await;
    talk.note("again");
    talk.delete(&path, Value::Null).await;
    talk.note("a create meanwhile");
    talk.post(&all, on_node("graceful")).await;
    talk.note("shorter");
    talk.delete(&path, json!({"gracePeriodSeconds": 5})).await;
    talk.note("longer");
    talk.delete(&path, json!({"gracePeriodSeconds": 50})).await;
    talk.note("the kubelet's last word");
    talk.delete(&path, json!({"gracePeriodSeconds": 0})).await;
    talk.gone(&path).await;

    talk.case("a Pod on a node and a grace period in the query");
    talk.post(&all, on_node("query")).await;
    let path = talk.pods("/query");
    talk.delete(&format!("{path}?gracePeriodSeconds=1"), Value::Null)
        .await;
    talk.delete(&format!("{path}?gracePeriodSeconds=0"), Value::Null)
        .await;
    talk.gone(&path).await;

    talk.case("a Pod on a node with a finalizer");
    let held = with(&on_node("held"), |p| {
        p["metadata"]["finalizers"] = json!(["example.com/x"]);
    });
    talk.post(&all, held).await;
    let path = talk.pods("/held");
    talk.delete(&path, json!({"gracePeriodSeconds": 0})).await;
    talk.get(&path).await;
    talk.merge(&path, json!({"metadata": {"finalizers": null}}))
        .await;
    talk.gone(&path).await;

    talk.case("a Pod that has ended");
    talk.post(&all, on_node("ended")).await;
    let path = talk.pods("/ended");
    talk.merge(
        &talk.pods("/ended/status"),
        json!({"status": {"phase": "Succeeded"}}),
    )
    .await;
    talk.delete(&path, Value::Null).await;
    talk.gone(&path).await;

    talk.case("grace on what has none");
    let (maps, path) = (talk.maps(""), talk.maps("/grace"));
    talk.post(&maps, map("grace")).await;
    talk.delete(&path, json!({"gracePeriodSeconds": 30})).await;
    talk.gone(&path).await;
}

async fn options(talk: &mut Talk) {
    let (maps, path) = (talk.maps(""), talk.maps("/o"));
    talk.case("options that are refused");
    talk.post(&maps, map("o")).await;
    for options in [
        json!({"propagationPolicy": "Nonsense"}),
        json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
        json!({"dryRun": ["Some"]}),
        json!({"preconditions": "x"}),
        json!([]),
    ] {
        talk.delete(&path, options).await;
    }
    talk.ask_with(Method::DELETE, &path, &[], "{oops").await;
    talk.get(&path).await;
    for (name, query, options) in [
        ("dryRun in the body", "", json!({"dryRun": ["All"]})),
        ("dryRun in the query", "?dryRun=All", Value::Null),
    ] {
        talk.case(name);
        talk.delete(&format!("{path}{query}"), options).await;
        talk.get(&path).await;
    }
    talk.case("propagation in the query");
    talk.delete(&format!("{path}?propagationPolicy=Foreground"), Value::Null)
        .await;
    talk.gone(&path).await;
    for (name, options) in [
        ("an empty object", json!({})),
        ("of an unknown field", json!({"colour": "red"})),
        (
            "without dependents, in the foreground",
            json!({"propagationPolicy": "Foreground"}),
        ),
        (
            "without dependents, as orphans",
            json!({"propagationPolicy": "Orphan"}),
        ),
        ("orphanDependents", json!({"orphanDependents": false})),
        (
            "of a negative grace period",
            json!({"gracePeriodSeconds": -1}),
        ),
    ] {
        talk.case(&format!("options {name}"));
        talk.post(&maps, map("o")).await;
        talk.delete(&path, options).await;
        talk.gone(&path).await;
    }
}

async fn other_options(talk: &mut Talk) {
    let (maps, path) = (talk.maps(""), talk.maps("/k"));
    talk.case("options of another kind");
    talk.post(&maps, map("k")).await;
    talk.delete(&path, json!({"kind": "ConfigMap", "apiVersion": "v1"}))
        .await;
    talk.get(&path).await;
    talk.case("options of the server's own group");
    let path = talk.leases("/k");
    talk.post(&talk.leases(""), lease("k", "a")).await;
    let own = json!({"kind": "DeleteOptions", "apiVersion": "coordination.k8s.io/v1"});
    talk.delete(&path, own).await;
}

async fn collections(talk: &mut Talk) {
    let maps = talk.maps("");
    talk.case("a deletion of many");
    for (name, label) in [("one", "a"), ("two", "a"), ("three", "b")] {
        let labelled = with(&map(name), |m| {
            m["metadata"]["labels"] = json!({"l": label});
        });
        talk.post(&maps, labelled).await;
    }
    talk.delete(&format!("{maps}?labelSelector=l%3Da"), Value::Null)
        .await;
    talk.get(&format!("{maps}?labelSelector=l")).await;
    talk.delete(
        &format!("{maps}?fieldSelector=metadata.name%3Dthree"),
        json!({}),
    )
    .await;
    talk.get(&format!("{maps}?labelSelector=l")).await;
    let all = talk.leases("");
    talk.delete(&all, Value::Null).await;
}
