//! Namespaces: absent, being deleted, gone.

use http::Method;
use serde_json::{Value, json};

use super::{lease, map, pod, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    talk.case("an absent namespace");
    let root = "/api/v1/namespaces/absent";
    let leases = "/apis/coordination.k8s.io/v1/namespaces/absent/leases";
    talk.get(root).await;
    talk.get(leases).await;
    talk.get(&format!("{leases}/x")).await;
    talk.post(leases, lease("x", "a")).await;
    talk.put(&format!("{leases}/x"), &lease("x", "a")).await;
    talk.delete(&format!("{leases}/x"), Value::Null).await;
    talk.merge(&format!("{leases}/x"), json!({})).await;
    talk.post(&format!("{root}/configmaps"), map("x")).await;
    talk.post(&format!("{root}/pods"), pod("x")).await;
    talk.delete(root, Value::Null).await;

    talk.case("a namespace");
    let name = format!("{}-two", talk.ns);
    talk.name(&name, "NS2");
    let all = "/api/v1/namespaces";
    let path = format!("{all}/{name}");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    talk.post(all, namespace.clone()).await;
    talk.post(all, namespace.clone()).await;
    talk.get(&path).await;
    talk.post(all, json!({"metadata": {"name": "Upper"}})).await;
    talk.post(all, json!({"metadata": {"name": "a.b"}})).await;
    let status = format!("{path}/status");
    talk.get(&status).await;

    talk.case("a namespace that is being deleted");
    // The real server's controllers fill a new namespace: this one waits for them.
    if talk.server.is_real() {
        let account = format!("{path}/serviceaccounts/default");
        talk.server.wait_for(&account, |_| true).await.unwrap();
    }
    let maps = format!("{path}/configmaps");
    let held = with(&map("held"), |m| {
        m["metadata"]["finalizers"] = json!(["example.com/x"]);
    });
    talk.post(&maps, held).await;
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{name}/leases");
    talk.post(&leases, lease("goes", "a")).await;
    talk.delete(&path, Value::Null).await;
    talk.gone(&format!("{leases}/goes")).await;
    let held = format!("{maps}/held");
    talk.wait_for(&held, "being deleted", |m| {
        m["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    talk.note("a create");
    talk.post(&leases, lease("late", "a")).await;
    talk.post(&maps, map("late")).await;
    talk.note("a change");
    talk.merge(&held, json!({"data": {"a": "c"}})).await;
    talk.note("a replace that would create");
    talk.put(&format!("{leases}/late"), &lease("late", "a"))
        .await;
    talk.note("a second deletion");
    talk.quiet(Method::DELETE, &path, &[], "").await;
    talk.post(all, namespace.clone()).await;
    talk.merge(&held, json!({"metadata": {"finalizers": null}}))
        .await;
    talk.gone(&path).await;
    talk.note("and again");
    talk.post(all, namespace).await;
}
