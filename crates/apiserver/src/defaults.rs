//! The values that the real server fills in when a field was left out.

use serde_json::{Map, Value, json};

use crate::resources::Resource;

pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pod(object),
        ("", "Namespace") => namespace(object),
        ("", "Secret") => secret(object),
        ("apiextensions.k8s.io", _) => crd(object),
        ("rbac.authorization.k8s.io", kind) => rbac(kind, object),
        _ => {}
    }
}

fn fill(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(field.to_owned()).or_insert(value);
    }
}

/// The items of a list, none where it is missing. Indexing would put a null there.
fn items<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(list)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn pod(object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    for (field, value) in [
        ("dnsPolicy", json!("ClusterFirst")),
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
    ] {
        fill(spec, field, value);
    }
    // The two spellings of the service account follow each other.
    let account = spec["serviceAccountName"]
        .as_str()
        .filter(|s| !s.is_empty());
    let account = account
        .or(spec["serviceAccount"].as_str())
        .map(str::to_owned);
    if let Some(account) = account {
        spec["serviceAccountName"] = json!(account);
        spec["serviceAccount"] = json!(account);
    }
    tolerations(spec);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(spec, list) {
            fill(
                container,
                "terminationMessagePath",
                json!("/dev/termination-log"),
            );
            fill(container, "terminationMessagePolicy", json!("File"));
            fill(container, "resources", json!({}));
            let image = container["image"].as_str().unwrap_or_default();
            let policy = if always_pulled(image) {
                "Always"
            } else {
                "IfNotPresent"
            };
            fill(container, "imagePullPolicy", json!(policy));
            for port in items(container, "ports") {
                fill(port, "protocol", json!("TCP"));
            }
        }
    }
}

/// What the admission plugin `DefaultTolerationSeconds` adds.
fn tolerations(spec: &mut Value) {
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = spec["tolerations"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|t| {
                let any_key = t["key"].as_str().is_none_or(str::is_empty);
                let any_effect = t["effect"].as_str().is_none_or(str::is_empty);
                (any_key || t["key"] == json!(key))
                    && (any_effect || t["effect"] == json!("NoExecute"))
            });
        if !tolerated {
            fill(spec, "tolerations", json!([]));
            if let Some(list) = spec["tolerations"].as_array_mut() {
                list.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }));
            }
        }
    }
}

/// Images without a tag, or tagged `latest`, are pulled always.
fn always_pulled(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if name.is_empty() {
        return;
    }
    let meta = &mut object["metadata"];
    fill(meta, "labels", Value::Object(Map::new()));
    if meta["labels"].is_object() {
        meta["labels"]["kubernetes.io/metadata.name"] = json!(name);
    }
}

fn secret(object: &mut Value) {
    fill(object, "type", json!("Opaque"));
}

fn crd(object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    let names = &mut spec["names"];
    if names.is_object() {
        let kind = names["kind"].as_str().unwrap_or_default().to_owned();
        if names["singular"].as_str().is_none_or(str::is_empty) {
            names["singular"] = json!(kind.to_lowercase());
        }
        if names["listKind"].as_str().is_none_or(str::is_empty) && !kind.is_empty() {
            names["listKind"] = json!(format!("{kind}List"));
        }
    }
}

fn rbac(kind: &str, object: &mut Value) {
    if !kind.ends_with("Binding") {
        return;
    }
    let group = "rbac.authorization.k8s.io";
    if object["roleRef"].is_object()
        && object["roleRef"]["apiGroup"]
            .as_str()
            .is_none_or(str::is_empty)
    {
        object["roleRef"]["apiGroup"] = json!(group);
    }
    for subject in items(object, "subjects") {
        let named = subject["kind"]
            .as_str()
            .is_some_and(|k| k == "User" || k == "Group");
        if named && subject["apiGroup"].as_str().is_none_or(str::is_empty) {
            subject["apiGroup"] = json!(group);
        }
    }
}
