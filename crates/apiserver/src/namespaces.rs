//! The namespace controller: what a deleted namespace holds goes, and then the namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::delete::{self, Options};
use crate::meta;
use crate::record::Writer;
use crate::resources::NAMESPACES;
use crate::state::State;
use crate::store::{Key, Stored};

const CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";

/// Deletes what a namespace holds, and the namespace once it holds nothing.
pub(crate) fn empty(state: &mut State, name: &str) {
    let key = Key::new(&Arc::from(NAMESPACES), "", name);
    let Some(stored) = state.store.get(&key).cloned() else {
        state.gc.namespace_gone(name);
        return;
    };
    if !meta::is_deleting(&stored.value) {
        return;
    }
    let writer = Writer::controller("delete", CONTROLLER);
    for held in contents(state, name) {
        if let Some(resource) = state.registry.find_qualified(&held.resource) {
            // What cannot be deleted is counted below as what is left.
            let _ = delete::delete(state, &resource, &held, &Options::background(), &writer);
        }
    }
    let Some(resource) = state.registry.find_qualified(NAMESPACES) else {
        return;
    };
    let left = contents(state, name);
    let mut object = stored.value.clone();
    if !left.is_empty() {
        let told = conditions(state, &left, &object);
        object["status"]["conditions"] = told;
        if object != stored.value {
            state.put(
                &resource,
                &key,
                object,
                &Writer::controller("update", CONTROLLER),
            );
        }
        return;
    }
    let mut finalizers: Vec<Value> = object["spec"]["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    finalizers.retain(|f| f != "kubernetes");
    if finalizers.is_empty() && meta::finalizers(&object).is_empty() {
        state.gc.namespace_gone(name);
        state.remove(&resource, &key, &writer);
        return;
    }
    object["spec"] = if finalizers.is_empty() {
        json!({})
    } else {
        json!({"finalizers": finalizers})
    };
    if object != stored.value {
        state.put(
            &resource,
            &key,
            object,
            &Writer::controller("update", CONTROLLER),
        );
    }
}

fn contents(state: &State, name: &str) -> Vec<Key> {
    let held = state.store.all().filter(|(key, _)| key.namespace() == name);
    held.map(|(key, _)| key.clone()).collect()
}

/// What the controller tells of a namespace that something keeps.
fn conditions(state: &State, left: &[Key], namespace: &Value) -> Value {
    let mut resources: BTreeMap<&str, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for key in left {
        *resources.entry(&key.resource).or_default() += 1;
        for finalizer in state
            .store
            .get(key)
            .map(finalizers_of)
            .into_iter()
            .flatten()
        {
            *finalizers.entry(finalizer).or_default() += 1;
        }
    }
    let remaining: Vec<String> = resources
        .iter()
        .map(|(resource, count)| {
            // The real controller ends the core group's names in a dot, too.
            let dot = if resource.contains('.') { "" } else { "." };
            format!("{resource}{dot} has {count} resource instances")
        })
        .collect();
    let held: Vec<String> = finalizers
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    let mut told = vec![
        (
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        (
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", remaining.join(", ")),
        ),
    ];
    told.push(if held.is_empty() {
        (
            "NamespaceFinalizersRemaining",
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let held = held.join(", ");
        (
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            format!("Some content in the namespace has finalizers remaining: {held}"),
        )
    });
    let known = namespace["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let now = state.stamp();
    told.into_iter()
        .map(|(kind, status, reason, message)| {
            // The time is that of the last change of the status, not of the message.
            let since = known
                .iter()
                .find(|c| c["type"] == json!(kind) && c["status"] == json!(status))
                .and_then(|c| c["lastTransitionTime"].as_str())
                .unwrap_or(&now);
            json!({
                "type": kind, "status": status, "lastTransitionTime": since, "reason": reason,
                "message": message,
            })
        })
        .collect()
}

fn finalizers_of(stored: &Arc<Stored>) -> Vec<String> {
    meta::finalizers(&stored.value)
}
