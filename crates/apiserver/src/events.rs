//! Events are one set of objects under two names: `v1` and `events.k8s.io/v1`.
//!
//! They are stored in the form of `v1`.

use serde_json::{Value, json};

use crate::resources::Resource;

/// Fields of `v1` and what `events.k8s.io/v1` calls them.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

pub(crate) fn to_storage(resource: &Resource, object: Value) -> Value {
    if resource.group != "events.k8s.io" {
        return object;
    }
    let mut object = rename(object, |(core, new)| (new, core));
    object["apiVersion"] = json!("v1");
    for field in ["reportingComponent", "reportingInstance"] {
        if object[field].is_null() {
            object[field] = json!("");
        }
    }
    object
}

/// The object as `resource` shows it; `None` where it is shown as stored.
pub(crate) fn from_storage(resource: &Resource, object: &Value) -> Option<Value> {
    if resource.group != "events.k8s.io" {
        return None;
    }
    let mut object = rename(object.clone(), |(core, new)| (core, new));
    object["apiVersion"] = json!("events.k8s.io/v1");
    if let Some(fields) = object.as_object_mut() {
        for field in ["reportingController", "reportingInstance"] {
            if fields.get(field) == Some(&json!("")) {
                fields.remove(field);
            }
        }
    }
    Some(object)
}

fn rename(
    mut object: Value,
    pair: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    if let Some(fields) = object.as_object_mut() {
        for names in NAMES {
            let (from, to) = pair(names);
            if let Some(value) = fields.remove(from) {
                fields.insert(to.to_owned(), value);
            }
        }
    }
    object
}
