//! One call to the API server: its path, its limit (L16), and what its answer means (L6).

use std::{error::Error, time::Duration};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::{Value, json};
use tenure_core::{Outcome, Version};
use tokio::time::timeout;

/// An object in a namespace, by its path.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    collection: String,
    namespace: String,
    name: String,
}

/// An object larger than any lock could be; the server's own limit is 3 MiB for a request.
const MOST_BYTES: usize = 4 << 20;

impl Resource {
    pub(crate) fn lease(namespace: &str, name: &str) -> Self {
        Self::new("/apis/coordination.k8s.io/v1", "leases", namespace, name)
    }

    pub(crate) fn config_map(namespace: &str, name: &str) -> Self {
        Self::new("/api/v1", "configmaps", namespace, name)
    }

    pub(crate) fn leader_lock(namespace: &str, name: &str) -> Self {
        Self::new("/apis/coralogix.com/v1", "leaderlocks", namespace, name)
    }

    pub(crate) fn pod(namespace: &str, name: &str) -> Self {
        Self::new("/api/v1", "pods", namespace, name)
    }

    fn new(version: &str, plural: &str, namespace: &str, name: &str) -> Self {
        Self {
            collection: format!("{version}/namespaces/{namespace}/{plural}"),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn collection(&self) -> String {
        self.collection.clone()
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A quorum read: without a resourceVersion the server asks etcd (L16).
    pub(crate) fn get(&self) -> Request<Vec<u8>> {
        request(Method::GET, &self.path(), None)
    }

    pub(crate) fn create(&self, object: &Value) -> Request<Vec<u8>> {
        request(
            Method::POST,
            &format!("{}?fieldManager=tenure", self.collection),
            Some(object),
        )
    }

    /// The object carries uid and resourceVersion (L5).
    pub(crate) fn replace(&self, object: &Value) -> Request<Vec<u8>> {
        request(
            Method::PUT,
            &format!("{}?fieldManager=tenure", self.path()),
            Some(object),
        )
    }

    /// A delete of exactly this state (F5).
    pub(crate) fn delete(&self, version: &Version) -> Request<Vec<u8>> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {
                "uid": version.uid.as_str(),
                "resourceVersion": version.resource_version.as_str(),
            },
        });
        request(Method::DELETE, &self.path(), Some(&options))
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }
}

/// Make a call. It ends within `limit`, connecting and the whole answer included.
///
/// # Cancel safety
/// A call that is dropped may have been applied, or may be yet.
pub(crate) async fn call(
    client: &kube::Client,
    request: Request<Vec<u8>>,
    limit: Duration,
) -> Outcome<Value> {
    let what = format!("{} {}", request.method(), request.uri().path());
    match timeout(limit, answer(client, request)).await {
        Err(_) => Outcome::Unknown(format!("{what}: no answer within {limit:?}").into()),
        Ok(Err(error)) => Outcome::Unknown(format!("{what}: {error}").into()),
        Ok(Ok((status, body))) => classify(&what, status, &body),
    }
}

/// What an answer means (L6).
pub(crate) fn classify(what: &str, status: StatusCode, body: &[u8]) -> Outcome<Value> {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    if status.is_success() {
        return match parsed {
            Some(object) if object.is_object() => Outcome::Done(object),
            _ => Outcome::Unknown(
                format!("{what}: answered {status}, with something that is no JSON object").into(),
            ),
        };
    }
    let Some(refusal) = parsed.filter(|body| is_status(body, status)) else {
        return Outcome::Unknown(format!("{what}: answered {status}: {}", excerpt(body)).into());
    };
    let message = refusal
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no message");
    let reason = refusal
        .get("reason")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match status.as_u16() {
        404 => Outcome::NotFound(message.into()),
        409 if reason == "AlreadyExists" => Outcome::AlreadyExists,
        409 => Outcome::Conflict,
        429 => Outcome::Unknown(format!("{what}: too many requests: {message}").into()),
        400..500 => Outcome::Refused(message.into()),
        _ => Outcome::Unknown(format!("{what}: answered {status}: {message}").into()),
    }
}

async fn answer(
    client: &kube::Client,
    request: Request<Vec<u8>>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|e| with_causes(&e))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_BYTES)
        .collect()
        .await
        .map_err(|error| format!("the answer broke off: {error}"))?;
    Ok((status, body.to_bytes().to_vec()))
}

fn request(method: Method, path: &str, body: Option<&Value>) -> Request<Vec<u8>> {
    let bytes = body
        .map(|body| body.to_string().into_bytes())
        .unwrap_or_default();
    let mut request = Request::new(bytes);
    *request.method_mut() = method;
    // Names were checked when the election was built, so that they make a path.
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let json = http::HeaderValue::from_static("application/json");
    request
        .headers_mut()
        .insert(http::header::ACCEPT, json.clone());
    if body.is_some() {
        request
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, json);
    }
    request
}

fn is_status(body: &Value, status: StatusCode) -> bool {
    body.get("kind").and_then(Value::as_str) == Some("Status")
        && body.get("code").and_then(Value::as_u64) == Some(u64::from(status.as_u16()))
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .trim()
        .chars()
        .take(200)
        .collect()
}

/// An error and everything below it, without what is said twice.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str) -> (StatusCode, Vec<u8>) {
        let body = json!({"kind": "Status", "code": code, "reason": reason, "message": "m"});
        (
            StatusCode::from_u16(code).unwrap(),
            body.to_string().into_bytes(),
        )
    }

    #[test]
    fn l6_only_a_status_of_the_4xx_says_for_certain_that_nothing_was_applied() {
        let of = |(code, body): (StatusCode, Vec<u8>)| classify("PUT /x", code, &body);
        assert!(matches!(
            of((StatusCode::OK, b"{}".to_vec())),
            Outcome::Done(_)
        ));
        assert!(matches!(
            of((StatusCode::OK, b"{\"a\":".to_vec())),
            Outcome::Unknown(_)
        ));
        assert!(matches!(of(status(404, "NotFound")), Outcome::NotFound(_)));
        assert_eq!(of(status(409, "AlreadyExists")), Outcome::AlreadyExists);
        assert_eq!(of(status(409, "Conflict")), Outcome::Conflict);
        assert!(matches!(of(status(403, "Forbidden")), Outcome::Refused(_)));
        assert!(matches!(of(status(422, "Invalid")), Outcome::Refused(_)));
        assert!(matches!(
            of(status(429, "TooManyRequests")),
            Outcome::Unknown(_)
        ));
        assert!(matches!(
            of(status(500, "InternalError")),
            Outcome::Unknown(_)
        ));
        assert!(matches!(of(status(504, "Timeout")), Outcome::Unknown(_)));
        let plain = |code: u16| {
            (
                StatusCode::from_u16(code).unwrap(),
                b"404 page not found".to_vec(),
            )
        };
        assert!(matches!(of(plain(404)), Outcome::Unknown(_)));
        assert!(matches!(of(plain(403)), Outcome::Unknown(_)));
        let (_, wrong_code) = status(403, "Forbidden");
        assert!(matches!(
            of((StatusCode::NOT_FOUND, wrong_code)),
            Outcome::Unknown(_)
        ));
    }
}
