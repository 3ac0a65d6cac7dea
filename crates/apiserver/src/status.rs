//! Refusals, spelt as the real server spells them: `Status` objects, and now and then plain text.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// An answer that refuses a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    pub(crate) body: RefusalBody,
    pub(crate) retry_after: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RefusalBody {
    Status(Box<Value>),
    Text(String),
}

/// One finding of a validation: what is wrong with one field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    kind: &'static str,
    field: String,
    body: String,
}

/// The result of everything that may be refused.
pub(crate) type Outcome<T> = Result<T, Refusal>;

impl FieldError {
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::with_value("FieldValueInvalid", "Invalid value", field, value, detail)
    }

    /// As [`FieldError::invalid`], with the value spelt by the caller.
    pub(crate) fn invalid_text(field: impl Into<String>, value: &str, detail: &str) -> Self {
        Self::plain(
            "FieldValueInvalid",
            &format!("Invalid value: {value}"),
            field,
            detail,
        )
    }

    /// A value of the wrong type: the value is given as the type's name.
    pub(crate) fn type_invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::with_value(
            "FieldValueTypeInvalid",
            "Invalid value",
            field,
            value,
            detail,
        )
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::with_value("FieldValueDuplicate", "Duplicate value", field, value, "")
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &Value, known: &[&str]) -> Self {
        let known: Vec<String> = known.iter().map(|k| format!("{k:?}")).collect();
        let detail = format!("supported values: {}", known.join(", "));
        Self::with_value(
            "FieldValueNotSupported",
            "Unsupported value",
            field,
            value,
            &detail,
        )
    }

    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::plain("FieldValueRequired", "Required value", field, detail)
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::plain("FieldValueForbidden", "Forbidden", field, detail)
    }

    pub(crate) fn too_long(field: impl Into<String>, limit: usize) -> Self {
        let detail = format!("may not be more than {limit} bytes");
        Self::plain("FieldValueTooLong", "Too long", field, &detail)
    }

    fn plain(kind: &'static str, title: &str, field: impl Into<String>, detail: &str) -> Self {
        let body = if detail.is_empty() {
            title.to_owned()
        } else {
            format!("{title}: {detail}")
        };
        Self {
            kind,
            field: field.into(),
            body,
        }
    }

    fn with_value(
        kind: &'static str,
        title: &str,
        field: impl Into<String>,
        value: &Value,
        detail: &str,
    ) -> Self {
        Self::plain(kind, &format!("{title}: {value}"), field, detail)
    }

    fn sentence(&self) -> String {
        let field = if self.field.is_empty() {
            "<nil>"
        } else {
            &self.field
        };
        format!("{field}: {}", self.body)
    }
}

impl Refusal {
    pub(crate) fn not_found(resource: &str, name: &str) -> Self {
        Self::of(
            resource,
            name,
            StatusCode::NOT_FOUND,
            "NotFound",
            &quoted(resource, name, "not found"),
        )
    }

    pub(crate) fn already_exists(resource: &str, name: &str) -> Self {
        let message = quoted(resource, name, "already exists");
        Self::of(
            resource,
            name,
            StatusCode::CONFLICT,
            "AlreadyExists",
            &message,
        )
    }

    pub(crate) fn generated_name_taken(resource: &str, name: &str) -> Self {
        let message = quoted(
            resource,
            name,
            "already exists, the server was not able to generate a unique name for the object",
        );
        let mut refusal = Self::of(
            resource,
            name,
            StatusCode::CONFLICT,
            "AlreadyExists",
            &message,
        );
        refusal.set_detail("retryAfterSeconds", json!(1));
        refusal.retry_after = Some(1);
        refusal
    }

    pub(crate) fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::of(resource, name, StatusCode::CONFLICT, "Conflict", &message)
    }

    /// The answer to a stale resourceVersion.
    pub(crate) fn modified(resource: &str, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    pub(crate) fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} {name:?} is forbidden: {why}")
        };
        Self::of(resource, name, StatusCode::FORBIDDEN, "Forbidden", &message)
    }

    /// `kind` is the kind with its group, as `Lease.coordination.k8s.io`.
    pub(crate) fn invalid(kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut sentences: Vec<String> = Vec::new();
        for error in errors {
            let sentence = error.sentence();
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let told = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{kind} {name:?} is invalid: {told}");
        let code = StatusCode::UNPROCESSABLE_ENTITY;
        let mut refusal = Self::of(kind, name, code, "Invalid", &message);
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| {
                let mut cause = json!({"reason": e.kind, "message": e.body});
                if !e.field.is_empty() {
                    cause["field"] = json!(e.field);
                }
                cause
            })
            .collect();
        refusal.set_detail("causes", Value::Array(causes));
        refusal
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::status(StatusCode::BAD_REQUEST, "BadRequest", &message.into(), None)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::status(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "Unauthorized",
            None,
        )
    }

    pub(crate) fn expired(message: &str) -> Self {
        Self::status(StatusCode::GONE, "Expired", message, None)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::status(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
            Some(Map::new()),
        )
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        );
        let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::status(code, "UnsupportedMediaType", &message, None)
    }

    /// A `Status` that the real server has no like for.
    pub(crate) fn other(code: StatusCode, reason: &str, message: &str) -> Self {
        Self::status(code, reason, message, None)
    }

    /// A refusal without a reason, as errors get that the server has no name for.
    pub(crate) fn unexpected(message: &str) -> Self {
        Self::status(StatusCode::INTERNAL_SERVER_ERROR, "", message, None)
    }

    /// The answer to a read that asks for a resourceVersion that is still to come.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut refusal = Self::status(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            &message,
            Some(Map::new()),
        );
        refusal.set_detail(
            "causes",
            json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]),
        );
        refusal.set_detail("retryAfterSeconds", json!(1));
        refusal.retry_after = Some(1);
        refusal
    }

    /// A path of a served group and version that names nothing.
    pub(crate) fn no_such_resource() -> Self {
        Self::bare(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// A `Status` with details that are empty.
    pub(crate) fn bare(code: StatusCode, reason: &str, message: &str) -> Self {
        Self::status(code, reason, message, Some(Map::new()))
    }

    /// What the server answers to a path that it does not serve: no `Status`, plain text.
    pub(crate) fn no_such_path() -> Self {
        Self {
            code: StatusCode::NOT_FOUND,
            body: RefusalBody::Text("404 page not found\n".to_owned()),
            retry_after: None,
        }
    }

    /// Adds a cause, as the namespace admission does.
    pub(crate) fn with_cause(mut self, reason: &str, message: &str, field: &str) -> Self {
        self.set_detail(
            "causes",
            json!([{"reason": reason, "message": message, "field": field}]),
        );
        self
    }

    /// Puts words before the message.
    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        if let RefusalBody::Status(status) = &mut self.body {
            let message = status["message"].as_str().unwrap_or_default();
            status["message"] = json!(format!("{prefix}{message}"));
        }
        self
    }

    /// The `Status` object, where there is one: what an ERROR event of a watch carries.
    pub(crate) fn object(&self) -> Value {
        match &self.body {
            RefusalBody::Status(status) => (**status).clone(),
            RefusalBody::Text(text) => json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": text, "code": self.code.as_u16(),
            }),
        }
    }

    fn of(resource: &str, name: &str, code: StatusCode, reason: &str, message: &str) -> Self {
        let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut details = Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        Self::status(code, reason, message, Some(details))
    }

    fn status(
        code: StatusCode,
        reason: &str,
        message: &str,
        details: Option<Map<String, Value>>,
    ) -> Self {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "code": code.as_u16(),
        });
        if !reason.is_empty() {
            status["reason"] = json!(reason);
        }
        if let Some(details) = details {
            status["details"] = Value::Object(details);
        }
        Self {
            code,
            body: RefusalBody::Status(Box::new(status)),
            retry_after: None,
        }
    }

    fn set_detail(&mut self, key: &str, value: Value) {
        if let RefusalBody::Status(status) = &mut self.body {
            status["details"][key] = value;
        }
    }
}

fn quoted(resource: &str, name: &str, what: &str) -> String {
    format!("{resource} {name:?} {what}")
}
