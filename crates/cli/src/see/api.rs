//! Questions to the API server, and orders of those who steer: one call each, with a limit on its time
//! and its size, and what its `Date` says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{AsyncRead, TryStreamExt as _};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::{
    clock::{self, Reading},
    judge::Moment,
    kind::Kind,
    text::harmless,
};
use crate::{
    cluster::{self, ClusterChoice},
    failure::Failure,
};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How much one answer may bring.
const MOST_BYTES: usize = 64 << 20;
/// How many objects one page has, and how many pages are read.
const PAGE: usize = 500;
const MOST_PAGES: usize = 400;

/// The cluster that is looked at.
pub(crate) struct Api {
    client: Client,
    /// Where the context, or the own Pod, is at home.
    configured: String,
    pub(crate) server: String,
    readings: Mutex<Vec<Reading>>,
}

/// Why there is no answer to a question.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// 403: the right is missing.
    Forbidden(String),
    /// 404: the object, or the kind, is not there.
    NotFound,
    /// 409: somebody was faster.
    Conflict(String),
    /// Another answer than was asked for.
    Told(String),
    /// No answer, or none that can be read; and what lies behind it.
    Silent(String, Option<Arc<kube::Error>>),
}

impl Refusal {
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Forbidden(told)
            | Self::Conflict(told)
            | Self::Told(told)
            | Self::Silent(told, _) => told.clone(),
            Self::NotFound => "not there".to_owned(),
        }
    }

    /// As what the program ends with, which says this and keeps what lies behind it.
    pub(crate) fn failure(&self, told: String) -> Failure {
        let failure = Failure::failed(told);
        match self {
            Self::Silent(_, Some(cause)) => failure.because(cause.clone()),
            _ => failure,
        }
    }
}

impl Api {
    /// Nothing is asked yet.
    pub(crate) async fn of(choice: &ClusterChoice) -> Result<Self, Failure> {
        let config = choice.config().await?;
        let configured = config.default_namespace.clone();
        // A URL may carry a password.
        let host = config
            .cluster_url
            .authority()
            .map(http::uri::Authority::as_str);
        let host = host
            .and_then(|host| host.rsplit('@').next())
            .unwrap_or_default();
        let server = harmless(host);
        Ok(Self {
            client: cluster::client(config).await?,
            configured,
            server,
            readings: Mutex::default(),
        })
    }

    /// The namespace that is meant where none is named.
    pub(crate) fn namespace(&self) -> Result<String, Failure> {
        cluster::default_namespace(&self.configured)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.ask(Request::get(path), Vec::new(), "application/json")
            .await
    }

    /// A question, or an order, with something in it.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let content = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content);
        self.ask(request, body.to_string().into_bytes(), "application/json")
            .await
    }

    /// All objects of a collection, page by page; with nothing but their metadata if so wanted.
    pub(crate) async fn list(
        &self,
        path: &str,
        selector: &str,
        only_metadata: bool,
    ) -> Result<Vec<Value>, Refusal> {
        let (objects, _) = self.list_at(path, selector, only_metadata).await?;
        Ok(objects)
    }

    /// As [`Api::list`], with the version from which a watch goes on.
    pub(crate) async fn list_at(
        &self,
        path: &str,
        selector: &str,
        only_metadata: bool,
    ) -> Result<(Vec<Value>, String), Refusal> {
        let accept = if only_metadata {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        } else {
            "application/json"
        };
        let mut objects = Vec::new();
        let mut token = String::new();
        let mut version = String::new();
        for _ in 0..MOST_PAGES {
            let separator = if selector.is_empty() { "" } else { "&" };
            let mut uri = format!("{path}?limit={PAGE}{separator}{selector}");
            if !token.is_empty() {
                uri.push_str("&continue=");
                uri.push_str(&escaped(&token));
            }
            let mut page = self.ask(Request::get(uri), Vec::new(), accept).await?;
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                objects.extend(items);
            }
            page.pointer("/metadata/resourceVersion")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .clone_into(&mut version);
            page.pointer("/metadata/continue")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .clone_into(&mut token);
            if token.is_empty() {
                break;
            }
        }
        Ok((objects, version))
    }

    /// Whether the server knows that kind: LeaderLocks need a definition.
    pub(crate) async fn serves(&self, kind: Kind) -> Result<bool, Refusal> {
        let path = match kind.group() {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        let list = match self.get(&path).await {
            Err(Refusal::NotFound) => return Ok(false),
            answer => answer?,
        };
        let mut all = list["resources"].as_array().into_iter().flatten();
        Ok(all.any(|one| one["name"] == kind.plural()))
    }

    /// Whether this user may do that, by the server's own word.
    pub(crate) async fn may(
        &self,
        verb: &str,
        (group, resource): (&str, &str),
        namespace: &str,
        name: &str,
    ) -> Result<bool, Refusal> {
        let mut attributes = json!({"verb": verb, "group": group, "resource": resource});
        for (field, value) in [("namespace", namespace), ("name", name)] {
            if !value.is_empty() {
                attributes[field] = value.into();
            }
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.send(Method::POST, path, &review).await?;
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
        allowed.ok_or_else(|| Refusal::Told("the review says nothing".to_owned()))
    }

    /// The present on the server, by all answers so far.
    pub(crate) fn moment(&self) -> Moment {
        clock::moment(&self.readings(), clock::wall())
    }

    /// How long answers took so far, in the order in which they came.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        self.readings().iter().map(|reading| reading.took).collect()
    }

    fn readings(&self) -> Vec<Reading> {
        let readings = self.readings.lock();
        readings
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    async fn ask(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
        accept: &str,
    ) -> Result<Value, Refusal> {
        let request = request
            .header(header::ACCEPT, accept)
            .body(Body::from(body))
            .map_err(|error| Refusal::Told(format!("no question can be made of it: {error}")))?;
        let (asked, begun) = (clock::wall(), tenure::now());
        let answer = async {
            let answer = self
                .client
                .send(request)
                .await
                .map_err(|error| self.silent(error))?;
            let took = tenure::now().since(begun);
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            let body = body.map_err(|error| {
                let told = format!("the answer broke off: {}", harmless(&error.to_string()));
                Refusal::Silent(told, None)
            })?;
            Ok((parts, took, body.to_bytes()))
        };
        let (parts, took, body) = tokio::time::timeout(LIMIT, answer)
            .await
            .map_err(|_| self.late())??;
        let date = parts
            .headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(clock::date);
        let mut readings = self
            .readings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // The newest say enough; who watches asks for days.
        if readings.len() >= 100 {
            readings.remove(0);
        }
        readings.push(Reading { asked, took, date });
        drop(readings);
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        if let Some(refusal) = refusal(parts.status, value.as_ref()) {
            return Err(refusal);
        }
        value.ok_or_else(|| {
            Refusal::Told("the answer is no JSON; is this a Kubernetes API server?".to_owned())
        })
    }

    /// Opens a watch: what comes of it, byte by byte. Nobody says when it ends.
    pub(crate) async fn watch(&self, path: &str) -> Result<impl AsyncRead + use<>, Refusal> {
        let request = Request::get(path)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| Refusal::Told(format!("no question can be made of it: {error}")))?;
        let opening = async {
            let answer = self.client.send(request).await;
            let (parts, body) = answer.map_err(|error| self.silent(error))?.into_parts();
            if parts.status.is_success() {
                return Ok(body);
            }
            let told = Limited::new(body, MOST_BYTES).collect().await;
            let told = told.map(http_body_util::Collected::to_bytes);
            let told = told
                .ok()
                .and_then(|told| serde_json::from_slice(&told).ok());
            Err(refusal(parts.status, told.as_ref())
                .unwrap_or_else(|| Refusal::Told("the answer is none".to_owned())))
        };
        let body = tokio::time::timeout(LIMIT, opening)
            .await
            .map_err(|_| self.late())??;
        let stream = body.into_data_stream().map_err(std::io::Error::other);
        Ok(stream.into_async_read())
    }

    fn late(&self) -> Refusal {
        let (server, limit) = (&self.server, LIMIT.as_secs());
        let told = format!("the API server {server} did not answer within {limit} s");
        Refusal::Silent(told, None)
    }

    fn silent(&self, error: kube::Error) -> Refusal {
        let mut told = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            // The innermost says what it is.
            told = error.to_string();
            cause = error.source();
        }
        let told = format!(
            "the API server {} cannot be reached: {}",
            self.server,
            harmless(&told)
        );
        Refusal::Silent(told, Some(Arc::new(error)))
    }
}

/// What an answer of that status means, unless it is none.
fn refusal(status: http::StatusCode, value: Option<&Value>) -> Option<Refusal> {
    let message = value.and_then(|value| value["message"].as_str());
    let told = harmless(message.unwrap_or("without a message that can be read"));
    Some(match status.as_u16() {
        200..=299 => return None,
        401 => Refusal::Told(format!(
            "the API server does not know this user (401: {told}); renew the credentials"
        )),
        403 => Refusal::Forbidden(told),
        404 => Refusal::NotFound,
        409 => Refusal::Conflict(told),
        code => Refusal::Told(format!("the API server says {code}: {told}")),
    })
}

/// The path of a collection, or of all namespaces' where none is given.
pub(crate) fn collection(
    group: &str,
    version: &str,
    plural: &str,
    namespace: Option<&str>,
) -> String {
    let root = if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    match namespace {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

/// As it may stand in a query.
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
