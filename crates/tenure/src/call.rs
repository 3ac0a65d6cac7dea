//! One call about one object: the request, the limit on it, and what its answer means (rules L5,
//! L6, L16).

use std::{error::Error, fmt::Write as _, sync::Arc, time::Duration};

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::{
    Client,
    client::Body,
    core::{Status, response::StatusSummary},
};
use serde_json::{Value, json};
use tenure_core::{Outcome, Version};

use crate::rbac::MissingRight;

/// Who made a change, in the managed fields of the objects that tenure writes.
pub(crate) const FIELD_MANAGER: &str = "tenure";

/// The longest answer that is read. An object has at most about 1.5 MiB in etcd.
const LONGEST_ANSWER: usize = 4 << 20;
const USER_AGENT: &str = concat!("tenure/", env!("CARGO_PKG_VERSION"));

/// One object that may or may not exist: the requests about it.
///
/// Reads are quorum reads: none carries a resourceVersion (L16).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    api: Api,
    namespace: Option<String>,
    name: String,
}

/// A kind of object, as its paths spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Api {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
}

pub(crate) const LEASES: Api = Api {
    group: "coordination.k8s.io",
    version: "v1",
    plural: "leases",
    kind: "Lease",
};
pub(crate) const CONFIG_MAPS: Api = Api {
    group: "",
    version: "v1",
    plural: "configmaps",
    kind: "ConfigMap",
};
pub(crate) const LEADER_LOCKS: Api = Api {
    group: "coralogix.com",
    version: "v1",
    plural: "leaderlocks",
    kind: "LeaderLock",
};
pub(crate) const PODS: Api = Api {
    group: "",
    version: "v1",
    plural: "pods",
    kind: "Pod",
};
pub(crate) const CRDS: Api = Api {
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
    kind: "CustomResourceDefinition",
};

impl Api {
    /// `v1`, or `group/version`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The path of the group and version.
    pub(crate) fn root(&self) -> String {
        let base = if self.group.is_empty() {
            "/api"
        } else {
            "/apis"
        };
        format!("{base}/{}", self.api_version())
    }
}

impl Resource {
    pub(crate) fn new(api: Api, namespace: Option<&str>, name: &str) -> Self {
        Self {
            api,
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
        }
    }

    pub(crate) fn lease(namespace: &str, name: &str) -> Self {
        Self::new(LEASES, Some(namespace), name)
    }

    pub(crate) fn config_map(namespace: &str, name: &str) -> Self {
        Self::new(CONFIG_MAPS, Some(namespace), name)
    }

    pub(crate) fn leader_lock(namespace: &str, name: &str) -> Self {
        Self::new(LEADER_LOCKS, Some(namespace), name)
    }

    pub(crate) fn pod(namespace: &str, name: &str) -> Self {
        Self::new(PODS, Some(namespace), name)
    }

    pub(crate) fn api(&self) -> Api {
        self.api
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Empty for what has none.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The path of all objects of this kind in this namespace: to list and to watch.
    pub(crate) fn collection(&self) -> String {
        let (root, plural) = (self.api.root(), self.api.plural);
        match &self.namespace {
            Some(namespace) => format!("{root}/namespaces/{}/{plural}", segment(namespace)),
            None => format!("{root}/{plural}"),
        }
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), segment(&self.name))
    }

    /// A quorum read.
    pub(crate) fn get(&self) -> Request<Vec<u8>> {
        self.request(Method::GET, &self.path(), None)
    }

    /// A create. Its precondition is that there is no such object.
    pub(crate) fn create(&self, object: &Value) -> Request<Vec<u8>> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.collection());
        self.request(Method::POST, &path, Some(object))
    }

    /// A replace. Its precondition is the uid and resourceVersion that stand in `object` (L5).
    pub(crate) fn replace(&self, object: &Value) -> Request<Vec<u8>> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.path());
        self.request(Method::PUT, &path, Some(object))
    }

    /// A delete of exactly this state (F5).
    pub(crate) fn delete(&self, version: &Version) -> Request<Vec<u8>> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {
                "uid": version.uid.as_str(),
                "resourceVersion": version.resource_version.as_str(),
            },
        });
        self.request(Method::DELETE, &self.path(), Some(&options))
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request<Vec<u8>> {
        let body = body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        let mut request = plain(method, path, body);
        // For judging the answer.
        request.extensions_mut().insert(self.clone());
        request
    }
}

/// A read of a path that is no object's, such as a group's discovery document.
pub(crate) fn get_path(path: &str) -> Request<Vec<u8>> {
    plain(Method::GET, path, Vec::new())
}

/// Send `request` once and say what became of it, at the latest after `limit`. The limit covers
/// everything: connecting, credentials, headers and the last byte of the body (L16).
///
/// # Cancel safety
/// A call that is dropped may still be applied: its outcome is unknown (L6).
pub(crate) async fn call(
    client: &Client,
    request: Request<Vec<u8>>,
    limit: Duration,
) -> Outcome<Value> {
    let what = format!("{} {}", request.method(), request.uri().path());
    let is_read = request.method() == Method::GET;
    let asked = request.extensions().get::<Resource>().cloned();
    let mut stage = Stage::Sent;
    let answer = tokio::time::timeout(limit, send(client, request, &mut stage)).await;
    match answer {
        Ok(Ok((status, body))) => Answer {
            what: &what,
            is_read,
            asked: asked.as_ref(),
            status,
            body: &body,
        }
        .outcome(),
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

enum Stage {
    Sent,
    Answered,
}

fn plain(method: Method, path: &str, body: Vec<u8>) -> Request<Vec<u8>> {
    let has_body = !body.is_empty();
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // Segments are escaped, so the path parses; the root would be answered with no object.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(
        header::ACCEPT,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::USER_AGENT,
        header::HeaderValue::from_static(USER_AGENT),
    );
    if has_body {
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        );
    }
    request
}

/// A path segment with everything escaped that is not plain.
fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

async fn send(
    client: &Client,
    request: Request<Vec<u8>>,
    stage: &mut Stage,
) -> Result<(StatusCode, Vec<u8>), String> {
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|error| format!("the request failed: {}", with_causes(&error)))?;
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
    Ok((head.status, body.to_bytes().into()))
}

struct Answer<'a> {
    what: &'a str,
    is_read: bool,
    asked: Option<&'a Resource>,
    status: StatusCode,
    body: &'a [u8],
}

impl Answer<'_> {
    /// Rule L6.
    fn outcome(&self) -> Outcome<Value> {
        if self.status.is_success() {
            return match serde_json::from_slice::<Value>(self.body) {
                Ok(value) if value.is_object() && !is_failure(&value) => Outcome::Done(value),
                _ => self.unknown("is no object of Kubernetes"),
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

    fn refused(&self, status: &Status) -> Outcome<Value> {
        let text = self.text_of(status);
        match self.status {
            StatusCode::NOT_FOUND if self.is_read && !self.is_about_what_was_asked(status) => {
                // "The server could not find the requested resource": the kind itself is not
                // served (any more). That says nothing about the object.
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
        self.asked.is_none_or(|Resource { api, .. }| {
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

    fn unknown(&self, why: &str) -> Outcome<Value> {
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

/// Whether a 2xx carries a `Status` that is none of success.
fn is_failure(value: &Value) -> bool {
    value.get("kind").and_then(Value::as_str) == Some("Status")
        && value.get("status").and_then(Value::as_str) != Some("Success")
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

fn shorten(text: &str) -> String {
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
    use super::*;

    fn judge(method: &Method, status: u16, body: &str) -> Outcome<Value> {
        Answer {
            what: "GET /x",
            is_read: *method == Method::GET,
            asked: Some(&Resource::pod("n", "x")),
            status: StatusCode::from_u16(status).unwrap(),
            body: body.as_bytes(),
        }
        .outcome()
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
    fn requests_name_their_objects_and_preconditions() {
        let lease = Resource::lease("shop", "a b/c");
        assert_eq!(
            lease.get().uri(),
            "/apis/coordination.k8s.io/v1/namespaces/shop/leases/a%20b%2Fc"
        );
        assert_eq!(lease.get().method(), Method::GET);
        assert!(
            lease.get().uri().query().is_none(),
            "a quorum read has no resourceVersion"
        );
        let map = Resource::config_map("shop", "x");
        let create = map.create(&json!({"kind": "ConfigMap"}));
        assert_eq!(
            create.uri(),
            "/api/v1/namespaces/shop/configmaps?fieldManager=tenure"
        );
        assert_eq!(create.method(), Method::POST);
        assert_eq!(create.headers()["content-type"], "application/json");
        let replace = Resource::leader_lock("shop", "x").replace(&json!({}));
        assert_eq!(
            replace.uri(),
            "/apis/coralogix.com/v1/namespaces/shop/leaderlocks/x?fieldManager=tenure"
        );
        assert_eq!(replace.method(), Method::PUT);
        let delete = Resource::pod("shop", "x").delete(&Version::new("u", "7"));
        assert_eq!(delete.method(), Method::DELETE);
        let body: Value = serde_json::from_slice(delete.body()).unwrap();
        assert_eq!(
            body["preconditions"],
            json!({"uid": "u", "resourceVersion": "7"})
        );
        let crd = Resource::new(CRDS, None, "x");
        assert_eq!(
            crd.get().uri(),
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x"
        );
    }

    #[test]
    fn long_answers_are_cut_for_people() {
        assert_eq!(shorten("a\nb"), "a b");
        assert_eq!(shorten(&"x".repeat(1000)).len(), 403);
    }
}
