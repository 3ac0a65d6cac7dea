//! Questions to the API server: one call each, with a limit on its time and its size, and what its
//! `Date` says.

use std::{sync::Mutex, time::Duration};

use http::{Request, header};
use http_body_util::{BodyExt as _, Limited};
use kube::{Client, Config, client::Body};
use serde_json::{Value, json};

use super::{
    clock::{self, Reading},
    judge::Moment,
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
    pub(crate) namespace: String,
    pub(crate) server: String,
    readings: Mutex<Vec<Reading>>,
}

/// Why there is no answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 403: the right is missing.
    Forbidden(String),
    /// 404: the object, or the kind, is not there.
    NotFound,
    /// Another answer than was asked for.
    Told(String),
    /// No answer, or none that can be read.
    Silent(String),
}

impl Refusal {
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Forbidden(told) | Self::Told(told) | Self::Silent(told) => told.clone(),
            Self::NotFound => "not there".to_owned(),
        }
    }
}

impl Api {
    /// Nothing is asked yet.
    pub(crate) async fn of(choice: &ClusterChoice) -> Result<Self, Failure> {
        Self::with(choice.config().await?)
    }

    pub(crate) fn with(config: Config) -> Result<Self, Failure> {
        let namespace = config.default_namespace.clone();
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
            client: cluster::client(config)?,
            namespace,
            server,
            readings: Mutex::default(),
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.ask(Request::get(path), Vec::new(), "application/json")
            .await
    }

    /// A question that is asked by POST, such as a review.
    pub(crate) async fn review(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
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
        let answer = self.review(path, &review).await?;
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
                .map_err(|error| silent(&error))?;
            let took = tenure::now().since(begun);
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            let body = body.map_err(|error| {
                Refusal::Silent(format!(
                    "the answer broke off: {}",
                    harmless(&error.to_string())
                ))
            })?;
            Ok((parts, took, body.to_bytes()))
        };
        let (parts, took, body) = tokio::time::timeout(LIMIT, answer).await.map_err(|_| {
            Refusal::Silent(format!(
                "the API server {} did not answer within {} s",
                self.server,
                LIMIT.as_secs()
            ))
        })??;
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
        let told = || {
            let message = value.as_ref().and_then(|value| value["message"].as_str());
            harmless(message.unwrap_or("without a message that can be read"))
        };
        match parts.status.as_u16() {
            200..=299 => value.ok_or_else(|| {
                Refusal::Told("the answer is no JSON; is this a Kubernetes API server?".to_owned())
            }),
            401 => Err(Refusal::Told(format!(
                "the API server does not know this user (401: {}); renew the credentials",
                told()
            ))),
            403 => Err(Refusal::Forbidden(told())),
            404 => Err(Refusal::NotFound),
            code => Err(Refusal::Told(format!(
                "the API server says {code}: {}",
                told()
            ))),
        }
    }
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

fn silent(error: &kube::Error) -> Refusal {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // The innermost says what it is.
        told = error.to_string();
        cause = error.source();
    }
    Refusal::Silent(format!(
        "the API server does not answer: {}",
        harmless(&told)
    ))
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
