//! The tables that `kubectl get` prints.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::print::{Include, metadata_only};
use crate::resources::{PODS, Resource};
use crate::{meta, time};

/// A column: its name, its type, and whether it is shown only with `-o wide`.
type Column = (&'static str, &'static str, bool);

pub(crate) fn table(
    resource: &Resource,
    items: &[&Value],
    metadata: &Value,
    include: Include,
    now: SystemTime,
) -> Value {
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let mut row = json!({"cells": cells(resource, item, now)});
            match include {
                Include::Nothing => {}
                Include::Metadata => row["object"] = metadata_only(item),
                Include::Object => row["object"] = (*item).clone(),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns(resource), "rows": rows,
    })
}

fn columns(resource: &Resource) -> Vec<Value> {
    let define = |(name, kind, wide): &Column| {
        let format = if *name == "Name" { "name" } else { "" };
        json!({
            "name": name, "type": kind, "format": format, "description": "",
            "priority": i32::from(*wide),
        })
    };
    if let Some(own) = own_columns(resource) {
        let mut out = vec![define(&("Name", "string", false))];
        out.extend(own.iter().map(|column| {
            json!({
                "name": column["name"], "type": column["type"],
                "format": column["format"].as_str().unwrap_or_default(),
                "description": column["description"].as_str().unwrap_or_default(),
                "priority": column["priority"].as_i64().unwrap_or_default(),
            })
        }));
        return out;
    }
    let names: &[Column] = match &*resource.qualified {
        "configmaps" => &[("Data", "string", false)],
        "events" | "events.events.k8s.io" => &[
            ("Type", "string", false),
            ("Reason", "string", false),
            ("Object", "string", false),
            ("Message", "string", false),
        ],
        "leases.coordination.k8s.io" => &[("Holder", "string", false)],
        "namespaces" | "nodes" => &[("Status", "string", false)],
        "pods" => &[
            ("Ready", "string", false),
            ("Status", "string", false),
            ("Restarts", "string", false),
            ("Age", "string", false),
            ("IP", "string", true),
            ("Node", "string", true),
            ("Nominated Node", "string", true),
            ("Readiness Gates", "string", true),
        ],
        "secrets" => &[("Type", "string", false), ("Data", "string", false)],
        "serviceaccounts" => &[("Secrets", "string", false)],
        "customresourcedefinitions.apiextensions.k8s.io" => {
            return vec![
                define(&("Name", "string", false)),
                define(&("Created At", "date", false)),
            ];
        }
        _ => &[],
    };
    let mut out = vec![define(&("Name", "string", false))];
    out.extend(names.iter().map(define));
    if !resource.is(PODS) {
        out.push(define(&("Age", "string", false)));
    }
    out
}

fn own_columns(resource: &Resource) -> Option<&Vec<Value>> {
    resource
        .columns
        .as_array()
        .filter(|columns| !columns.is_empty())
}

fn cells(resource: &Resource, object: &Value, now: SystemTime) -> Vec<Value> {
    let name = json!(meta::name(object));
    let created = meta::text(object, "creationTimestamp");
    let age = json!(age(created, now));
    if let Some(own) = own_columns(resource) {
        let mut out = vec![name];
        out.extend(own.iter().map(|column| own_cell(column, object, now)));
        return out;
    }
    let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let middle: Vec<Value> = match &*resource.qualified {
        "configmaps" => vec![json!(count("data") + count("binaryData"))],
        "events" => {
            let about = &object["involvedObject"];
            let about = format!(
                "{}/{}",
                text(&about["kind"]).to_lowercase(),
                text(&about["name"])
            );
            let told = &object["message"];
            vec![
                object["type"].clone(),
                object["reason"].clone(),
                json!(about),
                told.clone(),
            ]
        }
        "events.events.k8s.io" => {
            let about = &object["regarding"];
            let about = format!(
                "{}/{}",
                text(&about["kind"]).to_lowercase(),
                text(&about["name"])
            );
            let told = &object["note"];
            vec![
                object["type"].clone(),
                object["reason"].clone(),
                json!(about),
                told.clone(),
            ]
        }
        "leases.coordination.k8s.io" => vec![json!(text(&object["spec"]["holderIdentity"]))],
        "namespaces" => vec![json!(text(&object["status"]["phase"]))],
        "nodes" => vec![json!(node_status(object))],
        "pods" => {
            let mut out = vec![name];
            out.extend(pod_cells(object, age));
            return out;
        }
        "secrets" => vec![object["type"].clone(), json!(count("data"))],
        "serviceaccounts" => {
            let secrets = object["secrets"].as_array().map_or(0, Vec::len);
            vec![json!(secrets)]
        }
        "customresourcedefinitions.apiextensions.k8s.io" => return vec![name, json!(created)],
        _ => Vec::new(),
    };
    let mut out = vec![name];
    out.extend(middle);
    out.push(age);
    out
}

fn pod_cells(pod: &Value, age: Value) -> Vec<Value> {
    let containers = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let statuses: Vec<&Value> = pod["status"]["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let ready = statuses
        .iter()
        .filter(|s| s["ready"] == json!(true))
        .count();
    let restarts: i64 = statuses
        .iter()
        .filter_map(|s| s["restartCount"].as_i64())
        .sum();
    let mut status = pod["status"]["reason"]
        .as_str()
        .or(pod["status"]["phase"].as_str())
        .unwrap_or_default()
        .to_owned();
    for container in &statuses {
        for state in ["waiting", "terminated"] {
            if let Some(reason) = container["state"][state]["reason"].as_str() {
                reason.clone_into(&mut status);
            }
        }
    }
    if meta::is_deleting(pod) {
        "Terminating".clone_into(&mut status);
    }
    let or_none = |value: &Value| json!(value.as_str().unwrap_or("<none>"));
    vec![
        json!(format!("{ready}/{containers}")),
        json!(status),
        json!(restarts.to_string()),
        age,
        or_none(&pod["status"]["podIP"]),
        or_none(&pod["spec"]["nodeName"]),
        or_none(&pod["status"]["nominatedNodeName"]),
        json!("<none>"),
    ]
}

fn node_status(node: &Value) -> &'static str {
    let ready = node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["type"] == json!("Ready"));
    match ready.and_then(|c| c["status"].as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
}

/// A cell of a custom resource's own column: the simple paths of its `jsonPath`.
fn own_cell(column: &Value, object: &Value, now: SystemTime) -> Value {
    let path = column["jsonPath"].as_str().unwrap_or_default();
    let mut at = object;
    for part in path.split('.').filter(|p| !p.is_empty()) {
        at = match part.split_once('[') {
            Some((field, index)) => {
                let index: usize = index.trim_end_matches(']').parse().unwrap_or(usize::MAX);
                &at[field][index]
            }
            None => &at[part],
        };
    }
    match (column["type"].as_str(), at) {
        (Some("date"), Value::String(stamp)) => json!(age(stamp, now)),
        (
            Some("string"),
            Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_),
        ) => {
            json!(at.to_string())
        }
        _ => at.clone(),
    }
}

/// An age as people read it: `90s`, `5m10s`, `3h`, `2d4h`.
fn age(stamp: &str, now: SystemTime) -> String {
    let Some(seconds) = time::age_seconds(stamp, now) else {
        return "<unknown>".to_owned();
    };
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: char, small: i64, small_unit: char| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{small_unit}")
        }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ if days < 730 => format!("{days}d"),
        _ => two(days / 365, 'y', days % 365, 'd'),
    }
}
