//! Patches of all types.

use http::Method;
use serde_json::json;

use super::{NO_UID, lease, lock, map, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    let maps = talk.maps("");
    let path = talk.maps("/m");
    talk.post(&maps, map("m")).await;

    talk.case("merge patches");
    for patch in [
        json!({"data": {"c": "d"}}),
        json!({"data": {"a": null}}),
        json!({"metadata": {"labels": {"x": "y"}, "annotations": {"p": "q"}}}),
        json!({"metadata": {"labels": null}}),
        json!({}),
        json!({"data": {"c": "d"}}),
        json!({"data": {"c": 5}}),
        json!({"colour": "red"}),
        json!({"metadata": {"name": "other"}}),
        json!({"metadata": {"namespace": "elsewhere"}}),
        json!({"metadata": {"uid": NO_UID}}),
        json!({"metadata": {"resourceVersion": "1"}}),
        json!({"metadata": {"resourceVersion": "abc"}}),
        json!({"metadata": {"creationTimestamp": null}}),
        json!({"kind": "Lease"}),
        json!({"metadata": {"labels": {"a b": "c"}}}),
        json!([]),
        json!("x"),
    ] {
        talk.merge(&path, patch).await;
    }
    let merge = [("content-type", "application/merge-patch+json")];
    talk.ask_with(Method::PATCH, &path, &merge, "{oops").await;
    talk.ask_with(Method::PATCH, &path, &merge, "").await;
    let now = talk.get(&path).await;
    talk.note("with the present resourceVersion and uid");
    let metadata = json!({"resourceVersion": now["metadata"]["resourceVersion"],
        "uid": now["metadata"]["uid"]});
    talk.merge(&path, json!({"metadata": metadata, "data": {"e": "f"}}))
        .await;
    talk.note("with a stale one");
    talk.merge(&path, json!({"metadata": metadata, "data": {"e": "g"}}))
        .await;
    talk.note("of nobody");
    let nobody = talk.maps("/nobody");
    talk.merge(&nobody, json!({"data": {}})).await;

    talk.case("JSON patches");
    for patch in [
        json!([{"op": "add", "path": "/data/new", "value": "1"}]),
        json!([{"op": "test", "path": "/data/new", "value": "1"},
            {"op": "replace", "path": "/data/new", "value": "2"}]),
        json!([{"op": "test", "path": "/data/new", "value": "1"}]),
        json!([{"op": "remove", "path": "/data/absent"}]),
        json!([{"op": "remove", "path": "/data/new"}]),
        json!([{"op": "add", "path": "/metadata/annotations/example.com~1x", "value": "1"}]),
        json!([{"op": "copy", "from": "/data/c", "path": "/data/copy"}]),
        json!([{"op": "move", "from": "/data/copy", "path": "/data/moved"}]),
        json!([{"op": "nonsense", "path": "/data"}]),
        json!([]),
        json!({}),
    ] {
        talk.json_patch(&path, patch).await;
    }

    talk.case("a JSON patch that replaces what is not there");
    let absent = talk.maps("/absent-member");
    talk.post(&maps, map("absent-member")).await;
    talk.json_patch(
        &absent,
        json!([{"op": "replace", "path": "/data/absent", "value": "1"}]),
    )
    .await;

    talk.case("strategic merge patches");
    for patch in [
        json!({"data": {"s": "1"}}),
        json!({"metadata": {"labels": {"x": "y"}}}),
        json!({"metadata": {"labels": {"$patch": "replace", "z": "1"}}}),
        json!({"metadata": {"labels": {"$patch": "delete"}}}),
        json!({"metadata": {"finalizers": ["example.com/a"]}}),
        json!({"metadata": {"finalizers": ["example.com/b"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}),
        json!({"metadata": {"finalizers": null}}),
        json!({"data": null}),
        json!({"data": {"n": 5}}),
        json!({"colour": "red"}),
    ] {
        talk.strategic(&path, patch).await;
    }

    talk.case("a Lease");
    let (all, path) = (talk.leases(""), talk.leases("/l"));
    talk.post(&all, lease("l", "a")).await;
    talk.merge(&path, json!({"spec": {"holderIdentity": "b"}}))
        .await;
    talk.merge(&path, json!({"spec": {"holderIdentity": null}}))
        .await;
    talk.merge(&path, json!({"spec": {"leaseDurationSeconds": 0}}))
        .await;
    talk.merge(&path, json!({"spec": null})).await;
    talk.strategic(&path, json!({"spec": {"holderIdentity": "c"}}))
        .await;
    talk.json_patch(
        &path,
        json!([{"op": "add", "path": "/spec/renewTime",
        "value": "2001-02-03T04:05:06.5Z"}]),
    )
    .await;
    talk.merge(
        &format!("{path}?dryRun=All"),
        json!({"spec": {"holderIdentity": "dry"}}),
    )
    .await;
    talk.merge(
        &format!("{path}?fieldValidation=Strict"),
        json!({"spec": {"colour": "red"}}),
    )
    .await;
    talk.merge(
        &format!("{path}?fieldManager=tenure"),
        json!({"spec": {"holderIdentity": "m"}}),
    )
    .await;
    talk.get(&path).await;

    talk.case("a LeaderLock");
    let (all, path) = (talk.locks(""), talk.locks("/l"));
    talk.post(&all, with(&lock("l"), |l| l["spec"] = json!({})))
        .await;
    talk.merge(&path, json!({"metadata": {"annotations": {"a": "b"}}}))
        .await;
    talk.merge(&path, json!({"spec": {"unknown": 1}})).await;
    talk.json_patch(
        &path,
        json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]),
    )
    .await;
    talk.strategic(&path, json!({"metadata": {"labels": {"x": "z"}}}))
        .await;

    talk.case("a content type that is no patch");
    for content_type in ["application/json", "text/plain", "application/strategic"] {
        talk.ask(Method::PATCH, &path, content_type, &json!({"metadata": {}}))
            .await;
    }
    talk.ask_with(Method::PATCH, &path, &[("content-type", "")], "{}")
        .await;

    talk.case("server-side apply");
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"},
        "data": {"a": "b"}});
    let path = format!("{}?fieldManager=tenure", talk.maps("/applied"));
    talk.ask(
        Method::PATCH,
        &path,
        "application/apply-patch+yaml",
        &applied,
    )
    .await;
}
