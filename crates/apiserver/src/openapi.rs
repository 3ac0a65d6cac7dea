//! `/openapi/v3`: enough for kubectl to validate on the server's side, to merge and to explain.

use serde_json::{Map, Value, json};

use crate::resources::{Registry, Resource, Shape};
use crate::schema;

/// The index: one document for each group and version.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for resource in registry.all() {
        let path = document_path(resource);
        let url = format!("/openapi/v3/{path}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// The document of `api/v1` or `apis/GROUP/VERSION`; `None` where nothing is served there.
pub(crate) fn document(registry: &Registry, path: &str) -> Option<Value> {
    let served: Vec<&Resource> = registry
        .all()
        .map(AsRef::as_ref)
        .filter(|r| document_path(r) == path)
        .collect();
    if served.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in &served {
        let namespaced = if resource.namespaced {
            "namespaces/{namespace}/"
        } else {
            ""
        };
        let name = schema_name(resource);
        paths.insert(
            format!("/{path}/{namespaced}{}/{{name}}", resource.plural),
            json!({"patch": {
                "parameters": [
                    {"name": "dryRun", "in": "query", "schema": {"type": "string"}},
                    {"name": "fieldManager", "in": "query", "schema": {"type": "string"}},
                    {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}},
                ],
                "responses": {"200": {"description": "OK", "content": {"application/json": {
                    "schema": {"$ref": format!("#/components/schemas/{name}")},
                }}}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": kind(resource),
            }}),
        );
        schemas.insert(name, schema_of(resource));
    }
    add_referenced(&mut schemas);
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "tenure-apiserver", "version": "v1.37.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn document_path(resource: &Resource) -> String {
    if resource.group.is_empty() {
        format!("api/{}", resource.version)
    } else {
        format!("apis/{}/{}", resource.group, resource.version)
    }
}

fn kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn schema_name(resource: &Resource) -> String {
    match &resource.shape {
        Shape::Builtin(type_name) => (*type_name).to_owned(),
        Shape::Custom(_) => {
            let reversed: Vec<&str> = resource.group.rsplit('.').collect();
            format!(
                "{}.{}.{}",
                reversed.join("."),
                resource.version,
                resource.kind
            )
        }
    }
}

fn schema_of(resource: &Resource) -> Value {
    let mut schema = match &resource.shape {
        Shape::Builtin(type_name) => published(schema::definition(type_name)),
        Shape::Custom(shape) => {
            let mut schema = (**shape).clone();
            if !schema.is_object() {
                schema = json!({});
            }
            let fields = &mut schema["properties"];
            fields["apiVersion"] = json!({"type": "string"});
            fields["kind"] = json!({"type": "string"});
            let reference = format!("#/components/schemas/{}", schema::OBJECT_META);
            fields["metadata"] = json!({"allOf": [{"$ref": reference}]});
            schema
        }
    };
    schema["type"] = json!("object");
    schema["x-kubernetes-group-version-kind"] = json!([kind(resource)]);
    schema
}

/// Adds what the schemas refer to, and what that refers to.
fn add_referenced(schemas: &mut Map<String, Value>) {
    let mut open: Vec<String> = Vec::new();
    schemas
        .values()
        .for_each(|schema| references(schema, &mut open));
    while let Some(name) = open.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let mut schema = published(schema::definition(&name));
        schema["type"] = json!("object");
        references(&schema, &mut open);
        schemas.insert(name, schema);
    }
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value
                    .as_str()
                    .and_then(|v| v.strip_prefix("#/components/schemas/"))
                {
                    Some(name) if key == "$ref" => found.push(name.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// A definition without the marks that only the decoder reads.
fn published(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let marks = ["x-ptr", "x-keep", "x-any", "x-micro"];
            let mut out = Map::new();
            for (key, value) in fields
                .iter()
                .filter(|(key, _)| !marks.contains(&key.as_str()))
            {
                if key == "$ref" {
                    let name = value.as_str().unwrap_or_default();
                    // References stand alone in OpenAPI 3.0, or in an allOf beside extensions.
                    let reference = json!({"$ref": format!("#/components/schemas/{name}")});
                    out.insert("allOf".to_owned(), json!([reference]));
                } else {
                    out.insert(key.clone(), published(value));
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(published).collect(),
        other => other.clone(),
    }
}
