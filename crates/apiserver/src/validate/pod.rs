//! Pods: what a candidate's owner can get wrong. The scheduler's and the kubelet's rules
//! (resources, volumes, probes, security) are not checked.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::format;
use crate::status::FieldError;

const FROZEN: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let path = |field: &str| format!("spec.{list}[{index}].{field}");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                errors.push(FieldError::required(path("name"), ""));
            } else {
                for told in format::dns_label(name) {
                    errors.push(FieldError::invalid(path("name"), &json!(name), &told));
                }
                if !names.insert(name) {
                    errors.push(FieldError::duplicate(path("name"), &json!(name)));
                }
            }
            if container["image"].as_str().is_none_or(str::is_empty) {
                errors.push(FieldError::required(path("image"), ""));
            }
        }
    }
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.containers", ""));
    }
    for (field, known) in [
        ("restartPolicy", &["Always", "OnFailure", "Never"][..]),
        (
            "dnsPolicy",
            &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        ),
    ] {
        let value = spec[field].as_str().unwrap_or_default();
        if !known.contains(&value) {
            let field = format!("spec.{field}");
            errors.push(FieldError::not_supported(field, &json!(value), known));
        }
    }
    if old.is_some_and(|old| frozen(spec) != frozen(&old["spec"])) {
        errors.push(FieldError::forbidden("spec", FROZEN));
    }
    errors
}

/// A spec without the fields that may change.
fn frozen(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("activeDeadlineSeconds");
        fields.remove("tolerations");
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    spec
}
