//! What the server sets and takes back before it validates a write, kind by kind.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::resources::{CRDS, NAMESPACES, PODS, Resource};
use crate::{defaults, meta};

pub(crate) fn create(resource: &Resource, object: &mut Value) {
    if resource.is(PODS) {
        meta::set(object, "generation", json!(1));
        let class = quality_of_service(&object["spec"]);
        object["status"] = json!({"phase": "Pending", "qosClass": class});
    } else if resource.is(NAMESPACES) {
        object["status"] = json!({"phase": "Active"});
        let finalizers = &mut object["spec"]["finalizers"];
        match finalizers.as_array_mut() {
            Some(list) if list.iter().any(|f| f == "kubernetes") => {}
            Some(list) => list.push(json!("kubernetes")),
            None => *finalizers = json!(["kubernetes"]),
        }
        defaults::apply(resource, object);
    } else if resource.is(CRDS) {
        meta::set(object, "generation", json!(1));
        let stored: Vec<&Value> = object["spec"]["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|v| v["storage"] == json!(true))
            .map(|v| &v["name"])
            .take(1)
            .collect();
        object["status"] = json!({
            "conditions": null,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": stored,
        });
    } else if resource.is_custom() {
        if resource.has_status {
            remove(object, "status");
        }
        meta::set(object, "generation", json!(1));
    }
    if resource.kind == "Secret" {
        merge_string_data(object);
    }
}

pub(crate) fn update(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    match meta::generation(old) {
        0 => meta::remove(new, "generation"),
        generation => meta::set(new, "generation", json!(generation)),
    }
    if subresource == "status" {
        update_status(resource, new, old);
        return;
    }
    if resource.has_status {
        restore(new, old, "status");
    }
    if resource.is(NAMESPACES) && subresource != "finalize" {
        let finalizers = old["spec"]["finalizers"].clone();
        if finalizers.is_null() {
            if let Some(spec) = new["spec"].as_object_mut() {
                spec.remove("finalizers");
            }
        } else {
            new["spec"]["finalizers"] = finalizers;
        }
    }
    if resource.kind == "Secret" {
        merge_string_data(new);
    }
    let changed = if resource.is_custom() {
        let (mut new, mut old) = (new.clone(), old.clone());
        remove(&mut new, "metadata");
        remove(&mut old, "metadata");
        new != old
    } else {
        resource.rules.generation && new["spec"] != old["spec"]
    };
    if changed {
        meta::set(new, "generation", json!(meta::generation(old) + 1));
    }
}

/// A write through `/status` changes the status, and next to nothing else.
fn update_status(resource: &Resource, new: &mut Value, old: &Value) {
    restore(new, old, "spec");
    if resource.is(PODS) {
        match &old["metadata"]["ownerReferences"] {
            Value::Null => meta::remove(new, "ownerReferences"),
            owners => meta::set(new, "ownerReferences", owners.clone()),
        }
        if new["status"]["qosClass"].is_null() && new["status"].is_object() {
            new["status"]["qosClass"] = old["status"]["qosClass"].clone();
        }
    } else if resource.is_custom() || resource.is(CRDS) {
        let status = new["status"].take();
        let version = new["metadata"]["resourceVersion"].clone();
        *new = old.clone();
        if status.is_null() {
            remove(new, "status");
        } else {
            new["status"] = status;
        }
        meta::set(new, "resourceVersion", version);
    }
}

fn restore(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => remove(new, field),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

/// `BestEffort` without any resources, `Guaranteed` where limits equal requests everywhere.
fn quality_of_service(spec: &Value) -> &'static str {
    let containers = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten());
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (limit, request) = (&resources["limits"][name], &resources["requests"][name]);
            any |= !limit.is_null() || !request.is_null();
            guaranteed &= !limit.is_null() && (request.is_null() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// `stringData` is write-only: it goes into `data`.
fn merge_string_data(object: &mut Value) {
    let Some(Value::Object(given)) = object.get("stringData").cloned() else {
        return;
    };
    remove(object, "stringData");
    for (key, value) in given {
        object["data"][key] = json!(BASE64_STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}
