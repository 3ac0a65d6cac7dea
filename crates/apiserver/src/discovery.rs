//! What is served, told to those who ask: `/api`, `/apis`, `/version`, `/openapi` and health.

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::body::ResponseBody;
use crate::openapi;
use crate::request::RequestInfo;
use crate::resources::{Registry, Resource};
use crate::service::json_response;
use crate::state::State;
use crate::status::{Outcome, Refusal};

/// The version that this server is a double of.
const VERSION: &str = "v1.37.2";

pub(crate) fn answer(
    state: &State,
    parts: &Parts,
    info: &RequestInfo,
) -> Outcome<Response<ResponseBody>> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Refusal::no_such_path());
    }
    let registry = &state.registry;
    let path: Vec<&str> = info.path.split('/').filter(|p| !p.is_empty()).collect();
    let found = match path.as_slice() {
        ["version"] => Some(version()),
        ["healthz" | "livez" | "readyz"] => {
            let mut response = json_response(StatusCode::OK, "ok");
            response.headers_mut().insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            return Ok(response);
        }
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": []})),
        ["api", "v1"] => Some(resources(registry, "", "v1")),
        ["apis"] => Some(json!({
            "kind": "APIGroupList", "apiVersion": "v1", "groups": groups(registry),
        })),
        ["apis", name] => groups(registry)
            .into_iter()
            .find(|g| g["name"] == json!(name))
            .map(|mut group| {
                group["kind"] = json!("APIGroup");
                group["apiVersion"] = json!("v1");
                group
            }),
        ["openapi", "v3"] => Some(openapi::index(registry)),
        ["openapi", "v3", rest @ ..] => openapi::document(registry, &rest.join("/")),
        ["apis", group, version] if registry.has_group_version(group, version) => {
            Some(resources(registry, group, version))
        }
        _ => None,
    };
    let found = found.ok_or_else(Refusal::no_such_path)?;
    Ok(json_response(StatusCode::OK, found.to_string()))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "tenure/memory",
    })
}

fn groups(registry: &Registry) -> Vec<Value> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for resource in registry.all().filter(|r| !r.group.is_empty()) {
        match groups.iter_mut().find(|(name, _)| *name == resource.group) {
            Some((_, versions)) if versions.contains(&resource.version) => {}
            Some((_, versions)) => versions.push(resource.version.clone()),
            None => groups.push((resource.group.clone(), vec![resource.version.clone()])),
        }
    }
    groups
        .into_iter()
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
                .collect();
            json!({"name": name, "preferredVersion": versions[0], "versions": versions})
        })
        .collect()
}

fn resources(registry: &Registry, group: &str, version: &str) -> Value {
    let mut out = Vec::new();
    for resource in registry
        .all()
        .filter(|r| r.group == group && r.version == version)
    {
        out.push(resource_entry(resource));
        if resource.has_status {
            out.push(json!({
                "name": format!("{}/status", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": resource.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let version = crate::resources::group_version(group, version);
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": out,
    })
}

fn resource_entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    entry
}
