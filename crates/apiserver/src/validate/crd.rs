//! CustomResourceDefinitions: names, scope and versions.

use serde_json::{Value, json};

use crate::meta;
use crate::status::FieldError;

pub(super) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let mut errors = Vec::new();
    let wanted = format!("{plural}.{group}");
    if meta::name(object) != wanted {
        errors.push(FieldError::invalid(
            "metadata.name",
            &json!(meta::name(object)),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(
            "spec.group",
            &json!(group),
            "should be a domain with at least one dot",
        ));
    }
    let scope = text(&spec["scope"]);
    let scopes = ["Cluster", "Namespaced"];
    if scope.is_empty() {
        errors.push(FieldError::required("spec.scope", ""));
    } else if !scopes.contains(&scope.as_str()) {
        errors.push(FieldError::not_supported(
            "spec.scope",
            &json!(scope),
            &scopes,
        ));
    }
    let versions = spec["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let stored = versions
        .iter()
        .filter(|v| v["storage"] == json!(true))
        .count();
    if stored != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            &spec["versions"],
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_null() {
            errors.push(FieldError::required(
                format!("spec.versions[{index}].schema.openAPIV3Schema"),
                "schemas are required",
            ));
        } else if schema["type"] != json!("object") {
            errors.push(FieldError::invalid(
                "spec.validation.openAPIV3Schema.type",
                &schema["type"],
                "must be object at the root",
            ));
        }
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"][field]).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    if old.is_none()
        && object["status"]["storedVersions"]
            .as_array()
            .is_none_or(Vec::is_empty)
    {
        let told = "must have at least one stored version";
        errors.push(FieldError::invalid(
            "status.storedVersions",
            &Value::Null,
            told,
        ));
    }
    if let Some(old) = old {
        for (path, before, after) in [
            ("spec.group", &old["spec"]["group"], &spec["group"]),
            (
                "spec.names.plural",
                &old["spec"]["names"]["plural"],
                &spec["names"]["plural"],
            ),
            ("spec.scope", &old["spec"]["scope"], &spec["scope"]),
        ] {
            if before != after {
                errors.push(FieldError::invalid(path, after, "field is immutable"));
            }
        }
    }
    errors
}
