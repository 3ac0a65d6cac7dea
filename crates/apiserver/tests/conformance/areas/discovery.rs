//! What is served: groups, resources, health.

use http::Method;
use serde_json::{Value, json};

use crate::suite::Talk;

/// The groups that both servers serve.
const GROUPS: [&str; 6] = [
    "apiextensions.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "rbac.authorization.k8s.io",
];
/// The resources, with their subresources, that both servers serve.
const RESOURCES: [&str; 22] = [
    "configmaps",
    "events",
    "namespaces",
    "namespaces/status",
    "namespaces/finalize",
    "nodes",
    "nodes/status",
    "pods",
    "pods/status",
    "secrets",
    "serviceaccounts",
    "leases",
    "customresourcedefinitions",
    "customresourcedefinitions/status",
    "roles",
    "rolebindings",
    "clusterroles",
    "clusterrolebindings",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "leaderlocks",
    "leaderlocks/status",
];

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    talk.case("the version");
    talk.get_part("/version", &[], |version| {
        let mut fields: Vec<&String> = version
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, _)| k)
            .collect();
        fields.sort();
        json!({"fields": fields, "major": version["major"]})
    })
    .await;
    talk.case("health");
    for path in ["/healthz", "/livez", "/readyz"] {
        talk.get(path).await;
    }
    talk.case("a ping");
    talk.ask_with(Method::OPTIONS, "*", &[], "").await;
    talk.case("groups");
    talk.get_part("/api", &[], |versions| {
        json!({
            "kind": versions["kind"], "versions": versions["versions"],
        })
    })
    .await;
    talk.get_part("/apis", &[], |list| {
        let groups: Vec<&Value> = list["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|group| GROUPS.iter().any(|known| group["name"] == *known))
            .collect();
        let mut groups: Vec<Value> = groups.into_iter().map(v1_only).collect();
        groups.sort_by_key(|group| group["name"].to_string());
        json!({"kind": list["kind"], "apiVersion": list["apiVersion"], "groups": groups})
    })
    .await;
    talk.get_part("/apis/coordination.k8s.io", &[], v1_only)
        .await;
    talk.get("/apis/nothing.example.com").await;
    talk.get("/apis/nothing.example.com/v1").await;
    talk.get("/apis/coordination.k8s.io/v9").await;
    talk.get("/api/v9").await;
    talk.get("/nothing").await;

    talk.case("the root");
    talk.get_part("/", &[], |root| {
        let paths = root["paths"].as_array().into_iter().flatten();
        let known = ["/api", "/apis", "/readyz", "/version"];
        paths
            .filter(|path| known.iter().any(|known| *path == known))
            .cloned()
            .collect()
    })
    .await;
    talk.case("resources");
    for version in ["/api/v1".to_owned(), "/apis/coralogix.com/v1".to_owned()]
        .into_iter()
        .chain(GROUPS.iter().map(|group| format!("/apis/{group}/v1")))
    {
        talk.get_part(&version, &[], resources).await;
    }
    talk.case("a resource that nobody serves");
    talk.get("/api/v1/nothings").await;
    let path = format!("/api/v1/namespaces/{}/nothings/x", talk.ns);
    talk.get(&path).await;
    talk.post(
        &format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/nothings",
            talk.ns
        ),
        json!({}),
    )
    .await;
    talk.get(&talk.leases("/x/status")).await;
    talk.get(&talk.leases("/x/y/z")).await;
    talk.case("methods that nobody serves");
    for (method, path) in [
        (http::Method::POST, talk.leases("/x")),
        (http::Method::PUT, talk.leases("")),
        (http::Method::PATCH, talk.leases("")),
        (http::Method::OPTIONS, talk.leases("")),
    ] {
        talk.ask(method, &path, "", &json!({})).await;
    }
}

/// A group without the versions that only one server serves.
fn v1_only(group: &Value) -> Value {
    let mut group = group.clone();
    if let Some(versions) = group["versions"].as_array_mut() {
        versions.retain(|version| version["version"] == "v1");
    }
    group
}

fn resources(list: &Value) -> Value {
    let known: Vec<Value> = list["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|resource| RESOURCES.iter().any(|known| resource["name"] == *known))
        .cloned()
        .collect();
    let mut by_name = serde_json::Map::new();
    for mut resource in known {
        resource["storageVersionHash"] = Value::Null;
        if let Some(verbs) = resource["verbs"].as_array_mut() {
            verbs.sort_by_key(ToString::to_string);
        }
        by_name.insert(
            resource["name"].as_str().unwrap_or_default().to_owned(),
            resource,
        );
    }
    let verbless = if list["resources"].is_array() {
        Value::Null
    } else {
        list.clone()
    };
    json!({"kind": list["kind"], "groupVersion": list["groupVersion"], "resources": by_name,
        "other": verbless})
}
