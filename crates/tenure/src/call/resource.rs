//! One object, and the requests about it (rules L5, F5, L16).

use std::{fmt::Write as _, sync::Arc};

use http::{Method, Request, Uri, header};
use serde_json::{Value, json};
use tenure_core::Version;

use crate::object;

/// Who made a change, in the managed fields of the objects that tenure writes.
pub(crate) const FIELD_MANAGER: &str = "tenure";

const USER_AGENT: &str = concat!("tenure/", env!("CARGO_PKG_VERSION"));

/// One object that may or may not exist: the requests about it.
///
/// Reads are quorum reads: none carries a resourceVersion (L16). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resource(Arc<Names>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Names {
    api: Api,
    namespace: Option<String>,
    name: String,
    /// Its own path, and the query that a write of it has.
    uri: Uri,
    /// How much of the path is that of all objects of this kind in this namespace.
    collection: usize,
}

/// A request, and what it is about: its answer is judged by that.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) request: Request<Vec<u8>>,
    /// Nothing where it is no object.
    pub(crate) about: Option<Resource>,
}

impl From<Request<Vec<u8>>> for Ask {
    fn from(request: Request<Vec<u8>>) -> Self {
        Self {
            request,
            about: None,
        }
    }
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

pub(crate) const EVENTS: Api = Api {
    group: "events.k8s.io",
    version: "v1",
    plural: "events",
    kind: "Event",
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

    /// The path of all objects of this kind in `namespace`: to list and to watch.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        let (root, plural) = (self.root(), self.plural);
        format!("{root}/namespaces/{}/{plural}", segment(namespace))
    }
}

impl Resource {
    pub(crate) fn new(api: Api, namespace: Option<&str>, name: &str) -> Self {
        let collection = match namespace {
            Some(namespace) => api.collection(namespace),
            None => format!("{}/{}", api.root(), api.plural),
        };
        Self(Arc::new(Names {
            api,
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
            uri: uri(&written(&format!("{collection}/{}", segment(name)))),
            collection: collection.len(),
        }))
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
        self.0.api
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Empty for what has none.
    pub(crate) fn namespace(&self) -> &str {
        self.0.namespace.as_deref().unwrap_or_default()
    }

    /// The path of all objects of this kind in this namespace: to list and to watch.
    pub(crate) fn collection(&self) -> &str {
        self.path().get(..self.0.collection).unwrap_or_default()
    }

    /// The path of this object.
    pub(crate) fn path(&self) -> &str {
        self.0.uri.path()
    }

    /// A quorum read.
    pub(crate) fn get(&self) -> Ask {
        self.request(Method::GET, uri(self.path()), String::new())
    }

    /// A create. Its precondition is that there is no such object.
    pub(crate) fn create(&self, json: String) -> Ask {
        self.request(Method::POST, uri(&written(self.collection())), json)
    }

    /// A replace. Its precondition is the uid and resourceVersion that stand in it (L5).
    pub(crate) fn replace(&self, json: String) -> Ask {
        self.request(Method::PUT, self.0.uri.clone(), json)
    }

    /// A merge patch. Its preconditions are those that stand in `patch`.
    pub(crate) fn patch(&self, patch: &Value) -> Ask {
        let mut ask = self.request(Method::PATCH, self.0.uri.clone(), object::text(patch));
        ask.request.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/merge-patch+json"),
        );
        ask
    }

    /// A list of this kind of object in this namespace, by a query that is escaped already.
    pub(crate) fn list(&self, query: &str) -> Ask {
        let path = format!("{}?{query}", self.collection());
        self.request(Method::GET, uri(&path), String::new())
    }

    /// A delete of exactly this state (F5).
    pub(crate) fn delete(&self, version: &Version) -> Ask {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {
                "uid": version.uid.as_str(),
                "resourceVersion": version.resource_version.as_str(),
            },
        });
        self.request(Method::DELETE, uri(self.path()), object::text(&options))
    }

    fn request(&self, method: Method, uri: Uri, body: String) -> Ask {
        Ask {
            request: plain(method, uri, body.into_bytes()),
            about: Some(self.clone()),
        }
    }
}

/// A read of a path that is no object's, such as a group's discovery document.
pub(crate) fn get_path(path: &str) -> Request<Vec<u8>> {
    plain(Method::GET, uri(path), Vec::new())
}

/// Where what is written tells who writes it.
fn written(path: &str) -> String {
    format!("{path}?fieldManager={FIELD_MANAGER}")
}

fn uri(path: &str) -> Uri {
    // Segments are escaped, so the path parses; the root would be answered with no object.
    path.parse().unwrap_or_default()
}

fn plain(method: Method, uri: Uri, body: Vec<u8>) -> Request<Vec<u8>> {
    let has_body = !body.is_empty();
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_their_objects_and_preconditions() {
        let lease = Resource::lease("shop", "a b/c");
        assert_eq!(
            lease.get().request.uri(),
            "/apis/coordination.k8s.io/v1/namespaces/shop/leases/a%20b%2Fc"
        );
        assert_eq!(lease.get().request.method(), Method::GET);
        assert!(
            lease.get().request.uri().query().is_none(),
            "a quorum read has no resourceVersion"
        );
        let map = Resource::config_map("shop", "x");
        let create = map.create("{}".to_owned()).request;
        assert_eq!(
            create.uri(),
            "/api/v1/namespaces/shop/configmaps?fieldManager=tenure"
        );
        assert_eq!(create.method(), Method::POST);
        assert_eq!(create.headers()["content-type"], "application/json");
        let replace = Resource::leader_lock("shop", "x")
            .replace("{}".to_owned())
            .request;
        assert_eq!(
            replace.uri(),
            "/apis/coralogix.com/v1/namespaces/shop/leaderlocks/x?fieldManager=tenure"
        );
        assert_eq!(replace.method(), Method::PUT);
        let delete = Resource::pod("shop", "x")
            .delete(&Version::new("u", "7"))
            .request;
        assert_eq!(delete.method(), Method::DELETE);
        let body: Value = serde_json::from_slice(delete.body()).unwrap();
        assert_eq!(
            body["preconditions"],
            json!({"uid": "u", "resourceVersion": "7"})
        );
        let crd = Resource::new(CRDS, None, "x");
        assert_eq!(
            crd.get().request.uri(),
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x"
        );
    }
}
