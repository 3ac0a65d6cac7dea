//! A Lease as JSON: read with tolerance for whatever stands there (L20), written without losing
//! what others put there (L5).

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenure_core::{
    MicroTime, Nonce, Version,
    lease::{LeaseWrite, Observed, Spec, WriteMark},
};

use super::{
    asked_json::{self, PAUSED_ANNOTATION, STEP_DOWN_ANNOTATION},
    memory::object_at,
};
use crate::{
    call::is_failure,
    fields::{Fields, Shape},
    object::MANAGED_FIELDS,
};

/// The annotation that every write of ours carries.
pub(crate) const WRITE_ANNOTATION: &str = "tenure.dev/write";

/// What is looked into, and the one field that is as long as the rest together and that nobody here reads.
const SHAPE: Shape = Shape {
    objects: &[
        (
            "metadata",
            Shape {
                objects: &[("annotations", Shape::FLAT)],
                left_out: &[MANAGED_FIELDS],
            },
        ),
        ("spec", Shape::FLAT),
    ],
    left_out: &[],
};

const OURS: [&str; 5] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MarkJson<'a> {
    #[serde(borrow)]
    process: Cow<'a, str>,
    write: u64,
    #[serde(borrow)]
    holder: Cow<'a, str>,
    duration_seconds: u32,
    renew_time: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    released: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<Cow<'a, str>>,
}

/// A Lease that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lease {
    /// What it says.
    pub(crate) observed: Observed,
    /// What a write over it has to keep: all of it but what each write puts there anew, and
    /// `metadata.managedFields`, without which the server's record stays as it is.
    pub(crate) kept: Box<str>,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    Lease(Box<Lease>),
    /// It has no uid or resourceVersion: no server sends such a one.
    Stateless,
}

/// Read an answer. `None` of what is no object of Kubernetes, or says that something has failed.
pub(crate) fn read(body: &[u8]) -> Option<Read> {
    let mut object = Fields::shaped(std::str::from_utf8(body).ok()?, SHAPE)?;
    if is_failure(
        object.string("kind").as_deref(),
        object.string("status").as_deref(),
    ) {
        return None;
    }
    let observed = observed(&object.object("metadata"), &object.object("spec"));
    Some(match observed {
        Some(observed) => {
            leave_out_what_is_written(&mut object);
            Read::Lease(Box::new(Lease {
                observed,
                kept: object.text().into(),
            }))
        }
        None => Read::Stateless,
    })
}

/// What [`replace`] puts there, whatever stood there before.
fn leave_out_what_is_written(object: &mut Fields<'_>) {
    let metadata = object.object_mut("metadata");
    for name in ["uid", "resourceVersion"] {
        metadata.remove(name);
    }
    metadata.object_mut("annotations").remove(WRITE_ANNOTATION);
    let spec = object.object_mut("spec");
    for name in OURS {
        spec.remove(name);
    }
}

fn observed(metadata: &Fields<'_>, spec: &Fields<'_>) -> Option<Observed> {
    let version = version_in(metadata)?;
    let annotations = metadata.object("annotations");
    let annotation = |name: &str| -> Option<Value> {
        // What cannot even be taken apart is there all the same.
        let value = serde_json::from_str(annotations.get(name)?);
        Some(value.unwrap_or_else(|_| Value::String(String::new())))
    };
    Some(Observed {
        version,
        spec: self::spec(spec),
        mark: annotations
            .string(WRITE_ANNOTATION)
            .as_deref()
            .and_then(mark),
        step_down: annotation(STEP_DOWN_ANNOTATION)
            .and_then(|asked| asked_json::step_down(&asked))
            .map(Box::new),
        paused: annotation(PAUSED_ANNOTATION)
            .and_then(|said| asked_json::paused(&said))
            .map(Box::new),
    })
}

fn version_in(metadata: &Fields<'_>) -> Option<Version> {
    let text = |name: &str| metadata.string(name).filter(|text| !text.is_empty());
    Some(Version::new(text("uid")?, text("resourceVersion")?))
}

/// A new Lease object, as JSON.
pub(crate) fn create(name: &str, namespace: &str, write: &LeaseWrite, extras: &Extras) -> String {
    let mut object = Fields::default();
    object.set_string("apiVersion", "coordination.k8s.io/v1");
    object.set_string("kind", "Lease");
    let metadata = object.object_mut("metadata");
    metadata.set_string("name", name);
    metadata.set_string("namespace", namespace);
    describe(metadata, write, extras);
    fill(object.object_mut("spec"), &write.spec);
    object.text()
}

/// What was [kept](Lease::kept) of the Lease of that version, with `write` in it, as JSON.
pub(crate) fn replace(
    kept: &str,
    version: &Version,
    write: &LeaseWrite,
    extras: &Extras,
) -> String {
    let mut object = Fields::shaped(kept, SHAPE).unwrap_or_default();
    let metadata = object.object_mut("metadata");
    metadata.set_string("uid", version.uid.as_str());
    metadata.set_string("resourceVersion", version.resource_version.as_str());
    describe(metadata, write, extras);
    fill(object.object_mut("spec"), &write.spec);
    object.text()
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

fn describe(metadata: &mut Fields<'_>, write: &LeaseWrite, extras: &Extras) {
    if !extras.labels.is_empty() {
        let labels = metadata.object_mut("labels");
        for (name, value) in &extras.labels {
            labels.set_string(name.clone(), value);
        }
    }
    let m = &write.mark;
    let mark = MarkJson {
        process: m.nonce.as_str().into(),
        write: m.counter,
        holder: (*m.holder).into(),
        duration_seconds: m.duration_seconds,
        renew_time: format_time(m.renew_time),
        released: m.released,
        successor: m.successor.as_deref().map(Into::into),
    };
    let mark = serde_json::to_string(&mark).unwrap_or_default();
    let annotations = metadata.object_mut("annotations");
    for (name, value) in &extras.annotations {
        annotations.set_string(name.clone(), value);
    }
    annotations.set_string(WRITE_ANNOTATION, &mark);
    if write.acquires {
        annotations.remove(STEP_DOWN_ANNOTATION);
    }
}

fn fill(fields: &mut Fields<'_>, spec: &Spec) {
    if let Some(holder) = &spec.holder {
        fields.set_string("holderIdentity", holder);
    }
    for (name, number) in [
        ("leaseDurationSeconds", spec.duration_seconds),
        ("leaseTransitions", spec.transitions),
    ] {
        if let Some(number) = number {
            fields.set(name, number.to_string());
        }
    }
    for (name, time) in [
        ("acquireTime", spec.acquire_time),
        ("renewTime", spec.renew_time),
    ] {
        if let Some(time) = time {
            fields.set_string(name, &format_time(time));
        }
    }
}

fn spec(fields: &Fields<'_>) -> Spec {
    let number = |name: &str| serde_json::from_str(fields.get(name)?).ok();
    let time = |name: &str| parse_time(&fields.string(name)?);
    Spec {
        holder: fields.string("holderIdentity").map(Into::into),
        duration_seconds: number("leaseDurationSeconds"),
        acquire_time: time("acquireTime"),
        renew_time: time("renewTime"),
        transitions: number("leaseTransitions"),
        foreign: foreign(fields),
    }
}

/// Taken apart: servers write the same values in other ways.
fn foreign(fields: &Fields<'_>) -> Option<Arc<str>> {
    let mut foreign = Map::new();
    for (name, text) in fields.iter().filter(|(name, _)| !OURS.contains(name)) {
        let value = serde_json::from_str(&text);
        // What cannot be taken apart is compared as it is.
        let value = value.unwrap_or_else(|_| Value::String(text.into_owned()));
        foreign.insert(name.to_owned(), value);
    }
    foreign.retain(|_, value| !value.is_null());
    (!foreign.is_empty()).then(|| Value::Object(foreign).to_string().into())
}

fn mark(text: &str) -> Option<WriteMark> {
    let mark: MarkJson<'_> = serde_json::from_str(text).ok()?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    fn tree(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    fn lease(object: &Value) -> Lease {
        lease_in(&object.to_string())
    }

    fn lease_in(json: &str) -> Lease {
        match read(json.as_bytes()) {
            Some(Read::Lease(lease)) => *lease,
            other => panic!("{other:?}"),
        }
    }

    /// What is sent to replace `base` with `write`.
    fn replaced(base: &Value, write: &LeaseWrite) -> Value {
        let Lease { observed, kept } = lease(base);
        tree(&replace(
            &kept,
            &observed.version,
            write,
            &Extras::default(),
        ))
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        for released in [false, true] {
            let created = create("l", "ns", &write(released), &Extras::default());
            let object = stored(tree(&created));
            assert!(lease(&object).observed.is(&write(released)), "{object}");
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
        let mut put = write(false);
        put.spec.foreign = lease(&base).observed.spec.foreign;
        let after = replaced(&base, &put);
        assert_eq!(after["metadata"]["labels"]["a"], "b");
        assert_eq!(after["metadata"]["annotations"]["theirs"], "x");
        assert_eq!(after["metadata"]["somethingNew"], 1);
        assert_eq!(after["metadata"]["uid"], "u");
        assert_eq!(after["metadata"]["resourceVersion"], "5");
        assert_eq!(after["spec"]["preferredHolder"], "p");
        assert_eq!(after["extra"], true);
        assert!(lease(&after).observed.is(&put));
    }

    #[test]
    fn what_each_write_puts_there_is_not_kept() {
        let created = create("l", "ns", &write(true), &Extras::default());
        let kept = lease(&stored(tree(&created))).kept;
        let left = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "l", "namespace": "ns", "annotations": {}}, "spec": {},
        });
        assert_eq!(tree(&kept), left);
    }

    #[test]
    fn l5_values_of_others_are_the_same_however_they_are_written() {
        let lease = |foreign: &str| {
            let text = format!(
                r#"{{"metadata": {{"uid": "u", "resourceVersion": "5", "managedFields": [{{}}]}},
                    "spec": {{"zzz": {foreign}, "none": null, "holderIdentity": "me"}}}}"#
            );
            lease_in(&text)
        };
        let (one, other) = (
            lease(r#"{"a": 1, "b": ["\u00e4"]}"#),
            lease(r#"{ "b":["ä"],"a":1 }"#),
        );
        assert_eq!(one.observed, other.observed);
        assert_ne!(one.observed, lease("[2]").observed);
        assert!(!one.kept.contains("managedFields"), "{}", one.kept);
        let odd = lease("1e999");
        assert!(odd.observed.spec.foreign.is_some());
        assert!(odd.kept.contains("1e999"), "it goes back as it came");
    }

    #[test]
    fn l25_the_write_that_acquires_removes_a_request_and_no_other_does() {
        let asked = json!({"holder": "old", "transitions": 2, "uid": "u"}).to_string();
        let annotations = json!({
            STEP_DOWN_ANNOTATION: asked,
            PAUSED_ANNOTATION: "{}",
            "theirs": "x",
        });
        let base = stored(json!({"metadata": {"annotations": annotations}}));
        let seen = lease(&base).observed;
        assert!(seen.step_down.is_some() && seen.paused.is_some());
        for acquires in [false, true] {
            let put = LeaseWrite {
                acquires,
                ..write(false)
            };
            let after = replaced(&base, &put);
            let left = lease(&after).observed;
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
            let seen = lease(&base).observed;
            assert_eq!(seen.spec.holder(), None);
            let after = replaced(&base, &write(false));
            assert_eq!(after["spec"]["holderIdentity"], "me", "{base}");
        }
        assert_eq!(read(b"{}"), Some(Read::Stateless));
        for text in [
            "",
            "[]",
            "null",
            "<html>",
            "{}x",
            r#"{"kind":"Status","status":"Failure"}"#,
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_foreign_or_broken_annotation_says_nothing() {
        for text in ["", "{}", "[]", r#"{"process":"p","write":-1}"#, "null"] {
            let object = stored(json!({"metadata": {"annotations": {WRITE_ANNOTATION: text}}}));
            assert_eq!(lease(&object).observed.mark, None, "{text}");
        }
    }
}
