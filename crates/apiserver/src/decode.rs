//! From a request's body to an object in the form in which it is stored.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::resources::{Resource, Shape, group_version};
use crate::status::{FieldError, Outcome, Refusal};
use crate::{defaults, events, meta, proto, schema, structural};

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
                &[FieldError::not_supported(
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

/// Reads a body of Kubernetes' protobuf as an object of that Go type.
pub(crate) fn from_protobuf(type_name: &str, body: &[u8]) -> Outcome<Value> {
    proto::to_json(type_name, body).ok_or_else(|| {
        Refusal::bad_request("the body of the request is no valid object in protobuf form")
    })
}

/// Reads a body: JSON, or protobuf for a built-in kind.
pub(crate) fn parse(headers: &HeaderMap, body: &[u8], resource: &Resource) -> Outcome<Value> {
    let media_type = media_type(headers);
    if let (proto::MEDIA_TYPE, Shape::Builtin(type_name)) = (media_type.as_str(), &resource.shape) {
        return from_protobuf(type_name, body);
    }
    if media_type != "application/json" {
        return Err(Refusal::unsupported_media_type(&accepted(resource)));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let told = if error.is_eof() {
            "unexpected end of JSON input".to_owned()
        } else {
            // In the words of Rust's parser: Go's are not worth a second parser.
            error.to_string()
        };
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; \
             json parse error: {told} ({})",
            resource.kind,
            summary(body)
        ))
    })?;
    if resource.is_custom() && value["kind"].as_str().is_none_or(str::is_empty) {
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing \
             in '{}' ({})",
            resource.kind,
            String::from_utf8_lossy(body),
            summary(body)
        )));
    }
    Ok(value)
}

/// Brings an object into the form in which it is stored: known fields, canonical times, defaults.
pub(crate) fn normalise(
    resource: &Resource,
    value: &Value,
    directive: Directive,
) -> Outcome<Decoded> {
    let kind = value["kind"]
        .as_str()
        .filter(|k| !k.is_empty())
        .unwrap_or(&resource.kind);
    let version = value["apiVersion"].as_str().unwrap_or_default();
    let version = version.rsplit('/').next().filter(|v| !v.is_empty());
    let version = version.unwrap_or(&resource.version);
    normalise_or(resource, value, directive, |told| {
        Refusal::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: {told}",
            resource.kind
        ))
    })
}

/// As [`normalise`], for what a patch made: its faults are the patch's.
pub(crate) fn normalise_patched(
    resource: &Resource,
    value: &Value,
    directive: Directive,
) -> Outcome<Decoded> {
    normalise_or(resource, value, directive, |told| {
        let error = FieldError::invalid("patch", &json!(value.to_string()), told);
        Refusal::invalid("", "", &[error])
    })
}

fn normalise_or(
    resource: &Resource,
    value: &Value,
    directive: Directive,
    unfit: impl Fn(&str) -> Refusal,
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
    let given = (
        if version_given.is_empty() {
            &expected
        } else {
            version_given
        },
        if kind_given.is_empty() {
            &resource.kind
        } else {
            kind_given
        },
    );
    if !resource.is_custom() && !registered(given.0, given.1) {
        return Err(unfit(&format!(
            "no kind {:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
            given.1, given.0
        )));
    }
    if resource.is_custom() && given.1 != resource.kind {
        let told = format!("must be {}", resource.kind);
        let error = FieldError::invalid("kind", &json!(given.1), &told);
        let kind = crate::resources::qualify(given.1, &resource.group);
        return Err(Refusal::invalid(&kind, meta::name(value), &[error]));
    }
    if given.1 != resource.kind {
        let version = given.0.rsplit('/').next().unwrap_or_default();
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

fn accepted(resource: &Resource) -> String {
    match resource.shape {
        Shape::Builtin(_) => format!("application/json, {}", proto::MEDIA_TYPE),
        Shape::Custom(_) => "application/json".to_owned(),
    }
}

/// Whether the real server knows that kind, in the groups that this one serves.
fn registered(api_version: &str, kind: &str) -> bool {
    let beta = api_version == "coordination.k8s.io/v1beta1" && kind == "Lease";
    beta || crate::resources::Registry::default()
        .find_kind(api_version, kind)
        .is_some()
}

/// The first bytes of a body, as the real server quotes what it cannot read.
fn summary(body: &[u8]) -> String {
    use std::fmt::Write as _;
    let head = &body[..body.len().min(30)];
    let mut out = String::new();
    match body.first() {
        None => out.push_str("<empty>"),
        Some(b'{') => out.push_str(&String::from_utf8_lossy(head)),
        Some(_) => {
            for byte in head {
                let _ = write!(out, "{byte:02x}");
            }
        }
    }
    if body.len() > head.len() {
        out.push_str(" ...");
    }
    out
}
