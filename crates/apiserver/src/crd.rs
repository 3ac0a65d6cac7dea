//! CustomResourceDefinitions: what they serve, their conditions, and what goes with them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::delete::{self, Options};
use crate::record::Writer;
use crate::resources::{Resource, Rules, Shape, qualify};
use crate::state::State;
use crate::store::{Key, Stored};
use crate::{meta, resources};

const CONTROLLER: &str = "system:apiserver";
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Serves what a definition asks for, and says so in its status.
pub(crate) fn after_put(state: &mut State, key: &Key, stored: &Arc<Stored>) {
    let definition = &stored.value;
    let served = versions(definition);
    let Some(name) = served.first().map(|r| r.qualified.to_string()) else {
        return;
    };
    state.registry.set_custom(&name, served);
    if meta::is_deleting(definition) {
        return;
    }
    let accepted = &definition["spec"]["names"];
    let established = conditions(definition, "Established");
    if established && definition["status"]["acceptedNames"] == *accepted {
        return;
    }
    let mut object = definition.clone();
    object["status"]["acceptedNames"] = accepted.clone();
    if !established {
        let now = state.stamp();
        let condition = |kind: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": "True", "lastTransitionTime": now, "reason": reason,
                "message": message,
            })
        };
        object["status"]["conditions"] = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                "InitialNamesAccepted",
                "the initial names have been accepted"
            ),
        ]);
    }
    let Some(resource) = state.registry.find_qualified(resources::CRDS) else {
        return;
    };
    state.put(
        &resource,
        key,
        object,
        &Writer::controller("update", CONTROLLER),
    );
}

/// What the first DELETE of a definition does.
pub(crate) fn begin_deletion(object: &mut Value, now: &str) {
    let mut finalizers = meta::finalizers(object);
    if !finalizers.iter().any(|f| f == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
    }
    meta::set_finalizers(object, &finalizers);
    let condition = json!({
        "type": "Terminating", "status": "True", "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message":
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    });
    match object["status"]["conditions"].as_array_mut() {
        Some(list) => list.push(condition),
        None => object["status"]["conditions"] = json!([condition]),
    }
}

/// Deletes the instances of a definition that is being deleted, and then the definition.
pub(crate) fn finish_deletion(state: &mut State, key: &Key) {
    let Some(stored) = state.store.get(key).cloned() else {
        return;
    };
    if !meta::is_deleting(&stored.value) {
        return;
    }
    let writer = Writer::controller("delete", CONTROLLER);
    let name: Arc<str> = Arc::from(key.name());
    let instances: Vec<Key> = state
        .store
        .list(&name, "")
        .map(|(key, _)| key.clone())
        .collect();
    let mut left = false;
    if let Some(resource) = state.registry.find_qualified(&name) {
        for instance in instances {
            let deleted =
                delete::delete(state, &resource, &instance, &Options::background(), &writer);
            left |= deleted.is_ok_and(|deleted| !deleted.gone);
        }
    }
    let Some(resource) = state.registry.find_qualified(resources::CRDS) else {
        return;
    };
    let mut finalizers = meta::finalizers(&stored.value);
    finalizers.retain(|f| f != CLEANUP || left);
    if finalizers.is_empty() {
        state.remove(&resource, key, &writer);
    } else if finalizers != meta::finalizers(&stored.value) {
        let mut object = stored.value.clone();
        meta::set_finalizers(&mut object, &finalizers);
        state.put(
            &resource,
            key,
            object,
            &Writer::controller("update", CONTROLLER),
        );
    }
}

fn conditions(definition: &Value, kind: &str) -> bool {
    definition["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == json!(kind) && c["status"] == json!("True"))
}

fn versions(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(text).collect()
    };
    let group = text(&spec["group"]);
    let plural = text(&names["plural"]);
    let qualified: Arc<str> = Arc::from(qualify(&plural, &group));
    spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["served"] == json!(true))
        .map(|version| Resource {
            group: group.clone(),
            version: text(&version["name"]),
            kind: text(&names["kind"]),
            plural: plural.clone(),
            singular: text(&names["singular"]),
            short_names: list(&names["shortNames"]),
            categories: list(&names["categories"]),
            namespaced: spec["scope"] == json!("Namespaced"),
            has_status: version["subresources"]["status"].is_object(),
            shape: Shape::Custom(Arc::new(version["schema"]["openAPIV3Schema"].clone())),
            rules: Rules {
                generation: true,
                ..Rules::default()
            },
            qualified: qualified.clone(),
            storage: qualified.clone(),
            columns: version["additionalPrinterColumns"].clone(),
        })
        .collect()
}
