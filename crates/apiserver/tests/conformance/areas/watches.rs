//! Watches: what comes, in which order, from where on, and to what end.

use serde_json::{Value, json};

use super::{lease, lock, map, pod, with};
use crate::suite::Talk;

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    from_here_and_there(talk).await;
    kinds(talk).await;
    selectors(talk).await;
    deletions(talk).await;
    resource_versions(talk).await;
    bookmarks(talk).await;
}

async fn from_here_and_there(talk: &mut Talk) {
    let all = talk.leases("");
    talk.case("from a resourceVersion on");
    let one = talk.post(&all, lease("one", "a")).await;
    let path = talk.leases("/one");
    let mut watch = talk
        .watch(&format!("{all}?watch=1&resourceVersion={}", version(&one)))
        .await;
    let two = talk
        .put(
            &path,
            &with(&one, |l| l["spec"]["holderIdentity"] = json!("b")),
        )
        .await;
    talk.note("a replace that changes nothing has no event");
    talk.put(&path, &two).await;
    talk.delete(&path, Value::Null).await;
    talk.post(&all, lease("one", "c")).await;
    for _ in 0..3 {
        talk.event(&mut watch).await;
    }
    talk.note("a second watch from the same place");
    let mut watch = talk
        .watch(&format!(
            "{all}?watch=true&resourceVersion={}",
            version(&one)
        ))
        .await;
    for _ in 0..3 {
        talk.event(&mut watch).await;
    }

    for from in ["", "&resourceVersion=", "&resourceVersion=0"] {
        talk.case(&format!("what is there comes first{from}"));
        let mut watch = talk.watch(&format!("{all}?watch=1{from}")).await;
        talk.event(&mut watch).await;
        talk.merge(
            &path,
            json!({"spec": {"holderIdentity": format!("after{from}")}}),
        )
        .await;
        talk.event(&mut watch).await;
    }

    talk.case("watch=0 is a list, anything else a watch");
    talk.get(&format!("{all}?watch=0")).await;
    talk.get(&format!("{all}?watch=false")).await;
    let mut watch = talk
        .watch(&format!("{all}?watch=nonsense&timeoutSeconds=1"))
        .await;
    talk.events_to_end(&mut watch).await;
    talk.case("a watch on one object's path");
    let mut watch = talk.watch(&format!("{path}?watch=1")).await;
    if watch.is_some() {
        talk.event(&mut watch).await;
    }
}

async fn kinds(talk: &mut Talk) {
    for (kind, all, object) in [
        ("ConfigMap", talk.maps(""), map("w")),
        ("Pod", talk.pods(""), pod("w")),
        ("LeaderLock", talk.locks(""), lock("w")),
    ] {
        talk.case(&format!("{kind}: events"));
        let mut watch = talk
            .watch(&format!("{all}?watch=1&fieldSelector=metadata.name%3Dw"))
            .await;
        talk.post(&all, object).await;
        talk.event(&mut watch).await;
        let path = format!("{all}/w");
        talk.merge(&path, json!({"metadata": {"labels": {"x": "y"}}}))
            .await;
        talk.event(&mut watch).await;
        if kind == "Pod" {
            talk.merge(
                &format!("{path}/status"),
                json!({"status": {"phase": "Running"}}),
            )
            .await;
            talk.event(&mut watch).await;
        }
        talk.delete(&path, json!({"gracePeriodSeconds": 0})).await;
        talk.event(&mut watch).await;
    }
}

async fn selectors(talk: &mut Talk) {
    let maps = talk.maps("");
    talk.case("an object comes into a selector and leaves it");
    let mut watch = talk
        .watch(&format!("{maps}?watch=1&labelSelector=in%3Dyes"))
        .await;
    let (path, other) = (talk.maps("/s"), talk.maps("/other"));
    talk.post(&maps, map("s")).await;
    talk.post(&maps, map("other")).await;
    let label = |value: &str| json!({"metadata": {"labels": {"in": value}}});
    talk.merge(&path, label("yes")).await;
    talk.event(&mut watch).await;
    talk.merge(&path, json!({"data": {"a": "c"}})).await;
    talk.event(&mut watch).await;
    talk.merge(&path, label("no")).await;
    talk.event(&mut watch).await;
    talk.delete(&path, Value::Null).await;
    talk.merge(&other, label("yes")).await;
    talk.event(&mut watch).await;
    talk.delete(&other, Value::Null).await;
    talk.event(&mut watch).await;

    talk.case("of Pods by phase");
    let pods = talk.pods("");
    let path = talk.pods("/phase");
    let mut watch = talk
        .watch(&format!(
            "{pods}?watch=1&fieldSelector=status.phase%3DRunning"
        ))
        .await;
    talk.post(&pods, pod("phase")).await;
    let status = talk.pods("/phase/status");
    for phase in ["Running", "Failed"] {
        talk.merge(&status, json!({"status": {"phase": phase}}))
            .await;
        talk.event(&mut watch).await;
    }
    talk.delete(&path, Value::Null).await;

    talk.case("selectors that are refused");
    talk.watch(&format!("{maps}?watch=1&labelSelector=a%20b"))
        .await;
    talk.watch(&format!("{maps}?watch=1&fieldSelector=data.a%3Db"))
        .await;
}

async fn deletions(talk: &mut Talk) {
    let maps = talk.maps("");
    talk.case("a deletion's resourceVersion is its own");
    let created = talk.post(&maps, map("d")).await;
    let path = talk.maps("/d");
    let from = format!("{maps}?watch=1&resourceVersion={}", version(&created));
    talk.delete(&path, Value::Null).await;
    let next = talk.post(&maps, map("next")).await;
    let mut watch = talk.watch(&from).await;
    let deleted = talk.event(&mut watch).await;
    talk.event(&mut watch).await;
    let number = |object: &Value| version(object).parse::<u64>().unwrap_or_default();
    let (before, at, after) = (number(&created), number(&deleted["object"]), number(&next));
    talk.note(format!("between both: {}", before < at && at < after));

    talk.case("a deletion with a finalizer is a change first");
    let held = with(&map("f"), |m| {
        m["metadata"]["finalizers"] = json!(["example.com/x"]);
    });
    let created = talk.post(&maps, held).await;
    let path = talk.maps("/f");
    let mut watch = talk
        .watch(&format!(
            "{maps}?watch=1&resourceVersion={}",
            version(&created)
        ))
        .await;
    talk.delete(&path, Value::Null).await;
    talk.event(&mut watch).await;
    talk.merge(&path, json!({"metadata": {"finalizers": null}}))
        .await;
    talk.event(&mut watch).await;

    talk.case("a Pod that goes gracefully");
    let pods = talk.pods("");
    let path = talk.pods("/g");
    let created = talk
        .post(
            &pods,
            with(&pod("g"), |p| p["spec"]["nodeName"] = json!("n")),
        )
        .await;
    let mut watch = talk
        .watch(&format!(
            "{pods}?watch=1&resourceVersion={}",
            version(&created)
        ))
        .await;
    talk.delete(&path, Value::Null).await;
    talk.event(&mut watch).await;
    talk.delete(&path, json!({"gracePeriodSeconds": 0})).await;
    talk.event(&mut watch).await;
}

async fn resource_versions(talk: &mut Talk) {
    let all = talk.leases("");
    talk.case("a resourceVersion that is none");
    for version in ["abc", "-1", "1.5"] {
        talk.watch(&format!("{all}?watch=1&resourceVersion={version}"))
            .await;
    }
    talk.case("from before history");
    if let Some(server) = talk.server.embedded_server() {
        // The real one remembers nothing from before a definition.
        server.compact(2);
    }
    let locks = talk.locks("");
    let path = format!("{locks}?watch=1&timeoutSeconds=5&resourceVersion=1");
    let mut watch = talk.watch(&path).await;
    if watch.is_some() {
        talk.events_to_end(&mut watch).await;
    }
    talk.case("from the future: silence");
    let path = format!("{all}?watch=1&timeoutSeconds=2&resourceVersion=9000000000000000");
    let mut watch = talk.watch(&path).await;
    talk.merge(
        &talk.leases("/one"),
        json!({"spec": {"holderIdentity": "now"}}),
    )
    .await;
    talk.events_to_end(&mut watch).await;
    talk.case("an end after timeoutSeconds");
    let mut watch = talk.watch(&format!("{all}?watch=1&timeoutSeconds=1")).await;
    talk.events_to_end(&mut watch).await;
    talk.case("of no such resource");
    talk.watch("/apis/coordination.k8s.io/v1/nothings?watch=1")
        .await;
    talk.watch("/apis/absent.example.com/v1/nothings?watch=1")
        .await;
    talk.case("in no such namespace");
    let mut watch = talk
        .watch("/apis/coordination.k8s.io/v1/namespaces/absent/leases?watch=1&timeoutSeconds=1")
        .await;
    talk.events_to_end(&mut watch).await;
    talk.case("parameters that are refused");
    for parameters in [
        "timeoutSeconds=x",
        "allowWatchBookmarks=x",
        "sendInitialEvents=x",
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
        "resourceVersionMatch=NotOlderThan",
        "resourceVersion=1&resourceVersionMatch=Exact",
    ] {
        talk.watch(&format!("{all}?watch=1&{parameters}")).await;
    }
}

async fn bookmarks(talk: &mut Talk) {
    let all = talk.leases("");
    talk.case("what is there, closed by a bookmark");
    let path = format!(
        "{all}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = talk.watch(&path).await;
    while watch.is_some() {
        let event = talk.event(&mut watch).await;
        if event["type"] == "BOOKMARK" {
            break;
        }
    }
    let mut watch = talk.watch(&format!("{path}&resourceVersion=0")).await;
    while watch.is_some() {
        let event = talk.event(&mut watch).await;
        if event["type"] == "BOOKMARK" {
            break;
        }
    }
    talk.case("a bookmark without being asked for what is there");
    let newest = talk
        .merge(
            &talk.leases("/one"),
            json!({"spec": {"holderIdentity": "b"}}),
        )
        .await;
    let mut watch = talk
        .watch(&format!(
            "{all}?watch=1&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion={}",
            version(&newest)
        ))
        .await;
    let event = talk.event(&mut watch).await;
    let number = |object: &Value| version(object).parse::<u64>().unwrap_or_default();
    let newer = number(&event["object"]) >= number(&newest);
    talk.note(format!("not older than what was seen: {newer}"));
}
