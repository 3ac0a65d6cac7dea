//! Replaces: their preconditions, kind by kind.

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
        absent(talk, kind, all, object).await;
    }

    talk.case("a body that does not fit its path");
    let all = talk.leases("");
    let path = talk.leases("/fit");
    let created = talk.post(&all, lease("fit", "a")).await;
    for change in [
        json!({"metadata": {"name": "other"}}),
        json!({"metadata": {"name": ""}}),
        json!({"metadata": {"namespace": "elsewhere"}}),
        json!({"kind": "ConfigMap"}),
        json!({"apiVersion": "v1", "kind": "ConfigMap"}),
        json!({"kind": ""}),
        json!({"metadata": null}),
    ] {
        let mut body = created.clone();
        for (key, value) in change.as_object().unwrap() {
            match value.as_object() {
                Some(fields) => body[key].as_object_mut().unwrap().extend(fields.clone()),
                None => body[key] = value.clone(),
            }
        }
        talk.put(&path, &body).await;
    }
    talk.put(&path, &json!({})).await;

    talk.case("dryRun");
    let now = talk.get(&path).await;
    let dry = with(&now, |l| l["spec"]["holderIdentity"] = json!("dry"));
    talk.put(&format!("{path}?dryRun=All"), &dry).await;
    talk.get(&path).await;

    talk.case("unknown fields");
    for mode in ["", "?fieldValidation=Strict", "?fieldValidation=Ignore"] {
        let now = talk.get(&path).await;
        let odd = with(&now, |l| {
            l["spec"]["colour"] = json!("red");
            l["spec"]["holderIdentity"] = json!(format!("odd{mode}"));
        });
        talk.put(&format!("{path}{mode}"), &odd).await;
    }
}

/// A change that shows: an annotation, which every kind takes.
fn changed(object: &Value, mark: &str) -> Value {
    with(object, |object| {
        object["metadata"]["annotations"] = json!({"mark": mark});
    })
}

async fn preconditions(talk: &mut Talk, kind: &str, all: &str, object: &Value) {
    let path = format!("{all}/x");
    talk.case(&format!("{kind}: preconditions"));
    let created = talk.post(all, object.clone()).await;
    talk.note("uid and resourceVersion");
    let first = talk.put(&path, &changed(&created, "1")).await;
    talk.note("the resourceVersion is stale");
    talk.put(&path, &changed(&created, "2")).await;
    talk.note("byte for byte the same");
    talk.put(&path, &first).await;
    talk.note("no resourceVersion");
    let none = with(&changed(&first, "3"), |o| {
        o["metadata"]["resourceVersion"] = Value::Null;
    });
    talk.put(&path, &none).await;
    for version in ["", "0", "1", "abc", "-1", "99999999999"] {
        talk.note(format!("the resourceVersion {version:?}"));
        let odd = with(&changed(&first, "4"), |o| {
            o["metadata"]["resourceVersion"] = json!(version);
        });
        talk.put(&path, &odd).await;
    }
    let now = talk.get(&path).await;
    talk.note("another uid");
    talk.put(
        &path,
        &with(&changed(&now, "5"), |o| {
            o["metadata"]["uid"] = json!(NO_UID);
        }),
    )
    .await;
    talk.note("another uid, and a stale resourceVersion");
    talk.put(
        &path,
        &with(&changed(&first, "6"), |o| {
            o["metadata"]["uid"] = json!(NO_UID);
        }),
    )
    .await;
    talk.note("no uid");
    talk.put(
        &path,
        &with(&changed(&now, "7"), |o| o["metadata"]["uid"] = Value::Null),
    )
    .await;
    talk.get(&path).await;
}

async fn absent(talk: &mut Talk, kind: &str, all: &str, object: &Value) {
    let path = format!("{all}/x");
    talk.case(&format!("{kind}: a replace of what is gone"));
    let last = talk.get(&path).await;
    talk.delete(&path, json!({"gracePeriodSeconds": 0})).await;
    talk.gone(&path).await;
    let fields = [
        ("uid and resourceVersion", json!([])),
        ("only a uid", json!(["resourceVersion"])),
        ("only a resourceVersion", json!(["uid"])),
        ("neither", json!(["uid", "resourceVersion"])),
    ];
    for (name, without) in fields {
        talk.note(name);
        let body = with(&last, |last| {
            for field in without.as_array().unwrap() {
                last["metadata"][field.as_str().unwrap()] = Value::Null;
            }
        });
        talk.put(&path, &body).await;
    }
    talk.note("never there");
    let path = format!("{all}/never");
    talk.put(
        &path,
        &with(object, |o| o["metadata"]["name"] = json!("never")),
    )
    .await;
    talk.put(
        &path,
        &with(object, |o| {
            o["metadata"]["name"] = json!("never");
            o["metadata"]["uid"] = json!(NO_UID);
        }),
    )
    .await;
    talk.get(&path).await;
}
