//! The forms in which a reader may ask for objects: whole, as metadata only, or as a table.

use std::time::SystemTime;

use http::HeaderMap;
use http::StatusCode;
use http::header::ACCEPT;
use serde_json::{Value, json};

use crate::read::{self, Listed};
use crate::request::Query;
use crate::resources::Resource;
use crate::status::{Outcome, Refusal};
use crate::table;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Metadata,
    Table(Include),
}

/// How much of each object a table's rows carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Form {
    /// The first form that the `Accept` header names and this server can give.
    pub(crate) fn negotiate(headers: &HeaderMap, query: &Query) -> Outcome<Self> {
        let accept = headers
            .get(ACCEPT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("*/*");
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            if !matches!(
                media.as_str(),
                "application/json" | "*/*" | "application/*" | ""
            ) {
                continue;
            }
            let form = parts
                .find_map(|p| p.strip_prefix("as="))
                .unwrap_or_default();
            return Ok(match form {
                "Table" => Self::Table(match query.get("includeObject") {
                    "None" => Include::Nothing,
                    "Object" => Include::Object,
                    _ => Include::Metadata,
                }),
                "PartialObjectMetadata" | "PartialObjectMetadataList" => Self::Metadata,
                _ => Self::Json,
            });
        }
        Err(Refusal::bare(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            "406: Not Acceptable\n\nAvailable representations: application/json",
        ))
    }

    /// One object.
    pub(crate) fn object(self, resource: &Resource, object: &Value, now: SystemTime) -> Value {
        match self {
            Self::Json => object.clone(),
            Self::Metadata => metadata_only(object),
            Self::Table(include) => {
                let version = &object["metadata"]["resourceVersion"];
                let meta = json!({"resourceVersion": version});
                let items = [object];
                table::table(resource, &items, &meta, include, now)
            }
        }
    }

    /// A bookmark, whose object is all but empty.
    pub(crate) fn bookmark(self, object: &Value) -> Value {
        match self {
            Self::Json => object.clone(),
            Self::Metadata => metadata_only(object),
            Self::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]},
                "columnDefinitions": [],
                "rows": [{"cells": [], "object": metadata_only(object)}],
            }),
        }
    }

    /// A list.
    pub(crate) fn list(self, resource: &Resource, listed: &Listed, now: SystemTime) -> Vec<u8> {
        let mut meta = json!({"resourceVersion": listed.revision.to_string()});
        if resource.is_custom() {
            // The real server keeps them as free JSON, in which nothing is left out.
            meta["continue"] = json!("");
        }
        if let Some(next) = &listed.next {
            meta["continue"] = json!(next);
        }
        if let Some(remaining) = listed.remaining {
            meta["remainingItemCount"] = json!(remaining);
        }
        let version = resource.api_version();
        if let Self::Table(include) = self {
            let converted: Vec<Option<Value>> = listed
                .items
                .iter()
                .map(|i| read::converted(resource, &i.value))
                .collect();
            let items: Vec<&Value> = listed
                .items
                .iter()
                .zip(&converted)
                .map(|(item, converted)| converted.as_ref().unwrap_or(&item.value))
                .collect();
            return table::table(resource, &items, &meta, include, now)
                .to_string()
                .into_bytes();
        }
        let (kind, version) = match self {
            Self::Metadata => (
                "PartialObjectMetadataList".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
            _ => (format!("{}List", resource.kind), version),
        };
        let head = json!({"kind": kind, "apiVersion": version, "metadata": meta}).to_string();
        let mut out = head.into_bytes();
        out.pop();
        out.extend_from_slice(b",\"items\":[");
        for (index, item) in listed.items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match read::converted(resource, &item.value) {
                Some(value) => {
                    let mut value = self.object(resource, &value, now);
                    if self == Self::Json && !resource.is_custom() {
                        value
                            .as_object_mut()
                            .map(|v| (v.remove("kind"), v.remove("apiVersion")));
                    }
                    out.extend_from_slice(value.to_string().as_bytes());
                }
                None if self == Self::Json && resource.is_custom() => {
                    out.extend_from_slice(&item.json());
                }
                None if self == Self::Json => out.extend_from_slice(&item.item_json()),
                None => {
                    let value = self.object(resource, &item.value, now);
                    out.extend_from_slice(value.to_string().as_bytes());
                }
            }
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// The object's metadata, and nothing else of it.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
