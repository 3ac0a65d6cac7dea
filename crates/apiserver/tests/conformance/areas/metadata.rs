//! Labels, annotations, owners and finalizers: what is valid.

use serde_json::{Value, json};

use super::{NO_UID, map, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    let maps = talk.maps("");
    let owner = |change: &dyn Fn(&mut Value)| {
        let mut owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": NO_UID,
            "controller": false, "blockOwnerDeletion": false});
        change(&mut owner);
        json!({"ownerReferences": [owner]})
    };
    // An owner that is absent would have its dependents collected; these are refused, or of a kind
    // that nobody serves.
    let cases: &[(&str, Value)] = &[
        (
            "labels",
            json!({"labels": {"a": "b", "example.com/c": "", "d": "E-_.f"}}),
        ),
        ("a label that is null", json!({"labels": {"a": null}})),
        (
            "labels that are null",
            json!({"labels": null, "annotations": null}),
        ),
        ("a label's key is no name", json!({"labels": {"a b": "c"}})),
        (
            "a label's key has a bad prefix",
            json!({"labels": {"A!/b": "c"}}),
        ),
        (
            "a label's value is no name",
            json!({"labels": {"a": "b c"}}),
        ),
        (
            "a label's value is too long",
            json!({"labels": {"a": "b".repeat(64)}}),
        ),
        ("a label that is a number", json!({"labels": {"a": 1}})),
        (
            "annotations",
            json!({"annotations": {"a": "b c\n", "example.com/UPPER": "{}"}}),
        ),
        (
            "an annotation's key is no name",
            json!({"annotations": {"a b": "c"}}),
        ),
        (
            "an annotation that is an object",
            json!({"annotations": {"a": {}}}),
        ),
        (
            "annotations that are too long",
            json!({"annotations": {"a": "b".repeat(262_145)}}),
        ),
        ("finalizers", json!({"finalizers": ["example.com/x"]})),
        ("a finalizer without a domain", json!({"finalizers": ["x"]})),
        (
            "a finalizer twice",
            json!({"finalizers": ["example.com/y", "example.com/y"]}),
        ),
        (
            "both of the collector's finalizers",
            json!({"finalizers": ["orphan", "foregroundDeletion"]}),
        ),
        ("an owner without a uid", owner(&|o| o["uid"] = json!(""))),
        ("an owner without a name", owner(&|o| o["name"] = json!(""))),
        ("an owner without a kind", owner(&|o| o["kind"] = json!(""))),
        (
            "an owner without a version",
            owner(&|o| o["apiVersion"] = json!("")),
        ),
        (
            "an owner whose version is no version",
            owner(&|o| o["apiVersion"] = json!("a/b/c")),
        ),
        (
            "an owner that is an Event",
            owner(&|o| o["kind"] = json!("Event")),
        ),
        (
            "an owner of an unknown kind",
            owner(&|o| {
                o["apiVersion"] = json!("example.com/v1");
                o["kind"] = json!("Nothing");
            }),
        ),
        (
            "two controllers",
            json!({"ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": NO_UID, "controller": true},
                {"apiVersion": "v1", "kind": "Pod", "name": "q", "uid": NO_UID, "controller": true},
            ]}),
        ),
        (
            "an owner's field is unknown",
            owner(&|o| {
                o["apiVersion"] = json!("example.com/v1");
                o["colour"] = json!("red");
            }),
        ),
        ("a managed field of nobody", json!({"managedFields": []})),
    ];
    for (at, (name, metadata)) in cases.iter().enumerate() {
        talk.case(name);
        let mut object = map(&format!("m-{at}"));
        let into = object["metadata"].as_object_mut().unwrap();
        into.extend(metadata.as_object().unwrap().clone());
        if name.contains("too long") && name.starts_with("annotations") {
            // The request's quarter of a megabyte is not written down.
            let answer = talk
                .quiet(http::Method::POST, &maps, &[], &object.to_string())
                .await;
            talk.note(format!("{}: {}", answer.code, answer.body["message"]));
        } else {
            talk.post(&maps, object).await;
        }
    }

    talk.case("metadata on a replace");
    let created = talk.post(&maps, map("change")).await;
    let path = talk.maps("/change");
    let changes: &[(&str, Value)] = &[
        ("labels", json!({"a": "b"})),
        ("labels", json!({"a b": "c"})),
        ("annotations", json!({"x": "y"})),
        ("finalizers", json!(["x"])),
        ("creationTimestamp", json!("2001-02-03T04:05:06Z")),
        ("creationTimestamp", Value::Null),
        ("deletionTimestamp", json!("2001-02-03T04:05:06Z")),
        ("generation", json!(5)),
        ("generateName", json!("generated-")),
        ("selfLink", json!("/x")),
        ("namespace", Value::Null),
        ("namespace", json!("elsewhere")),
        ("name", Value::Null),
        ("name", json!("other")),
    ];
    for (field, value) in changes {
        talk.note(*field);
        let changed = with(&created, |map| {
            map["metadata"][*field] = value.clone();
            map["metadata"]["resourceVersion"] = Value::Null;
        });
        talk.put(&path, &changed).await;
    }
}
