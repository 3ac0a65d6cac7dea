//! The lock object as the checkers see it: JSON into a `Snapshot`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::api::NEIGHBOUR;
use crate::{
    clock::{Nanos, SECOND},
    plan::LockKind,
    trace::{Asked, Seeing, Snapshot},
};

pub(super) const WRITE: &str = "tenure.dev/write";
pub(super) const OWNER: &str = "tenure.dev/owner";
pub(super) const STEP_DOWN: &str = "tenure.dev/step-down";
pub(super) const PAUSED: &str = "tenure.dev/paused";

const OURS: [&str; 5] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
];

/// A state of the lock.
pub(super) fn snapshot(kind: LockKind, object: &Value) -> Snapshot {
    match kind {
        LockKind::Lease => lease(object),
        LockKind::ConfigMap | LockKind::LeaderLock => life(object),
    }
}

/// What observers of a Lease wait by: whether two states say the same.
pub(super) fn says(kind: LockKind, object: &Value) -> Value {
    match kind {
        LockKind::Lease => json!([
            object["metadata"]["uid"],
            object["spec"],
            annotation(object, WRITE)
        ]),
        _ => object.clone(),
    }
}

/// The resourceVersion.
pub(super) fn version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Which state of the lock is in an answer, or in an event of a watch; 0 where it cannot be told,
/// none where it is about something else.
pub(super) fn shown(kind: LockKind, bytes: &[u8]) -> Option<(u64, Seeing)> {
    let Ok(told) = serde_json::from_slice::<Value>(bytes) else {
        return Some((0, Seeing::Answered));
    };
    let how = match told["type"].as_str() {
        Some("BOOKMARK") => return None,
        Some("DELETED") => Seeing::Gone,
        Some(_) => Seeing::Watched,
        None => Seeing::Answered,
    };
    if told["reason"] == "AlreadyExists" {
        return Some((0, Seeing::Exists));
    }
    if told["code"] == 404 {
        return Some((0, Seeing::Absent));
    }
    if told["object"]["metadata"]["name"] == NEIGHBOUR {
        return None;
    }
    if kind.is_for_life() || told["kind"] == "Status" {
        return Some((0, how));
    }
    let inner = ["/object", "/items/0"];
    let inner = inner.iter().find_map(|at| told.pointer(at));
    Some((version(inner.unwrap_or(&told)), how))
}

/// A time as the API writes it.
pub(super) fn time(time: tenure_core::MicroTime) -> String {
    let time = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or_default();
    format!("{time:.6}")
}

/// A resourceVersion as a number.
pub(super) fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

/// Whether an object of the lock's name is no lock for life: somebody keeps something in it, or its
/// annotation cannot be understood (F11).
pub(super) fn is_no_lock(object: &Value) -> bool {
    let keeps = |field: &str| {
        let kept = object[field].as_object();
        kept.is_some_and(|kept| !kept.is_empty())
    };
    let odd = !annotation(object, OWNER).is_null() && parsed(object, OWNER).is_none();
    keeps("data") || keeps("binaryData") || odd
}

/// The nonce of the process whose record it is, where its annotation says so.
pub(super) fn writer(object: &Value) -> Option<String> {
    let of = |name, field: &str| Some(parsed(object, name)?[field].as_str()?.to_owned());
    of(WRITE, "process").or_else(|| of(OWNER, "term"))
}

fn lease(object: &Value) -> Snapshot {
    let spec = &object["spec"];
    let written = parsed(object, WRITE);
    let nonce = written.as_ref().and_then(|mark| mark["process"].as_str());
    let mark = written.as_ref().filter(|mark| {
        let micros = |time: &Value| time.as_str().and_then(micros);
        mark["holder"].as_str() == spec["holderIdentity"].as_str()
            && micros(&mark["renewTime"]).is_some()
            && micros(&mark["renewTime"]) == micros(&spec["renewTime"])
    });
    let seconds = mark
        .and_then(|mark| mark["durationSeconds"].as_u64())
        .or_else(|| spec["leaseDurationSeconds"].as_u64())
        .unwrap_or(0);
    let protects: Nanos = seconds.saturating_mul(SECOND);
    let holder = spec["holderIdentity"]
        .as_str()
        .filter(|holder| !holder.is_empty());
    let released =
        holder.is_none() && mark.is_some_and(|mark| mark["released"].as_bool() == Some(true));
    Snapshot {
        uid: uid(object),
        version: version(object),
        holder: holder.map(Into::into),
        nonce: nonce.map(Into::into),
        write: written.as_ref().and_then(|mark| mark["write"].as_u64()),
        speaks: mark.is_some(),
        // A Lease is never without protection; zero marks a lock for life.
        protects: protects.max(1),
        seconds: spec["leaseDurationSeconds"].as_i64(),
        released,
        transitions: spec["leaseTransitions"].as_i64(),
        acquired: spec["acquireTime"].as_str().and_then(micros),
        renewed: spec["renewTime"].as_str().and_then(micros),
        foreign: foreign(object, true),
        asked: asked(object).map(Box::new),
        paused: paused(object),
        successor: written
            .as_ref()
            .and_then(|mark| Some(mark["successor"].as_str()?.into())),
    }
}

fn life(object: &Value) -> Snapshot {
    let record = parsed(object, OWNER);
    let field = |name: &str| Some(record.as_ref()?[name].as_str()?.into());
    // Where the two differ it is no lock of whom the annotation names (F11).
    let reference: Option<Arc<str>> =
        text(object, "/metadata/ownerReferences/0/uid").map(Into::into);
    Snapshot {
        uid: uid(object),
        version: version(object),
        holder: reference.or_else(|| field("podUid")),
        nonce: field("term"),
        write: None,
        speaks: false,
        protects: 0,
        seconds: None,
        released: false,
        transitions: None,
        acquired: None,
        renewed: None,
        foreign: foreign(object, false),
        asked: asked(object).map(Box::new),
        paused: None,
        successor: None,
    }
}

/// What others than ours have put there, in one text.
fn foreign(object: &Value, is_lease: bool) -> Option<Arc<str>> {
    let mut others = Map::new();
    let metadata = &object["metadata"];
    for name in ["labels", "finalizers"] {
        if !metadata[name].is_null() {
            others.insert(name.into(), metadata[name].clone());
        }
    }
    let without = |fields: &Value, ours: &[&str]| -> Map<String, Value> {
        let fields = fields.as_object().cloned().unwrap_or_default();
        fields
            .into_iter()
            .filter(|(name, value)| !ours.contains(&name.as_str()) && !value.is_null())
            .collect()
    };
    for (name, fields) in [
        (
            "annotations",
            without(&metadata["annotations"], &[WRITE, OWNER, STEP_DOWN, PAUSED]),
        ),
        (
            "spec",
            without(&object["spec"], if is_lease { &OURS } else { &[] }),
        ),
        ("data", without(&object["data"], &[])),
    ] {
        if !fields.is_empty() {
            others.insert(name.into(), Value::Object(fields));
        }
    }
    (!others.is_empty()).then(|| Value::Object(others).to_string().into())
}

/// A request to step down that can be understood.
fn asked(object: &Value) -> Option<Asked> {
    let asked = parsed(object, STEP_DOWN)?;
    let named = |field: &str| asked[field].as_str().filter(|text| !text.is_empty());
    let is_a_term = asked["transitions"].is_null() || asked["transitions"].is_i64();
    let names_somebody = asked["to"].is_null() || named("to").is_some();
    (is_a_term && names_somebody).then_some(())?;
    Some(Asked {
        holder: named("holder")?.into(),
        transitions: asked["transitions"].as_i64(),
        uid: named("uid")?.into(),
        to: named("to").map(Into::into),
        by: named("by").unwrap_or_default().into(),
    })
}

/// What is said of the pause, where there is one.
fn paused(object: &Value) -> Option<Arc<str>> {
    let said = annotation(object, PAUSED);
    (!said.is_null()).then(|| said.to_string().into())
}

fn uid(object: &Value) -> Arc<str> {
    text(object, "/metadata/uid").unwrap_or_default().into()
}

fn annotation<'a>(object: &'a Value, name: &str) -> &'a Value {
    &object["metadata"]["annotations"][name]
}

fn parsed(object: &Value, name: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(annotation(object, name).as_str()?).ok()?;
    value.is_object().then_some(value)
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

pub(super) fn micros(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_microsecond())
}
