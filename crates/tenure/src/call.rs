//! One call about one object: the request, the limit on it, and what its answer means (rules L5,
//! L6, L16).

use std::{
    error::Error,
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::core::{Status, response::StatusSummary};
use serde_json::Value;
use tenure_core::Outcome;

pub(crate) use self::resource::{
    Api, Ask, CONFIG_MAPS, CRDS, EVENTS, LEADER_LOCKS, LEASES, Resource, get_path,
};
use crate::{object, rbac::MissingRight, wire::Wire};

mod resource;

/// The longest answer that is read. An object has at most about 1.5 MiB in etcd.
const LONGEST_ANSWER: usize = 4 << 20;

/// Send what is asked once and say what became of it, at the latest after `limit`. The limit covers
/// everything: connecting, credentials, headers and the last byte of the body (L16).
///
/// # Cancel safety
/// A call that is dropped may still be applied: its outcome is unknown (L6).
pub(crate) async fn call(wire: &Wire, ask: Ask, limit: Duration) -> Outcome<Value> {
    call_for(wire, ask, limit, tree).await
}

/// The same. `read` reads the object of an answer, and says `None` of what is no object of Kubernetes.
pub(crate) async fn call_for<T>(
    wire: &Wire,
    ask: Ask,
    limit: Duration,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Outcome<T> {
    let Ask { request, about } = ask;
    let what = What::of(&request);
    let is_read = request.method() == Method::GET;
    let mut stage = Stage::Sent;
    let answer = tokio::time::timeout(limit, send(wire, request, &mut stage)).await;
    match answer {
        Ok(Ok((status, body))) => Answer {
            what: &what,
            is_read,
            asked: about.as_ref(),
            status,
            body: &body,
        }
        .outcome(read),
        Ok(Err(failure)) => Outcome::Unknown(format!("{what}: {failure}").into()),
        Err(_) => {
            let missing = match stage {
                Stage::Sent => "no answer",
                Stage::Answered => "the answer was not complete",
            };
            Outcome::Unknown(format!("{what}: {missing} within {limit:?}").into())
        }
    }
}

/// What was asked for, in words where somebody wants to know.
struct What {
    method: Method,
    uri: Uri,
}

impl What {
    fn of(request: &Request<Vec<u8>>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri.path())
    }
}

enum Stage {
    Sent,
    Answered,
}

async fn send(
    wire: &Wire,
    request: Request<Vec<u8>>,
    stage: &mut Stage,
) -> Result<(StatusCode, Bytes), String> {
    let response = wire
        .send(request)
        .await
        .map_err(|error| format!("the request failed: {error}"))?;
    *stage = Stage::Answered;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| {
            let status = head.status;
            if error.downcast_ref::<LengthLimitError>().is_some() {
                format!("the {status} answer is longer than {LONGEST_ANSWER} bytes")
            } else {
                format!("the {status} answer broke off: {}", with_causes(&*error))
            }
        })?;
    Ok((head.status, body.to_bytes()))
}

struct Answer<'a> {
    what: &'a What,
    is_read: bool,
    asked: Option<&'a Resource>,
    status: StatusCode,
    body: &'a [u8],
}

impl Answer<'_> {
    /// Rule L6.
    fn outcome<T>(&self, read: impl FnOnce(&[u8]) -> Option<T>) -> Outcome<T> {
        if self.status.is_success() {
            return match read(self.body) {
                Some(object) => Outcome::Done(object),
                None => self.unknown("is no object of Kubernetes"),
            };
        }
        let refusal = (self.status.is_client_error()
            && self.status != StatusCode::TOO_MANY_REQUESTS)
            .then(|| parse_status(self.body, self.status))
            .flatten();
        match refusal {
            Some(status) => self.refused(&status),
            None => self.unknown(self.hint()),
        }
    }

    fn refused<T>(&self, status: &Status) -> Outcome<T> {
        let text = self.text_of(status);
        match self.status {
            StatusCode::NOT_FOUND
                if !self.is_about_what_was_asked(status)
                    && (self.is_read || !is_about(status, "namespaces")) =>
            {
                // "The server could not find the requested resource": the kind itself is not
                // served (any more). That says nothing about the object; and that a lock is gone
                // would end a term (L9).
                self.unknown("does not say that it is the object that is missing")
            }
            StatusCode::NOT_FOUND => Outcome::NotFound(text),
            StatusCode::CONFLICT if status.reason == "AlreadyExists" => Outcome::AlreadyExists,
            StatusCode::CONFLICT => Outcome::Conflict,
            _ => Outcome::Refused(text),
        }
    }

    /// Whether a refusal names the kind of object that was asked for (F8).
    fn is_about_what_was_asked(&self, status: &Status) -> bool {
        self.asked.map(Resource::api).is_none_or(|api| {
            status.details.as_ref().is_some_and(|details| {
                details.kind == api.plural
                    && (details.group.is_empty() || details.group == api.group)
            })
        })
    }

    fn text_of(&self, status: &Status) -> Arc<str> {
        let mut text = format!("{}: {}", self.what, self.status);
        if !status.message.is_empty() {
            let _ = write!(text, ": {}", shorten(&status.message));
        }
        if self.status == StatusCode::FORBIDDEN
            && let Some(missing) = MissingRight::of(status)
        {
            let name = self.asked.map(Resource::name);
            let _ = write!(text, ". {}", missing.advice(name));
        }
        text.into()
    }

    fn unknown<T>(&self, why: &str) -> Outcome<T> {
        let (what, status) = (self.what, self.status);
        let excerpt = String::from_utf8_lossy(self.body);
        let excerpt = shorten(excerpt.trim());
        let begins = if excerpt.is_empty() {
            String::new()
        } else {
            format!(": {excerpt}")
        };
        Outcome::Unknown(format!("{what}: the {status} answer {why}{begins}").into())
    }

    fn hint(&self) -> &'static str {
        match (self.status, self.asked.map(Resource::api)) {
            (StatusCode::NOT_FOUND, Some(LEADER_LOCKS)) => {
                "says that the server does not know LeaderLocks; install their definition with \
                 `tenure crd | kubectl apply -f -`"
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => "asks for fewer requests",
            (status, _) if status.is_server_error() => "is the server's failure",
            _ => "did not come from a Kubernetes API server",
        }
    }
}

/// Whether a refusal names that kind of object.
fn is_about(status: &Status, plural: &str) -> bool {
    status
        .details
        .as_ref()
        .is_some_and(|details| details.kind == plural)
}

/// A `Status` that speaks for the answer that it came in.
fn parse_status(body: &[u8], code: StatusCode) -> Option<Status> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let is_status = value.get("kind").and_then(Value::as_str) == Some("Status")
        && value.get("apiVersion").and_then(Value::as_str) == Some("v1");
    let status: Status = is_status
        .then(|| serde_json::from_value(value).ok())
        .flatten()?;
    let speaks = status.code == code.as_u16() && status.status != Some(StatusSummary::Success);
    speaks.then_some(status)
}

/// An object that speaks for a success, taken apart.
fn tree(body: &[u8]) -> Option<Value> {
    let value = object::parse(body).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    (value.is_object() && !is_failure(text("kind"), text("status"))).then_some(value)
}

/// Whether an object of that kind and status says that something has failed: a `Status` that is none of
/// success.
pub(crate) fn is_failure(kind: Option<&str>, status: Option<&str>) -> bool {
    kind == Some("Status") && status != Some("Success")
}

/// An error with its causes, each once.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// For people: in one line, and not too long.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod wire;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(method: &Method, status: u16, body: &str) -> Outcome<Value> {
        Answer {
            what: &What {
                method: Method::GET,
                uri: Uri::from_static("/x"),
            },
            is_read: *method == Method::GET,
            asked: Some(&Resource::pod("n", "x")),
            status: StatusCode::from_u16(status).unwrap(),
            body: body.as_bytes(),
        }
        .outcome(tree)
    }

    fn status(code: u16, reason: &str, kind: &str) -> String {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "told", "reason": reason, "code": code, "details": {"name": "x", "kind": kind},
        })
        .to_string()
    }

    fn class(outcome: &Outcome<Value>) -> &'static str {
        match outcome {
            Outcome::Done(_) => "done",
            Outcome::NotFound(_) => "not found",
            Outcome::AlreadyExists => "already exists",
            Outcome::Conflict => "conflict",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn answers_are_classed_by_rule_l6() {
        let table = [
            (200, r#"{"kind":"Pod"}"#.to_owned(), "done"),
            (201, r#"{"kind":"Pod"}"#.to_owned(), "done"),
            (
                200,
                r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#.to_owned(),
                "done",
            ),
            (
                200,
                r#"{"kind":"Status","apiVersion":"v1","status":"Failure"}"#.to_owned(),
                "unknown",
            ),
            (200, r#"{"kind":"Pod""#.to_owned(), "unknown"),
            (200, "<html>sign in</html>".to_owned(), "unknown"),
            (200, "\"text\"".to_owned(), "unknown"),
            (200, String::new(), "unknown"),
            (302, String::new(), "unknown"),
            (400, status(400, "BadRequest", "pods"), "refused"),
            (401, status(401, "Unauthorized", ""), "refused"),
            (403, status(403, "Forbidden", "pods"), "refused"),
            (404, status(404, "NotFound", "pods"), "not found"),
            (404, status(404, "NotFound", "namespaces"), "unknown"),
            (404, status(404, "NotFound", ""), "unknown"),
            (404, "404 page not found".to_owned(), "unknown"),
            (404, status(403, "NotFound", "pods"), "unknown"),
            (409, status(409, "AlreadyExists", "pods"), "already exists"),
            (409, status(409, "Conflict", "pods"), "conflict"),
            (409, status(409, "", "pods"), "conflict"),
            (409, "conflict".to_owned(), "unknown"),
            (422, status(422, "Invalid", "pods"), "refused"),
            (422, "{}".to_owned(), "unknown"),
            (429, status(429, "TooManyRequests", "pods"), "unknown"),
            (500, status(500, "InternalError", "pods"), "unknown"),
            (503, "unavailable".to_owned(), "unknown"),
            (504, status(504, "Timeout", "pods"), "unknown"),
        ];
        for (code, body, expected) in table {
            let outcome = judge(&Method::GET, code, &body);
            assert_eq!(class(&outcome), expected, "{code} {body} gave {outcome:?}");
        }
    }

    #[test]
    fn a_write_into_a_missing_namespace_was_not_applied() {
        let outcome = judge(&Method::POST, 404, &status(404, "NotFound", "namespaces"));
        assert_eq!(class(&outcome), "not found");
    }

    #[test]
    fn l9_a_write_that_is_told_of_another_kind_has_not_learnt_that_the_lock_is_gone() {
        for kind in ["services", ""] {
            let outcome = judge(&Method::PUT, 404, &status(404, "NotFound", kind));
            assert_eq!(class(&outcome), "unknown", "{kind}");
        }
        let outcome = judge(&Method::PUT, 404, &status(404, "NotFound", "pods"));
        assert_eq!(class(&outcome), "not found");
    }

    #[test]
    fn a_status_of_another_api_or_kind_speaks_for_nothing() {
        for (from, to) in [
            ("\"v1\"", "\"v2\""),
            ("\"Status\"", "\"Statuses\""),
            ("Failure", "Success"),
        ] {
            let body = status(422, "Invalid", "pods").replace(from, to);
            assert_eq!(class(&judge(&Method::PUT, 422, &body)), "unknown", "{body}");
        }
    }

    #[test]
    fn a_forbidden_call_says_which_right_is_missing_and_how_to_grant_it() {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
            "message": "leases.coordination.k8s.io \"nightly\" is forbidden: User \
                \"system:serviceaccount:shop:worker\" cannot update resource \"leases\" in API \
                group \"coordination.k8s.io\" in the namespace \"shop\"",
            "details": {"name": "nightly", "group": "coordination.k8s.io", "kind": "leases"},
            "code": 403,
        });
        let Outcome::Refused(text) = judge(&Method::PUT, 403, &body.to_string()) else {
            panic!("not refused");
        };
        let command = "tenure rbac --lock lease nightly --namespace shop --service-account worker \
                       | kubectl apply -f -";
        assert!(text.contains(command), "{text}");
        assert!(text.contains("update"), "{text}");
    }

    #[test]
    fn long_answers_are_cut_for_people() {
        assert_eq!(shorten("a\nb"), "a b");
        assert_eq!(shorten(&"x".repeat(1000)).len(), 403);
    }
}
