//! A Lease as JSON: read with tolerance for whatever stands there (L20), written without losing
//! what others put there (L5).

use std::sync::Arc;

use serde_json::{Map, Value};
use tenure_core::{
    Version,
    lease::{Observed, Spec},
};

use super::{
    asked_json::{self, PAUSED_ANNOTATION, STEP_DOWN_ANNOTATION},
    kept::Kept,
    memory::object_at,
    written::{OURS, WRITE_ANNOTATION, Written, parse_time, read_mark},
};
use crate::{
    call::is_failure,
    fields::{Fields, Shape},
    object::MANAGED_FIELDS,
};

/// What is looked into, and the one field that is as long as the rest together and that nobody here reads.
pub(super) const SHAPE: Shape = Shape {
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

/// A Lease that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lease {
    /// What it says.
    pub(crate) observed: Observed,
    /// What a write over it has to keep.
    pub(crate) kept: Kept,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    Lease(Box<Lease>),
    /// It has no uid or resourceVersion: no server sends such a one.
    Stateless,
}

/// Read an event's object, or the answer to a read. `None` of what is no object of Kubernetes, or says that
/// something has failed.
pub(crate) fn read(body: &[u8]) -> Option<Read> {
    read_answer(body, None)
}

/// The same of the answer to what was written.
pub(crate) fn read_answer(body: &[u8], written: Option<&Written>) -> Option<Read> {
    let object = Fields::shaped(std::str::from_utf8(body).ok()?, SHAPE)?;
    if is_failure(
        object.string("kind").as_deref(),
        object.string("status").as_deref(),
    ) {
        return None;
    }
    let observed = observed(&object.object("metadata"), &object.object("spec"), written);
    Some(match observed {
        Some(observed) => Read::Lease(Box::new(Lease {
            observed,
            kept: Kept::of(object),
        })),
        None => Read::Stateless,
    })
}

fn observed(
    metadata: &Fields<'_>,
    spec: &Fields<'_>,
    written: Option<&Written>,
) -> Option<Observed> {
    let version = version_in(metadata)?;
    let annotations = metadata.object("annotations");
    let annotation = |name: &str| -> Option<Value> {
        // What cannot even be taken apart is there all the same.
        let value = serde_json::from_str(annotations.get(name)?);
        Some(value.unwrap_or_else(|_| Value::String(String::new())))
    };
    Some(Observed {
        version,
        spec: match written.and_then(|written| written.spec_in(spec)) {
            Some(written) => Spec {
                foreign: foreign(spec),
                ..written.clone()
            },
            None => self::spec(spec),
        },
        mark: match written.and_then(|written| written.mark_in(&annotations)) {
            Some(written) => Some(written.clone()),
            None => annotations
                .string(WRITE_ANNOTATION)
                .as_deref()
                .and_then(read_mark),
        },
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
pub(crate) fn create(name: &str, namespace: &str, write: &Written, extras: &Extras) -> String {
    let mut object = Fields::default();
    object.set_string("apiVersion", "coordination.k8s.io/v1");
    object.set_string("kind", "Lease");
    let metadata = object.object_mut("metadata");
    metadata.set_string("name", name);
    metadata.set_string("namespace", namespace);
    let kept = Kept::of(object);
    kept.described(extras, write.acquires()).with(write, None)
}

/// What was [kept](Lease::kept) of the Lease of that version, with `write` in it, as JSON.
pub(crate) fn replace(kept: &Kept, version: &Version, write: &Written, extras: &Extras) -> String {
    kept.described(extras, write.acquires())
        .with(write, Some(version))
}

/// Labels and annotations that somebody wants on the lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
}

impl Extras {
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenure_core::{
        MicroTime, Nonce,
        lease::{LeaseWrite, WriteMark},
    };

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
            &Written::new(write.clone()),
            &Extras::default(),
        ))
    }

    fn created(write: &LeaseWrite) -> Value {
        let written = Written::new(write.clone());
        tree(&create("l", "ns", &written, &Extras::default()))
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        for released in [false, true] {
            let object = stored(created(&write(released)));
            assert!(lease(&object).observed.is(&write(released)), "{object}");
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
    fn an_answer_to_a_write_is_read_as_anything_else_is() {
        let whole = LeaseWrite {
            mark: WriteMark {
                successor: Some("a \"b\\c\"".into()),
                ..write(true).mark
            },
            ..write(true)
        };
        let mut bare = write(false);
        bare.spec = Spec {
            holder: None,
            duration_seconds: None,
            acquire_time: None,
            ..bare.spec
        };
        let mut timeless = write(false);
        timeless.mark.renew_time = MicroTime::from_micros(i64::MAX);
        timeless.spec.acquire_time = Some(timeless.mark.renew_time);
        for write in [whole, bare, timeless] {
            let same = stored(created(&write));
            let mut answers = vec![same.clone()];
            for edit in [
                json!({"spec": {"holderIdentity": "another"}}),
                json!({"spec": {"renewTime": "2023-11-14T22:13:20Z"}}),
                json!({"spec": {"leaseDurationSeconds": null, "strategy": "s"}}),
                json!({"spec": {"leaseTransitions": 4, "zzz": {"a": 1}}}),
                json!({"spec": null}),
                json!({"metadata": {"annotations": {WRITE_ANNOTATION: "{}", "theirs": "x"}}}),
                json!({"metadata": {"annotations": null}}),
                json!({"metadata": {"resourceVersion": ""}}),
            ] {
                let mut edited = same.clone();
                merge(&mut edited, edit);
                answers.push(edited);
            }
            let known = write.mark.renew_time != MicroTime::from_micros(i64::MAX);
            let written = Written::new(write);
            let text = same.to_string();
            let fields = Fields::shaped(&text, SHAPE).unwrap();
            let metadata = fields.object("metadata");
            assert_eq!(
                written.mark_in(&metadata.object("annotations")).is_some(),
                known,
                "{text}"
            );
            let spec = fields.object("spec");
            assert_eq!(written.spec_in(&spec).is_some(), known, "{text}");
            for answer in answers {
                let text = answer.to_string();
                for text in [text.replace(":\"me\"", ":\"\\u006de\""), text] {
                    let read = read(text.as_bytes());
                    assert_eq!(read_answer(text.as_bytes(), Some(&written)), read, "{text}");
                }
            }
        }
    }

    fn merge(into: &mut Value, edit: Value) {
        match (into, edit) {
            (Value::Object(into), Value::Object(edit)) => {
                for (name, value) in edit {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
            (into, edit) => *into = edit,
        }
    }

    #[test]
    fn what_each_write_puts_there_is_not_kept() {
        let kept = lease(&stored(created(&write(true)))).kept;
        let left = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "l", "namespace": "ns", "annotations": {}}, "spec": {},
        });
        assert_eq!(tree(&kept.whole()), left);
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
        let kept = one.kept.whole();
        assert!(!kept.contains("managedFields"), "{kept}");
        let odd = lease("1e999");
        assert!(odd.observed.spec.foreign.is_some());
        let kept = odd.kept.whole();
        assert!(kept.contains("1e999"), "it goes back as it came");
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
    fn labels_and_annotations_that_somebody_wants_are_put_among_those_of_others() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let extras = Extras {
            labels: pair("team", "shop"),
            annotations: pair("theirs", "mine"),
        };
        let written = Written::new(write(false));
        for labels in [json!({"a": "b", "team": "x"}), json!(null), json!("odd")] {
            let base = stored(json!({
                "metadata": {"labels": labels, "annotations": {"theirs": "x", "other": "y"}},
            }));
            let Lease { observed, kept } = lease(&base);
            let after = tree(&replace(&kept, &observed.version, &written, &extras));
            assert_eq!(after["metadata"]["labels"]["team"], "shop");
            assert_eq!(
                after["metadata"]["labels"]["a"],
                base["metadata"]["labels"]["a"]
            );
            assert_eq!(after["metadata"]["annotations"]["theirs"], "mine");
            assert_eq!(after["metadata"]["annotations"]["other"], "y");
            assert!(lease(&after).observed.is(&write(false)));
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
