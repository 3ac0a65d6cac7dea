//! A lock for life as JSON (rules F1, F2, F11): read with tolerance, written without losing what
//! others put there.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenure_core::{
    Nonce, Uid, Version,
    life::{LifeRecord, LifeWrite, LockObject, OwnerRef, ProcessId},
};

use super::{
    asked_json,
    lease_json::Extras,
    memory::{object_at, version_of},
};

/// The annotation in which a leader for life says who it is.
pub(crate) const OWNER_ANNOTATION: &str = "tenure.dev/owner";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordJson {
    pod: String,
    pod_uid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<ProcessJson>,
    term: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessJson {
    pid: u32,
    start_time: u64,
    boot_id: String,
    pid_namespace: String,
}

/// What the object says. `None` only if it has no uid or resourceVersion: no server answers so.
pub(crate) fn observed(object: &Value) -> Option<LockObject> {
    let version = version_of(object)?;
    let references = object.pointer("/metadata/ownerReferences");
    let owners: Vec<OwnerRef> = references
        .and_then(Value::as_array)
        .map(|owners| owners.iter().map(owner).collect())
        .unwrap_or_default();
    let named = |owner: &OwnerRef| !owner.name.is_empty() && !owner.uid.as_str().is_empty();
    let annotations = object.pointer("/metadata/annotations");
    let annotation = annotations.and_then(|all| all.get(OWNER_ANNOTATION));
    let record = annotation.and_then(Value::as_str).and_then(record);
    let foreign = if annotation.is_some() && record.is_none() {
        Some(format!(
            "its annotation {OWNER_ANNOTATION} cannot be understood"
        ))
    } else if references.is_some_and(|all| !all.is_null() && !all.is_array())
        || !owners.iter().all(named)
    {
        // Whoever is not named whole cannot be looked for, and so is not gone (F8).
        Some("its owner reference cannot be understood".to_owned())
    } else {
        data_in(object)
    };
    Some(LockObject {
        version,
        being_deleted: object
            .pointer("/metadata/deletionTimestamp")
            .is_some_and(|time| !time.is_null()),
        owners,
        record,
        foreign: foreign.map(Into::into),
        step_down: annotations
            .and_then(|all| all.get(asked_json::STEP_DOWN_ANNOTATION))
            .and_then(asked_json::step_down)
            .map(Box::new),
    })
}

/// A new lock object of this kind.
pub(crate) fn create(
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    write: &LifeWrite,
    extras: &Extras,
) -> Value {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name, "namespace": namespace },
    });
    put(&mut object, write, extras);
    object
}

/// `base` with another owner in it, and everything else as it was.
pub(crate) fn replace(base: Value, version: &Version, write: &LifeWrite, extras: &Extras) -> Value {
    let mut object = base;
    let metadata = object_at(&mut object, "metadata");
    metadata.insert("uid".into(), version.uid.as_str().into());
    metadata.insert(
        "resourceVersion".into(),
        version.resource_version.as_str().into(),
    );
    put(&mut object, write, extras);
    object
}

fn put(object: &mut Value, write: &LifeWrite, extras: &Extras) {
    extras.put(object);
    let owner = json!([{
        "apiVersion": &*write.owner.api_version,
        "kind": &*write.owner.kind,
        "name": &*write.owner.name,
        "uid": write.owner.uid.as_str(),
    }]);
    let record = &write.record;
    let text = |text: &Arc<str>| text.as_ref().to_owned();
    let record = RecordJson {
        pod: text(&record.pod_name),
        pod_uid: record.pod_uid.as_str().to_owned(),
        container: record.container.as_ref().map(text),
        container_id: record.container_id.as_ref().map(text),
        process: record.process.as_ref().map(|process| ProcessJson {
            pid: process.pid,
            start_time: process.start_time,
            boot_id: text(&process.boot_id),
            pid_namespace: text(&process.pid_namespace),
        }),
        term: record.nonce.as_str().to_owned(),
    };
    let record = serde_json::to_string(&record).unwrap_or_default();
    let mut metadata = Value::Object(std::mem::take(object_at(object, "metadata")));
    let annotations = object_at(&mut metadata, "annotations");
    annotations.insert(OWNER_ANNOTATION.into(), record.into());
    // F12: each such write begins a term, and what was asked of an earlier one goes with it.
    annotations.remove(asked_json::STEP_DOWN_ANNOTATION);
    if let Value::Object(mut metadata) = metadata {
        metadata.insert("ownerReferences".into(), owner);
        *object_at(object, "metadata") = metadata;
    }
}

fn record(text: &str) -> Option<LifeRecord> {
    let record: RecordJson = serde_json::from_str(text).ok()?;
    if record.pod.is_empty() || record.pod_uid.is_empty() || record.term.is_empty() {
        return None;
    }
    Some(LifeRecord {
        pod_name: record.pod.into(),
        pod_uid: Uid::new(record.pod_uid),
        container: record.container.map(Into::into),
        container_id: record.container_id.map(Into::into),
        process: record.process.map(|process| ProcessId {
            pid: process.pid,
            start_time: process.start_time,
            boot_id: process.boot_id.into(),
            pid_namespace: process.pid_namespace.into(),
        }),
        nonce: Nonce::new(record.term),
    })
}

fn owner(reference: &Value) -> OwnerRef {
    let text = |name: &str| {
        reference
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let flag = |name: &str| reference.get(name).and_then(Value::as_bool);
    OwnerRef {
        api_version: text("apiVersion").into(),
        kind: text("kind").into(),
        name: text("name").into(),
        uid: Uid::new(text("uid")),
        controller: flag("controller"),
        block_owner_deletion: flag("blockOwnerDeletion"),
    }
}

/// F11: a ConfigMap in which somebody keeps something is no lock.
fn data_in(object: &Value) -> Option<String> {
    ["data", "binaryData"].into_iter().find_map(|field| {
        let keys = object.get(field)?.as_object()?;
        let first = keys.keys().next()?;
        Some(format!("it has {field} in it ({first:?})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write() -> LifeWrite {
        LifeWrite {
            owner: OwnerRef::pod("p", Uid::new("pod-uid")),
            record: LifeRecord {
                pod_name: "p".into(),
                pod_uid: Uid::new("pod-uid"),
                container: Some("main".into()),
                container_id: None,
                process: Some(ProcessId {
                    pid: 7,
                    start_time: 99,
                    boot_id: "b".into(),
                    pid_namespace: "pid:[1]".into(),
                }),
                nonce: Nonce::new("n-1"),
            },
        }
    }

    fn stored(mut object: Value) -> Value {
        object["metadata"]["uid"] = "u".into();
        object["metadata"]["resourceVersion"] = "5".into();
        object
    }

    #[test]
    fn f1_what_is_written_is_read_back_whole_without_controller_flags() {
        let object = stored(create(
            "v1",
            "ConfigMap",
            "ns",
            "l",
            &write(),
            &Extras::default(),
        ));
        let seen = observed(&object).unwrap();
        assert_eq!(seen.record, Some(write().record));
        assert_eq!(seen.owners, vec![write().owner]);
        assert_eq!(seen.foreign, None);
        assert!(
            object["metadata"]["ownerReferences"][0]
                .get("controller")
                .is_none()
        );
        assert!(object.get("data").is_none());
    }

    #[test]
    fn the_seeds_lock_is_read_by_its_owner_reference() {
        let object = stored(json!({"metadata": {"ownerReferences": [{
            "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "x",
            "controller": true, "blockOwnerDeletion": true,
        }]}}));
        let seen = observed(&object).unwrap();
        assert!(seen.record.is_none() && seen.foreign.is_none() && seen.owners[0].is_pod());
    }

    #[test]
    fn f11_data_or_a_broken_annotation_speak_against_a_lock() {
        for (object, says) in [
            (
                json!({"metadata": {}, "data": {"config.yaml": "x"}}),
                "data",
            ),
            (
                json!({"metadata": {}, "binaryData": {"k": "eA=="}}),
                "binaryData",
            ),
            (
                json!({"metadata": {"annotations": {OWNER_ANNOTATION: "{"}}}),
                "understood",
            ),
            (
                json!({"metadata": {"annotations": {OWNER_ANNOTATION: 7}}}),
                "understood",
            ),
        ] {
            let seen = observed(&stored(object)).unwrap();
            assert!(seen.foreign.as_deref().unwrap().contains(says), "{seen:?}");
        }
        for empty in [
            json!({"metadata": {}, "data": {}}),
            json!({"metadata": {}, "data": null}),
        ] {
            assert_eq!(observed(&stored(empty)).unwrap().foreign, None);
        }
    }

    #[test]
    fn f11_an_owner_that_is_not_named_whole_speaks_against_a_lock() {
        let pod = |name: Value, uid: Value| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        for owners in [
            json!([pod("p".into(), Value::Null)]),
            json!([pod("p".into(), "".into())]),
            json!([pod(7.into(), "u".into())]),
            json!([5]),
            json!("me"),
        ] {
            let seen = observed(&stored(json!({"metadata": {"ownerReferences": owners}}))).unwrap();
            assert!(seen.foreign.is_some(), "{seen:?}");
        }
        let nameless = json!({"pod": "", "podUid": "u", "term": "t"}).to_string();
        let annotated = json!({"metadata": {"annotations": {OWNER_ANNOTATION: nameless}}});
        assert!(observed(&stored(annotated)).unwrap().foreign.is_some());
    }

    #[test]
    fn f12_a_request_is_read_and_goes_with_the_write_that_takes_the_lock_up_again() {
        let asked = json!({"holder": "n-1", "uid": "u", "by": "eve"}).to_string();
        let base = stored(json!({"metadata": {
            "annotations": {asked_json::STEP_DOWN_ANNOTATION: asked, "x": "y"},
        }}));
        let seen = observed(&base).unwrap();
        assert_eq!(seen.foreign, None);
        assert_eq!(&*seen.step_down.unwrap().holder, "n-1");
        let after = replace(base, &seen.version, &write(), &Extras::default());
        assert_eq!(observed(&after).unwrap().step_down, None);
        assert_eq!(after["metadata"]["annotations"]["x"], "y");
    }

    #[test]
    fn a_replace_keeps_what_others_put_there() {
        let base = stored(json!({
            "metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}, "finalizers": ["f/f"]},
            "spec": {"kept": true},
        }));
        let version = version_of(&base).unwrap();
        let after = replace(base.clone(), &version, &write(), &Extras::default());
        assert_eq!(after["metadata"]["labels"]["a"], "b");
        assert_eq!(after["metadata"]["annotations"]["x"], "y");
        assert_eq!(after["metadata"]["finalizers"][0], "f/f");
        assert_eq!(after["metadata"]["uid"], "u");
        assert_eq!(after["spec"]["kept"], true);
    }
}
