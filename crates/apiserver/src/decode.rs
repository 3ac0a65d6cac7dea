//! From a request's body to an object in the form in which it is stored.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::resources::{Resource, Shape, group_version};
use crate::status::{Outcome, Refusal};
use crate::{defaults, events, meta, schema, structural};

/// What is done about fields that the server does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directive {
    Ignore,
    Warn,
    Strict,
}

/// An object as it will be stored, and what its sender is warned of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

impl Directive {
    /// The query's `fieldValidation`; it is `Warn` by default.
    pub(crate) fn parse(text: &str, options: &str) -> Outcome<Self> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => Err(Refusal::invalid(
                &format!("{options}.meta.k8s.io"),
                "",
                &[crate::status::FieldError::not_supported(
                    "fieldValidation",
                    &json!(other),
                    &["", "Ignore", "Strict", "Warn"],
                )],
            )),
        }
    }
}

/// The media type of a body; JSON where the request names none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .map_or("application/json", |v| {
            v.split(';').next().unwrap_or_default().trim()
        })
        .to_ascii_lowercase()
}

/// Reads the JSON of a body.
pub(crate) fn parse(headers: &HeaderMap, body: &[u8], resource: &Resource) -> Outcome<Value> {
    let media_type = media_type(headers);
    if media_type != "application/json" {
        return Err(Refusal::unsupported_media_type("application/json"));
    }
    serde_json::from_slice(body).map_err(|error| {
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; \
             json parse error: {error} ({})",
            resource.kind,
            summary(body)
        ))
    })
}

/// Brings an object into the form in which it is stored: known fields, canonical times, defaults.
pub(crate) fn normalise(
    resource: &Resource,
    value: &Value,
    directive: Directive,
) -> Outcome<Decoded> {
    let version_given = value["apiVersion"].as_str().unwrap_or_default();
    let kind_given = value["kind"].as_str().unwrap_or_default();
    let expected = group_version(&resource.group, &resource.version);
    if !value.is_object() {
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; \
             json parse error: json: cannot unmarshal {} into Go value of type struct \
             {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }} ({})",
            resource.kind,
            match value {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            },
            summary(value.to_string().as_bytes())
        )));
    }
    let version = version_given.rsplit('/').next().unwrap_or_default();
    let version = if version.is_empty() {
        resource.version.as_str()
    } else {
        version
    };
    let unfit = |told: &str| {
        let kind = if kind_given.is_empty() {
            &resource.kind
        } else {
            kind_given
        };
        Refusal::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: {told}",
            resource.kind
        ))
    };
    if !kind_given.is_empty() && kind_given != resource.kind {
        let wanted = resource
            .group
            .split('.')
            .next()
            .filter(|g| !g.is_empty())
            .unwrap_or("core");
        return Err(unfit(&format!(
            "converting ({version}.{kind_given}) to ({wanted}.{}): unknown conversion",
            resource.kind
        )));
    }
    if !version_given.is_empty() && version_given != expected {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({version_given}) does not match the expected API version \
             ({expected})"
        )));
    }

    let mut unknown = Vec::new();
    let mut object = match &resource.shape {
        Shape::Builtin(type_name) => schema::decode(type_name, value, &mut unknown),
        Shape::Custom(shape) => structural::decode(shape, value, &mut unknown),
    }
    .map_err(|told| unfit(&told))?;
    // serde_json hands out keys in order; the real server tells unknown fields in the body's.
    let found: Vec<String> = unknown
        .iter()
        .map(|field| format!("unknown field {field:?}"))
        .collect();
    if directive == Directive::Strict && !found.is_empty() {
        return Err(unfit(&format!(
            "strict decoding error: {}",
            found.join(", ")
        )));
    }
    object["apiVersion"] = json!(expected);
    object["kind"] = json!(resource.kind);
    for unkept in ["managedFields", "selfLink"] {
        meta::remove(&mut object, unkept);
    }
    defaults::apply(resource, &mut object);
    let object = events::to_storage(resource, object);
    let warnings = if directive == Directive::Warn {
        found
    } else {
        Vec::new()
    };
    Ok(Decoded { object, warnings })
}

/// The first bytes of a body, in hexadecimal, as the real server quotes what it cannot read.
fn summary(body: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in body.iter().take(30) {
        let _ = write!(out, "{byte:02x}");
    }
    if body.len() > 30 {
        out.push_str(" ...");
    }
    out
}
