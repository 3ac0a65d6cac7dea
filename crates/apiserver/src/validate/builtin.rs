//! Kinds whose rules are short: leases, config maps, events, roles.

use serde_json::{Value, json};

use super::format;
use crate::meta;
use crate::status::FieldError;

const DATA_LIMIT: usize = 1024 * 1024;

pub(super) fn lease(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if spec["leaseDurationSeconds"]
        .as_i64()
        .is_some_and(|n| n <= 0)
    {
        errors.push(FieldError::invalid(
            "spec.leaseDurationSeconds",
            &spec["leaseDurationSeconds"],
            "must be greater than 0",
        ));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|n| n < 0) {
        errors.push(FieldError::invalid(
            "spec.leaseTransitions",
            &spec["leaseTransitions"],
            "must be greater than or equal to 0",
        ));
    }
    errors
}

pub(super) fn config_map(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(old) = old.filter(|old| old["immutable"] == json!(true)) {
        let told = "field is immutable when `immutable` is set";
        for field in ["immutable", "data", "binaryData"] {
            if object[field] != old[field] {
                errors.push(FieldError::forbidden(field, told));
            }
        }
    }
    let mut size = 0;
    for bag in ["data", "binaryData"] {
        for (key, value) in object[bag].as_object().into_iter().flatten() {
            let path = format!("{bag}[{key}]");
            for told in format::config_key(key) {
                errors.push(FieldError::invalid(&path, &json!(key), &told));
            }
            if bag == "data" && object["binaryData"].get(key).is_some() {
                let told = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(&path, &json!(key), told));
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    if size > DATA_LIMIT {
        errors.push(FieldError::too_long("", DATA_LIMIT));
    }
    errors
}

pub(super) fn event(object: &Value) -> Vec<FieldError> {
    let involved = object["involvedObject"]["namespace"]
        .as_str()
        .unwrap_or_default();
    let namespace = meta::namespace(object);
    let fits = involved == namespace || (involved.is_empty() && namespace == "default");
    let mut errors = Vec::new();
    if !fits {
        let told = "does not match event.namespace";
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            &json!(involved),
            told,
        ));
    }
    errors
}

/// What `events.k8s.io/v1` asks of a new event, beyond what `v1` does.
pub(super) fn new_event(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object["eventTime"].is_null() {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = object["type"].as_str().unwrap_or_default();
    if kind != "Normal" && kind != "Warning" {
        let told = format!("has invalid value: {kind}");
        errors.push(FieldError::invalid("type", &json!(kind), &told));
    }
    errors
}

pub(super) fn rbac(kind: &str, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if kind.ends_with("Binding") {
        if let Some(old) = old.filter(|old| old["roleRef"] != object["roleRef"]) {
            debug_assert!(old.is_object());
            errors.push(FieldError::invalid(
                "roleRef",
                &object["roleRef"],
                "cannot change roleRef",
            ));
        }
        if object["roleRef"]["name"].as_str().is_none_or(str::is_empty) {
            errors.push(FieldError::required("roleRef.name", ""));
        }
    }
    for (index, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        if rule["verbs"].as_array().is_none_or(Vec::is_empty) {
            errors.push(FieldError::required(
                format!("rules[{index}].verbs"),
                "verbs must contain at least one value",
            ));
        }
    }
    errors
}
