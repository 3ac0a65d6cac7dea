//! The shapes of the built-in kinds, and the decoder that holds bodies against them.
//!
//! The table is made by `schema/generate.go` from the Go types, so the decoder drops, keeps and
//! refuses what Go's own does: unknown fields, null, empty values, numbers out of range.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::time::{self, Precision};

/// The type definitions by name, as `io.k8s.api.coordination.v1.Lease`.
static TYPES: LazyLock<Value> = LazyLock::new(|| {
    // The table is part of the program, and a test reads it.
    serde_json::from_str(include_str!("../schema/types.json")).unwrap_or_default()
});

/// The name of the shape of `metadata`.
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The definition of one type; null for an unknown one.
pub(crate) fn definition(name: &str) -> &'static Value {
    &TYPES[name]
}

/// Brings `value` into the form that the real server stores.
///
/// Paths of unknown fields go to `unknown`; the error is the text of Go's decoder.
pub(crate) fn decode(
    type_name: &str,
    value: &Value,
    unknown: &mut Vec<String>,
) -> Result<Value, String> {
    let mut decoder = Decoder { unknown };
    decoder.structure(
        type_name,
        value,
        Place {
            path: "",
            owner: "",
        },
    )
}

/// As [`decode`], for a part of an object that stands at `path`.
pub(crate) fn decode_at(
    type_name: &str,
    value: &Value,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<Value, String> {
    let mut decoder = Decoder { unknown };
    // Custom resources' metadata is the only such part: Go decodes it by itself.
    decoder.structure(type_name, value, Place { path, owner: "" })
}

struct Decoder<'a> {
    unknown: &'a mut Vec<String>,
}

/// Where a value stands: for the texts of errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// With indices, as unknown fields are told.
    path: &'a str,
    /// The innermost struct.
    owner: &'a str,
}

impl Decoder<'_> {
    /// A struct that stands at `place`, whose owner is the struct around it.
    fn structure(
        &mut self,
        type_name: &str,
        value: &Value,
        place: Place<'_>,
    ) -> Result<Value, String> {
        let path = place.path;
        let owner = type_name.rsplit('.').next().unwrap_or(type_name);
        let shapes = &TYPES[type_name]["properties"];
        let Some(given) = value.as_object() else {
            let (package, name) = short_type(type_name);
            return Err(mismatch(value, place, &format!("{package}.{name}")));
        };
        let mut out = Map::new();
        for (field, inner) in given {
            let shape = &shapes[field];
            let inner_path = join(path, field);
            if shape.is_null() {
                self.unknown.push(inner_path);
                continue;
            }
            let place = Place {
                path: &inner_path,
                owner,
            };
            if let Some(clean) = self.value(shape, inner, place)? {
                let kept = shape["x-ptr"] == json!(true) || shape["x-keep"] == json!(true);
                if kept || !is_zero(&clean) {
                    out.insert(field.clone(), clean);
                }
            }
        }
        for (field, shape) in shapes.as_object().into_iter().flatten() {
            if shape["x-keep"] == json!(true) && !out.contains_key(field) {
                let inner_path = join(path, field);
                if let Some(zero) = self.zero(shape, &inner_path)? {
                    out.insert(field.clone(), zero);
                }
            }
        }
        Ok(Value::Object(out))
    }

    /// The value as stored; `None` for null, which Go takes for a missing field.
    fn value(
        &mut self,
        shape: &Value,
        value: &Value,
        place: Place<'_>,
    ) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        if shape["x-any"] == json!(true) || shape["x-kubernetes-int-or-string"] == json!(true) {
            return Ok(Some(value.clone()));
        }
        if let Some(type_name) = shape["$ref"].as_str() {
            return self.structure(type_name, value, place).map(Some);
        }
        let clean = match shape["type"].as_str().unwrap_or_default() {
            "string" => string(shape, value, place)?,
            "boolean" if value.is_boolean() => value.clone(),
            "boolean" => return Err(mismatch(value, place, "bool")),
            "integer" => integer(shape, value, place)?,
            "number" if value.is_number() => value.clone(),
            "number" => return Err(mismatch(value, place, "float64")),
            "array" => {
                let items = &shape["items"];
                let Some(given) = value.as_array() else {
                    return Err(mismatch(value, place, &go_type(shape)));
                };
                let mut out = Vec::with_capacity(given.len());
                for (index, item) in given.iter().enumerate() {
                    let path = format!("{}[{index}]", place.path);
                    let place = Place {
                        path: &path,
                        owner: place.owner,
                    };
                    let zero = || item_zero(items);
                    out.push(self.value(items, item, place)?.unwrap_or_else(zero));
                }
                Value::Array(out)
            }
            "object" => {
                let Some(given) = value.as_object() else {
                    return Err(mismatch(value, place, &go_type(shape)));
                };
                let items = &shape["additionalProperties"];
                let mut out = Map::new();
                for (key, item) in given {
                    let zero = || item_zero(items);
                    let clean = self.value(items, item, place)?.unwrap_or_else(zero);
                    out.insert(key.clone(), clean);
                }
                Value::Object(out)
            }
            _ => value.clone(),
        };
        Ok(Some(clean))
    }

    /// What Go prints for a field that is missing but has no `omitempty`.
    fn zero(&mut self, shape: &Value, path: &str) -> Result<Option<Value>, String> {
        if shape["x-ptr"] == json!(true) {
            return Ok(Some(Value::Null));
        }
        if let Some(type_name) = shape["$ref"].as_str() {
            let place = Place { path, owner: "" };
            return self.structure(type_name, &json!({}), place).map(Some);
        }
        if shape["x-any"] == json!(true) || shape["x-kubernetes-int-or-string"] == json!(true) {
            return Ok(None);
        }
        Ok(Some(match shape["type"].as_str().unwrap_or_default() {
            "string" if shape["format"].is_null() => json!(""),
            "boolean" => json!(false),
            "integer" | "number" => json!(0),
            _ => Value::Null,
        }))
    }
}

fn string(shape: &Value, value: &Value, place: Place<'_>) -> Result<Value, String> {
    let Some(text) = value.as_str() else {
        return Err(mismatch(value, place, "string"));
    };
    match shape["format"].as_str() {
        Some("date-time") => {}
        Some("byte") => return check_base64(text).map(|()| value.clone()),
        _ => return Ok(value.clone()),
    }
    let precision = if shape["x-micro"] == json!(true) {
        Precision::Micros
    } else {
        Precision::Seconds
    };
    time::normalise(text, precision).map(Value::String)
}

/// Refuses what Go's decoder of standard base64 refuses, in its words.
fn check_base64(text: &str) -> Result<(), String> {
    let corrupt = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
    let bytes = text.as_bytes();
    let padding = bytes.iter().rev().take_while(|b| **b == b'=').count();
    let data = bytes.len() - padding;
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'\n' | b'\r');
    if let Some(at) = bytes[..data].iter().position(|b| !good(b)) {
        return corrupt(at);
    }
    let letters = bytes[..data]
        .iter()
        .filter(|b| !matches!(b, b'\n' | b'\r'))
        .count();
    match (letters % 4, padding) {
        (0, 0) | (2, 2) | (3, 1) => Ok(()),
        _ => corrupt(bytes.len()),
    }
}

fn integer(shape: &Value, value: &Value, place: Place<'_>) -> Result<Value, String> {
    let go = if shape["format"] == json!("int32") {
        "int32"
    } else {
        "int64"
    };
    let Value::Number(number) = value else {
        return Err(mismatch(value, place, go));
    };
    let fits = number
        .as_i64()
        .is_some_and(|n| go == "int64" || i32::try_from(n).is_ok());
    if fits {
        Ok(value.clone())
    } else {
        Err(cannot(&format!("number {number}"), place, go))
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

/// What an item that is null becomes.
fn item_zero(shape: &Value) -> Value {
    match shape["type"].as_str().unwrap_or_default() {
        "string" => json!(""),
        "boolean" => json!(false),
        "integer" | "number" => json!(0),
        _ => Value::Null,
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

/// `io.k8s.api.core.v1.PodSpec` as Go's errors write it: `v1.PodSpec`.
fn short_type(type_name: &str) -> (&str, &str) {
    let (rest, name) = type_name.rsplit_once('.').unwrap_or(("", type_name));
    (rest.rsplit('.').next().unwrap_or_default(), name)
}

fn go_type(shape: &Value) -> String {
    if let Some(type_name) = shape["$ref"].as_str() {
        let (package, name) = short_type(type_name);
        return format!("{package}.{name}");
    }
    match shape["type"].as_str().unwrap_or_default() {
        "array" => format!("[]{}", go_type(&shape["items"])),
        "object" => format!("map[string]{}", go_type(&shape["additionalProperties"])),
        "boolean" => "bool".to_owned(),
        "integer" => shape["format"].as_str().unwrap_or("int64").to_owned(),
        "number" => "float64".to_owned(),
        other => other.to_owned(),
    }
}

fn mismatch(value: &Value, place: Place<'_>, go: &str) -> String {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    cannot(given, place, go)
}

fn cannot(given: &str, place: Place<'_>, go: &str) -> String {
    let path: String = {
        // Go tells the path without indices.
        let mut inside = false;
        place
            .path
            .chars()
            .filter(|c| {
                match c {
                    '[' => inside = true,
                    ']' => {
                        inside = false;
                        return false;
                    }
                    _ => {}
                }
                !inside
            })
            .collect()
    };
    if path.is_empty() {
        format!("json: cannot unmarshal {given} into Go value of type {go}")
    } else {
        format!(
            "json: cannot unmarshal {given} into Go struct field {}.{path} of type {go}",
            place.owner
        )
    }
}
