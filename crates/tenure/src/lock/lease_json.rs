//! A Lease as JSON: read with tolerance for whatever stands there (L20), written without losing
//! what others put there (L5).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tenure_core::{
    MicroTime, Nonce, ResourceVersion, Uid, Version,
    lease::{LeaseWrite, Observed, Spec, WriteMark},
};

use super::{
    asked_json,
    memory::{object_at, version_of},
};
use crate::object;

/// The annotation that every write of ours carries.
pub(crate) const WRITE_ANNOTATION: &str = "tenure.dev/write";

const OURS: [&str; 5] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MarkJson {
    process: String,
    write: u64,
    holder: String,
    duration_seconds: u32,
    renew_time: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    released: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
}

/// What the object says. `None` only if it has no uid or resourceVersion: no server answers so.
pub(crate) fn observed(object: &Value) -> Option<Observed> {
    let version = version_of(object)?;
    let spec = object
        .get("spec")
        .and_then(Value::as_object)
        .map(spec)
        .unwrap_or_default();
    let mark = object::at(object, &["metadata", "annotations", WRITE_ANNOTATION])
        .and_then(Value::as_str)
        .and_then(mark);
    Some(Observed {
        version,
        spec,
        mark,
        step_down: asked_json::step_down(object).map(Box::new),
        paused: asked_json::paused(object).map(Box::new),
    })
}

/// A new Lease object.
pub(crate) fn create(name: &str, namespace: &str, write: &LeaseWrite, extras: &Extras) -> Value {
    let mut object = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": name, "namespace": namespace },
    });
    put(&mut object, write, extras);
    object
}

/// `base` with `write` in it, and everything else as it was.
pub(crate) fn replace(
    base: Value,
    version: &Version,
    write: &LeaseWrite,
    extras: &Extras,
) -> Value {
    let mut object = base;
    let metadata = object_at(&mut object, "metadata");
    metadata.insert("uid".into(), uid(&version.uid));
    metadata.insert(
        "resourceVersion".into(),
        resource_version(&version.resource_version),
    );
    put(&mut object, write, extras);
    object
}

/// Labels and annotations that somebody wants on the lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
}

impl Extras {
    pub(crate) fn put(&self, object: &mut Value) {
        let metadata = Value::Object(std::mem::take(object_at(object, "metadata")));
        let mut metadata = metadata;
        for (name, pairs) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !pairs.is_empty() {
                let fields = object_at(&mut metadata, name);
                for (key, value) in pairs {
                    fields.insert(key.clone(), Value::String(value.clone()));
                }
            }
        }
        if let Value::Object(metadata) = metadata {
            *object_at(object, "metadata") = metadata;
        }
    }
}

fn put(object: &mut Value, write: &LeaseWrite, extras: &Extras) {
    extras.put(object);
    let spec = object_at(object, "spec");
    let mut set = |name: &str, value: Option<Value>| match value {
        Some(value) => {
            spec.insert(name.to_owned(), value);
        }
        None => {
            spec.remove(name);
        }
    };
    let s = &write.spec;
    set("holderIdentity", s.holder.as_deref().map(Value::from));
    set("leaseDurationSeconds", s.duration_seconds.map(Value::from));
    set(
        "acquireTime",
        s.acquire_time.map(|time| format_time(time).into()),
    );
    set(
        "renewTime",
        s.renew_time.map(|time| format_time(time).into()),
    );
    set("leaseTransitions", s.transitions.map(Value::from));

    let m = &write.mark;
    let mark = MarkJson {
        process: m.nonce.as_str().to_owned(),
        write: m.counter,
        holder: m.holder.as_ref().to_owned(),
        duration_seconds: m.duration_seconds,
        renew_time: format_time(m.renew_time),
        released: m.released,
        successor: m.successor.as_deref().map(str::to_owned),
    };
    let text = serde_json::to_string(&mark).unwrap_or_default();
    let mut metadata = Value::Object(std::mem::take(object_at(object, "metadata")));
    let annotations = object_at(&mut metadata, "annotations");
    annotations.insert(WRITE_ANNOTATION.into(), text.into());
    if write.acquires {
        annotations.remove(asked_json::STEP_DOWN_ANNOTATION);
    }
    if let Value::Object(metadata) = metadata {
        *object_at(object, "metadata") = metadata;
    }
}

fn spec(fields: &Map<String, Value>) -> Spec {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let number = |name: &str| fields.get(name).and_then(Value::as_i64);
    let spec = Spec {
        holder: text("holderIdentity").map(Into::into),
        duration_seconds: number("leaseDurationSeconds"),
        acquire_time: text("acquireTime").and_then(parse_time),
        renew_time: text("renewTime").and_then(parse_time),
        transitions: number("leaseTransitions"),
        foreign: None,
    };
    let foreign: Map<String, Value> = fields
        .iter()
        .filter(|(name, value)| !value.is_null() && !OURS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let foreign = (!foreign.is_empty()).then(|| Value::Object(foreign).to_string().into());
    Spec { foreign, ..spec }
}

fn mark(text: &str) -> Option<WriteMark> {
    let mark: MarkJson = serde_json::from_str(text).ok()?;
    Some(WriteMark {
        nonce: Nonce::new(mark.process),
        counter: mark.write,
        holder: mark.holder.into(),
        duration_seconds: mark.duration_seconds,
        renew_time: parse_time(&mark.renew_time)?,
        released: mark.released,
        successor: mark.successor.map(Into::into),
    })
}

/// RFC 3339 with exactly six digits, as `MicroTime` has it.
pub(crate) fn format_time(time: MicroTime) -> String {
    match jiff::Timestamp::from_microsecond(time.as_micros()) {
        Ok(timestamp) => format!("{timestamp:.6}"),
        Err(_) => "1970-01-01T00:00:00.000000Z".to_owned(),
    }
}

fn parse_time(text: &str) -> Option<MicroTime> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(MicroTime::from_micros(timestamp.as_microsecond()))
}

fn uid(uid: &Uid) -> Value {
    Value::from(uid.as_str())
}

fn resource_version(version: &ResourceVersion) -> Value {
    Value::from(version.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(released: bool) -> LeaseWrite {
        let renew_time = MicroTime::from_micros(1_700_000_000_123_456);
        LeaseWrite {
            spec: Spec {
                holder: Some("me".into()),
                duration_seconds: Some(15),
                acquire_time: Some(renew_time),
                renew_time: Some(renew_time),
                transitions: Some(3),
                foreign: None,
            },
            mark: WriteMark {
                nonce: Nonce::new("n"),
                counter: 7,
                holder: "me".into(),
                duration_seconds: 15,
                renew_time,
                released,
                successor: None,
            },
            acquires: false,
        }
    }

    fn stored(mut object: Value) -> Value {
        object["metadata"]["uid"] = "u".into();
        object["metadata"]["resourceVersion"] = "5".into();
        object
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        for released in [false, true] {
            let object = stored(create("l", "ns", &write(released), &Extras::default()));
            assert!(observed(&object).unwrap().is(&write(released)), "{object}");
        }
    }

    #[test]
    fn times_have_six_digits_and_are_read_with_0_6_or_9() {
        assert_eq!(
            format_time(MicroTime::from_micros(1_700_000_000_000_000)),
            "2023-11-14T22:13:20.000000Z"
        );
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000000Z",
            "2023-11-14T22:13:20.000000000Z",
        ] {
            assert_eq!(
                parse_time(text),
                Some(MicroTime::from_micros(1_700_000_000_000_000))
            );
        }
    }

    #[test]
    fn l5_fields_labels_and_annotations_of_others_survive() {
        let base = stored(json!({
            "metadata": {
                "name": "l", "labels": {"a": "b"}, "annotations": {"theirs": "x"},
                "finalizers": ["f/f"], "somethingNew": 1,
            },
            "spec": { "strategy": "OldestEmulationVersion", "preferredHolder": "p", "zzz": [1] },
            "extra": true,
        }));
        let seen = observed(&base).unwrap();
        let mut put = write(false);
        put.spec.foreign = seen.spec.foreign.clone();
        let after = replace(base.clone(), &seen.version, &put, &Extras::default());
        assert_eq!(after["metadata"]["labels"]["a"], "b");
        assert_eq!(after["metadata"]["annotations"]["theirs"], "x");
        assert_eq!(after["metadata"]["somethingNew"], 1);
        assert_eq!(after["metadata"]["uid"], "u");
        assert_eq!(after["metadata"]["resourceVersion"], "5");
        assert_eq!(after["spec"]["preferredHolder"], "p");
        assert_eq!(after["extra"], true);
        assert!(observed(&after).unwrap().is(&put));
    }

    #[test]
    fn l25_the_write_that_acquires_removes_a_request_and_no_other_does() {
        let asked = json!({"holder": "old", "transitions": 2, "uid": "u"}).to_string();
        let annotations = json!({
            asked_json::STEP_DOWN_ANNOTATION: asked,
            asked_json::PAUSED_ANNOTATION: "{}",
            "theirs": "x",
        });
        let base = stored(json!({"metadata": {"annotations": annotations}}));
        let seen = observed(&base).unwrap();
        assert!(seen.step_down.is_some() && seen.paused.is_some());
        for acquires in [false, true] {
            let put = LeaseWrite {
                acquires,
                ..write(false)
            };
            let after = replace(base.clone(), &seen.version, &put, &Extras::default());
            let left = observed(&after).unwrap();
            assert_eq!(left.step_down.is_none(), acquires);
            assert!(left.paused.is_some() && left.is(&put));
            assert_eq!(after["metadata"]["annotations"]["theirs"], "x");
        }
    }

    #[test]
    fn l20_whatever_stands_there_is_understood() {
        for spec in [
            json!(null),
            json!({}),
            json!([]),
            json!("text"),
            json!({"holderIdentity": null, "leaseDurationSeconds": null, "renewTime": null}),
            json!({"holderIdentity": 7, "leaseDurationSeconds": "x", "renewTime": "yesterday"}),
            json!({"leaseDurationSeconds": 1e300, "leaseTransitions": -4}),
            json!({"leaseDurationSeconds": 9_223_372_036_854_775_807_i64}),
        ] {
            let base = stored(json!({"metadata": {"annotations": null}, "spec": spec}));
            let seen = observed(&base).unwrap();
            assert_eq!(seen.spec.holder(), None);
            let after = replace(
                base.clone(),
                &seen.version,
                &write(false),
                &Extras::default(),
            );
            assert_eq!(after["spec"]["holderIdentity"], "me", "{base}");
        }
        assert_eq!(observed(&json!({})), None);
    }

    #[test]
    fn a_foreign_or_broken_annotation_says_nothing() {
        for text in ["", "{}", "[]", r#"{"process":"p","write":-1}"#, "null"] {
            let object = stored(json!({"metadata": {"annotations": {WRITE_ANNOTATION: text}}}));
            assert_eq!(observed(&object).unwrap().mark, None, "{text}");
        }
    }
}
