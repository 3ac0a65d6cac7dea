//! Validation of writes, in the words and the order of the real server.

mod builtin;
mod crd;
pub(crate) mod format;
mod metadata;
mod pod;

use serde_json::Value;

use crate::resources::{Resource, Shape};
use crate::status::{FieldError, Outcome, Refusal};
use crate::{meta, structural};

/// Validates an object that is about to be created.
pub(crate) fn create(resource: &Resource, object: &Value) -> Outcome<()> {
    let mut errors = metadata::create(resource, object);
    errors.extend(content(resource, object, None));
    refuse(resource, object, &errors)
}

/// Validates what is about to replace `old`.
pub(crate) fn update(
    resource: &Resource,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Outcome<()> {
    let mut errors = metadata::update(resource, new, old);
    if subresource != "status" || resource.is_custom() {
        errors.extend(content(resource, new, Some(old)));
    }
    refuse(resource, new, &errors)
}

fn content(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if let Shape::Custom(shape) = &resource.shape {
        return structural::validate(shape, object);
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("coordination.k8s.io", "Lease") => builtin::lease(object),
        ("", "ConfigMap") => builtin::config_map(object, old),
        ("", "Pod") => pod::validate(object, old),
        ("", "Event") => builtin::event(object),
        ("events.k8s.io", _) => {
            let mut errors = builtin::event(object);
            if old.is_none() {
                errors.extend(builtin::new_event(object));
            }
            errors
        }
        ("rbac.authorization.k8s.io", kind) => builtin::rbac(kind, object, old),
        ("apiextensions.k8s.io", _) => crd::validate(object, old),
        _ => Vec::new(),
    }
}

fn refuse(resource: &Resource, object: &Value, errors: &[FieldError]) -> Outcome<()> {
    if errors.is_empty() {
        return Ok(());
    }
    // Events are validated in their stored form, and named by it.
    let kind = match resource.group.as_str() {
        "events.k8s.io" => resource.kind.clone(),
        _ => resource.qualified_kind(),
    };
    Err(Refusal::invalid(&kind, meta::name(object), errors))
}
