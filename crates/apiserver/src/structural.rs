//! Custom resources: pruning, defaults and validation by a CustomResourceDefinition's schema.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::schema;
use crate::status::FieldError;

/// Brings a custom resource into the form in which it is stored.
///
/// The error is the text of Go's decoder, as only `metadata` can give one.
pub(crate) fn decode(
    shape: &Value,
    value: &Value,
    unknown: &mut Vec<String>,
) -> Result<Value, String> {
    let mut object = value.clone();
    let empty = json!({});
    let given = value
        .get("metadata")
        .filter(|m| !m.is_null())
        .unwrap_or(&empty);
    object["metadata"] = schema::decode_at(schema::OBJECT_META, given, "metadata", unknown)?;
    let metadata = object["metadata"].take();
    // The three fields of every object are not the schema's to prune.
    let kept: Vec<(&str, Value)> = ["apiVersion", "kind"]
        .into_iter()
        .map(|f| (f, object[f].take()))
        .collect();
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, v| !v.is_null());
    }
    prune(shape, &mut object, "", unknown);
    fill(shape, &mut object);
    for (field, value) in kept {
        object[field] = value;
    }
    object["metadata"] = metadata;
    Ok(object)
}

/// Validates a custom resource against its schema.
pub(crate) fn validate(shape: &Value, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut content = object.clone();
    if let Some(fields) = content.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata"] {
            fields.remove(field);
        }
    }
    check(shape, &content, "", &mut errors);
    errors
}

fn preserves(shape: &Value) -> bool {
    shape["x-kubernetes-preserve-unknown-fields"] == json!(true)
}

fn prune(shape: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let known = &shape["properties"];
            let rest = &shape["additionalProperties"];
            let open = preserves(shape) || rest.is_object() || *rest == json!(true);
            let mut gone = Vec::new();
            for (field, inner) in fields.iter_mut() {
                let inner_path = if path.is_empty() {
                    field.clone()
                } else {
                    format!("{path}.{field}")
                };
                if let Some(inner_shape) = known.get(field) {
                    prune(inner_shape, inner, &inner_path, unknown);
                } else if rest.is_object() {
                    prune(rest, inner, &inner_path, unknown);
                } else if !open {
                    gone.push(field.clone());
                    unknown.push(inner_path);
                }
            }
            for field in gone {
                fields.remove(&field);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune(&shape["items"], item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Fills in defaults, and drops nulls where they are not allowed.
fn fill(shape: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            static NONE: std::sync::LazyLock<Map<String, Value>> =
                std::sync::LazyLock::new(Map::new);
            for (field, inner_shape) in shape["properties"].as_object().unwrap_or(&NONE) {
                let default = &inner_shape["default"];
                let nullable = inner_shape["nullable"] == json!(true);
                if !nullable && fields.get(field).is_some_and(Value::is_null) {
                    fields.remove(field);
                }
                if !default.is_null() && !fields.contains_key(field) {
                    fields.insert(field.clone(), default.clone());
                }
                if let Some(inner) = fields.get_mut(field) {
                    fill(inner_shape, inner);
                }
            }
            let rest = &shape["additionalProperties"];
            if rest.is_object() {
                for inner in fields.values_mut() {
                    fill(rest, inner);
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| fill(&shape["items"], item)),
        _ => {}
    }
}

fn check(shape: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let told = if path.is_empty() { "<nil>" } else { path };
    if value.is_null() {
        if shape["nullable"] != json!(true) && shape["type"].is_string() {
            errors.push(wrong_type(shape, told, "null"));
        }
        return;
    }
    let either = shape["x-kubernetes-int-or-string"] == json!(true);
    if !either && !type_fits(shape["type"].as_str().unwrap_or_default(), value) {
        errors.push(wrong_type(shape, told, type_name(value)));
        return;
    }
    if let Some(known) = shape["enum"]
        .as_array()
        .filter(|known| !known.contains(value))
    {
        let known: Vec<String> = known
            .iter()
            .map(|k| k.as_str().map_or_else(|| k.to_string(), str::to_owned))
            .collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(told, value, &known));
    }
    limits(shape, value, told, errors);
    match value {
        Value::Object(fields) => {
            for required in shape["required"].as_array().into_iter().flatten() {
                let field = required.as_str().unwrap_or_default();
                if !fields.contains_key(field)
                    && !matches!(field, "metadata" | "apiVersion" | "kind")
                {
                    let inner = join(path, field);
                    errors.push(FieldError::required(inner, ""));
                }
            }
            for (field, inner) in fields {
                let inner_shape = match &shape["properties"][field] {
                    Value::Null => &shape["additionalProperties"],
                    known => known,
                };
                check(inner_shape, inner, &join(path, field), errors);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(&shape["items"], item, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

fn limits(shape: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(number) = value.as_f64() else {
        let length = value.as_str().map(|s| s.chars().count());
        if let (Some(length), Some(least)) = (length, shape["minLength"].as_u64())
            && (length as u64) < least
        {
            let detail = format!("{path} in body should be at least {least} chars long");
            errors.push(FieldError::invalid(path, value, &detail));
        }
        if let (Some(text), Some(pattern)) = (value.as_str(), shape["pattern"].as_str())
            && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
        {
            let detail = format!("{path} in body should match '{pattern}'");
            errors.push(FieldError::invalid(path, value, &detail));
        }
        if let (Some(length), Some(most)) = (length, shape["maxLength"].as_u64())
            && (length as u64) > most
        {
            errors.push(FieldError::too_long(
                path,
                usize::try_from(most).unwrap_or(usize::MAX),
            ));
        }
        return;
    };
    if let Some(least) = shape["minimum"].as_f64().filter(|least| number < *least) {
        let detail = format!("{path} in body should be greater than or equal to {least}");
        errors.push(FieldError::invalid(path, value, &detail));
    }
    if let Some(most) = shape["maximum"].as_f64().filter(|most| number > *most) {
        let detail = format!("{path} in body should be less than or equal to {most}");
        errors.push(FieldError::invalid(path, value, &detail));
    }
}

fn wrong_type(shape: &Value, path: &str, given: &str) -> FieldError {
    let wanted = shape["type"].as_str().unwrap_or_default();
    let detail = format!("{path} in body must be of type {wanted}: {given:?}");
    FieldError::type_invalid(path, &json!(given), &detail)
}

fn type_fits(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}
