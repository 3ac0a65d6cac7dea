//! The lock as a person finds it: read with tolerance, changed by exactly the state that was read.

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tenure::Kind;

use crate::{cluster::ANSWER_LIMIT, failure::Failure};

/// Where it is.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) object: Value,
    /// The holder for people: its identity, or its Pod's name.
    pub(super) holder: Option<String>,
    /// How a request names the holder (L25, F12); none where it is no tenure and does not listen.
    pub(super) asked_as: Option<String>,
    pub(super) transitions: Option<i64>,
}

/// What became of a change.
pub(super) enum Changed {
    Done,
    /// Somebody was faster.
    Conflict,
}

impl Place {
    /// What stands there now; none if nothing does.
    pub(super) async fn look(&self) -> Result<Option<Found>, Failure> {
        match self.send(Method::GET, "", None).await? {
            Ok(object) => Ok(Some(found(self.kind, object))),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(self.refused("read", &status)),
        }
    }

    /// Merge this in, over exactly what was found.
    pub(super) async fn patch(
        &self,
        base: &Found,
        mut patch: Value,
        dry_run: bool,
    ) -> Result<Changed, Failure> {
        let metadata = &base.object["metadata"];
        patch["metadata"]["uid"] = metadata["uid"].clone();
        patch["metadata"]["resourceVersion"] = metadata["resourceVersion"].clone();
        self.change(Method::PATCH, &patch, dry_run).await
    }

    /// Delete exactly what was found (F5).
    pub(super) async fn delete(&self, base: &Found, dry_run: bool) -> Result<Changed, Failure> {
        let options = base.delete_options();
        self.change(Method::DELETE, &options, dry_run).await
    }

    /// The Pod of that name in the lock's namespace, or why nothing is known of it.
    pub(super) async fn pod(&self, name: &str) -> String {
        let path = format!("/api/v1/namespaces/{}/pods/{name}", self.namespace);
        match self.ask(Method::GET, path, None).await {
            Ok(Ok(pod)) if !pod["metadata"]["deletionTimestamp"].is_null() => {
                "is there, and being deleted: its processes may still run".to_owned()
            }
            Ok(Ok(pod)) => format!(
                "is there, phase {}: its processes may still run",
                pod["status"]["phase"].as_str().unwrap_or("unknown")
            ),
            Ok(Err(status)) if status.code == 404 => {
                "is gone; on a node that is lost, or after a forced deletion, its processes may \
                 still run"
                    .to_owned()
            }
            Ok(Err(status)) => format!("cannot be read ({})", status.message),
            Err(_) => "cannot be read".to_owned(),
        }
    }

    pub(super) fn shown(&self) -> String {
        let kind = match self.kind {
            Kind::ConfigMap => "ConfigMap",
            Kind::LeaderLock => "LeaderLock",
            _ => "Lease",
        };
        format!("{kind} {}/{}", self.namespace, self.name)
    }

    async fn change(
        &self,
        method: Method,
        body: &Value,
        dry_run: bool,
    ) -> Result<Changed, Failure> {
        let query = if dry_run { "?dryRun=All" } else { "" };
        match self.send(method, query, Some(body)).await? {
            Ok(_) => Ok(Changed::Done),
            Err(status) if status.code == 409 => Ok(Changed::Conflict),
            Err(status) => Err(self.refused("change", &status)),
        }
    }

    fn refused(&self, what: &str, status: &kube::core::Status) -> Failure {
        let help = match status.code {
            403 => "; `tenure rbac --steer` prints the rights that it takes",
            404 => "; it is gone",
            _ => "",
        };
        Failure::failed(format!(
            "cannot {what} the {}: {}{help}",
            self.shown(),
            status.message
        ))
    }

    async fn send(
        &self,
        method: Method,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Box<kube::core::Status>>, Failure> {
        let collection = match self.kind {
            Kind::ConfigMap => ("/api/v1", "configmaps"),
            Kind::LeaderLock => ("/apis/coralogix.com/v1", "leaderlocks"),
            _ => ("/apis/coordination.k8s.io/v1", "leases"),
        };
        let (api, plural) = collection;
        let (namespace, name) = (&self.namespace, &self.name);
        let path = format!("{api}/namespaces/{namespace}/{plural}/{name}{query}");
        self.ask(method, path, body).await
    }

    async fn ask(
        &self,
        method: Method,
        path: String,
        body: Option<&Value>,
    ) -> Result<Result<Value, Box<kube::core::Status>>, Failure> {
        let content = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content)
            .body(body)
            .map_err(|error| Failure::failed("the request cannot be made").because(error))?;
        let no_answer = || {
            Failure::failed(
                "the API server did not answer in time, so what became of it is not known; look \
                 with kubectl, and try again",
            )
        };
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.client.request(request)).await;
        match answer.map_err(|_| no_answer())? {
            Ok(object) => Ok(Ok(object)),
            Err(kube::Error::Api(status)) => Ok(Err(status)),
            Err(error) => Err(Failure::failed(format!(
                "the API server cannot be asked about the {}: {error}",
                self.shown()
            ))
            .because(error)),
        }
    }
}

impl Found {
    /// What a delete of exactly this state says (F5).
    pub(super) fn delete_options(&self) -> Value {
        let metadata = &self.object["metadata"];
        json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
        })
    }

    pub(super) fn uid(&self) -> &Value {
        &self.object["metadata"]["uid"]
    }

    /// Whether another holds it, or the same in another term.
    pub(super) fn is_another_term_than(&self, other: &Self) -> bool {
        self.uid() != other.uid()
            || self.holder != other.holder
            || self.transitions != other.transitions
            || self.asked_as != other.asked_as
    }

    /// The name of the Pod that the holder says it is.
    pub(super) fn pod(&self) -> Option<&str> {
        let holder = self.holder.as_deref()?;
        Some(holder.split('_').next().unwrap_or(holder))
    }
}

fn found(kind: Kind, object: Value) -> Found {
    let parsed = |name: &str| -> Option<Value> {
        let text = object["metadata"]["annotations"][name].as_str()?;
        serde_json::from_str(text).ok()
    };
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if kind == Kind::Lease {
        let spec = &object["spec"];
        let holder = text(&spec["holderIdentity"]);
        let speaks = parsed("tenure.dev/write").is_some_and(|mark| {
            mark["holder"] == spec["holderIdentity"] && mark["renewTime"] == spec["renewTime"]
        });
        let transitions = spec["leaseTransitions"].as_i64();
        let asked_as = holder.clone().filter(|_| speaks && transitions.is_some());
        return Found {
            object,
            holder,
            asked_as,
            transitions,
        };
    }
    let record = parsed("tenure.dev/owner");
    let owner = text(&object["metadata"]["ownerReferences"][0]["name"]);
    let recorded = record.as_ref().and_then(|record| text(&record["pod"]));
    Found {
        holder: recorded.or(owner),
        asked_as: record.as_ref().and_then(|record| text(&record["term"])),
        transitions: None,
        object,
    }
}
