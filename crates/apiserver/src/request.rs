//! What a request asks for, read off its method, path and query.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::status::{FieldError, Outcome, Refusal};

/// A request as authorization, faults and the log see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub(crate) verb: &'static str,
    pub(crate) path: String,
    /// `None` where the path names no resource, as `/version`.
    pub(crate) target: Option<Target>,
    pub(crate) query: Query,
}

/// The resource that a path names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The query's parameters in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl RequestInfo {
    pub(crate) fn parse(method: &Method, uri: &http::Uri) -> Self {
        let path = uri.path().to_owned();
        let query = Query::parse(uri.query().unwrap_or_default());
        let target = Target::parse(&path);
        let named = target.as_ref().is_some_and(|t| !t.name.is_empty());
        let verb = match *method {
            Method::GET | Method::HEAD if named || target.is_none() => "get",
            Method::GET | Method::HEAD if query.flag("watch") => "watch",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if named || target.is_none() => "delete",
            Method::DELETE => "deletecollection",
            Method::OPTIONS => "options",
            _ => "",
        };
        Self {
            verb,
            path,
            target,
            query,
        }
    }
}

impl Target {
    /// Reads `/api/v1/..` and `/apis/GROUP/VERSION/..`; other paths name no resource.
    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .split('/')
            .filter(|p| !p.is_empty())
            .map(|p| percent_decode_str(p).decode_utf8_lossy().into_owned())
            .collect();
        let (group, rest) = match parts.first().map(String::as_str) {
            Some("api") => (String::new(), parts.get(1..)?),
            Some("apis") => (parts.get(1)?.clone(), parts.get(2..)?),
            _ => return None,
        };
        let version = rest.first()?.clone();
        let rest = rest.get(1..).filter(|r| !r.is_empty())?;
        let of_namespace = rest[0] == "namespaces"
            && rest.len() > 2
            && !(rest.len() == 3 && matches!(rest[2].as_str(), "status" | "finalize"));
        let (namespace, rest) = if of_namespace {
            (rest[1].clone(), &rest[2..])
        } else {
            (String::new(), rest)
        };
        let part = |at: usize| rest.get(at).cloned().unwrap_or_default();
        Some(Self {
            group,
            version,
            plural: part(0),
            name: part(1),
            subresource: rest.get(2..).unwrap_or_default().join("/"),
            namespace,
        })
    }
}

impl Query {
    fn parse(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter; empty when it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A boolean: anything but nothing, `false` and `0` is true, as the real server reads it.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(key, value)| key == name && value != "false" && value != "0")
    }

    /// A whole number; `None` when it is missing.
    pub(crate) fn number(&self, name: &str) -> Outcome<Option<i64>> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            Refusal::bad_request(format!(
                "strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
        })
    }

    /// Refuses a `dryRun` other than `All`.
    pub(crate) fn check_dry_run(&self, options: &str) -> Outcome<()> {
        let asked: Vec<&str> = self.all("dryRun").collect();
        check_dry_run(&asked, options)
    }

    /// Whether the request is to leave everything as it is.
    pub(crate) fn dry_run(&self) -> bool {
        self.all("dryRun").any(|v| v == "All")
    }
}

/// Refuses values of `dryRun` other than `All`; `options` is the kind that carries them.
pub(crate) fn check_dry_run(asked: &[&str], options: &str) -> Outcome<()> {
    if asked.iter().all(|value| *value == "All") {
        return Ok(());
    }
    let error = FieldError::not_supported("dryRun", &serde_json::json!(asked), &["All"]);
    Err(Refusal::invalid(
        &format!("{options}.meta.k8s.io"),
        "",
        &[error],
    ))
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::RequestInfo;

    fn parse(method: &Method, uri: &'static str) -> RequestInfo {
        RequestInfo::parse(method, &Uri::from_static(uri))
    }

    #[test]
    fn paths_name_resources() {
        let info = parse(
            &Method::GET,
            "/apis/coordination.k8s.io/v1/namespaces/a/leases/b?watch=false",
        );
        let target = info.target.unwrap();
        assert_eq!(info.verb, "get");
        assert_eq!(target.group, "coordination.k8s.io");
        assert_eq!(
            (target.namespace.as_str(), target.name.as_str()),
            ("a", "b")
        );

        let target = parse(&Method::PUT, "/api/v1/namespaces/a/status")
            .target
            .unwrap();
        assert_eq!(
            (target.plural.as_str(), target.name.as_str()),
            ("namespaces", "a")
        );
        assert_eq!(target.subresource, "status");

        let info = parse(&Method::DELETE, "/api/v1/namespaces/a/pods");
        assert_eq!(info.verb, "deletecollection");
        assert_eq!(parse(&Method::GET, "/version").target, None);
        assert_eq!(parse(&Method::GET, "/apis/apps/v1").target, None);
        assert_eq!(parse(&Method::GET, "/api/v1/pods?watch=1").verb, "watch");
    }
}
