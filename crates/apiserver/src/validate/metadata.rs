//! `metadata`: the same rules for every kind, but for the form of the name.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::format;
use crate::meta;
use crate::resources::{CONFIG_MAPS, NAMESPACES, Resource};
use crate::status::FieldError;

const IMMUTABLE: &str = "field is immutable";
const ANNOTATION_LIMIT: usize = 256 * 1024;

pub(super) fn create(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let prefix = meta::text(object, "generateName");
    if !prefix.is_empty() {
        // A prefix may end in a dash: the name that follows decides.
        let masked = format!("{}a", prefix.trim_end_matches('-'));
        for told in name_form(resource, &masked) {
            errors.push(FieldError::invalid(
                "metadata.generateName",
                &json!(prefix),
                &told,
            ));
        }
    }
    let name = meta::name(object);
    if name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        for told in name_form(resource, name) {
            errors.push(FieldError::invalid("metadata.name", &json!(name), &told));
        }
    }
    let namespace = meta::namespace(object);
    if resource.namespaced {
        if namespace.is_empty() {
            errors.push(FieldError::required("metadata.namespace", ""));
        } else {
            for told in format::dns_label(namespace) {
                errors.push(FieldError::invalid(
                    "metadata.namespace",
                    &json!(namespace),
                    &told,
                ));
            }
        }
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(
            "metadata.namespace",
            "not allowed on this type",
        ));
    }
    errors.extend(common(object));
    errors.extend(finalizers(object));
    if resource.group.is_empty() && resource.kind != "Event" {
        errors.extend(core_finalizers(object));
    }
    errors
}

pub(super) fn update(resource: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !resource.namespaced && !meta::namespace(new).is_empty() {
        errors.push(FieldError::forbidden(
            "metadata.namespace",
            "not allowed on this type",
        ));
    }
    errors.extend(common(new));
    errors.extend(finalizers(new));
    if resource.is(CONFIG_MAPS) {
        errors.extend(core_finalizers(new));
    }
    if meta::is_deleting(old) {
        let before: BTreeSet<String> = meta::finalizers(old).into_iter().collect();
        let after: BTreeSet<String> = meta::finalizers(new).into_iter().collect();
        let added: Vec<&String> = after.difference(&before).collect();
        if !added.is_empty() {
            let listed: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new \
                     finalizers []string{{{}}}",
                    listed.join(", ")
                ),
            ));
        }
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let (before, after) = (&old["metadata"][field], &new["metadata"][field]);
        if before != after {
            errors.push(FieldError::invalid(
                format!("metadata.{field}"),
                after,
                IMMUTABLE,
            ));
        }
    }
    errors
}

fn name_form(resource: &Resource, name: &str) -> Vec<String> {
    if resource.is(NAMESPACES) {
        format::dns_label(name)
    } else if resource.group == "rbac.authorization.k8s.io" {
        format::path_segment(name)
    } else {
        format::dns_subdomain(name)
    }
}

fn common(object: &Value) -> Vec<FieldError> {
    let meta = &object["metadata"];
    let mut errors = Vec::new();
    if meta::generation(object) < 0 {
        errors.push(FieldError::invalid(
            "metadata.generation",
            &meta["generation"],
            "must be greater than or equal to 0",
        ));
    }
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        for told in format::qualified_name(key) {
            errors.push(FieldError::invalid("metadata.labels", &json!(key), &told));
        }
        for told in format::label_value(value.as_str().unwrap_or_default()) {
            errors.push(FieldError::invalid("metadata.labels", value, &told));
        }
    }
    let mut size = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        for told in format::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid(
                "metadata.annotations",
                &json!(key),
                &told,
            ));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATION_LIMIT {
        errors.push(FieldError::too_long(
            "metadata.annotations",
            ANNOTATION_LIMIT,
        ));
    }
    errors.extend(owners(&meta["ownerReferences"]));
    errors
}

fn owners(references: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for (index, owner) in references.as_array().into_iter().flatten().enumerate() {
        let path = |field: &str| format!("metadata.ownerReferences[{index}].{field}");
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        let version = text("apiVersion");
        if version.is_empty() {
            errors.push(FieldError::required(
                path("apiVersion"),
                "must not be empty",
            ));
        } else if version.matches('/').count() > 1 || version.ends_with('/') {
            errors.push(FieldError::invalid(
                path("apiVersion"),
                &json!(version),
                "must be <group>/<version> or <version>",
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                errors.push(FieldError::required(path(field), "must not be empty"));
            }
        }
        if version == "v1" && text("kind") == "Event" {
            errors.push(FieldError::invalid(
                format!("metadata.ownerReferences[{index}]"),
                owner,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner["controller"] == json!(true) {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => errors.push(FieldError::invalid_text(
                    "metadata.ownerReferences",
                    &in_struct_order(references),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in \
                         references for {first} and {this}"
                    ),
                )),
                None => controller = Some(this),
            }
        }
    }
    errors
}

/// Owner references as the real server prints them: with the fields in the order of its struct.
fn in_struct_order(references: &Value) -> String {
    let fields = [
        "apiVersion",
        "kind",
        "name",
        "uid",
        "controller",
        "blockOwnerDeletion",
    ];
    let printed: Vec<String> = references
        .as_array()
        .into_iter()
        .flatten()
        .map(|owner| {
            let pairs: Vec<String> = fields
                .iter()
                .filter(|field| !owner[**field].is_null())
                .map(|field| format!("{field:?}:{}", owner[*field]))
                .collect();
            format!("{{{}}}", pairs.join(","))
        })
        .collect();
    format!("[{}]", printed.join(","))
}

/// The kinds of the core group ask more of a finalizer's name.
fn core_finalizers(object: &Value) -> Vec<FieldError> {
    let names = meta::finalizers(object);
    let standard = ["kubernetes", meta::ORPHAN, meta::FOREGROUND];
    names
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.contains('/') && !standard.contains(&name.as_str()))
        .map(|(index, name)| {
            FieldError::invalid(
                format!("metadata.finalizers[{index}]"),
                &json!(name),
                "name is neither a standard finalizer name nor is it fully qualified",
            )
        })
        .collect()
}

fn finalizers(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let names = meta::finalizers(object);
    for name in &names {
        for told in format::qualified_name(name) {
            errors.push(FieldError::invalid(
                "metadata.finalizers",
                &json!(name),
                &told,
            ));
        }
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if has(meta::ORPHAN) && has(meta::FOREGROUND) {
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            &json!(names),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    errors
}
